#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Other tools' files of ranges: test_ranges.py PROGRAM FOLDER SCHEMA, the folder with a model and its samples (mnist_resnet)."""
import json
import os
import struct
import sys
import unittest

import jsonschema
import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from program_case import ProgramCase

PROGRAM, FOLDER, SCHEMA = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1)
MODEL, CALIB = os.path.join(FOLDER, "model.onnx"), os.path.join(FOLDER, "calib.npz")
EXACT = ["ort-cache", "aimet-0.6.1", "aimet-1.0.0", "aimet-2.0.0"]
LINES = ["trt-cache", "ncnn-table"]
ALL = ["-o", "only-faster=off", "--min-sqnr", "0", "-o", "node-sqnr=0"]


class Samples(CalibrationDataReader):
    def __init__(self):
        with np.load(CALIB) as file:
            name, values = next(iter(file.items()))
        self.left = iter([{name: value} for value in values])

    def get_next(self):
        return next(self.left, None)


def codes_of(path):
    """Scale and zero point of each activation that has a QuantizeLinear."""
    graph = onnx.load(path).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return {node.input[0]: (float(constants[node.input[1]]), int(constants[node.input[2]]))
            for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] not in constants}


class Ranges(ProgramCase):
    program = PROGRAM

    def sidecar(self, name):
        sidecar = json.loads(self.read(name))
        with open(SCHEMA, encoding="utf-8") as file:
            jsonschema.validate(sidecar, json.load(file))
        return sidecar

    def test_what_is_written_makes_the_same_model_when_read(self):
        for target, kinds in (("generic", EXACT), ("tensorrt", EXACT + LINES)):
            options = ["--target", target, "--calib", CALIB, "--samples", "24"]
            self.run_program(MODEL, "a.onnx", *options, *(word for kind in EXACT + LINES for word in ("--encodings", f"{kind}={kind}")))
            for kind in kinds:
                self.run_program(MODEL, "b.onnx", *options, "--ranges", f"{kind}={kind}")
                self.assertEqual(self.read("b.onnx"), self.read("a.onnx"), f"{target} {kind}")
                sidecar = self.sidecar("b.quant.json")
                self.assertEqual(sidecar["ranges"]["kind"], kind)
                self.assertTrue(any(t.get("observer") == "imported" for t in sidecar["tensors"]))
                self.assertNotIn("ranges", sidecar["options"])

    def test_the_ranges_are_those_that_onnxruntime_found(self):
        for method in (CalibrationMethod.MinMax, CalibrationMethod.Percentile):
            cache = self.folder / f"{method.name}.json"
            quantize_static(MODEL, self.folder / "theirs.onnx", Samples(), quant_format=QuantFormat.QDQ, calibrate_method=method, calibration_cache_path=cache,
                            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True)
            self.run_program(MODEL, "ours.onnx", "--ranges", f"ort-cache={cache}", *ALL)
            theirs, ours = codes_of(self.folder / "theirs.onnx"), codes_of(self.folder / "ours.onnx")
            self.assertGreaterEqual(len(ours), 15)
            for name, (scale, zero_point) in ours.items():
                self.assertAlmostEqual(scale / theirs[name][0], 1, delta=1e-6)
                self.assertAlmostEqual(zero_point, theirs[name][1], delta=1)  # ties of a zero point
            self.assertIsNone(self.sidecar("ours.quant.json")["calibration"])

    def test_onnxruntime_takes_what_is_written(self):
        self.run_program("calibrate", MODEL, "stats", "--calib", CALIB, "--encodings", "ort-cache=cache.json")
        self.run_program(MODEL, "ours.onnx", "--ranges", "ort-cache=cache.json", *ALL)
        quantize_static(MODEL, self.folder / "theirs.onnx", None, quant_format=QuantFormat.QDQ, calibration_cache_path=self.folder / "cache.json",
                        activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True)
        theirs, ours = codes_of(self.folder / "theirs.onnx"), codes_of(self.folder / "ours.onnx")
        self.assertGreaterEqual(len(set(theirs) & set(ours)), 14)
        for name in set(theirs) & set(ours):
            self.assertAlmostEqual(theirs[name][0] / ours[name][0], 1, delta=1e-6)

    def test_what_is_written_is_what_the_sidecar_says(self):
        self.run_program(MODEL, "a.onnx", "--calib", CALIB, "--target", "tensorrt", *(word for kind in EXACT + LINES for word in ("--encodings", f"{kind}={kind}")))
        tensors = {t["name"]: t for t in self.sidecar("a.quant.json")["tensors"]}
        acts = {name: t for name, t in tensors.items() if t["role"] == "activation"}
        linear = {e["name"]: e for e in json.loads(self.read("aimet-2.0.0"))["encodings"]}
        self.assertEqual({n: (t["y_scale"], t["y_zero_point"], t["output_dtype"]) for n, t in tensors.items()},
                         {n: (e["y_scale"], e["y_zero_point"], e["output_dtype"]) for n, e in linear.items()})
        named = json.loads(self.read("aimet-0.6.1"))
        self.assertEqual(set(named["activation_encodings"]), set(acts))
        for name, channels in (named["activation_encodings"] | named["param_encodings"]).items():
            scales = np.atleast_1d(tensors[name]["y_scale"])
            self.assertEqual([c["scale"] for c in channels], list(scales))
            for c in channels:
                self.assertEqual(c["is_symmetric"], "True")
                self.assertEqual(c["offset"], -(1 << (c["bitwidth"] - 1)))
                self.assertAlmostEqual(c["min"] / (c["scale"] * c["offset"]), 1, delta=1e-6)
        listed = json.loads(self.read("aimet-1.0.0"))
        self.assertEqual({e["name"]: e["scale"] for e in listed["activation_encodings"]}, {n: [t["y_scale"]] for n, t in acts.items()})
        lines = self.read("trt-cache").decode().splitlines()
        self.assertEqual({line[:-10]: struct.unpack("!f", bytes.fromhex(line[-8:]))[0] for line in lines[1:]},
                         {n: float(np.float32(t["y_scale"])) for n, t in acts.items()})

    def test_what_a_format_has_no_place_for_is_said(self):
        said = self.run_program(MODEL, "a.onnx", "--calib", CALIB, "--encodings", "trt-cache=t", "--encodings", "ncnn-table=n")
        self.assertIn("--encodings trt-cache: it holds a scale for each activation only: weights, which have one for each channel", said)
        self.assertIn("--encodings trt-cache: 11 activations are not int8 around zero", said)
        self.assertIn("--encodings ncnn-table: it holds scales of what layers multiply only", said)
        self.assertTrue(any("trt-cache" in text for text in self.sidecar("a.quant.json")["warnings"]))

    def test_what_the_file_or_the_model_lacks_is_told(self):
        self.run_program(MODEL, "a.onnx", "--calib", CALIB, "--encodings", "aimet-0.6.1=e", *ALL)
        encodings = json.loads(self.read("e"))
        gone = "input"
        values = encodings["activation_encodings"].pop(gone)
        encodings["activation_encodings"]["nobody"] = values
        (self.folder / "e").write_text(json.dumps(encodings))
        said = self.run_program(MODEL, "b.onnx", "--ranges", "aimet-0.6.1=e", *ALL, status=5)
        self.assertEqual(said.count("\n"), 1, said)
        self.assertIn(f"e: it has no range for '{gone}'; add --calib", said)
        said = self.run_program(MODEL, "b.onnx", "--ranges", "aimet-0.6.1=e", "--calib", CALIB, *ALL)
        self.assertIn(f"no range for '{gone}', which is observed instead", said)
        self.assertIn("e: the model has no tensor of the name 'nobody'", said)
        self.assertIn("constants is not used", said)
        self.run_program("calibrate", MODEL, "stats", "--calib", CALIB, "-o", "only-faster=off")
        self.run_program(MODEL, "c.onnx", "--ranges", "aimet-0.6.1=e", "--stats", "stats", *ALL)
        encodings["activation_encodings"][gone] = values * 2
        (self.folder / "e").write_text(json.dumps(encodings))
        said = self.run_program(MODEL, "d.onnx", "--ranges", "aimet-0.6.1=e", *ALL, status=5)
        self.assertIn(f"'{gone}' has something for each channel", said)

    def test_what_does_not_fit_is_refused_in_a_line(self):
        self.run_program(MODEL, "a.onnx", "--calib", CALIB, "--samples", "4", "--encodings", "trt-cache=t")
        before = sorted(os.listdir(self.folder))
        for words, status, text in (
                (["--ranges", "ort-cache=t"], 1, "t: line 1: "),
                (["--ranges", "trt-cache=none"], 1, "none: cannot open"),
                (["--ranges", "trt=t"], 2, "is not KIND=PATH; kinds are ort-cache, "),
                (["--encodings", "trt-cache"], 2, "is not KIND=PATH"),
                (["--ranges", "trt-cache=t", "--encodings", "trt-cache=./t"], 2, "holds the ranges"),
                (["--encodings", f"trt-cache={MODEL}"], 2, "is the model"),
                (["--encodings", "trt-cache=x", "--encodings", "ort-cache=./x"], 2, "another result"),
                (["--ranges", "trt-cache=t", "--preset", "int8-weights"], 2, "there are no ranges of activations"),
                (["--encodings", "trt-cache=x", "--preset", "copy"], 2, "preset copy chooses none")):
            said = self.run_program(MODEL, "b.onnx", *words, status=status)
            self.assertEqual(said.count("\n"), 1, said)
            self.assertIn(text, said)
            self.assertEqual(sorted(os.listdir(self.folder)), before)
        self.run_program(MODEL, "t", "--ranges", "trt-cache=t", status=2)
        said = self.run_program("calibrate", MODEL, "s", "--calib", CALIB, "--shard", "1/2", "--encodings", "trt-cache=x", status=2)
        self.assertIn("a shard does not see all samples", said)


if __name__ == "__main__":
    unittest.main()
