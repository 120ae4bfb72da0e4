# SPDX-License-Identifier: Apache-2.0
"""test_versions.py PROGRAM: models of every opset and IR version there is, and models that say little about their shapes."""
import os
import sys
import tempfile
import traceback

import does
import numpy as np
import onnx
import runs
import zoo
from onnx import TensorProto, helper, numpy_helper

OPSETS = range(7, 27)
IR_OF_OPSET = {7: 3, 8: 3, 9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 12, 25: 13, 26: 13}
SHAPE = [1, 3, 12, 12]


def classifier(opset, ir):
    """Operators whose form changed from version to version, between two convolutions and a Gemm."""
    rng = np.random.default_rng(opset)
    nodes, constants = [], {}

    def constant(name, array):
        constants[name] = np.asarray(array)
        return name

    def node(op, *inputs, **attributes):
        nodes.append(helper.make_node(op, list(inputs), [f"v{len(nodes)}"], name=f"n{len(nodes)}", **attributes))
        return nodes[-1].output[0]

    def axes(op, value, name):
        return node(op, value, axes=[2]) if opset < 13 else node(op, value, constant(name, np.array([2], np.int64)))

    def weight(name, *shape):
        return constant(name, (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32))

    x = node("Conv", "x", weight("w1", 8, 3, 3, 3), weight("b1", 8), pads=[1] * 4)
    x = node("BatchNormalization", x, constant("g", np.full(8, 1.1, np.float32)), constant("h", np.full(8, 0.1, np.float32)),
             constant("m", np.full(8, 0.2, np.float32)), constant("s", np.full(8, 1.3, np.float32)))
    x = node("Clip", x, min=0.0, max=6.0) if opset < 11 else node("Clip", x, constant("low", np.float32(0)), constant("high", np.float32(6)))
    x = node("Dropout", x)
    x = node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    y = node("Relu", node("Conv", x, weight("w2", 8, 8, 3, 3), weight("b2", 8), pads=[1] * 4))
    x = node("GlobalAveragePool", node("Add", x, y))
    x = node("Flatten", x)
    x = axes("Squeeze", axes("Unsqueeze", x, "a1"), "a2")
    x = node("Gemm", x, weight("w3", 8, 5), weight("b3", 5))
    nodes[-1].output[0] = "y"
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)]
    if ir < 4:
        inputs += [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])],
                              [numpy_helper.from_array(v, k) for k, v in constants.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    model.ir_version = ir
    return model


def convert(program, folder, model, calib, *options, status=0):
    source, out = os.path.join(folder, "in.onnx"), os.path.join(folder, "out.onnx")
    onnx.save(model, source)
    return source, out, program(source, out, "--calib", calib, "-o", "only-faster=off", *options, status=status)


def each_version(program, folder):
    rng = np.random.default_rng(1)
    data = {"x": rng.standard_normal([24, *SHAPE]).astype(np.float32)}
    calib = os.path.join(folder, "calib.npz")
    np.savez(calib, **data)
    pairs = [(opset, IR_OF_OPSET[opset]) for opset in OPSETS] + [(8, ir) for ir in range(4, 14)] + [(13, ir) for ir in range(4, 7)]
    for opset, ir in pairs:
        source, out, _ = convert(program, folder, classifier(opset, ir), calib)
        made, model = onnx.load(out), runs.sidecar(out)["model"]
        onnx.checker.check_model(made, full_check=True)
        assert made.ir_version <= 13 and (model["layers"], model["layers_quantized"]) == (3, 3), (opset, ir, model)
        wrong, kernels = does.check(out)
        assert not wrong and kernels["QLinearConv"] == 2 and kernels["QGemm"] == 1, (opset, ir, wrong, kernels)
        wanted = runs.run_samples(runs.session(source), data, 4)
        kept = runs.compare(wanted, runs.session(out), data, ["y"]).db()["y"]
        assert kept > 28, (opset, ir, kept)
    for opset in range(1, 7):
        _, out, done = convert(program, folder, classifier(opset, 3), calib, "--sidecar", os.path.join(folder, "none.json"), status=1)
        assert len(done.stderr.splitlines()) == 1 and f"opset {opset} is too old" in done.stderr, done.stderr
    return f"{len(pairs)} pairs of opset and IR"


# ---- shapes ----

NETS = ["conv_relu", "attention_encoder", "embedding_as_codes", "decoder_of_any_length", "concat_branches", "lstm_for_onnx_runtime", "branches_read_outer_values",
        "scan_over_a_sequence", "reshape_by_computed_shape", "split_and_shuffle", "decoder_with_an_empty_cache"]


def without_shapes(value, keep):
    kind = value.type.tensor_type.elem_type
    rank = len(value.type.tensor_type.shape.dim)
    value.type.Clear()
    value.type.tensor_type.elem_type = kind
    if keep == "rank":
        for axis in range(rank):
            value.type.tensor_type.shape.dim.add().dim_param = f"{value.name}_{axis}"


def form(model, name):
    made = onnx.ModelProto()
    made.CopyFrom(onnx.shape_inference.infer_shapes(model) if name == "all" else model)
    if name != "all":
        del made.graph.value_info[:]
    if name in ("rank", "nothing"):
        constants = {t.name for t in made.graph.initializer}
        for value in [v for v in made.graph.input if v.name not in constants] + ([] if name == "rank" else list(made.graph.output)):
            without_shapes(value, name)
    return made


def little_is_said(program, folder):
    """As much is quantized, and as well, whether all shapes are declared, those of inputs, their ranks only, or nothing at all."""
    count = 0
    for name in NETS:
        net, layers = zoo.make(name), {}
        calib = os.path.join(folder, name + ".npz")
        np.savez(calib, **net.samples(24, 1))
        source, _, _ = convert(program, folder, net.model(), calib, *net.options)
        wanted = runs.run_samples(runs.session(source), net.samples(4, 2), 4)
        names = [o.name for o in net.outputs]
        for kind in ("all", "inputs", "rank", "nothing"):
            _, out, _ = convert(program, folder, form(net.model(), kind), calib, *net.options)
            kept = runs.compare(wanted, runs.session(out), net.samples(4, 2), names).db()
            assert min(kept.values()) >= net.db - 1, (name, kind, kept)
            layers[kind] = runs.sidecar(out)["model"]["layers_quantized"]
            assert not does.check(out)[0], (name, kind, does.check(out)[0])
            count += 1
        assert len(set(layers.values())) == 1, (name, layers)
    return f"{count} forms"


def samples_of_any_size(program, folder):
    """Each sample has a length and a batch of its own."""
    net, rng = zoo.make("attention_encoder"), np.random.default_rng(5)
    data = []
    for i in range(12):
        n, t = int(rng.integers(1, 4)), int(rng.integers(1, 12))
        mask = np.ones((n, t), np.int64)
        mask[:, max(1, t - 2):] = 0
        data.append({"x": rng.standard_normal((n, t, 32)).astype(np.float32), "mask": mask})
    os.makedirs(os.path.join(folder, "ragged"))
    for i, sample in enumerate(data):
        np.savez(os.path.join(folder, "ragged", f"{i:02}.npz"), **{k: v[None] for k, v in sample.items()})
    for kind in ("inputs", "nothing"):
        source, out, _ = convert(program, folder, form(net.model(), kind), os.path.join(folder, "ragged"))
        model = runs.sidecar(out)["model"]
        assert model["layers_quantized"] == 13, model
        reference, made = runs.session(source), runs.session(out)
        compared = runs.Comparison([net.outputs[0].name])
        for sample in data:
            compared.add(reference.run(None, sample), made.run(None, sample))
        assert min(compared.db().values()) > 24, compared.db()
    done = program("compare", source, out, "--calib", os.path.join(folder, "ragged"), "--fail-below", "sqnr=24")
    assert "12 samples" in done.stdout, done.stdout
    return f"{len(data)} sizes"


def main():
    program, failed = runs.Program(sys.argv[1]), 0
    for test in (each_version, little_is_said, samples_of_any_size):
        with tempfile.TemporaryDirectory(prefix="qonnx-versions-") as folder:
            try:
                print(f"{test.__name__}: {test(program, folder)}", flush=True)
            except Exception:  # noqa: BLE001
                failed += 1
                print(f"FAILED {test.__name__}: {traceback.format_exc()[-1800:]}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
