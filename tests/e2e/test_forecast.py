# SPDX-License-Identifier: Apache-2.0
"""test_forecast.py PROGRAM MODEL…: --dry-run needs no data and no runtime, writes nothing, and what it says of the size is what the
program then writes, to the byte: of all constants, of each weight, and of the file unless runs of the model teach it shapes."""
import json
import os
import sys
import tempfile

import numpy as np
import onnx
import runs

# Nothing is judged, and no size of what flows is known: what is quantized is what was planned.
AS_PLANNED = ("-o", "candidates=0", "-o", "node-sqnr=0", "--min-sqnr", "0", "-o", "duplicate=off", "-o", "rounding=nearest", "-o", "only-faster=off")
SHAPES = 0.04 # of the file
CASES = [("int8",), ("int8", "--format", "qoperator"), ("int8", "--format", "qcdq"), ("int8", "--format", "qonnx"), ("int8", "--target", "qnn"),
         ("int8", "--io-type", "uint8"), ("int8-weights",), ("int8-weights", "-o", "embeddings=int8"), ("int8-weights", "-o", "per-channel=off"),
         ("int4", "--target", "ort-x86", "-o", "embeddings=int4-blocks"), ("int8-weights", "--target", "ort-arm", "-o", "embeddings=int8-blocks", "-o", "block-size=16"), ("int8-dynamic",),
         ("int4",), ("int4", "--format", "qdq"), ("int4", "-o", "weight-symmetric=on", "-o", "block-size=128"),
         ("int4", "--format", "qdq", "-o", "weight-symmetric=on"), ("int2",), ("int2", "--format", "qdq"), ("fp16",), ("bf16",), ("fp8",),
         ("w4a8",), ("brevitas-w8a8-pc",), ("int4", "--external-data", "always")]
NO_RUNTIME = {"QONNX_ORT": "/nonexistent", "PATH": "/nonexistent", "LD_LIBRARY_PATH": ""}


def bits(data_type):
    known = {onnx.TensorProto.UINT4: 4, onnx.TensorProto.INT4: 4, onnx.TensorProto.UINT2: 2, onnx.TensorProto.INT2: 2}
    return known.get(data_type) or onnx.helper.tensor_dtype_to_np_dtype(data_type).itemsize * 8


def constants(path):
    """Bytes of each initializer."""
    tensors = onnx.load(path, load_external_data=False).graph.initializer
    return {t.name: -(-int(np.prod(t.dims, dtype=np.int64)) * bits(t.data_type) // 8) for t in tensors}


def size_of_files(folder, path):
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder) if name.startswith(os.path.basename(path)))


def check(program, model, case, folder):
    path = os.path.join(folder, "out.onnx")
    arguments, learns = ("--preset", *case), case[0] in ("int8", "w4a8", "brevitas-w8a8-pc")
    told = json.loads(program(model, path, "--dry-run", "--json", *arguments, env=NO_RUNTIME).stdout)
    assert not os.listdir(folder), f"--dry-run wrote {os.listdir(folder)}"
    short = json.loads(program(model, "--dry-run", "--json", *arguments, env=NO_RUNTIME).stdout)
    assert short["constants"] == told["constants"], "the name of the output changes constants"
    inspected = json.loads(program("inspect", model, "--dry-run", "--json", *(a for a in arguments if case[1:2] == ()), env=NO_RUNTIME).stdout)["dry_run"]
    assert case[1:] or inspected["constants"] == told["constants"], "inspect --dry-run says something else"
    program(model, path, *arguments, *AS_PLANNED, "--samples", "1", "--sidecar", "none")
    made, size = constants(path), size_of_files(folder, path)
    assert abs(told["file_bytes_after"] - size) <= (SHAPES * size if learns else 0), f"{told['file_bytes_after']} bytes foretold, {size} written"
    assert told["constant_bytes_after"] == sum(made.values()), f"constants: {told['constant_bytes_after']} foretold, {sum(made.values())} written"
    assert told["constant_bytes_after"] == sum(row["bytes_after"] for row in told["constants"]) + told["other_bytes_after"]
    for row in told["constants"]:
        own = sum(size for name, size in made.items() if name == row["name"] or name.startswith(row["name"] + "_"))
        assert row["bytes_after"] == own, f"{row['name']}: {row['bytes_after']} bytes foretold, {own} written"
        count = np.prod(row["shape"], dtype=np.int64)
        assert abs(row["bits"] - 8 * own / count) < 1e-3


def main():
    program, failed = runs.Program(sys.argv[1]), 0
    for model in sys.argv[2:]:
        for case in CASES:
            with tempfile.TemporaryDirectory(prefix="qonnx-forecast-") as folder:
                try:
                    check(program, os.path.join(model, "model.onnx"), case, folder)
                except Exception as error:  # noqa: BLE001
                    failed += 1
                    print(f"FAILED {os.path.basename(model)} {' '.join(case)}: {error}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
