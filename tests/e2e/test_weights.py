# SPDX-License-Identifier: Apache-2.0
"""test_weights.py PROGRAM PRESET [NAME…]: presets that need no data, on every model of the zoo. They need no ONNX Runtime either;
what they write loads and runs there, and keeps so much of the signal. Nodes with constants that stay float say why. With data they
keep more, on the bundled transformer."""
import os
import sys
import tempfile

import numpy as np
import onnx
import runs
import zoo
from test_zoo import same_ports

EVALUATION = 6
MODELS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "models")
# By preset and options: dB that every model keeps; dB that all keep together, as a mean.
CASES = {
    "int8-weights": [((), 28, 40), (("-o", "weight-range=mse"), 28, 40), (("--target", "ort-x86", "-o", "embeddings=int8-blocks"), 28, 40)],
    "int8-dynamic": [((), 22, 38), (("--target", "ort-x86"), 22, 38), (("-o", "pair-safe=off"), 22, 38)],
    "fp16": [((), 60, 72)],
    "bf16": [((), 38, 52)],
    "fp8": [((), 14, 28)],
    "int4": [((), -10, 22), (("--target", "ort-x86", "-o", "embeddings=int4-blocks"), -10, 20), (("--format", "qdq"), -10, 22), (("-o", "weight-symmetric=on", "-o", "block-size=16"), -10, 22),
             (("-o", "weight-range=hqq", "-o", "block-size=128"), -10, 22),
             (("--format", "qdq", "-o", "weight-symmetric=on", "-o", "weight-range=minmax", "-o", "block-size=64"), -10, 20)],
    "int2": [((), -20, 12), (("--format", "qdq"), -20, 12)],
}
# The range of what holds infinity is infinite, when it is found as the model runs.
NOT_FOR = {"int8-dynamic": {"inputs_hold_infinity"}}
NO_RUNTIME = {"QONNX_ORT": "/nonexistent", "PATH": "/nonexistent", "LD_LIBRARY_PATH": ""}
HAVE_WEIGHTS = {"Gather", "Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"}


def accuracy(net, source, path):
    data, reference = net.samples(EVALUATION, 2), runs.session(source)
    names, wanted = [o.name for o in reference.get_outputs()], runs.run_samples(runs.session(source), data, EVALUATION)
    least = np.inf
    for level in (runs.EXACT, runs.FULL):
        compared = runs.compare(wanted, runs.session(path, level), data, names)
        assert not compared.nonfinite, f"outputs {compared.nonfinite} are not finite"
        least = min(least, *compared.db().values(), np.inf)
    return least


def unpack(raw, bits):
    raw = np.frombuffer(raw, np.uint8)
    return np.stack([raw >> s & (1 << bits) - 1 for s in range(0, 8, bits)], -1).reshape(-1).astype(np.int32)


def what_codes_stand_for(model):
    """The weights of MatMulNBits as matrices, read here, by output: name of codes -> [outputs][depth]."""
    tensors, found = {t.name: t for t in model.graph.initializer}, {}
    for node in model.graph.node:
        if node.op_type != "MatMulNBits":
            continue
        set_to = {a.name: a.i for a in node.attribute}
        outputs, depth, block, bits = set_to["N"], set_to["K"], set_to["block_size"], set_to["bits"]
        count = -(-depth // block)
        codes = unpack(tensors[node.input[1]].raw_data, bits).reshape(outputs, count, block)
        scale = np.frombuffer(tensors[node.input[2]].raw_data, np.float32).reshape(outputs, count, 1)
        zero = np.full((outputs, count, 1), 1 << bits - 1)
        if len(node.input) > 3:
            zero = unpack(tensors[node.input[3]].raw_data, bits).reshape(outputs, -1)[:, :count, None]
        found[node.input[1]] = ((codes - zero) * scale).reshape(outputs, -1)[:, :depth]
    return found


def theirs(weight, block, symmetric):
    """What ONNX Runtime's own quantizer makes of a matrix [depth][outputs], by output."""
    from onnxruntime.capi._pybind_state import quantize_matmul_4bits
    depth, outputs = weight.shape
    count = -(-depth // block)
    packed, scale = np.zeros((outputs, count, block // 2), np.uint8), np.zeros(outputs * count, np.float32)
    zeros = np.zeros(outputs * ((count + 1) // 2), np.uint8)
    padded = np.pad(weight, ((0, count * block - depth), (0, 0)))
    quantize_matmul_4bits(packed, padded, scale, zeros, block, outputs, depth, symmetric)
    codes = unpack(packed.tobytes(), 4).reshape(outputs, count, block)
    zero = np.full((outputs, count, 1), 8) if symmetric else unpack(zeros.tobytes(), 4).reshape(outputs, -1)[:, :count, None]
    return ((codes - zero) * scale.reshape(outputs, count, 1)).reshape(outputs, -1)[:, :depth]


def beside_theirs(program, folder):
    """With the same blocks, minmax keeps what ONNX Runtime's quantizer keeps of weights, and mse and hqq keep more."""
    rng = np.random.default_rng(5)
    weight = rng.standard_normal((200, 48)).astype(np.float32) * rng.uniform(0.01, 3, (1, 48)).astype(np.float32)
    weight[::50] *= 6
    source, path = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx"))
    helper = onnx.helper
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", size]) for name, size in (("x", 200), ("y", 48))]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ports[:1], ports[1:], [onnx.numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
    for block in (16, 32, 128):
        for symmetric in (True, False):
            kept = runs.sqnr((weight ** 2).sum(), ((theirs(weight, block, symmetric) - weight.T) ** 2).sum())
            for how, more in (("minmax", 0), ("mse", 0.1), ("hqq", 0.02)):
                if how == "hqq" and symmetric:
                    continue
                program(source, path, "--preset", "int4", "-o", f"block-size={block}", "-o", f"weight-symmetric={'on' if symmetric else 'off'}", "-o", f"weight-range={how}")
                made, = what_codes_stand_for(onnx.load(path)).values()
                db = runs.sqnr((weight ** 2).sum(), ((made - weight.T) ** 2).sum())
                told, = [row["weight_sqnr_db"] for row in runs.sidecar(path)["nodes"]]
                assert abs(told - db) < 0.02, f"the sidecar says {told:.3f} dB, the file {db:.3f}"
                if how == "minmax":
                    assert abs(db - kept) < 0.01, f"blocks of {block}: {db:.3f} dB instead of {kept:.3f}"
                else:
                    assert db > kept + more, f"blocks of {block}, {how}: {db:.3f} dB, theirs {kept:.3f}"
                x = rng.standard_normal((4, 200)).astype(np.float32)
                y = runs.session(path, runs.FULL).run(None, {"x": x})[0]
                assert runs.sqnr((y ** 2).sum(), ((y - x @ made.T) ** 2).sum()) > 35, "MatMulNBits computes something else"


def one_column(program, folder):
    """A product with one output, and one that sums over one input, in blocks in either format."""
    rng, helper = np.random.default_rng(6), onnx.helper
    source, path = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx"))
    for shape in ((100, 1), (6000, 1), (1, 64)):
        weight = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", size]) for name, size in (("x", shape[0]), ("y", shape[1]))]
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ports[:1], ports[1:], [onnx.numpy_helper.from_array(weight, "w")])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
        x = rng.uniform(0, 1, (4, shape[0])).astype(np.float32)
        for options in (("qdq", "on"), ("qdq", "off"), ("qoperator", "on"), ("qoperator", "off")):
            program(source, path, "--preset", "int4", "--format", options[0], "-o", f"weight-symmetric={options[1]}", env=NO_RUNTIME)
            onnx.checker.check_model(path, full_check=True)
            y = runs.session(path, runs.FULL).run(None, {"x": x})[0]
            db = runs.sqnr(((x @ weight) ** 2).sum(), ((y - x @ weight) ** 2).sum())
            assert db > 20, f"{shape}, {options}: {db:.1f} dB"


def either_way(program, folder):
    """Layers that sum over one axis of a weight, and over the other, have blocks along theirs; those that ask for the same share it."""
    rng, helper = np.random.default_rng(7), onnx.helper
    source, path, calib = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx", "calib.npz"))
    weight, x = rng.standard_normal((80, 80)).astype(np.float32), rng.standard_normal((64, 80)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"]), helper.make_node("Gemm", ["x", "w"], ["b"], transB=1), helper.make_node("MatMul", ["x", "w"], ["c"])]
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 80]) for name in "xabc"]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [onnx.numpy_helper.from_array(weight, "w")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
    np.savez(calib, x=x.reshape(16, 4, 80))
    for rounding, env in (((), NO_RUNTIME), (("--calib", calib, "-o", "rounding=second-order", "--min-sqnr", "0"), None)):
        for style in ("qoperator", "qdq"):
            program(source, path, "--preset", "int4", "--format", style, *rounding, env=env)
            codes = [t for t in onnx.load(path).graph.initializer if "_quantized" in t.name]
            assert len(codes) == 2, f"{style}, {rounding}: {[t.name for t in codes]}"
            for name, wanted, y in zip("abc", (x @ weight, x @ weight.T, x @ weight), runs.session(path, runs.FULL).run(None, {"x": x})):
                db = runs.sqnr((wanted ** 2).sum(), ((y - wanted) ** 2).sum())
                assert db > 18, f"{style}, {rounding}: {name} keeps {db:.1f} dB"


# By preset: options, and dB that the bundled transformer keeps by nearest codes and that it keeps more of with data.
FITTED = {"int4": [((), 26, 4.5), (("--format", "qdq", "-o", "weight-symmetric=on", "-o", "block-size=64"), 24, 4)],
          "int2": [((), 13, 4)], "int8-weights": [((), 47, 4)]}


def with_data(program, folder, preset):
    """What is found by the data is the same for any number of threads and any limit of memory, and keeps more on other data."""
    source, calib = (os.path.join(MODELS, "chargpt", name) for name in ("model.onnx", "calib.npz"))
    data, names = np.load(os.path.join(MODELS, "chargpt", "eval.npz")), ["logits"]
    wanted = runs.run_samples(runs.session(source), data, EVALUATION)
    for options, least, more in FITTED[preset]:
        kept = {}
        for rounding in ("nearest", "second-order"):
            paths = [os.path.join(folder, f"{rounding}{i}.onnx") for i in range(2)]
            for path, threads, limit in zip(paths, (1, 3), (8, 512)):
                program(source, path, "--preset", preset, "--calib", calib, "-o", f"rounding={rounding}", *options, "--threads", str(threads), "-o", f"mem-limit={limit}")
            with open(paths[0], "rb") as one, open(paths[1], "rb") as other:
                assert one.read() == other.read(), f"{rounding}: threads or memory show"
            onnx.checker.check_model(onnx.load(paths[0]), full_check=True)
            assert runs.compare(wanted, runs.session(paths[0], runs.FULL), data, names).db()["logits"] > min(least, 40)
            kept[rounding] = runs.compare(wanted, runs.session(paths[0]), data, names).db()["logits"]
            found = [row.get("rounding") for row in runs.sidecar(paths[0])["nodes"] if row["decision"] == "quantized" and row["op_type"] != "Gather"]
            assert all((row is not None and row["gain_db"] > 1) == (rounding == "second-order") for row in found), found
        print(f"{preset} {' '.join(options)}: {kept['nearest']:.2f} dB, with data {kept['second-order']:.2f}")
        assert kept["nearest"] > least and kept["second-order"] > kept["nearest"] + more, kept
        if preset != "int8-weights":
            program(source, paths[1], "--preset", preset, "--calib", calib, "-o", "rounding=second-order", *options, "-o", "mem-limit=1")
            in_parts = runs.compare(wanted, runs.session(paths[1]), data, names).db()["logits"]
            assert in_parts > kept["nearest"] + more / 2, f"{in_parts:.2f} dB in parts"
            program(source, paths[1], "--preset", preset, "--calib", calib, *options)
            with open(paths[0], "rb") as one, open(paths[1], "rb") as other:
                assert one.read() == other.read(), "what keeps more is not chosen"


def biases(program, folder):
    """What codes fitted to the data take from the mean of an output is in the bias, wherever that stands; layers that share a weight
    but not what they read have codes of their own."""
    helper, rng = onnx.helper, np.random.default_rng(9)
    nodes = [helper.make_node("Gemm", ["x", "u", "a"], ["g"], transB=1), helper.make_node("Relu", ["g"], ["r"]), helper.make_node("MatMul", ["r", "v"], ["m"]),
             helper.make_node("Add", ["b", "m"], ["s"]), helper.make_node("MatMul", ["s", "v"], ["n"]), helper.make_node("Add", ["n", "b"], ["y"])]
    tensors = {name: (rng.standard_normal(shape) * size).astype(np.float32) for name, shape, size in (("u", (96, 64), 0.2), ("a", (96,), 1), ("v", (96, 96), 0.1), ("b", (1, 96), 1))}
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (("x", ["N", 64]), ("g", ["N", 96]), ("s", ["N", 96]), ("y", ["N", 96]))]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [onnx.numpy_helper.from_array(t, n) for n, t in tensors.items()])
    source, path, calib = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx", "calib.npz"))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
    mixed = rng.standard_normal((16, 64))
    rows = (rng.standard_normal((4096, 16)) @ mixed + 3 + 0.3 * rng.standard_normal((4096, 64))).astype(np.float32)
    np.savez(calib, x=rows[:2048].reshape(64, 32, 64))
    wanted = runs.session(source).run(None, {"x": rows[2048:]})
    for options in ((), ("--format", "qdq"), ("--target", "openvino"), ("-o", "mem-limit=1", "-o", "block-size=16")):
        errors = {}
        for rounding in ("nearest", "second-order"):
            program(source, path, "--preset", "int4", "--calib", calib, "-o", f"rounding={rounding}", "--min-sqnr", "0", *options)
            model = onnx.load(path)
            onnx.checker.check_model(model, full_check=True)
            assert sum(t.name.endswith("_corrected") or t.name.endswith("_negative") for t in model.graph.initializer) >= (3 if rounding == "second-order" else 0)
            errors[rounding] = [x - y for x, y in zip(wanted, runs.session(path).run(None, {"x": rows[2048:]}))]
        for nearest, fitted in zip(errors["nearest"], errors["second-order"]):
            assert (fitted ** 2).mean() < 0.4 * (nearest ** 2).mean(), f"{options}: {(fitted ** 2).mean():.3g}, nearest {(nearest ** 2).mean():.3g}"
            assert (fitted.mean(axis=0) ** 2).mean() < 0.05 * (fitted ** 2).mean(), f"{options}: the mean is off"


def raised(program, folder, preset, opset):
    """Operators that changed between opset 16 and 21 compute what they did. ONNX Runtime 1.31 has no RoiAlign of opset 22."""
    helper, rng = onnx.helper, np.random.default_rng(6)
    nodes = [helper.make_node(op, ["x"], [op], axes=[-1], keepdims=0) for op in
             ("ReduceL1", "ReduceL2", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSumSquare")]
    nodes += [helper.make_node("Split", ["x"], ["a", "b"], axis=1), helper.make_node("ReduceMax", ["x"], ["all"]),
              helper.make_node("GridSample", ["map", "grid"], ["sampled"]), helper.make_node("GridSample", ["map", "grid"], ["cubic"], mode="bicubic"),
              *([helper.make_node("RoiAlign", ["map", "rois", "which"], ["aligned"], output_height=2, output_width=2)] if opset < 22 else []),
              helper.make_node("DFT", ["wave"], ["spectrum"], axis=1), helper.make_node("MatMul", ["x", "w"], ["y"])]
    tensors = {"w": rng.standard_normal((64, 12)), "rois": np.array([[0, 0, 3, 2]]), "wave": rng.standard_normal((1, 8, 1))}
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in (("x", [4, 64]), ("map", [1, 1, 5, 6]), ("grid", [1, 3, 3, 2]))]
    names = [o for n in nodes for o in n.output]
    graph = helper.make_graph(nodes, "g", ports, [helper.make_tensor_value_info(o, onnx.TensorProto.FLOAT, None) for o in names],
                              [*(onnx.numpy_helper.from_array(t.astype(np.float32), n) for n, t in tensors.items()), onnx.numpy_helper.from_array(np.array([0]), "which")])
    source, path = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx"))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, source)
    feed = {"x": rng.uniform(0.5, 2, (4, 64)), "map": rng.standard_normal((1, 1, 5, 6)), "grid": rng.uniform(-1, 1, (1, 3, 3, 2))}
    feed = {name: value.astype(np.float32) for name, value in feed.items()}
    wanted = runs.session(source).run(None, feed)
    program(source, path, "--preset", preset, "--format", "qdq", env=NO_RUNTIME)
    assert [o.version for o in onnx.load(path).opset_import if not o.domain] == [opset]
    for name, x, y in zip(names, wanted, runs.session(path).run(None, feed)):
        assert name == "y" or np.allclose(x, y, 1e-6, 1e-6), f"{name} changed at opset {opset}"


def shared_codes(program, folder):
    """Layers that read one value share its codes, and ONNX Runtime makes one kernel of each layer."""
    helper, rng = onnx.helper, np.random.default_rng(8)
    nodes = [helper.make_node("MatMul", ["x", "q"], ["a"]), helper.make_node("MatMul", ["x", "k"], ["b"]), helper.make_node("Add", ["a", "b"], ["c"]),
             helper.make_node("Relu", ["c"], ["d"]), helper.make_node("Gemm", ["d", "v", "bias"], ["y"], transB=1)]
    tensors = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in (("q", (64, 48)), ("k", (64, 48)), ("v", (40, 48)), ("bias", (40,)))}
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", size]) for name, size in (("x", 64), ("y", 40))]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [onnx.numpy_helper.from_array(t, n) for n, t in tensors.items()])
    source, path, saved = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx", "saved.onnx"))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
    program(source, path, "--preset", "int8-dynamic", env=NO_RUNTIME)
    assert sum(n.op_type == "DynamicQuantizeLinear" for n in onnx.load(path).graph.node) == 2
    runs.session(path, runs.FUSED, save=saved)
    made = [n.op_type for n in onnx.load(saved).graph.node]
    assert sorted(op for op in made if "MatMul" in op or op == "DynamicQuantizeLinear") == ["DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "MatMulIntegerToFloat"], made


def too_large(program, folder):
    """Few weights that float16 does not hold become its largest number, and the summary and the sidecar count them; where that
    loses much, the layer stays as it is."""
    helper = onnx.helper
    weight = np.full((32, 16), 2.0, np.float32)
    weight[3, :2] = 7e4, -7e4
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", size]) for name, size in (("x", 32), ("y", 16))]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ports[:1], ports[1:], [onnx.numpy_helper.from_array(weight, "w")])
    source, path = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx"))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
    done = program(source, path, "--preset", "fp16", env=NO_RUNTIME)
    assert "2 weights are too large for float16" in done.stderr + done.stdout, done.stderr
    made, = [onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer]
    assert made.dtype == np.float16 and made[3, 0] == 65504 and made[3, 1] == -65504 and (made[4:] == 2).all()
    assert [t["clamped_count"] for t in runs.sidecar(path)["tensors"]] == [2]
    weight[3, 0] = 1e6
    graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(weight, "w"))
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), source)
    program(source, path, "--preset", "fp16", env=NO_RUNTIME)
    assert [row["decision"] for row in runs.sidecar(path)["nodes"]] == ["float"]


def judge(program, preset, options, net, folder):
    """dB of the worst output."""
    source, path = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx"))
    before = net.model()
    onnx.save(before, source)
    done = program(source, path, "--preset", preset, *options, env=NO_RUNTIME)
    assert "--calib" not in done.stderr, f"asks for data: {done.stderr}"
    after, report = onnx.load(path), runs.sidecar(path)
    onnx.checker.check_model(after, full_check=True)
    same_ports(before, after)
    assert report["calibration"] is None
    for row in report["nodes"]:
        assert row["decision"] in ("quantized", "float"), row
        assert row["decision"] != "float" or row["reason_text"], row
    quantized = [row for row in report["nodes"] if row["decision"] == "quantized"]
    assert all(row["op_type"] in HAVE_WEIGHTS and row["weight_sqnr_db"] >= 0 for row in quantized), quantized
    return accuracy(net, source, path)


def main():
    program, preset = runs.Program(sys.argv[1]), sys.argv[2]
    failed = 0
    with tempfile.TemporaryDirectory(prefix="qonnx-weights-") as folder:
        if preset == "fp16":
            too_large(program, folder)
        if preset == "int8-dynamic":
            shared_codes(program, folder)
        if preset == "int4":
            beside_theirs(program, folder)
            one_column(program, folder)
            either_way(program, folder)
            biases(program, folder)
        if preset in FITTED:
            with_data(program, folder, preset)
        if preset in ("int4", "int2"):
            raised(program, folder, preset, 21 if preset == "int4" else 25)
    for options, least, together in CASES[preset]:
        figures = []
        for name in sys.argv[3:] or [n for n in zoo.MODELS if n not in NOT_FOR.get(preset, ())]:
            with tempfile.TemporaryDirectory(prefix="qonnx-weights-") as folder:
                try:
                    db = judge(program, preset, options, zoo.make(name), folder)
                    figures.append(min(db, 80))
                    assert db >= least, f"{db:.1f} dB"
                except Exception as error:  # noqa: BLE001
                    failed += 1
                    print(f"FAILED {preset} {' '.join(options)}: {name}: {error}", flush=True)
        if figures:
            print(f"{preset} {' '.join(options)}: {len(figures)} models, least {min(figures):.1f} dB, mean {np.mean(figures):.1f} dB")
            if not sys.argv[3:] and np.mean(figures) < together:
                failed += 1
                print(f"FAILED: {together} dB wanted")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
