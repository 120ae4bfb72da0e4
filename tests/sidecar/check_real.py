# SPDX-License-Identifier: Apache-2.0
"""check_real.py PROGRAM SCHEMA MODELS: sidecars that the program writes for the bundled models are valid, agree with the
models they stand beside, and are the same bytes in a second run elsewhere with another number of threads."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

import jsonschema
import numpy
import onnx
from onnx import numpy_helper


def fail(text):
    sys.exit(f"error: {text}")


def convert(program, folder, model, *arguments):
    """Runs in `folder` on a copy of the model; the sidecar's bytes, parsed, and the path of the output."""
    os.makedirs(folder)
    shutil.copy(model, os.path.join(folder, "model.onnx"))
    done = subprocess.run([program, "model.onnx", "out.onnx", "--sidecar", "out.json", *arguments], cwd=folder,
                          capture_output=True, text=True)
    if done.returncode:
        fail(f"{model}: status {done.returncode}: {done.stderr}")
    with open(os.path.join(folder, "out.json"), "rb") as file:
        raw = file.read()
    return raw, json.loads(raw, parse_constant=lambda name: fail(f"the sidecar holds {name}")), os.path.join(folder, "out.onnx")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def check_files(sidecar, source, output):
    for part, path in (("input", source), ("output", output)):
        if sidecar[part]["sha256"] != digest(path) or sidecar[part]["bytes"] != os.path.getsize(path):
            fail(f"{part}: digest or size is not that of the file")


def parameters(output):
    """(scale bytes, zero point) of each quantized tensor in the model, as a set."""
    graph = onnx.load(output).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    found = set()
    for node in graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        zero_point = constants[node.input[2]]
        found.add((str(zero_point.dtype), constants[node.input[1]].tobytes(), zero_point.astype(numpy.int64).tobytes()))
    return found


def check_parameters(sidecar, output):
    """Scales and zero points in the sidecar are those of the model, bit for bit."""
    written = parameters(output)
    said = set()
    for tensor in sidecar["tensors"]:
        scale = numpy.asarray(tensor["y_scale"], dtype=numpy.float32)
        zero_point = numpy.asarray(tensor["y_zero_point"], dtype=numpy.int64)
        said.add((tensor["output_dtype"], scale.tobytes(), zero_point.tobytes()))
    if said != written:
        fail(f"{len(said - written)} of {len(said)} parameters in the sidecar are not in the model, "
             f"{len(written - said)} of {len(written)} in the model not in the sidecar")


def check_counts(sidecar):
    model, nodes = sidecar["model"], sidecar["nodes"]
    left = {}
    for node in nodes:
        if node["decision"] == "float":
            left[node["reason"]] = left.get(node["reason"], 0) + 1
    if left != model["left_in_float"] or len(nodes) != model["nodes"]:
        fail("counts are not those of the nodes")
    if model["nodes_quantized"] + sum(left.values()) != len(nodes):
        fail("quantized and float nodes are not all nodes")
    if sum("accumulator_bits" in node for node in nodes) != model["layers_quantized"]:
        fail("not every quantized layer has its accumulator width")


def check_model(program, validator, folder, model, *arguments):
    raw, sidecar, output = convert(program, os.path.join(folder, "one"), model, *arguments, "--threads", "1")
    again, _, other = convert(program, os.path.join(folder, "two", "deeper"), model, *arguments, "--threads", "2")
    validator.validate(sidecar)
    check_files(sidecar, model, output)
    if raw != again or digest(output) != digest(other):
        fail(f"{model} {arguments}: a second run wrote other bytes")
    return sidecar, output


def main():
    program, schema, models = sys.argv[1:]
    with open(schema, encoding="utf-8") as file:
        validator = jsonschema.Draft202012Validator(json.load(file))
    with tempfile.TemporaryDirectory() as folder:
        for name in ("mnist_resnet", "chargpt"):
            model, calib = os.path.join(models, name, "model.onnx"), os.path.join(models, name, "calib.npz")
            sidecar, output = check_model(program, validator, os.path.join(folder, name, "data"), model,
                                          "--preset", "int8", "--calib", calib)
            if sidecar["calibration"]["ranges"] != "data" or sidecar["calibration"]["source"] != "calib.npz":
                fail("the calibration data are not named")
            if not sidecar["model"]["layers_quantized"]:
                fail(f"no layer of {name} was quantized")
            check_parameters(sidecar, output)
            check_counts(sidecar)
        model = os.path.join(models, "mnist_resnet", "model.onnx")
        sidecar, output = check_model(program, validator, os.path.join(folder, "synthetic"), model, "--preset", "int8", "--seed", "7")
        if sidecar["calibration"]["ranges"] != "synthetic" or sidecar["calibration"]["seed"] != 7 or not sidecar["warnings"]:
            fail("synthetic ranges are not called so")
        check_parameters(sidecar, output)
        for preset, *more in (("brevitas-uint8",), ("brevitas-w4a8-pc", "--exclude", "op:Gemm"), ("brevitas-w8",)):
            sidecar, output = check_model(program, validator, os.path.join(folder, preset), model, "--preset", preset,
                                          "--calib", os.path.join(models, "mnist_resnet", "calib.npz"), *more)
            check_parameters(sidecar, output)
            observers = {t["observer"] for t in sidecar["tensors"] if t["role"] != "bias"}
            if not observers or any("PerTensor" not in o and "PerChannel" not in o for o in observers):
                fail(f"the quantizers of {preset} are not named: {observers}")
        sidecar, _ = check_model(program, validator, os.path.join(folder, "copy"), model, "--preset", "copy")
        if sidecar["model"]["identical"] is not True:
            fail("the copy is not identical")


main()
