#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Can the sums of two products saturate in 16 bits, as x86 processors without VNNI add them?

    bench/saturation.py [--corpus DIR] [--program PATH] [--samples N] [--positions N] [--models NAME,…] [--safe WHEN]

Quantizes each model twice, with -o pair-safe=off and as asked for, and runs evaluation samples through the files in exact
arithmetic. For each Conv, MatMul and Gemm with 8-bit weights the sums are then formed again from the codes that the layer
really reads, once exactly and once in saturating pairs, in integers. Prints a Markdown table: layers, and of both files
the layers with a sum that differs, the share of sums, and the greatest difference, in 255ths of the largest result of the
layer. Exit status 1 when a sum of the second file differs, or none of the first in any model."""
import argparse
import json
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "tests", "e2e"))
import integers  # noqa: E402
import runs  # noqa: E402


class Layer:
    """Weights as [K, outputs] for each group, in the order in which kernels go through them."""

    def __init__(self, node, codes, weight):
        self.node, self.codes, self.attributes = node, codes, integers.attributes(node)
        w = weight.astype(np.int32)
        self.groups = self.attributes.get("group", 1) if node.op_type == "Conv" else 1
        self.depthwise = node.op_type == "Conv" and self.groups > 1 and w.shape[1] == 1
        if node.op_type == "Conv":
            self.kernel = list(w.shape[2:])
            w = np.moveaxis(w, 1, -1).reshape(self.groups, w.shape[0] // self.groups, -1).transpose(0, 2, 1)
        else:
            w = (w.T if self.attributes.get("transB") else w)[None]
        self.weights = w

    def rows(self, x, zero, limit):
        """[group][rows, K] of what stands in a row of products, at most `limit` rows, evenly spaced."""
        if self.node.op_type != "Conv":
            rows = x.reshape(-1, x.shape[-1])
            return [rows[::-(-len(rows) // limit)]]
        n, a = len(self.kernel), self.attributes
        strides, dilations = a.get("strides", [1] * n), a.get("dilations", [1] * n)
        pads = integers.pads_of(a, x, self.kernel, strides, dilations)
        view = integers.windows(x, self.kernel, strides, dilations, pads, zero)
        view = np.moveaxis(view, 1, -1)  # batch, places, taps, channels
        view = view.reshape((-1,) + view.shape[1 + n:])[:: -(-int(np.prod(view.shape[:1 + n])) // limit)]
        size = x.shape[1] // self.groups
        return [np.ascontiguousarray(view[..., g * size:(g + 1) * size]).reshape(len(view), -1) for g in range(self.groups)]


def differences(x, w):
    """Saturating sums minus exact ones where they differ: rows of codes x (unsigned), weights w [K, outputs]; and the largest
    exact sum. Only pairs that these rows can make saturate are formed."""
    if x.shape[1] % 2:
        x, w = np.pad(x, [(0, 0), (0, 1)]), np.pad(w, [(0, 1), (0, 0)])
    most = x.max(axis=0, initial=0).astype(np.int64)[:, None]
    up, down = most * np.maximum(w, 0), most * np.minimum(w, 0)
    suspects = (up[::2] + up[1::2] > 32767) | (down[::2] + down[1::2] < -32768)
    found = np.zeros((len(x), w.shape[1]), np.int64)
    for i in np.flatnonzero(suspects.any(axis=1)):
        columns = np.flatnonzero(suspects[i])
        sums = x[:, 2 * i, None].astype(np.int64) * w[2 * i, columns] + x[:, 2 * i + 1, None].astype(np.int64) * w[2 * i + 1, columns]
        found[:, columns] += np.clip(sums, -32768, 32767) - sums
    return found


def layers_of(model):
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    makers = {o: n for n in model.graph.node for o in n.output}

    def dequantized(name):
        node = makers.get(name)
        return node if node is not None and node.op_type == "DequantizeLinear" else None

    for node in model.graph.node:
        if node.op_type not in ("Conv", "MatMul", "Gemm"):
            continue
        x, w = dequantized(node.input[0]), dequantized(node.input[1])
        if x is None or w is None or w.input[0] not in constants or x.input[0] in constants:
            continue
        if constants[w.input[0]].dtype != np.int8 or constants[x.input[2]].dtype not in (np.uint8, np.int8):
            continue
        yield Layer(node, x.input[0], constants[w.input[0]]), int(constants[x.input[2]])


def inspect(path, data, samples, positions):
    """(layers, layers that differ, share of sums, greatest difference)"""
    model = onnx.load(path)
    layers = [(layer, zero) for layer, zero in layers_of(model)]
    known = {o.name for o in model.graph.output}
    for name in {layer.codes for layer, _ in layers} - known:
        model.graph.output.append(helper.make_empty_tensor_value_info(name))
    with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
        watched = os.path.join(scratch, "watched.onnx")
        onnx.save(model, watched)
        session = runs.session(watched)
        names = [o.name for o in session.get_outputs()]
        different, sums, worst, bad = 0, 0, 0.0, set()
        for i in range(samples):
            values = dict(zip(names, session.run(None, runs.feed_of(session, data, i))))
            for layer, zero in layers:
                if layer.depthwise:
                    continue
                codes = values[layer.codes]
                shift = 128 if codes.dtype == np.int8 else 0  # kernels make signed inputs unsigned
                codes = (codes.astype(np.int16) + shift).astype(np.uint8)
                for x, w in zip(layer.rows(codes, zero + shift, positions), layer.weights):
                    found = differences(x, w)
                    sums += found.size
                    if not found.any():
                        continue
                    exact = (x.astype(np.float64) - zero - shift) @ w.astype(np.float64)
                    different += np.count_nonzero(found)
                    worst = max(worst, np.abs(found).max() / max(np.abs(exact).max(), 1) * 255)
                    bad.add(layer.node.output[0])
    return len(layers), len(bad), different / max(sums, 1), worst


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.join(HERE, "..")
    parser.add_argument("--corpus", default=os.path.join(root, "models"))
    parser.add_argument("--program", default=os.path.join(root, "build", "release", "qonnx-quantize"))
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--positions", type=int, default=2048, help="rows of products of a layer and sample")
    parser.add_argument("--models", default="", help="names, separated by commas; all otherwise")
    parser.add_argument("--safe", default="auto", help="what the second file is made with")
    parser.add_argument("-o", action="append", default=[], metavar="KEY=VALUE", help="further options for both files")
    settings = parser.parse_args()
    with open(os.path.join(settings.corpus, "manifest.json"), encoding="utf-8") as file:
        names = [e["name"] for e in json.load(file)["models"] if not settings.models or e["name"] in settings.models.split(",")]
    print("| model | layers | full range: layers off | of sums | at most | safe: layers off | of sums | at most |\n" + "| --- " * 8 + "|", flush=True)
    program, failed, saturated = runs.Program(settings.program), False, False
    for name in names:
        folder, row = os.path.join(settings.corpus, name), []
        data = np.load(os.path.join(folder, "eval.npz"))
        data = {key: data[key] for key in data.files}
        samples = min(settings.samples, len(next(iter(data.values()))))
        for when in ("off", settings.safe):
            with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
                out = os.path.join(scratch, "q.onnx")
                options = [word for option in settings.o + [f"pair-safe={when}"] for word in ("-o", option)]
                program(os.path.join(folder, "model.onnx"), out, "--calib", os.path.join(folder, "calib.npz"), *options)
                layers, bad, share, worst = inspect(out, data, samples, settings.positions)
            row.append((layers, bad, share, worst))
        failed |= row[1][1] > 0
        saturated |= row[0][1] > 0
        print(f"| {name} | {row[0][0]} | {row[0][1]} | {row[0][2]:.3%} | {row[0][3]:.1f} | {row[1][1]} | {row[1][2]:.4%} | {row[1][3]:.2f} |", flush=True)
    return 1 if failed or not saturated else 0


if __name__ == "__main__":
    sys.exit(main())
