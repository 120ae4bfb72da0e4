# SPDX-License-Identifier: Apache-2.0
"""test_inspect.py PROGRAM: inspect prints of Brevitas' files what Brevitas printed of its own tensors. Python's standard library only.

printed.json holds, for each case of the golden exports, the scale, zero point, bit width and sign of every quantizer in
the order of the layers, and of the output of layers without output quantizer ("out")."""
import json
import os
import struct
import subprocess
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
EXPORTS = os.path.join(HERE, os.pardir, "golden", "exports", "cases.zip")

# What a file does not say cannot be read out of it.
UNSAID = {
    ("qcdq", "conv2d_bias_int16"): "QCDQ has no width for biases of more than 8 bits: they are int32",
    ("qcdq", "conv2d_bias_int24"): "QCDQ has no width for biases of more than 8 bits: they are int32",
    ("qcdq_qw", "conv2d_bias_int16"): "QCDQ has no width for biases of more than 8 bits: they are int32",
    ("qcdq_qw", "conv2d_bias_int24"): "QCDQ has no width for biases of more than 8 bits: they are int32",
    ("qop", "conv2d_w2_a2"): "QOperator has no width for weights: they are int8",
    ("qop", "conv2d_w3_a3"): "QOperator has no width for weights: they are int8",
    ("qop", "conv2d_w4_a4"): "QOperator has no width for weights: they are int8",
    ("qop", "conv2d_w6_a6"): "QOperator has no width for weights: they are int8",
}
# Not valid ONNX: a scale of rank 4.
REFUSED = {("qop", "t2_relu_per_channel"): "scale and zero point differ in shape"}
# A Linear is a convolution between two Reshapes of codes, which are tensors too.
MORE_TENSORS = {("qop", "linear_pc_full"), ("qop", "linear_pt_full")}


def as_list(value):
    values = value if isinstance(value, list) else [value]
    singles = [struct.unpack("f", struct.pack("f", v))[0] for v in values]
    return singles[:1] if all(v == singles[0] for v in singles) else singles


def differences(printed, found):
    for field, wanted in printed.items():
        if field == "role":
            continue
        got = found.get(field)
        same = as_list(got) == as_list(wanted) if field in ("scale", "zero_point") and got is not None else got == wanted
        if not same:
            yield field, got, wanted


def check(program, path, kind, case, printed):
    done = subprocess.run([program, "inspect", path, "--json", "--check"], capture_output=True, text=True)
    if (kind, case) in REFUSED:
        return [] if done.returncode == 1 and REFUSED[kind, case] in done.stderr else [f"not refused as expected: {done.stderr}"]
    if done.returncode:
        return [f"status {done.returncode}: {done.stderr.strip()}"]
    found = json.loads(done.stdout)
    tensors = [t for t in found["tensors"] if t.get("quantizer")]
    roles = {"input": ("input",), "weight": ("weight",), "bias": ("bias",), "act": ("input", "activation", "output"), "output": ("activation", "output")}
    wrong = []
    if (kind, case) in MORE_TENSORS:
        tensors = [t for t in tensors if not t["name"].endswith(("Reshape_output_0", "QLinearConv_output_0_float"))]
    if len(tensors) != len(printed["quantizers"]):
        return [f"{len(tensors)} quantizers instead of {len(printed['quantizers'])}"]
    for wanted, tensor in zip(printed["quantizers"], tensors):
        if tensor["role"] not in roles[wanted["role"]]:
            wrong.append(f"'{tensor['name']}' is {tensor['role']}, not {wanted['role']}")
        wrong += [f"{wanted['role']} '{tensor['name']}': {f} is {g}, not {w}" for f, g, w in differences(wanted, tensor)]
    if "out" in printed:
        output = [t for t in found["tensors"] if t["role"] == "output"][-1]
        wrong += [f"output: {f} is {g}, not {w}" for f, g, w in differences(printed["out"], output)]
    if (kind, case) in UNSAID:
        return [] if wrong and all("bit_width" in text for text in wrong) else [f"differs in more or less than bit widths: {wrong}"]
    return wrong


def main():
    failed, files = 0, 0
    with open(os.path.join(HERE, "printed.json"), encoding="utf-8") as file:
        printed = json.load(file)
    with zipfile.ZipFile(EXPORTS) as cases, tempfile.TemporaryDirectory(prefix="qonnx-inspect-") as folder:
        for name in cases.namelist():
            case, kind = name.split("/")
            kind = kind.removesuffix(".onnx")
            if not kind.startswith("q"):
                continue
            path = cases.extract(name, folder)
            files += 1
            for text in check(sys.argv[1], path, kind, case, printed[case]):
                failed += 1
                print(f"FAILED {name}: {text}")
    print(f"{files} files inspected, {failed} differences")
    return 1 if failed or files < 200 else 0


if __name__ == "__main__":
    sys.exit(main())
