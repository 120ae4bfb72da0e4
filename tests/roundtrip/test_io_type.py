# SPDX-License-Identifier: Apache-2.0
"""test_io_type.py PROGRAM MODEL: integers at the ends of a model say the same as the floats they stand for, to the last
bit, with the scales and zero points of the sidecar; and what cannot be so is told."""
import json
import os
import sys
import tempfile

import numpy as np
import onnx
from trips import runs

RECIPE = {"version": 1, "rules": [{"op": "Gemm", "output": "Int8ActPerTensorFloat"}]}
TYPES = {"uint8": onnx.TensorProto.UINT8, "int8": onnx.TensorProto.INT8, "float": onnx.TensorProto.FLOAT}


def port_types(path):
    graph = onnx.load(path).graph
    names = {v: k for k, v in TYPES.items()}
    return [names[v.type.tensor_type.elem_type] for v in [*graph.input, *graph.output]]


def tensors(path):
    return {t["name"]: t for t in runs.sidecar(path)["tensors"] if t["role"] == "activation"}


def to_codes(x, t, kind):
    info = np.iinfo(kind)
    return np.clip(np.rint(x / np.float32(t["y_scale"])) + t["y_zero_point"], info.min, info.max).astype(kind)


def to_values(codes, t):
    return (codes.astype(np.float32) - np.float32(t["y_zero_point"])) * np.float32(t["y_scale"])


class Ends:
    def __init__(self, program, model, folder):
        self.program, self.model, self.folder = program, model, folder
        self.data = dict(np.load(os.path.join(model, "eval.npz")))
        self.recipe = self.path("recipe.json")
        with open(self.recipe, "w", encoding="utf-8") as file:
            json.dump(RECIPE, file)

    def path(self, name):
        return os.path.join(self.folder, name)

    def quantize(self, name, *options, **settings):
        target = self.path(name)
        # where the first layer stayed in float, the input would too
        return target, self.program(os.path.join(self.model, "model.onnx"), target, "--calib", os.path.join(self.model, "calib.npz"), "-o", "only-faster=off",
                                    "--quiet", *options, **settings)

    def check(self, floats, integers, ports, kind):
        """The two files give the same on real samples."""
        assert port_types(integers) == ports, port_types(integers)
        onnx.checker.check_model(integers, full_check=True)
        known, a, b = tensors(integers), runs.session(floats), runs.session(integers)
        [given], [made] = a.get_inputs(), a.get_outputs()
        for i in range(4):
            x = self.data[given.name][i]
            [wanted] = a.run(None, {given.name: x})
            [found] = b.run(None, {given.name: to_codes(x, known[given.name], kind)})
            if ports[1] != "float":
                found = to_values(found, known[made.name])
            assert wanted.tobytes() == found.tobytes(), f"{integers}: other results"

    def run(self):
        brevitas = ("--preset", "brevitas-int8", "--config", self.recipe)
        for form in ("qdq", "qcdq", "qoperator"):
            floats, _ = self.quantize(f"{form}.onnx", *brevitas, "--format", form)
            integers, _ = self.quantize(f"{form}.int8.onnx", *brevitas, "--format", form, "--io-type", "int8")
            self.check(floats, integers, ["int8", "int8"], np.int8)
            converted = self.path(f"{form}.converted.onnx")
            self.program("convert", floats, converted, "--format", form, "--io-type", "int8")
            self.check(floats, converted, ["int8", "int8"], np.int8)
            kept = self.path(f"{form}.kept.onnx")
            self.program("convert", integers, kept, "--format", "qdq")
            assert port_types(kept) == ["int8", "int8"]
        same, _ = self.quantize("same.onnx", *brevitas, "--format", "qdq", "--io-type", "float")
        with open(same, "rb") as one, open(self.path("qdq.onnx"), "rb") as two:
            assert one.read() == two.read(), "--io-type float changes the file"
        floats, _ = self.quantize("plain.onnx")
        integers, done = self.quantize("plain.uint8.onnx", "--io-type", "uint8")
        self.check(floats, integers, ["uint8", "float"], np.uint8)
        assert "output 'logits' stays float: it is not quantized" in done.stderr, done.stderr
        _, done = self.quantize("refused.onnx", "--io-type", "int8", status=2)
        assert "--io-type int8: 'input' is quantized as uint8 (see -o act-type)" in done.stderr, done.stderr
        _, done = self.quantize("refused.onnx", "--io-type", "int8", "--format", "qonnx", status=2)
        assert "--io-type int8: the format 'qonnx' has no integers" in done.stderr, done.stderr
        assert not os.path.exists(self.path("refused.onnx"))


def main():
    with tempfile.TemporaryDirectory(prefix="qonnx-io-") as folder:
        Ends(runs.Program(sys.argv[1]), sys.argv[2], folder).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
