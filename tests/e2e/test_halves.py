# SPDX-License-Identifier: Apache-2.0
"""test_halves.py PROGRAM [NAME…]: models of the zoo in float16 and in bfloat16. They are quantized as well as in float32, their
inputs and outputs keep their types, and no other number of 16 bits crosses an operator that computes."""
import os
import sys
import tempfile

import halves
import numpy as np
import onnx
import runs
import zoo
from onnx import TensorProto, helper

NAMES = ["conv_relu", "attention_encoder", "attention_with_infinite_mask", "branches_read_outer_values", "loop_reads_outer_values",
         "scan_over_a_sequence", "functions_of_the_model", "initializer_is_an_input", "input_is_an_output", "outputs_in_the_middle",
         "weight_is_a_graph_output", "weights_are_constant_nodes", "weights_are_typed_data", "lstm_for_onnx_runtime", "gru_stays_float",
         "embedding_as_codes", "embedding_is_kept", "integer_inputs_and_outputs"]
LOSS_DB = {TensorProto.FLOAT16: 3, TensorProto.BFLOAT16: 8}  # what rounding to so few bits may add
CALIBRATION, EVALUATION = 32, 4


def in_float32(model):
    """The same with float32 inputs and outputs, for Python cannot hold bfloat16."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    before, after = [], []
    for ports, nodes, way in ((made.graph.input, before, 1), (made.graph.output, after, 0)):
        for port in ports:
            kind, name = port.type.tensor_type.elem_type, port.name
            if kind not in LOSS_DB or name in {t.name for t in made.graph.initializer}:
                continue
            port.type.tensor_type.elem_type, port.name = TensorProto.FLOAT, name + ("/float" if way else "/out")
            pair = (port.name, name) if way else (name, port.name)
            nodes.append(helper.make_node("Cast", [pair[0]], [pair[1]], to=kind if way else TensorProto.FLOAT))
    nodes = [*before, *made.graph.node, *after]
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def float_names(data):
    return {**data, **{name + "/float": array for name, array in data.items()}}


def kinds(model):
    return [(p.name, p.type.tensor_type.elem_type) for p in [*model.graph.input, *model.graph.output]]


def strangers(model, kind):
    """Operators other than Cast that read 16-bit floats, as type inference sees them."""
    made = onnx.shape_inference.infer_shapes(model)
    found = {v.name for v in [*made.graph.value_info, *made.graph.input] if v.type.tensor_type.elem_type == kind}
    found |= {t.name for t in made.graph.initializer if t.data_type == kind}
    return [n.op_type for n in made.graph.node if n.op_type != "Cast" and found & set(n.input)]


def judge(program, name, kind, folder):
    net = zoo.make(name)
    source, path, calibration = (os.path.join(folder, file) for file in ("in.onnx", "out.onnx", "calib.npz"))
    before = halves.in_half(net.model(), kind)
    onnx.save(before, source)  # not always valid: before opset 22 few operators know bfloat16
    np.savez(calibration, **net.samples(CALIBRATION, 1))
    done = program(source, path, "--calib", calibration, "-o", "only-faster=off", *net.options)
    assert "inputs and outputs keep their types" in done.stderr, done.stderr
    after = onnx.load(path)
    onnx.checker.check_model(after, full_check=True)
    constants = {t.name for t in after.graph.initializer} | {t.name for t in before.graph.initializer}
    assert [p for p in kinds(before) if p[0] not in constants] == [p for p in kinds(after) if p[0] not in constants], (kinds(before), kinds(after))
    assert not strangers(after, kind), strangers(after, kind)
    layers = [runs.sidecar(path)["model"][key] for key in ("layers", "layers_quantized")]
    onnx.save(net.model(), source)
    program(source, os.path.join(folder, "float.onnx"), "--calib", calibration, "-o", "only-faster=off", *net.options)
    in_float = runs.sidecar(os.path.join(folder, "float.onnx"))["model"]
    assert layers[1] >= in_float["layers_quantized"], (layers, in_float)
    data = net.samples(EVALUATION, 2)
    reference = runs.session(source)
    names = [o.name for o in reference.get_outputs()]
    onnx.save(in_float32(after), path)
    compared = runs.compare(runs.run_samples(reference, data, EVALUATION), runs.session(path), float_names(data), names)
    least = min(compared.db().values(), default=np.inf)
    assert least >= net.db - LOSS_DB[kind], f"{least:.1f} dB, {net.db - LOSS_DB[kind]} wanted"
    return least


def main():
    program, failed, count = runs.Program(sys.argv[1]), 0, 0
    for name in sys.argv[2:] or NAMES:
        for kind in LOSS_DB:
            count += 1
            with tempfile.TemporaryDirectory(prefix="qonnx-half-") as folder:
                try:
                    print(f"{name:40} {TensorProto.DataType.Name(kind):10} {judge(program, name, kind, folder):6.1f} dB", flush=True)
                except Exception as error:  # noqa: BLE001
                    failed += 1
                    print(f"FAILED {name} {TensorProto.DataType.Name(kind)}: {type(error).__name__}: {str(error)[:700]}", flush=True)
    print(f"{count - failed} of {count} right")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
