#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""kernels.py --program PATH [--corpus DIR]: what ONNX Runtime's kernels cost here, in the terms of src/plan/costs.c.

Each model of the corpus is run in float and with all that can be quantized on integers, and ONNX Runtime's profile of both is
taken: a layer's time in either form against what it multiplies, reads, writes and gathers, fitted by least squares of the
relative error without negative terms; other kernels' time for each element. Profiling itself adds 1 to 2 microseconds to
each node, which the table leaves out."""
import argparse
import collections
import json
import os
import re
import subprocess
import tempfile

import numpy as np
import onnx
import onnxruntime

LANES = 16
TERMS = ("node us", "product ns", "weight ns", "in ns", "out ns", "tap ns")
LAYERS = {"QLinearConv", "QLinearMatMul", "MatMulIntegerToFloat", "QGemm", "Conv", "FusedConv", "MatMul", "Gemm", "FusedGemm"}
OTHERS = {"QuantizeLinear", "DequantizeLinear", "ReorderInput", "ReorderOutput", "Transpose", "Add", "QLinearAdd", "Concat", "QLinearConcat",
          "Sigmoid", "LeakyRelu", "Max", "GlobalAveragePool", "QLinearGlobalAveragePool"}


def size(shape):
    return int(np.prod(shape)) if shape else 1


def profile(path, feed, runs, folder):
    """Operator, median microseconds, shapes read and written, by name of the node."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.enable_profiling, options.profile_file_prefix = True, os.path.join(folder, "profile")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for _ in range(runs):
        session.run(None, feed)
    times, seen = collections.defaultdict(list), {}
    with open(session.end_profiling(), encoding="utf-8") as file:
        for event in json.load(file):
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                name, args = event["name"][:-len("_kernel_time")], event["args"]
                times[name].append(event["dur"])
                seen[name] = (args["op_name"], [next(iter(s.values())) for s in args["input_type_shape"]],
                              [next(iter(s.values())) for s in args["output_type_shape"]])
    return [(name, seen[name][0], float(np.median(t)), *seen[name][1:]) for name, t in times.items()]


def layers(path):
    """Weights, groups and orientation of the layers, by the node's name and by what float convolutions are called after."""
    graph = onnx.load(path).graph
    constants, made_by = {t.name: list(t.dims) for t in graph.initializer}, {o: n for n in graph.node for o in n.output}
    found = {}
    for node in graph.node:
        if node.op_type not in ("Conv", "MatMul", "Gemm"):
            continue
        name = node.input[1]
        if name in made_by and made_by[name].op_type == "DequantizeLinear":
            name = made_by[name].input[0]
        attributes = {a.name: a.i for a in node.attribute}
        if name in constants:
            found[node.name] = found[node.output[0] + "_nchwc"] = (node.op_type, constants[name], attributes.get("group", 1), attributes.get("transB", 0))
    return found


def terms(layer, read, written):
    op, weight, groups, transposed = layer
    if op == "Conv":
        channels, positions, taps = weight[0] // groups, written / weight[0], size(weight[2:])
        depthwise = groups > 1 and weight[1] == 1 and groups == weight[0]
        full = 1 if depthwise else -(-channels // LANES) * LANES / channels
        return ("depthwise" if depthwise else "conv"), [1e3, positions * size(weight) * full, size(weight), read, written,
                                                       positions * taps * (1 if depthwise else groups) if taps > 1 else 0]
    channels = weight[0] if transposed else weight[-1]
    full = -(-channels // LANES) * LANES / channels
    return "linear", [1e3, written / channels * size(weight) * full, size(weight), read, written, 0]


def fit(rows):
    """Least squares of the relative error; terms that would be negative are left out."""
    wanted = np.array([us * 1e3 for _, us in rows])
    scale = 1 / np.maximum(wanted, 5e3)
    matrix, used = np.array([t for t, _ in rows]) * scale[:, None], list(range(len(TERMS)))
    while True:
        found = np.linalg.lstsq(matrix[:, used], wanted * scale, rcond=None)[0]
        if (found >= 0).all():
            return dict(zip((TERMS[k] for k in used), found))
        used = [k for k, x in zip(used, found) if x >= 0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--corpus", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models"))
    parser.add_argument("--runs", type=int, default=12)
    args = parser.parse_args()
    kinds, elements = collections.defaultdict(list), collections.defaultdict(list)
    with open(os.path.join(args.corpus, "manifest.json"), encoding="utf-8") as file:
        names = [entry["name"] for entry in json.load(file)["models"]]
    for name in names:
        folder = os.path.join(args.corpus, name)
        source, data = os.path.join(folder, "model.onnx"), np.load(os.path.join(folder, "eval.npz"))
        with tempfile.TemporaryDirectory(prefix="qonnx-kernels-") as scratch:
            whole = os.path.join(scratch, "int8.onnx")
            subprocess.run([args.program, source, whole, "--calib", os.path.join(folder, "calib.npz"), "--samples", "4", "--min-sqnr", "0",
                            "-o", "node-sqnr=0", "-o", "only-faster=off"], check=True, capture_output=True)
            for form, path in (("float", source), ("int", whole)):
                known = layers(path)
                for node, op, us, read, written in profile(path, {k: data[k][0] for k in data.files}, args.runs, scratch):
                    layer = known.get(re.sub(r"_token_\d+$", "", node))
                    if op in LAYERS and layer and read and written and (form == "int") == op.startswith(("Q", "MatMulI")):
                        kind, row = terms(layer, size(read[0]), size(written[0]))
                        kinds[kind, form].append((row, us))
                    elif op in OTHERS:
                        elements[op].append((max(size(read[0]) if read else 0, size(written[0])), us))
    for (kind, form), rows in sorted(kinds.items()):
        print(f"{kind:10} {form:6} {len(rows):4} nodes  " + "  ".join(f"{term} {x:.4g}" for term, x in fit(rows).items()))
    for op, rows in sorted(elements.items()):
        large, small = [us * 1e3 / n for n, us in rows if n > 20000], [us for n, us in rows if n < 3000]
        print(f"{op:26} {len(rows):4} nodes  " + (f"{np.median(large):.3f} ns an element  " if large else "") +
              (f"{np.median(small):.1f} us when small" if small else ""))


if __name__ == "__main__":
    main()
