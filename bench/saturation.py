#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Does ONNX Runtime compute quantized models right on x86 without VNNI, where products are added in pairs in 16 bits?

    bench/saturation.py [--corpus DIR] [--program PATH] [--samples N] [--models NAME,…] [--safe WHEN] [-o KEY=VALUE]…

Quantizes each model twice, with -o pair-safe=off (codes of full range) and as asked for, and runs all its evaluation samples,
or N of them, on such a processor; one with VNNI is made to look like it. ONNX Runtime optimizes the file; each layer that it
then computes on 8-bit codes is computed again from the same codes in integers, exactly and with sums of two products cut off
at 16 bits, which are counted. Prints a Markdown table. For both files:

    sums            of two products that saturate, in layers whose kernels add them so
    layers          with a result that is not the exact one
    steps           the greatest difference of such a result: of codes, or 255ths of the greatest result in float
    output          the greatest difference of the judged output from the same file with sums of 32 bits throughout, in 255ths
                    of its greatest value

Exit status 1 where anything but zeros is in the second file's columns, or only zeros in the first's of all models, or where a
result on a processor without VNNI is not what cut off sums make it: then it does not compute as this script believes."""
import argparse
import ctypes
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "e2e"))
import integers  # noqa: E402
import processor  # noqa: E402
import runs  # noqa: E402

# inputs of each operator: x, weight, zero point of x, bias; scales of x and weight; scale and zero point of the result
INPUTS = {
    "QLinearConv": dict(x=0, w=3, zero=2, bias=8, scales=(1, 4), result=(6, 7)),
    "QLinearMatMul": dict(x=0, w=3, zero=2, bias=None, scales=(1, 4), result=(6, 7)),
    "QGemm": dict(x=0, w=3, zero=2, bias=6, scales=(1, 4), result=(7, 8)),
    "MatMulIntegerToFloat": dict(x=0, w=1, zero=4, bias=6, scales=(2, 3), result=None),
}


class Layer:
    """One with constant weights, as [groups][K, outputs], in the order in which kernels go through them."""

    def __init__(self, node, constants):
        def constant(index, otherwise=None):
            name = node.input[index] if index is not None and index < len(node.input) else ""
            return constants[name] if name else otherwise

        at = INPUTS[node.op_type]
        self.node, self.attributes, self.codes = node, integers.attributes(node), node.input[at["x"]]
        w, self.zero = constant(at["w"]), constant(at["zero"])
        scales = [constant(i) for i in at["scales"]]
        self.scale = (scales[0] * scales[1]).astype(np.float32).reshape(-1)
        self.bias = constant(at["bias"])
        result = [constant(i) for i in at["result"]] if at["result"] else [None, None]
        self.result_zero = result[1]
        if result[0] is not None:
            self.scale = self.scale / result[0].reshape(-1)
        self.conv = node.op_type == "QLinearConv"
        self.last = bool(self.attributes.get("channels_last"))
        self.groups = self.attributes.get("group", 1) if self.conv else 1
        self.depthwise = self.groups > 1 and w.shape[1] == 1
        self.kernel = list(w.shape[2:])
        if self.conv:
            w = np.moveaxis(w, 1, -1).reshape(self.groups, w.shape[0] // self.groups, -1).transpose(0, 2, 1)
        else:
            w = (w.T if self.attributes.get("transB") else w)[None]
        if w.dtype == np.int8 and w.shape[1] % 2:
            w = np.pad(w, [(0, 0), (0, 1), (0, 0)])
        self.weights = np.ascontiguousarray(w, np.int16)

    def sums(self, x, library):
        """Sums less zero points, [..., outputs]: exact ones, and with sums of two cut off; and how many of these are."""
        shift = 128 if x.dtype == np.int8 else 0  # kernels make signed inputs unsigned
        x, zero = (x.astype(np.int16) + shift).astype(np.uint8), int(self.zero) + shift
        if not self.conv:
            return self.products(x.reshape(-1, x.shape[-1]), 0, zero, library)
        if self.last:
            x = np.moveaxis(x, -1, 1)
        n, a = len(self.kernel), self.attributes
        strides, dilations = a.get("strides", [1] * n), a.get("dilations", [1] * n)
        view = integers.windows(x, self.kernel, strides, dilations, integers.pads_of(a, x, self.kernel, strides, dilations), zero)
        places, size = [view.shape[0], *view.shape[2:2 + n]], x.shape[1] // self.groups
        if self.depthwise:  # no pairs are added there
            taps = view.reshape(*view.shape[:2 + n], -1)
            each = self.weights.shape[2]
            w = self.weights[:, :taps.shape[-1]].astype(np.int32)
            parts = [np.einsum("bc...t,ct->b...c", taps.astype(np.int32) - zero, w[..., k]) for k in range(each)]
            whole = np.stack(parts, -1).reshape(*places, -1)
            return whole, whole, 0
        view = np.moveaxis(view, 1, -1)  # batch, places, taps, channels
        parts = [self.products(view[..., g * size:(g + 1) * size].reshape(int(np.prod(places)), -1), g, zero, library) for g in range(self.groups)]
        exact, cut = (np.concatenate([part[k] for part in parts], -1).reshape(*places, -1) for k in range(2))
        return exact, cut, sum(part[2] for part in parts)

    def products(self, x, group, zero, library):
        w = self.weights[group]
        if x.shape[1] < w.shape[0]:
            x = np.pad(x, [(0, 0), (0, 1)])
        x, (exact, cut) = np.ascontiguousarray(x), np.empty((2, len(x), w.shape[1]), np.int32)
        at = [ctypes.c_void_p(a.ctypes.data) for a in (x, w, exact, cut)]
        count = library.pair_sums(*at[:2], *map(ctypes.c_int64, (*x.shape, w.shape[1])), *at[2:])
        shift = zero * w.sum(0, dtype=np.int32)
        return exact - shift, cut - shift, count

    def off(self, sums, result):
        """The greatest difference between the result and what these sums make, in steps."""
        if self.conv:
            result = result if self.last else np.moveaxis(result, 1, -1)
        result = result.reshape(sums.shape)
        if self.result_zero is None:
            exact = sums * self.scale.astype(np.float64) + (0 if self.bias is None else self.bias * (self.scale.astype(np.float64) if self.bias.dtype == np.int32 else 1))
            steps = np.abs(result - exact).max() / max(np.abs(exact).max(), 1e-30) * 255
            return steps if steps > 1e-2 else 0.0  # floats are added in their own order
        if self.bias is not None:
            sums = sums + self.bias
        info = np.iinfo(result.dtype)
        exact = np.clip(np.rint(sums.astype(np.float32) * self.scale) + int(self.result_zero), info.min, info.max)
        return float(np.abs(exact - result).max())


def layers_of(model):
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in INPUTS and node.input[INPUTS[node.op_type]["w"]] in constants:
            yield Layer(node, constants)


def inspect(path, evaluation, judged, samples, library):
    """What one row says of one file; on the processor that is asked about."""
    data = np.load(evaluation)
    data = {key: data[key] for key in data.files}
    with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
        optimized, watched = os.path.join(scratch, "optimized.onnx"), os.path.join(scratch, "watched.onnx")
        usual, exact = runs.session(path, runs.FULL, save=optimized), runs.session(path, runs.FULL, unsaturated=True)
        model = onnx.load(optimized)
        layers = list(layers_of(model))
        known = {o.name for o in model.graph.output}
        for name in sorted({x for layer in layers for x in (layer.codes, layer.node.output[0])} - known):
            model.graph.output.append(onnx.ValueInfoProto(name=name))
        onnx.save(model, watched)
        session = runs.session(watched)
        names = [o.name for o in session.get_outputs()]
        row = dict(layers=len(layers), sums=0, off=set(), steps=0.0, strange=0.0, output=0.0)
        greatest = 0.0
        for i in range(samples):
            feed = runs.feed_of(session, data, i)
            values = dict(zip(names, session.run(None, feed)))
            for layer in layers:
                result = values[layer.node.output[0]]
                sums, cut, count = layer.sums(values[layer.codes], library)
                steps = layer.off(sums, result)
                row["sums"] += count
                row["steps"] = max(row["steps"], steps)
                row["strange"] = max(row["strange"], layer.off(cut, result))
                if steps:
                    row["off"].add(layer.node.output[0])
            a, b = (s.run([judged], feed)[0].astype(np.float64) for s in (usual, exact))
            row["output"], greatest = max(row["output"], np.abs(a - b).max()), max(greatest, np.abs(b).max())
    row["output"] *= 255 / max(greatest, 1e-30)
    return {**row, "off": len(row["off"])}


def judged_output(entry, path):
    outputs = onnx.load(path).graph.output
    floats = [o.name for o in outputs if o.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    return entry.get("metric_output") or (floats or [outputs[0].name])[0]


def main():
    if len(sys.argv) > 1 and sys.argv[1] == "--inside":
        path, evaluation, judged, samples, library = sys.argv[2:]
        library = ctypes.CDLL(library)
        library.pair_sums.restype = ctypes.c_int64
        print(json.dumps(inspect(path, evaluation, judged, int(samples), library)))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.join(HERE, "..")
    parser.add_argument("--corpus", default=os.path.join(root, "models"))
    parser.add_argument("--program", default=os.path.join(root, "build", "release", "qonnx-quantize"))
    parser.add_argument("--samples", type=int, default=0, help="evaluation samples of each model; 0: all")
    parser.add_argument("--models", default="", help="names, separated by commas; all otherwise")
    parser.add_argument("--safe", default="auto", help="what the second file is made with")
    parser.add_argument("-o", action="append", default=[], metavar="KEY=VALUE", help="further options for both files")
    settings = parser.parse_args()
    with open(os.path.join(settings.corpus, "manifest.json"), encoding="utf-8") as file:
        entries = [e for e in json.load(file)["models"] if not settings.models or e["name"] in settings.models.split(",")]
    program, failed, saturated = runs.Program(settings.program), False, False
    with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
        library = processor.shared_object("sums.c", scratch, "-O3", "-march=native")
        how, prefix, environment = processor.without_vnni(scratch)
        print(f"processor: {how or 'it has VNNI, which cannot be hidden: results cannot be off, only the sums tell'}\n")
        print("| model | samples | layers | full range: sums | layers off | steps | output | safe: sums | layers off | steps | output |\n" + "| --- " * 11 + "|", flush=True)
        for entry in entries:
            folder, cells = os.path.join(settings.corpus, entry["name"]), []
            model, evaluation = os.path.join(folder, "model.onnx"), os.path.join(folder, "eval.npz")
            data = np.load(evaluation)
            samples = min(settings.samples or sys.maxsize, len(data[data.files[0]]))
            for safe, when in enumerate(("off", settings.safe)):
                out = os.path.join(scratch, "q.onnx")
                options = [word for option in settings.o + [f"pair-safe={when}"] for word in ("-o", option)]
                program(model, out, "--calib", os.path.join(folder, "calib.npz"), *options)
                command = [*prefix, sys.executable, "-B", os.path.abspath(__file__), "--inside", out, evaluation, judged_output(entry, model), str(samples), library]
                done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)
                if done.returncode:
                    raise RuntimeError(f"{entry['name']}: {done.stderr.strip()[-1000:]}")
                row = json.loads(done.stdout)
                bad = any(row[key] > 0 for key in ("sums", "off", "output"))
                failed, saturated = failed or (safe and bad), saturated or (not safe and bad)
                if how and row["strange"]:
                    raise RuntimeError(f"{entry['name']}: a result is {row['strange']:.3g} steps off from what sums in 16 bits make it")
                cells += [f"{row['sums']:,}", row["off"], f"{row['steps']:.3g}", f"{row['output']:.3g}"]
            print(f"| {entry['name']} | {samples} | {row['layers']} | " + " | ".join(map(str, cells)) + " |", flush=True)
    return 1 if failed or not saturated else 0


if __name__ == "__main__":
    sys.exit(main())
