#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Models with data in files of their own, written and read: test_files.py PROGRAM. ONNX Runtime and onnx's own checker judge."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

PROGRAM = sys.argv.pop(1)
SIZE, LAYERS = 1100, 3  # codes of more than a MiB a layer: they are made as they are written


def model(external):
    rng = np.random.default_rng(5)
    nodes, weights = [], []
    for i in range(LAYERS):
        weight = rng.standard_normal((SIZE, SIZE), dtype=np.float32) / np.float32(33)
        weights.append(TensorProto(name=f"w{i}", data_type=1, dims=weight.shape, raw_data=weight.tobytes()))
        nodes.append(helper.make_node("MatMul", [f"x{i}", f"w{i}"], [f"x{i + 1}"]))
    graph = helper.make_graph(nodes, "files", [helper.make_tensor_value_info("x0", 1, ["n", SIZE])],
                              [helper.make_tensor_value_info(f"x{LAYERS}", 1, ["n", SIZE])], weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    if external:
        onnx.save(made, "in.onnx", save_as_external_data=True, location="weights.bin")
    else:
        onnx.save(made, "in.onnx")


def outputs(path):
    x = np.random.default_rng(6).standard_normal((2, SIZE), dtype=np.float32)
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x0": x})[0]


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="qonnx-test-")
        self.addCleanup(self.folder.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder.name)

    def convert(self, *options, out="out.onnx", preset="brevitas-w8"):
        subprocess.run([PROGRAM, "in.onnx", out, "--preset", preset, *options], check=True, capture_output=True)
        onnx.checker.check_model(out)
        with open(out.removesuffix(".onnx") + ".quant.json", encoding="utf-8") as file:
            return json.load(file)["output"]

    def test_where_the_data_lie_does_not_matter(self):
        for external in (False, True):
            model(external)
            self.convert(out="inline.onnx")
            wanted = outputs("inline.onnx")
            said = self.convert("--external-data", "always")
            self.assertEqual([f["name"] for f in said["data"]], ["out.onnx.data"])
            np.testing.assert_array_equal(outputs("out.onnx"), wanted)
            said = self.convert("--external-data", "always", "--shard-size", "2")
            self.assertEqual([f["name"] for f in said["data"]], [f"out.onnx.data-{i + 1:05}-of-{LAYERS:05}" for i in range(LAYERS)])
            for file in said["data"]:
                self.assertEqual(os.path.getsize(file["name"]), file["bytes"])
            np.testing.assert_array_equal(outputs("out.onnx"), wanted)

    def test_a_copy_has_the_same_outputs(self):
        for external in (False, True):
            model(external)
            self.convert("--external-data", "always", preset="copy")
            np.testing.assert_array_equal(outputs("out.onnx"), outputs("in.onnx"))

    def test_a_model_can_replace_itself_and_its_data(self):
        model(True)
        before = outputs("in.onnx")
        self.convert("--external-data", "always", out="in.onnx", preset="copy")
        os.remove("weights.bin")
        np.testing.assert_array_equal(outputs("in.onnx"), before)


if __name__ == "__main__":
    unittest.main()
