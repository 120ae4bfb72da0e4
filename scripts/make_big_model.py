#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a large single-file ONNX model for measuring: a chain of MatMuls whose float weights are initializers.

  make_big_model.py OUT.onnx [--megabytes 500] [--width 1024] [--seed 0]

The weights are random (normal, scaled so that activations stay near 1), so that neither the file system nor a compressor
makes them smaller than they are. Needs numpy and onnx.
"""
import argparse

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def build(megabytes, width, seed):
    random = np.random.default_rng(seed)
    layers = max(1, round(megabytes * 1e6 / (width * width * 4)))
    nodes, weights, value = [], [], "x"
    for layer in range(layers):
        weight = random.standard_normal((width, width), dtype=np.float32) / np.float32(np.sqrt(width))
        weights.append(numpy_helper.from_array(weight, f"w{layer}"))
        product = f"y{layer}"
        nodes.append(helper.make_node("MatMul", [value, f"w{layer}"], [product], name=f"matmul{layer}"))
        value = product
    graph = helper.make_graph(
        nodes, "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", width])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", width])],
        initializer=weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--megabytes", type=float, default=500)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    onnx.save(build(options.megabytes, options.width, options.seed), options.out)


if __name__ == "__main__":
    main()
