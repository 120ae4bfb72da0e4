# SPDX-License-Identifier: Apache-2.0
"""test_brevitas.py PROGRAM: Brevitas' files of every format (the golden exports) to every format.

The same format has the same operators with the same attributes; QDQ and QCDQ compute the same to the last bit; the float
form has no quantizer left and runs."""
import collections
import os
import sys
import tempfile
import zipfile

import numpy as np
import onnx
import trips
from onnx import helper
from trips import runs

EXPORTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "golden", "exports", "cases.zip")

# Not valid ONNX (a scale of rank 4), or without a kernel in ONNX Runtime (uint8 in, int8 out): there QCDQ is the judge.
REFUSED = {("t2_relu_per_channel", "qop")}
NO_KERNEL = {("conv2d_u8in", "qop"), ("net_qop_chain", "qop")}


def operators(path):
    return [(n.op_type, sorted((a.name, str(helper.get_attribute_value(a))) for a in n.attribute)) for n in onnx.load(path).graph.node
            if n.op_type != "Constant"]


def check(program, folder, case, kind, x):
    path = os.path.join(folder, case, f"{kind}.onnx")
    judge = path
    if kind == "qonnx" or (case, kind) in NO_KERNEL:
        judge = os.path.join(folder, case, "qcdq.onnx")
    wanted = trips.outputs(judge, {"x": [x]}, 1)
    for to in trips.FORMATS:
        target = os.path.join(folder, f"{to}.onnx")
        program("convert", path, target, "--format", to, "--sidecar", "none")
        onnx.checker.check_model(onnx.load(target))
        if to in ("qdq", "qcdq") or (to == "qoperator" and kind == "qop"):
            if not (to == "qoperator" and (case, kind) in NO_KERNEL):
                assert trips.same_bytes(wanted, trips.outputs(target, {"x": [x]}, 1)), f"{to}: outputs differ"
        if to == kind:
            assert operators(target) == operators(path), f"{to}: other operators"
        if to == "float":
            left = [n.op_type for n in onnx.load(target).graph.node if "uant" in n.op_type or n.op_type.startswith("QL")]
            assert not left, f"float: {left}"
            trips.outputs(target, {"x": [x]}, 1)


def main():
    program, failed, done = runs.Program(sys.argv[1]), 0, collections.Counter()
    with zipfile.ZipFile(EXPORTS) as cases, tempfile.TemporaryDirectory(prefix="qonnx-brevitas-") as folder:
        cases.extractall(folder)
        for name in cases.namelist():
            case, kind = name.removesuffix(".onnx").split("/")
            if not kind.startswith("q"):
                continue
            x = np.load(os.path.join(folder, case, "x2.npy" if f"{case}/x2.npy" in cases.namelist() else "x.npy"))
            try:
                if (case, kind) in REFUSED:
                    text = program("convert", os.path.join(folder, name), os.path.join(folder, "none.onnx"), status=1).stderr
                    assert "differ in shape" in text, text
                else:
                    check(program, folder, case, kind, x)
                done[kind] += 1
            except Exception as error:  # noqa: BLE001
                failed += 1
                print(f"FAILED {name}: {type(error).__name__}: {str(error)[:600]}", flush=True)
    print(f"{dict(done)} files taken to {len(trips.FORMATS)} formats, {failed} failed")
    return 1 if failed or sum(done.values()) < 200 else 0


if __name__ == "__main__":
    sys.exit(main())
