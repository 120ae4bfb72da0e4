# SPDX-License-Identifier: Apache-2.0
"""test_promises.py PROGRAM FOLDER: what the program promises of any model, shown on the one in the folder (mnist_resnet)."""
import json
import os
import shutil
import sys

import does
import numpy as np
import onnx
import promises
import runs
import zoo
from onnx import TensorProto, helper, numpy_helper
from promises import calib_of, promise, read


def decisions(path):
    return {row["name"]: (row["decision"], row.get("reason")) for row in runs.sidecar(path)["nodes"]}


# ---- data ----

@promise
def works_without_samples_and_says_so(program, folder, scratch):
    out = os.path.join(scratch, "out.onnx")
    done = program(os.path.join(folder, "model.onnx"), out)
    assert "--calib" in done.stderr, done.stderr
    report = runs.sidecar(out)
    assert report["calibration"]["ranges"] == "synthetic", report["calibration"]
    assert any("--calib" in text for text in report["warnings"]), report["warnings"]
    onnx.checker.check_model(out, full_check=True)
    first = read(out)
    program(os.path.join(folder, "model.onnx"), out)
    assert read(out) == first, "made-up data are not the same in each run"
    program(os.path.join(folder, "model.onnx"), out, "--seed", 7)
    assert read(out) != first, "the seed changes nothing"


@promise
def every_form_of_samples_gives_the_same_model(program, folder, scratch):
    data, made = calib_of(folder), {}
    name, values = next(iter(data.items()))
    np.savez(os.path.join(scratch, "all.npz"), **data)
    np.savez_compressed(os.path.join(scratch, "packed.npz"), **data)
    np.save(os.path.join(scratch, "all.npy"), values)
    for kind in ("npz", "npy", "pb"):
        os.makedirs(os.path.join(scratch, kind))
    for i, value in enumerate(values):
        np.savez(os.path.join(scratch, "npz", f"{i:03}.npz"), **{name: values[i:i + 1]})
        np.save(os.path.join(scratch, "npy", f"{i:03}.npy"), value)
        os.makedirs(os.path.join(scratch, "pb", f"test_data_set_{i}"))
        with open(os.path.join(scratch, "pb", f"test_data_set_{i}", "input_0.pb"), "wb") as file:
            file.write(numpy_helper.from_array(value, name).SerializeToString())
    for form in ("all.npz", "packed.npz", "all.npy", "npz", "npy", "pb"):
        out = os.path.join(scratch, f"{form}.onnx")
        program(os.path.join(folder, "model.onnx"), out, "--calib", os.path.join(scratch, form))
        assert runs.sidecar(out)["calibration"]["samples"] == len(values), form
        made[form] = read(out)
    assert len(set(made.values())) == 1, {form: hash(model) for form, model in made.items()}


@promise
def how_samples_were_understood_is_told(program, folder, scratch):
    name, values = next(iter(calib_of(folder).items()))
    np.savez(os.path.join(scratch, "other.npz"), no_such_input=values.astype(np.float64))
    out = os.path.join(scratch, "out.onnx")
    done = program(os.path.join(folder, "model.onnx"), out, "--calib", os.path.join(scratch, "other.npz"))
    assert f"'no_such_input' is taken for the model's one input '{name}'" in done.stderr, done.stderr
    assert "converted from double" in done.stderr, done.stderr
    assert any("'no_such_input'" in text for text in runs.sidecar(out)["warnings"])


@promise
def samples_are_never_replaced(program, folder, scratch):
    data = shutil.copy(os.path.join(folder, "calib.npz"), scratch)
    before = read(data)
    for out, sidecar in ((data, "none"), (os.path.join(scratch, "out.onnx"), data)):
        for calib in (data, scratch):
            done = program(os.path.join(folder, "model.onnx"), out, "--calib", calib, "--sidecar", sidecar, status=2)
            assert len(done.stderr.splitlines()) == 1, done.stderr
            assert read(data) == before
    out = os.path.join(scratch, "out.onnx")
    program(os.path.join(folder, "model.onnx"), out, "--calib", data, "--sidecar", os.path.join(scratch, ".", "out.onnx"), status=2)
    assert os.listdir(scratch) == ["calib.npz"]


@promise
def samples_with_nan_are_refused(program, folder, scratch):
    name, values = next(iter(calib_of(folder).items()))
    if values.dtype != np.float32:
        return
    values = values[:4].copy()
    values[2].flat[7] = np.nan
    path, out = os.path.join(scratch, "nan.npz"), os.path.join(scratch, "out.onnx")
    np.savez(path, **{name: values})
    done = program(os.path.join(folder, "model.onnx"), out, "--calib", path, status=5)
    assert len(done.stderr.splitlines()) == 1 and path in done.stderr and "1 NaN" in done.stderr, done.stderr
    assert not os.path.exists(out)


@promise
def data_that_leave_nothing_to_quantize_are_an_error(program, folder, scratch):
    data = calib_of(folder, 4)
    next(iter(data.values()))[1].flat[0] = np.inf
    bad, out = os.path.join(scratch, "inf.npz"), os.path.join(scratch, "out.onnx")
    np.savez(bad, **data)
    done = program(os.path.join(folder, "model.onnx"), out, "--calib", bad, status=5)
    assert "inf.npz" in done.stderr and not os.path.exists(out), done.stderr


@promise
def fewer_samples_are_fewer(program, folder, scratch):
    out = os.path.join(scratch, "out.onnx")
    program(os.path.join(folder, "model.onnx"), out, "--calib", os.path.join(folder, "calib.npz"), "--samples", 5)
    assert runs.sidecar(out)["calibration"]["samples"] == 5
    first = read(out)
    np.savez(os.path.join(scratch, "five.npz"), **calib_of(folder, 5))
    program(os.path.join(folder, "model.onnx"), out, "--calib", os.path.join(scratch, "five.npz"))
    assert read(out) == first


@promise
def order_of_samples_does_not_matter(program, folder, scratch):
    """To what is read out of all of them; candidates are judged on some, which are others when the order is."""
    made = []
    for turn, step in (("forth", 1), ("back", -1)):
        out = os.path.join(scratch, turn + ".onnx")
        np.savez(os.path.join(scratch, turn), **{name: v[::step] for name, v in calib_of(folder).items()})
        program(os.path.join(folder, "model.onnx"), out, "--calib", os.path.join(scratch, turn + ".npz"), "-o", "verify=off")
        made.append(read(out))
    assert made[0] == made[1]


@promise
def symbolic_sizes_can_be_given(program, folder, scratch):
    """A sequence model whose length cannot be known: without it synthetic data use something and the sidecar says what."""
    source, out = os.path.join(scratch, "in.onnx"), os.path.join(scratch, "out.onnx")
    onnx.save(zoo.make("attention_encoder").model(), source)
    program(source, out, "--dim", "T=9", "--dim", "N=2")
    onnx.checker.check_model(out, full_check=True)
    text = read(runs.sidecar_path(out)).decode()
    assert '"T=9"' in text, text[:2000]


def recurrent_cell(scratch):
    """state_out = tanh(x W + state U), y = state_out V; and what the layers' inputs are over the samples."""
    rng = np.random.default_rng(4)
    w, u, v = (rng.standard_normal(shape).astype(np.float32) / 2 for shape in ((8, 16), (16, 16), (16, 4)))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["a"], name="from_x"), helper.make_node("MatMul", ["state", "u"], ["b"], name="from_state"),
             helper.make_node("Add", ["a", "b"], ["c"]), helper.make_node("Tanh", ["c"], ["state_out"]), helper.make_node("MatMul", ["state_out", "v"], ["y"])]
    ports = [[helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", size]) for name, size in names]
             for names in ((("x", 8), ("state", 16)), (("y", 4), ("state_out", 16)))]
    graph = helper.make_graph(nodes, "cell", *ports, [numpy_helper.from_array(t, name) for t, name in ((w, "w"), (u, "u"), (v, "v"))])
    path = os.path.join(scratch, "cell.onnx")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    data = rng.standard_normal((24, 1, 8)).astype(np.float32)
    np.savez(os.path.join(scratch, "x.npz"), x=data)

    def states(reset, first):
        seen, state = [], None
        for i, x in enumerate(data):
            if not i or (reset and i % reset == 0):
                state = first
            seen.append(state)
            state = np.tanh(x @ w + state @ u)
        return np.stack(seen)
    return path, data, states


@promise
def states_go_from_sample_to_sample(program, folder, scratch):
    """The range of a state is that of the states a loop over the samples sees."""
    model, data, states = recurrent_cell(scratch)
    calib, out = os.path.join(scratch, "x.npz"), os.path.join(scratch, "out.onnx")
    zeros, given = np.zeros((1, 16), np.float32), np.full((1, 16), 3, np.float32)
    np.savez(os.path.join(scratch, "both.npz"), x=data, state=np.broadcast_to(given, (24, 1, 16)))
    for path, reset, first in ((calib, 0, zeros), (calib, 5, zeros), (os.path.join(scratch, "both.npz"), 6, given)):
        program(model, out, "--calib", path, "--state", "state_out=state", *(["--state-reset", reset] if reset else []), "-o", "observer=minmax")
        row = next(t for t in runs.sidecar(out)["tensors"] if t["name"] == "state")
        seen = states(reset, first)
        found, wanted = row["float_max"] - row["float_min"], max(seen.max(), 0) - min(seen.min(), 0)
        assert np.isclose(found, wanted, rtol=1e-4), (row, seen.min(), seen.max())
    many, few = os.path.join(scratch, "many.onnx"), os.path.join(scratch, "few.onnx")
    for made, threads in ((many, 8), (few, 1)):
        program(model, made, "--calib", calib, "--state", "state_out=state", "--threads", threads)
    assert read(many) == read(few)
    text = program("compare", model, many, "--calib", calib, "--state", "state_out=state", "--json").stdout
    assert min(o["sqnr_db"] for o in json.loads(text)["outputs"]) > 20, text


@promise
def states_that_are_none_are_mistakes(program, folder, scratch):
    model, _, _ = recurrent_cell(scratch)
    calib, out = os.path.join(scratch, "x.npz"), os.path.join(scratch, "out.onnx")
    for arguments in (["--state", "state_out"], ["--state", "no_such=state"], ["--state", "state_out=no_such"], ["--state", "y=state"], ["--state-reset", "3"],
                      ["--state", "state_out=state", "--shuffle"], ["--state", "state_out=state", "--state", "y=state"]):
        done = program(model, out, "--calib", calib, *arguments, status=2)
        assert len(done.stderr.splitlines()) == 1 and not os.path.exists(out), done.stderr


# ---- failures ----

@promise
def without_runtime_the_status_is_4(program, folder, scratch):
    """One line that says how to get it; nothing is written and what was there stays."""
    out = os.path.join(scratch, "out.onnx")
    with open(out, "w", encoding="utf-8") as file:
        file.write("precious")
    missing = {"QONNX_ORT": os.path.join(scratch, "nothing.so"), "PATH": "/nonexistent", "LD_LIBRARY_PATH": ""}
    done = program(os.path.join(folder, "model.onnx"), out, "--calib", os.path.join(folder, "calib.npz"), status=4, env=missing)
    assert len(done.stderr.strip().splitlines()) == 1 and "onnxruntime" in done.stderr.lower().replace(" ", ""), done.stderr
    assert read(out) == b"precious" and os.listdir(scratch) == ["out.onnx"], os.listdir(scratch)


@promise
def a_failure_leaves_what_was_there(program, folder, scratch):
    model, out = os.path.join(folder, "model.onnx"), os.path.join(scratch, "out.onnx")
    for path in (out, runs.sidecar_path(out)):
        with open(path, "w", encoding="utf-8") as file:
            file.write("precious")
    np.savez(os.path.join(scratch, "wrong.npz"), input=np.zeros((3, 1, 1, 27, 28), np.float32))
    np.savez(os.path.join(scratch, "other.npz"), other=np.zeros((3, 1), np.float32))
    before = sorted(os.listdir(scratch))
    for status, arguments in ((5, ["--calib", os.path.join(scratch, "wrong.npz")]), (5, ["--calib", os.path.join(scratch, "other.npz")]),
                              (2, ["--exclude", "nothing-like-that"]), (2, ["--preset", "int9"]), (3, ["--exclude", "op:Gemm", "--strict"])):
        done = program(model, out, *arguments, status=status)
        # a warning about missing samples may come first
        assert done.stderr.strip().splitlines()[-1].startswith("qonnx-quantize: error: "), done.stderr
        assert read(out) == b"precious" and read(runs.sidecar_path(out)) == b"precious", arguments
        assert sorted(os.listdir(scratch)) == before, sorted(os.listdir(scratch))


@promise
def a_model_may_be_replaced_by_its_quantized_form(program, folder, scratch):
    model, out = os.path.join(scratch, "model.onnx"), os.path.join(scratch, "elsewhere.onnx")
    shutil.copy(os.path.join(folder, "model.onnx"), model)
    program(model, out, "--calib", os.path.join(folder, "calib.npz"), "--sidecar", os.path.join(scratch, "side.json"))
    program(model, model, "--calib", os.path.join(folder, "calib.npz"))
    assert read(model) == read(out)
    assert sorted(os.listdir(scratch)) == ["elsewhere.onnx", "model.onnx", "model.quant.json", "side.json"], os.listdir(scratch)


@promise
def a_quantized_model_can_be_given_again(program, folder, scratch):
    """Nothing is quantized twice: the same bytes come out. What stays in float for its noise is another matter: beside a model
    that is quantized already it makes none."""
    once, twice = os.path.join(scratch, "once.onnx"), os.path.join(scratch, "twice.onnx")
    for preset, form in [("int8", "qdq"), ("int8", "qoperator"), ("brevitas-int8", "qcdq"), ("brevitas-w4a4", "qcdq"), ("brevitas-uint8", "qdq")]:
        options = ["--calib", os.path.join(folder, "calib.npz"), "--preset", preset, "--format", form, "--samples", "4", "--min-sqnr", "0"]
        program(os.path.join(folder, "model.onnx"), once, *options)
        program(once, twice, *options)
        assert read(once) == read(twice), (preset, form)


@promise
def what_is_quantized_in_part_keeps_its_quantizers(program, folder, scratch):
    """The rest is quantized around them, and the report says which were there."""
    part, whole = os.path.join(scratch, "part.onnx"), os.path.join(scratch, "whole.onnx")
    calib = ["--calib", os.path.join(folder, "calib.npz"), "--samples", "4"]
    layers = [n.name for n in onnx.load(os.path.join(folder, "model.onnx")).graph.node if n.op_type in ("Conv", "Gemm", "MatMul")]
    program(os.path.join(folder, "model.onnx"), part, "--include", layers[0], "--include", layers[1], *calib)
    known = {t.name: onnx.numpy_helper.to_array(t).tobytes() for t in onnx.load(part).graph.initializer}
    kept = [[(n.op_type, *map(known.get, n.input[1:])) for n in onnx.load(part).graph.node if n.op_type.endswith("antizeLinear")]]
    for preset in ("int8", "brevitas-int8"):
        done = program(part, whole, *calib, "--preset", preset)
        known = {t.name: onnx.numpy_helper.to_array(t).tobytes() for t in onnx.load(whole).graph.initializer}
        found = [(n.op_type, *map(known.get, n.input[1:])) for n in onnx.load(whole).graph.node if n.op_type.endswith("antizeLinear")]
        assert len(found) > len(kept[0]) and all(found.count(k) >= kept[0].count(k) for k in kept[0]), preset
        assert "is quantized in the input model already" in done.stderr, done.stderr


@promise
def weights_may_lie_in_another_file(program, folder, scratch):
    """External data: the quantized model is the same but for nothing."""
    source, out = os.path.join(scratch, "in.onnx"), os.path.join(scratch, "out.onnx")
    onnx.save(onnx.load(os.path.join(folder, "model.onnx")), source, save_as_external_data=True, location="weights.json", size_threshold=0)
    weights = read(os.path.join(scratch, "weights.json"))
    for option in ("--sidecar", "--report"):
        program(source, out, "--calib", os.path.join(folder, "calib.npz"), option, os.path.join(scratch, "weights.json"), status=2)
    assert read(os.path.join(scratch, "weights.json")) == weights and not os.path.exists(out)
    program(source, out, "--calib", os.path.join(folder, "calib.npz"))
    program(os.path.join(folder, "model.onnx"), os.path.join(scratch, "direct.onnx"), "--calib", os.path.join(folder, "calib.npz"))
    assert read(out) == read(os.path.join(scratch, "direct.onnx"))


# ---- models that declare what is not so ----

def two_products(scratch, **declared):
    """x [N, 8] · a · b; `declared` are shapes of values."""
    rng = np.random.default_rng(1)
    weights = [numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32), name) for name, shape in (("a", (8, 16)), ("b", (16, 4)))]
    nodes = [helper.make_node("MatMul", ["x", "a"], ["m"], name="one"), helper.make_node("MatMul", ["m", "b"], ["y"], name="two")]
    info = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, declared.get(name, shape)) for name, shape in (("x", ["N", 8]), ("m", None), ("y", ["N", 4]))}
    graph = helper.make_graph(nodes, "g", [info["x"]], [info["y"]], weights, value_info=[info["m"]] if "m" in declared else [])
    path, data = os.path.join(scratch, "in.onnx"), os.path.join(scratch, "calib.npz")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    np.savez(data, x=rng.standard_normal((8, 3, 8)).astype(np.float32))
    return path, data


@promise
def shapes_that_the_values_contradict_are_dropped(program, folder, scratch):
    for shape in ([3, 99], [3, 16, 1], [1, 16]):
        model, data = two_products(scratch, m=shape)
        out = os.path.join(scratch, "out.onnx")
        done = program(model, out, "--calib", data)
        assert "'m'" in done.stderr, done.stderr
        onnx.checker.check_model(out, full_check=True)
        compared = runs.compare(runs.run_samples(runs.session(model), dict(np.load(data)), 4), runs.session(out), dict(np.load(data)), ["y"])
        assert compared.db()["y"] > 30, compared.db()
    model, data = two_products(scratch, m=["N", 16])
    assert "'m'" not in program(model, out, "--calib", data).stderr
    assert any(v.name == "m" for v in onnx.load(out).graph.value_info), "what is true went too"


@promise
def a_declared_size_of_zero_is_an_unknown_one(program, folder, scratch):
    model, data = two_products(scratch, x=[0, 8])
    for extra in (["--calib", data], []):
        program(model, os.path.join(scratch, "out.onnx"), *extra)
        assert runs.sidecar(os.path.join(scratch, "out.onnx"))["model"]["layers_quantized"] == 2


@promise
def errors_of_the_runtime_name_the_file(program, folder, scratch):
    path, good = os.path.join(scratch, "broken.onnx"), os.path.join(folder, "model.onnx")
    model = onnx.load(good)
    next(n for n in model.graph.node if n.op_type == "Conv").attribute.append(helper.make_attribute("auto_pad", "SOMEHOW"))
    onnx.save(model, path)
    for command in ([path, os.path.join(scratch, "out.onnx")], ["compare", good, path, "--calib", os.path.join(folder, "calib.npz")]):
        done = program(*command, status=1)
        assert f"{path}: " in done.stderr, done.stderr


# ---- choices ----

@promise
def nested_nodes_are_chosen_by_name_or_path(program, folder, scratch):
    net = zoo.make("branches_in_a_loop")
    model, out, calib = (os.path.join(scratch, name) for name in ("in.onnx", "out.onnx", "calib.npz"))
    onnx.save(net.model(), model)
    np.savez(calib, **net.samples(8, 1))
    for pattern in ("then_conv", "loop/body/choose/then_branch/then_conv", "*/then_branch/*"):
        program(model, out, "--calib", calib, "--exclude", pattern)
        rows = {row["name"]: row for row in runs.sidecar(out)["nodes"]}
        assert rows["then_conv"]["reason"] == "excluded" and rows["else_conv"]["decision"] == "quantized", (pattern, rows)
    assert rows["then_conv"]["scope"] == "loop/body/choose/then_branch" and rows["residual"]["scope"] == "loop/body", rows
    assert not any("scope" in row for row in (rows["loop"], rows["head"])), rows
    program(model, out, "--calib", calib, "--exclude", "loop/then_conv", status=2)


@promise
def excluded_nodes_stay_float(program, folder, scratch):
    model, out, calib = os.path.join(folder, "model.onnx"), os.path.join(scratch, "out.onnx"), os.path.join(folder, "calib.npz")
    program(model, out, "--calib", calib, "--exclude", "/c/Conv", "--exclude", "op:Gemm")
    found = decisions(out)
    assert found["/c/Conv"] == found["/fc/Gemm"] == ("float", "excluded"), found
    assert runs.sidecar(out)["model"]["layers_quantized"] == 8
    wrong, kernels = does.check(out)
    assert not wrong and kernels["QLinearConv"] == 8 and not kernels["QGemm"], (wrong, kernels)


@promise
def what_would_be_slower_stays_in_float(program, folder, scratch):
    """A convolution of one channel gathers more than it multiplies; the target's table of costs says so."""
    out = os.path.join(scratch, "out.onnx")
    program(os.path.join(folder, "model.onnx"), out, "--calib", os.path.join(folder, "calib.npz"), "-o", "only-faster=on", "-o", "verify=full")
    found, model = decisions(out), runs.sidecar(out)["model"]
    assert found["/c/Conv"] == ("float", "slower_on_target") and found["/l/l.2/c2/Conv"][0] == "quantized", found
    assert 0 < model["layers_quantized"] < 10 and not model["kernels_differ"], model
    assert not does.check(out)[0]


@promise
def only_included_nodes_are_quantized(program, folder, scratch):
    model, out, calib = os.path.join(folder, "model.onnx"), os.path.join(scratch, "out.onnx"), os.path.join(folder, "calib.npz")
    program(model, out, "--calib", calib, "--include", "/l/l.0/*")
    found = decisions(out)
    assert {name for name, (decision, _) in found.items() if decision == "quantized"} <= {n for n in found if n.startswith("/l/l.0/")}, found
    assert found["/l/l.0/c1/Conv"][0] == "quantized" and found["/c/Conv"] == ("float", "not_included"), found
    assert not does.check(out)[0]


@promise
def strict_passes_when_every_layer_is_quantized(program, folder, scratch):
    model, calib = os.path.join(folder, "model.onnx"), os.path.join(folder, "calib.npz")
    program(model, os.path.join(scratch, "out.onnx"), "--calib", calib, "--strict")
    done = program(model, os.path.join(scratch, "no.onnx"), "--calib", calib, "--strict", "--exclude", "/c/Conv", status=3)
    assert "/c/Conv" in done.stderr, done.stderr
    assert not os.path.exists(os.path.join(scratch, "no.onnx"))


@promise
def a_demanded_quality_leaves_more_in_float(program, folder, scratch):
    model, calib = os.path.join(folder, "model.onnx"), os.path.join(folder, "calib.npz")
    quantized = []
    for least in (10, 38):
        out = os.path.join(scratch, f"{least}.onnx")
        program(model, out, "--calib", calib, "--min-sqnr", least)
        report = runs.sidecar(out)
        quantized.append(report["model"]["layers_quantized"])
        reasons = {row.get("reason") for row in report["nodes"]} - {None}
        assert (least == 10) == (not reasons), reasons
        reference, data = runs.session(model), calib_of(folder, 4)
        wanted = runs.run_samples(reference, data, 4)
        compared = runs.compare(wanted, runs.session(out), data, [o.name for o in reference.get_outputs()])
        assert min(compared.db().values()) >= least - 3, compared.db()  # it is judged on a few samples only
        assert not does.check(out)[0]
    assert quantized[1] < quantized[0] == 10, quantized


@promise
def a_demand_that_only_float_meets_ends_in_float(program, folder, scratch):
    """Layers none of which pays by itself, though all together do: each makes no noise alone, so that none seems to be at fault."""
    rng = np.random.default_rng(0)
    model, out = os.path.join(scratch, "chain.onnx"), os.path.join(scratch, "out.onnx")
    weights = [numpy_helper.from_array((rng.standard_normal((16, 3 if not i else 16, 3, 3)) / 12).astype(np.float32), f"w{i}") for i in range(8)]
    nodes = [helper.make_node(op, inputs, [result], **attributes) for i in range(8) for op, inputs, result, attributes in (
        ("Conv", [f"r{i - 1}" if i else "x", f"w{i}"], f"c{i}", {"pads": [1] * 4}), ("Relu", [f"c{i}"], f"r{i}", {}))]
    ports = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 32, 32])] for name, channels in (("x", 3), ("r7", 16))]
    onnx.save(helper.make_model(helper.make_graph(nodes, "chain", *ports, weights), opset_imports=[helper.make_opsetid("", 13)], ir_version=8), model)
    program(model, out, "--min-sqnr", 60, "-o", "only-faster=on", timeout=60)
    data = {"x": rng.standard_normal((4, 1, 3, 32, 32)).astype(np.float32)}
    wanted = runs.run_samples(runs.session(model), data, 4)
    compared = runs.compare(wanted, runs.session(out), data, ["r7"])
    assert min(compared.db().values()) >= 57, compared.db()


@promise
def without_verification_the_bytes_are_the_same(program, folder, scratch):
    """Unless there are methods on trial, which are chosen by running."""
    made = []
    for kind in ("run", "full", "time", "off"):
        out = os.path.join(scratch, kind + ".onnx")
        program(os.path.join(folder, "model.onnx"), out, "--calib", os.path.join(folder, "calib.npz"), "-o", f"verify={kind}", "-o", "observer=minmax",
                "-o", "bias-correction=on")
        made.append(read(out))
    assert len(set(made)) == 1


@promise
def other_processors_do_not_matter(program, folder, scratch):
    """On one processor, and with more threads than samples."""
    made = []
    for name, prefix in (("free", []), ("bound", ["taskset", "-c", "0"])):
        out = os.path.join(scratch, name + ".onnx")
        if prefix and not shutil.which(prefix[0]):
            continue
        arguments = [os.path.join(folder, "model.onnx"), out, "--calib", os.path.join(folder, "calib.npz"), "--samples", "3", "-o", "only-faster=off"]
        if prefix:
            bound = runs.Program(shutil.which(prefix[0]))
            bound(*prefix[1:], program.path, *arguments)
        else:
            program(*arguments, "--threads", 16)
        made.append(read(out))
    assert len(set(made)) == 1


@promise
def second_order_rounding_keeps_more_whatever_the_threads_and_memory(program, folder, scratch):
    """Four bits, where rounding is what costs: by the error of each layer's output they keep far more than nearest codes."""
    model, data = os.path.join(folder, "model.onnx"), np.load(os.path.join(folder, "eval.npz"))
    run = runs.session(model)
    names = [output.name for output in run.get_outputs()]
    wanted = runs.run_samples(run, data, 32)
    kept, made = {}, []
    for rounding in ("nearest", "second-order"):
        out = os.path.join(scratch, rounding + ".onnx")
        program(model, out, "--preset", "w4a8", "--calib", os.path.join(folder, "calib.npz"), "--samples", 24, "-o", "rounding=" + rounding,
                "-o", "node-sqnr=0", "-o", "min-sqnr=0")
        for tensor in onnx.load(out).graph.initializer:
            if tensor.data_type == onnx.TensorProto.INT8:
                assert abs(numpy_helper.to_array(tensor).astype(int)).max() <= 7, tensor.name
        kept[rounding] = min(runs.compare(wanted, runs.session(out), data, names).db().values())
    assert kept["second-order"] > kept["nearest"] + 3, kept
    for row in runs.sidecar(out)["nodes"]:
        assert row["op_type"] not in ("Conv", "Gemm") or row["decision"] != "quantized" or row["rounding"]["rows"] >= 16 and row["rounding"]["gain_db"] > 0, row
    for options in ([], ["--threads", 1], ["--threads", 3, "-o", "mem-limit=1"]):
        out = os.path.join(scratch, "out.onnx")
        program(model, out, "--preset", "int8-best", "--calib", os.path.join(folder, "calib.npz"), "-o", "rounding=second-order", *options)
        made.append(read(out))
    assert len(set(made)) == 1


@promise
def nothing_but_the_output_is_written(program, folder, scratch):
    """No temporary is left in the output's folder, the current one or the one for temporaries."""
    for name in ("out", "here", "tmp"):
        os.makedirs(os.path.join(scratch, name))
    program(os.path.join(folder, "model.onnx"), os.path.join(scratch, "out", "m.onnx"), "--calib", os.path.join(folder, "calib.npz"),
            cwd=os.path.join(scratch, "here"), env={"TMPDIR": os.path.join(scratch, "tmp")})
    assert sorted(os.listdir(os.path.join(scratch, "out"))) == ["m.onnx", "m.quant.json"]
    assert not os.listdir(os.path.join(scratch, "here")) and not os.listdir(os.path.join(scratch, "tmp"))


@promise
def the_sidecar_is_true_of_the_model(program, folder, scratch):
    """Scales and zero points in the file are those in the sidecar; a bias has the product of input and weight scale."""
    out = os.path.join(scratch, "out.onnx")
    program(os.path.join(folder, "model.onnx"), out, "--calib", os.path.join(folder, "calib.npz"))
    model, report = onnx.load(out), runs.sidecar(out)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    scales = {n.input[0]: (constants[n.input[1]], constants[n.input[2]]) for n in model.graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")}
    tensors = {t["name"]: t for t in report["tensors"]}
    for tensor in report["tensors"]:
        scale, zero = scales[tensor["name"] if tensor["role"] == "activation" else tensor["name"] + "_quantized"]
        assert np.array_equal(np.float32(tensor["y_scale"]), scale), tensor["name"]
        assert np.array_equal(np.array(tensor["y_zero_point"]), zero) and zero.dtype.name == tensor["output_dtype"], tensor["name"]
    made_by = {o: n for n in model.graph.node for o in n.output}
    for node in model.graph.node:
        if node.op_type in ("Conv", "Gemm") and len(node.input) == 3:
            x, w, b = (constants[made_by[v].input[1]] for v in node.input)
            assert np.array_equal(b, (x * w).astype(np.float32)) and w.ndim == 1 and x.ndim == 0, node.name
            codes = constants[made_by[node.input[1]].input[0]]
            assert codes.dtype == np.int8 and codes.min() >= -127, node.name
    assert len(tensors) == len(report["tensors"])


def with_outliers(path, data, channels=96):
    """Two matrix layers behind a Tanh each; three channels of the input are 30 times the others."""
    rng = np.random.default_rng(3)
    size = np.where(np.arange(channels) % 40 == 7, 30, 1).astype(np.float32)
    weights = [rng.standard_normal((channels, channels)).astype(np.float32) / channels for _ in range(2)]
    nodes = [onnx.helper.make_node("MatMul", ["x", "w0"], ["m0"]), onnx.helper.make_node("Tanh", ["m0"], ["t0"]),
             onnx.helper.make_node("MatMul", ["t0", "w1"], ["m1"]), onnx.helper.make_node("Tanh", ["m1"], ["y"])]
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 8, channels]) for name in ("x", "y")]
    graph = onnx.helper.make_graph(nodes, "outliers", values[:1], values[1:], [numpy_helper.from_array(w, f"w{i}") for i, w in enumerate(weights)])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    np.savez(data, x=rng.standard_normal((32, 1, 8, channels)).astype(np.float32) * size)


@promise
def channels_with_outliers_are_spread_where_that_helps(program, folder, scratch):
    model, data, quality, made = os.path.join(scratch, "m.onnx"), os.path.join(scratch, "d.npz"), {}, {}
    with_outliers(model, data)
    for when in ("off", "on", "auto"):
        out = os.path.join(scratch, f"{when}.onnx")
        program(model, out, "--calib", data, "-o", f"duplicate={when}", "--min-sqnr", 0)
        report, made[when] = runs.sidecar(out), read(out)
        quality[when] = report["model"]["judged_sqnr_db"]
        spread = [n for n in report["nodes"] if n.get("reason") == "repeats_channels"]
        assert len(spread) == (0 if when == "off" else 1), (when, spread)
        onnx.checker.check_model(out, full_check=True)
    assert quality["on"] > quality["off"] + 3, quality
    assert made["on"] == made["auto"], "what helps is not kept"
    calm = os.path.join(scratch, "calm.npz")
    np.savez(calm, x=np.clip(np.load(data)["x"], -2, 2))
    for when in ("off", "on"):
        program(model, os.path.join(scratch, f"{when}.onnx"), "--calib", calm, "-o", f"duplicate={when}")
    assert read(os.path.join(scratch, "off.onnx")) == read(os.path.join(scratch, "on.onnx")), "spread where nothing stands out"


@promise
def as_many_choices_stay_as_they_are_as_is_asked_for(program, folder, scratch):
    out, data = os.path.join(scratch, "out.onnx"), os.path.join(folder, "calib.npz")
    model = os.path.join(folder, "model.onnx")
    coarse = ("--min-sqnr", 0, "-o", "node-sqnr=0", "-o", "weight-bits=2", "-o", "only-faster=off")
    program(model, out, "--calib", data, *coarse)
    loose = runs.sidecar(out)
    program(model, out, "--calib", data, *coarse, "--max-drop", 1)
    strict = runs.sidecar(out)
    assert strict["model"]["judged_samples"] == min(strict["calibration"]["samples"], 256), strict["model"]
    assert loose["model"]["judged_drop"] > 1 >= strict["model"]["judged_drop"], (loose["model"], strict["model"])
    assert 0 < strict["model"]["layers_quantized"] < loose["model"]["layers_quantized"], (loose["model"], strict["model"])
    floats = [part for part in strict["sensitivity"] if not part["quantized"]]
    assert floats and all(part["measured"] for part in strict["sensitivity"]), strict["sensitivity"]
    assert strict["sensitivity"] == sorted(strict["sensitivity"], key=lambda part: (part["sqnr_db"] is None, part["sqnr_db"]))
    done = program(model, out, "--calib", data, "--max-drop", 1, "-o", "verify=off", status=2)
    assert "--max-drop" in done.stderr, done.stderr


if __name__ == "__main__":
    sys.exit(promises.main())
