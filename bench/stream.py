#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Quantizing the weights of large models beside copying them: `cp --reflink=never A B && sync B`, data files included.

  bench/stream.py PROGRAM [--runs 5] [--folder DIR] [--presets int8-weights,int4] [--limit 0.8] [--memory 96] [--scale 1]

PROGRAM is qonnx-quantize. Two models of MatMuls are made (numpy and onnx): one file of 537 MB, and 2.7 GB with external data;
--scale 0.1 makes both smaller. All commands take turns on a warm cache, with nothing left to be written before each, so that a busy
machine or disk disturbs them alike. Figures are medians; memory is the greatest peak, less that of the copy. Ends with status 1
when a ratio of wall times or the memory is above its limit.
"""
import argparse
import os
import statistics
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

from measure import process

SIDE = 4096


def make(path, layers, external):
    rng = np.random.default_rng(layers)
    inputs, nodes, weights = "x", [], []
    for i in range(layers):
        weight = rng.standard_normal((SIDE, SIDE), dtype=np.float32) / np.float32(64)
        weights.append(TensorProto(name=f"w{i}", data_type=1, dims=weight.shape, raw_data=weight.tobytes()))
        nodes += [helper.make_node("MatMul", [inputs, f"w{i}"], [f"m{i}"], f"layer{i}"), helper.make_node("Relu", [f"m{i}"], [f"r{i}"])]
        inputs = f"r{i}"
    graph = helper.make_graph(nodes, "large", [helper.make_tensor_value_info("x", 1, ["n", SIDE])],
                              [helper.make_tensor_value_info(inputs, 1, ["n", SIDE])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.save(model, path, save_as_external_data=external, location=os.path.basename(path) + ".data")
    return [path] + ([path + ".data"] if external else [])


def commands(program, presets, files, folder):
    copies = [os.path.join(folder, f"copy{i}") for i in range(len(files))]
    script = " && ".join(f"cp --reflink=never '{a}' '{b}' && sync '{b}'" for a, b in zip(files, copies))
    yield "cp + sync", ["sh", "-c", script], copies
    for preset in presets:
        out = os.path.join(folder, "out.onnx")
        yield preset, [program, files[0], out, "--preset", preset, "--quiet", "--sidecar", "none"], [out, out + ".data"]


def measure(program, presets, files, folder, runs):
    costs, sizes = {}, {}
    for _ in range(runs):
        for name, command, outputs in commands(program, presets, files, folder):
            for file in outputs:
                if os.path.exists(file):
                    os.remove(file)
            os.sync()
            cost = process(command)
            if cost.status:
                sys.exit(f"{name}: status {cost.status}: {cost.stderr}")
            costs.setdefault(name, []).append(cost)
            sizes[name] = sum(os.path.getsize(f) for f in outputs if os.path.exists(f)) / 1e6
    return costs, sizes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=os.path.abspath)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--folder", help="where the files lie; a temporary folder otherwise")
    parser.add_argument("--presets", default="int8-weights,int4")
    parser.add_argument("--limit", type=float, default=0.8)
    parser.add_argument("--memory", type=float, default=96)
    parser.add_argument("--scale", type=float, default=1)
    args = parser.parse_args()
    failed = False
    print("| model | command | wall s | of cp | CPU s | peak MB | MB written |\n|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="qonnx-stream-", dir=args.folder) as folder:
        for layers, external in ((8, False), (40, True)):
            files = make(os.path.join(folder, "in.onnx"), max(1, round(layers * args.scale)), external)
            costs, sizes = measure(args.program, args.presets.split(","), files, folder, args.runs)
            label = f"{sum(map(os.path.getsize, files)) / 1e6:.0f} MB, {'external data' if external else 'one file'}"
            copy = statistics.median(c.wall for c in costs["cp + sync"])
            least = max(c.memory for c in costs["cp + sync"])
            for name, list_ in costs.items():
                wall, memory = statistics.median(c.wall for c in list_), max(c.memory for c in list_)
                print(f"| {label} | {name} | {wall:.2f} | {wall / copy:.2f} | {statistics.median(c.cpu for c in list_):.2f} "
                      f"| {memory:.0f} | {sizes[name]:.0f} |", flush=True)
                failed |= name != "cp + sync" and (wall / copy > args.limit or memory - least > args.memory)
    sys.exit(failed)


if __name__ == "__main__":
    main()
