# SPDX-License-Identifier: Apache-2.0
"""What the program makes of float models by recipes, against what Brevitas exported: check.py PROGRAM FORMAT [CASE...]

cases.zip holds for each case the float model, one training batch (x), further inputs (x2) and Brevitas' files:

    qcdq.onnx     QCDQ, weights as integers               --format qcdq
    qcdq_qw.onnx  QCDQ, weights as floats                 --format qcdq -o weights-as=float
    qonnx.onnx    QONNX                                   --format qonnx
    qop.onnx      QOperator (Brevitas 0.10)               --format qoperator

recipes.json is the recipe of each case. A file is right when it has the same operators in the same order with the same
attributes, every constant is the same to the last bit, and ONNX Runtime without optimizations gives the same outputs.

One thing cannot be the same to the last bit: a sum of products in float depends on the order of summation, and an
exponential on the library, and both are the framework's. So a range that is taken behind a convolution, a product of
matrices, a Sigmoid or a Tanh may differ in the last bit or two, and with it the scale, a bias that is divided by it, and
values that lie right between two codes. Such constants are compared with a tolerance, and counted: only they may differ.
"""
import json
import os
import subprocess
import sys
import tempfile
import zipfile

import numpy
import onnx
import onnxruntime
from onnx import numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
FORMATS = {"qcdq": ["qcdq"], "qcdq_qw": ["qcdq", "-o", "weights-as=float"], "qonnx": ["qonnx"], "qop": ["qoperator"]}
SUMS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "QLinearConv", "Sigmoid", "Tanh"}
ULPS = 4 * 2.0 ** -24

# What Brevitas writes in a form of its own. The outputs must be the same all the same.
OTHER_FORM = {
    ("qop", "linear_pc_full"): "Brevitas makes a QLinearConv of a Linear, between two Reshapes; ours is a QGemm",
    ("qop", "linear_pt_full"): "Brevitas makes a QLinearConv of a Linear, between two Reshapes; ours is a QGemm",
}
# ONNX Runtime has no kernel for a QLinearConv of uint8 that makes int8: ours stays between DequantizeLinear and
# QuantizeLinear, and Brevitas' file cannot be run, so the outputs are compared with those of its QCDQ file.
NO_KERNEL = {("qop", "conv2d_u8in"), ("qop", "net_qop_chain")}
# Files of Brevitas' that are no valid ONNX.
INVALID = {
    ("qop", "t2_relu_per_channel"): "its scale has rank 4, which QuantizeLinear does not take",
}


class Difference(Exception):
    pass


def constants(model):
    found = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


class View:
    """A model as a list of nodes whose inputs are constants or places: ("node", i, slot) or ("input", name)."""

    def __init__(self, model):
        self.constants = constants(model)
        self.nodes = [n for n in model.graph.node if n.op_type != "Constant"]
        self.places = {i.name: ("input", i.name) for i in model.graph.input if i.name not in self.constants}
        self.behind_sum = {}
        for k, node in enumerate(self.nodes):
            below = node.op_type in SUMS or any(self.behind_sum.get(i) for i in node.input)
            for slot, name in enumerate(node.output):
                self.places[name] = ("node", k, slot)
                self.behind_sum[name] = below
        self.outputs = [self.places.get(o.name) for o in model.graph.output]

    def operand(self, name):
        return self.constants[name] if name in self.constants else self.places.get(name, name)

    def sums_up(self, k):
        """May constants of node k depend on a sum in float: does it read one, or feed a layer that does?"""
        names = set(self.nodes[k].input) | set(self.nodes[k].output)
        if any(self.behind_sum.get(n) for n in names):
            return True
        readers = [n for n in self.nodes if set(n.input) & set(self.nodes[k].output)]
        return any(self.behind_sum.get(i) for n in readers for i in n.input)


def same_constant(ours, theirs, tolerant, where):
    """True when equal; False when within the tolerance."""
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        raise Difference(f"{where}: {ours.dtype}{ours.shape}, Brevitas has {theirs.dtype}{theirs.shape}")
    if ours.tobytes() == theirs.tobytes():
        return True
    if tolerant:
        x, y = ours.astype(numpy.float64), theirs.astype(numpy.float64)
        slack = 1 if ours.dtype == numpy.int32 else 0 # a bias right between two codes
        if numpy.all(numpy.abs(x - y) <= ULPS * numpy.abs(y) + slack):
            return False
    raise Difference(f"{where}: {ours.ravel()[:4]}, Brevitas has {theirs.ravel()[:4]}")


def compare(ours, theirs):
    """The number of constants that differ within the tolerance."""
    near = 0
    if [n.op_type for n in ours.nodes] != [n.op_type for n in theirs.nodes]:
        raise Difference(f"operators {[n.op_type for n in ours.nodes]}, Brevitas has {[n.op_type for n in theirs.nodes]}")
    for k, (a, b) in enumerate(zip(ours.nodes, theirs.nodes)):
        where = f"node {k} ({a.op_type})"
        if a.domain != b.domain or attributes(a) != attributes(b):
            raise Difference(f"{where}: {a.domain} {attributes(a)}, Brevitas has {b.domain} {attributes(b)}")
        if len(a.input) != len(b.input):
            raise Difference(f"{where}: {len(a.input)} inputs, Brevitas has {len(b.input)}")
        for slot, (i, j) in enumerate(zip(a.input, b.input)):
            x, y = ours.operand(i), theirs.operand(j)
            if isinstance(x, numpy.ndarray) and isinstance(y, numpy.ndarray):
                near += not same_constant(x, y, ours.sums_up(k), f"{where}, input {slot}")
            elif isinstance(x, numpy.ndarray) or isinstance(y, numpy.ndarray) or x != y:
                raise Difference(f"{where}, input {slot}: {i} is not {j}")
    if ours.outputs != theirs.outputs:
        raise Difference("other outputs")
    return near


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def same_outputs(ours, theirs, x, step, where):
    """step 0: bit for bit; else values may be a code of that size apart, in one of a hundred elements."""
    a, b = run(ours, x), run(theirs, x)
    if a.shape != b.shape:
        raise Difference(f"{where}: shape {a.shape}, Brevitas' model gives {b.shape}")
    if a.tobytes() == b.tobytes():
        return
    off = numpy.abs(a - b)
    close = off <= 1e-5 * numpy.maximum(numpy.abs(b), step)
    if not step or numpy.any(off[~close] > 1.01 * step) or numpy.count_nonzero(~close) > max(1, off.size // 100):
        raise Difference(f"{where}: outputs up to {off.max()} apart, {numpy.count_nonzero(~close)} of {off.size}")


def convert(program, folder, case, form, archive, rules):
    paths = {n: os.path.join(folder, n) for n in ("float.onnx", "recipe.json", "calib.npz", "out.onnx")}
    with open(paths["float.onnx"], "wb") as file:
        file.write(archive.read(f"{case}/float.onnx"))
    with open(paths["recipe.json"], "w") as file:
        json.dump({"version": 1, "rules": rules}, file)
    with archive.open(f"{case}/x.npy") as file:
        x = numpy.load(file)
    numpy.savez(paths["calib.npz"], x=x[None]) # one sample is one batch
    subprocess.run([program, paths["float.onnx"], paths["out.onnx"], "--config", paths["recipe.json"], "--calib", paths["calib.npz"],
                    "--sidecar", "none", "--quiet", "--quiet", "--format", *FORMATS[form]], check=True)
    model = onnx.load(paths["out.onnx"])
    onnx.checker.check_model(model) if form != "qonnx" else None
    return model, x


def largest_scale(view):
    scales = [view.operand(n.input[1]) for n in view.nodes if n.op_type in ("DequantizeLinear", "Quant")]
    return max((float(s.max()) for s in scales), default=0.0)


def check(program, form, case, archive, rules):
    """One line about what was found; Difference when that is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        model, x = convert(program, folder, case, form, archive, rules)
    theirs = onnx.load_from_string(archive.read(f"{case}/{form}.onnx"))
    ours, other = View(model), View(theirs)
    known = OTHER_FORM.get((form, case)) or INVALID.get((form, case))
    near = 0
    if (form, case) in NO_KERNEL:
        known = "a QLinearConv that ONNX Runtime has no kernel for"
    if known:
        try:
            compare(ours, other)
        except Difference:
            pass
        else:
            raise Difference("the same after all: take it off the list")
    else:
        near = compare(ours, other)
    if form == "qonnx":
        return f"same, {near} constants in the last bits" # nothing here runs Quant
    if (form, case) in NO_KERNEL or (form, case) in INVALID:
        theirs = onnx.load_from_string(archive.read(f"{case}/qcdq.onnx"))
    inputs = [x]
    if f"{case}/x2.npy" in archive.namelist():
        with archive.open(f"{case}/x2.npy") as file:
            inputs.append(numpy.load(file))
    for k, value in enumerate(inputs):
        same_outputs(model, theirs, value, largest_scale(ours) if near or known else 0, f"input {k}")
    return f"same outputs, {known}" if known else f"same, {near} constants in the last bits"


def main():
    program, form, only = sys.argv[1], sys.argv[2], sys.argv[3:]
    with open(os.path.join(HERE, "recipes.json")) as file:
        recipes = json.load(file)
    failed = done = 0
    with zipfile.ZipFile(os.path.join(HERE, "cases.zip")) as archive:
        names = set(archive.namelist())
        for case, rules in recipes.items():
            if f"{case}/{form}.onnx" not in names or (only and case not in only):
                continue
            done += 1
            try:
                print(f"{case}: {check(program, form, case, archive, rules)}")
            except (Difference, subprocess.CalledProcessError) as problem:
                failed += 1
                print(f"{case}: DIFFERENT: {problem}")
    print(f"{done} cases, {failed} different")
    return 1 if failed or not done else 0


if __name__ == "__main__":
    sys.exit(main())
