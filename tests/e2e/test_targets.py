# SPDX-License-Identifier: Apache-2.0
"""test_targets.py PROGRAM MODEL…: walks what is written for targets that no test can run, against what their documentation
asks for; and holds the values of all targets against the float model."""
import collections
import os
import sys
import tempfile

import numpy as np
import onnx
import runs
from onnx import numpy_helper

PAIR = {"QuantizeLinear", "DequantizeLinear"}
RUN_ANYWHERE = ["generic", "ort-x86", "ort-x86-vnni", "ort-arm", "ort-web", "openvino", "tensorrt", "qnn"]


class Graph:
    def __init__(self, path):
        model = onnx.load(path)
        onnx.checker.check_model(model, full_check=True)
        self.nodes = list(model.graph.node)
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.maker = {o: n for n in self.nodes for o in n.output if o}
        self.readers = collections.defaultdict(list)
        for node in self.nodes:
            for name in node.input:
                self.readers[name].append(node)
        self.outputs = [o.name for o in model.graph.output]

    def of(self, *ops):
        return [n for n in self.nodes if n.op_type in ops]

    def is_dequantized(self, name):
        return name in self.maker and self.maker[name].op_type == "DequantizeLinear"

    def codes(self, dequantize):
        """Scale and zero point."""
        return self.constants[dequantize.input[1]], self.constants[dequantize.input[2]]

    def weight(self, layer):
        """The DequantizeLinear of a layer's weight; None for a product of activations."""
        node = self.maker.get(layer.input[1])
        return node if node is not None and node.op_type == "DequantizeLinear" and node.input[0] in self.constants else None


def layers(graph):
    return [n for n in graph.of("Conv", "Gemm", "MatMul") if graph.weight(n) is not None]


def tensorrt(graph):
    for node in graph.of(*PAIR):
        scale, zero = graph.codes(node)
        assert zero.dtype == np.int8 and not zero.any(), f"{node.name}: zero point {zero.dtype}"
        assert scale.ndim == 0 or node.input[0] in graph.constants, f"{node.name}: an activation with {scale.size} scales"
    for layer in layers(graph):
        assert graph.is_dequantized(layer.input[0]), f"{layer.name}: its input is float"
        scale, _ = graph.codes(graph.weight(layer))
        codes = graph.constants[graph.weight(layer).input[0]]
        assert scale.ndim == 1 and codes.dtype == np.int8 and codes.min() >= -127, f"{layer.name}: weight {codes.dtype}, {scale.ndim} dimensions of scales"
        if layer.op_type != "MatMul" and len(layer.input) > 2:
            assert graph.constants[layer.input[2]].dtype == np.float32, f"{layer.name}: its bias is no float constant"
        for reader in graph.readers[layer.output[0]]:
            if reader.op_type in ("Relu", "Clip"):
                assert not {r.op_type for r in graph.readers[layer.output[0]]} & PAIR, f"{layer.name}: Q between it and its {reader.op_type}"
    residuals = 0
    for add in graph.of("Add"):
        behind = [graph.maker[i].op_type == "Conv" if i in graph.maker else False for i in add.input]
        if not any(behind):
            continue
        residuals += 1
        dequantized = [graph.is_dequantized(i) for i in add.input]
        assert sorted(dequantized) == [False, True], f"{add.name}: {sum(dequantized)} operands have Q/DQ"
        assert behind[dequantized.index(False)], f"{add.name}: the operand without Q/DQ is no layer's result"
    return residuals


def qnn(graph):
    for node in graph.of("DequantizeLinear"):
        scale, zero = graph.codes(node)
        assert zero.dtype in (np.uint8, np.int8, np.int32), f"{node.name}: {zero.dtype}"
        if zero.dtype == np.uint8:
            assert scale.ndim == 0 and scale * 255 >= 1e-4 * (1 - 1e-6), f"{node.name}: range of {scale * 255}"
        assert len(graph.readers[node.output[0]]) + (node.output[0] in graph.outputs) == 1, f"{node.name} has several readers"
    for node in graph.of("QuantizeLinear"):
        assert len(graph.readers[node.output[0]]) == 1, f"{node.name} has several readers"
    for layer in layers(graph):
        scale, zero = graph.codes(graph.weight(layer))
        assert zero.dtype == np.int8 and not zero.any() and scale.ndim == (layer.op_type == "Conv"), f"{layer.name}: scales of shape {scale.shape}"
        if layer.op_type != "MatMul" and len(layer.input) > 2:
            assert graph.codes(graph.maker[layer.input[2]])[1].dtype == np.int32, f"{layer.name}: its bias is float"
    for function, scale, zero in (("Sigmoid", 1 / 256, 0), ("Tanh", 1 / 128, 128)):
        for node in graph.of(function):
            found = graph.codes(graph.readers[node.output[0]][0])
            assert found[0] == np.float32(scale) and found[1] == zero, f"{node.name}: parameters {found}"
    return sum(graph.is_dequantized(name) for name in graph.outputs)


def everything_is_quantized(graph):
    """Of a model whose operators all have rules: every operator reads codes and its results become codes."""
    for node in graph.nodes:
        if node.op_type in PAIR:
            continue
        source = node.input[0]
        absorbed = node.op_type in ("Relu", "Clip") and not graph.is_dequantized(source)
        assert absorbed or graph.is_dequantized(source), f"{node.name} ({node.op_type}) reads floats"
    for name in graph.outputs:
        assert graph.is_dequantized(name), f"output {name} is float"


WALKS = {"tensorrt": tensorrt, "qnn": qnn}


def main():
    program, failed = runs.Program(sys.argv[1]), 0
    with tempfile.TemporaryDirectory(prefix="qonnx-test-") as scratch:
        for folder in sys.argv[2:]:
            name, source = os.path.basename(folder), os.path.join(folder, "model.onnx")
            data = dict(np.load(os.path.join(folder, "eval.npz")))
            reference = runs.session(source)
            outputs = [o.name for o in reference.get_outputs()]
            wanted = runs.run_samples(reference, data, 4)
            for target in RUN_ANYWHERE:
                path = os.path.join(scratch, f"{name}-{target}.onnx")
                try:
                    done = program(source, path, "--calib", os.path.join(folder, "calib.npz"), "--target", target, "--samples", 16)
                    assert ("not run on hardware" in done.stderr) == (target in ("ort-arm", "tensorrt", "qnn")), done.stderr
                    graph = Graph(path)
                    assert layers(graph), "no layer is quantized"
                    found = WALKS[target](graph) if target in WALKS else 0
                    if name == "mnist_resnet":
                        assert target not in WALKS or found, "no residual, no output with codes"
                        if target == "qnn":
                            everything_is_quantized(graph)
                    db = min(runs.compare(wanted, runs.session(path), data, outputs).db().values())
                    assert db > 15, f"{db:.1f} dB"
                    print(f"{name} for {target}: {len(layers(graph))} layers, {db:.1f} dB")
                except AssertionError as error:
                    failed += 1
                    print(f"FAILED {name} for {target}: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
