# SPDX-License-Identifier: Apache-2.0
"""What the round trips share: the numbers in a quantized file, conversions, and judging what comes back."""
import os
import sys

import numpy as np
import onnx
from onnx import helper, numpy_helper

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "e2e"))
import runs  # noqa: E402

FORMATS = ("qdq", "qcdq", "qonnx", "qoperator", "float")


def constants(model):
    return {t.name: t for t in model.graph.initializer}


def key(tensor):
    """A constant as type and bytes; its shape may be written in several ways."""
    array = numpy_helper.to_array(tensor)
    return str(array.dtype), array.tobytes()


def numbers(path):
    """Of a QDQ or QCDQ file: the integer constants with their scales and zero points, and those of the other quantizers."""
    model = onnx.load(path)
    known = constants(model)
    makers = {o: n for n in model.graph.node for o in n.output}
    weights, quantizers = [], set()
    for node in model.graph.node:
        params = tuple(key(known[name]) if name else None for name in node.input[1:3]) if node.op_type.endswith("antizeLinear") else ()
        if node.op_type == "QuantizeLinear":
            quantizers.add(params)
        if node.op_type != "DequantizeLinear":
            continue
        codes = node.input[0]
        while codes in makers and makers[codes].op_type == "Clip":
            codes = makers[codes].input[0]
        if codes in known:
            weights.append((tuple(known[codes].dims), key(known[codes]), *params))
    return sorted(weights, key=repr), sorted(quantizers, key=repr)


def same_bytes(a, b):
    return all(x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes() for r, s in zip(a, b) for x, y in zip(r, s))


def outputs(path, data, samples, **settings):
    return runs.run_samples(runs.session(path, **settings), data, samples)


class Trips:
    """Takes one QDQ file to the other formats and back."""

    def __init__(self, program, folder, path, data, samples):
        self.program, self.folder, self.path, self.data, self.samples = program, folder, path, data, samples
        self.numbers, self.outputs = numbers(path), outputs(path, data, samples)

    def convert(self, source, kind, *options):
        target = os.path.join(self.folder, f"{len(os.listdir(self.folder))}.{kind}.onnx")
        self.program("convert", source, target, "--format", kind, "--sidecar", "none", *options)
        return target

    def same(self, path, what):
        """A QDQ or QCDQ file with the same numbers and the same results, to the last bit."""
        weights, quantizers = numbers(path)
        assert weights == self.numbers[0], f"{what}: {sum(w not in self.numbers[0] for w in weights)} constants of {len(weights)} (before: {len(self.numbers[0])}) differ"
        assert quantizers == self.numbers[1], f"{what}: {len(quantizers)} kinds of quantizers instead of {len(self.numbers[1])}, or others"
        assert same_bytes(self.outputs, outputs(path, self.data, self.samples)), f"{what}: outputs differ"

    def around(self):
        """QDQ to QCDQ to QONNX to QDQ, and to QOperator and back. Returns the QOperator file."""
        path = self.path
        for kind in ("qcdq", "qonnx", "qdq"):
            path = self.convert(path, kind)
            if kind != "qonnx":
                self.same(path, f"after {kind}")
        again = self.convert(path, "qdq")
        with open(path, "rb") as one, open(again, "rb") as two:
            assert one.read() == two.read(), "converting to the same format once more changes the file"
        integers = self.convert(self.path, "qoperator")
        onnx.checker.check_model(onnx.load(integers))
        self.same(self.convert(integers, "qdq"), "back from qoperator")
        return integers


def single(model, node, types):
    """A model of one integer node, whose activations are inputs."""
    known = constants(model)
    inputs = [name for name in dict.fromkeys(node.input) if name and name not in known]
    ports = [[helper.make_tensor_value_info(name, types[name], None) for name in names] for names in (inputs, node.output)]
    graph = helper.make_graph([node], "one", *ports, [known[name] for name in dict.fromkeys(node.input) if name in known])
    made = helper.make_model(graph, opset_imports=model.opset_import)
    made.ir_version = model.ir_version
    return made


def check_kernels(program, folder, path, data, samples):
    """Every QLinear… operator within one step of what its QDQ form computes from the same codes. Returns how many
    integer operators there are."""
    model = onnx.load(path)
    nodes = [n for n in model.graph.node if n.op_type.startswith("QLinear") or n.op_type == "QGemm"]
    known = constants(model)
    wanted = list(dict.fromkeys(v for n in nodes for v in [*n.input, *n.output] if v and v not in known))
    exposed = onnx.ModelProto.FromString(model.SerializeToString())
    present = {o.name for o in exposed.graph.output} | {i.name for i in exposed.graph.input}
    exposed.graph.output.extend(onnx.ValueInfoProto(name=v) for v in wanted if v not in present)
    watched = os.path.join(folder, "watched.onnx")
    onnx.save(exposed, watched)
    run = runs.session(watched, unsaturated=True)
    names = [o.name for o in run.get_outputs()]
    for i in range(samples):
        feed = runs.feed_of(run, data, i)
        seen = {**feed, **dict(zip(names, run.run(None, feed)))}
        for node in nodes:
            types = {name: helper.np_dtype_to_tensor_dtype(seen[name].dtype) for name in [*node.input, *node.output] if name in seen}
            check_kernel(program, folder, single(model, node, types), seen)
    return len(nodes) + sum(n.op_type == "MatMulInteger" for n in model.graph.node)


def check_kernel(program, folder, model, seen):
    source, target = os.path.join(folder, "one.onnx"), os.path.join(folder, "one.qdq.onnx")
    node = model.graph.node[0]
    onnx.save(model, source)
    program("convert", source, target, "--format", "qdq", "--sidecar", "none")
    run = runs.session(target)
    found = run.run(None, {p.name: seen[p.name] for p in run.get_inputs()})
    for name, y in zip(node.output, found):
        wanted = seen[name]
        if wanted.dtype.kind in "iu":
            apart = np.abs(wanted.astype(np.int64) - y.astype(np.int64)).max(initial=0)
            assert apart <= 1, f"{node.op_type} '{node.name}' is {apart} steps off"
        else:
            assert np.allclose(wanted, y, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(y).max(initial=0))), f"{node.op_type} '{node.name}' differs"
