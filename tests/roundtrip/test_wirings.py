# SPDX-License-Identifier: Apache-2.0
"""test_wirings.py PROGRAM [NAME…]: every model of wirings.py to every format. QDQ and QCDQ compute the same to the last
bit; nothing crashes; what a model's facts promise holds."""
import os
import sys
import tempfile

import numpy as np
import onnx
import trips
from onnx import TensorProto as T
from trips import runs
from wirings import WIRINGS

FAILURES = (1, 2)  # statuses of an error that is told


def operators(path):
    return " ".join(n.op_type for n in onnx.load(path).graph.node)


def feeds(model):
    random, data = np.random.default_rng(1), {}
    for port in model.graph.input:
        shape, kind = [d.dim_value for d in port.type.tensor_type.shape.dim], port.type.tensor_type.elem_type
        data[port.name] = [(random.normal(size=shape) * 3).astype(np.float32) if kind == T.FLOAT
                           else random.integers(0, 2 if kind == T.BOOL else 5, shape).astype(onnx.helper.tensor_dtype_to_np_dtype(kind))]
    return data


def reference(path, data):
    """None when ONNX Runtime does not take the model itself."""
    try:
        return trips.outputs(path, data, 1)
    except Exception:  # noqa: BLE001
        return None


def check(program, folder, model, facts):
    path, data = os.path.join(folder, "in.onnx"), feeds(model)
    onnx.save(model, path)
    wanted = reference(path, data) if facts.get("runs", True) else None
    environment = {} if facts.get("runs", True) else {"QONNX_ORT": "/nowhere"}
    for kind in trips.FORMATS:
        target = os.path.join(folder, f"{kind}.onnx")
        done = program("convert", path, target, "--format", kind, "--sidecar", "none", status=None, env=environment)
        assert done.returncode in (0, *FAILURES), f"{kind}: status {done.returncode}: {done.stderr[-500:]}"
        if kind == "qdq":
            assert facts.get("fails", "") in done.stderr and ("fails" in facts) == (done.returncode != 0), f"status {done.returncode}: {done.stderr[-500:]}"
            assert facts.get("says", "") in done.stderr, f"not said: {done.stderr[-500:]}"
        if done.returncode:
            assert "error: " in done.stderr and not os.path.exists(target), f"{kind}: {done.stderr[-500:]}"
            continue
        if kind in facts:
            assert operators(target) == facts[kind], f"{kind}: {operators(target)}"
        if kind in ("qdq", "qcdq") and wanted is not None:
            found = trips.outputs(target, data, 1)
            steps = 0.2001 if any(n.op_type.startswith("QLinear") or n.op_type == "MatMulInteger" for n in model.graph.node) else 0
            assert trips.same_bytes(wanted, found) or steps and all(np.abs(a.astype(float) - b.astype(float)).max() <= (steps if a.dtype.kind == "f" else 1)
                                                                    for a, b in zip(wanted[0], found[0])), f"{kind}: outputs differ"
    done = program("inspect", path, "--json", "--check", status=None)
    assert done.returncode in (0, *FAILURES), f"inspect: status {done.returncode}: {done.stderr[-500:]}"


def main():
    program, names, failed = runs.Program(sys.argv[1]), sys.argv[2:] or list(WIRINGS), 0
    for name in names:
        with tempfile.TemporaryDirectory(prefix="qonnx-wirings-") as folder:
            try:
                check(program, folder, *WIRINGS[name])
            except AssertionError as error:
                failed += 1
                print(f"FAILED {name}: {str(error)[:800]}", flush=True)
    print(f"{len(names) - failed} of {len(names)} wirings as promised")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
