# SPDX-License-Identifier: Apache-2.0
"""test_selection.py PROGRAM CHARGPT: which weights become what, with presets for weights only: --include, --exclude and --override, on
a trained model whose weights are all of MatMul, but for one table."""
import os
import sys
import tempfile

import numpy as np
import onnx
import runs

NO_RUNTIME = {"QONNX_ORT": "/nonexistent", "PATH": "/nonexistent", "LD_LIBRARY_PATH": ""}
SAMPLES = 6


class Selection:
    def __init__(self, program, folder):
        self.program, self.source = runs.Program(program), os.path.join(folder, "model.onnx")
        with np.load(os.path.join(folder, "eval.npz")) as archive:
            self.data = {name: archive[name][:SAMPLES] for name in archive.files}
        reference = runs.session(self.source)
        self.names, self.wanted = [o.name for o in reference.get_outputs()], runs.run_samples(reference, self.data, SAMPLES)

    def make(self, path, *options):
        """The model as it was made, checked and run; dB; by node which bits, block size (None: no blocks); nodes excluded or not included."""
        self.program(self.source, path, *options, env=NO_RUNTIME)
        model, report = onnx.load(path), runs.sidecar(path)
        onnx.checker.check_model(model, full_check=True)
        forms = {t["node"]: (t["bit_width"], t.get("block_size")) for t in report["tensors"]}
        left = {row["name"] for row in report["nodes"] if row.get("reason") in ("excluded", "not_included") and row["op_type"] == "MatMul"}
        db = min(runs.compare(self.wanted, runs.session(path, runs.FULL), self.data, self.names).db().values())
        return model, db, {row["name"]: forms[row["index"]] for row in report["nodes"] if row["index"] in forms}, left


def weights(names, forms):
    return {name: forms[name] for name in forms if any(n in name for n in names)}


def check(selection, folder):
    path, other = (os.path.join(folder, name) for name in ("out.onnx", "other.onnx"))
    for preset, form in (("int8-weights", (8, None)), ("int4", (4, 32)), ("int2", (2, 16)), ("fp16", (16, None)), ("fp8", (8, None))):
        _, everything, forms, _ = selection.make(path, "--preset", preset)
        assert len(forms) - (preset == "fp16") == 9 and set(forms.values()) == {form}, forms # fp16 takes the table as well
        _, without, some, left = selection.make(path, "--preset", preset, "--exclude", "*qkv*")
        assert len(left) == 2 and len(some) == len(forms) - 2 and not weights(["qkv"], some), (left, some)
        assert without > everything - 0.5, f"{preset}: {without:.1f} dB with two layers in float, {everything:.1f} dB without"
        _, _, some, left = selection.make(path, "--preset", preset, "--include", "op:MatMul", "--exclude", "*qkv*", "--exclude", "onnx::MatMul_310")
        assert len(left) == 3 and len(some) == 6, (left, some)
        _, _, some, left = selection.make(path, "--preset", preset, "--include", "*qkv*")
        assert set(some) == {n for n in forms if "qkv" in n}, some

    # An override of everything is the preset itself.
    for base, preset in (("int4", "int8-weights"), ("int8-weights", "int4"), ("int2", "int4")):
        selection.program(selection.source, path, "--preset", base, "--format", "qoperator", "--override", f"*:preset={preset}", env=NO_RUNTIME)
        selection.program(selection.source, other, "--preset", preset, "--format", "qoperator", env=NO_RUNTIME)
        with open(path, "rb") as one, open(other, "rb") as two:
            assert one.read() == two.read(), f"{base} with preset={preset} for all is not {preset}"

    # All kinds beside each other, in both forms.
    mixed = ("--override", "*qkv*:weight-bits=8,block-size=64", "--override", "onnx::MatMul_310:preset=int8-weights", "--override", "/b/b.0/*:weight-symmetric=on",
             "--override", "e.weight:embeddings=int8", "--override", "onnx::MatMul_309:float")
    for style in ("qoperator", "qdq"):
        model, db, forms, left = selection.make(path, "--preset", "int4", "--format", style, *mixed)
        assert set(weights(["qkv"], forms).values()) == {(8, 64)} and len(left) == 1, (forms, left)
        assert sorted(set(forms.values()), key=str) == sorted({(8, 64), (8, None), (4, 32)}, key=str), forms
        assert db > 22, f"{style}: {db:.1f} dB"
        operators = {n.op_type for n in model.graph.node}
        assert ("MatMulNBits" in operators) == (style == "qoperator")
    _, fewer, _, _ = selection.make(path, "--preset", "int4", "--override", "/b/b.0/*:preset=int2")
    assert fewer < db, "2 bits keep more than 4"


def main():
    with tempfile.TemporaryDirectory(prefix="qonnx-selection-") as folder:
        check(Selection(sys.argv[1], sys.argv[2]), folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
