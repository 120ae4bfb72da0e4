#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is each integer node of a QOperator file right, and the file as a whole? ONNX Runtime runs the file with every value as
an output; each integer node is then computed again from its own inputs in exact integer arithmetic. Then the whole file
is executed with exact integer nodes, and ONNX Runtime for what is between them.

    bench/integers.py [--corpus DIR] [--program PATH] [--samples N] [--watched N] [--models NAME,…]

Prints a Markdown table: nodes by operator, the greatest difference in steps over the watched samples, and the SQNR of the
judged output in dB over all samples: exact integers, ONNX Runtime's kernels, the QDQ file without optimizations. Exit
status 1 when a node is off by more than one step or exact integers lose more than 0.5 dB against QDQ. ONNX Runtime
saturates in 16 bits on x86 CPUs without VNNI: there the difference is that."""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from numpy.lib.stride_tricks import sliding_window_view
from onnx import helper, numpy_helper


def attributes(node):
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def rounded(x, like, zero):
    """Half to even, zero point added, saturated to the type."""
    info = np.iinfo(like)
    return np.clip(np.rint(x) + np.float64(zero), info.min, info.max)


def pads_of(a, x, kernel, strides, dilations):
    n, auto = len(kernel), a.get("auto_pad", b"NOTSET")
    if auto in (b"NOTSET", b""):
        return a.get("pads", [0] * 2 * n)
    if auto == b"VALID":
        return [0] * 2 * n
    begin, end = [], []
    for i in range(n):
        size = x.shape[2 + i]
        total = max((-(-size // strides[i]) - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - size, 0)
        small = total // 2
        begin.append(small if auto == b"SAME_UPPER" else total - small)
        end.append(total - begin[-1])
    return begin + end


def windows(x, kernel, strides, dilations, pads, fill):
    n = len(kernel)
    x = np.pad(x, [(0, 0), (0, 0)] + [(pads[i], pads[n + i]) for i in range(n)], constant_values=fill)
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    view = sliding_window_view(x, reach, axis=tuple(range(2, 2 + n)))
    pick = (slice(None), slice(None)) + tuple(slice(None, None, s) for s in strides) + tuple(slice(None, None, d) for d in dilations)
    return view[pick]


def convolution(a, x, w):
    """Exact sums: integers in float64."""
    n, group = w.ndim - 2, a.get("group", 1)
    kernel, strides, dilations = list(w.shape[2:]), a.get("strides", [1] * n), a.get("dilations", [1] * n)
    view = windows(x, kernel, strides, dilations, pads_of(a, x, kernel, strides, dilations), 0)
    batch, out = x.shape[0], view.shape[2:2 + n]
    parts = []
    for g in range(group):
        cin, cout = x.shape[1] // group, w.shape[0] // group
        columns = np.moveaxis(view[:, g * cin:(g + 1) * cin], 1, 1 + n).reshape(batch, int(np.prod(out)), -1)
        parts.append(columns @ w[g * cout:(g + 1) * cout].reshape(cout, -1).T)
    return np.moveaxis(np.concatenate(parts, 2), 2, 1).reshape((batch, w.shape[0]) + tuple(out))


def spread(v, rank, axis):
    return np.asarray(v, np.float64).reshape([-1 if i == axis else 1 for i in range(rank)]) if np.ndim(v) else np.float64(v)


def conv(a, i, out):
    x, xs, xz, w, ws, wz, ys, yz = i[:8]
    sums = convolution(a, x.astype(np.float64) - xz, w.astype(np.float64) - spread(wz, w.ndim, 0))
    if len(i) > 8:
        sums += spread(i[8], sums.ndim, 1)
    return rounded(sums * (spread(ws, sums.ndim, 1) * np.float64(xs) / np.float64(ys)), out, yz)


def matmul(a, i, out):
    x, xs, xz, w, ws, wz, ys, yz = i[:8]
    sums = (x.astype(np.float64) - xz) @ (w.astype(np.float64) - np.asarray(wz, np.float64))
    return rounded(sums * (np.asarray(ws, np.float64) * np.float64(xs) / np.float64(ys)), out, yz)


def gemm(a, i, out):
    x, xs, xz, w, ws, wz = i[:6]
    x, w = x.astype(np.float64) - xz, w.astype(np.float64)
    if a.get("transB"):
        w = w.T
    sums = x @ (w - np.asarray(wz, np.float64))
    if len(i) > 6 and i[6] is not None:
        sums = sums + i[6]
    values = sums * (np.asarray(ws, np.float64) * np.float64(xs))
    return rounded(values / np.float64(i[7]), out, i[8]) if len(i) > 8 else values


def value(x, s, z):
    return (x.astype(np.float64) - z) * np.float64(s)


def average(a, i, out, all_of_it):
    x, xs, xz, ys, yz = i[:5]
    x = x.astype(np.float64) - xz
    if all_of_it:
        mean = x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)
    else:
        n, kernel = x.ndim - 2, a["kernel_shape"]
        strides, ones = a.get("strides", [1] * n), [1] * n
        pads = pads_of(a, x, kernel, strides, ones)
        axes = tuple(range(-n, 0))
        total = windows(x, kernel, strides, ones, pads, 0).sum(axis=axes)
        count = np.prod(kernel) if a.get("count_include_pad") else windows(np.ones_like(x), kernel, strides, ones, pads, 0).sum(axis=axes)
        mean = total / count
    return rounded(mean * (np.float64(xs) / np.float64(ys)), out, yz)


def unary(function):
    return lambda a, i, out: rounded(function(a, value(i[0], i[1], i[2])) / np.float64(i[3]), out, i[4])


EXACT = {
    "QLinearConv": conv,
    "QLinearMatMul": matmul,
    "QGemm": gemm,
    "MatMulInteger": lambda a, i, out: (i[0].astype(np.float64) - i[2]) @ (i[1].astype(np.float64) - np.asarray(i[3], np.float64)),
    "QLinearAdd": lambda a, i, out: rounded((value(*i[0:3]) + value(*i[3:6])) / np.float64(i[6]), out, i[7]),
    "QLinearMul": lambda a, i, out: rounded(value(*i[0:3]) * value(*i[3:6]) / np.float64(i[6]), out, i[7]),
    "QLinearConcat": lambda a, i, out: np.concatenate([rounded(value(*i[k:k + 3]) / np.float64(i[0]), out, i[1]) for k in range(2, len(i), 3)], a["axis"]),
    "QLinearSigmoid": unary(lambda a, x: 1 / (1 + np.exp(-x))),
    "QLinearLeakyRelu": unary(lambda a, x: np.where(x < 0, x * a.get("alpha", 0.01), x)),
    "QLinearAveragePool": lambda a, i, out: average(a, i, out, False),
    "QLinearGlobalAveragePool": lambda a, i, out: average(a, i, out, True),
}


def session(model):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def check_nodes(model, feed):
    """By operator: how many nodes, and the greatest difference in steps (relative to the result's range for float ones)."""
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    nodes = [n for n in model.graph.node if n.op_type in EXACT]
    names = {o.name for o in model.graph.output}
    wanted = [x for n in nodes for x in list(n.input) + list(n.output) if x and x not in constants and x not in feed]
    wanted = list(dict.fromkeys(wanted))
    open_model = onnx.ModelProto()
    open_model.CopyFrom(model)
    open_model.graph.output.extend(onnx.ValueInfoProto(name=x) for x in wanted if x not in names)
    seen = dict(zip(wanted, session(open_model.SerializeToString()).run(wanted, feed)))
    found = collections.defaultdict(lambda: [0, 0.0])
    for node in nodes:
        inputs = [None if not x else constants[x] if x in constants else feed[x] if x in feed else seen[x] for x in node.input]
        result = seen[node.output[0]]
        exact = EXACT[node.op_type](attributes(node), inputs, result.dtype)
        gap = np.abs(exact - result.astype(np.float64)).max(initial=0.0)
        if result.dtype == np.float32:
            gap = gap / max(np.abs(exact).max(initial=0.0), 1e-30)
        found[node.op_type][0] += 1
        found[node.op_type][1] = max(found[node.op_type][1], float(gap))
    return found


class Exact:
    """A QOperator file as its definition has it: integer nodes by EXACT, what is between them by ONNX Runtime."""

    def __init__(self, model):
        self.model, self.constants = model, {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.parts = []  # integer nodes, and lists of others
        for node in model.graph.node:
            if node.op_type in EXACT:
                self.parts.append(node)
            elif self.parts and isinstance(self.parts[-1], list):
                self.parts[-1].append(node)
            else:
                self.parts.append([node])
        self.sessions = {}

    def session(self, index, seen):
        """Of the others in a row: what they read, also in their bodies, is fed; what they make is returned."""
        nodes = self.parts[index]
        made = {x for n in nodes for x in n.output if x}
        reads = list(dict.fromkeys(x for n in nodes for x in names_read(n) if x not in made))
        types = [helper.make_tensor_value_info(x, helper.np_dtype_to_tensor_dtype(seen[x].dtype), None) for x in reads if x in seen]
        part = helper.make_graph(nodes, "part", types, [onnx.ValueInfoProto(name=x) for x in sorted(made)],
                                 [t for t in self.model.graph.initializer if t.name in reads])
        made_of = helper.make_model(part, opset_imports=self.model.opset_import, ir_version=self.model.ir_version)
        made_of.functions.extend(self.model.functions)
        return session(made_of.SerializeToString())

    def run(self, output, feed):
        seen = dict(feed)
        for index, part in enumerate(self.parts):
            if isinstance(part, list):
                if index not in self.sessions:
                    self.sessions[index] = self.session(index, seen)
                run = self.sessions[index]
                seen.update(zip([o.name for o in run.get_outputs()], run.run(None, {i.name: seen[i.name] for i in run.get_inputs()})))
                continue
            inputs = [None if not x else self.constants[x] if x in self.constants else seen[x] for x in part.input]
            like = result_type(part, inputs)
            seen[part.output[0]] = EXACT[part.op_type](attributes(part), inputs, like).astype(like)
        return seen[output]


def names_read(node):
    yield from (x for x in node.input if x)
    for a in node.attribute:
        for graph in [a.g] if a.type == a.GRAPH else a.graphs:
            yield from (x for n in graph.node for x in names_read(n))
            yield from (o.name for o in graph.output)


def result_type(node, inputs):
    """That of the zero point of the result."""
    if node.op_type == "MatMulInteger":
        return np.int32
    if node.op_type == "QLinearConcat":
        return inputs[1].dtype
    zero = {"QLinearConv": 7, "QLinearMatMul": 7, "QGemm": 8, "QLinearAdd": 7, "QLinearMul": 7}.get(node.op_type, 4)
    return inputs[zero].dtype if len(inputs) > zero and inputs[zero] is not None else np.dtype(np.float32)


def sqnr(a, b):
    noise = ((a - b) ** 2).sum()
    return float("inf") if noise == 0 else 10 * np.log10((a ** 2).sum() / noise)


def judged_output(entry, model):
    floats = [o.name for o in model.graph.output if o.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    return entry.get("metric_output") or floats[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--corpus", default=os.path.join(here, "models"))
    parser.add_argument("--program", default=os.path.join(here, "build", "release", "qonnx-quantize"))
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--watched", type=int, default=2, help="samples for which each node is checked")
    parser.add_argument("--models", default="")
    args = parser.parse_args()
    worst, lost = 0.0, 0.0
    print("| model | integer nodes | greatest difference in steps | SQNR exact | SQNR ONNX Runtime | SQNR QDQ | exact - QDQ |\n|---|---|---|---|---|---|---|")
    for entry in json.load(open(os.path.join(args.corpus, "manifest.json")))["models"]:
        name = entry["name"]
        if args.models and name not in args.models.split(","):
            continue
        folder = os.path.join(args.corpus, name)
        data = np.load(os.path.join(folder, "eval.npz"))
        with tempfile.TemporaryDirectory() as out:
            files = {}
            for form in ("qoperator", "qdq"):
                files[form] = os.path.join(out, form + ".onnx")
                subprocess.run([args.program, os.path.join(folder, "model.onnx"), files[form], "-q", "--format", form, "--calib",
                                os.path.join(folder, "calib.npz"), "--sidecar", "none"], check=True)
            model = onnx.load(files["qoperator"])
            exact = Exact(model)
            runs = {k: session(v) for k, v in (("float", os.path.join(folder, "model.onnx")), *files.items())}
            output = judged_output(entry, model)
            total, outputs = collections.defaultdict(lambda: [0, 0.0]), collections.defaultdict(list)
            for i in range(min(args.samples, len(data[data.files[0]]))):
                feed = {k: data[k][i] for k in data.files if k in {x.name for x in runs["float"].get_inputs()}}
                for op, (count, gap) in check_nodes(model, feed).items() if i < args.watched else ():
                    total[op] = [count, max(total[op][1], gap)]
                for k, run in runs.items():
                    outputs[k].append(run.run([output], feed)[0].astype(np.float64).ravel())
                outputs["exact"].append(exact.run(output, feed).astype(np.float64).ravel())
        joined = {k: np.concatenate(v) for k, v in outputs.items()}
        nodes = ", ".join(f"{c} {op}" for op, (c, _) in sorted(total.items())) or "none"
        steps = max([g for _, g in total.values()], default=0.0)
        worst = max(worst, steps)
        db = {k: sqnr(joined["float"], joined[k]) for k in ("exact", "qoperator", "qdq")}
        gap = db["exact"] - db["qdq"] if joined["exact"].tobytes() != joined["qdq"].tobytes() else 0.0
        lost = max(lost, -gap)
        print(f"| {name} | {nodes} | {steps:.3g} | {db['exact']:.2f} | {db['qoperator']:.2f} | {db['qdq']:.2f} | {gap:+.2f} |", flush=True)
    return int(worst > 1.0 or lost > 0.5)


if __name__ == "__main__":
    sys.exit(main())
