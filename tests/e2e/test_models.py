# SPDX-License-Identifier: Apache-2.0
"""test_models.py PROGRAM FOLDER: the model in the folder, with its own samples: from float file to integer kernels."""
import json
import os
import sys
import tempfile

import does
import numpy as np
import onnx
import runs
from test_zoo import same_ports

# What each model must at least keep, in dB of its output in exact arithmetic, and how many layers compute on integers; the
# others would be slower.
WANTED = {"mnist_resnet": (31.0, 7), "chargpt": (36.0, 9)}
LOST_POINTS = 0.5  # of labelled top-1
SAME_BYTES = ([], ["--threads", "1"], ["--threads", "4"], ["--no-mmap"])


def top1(labels, outputs):
    found = np.array([y.argmax(axis=-1).squeeze() for y in outputs])
    return 100.0 * (found == labels.reshape(found.shape)).mean()


def convert(program, folder, path, options=()):
    program(os.path.join(folder, "model.onnx"), path, "--calib", os.path.join(folder, "calib.npz"), *options)
    with open(path, "rb") as model, open(runs.sidecar_path(path), "rb") as report:
        return model.read(), report.read()


def check_bytes(program, folder, path, scratch):
    wanted = convert(program, folder, path)
    for options in SAME_BYTES:
        model, report = convert(program, folder, os.path.join(scratch, "again.onnx"), options)
        assert model == wanted[0], f"other bytes with {options}"
        # options that change nothing are not options of the result
        assert report == wanted[1], f"another sidecar with {options}"


def check_accuracy(folder, path, least):
    source, data = os.path.join(folder, "model.onnx"), np.load(os.path.join(folder, "eval.npz"))
    data = {name: data[name] for name in data.files}
    labels = np.load(os.path.join(folder, "labels.npy"))
    reference = runs.session(source)
    names = [o.name for o in reference.get_outputs()]
    wanted = runs.run_samples(reference, data, len(labels))
    before = top1(labels, [w[0] for w in wanted])
    for level in (runs.EXACT, runs.FULL):
        unsaturated = level == runs.FULL  # what saturation costs depends on the CPU
        found = runs.run_samples(runs.session(path, level, unsaturated=unsaturated), data, len(labels))
        compared = runs.Comparison(names)
        for x, y in zip(wanted, found):
            compared.add(x, y)
        after, db = top1(labels, [f[0] for f in found]), min(compared.db().values())
        print(f"  {level.name}: {db:.1f} dB, top-1 {before:.2f} -> {after:.2f} of {len(labels)} samples")
        assert not compared.nonfinite, "outputs are not finite"
        assert db >= least, f"{db:.1f} dB, {least} wanted"
        assert after >= before - LOST_POINTS, f"top-1 fell from {before:.2f} to {after:.2f}"


def main():
    program, folder = runs.Program(sys.argv[1]), os.path.normpath(sys.argv[2])
    least, layers = WANTED[os.path.basename(folder)]
    with tempfile.TemporaryDirectory(prefix="qonnx-models-") as scratch:
        path = os.path.join(scratch, "out.onnx")
        check_bytes(program, folder, path, scratch)
        onnx.checker.check_model(path, full_check=True)
        same_ports(onnx.load(os.path.join(folder, "model.onnx")), onnx.load(path))
        report = runs.sidecar(path)
        slower = [row["name"] for row in report["nodes"] if row.get("reason") == "slower_on_target" and row["op_type"] in ("Conv", "Gemm", "MatMul")]
        assert report["model"]["layers_quantized"] == layers == report["model"]["layers"] - len(slower), json.dumps(report["model"])
        assert report["calibration"]["ranges"] == "data" and not report["warnings"], report["warnings"]
        wrong, kernels = does.check(path)
        print(f"  {dict(kernels)}")
        assert not wrong, "; ".join(wrong)
        check_accuracy(folder, path, least)


if __name__ == "__main__":
    main()
