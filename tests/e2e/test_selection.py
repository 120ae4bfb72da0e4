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


def unpack(raw, bits, columns):
    raw = np.asarray(raw)
    return np.stack([raw >> s & (1 << bits) - 1 for s in range(0, 8, bits)], -1).reshape(len(raw), -1)[:, :columns].astype(np.float32)


def tables(selection, folder):
    """Tables in blocks: what GatherBlockQuantized reads is what its codes stand for, near the table, and the rest of the model is as without it."""
    path = os.path.join(folder, "out.onnx")
    source = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(selection.source).graph.initializer}["e.weight"]
    for preset, style, bits, symmetric, least in (("int4", "qoperator", 4, "off", 20), ("int4", "qdq", 4, "on", 19), ("int8-weights", "qdq", 8, "on", 44), ("int8-weights", "qdq", 4, "on", 18)):
        options = ("--preset", preset, "--target", "ort-x86", "--format", style, "-o", f"embeddings=int{bits}-blocks", "-o", f"weight-symmetric={symmetric}")
        model, with_table, forms, _ = selection.make(path, *options)
        node, = [n for n in model.graph.node if n.op_type == "GatherBlockQuantized"]
        made, attributes = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}, {a.name: a.i for a in node.attribute}
        assert node.domain == "com.microsoft" and attributes == {"bits": bits, "block_size": 32, "gather_axis": 0, "quantize_axis": 1}, attributes
        assert forms[node.name] == (bits, 32) and len(node.input) == (3 if symmetric == "on" else 4)
        blocks = source.shape[1] // 32
        zero = unpack(made[node.input[3]], bits, blocks) if symmetric == "off" else np.float32(1 << bits - 1)
        scale = np.repeat(made[node.input[2]], 32, 1)
        values = (unpack(made[node.input[0]], bits, source.shape[1]) - (np.repeat(zero, 32, 1) if symmetric == "off" else zero)) * scale
        db = runs.sqnr((source ** 2).sum(), ((values - source) ** 2).sum())
        told, = [t["sqnr_db"] for t in runs.sidecar(path)["tensors"] if t["name"] == "e.weight"]
        assert db > least and abs(db - told) < 0.02, f"{bits} bits keep {db:.2f} dB of the table, the sidecar says {told}"
        _, without, _, _ = selection.make(path, *options, "--override", "e.weight:embeddings=float")
        both = -10 * np.log10(10 ** (-without / 10) + 10 ** (-db / 10))
        assert with_table > both - 1, f"{with_table:.1f} dB with the table in {bits} bits, {without:.1f} dB without"
    error = selection.program(selection.source, path, "--preset", "int8-weights", "--target", "ort-x86", "-o", "embeddings=int4-blocks", "-o", "weight-range=octav", status=2, env=NO_RUNTIME).stderr
    assert "blocks take minmax, mse and hqq" in error, error


def main():
    with tempfile.TemporaryDirectory(prefix="qonnx-selection-") as folder:
        selection = Selection(sys.argv[1], sys.argv[2])
        check(selection, folder)
        tables(selection, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
