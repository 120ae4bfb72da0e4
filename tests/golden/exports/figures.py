# SPDX-License-Identifier: Apache-2.0
"""What a recipe's file computes with, against numbers that Brevitas printed where it wrote no file, and against its training
loop written out in numpy: figures.py PROGRAM. figures.npz holds Brevitas' numbers as CASE/NAME."""
import json
import os
import subprocess
import sys
import tempfile

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

import check

f32 = numpy.float32
INT8, UINT8, SHIFTED = "Int8ActPerTensorFloat", "Uint8ActPerTensorFloat", "ShiftedUint8ActPerTensorFloat"
WEIGHT = "Int8WeightPerTensorFloat"
PROGRAM = sys.argv[1]


def model_of(nodes, shape, constants=()):
    """x goes in, y comes out."""
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                              [numpy_helper.from_array(v, k) for k, v in constants])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def quantize(model, recipe, batches, *options):
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, n) for n in ("in.onnx", "out.onnx", "recipe.json", "calib.npz")]
        onnx.save(model, paths[0])
        with open(paths[2], "w") as file:
            json.dump({"version": 1, **recipe}, file)
        numpy.savez(paths[3], x=batches)
        subprocess.run([PROGRAM, *paths[:2], "--config", paths[2], "--calib", paths[3], "--sidecar", "none", "--quiet", "--quiet",
                        "--format", "qcdq", *options], check=True)
        with open(paths[1], "rb") as file:
            return file.read()


def quantizers(data):
    """Scale and zero point of each DequantizeLinear, in order."""
    view = check.View(onnx.load_from_string(data))
    return [(view.operand(n.input[1]), view.operand(n.input[2])) for n in view.nodes if n.op_type == "DequantizeLinear"]


def integers(data, op):
    """The integers behind the constant operands of the first such node: weight and bias."""
    view = check.View(onnx.load_from_string(data))
    layer = next(n for n in view.nodes if n.op_type == op)
    maker = {o: n for n in view.nodes for o in n.output}
    found = []
    for name in layer.input:
        while name in maker:
            name = maker[name].input[0]
        if name in view.constants:
            found.append(view.constants[name])
    return found


def outputs(data, x):
    return check.run(onnx.load_from_string(data), x)


def equal(found, expected, what):
    found, expected = (numpy.concatenate([numpy.ravel(a) for a in v]) if isinstance(v, list) else numpy.asarray(v) for v in (found, expected))
    if found.size != expected.size or not numpy.array_equal(found.ravel(), expected.ravel().astype(found.dtype)):
        raise check.Difference(f"{what}: {found.ravel()[:4]}, expected {expected.ravel()[:4]}")


def close(found, expected, what, relative=2e-6):
    if found.shape != expected.shape or not numpy.allclose(found, expected, rtol=relative, atol=relative * numpy.abs(expected).max()):
        raise check.Difference(f"{what}: {found.ravel()[:4]}, expected {expected.ravel()[:4]}")


# ---- a QuantTensor as input ----

def declared(case):
    return {"x": {"scale": float(case["x_scale"]), "zero_point": int(case["x_zero_point"]), "bit_width": int(case["x_bit_width"]), "signed": bool(case["x_signed"])}}


def conv(case, **attributes):
    constants = [(k, case[k]) for k in ("weight", "bias") if k in case]
    x = case["x"] if "x" in case else case["x_value"]
    return model_of([helper.make_node("Conv", ["x"] + [k for k, _ in constants], ["y"], **attributes)], x.shape, constants), x


def declared_input(case, rule, scales, bias):
    model, x = conv(case)
    data = quantize(model, {"inputs": declared(case), "rules": [{"op": "Conv", "weight": WEIGHT, **rule}]}, x[None])
    equal([s for s, _ in quantizers(data)][:len(scales)], [case[s] for s in scales], "scales")
    found = integers(data, "Conv")
    equal(found[0], case["eval.weight_quant_int"], "weight")
    if bias:
        equal(found[1], case["eval.bias_quant_int"], "bias")
    close(outputs(data, case["x2"] if "x2" in case else x), case["eval.out_value"], "output")


def t1_requant_qt_input(case):
    declared_input(case, {"input": INT8}, ["x_scale", "eval.input_quant_scale", "eval.weight_quant_scale"], False)


def t1_bias_int8_qt_input(case):
    declared_input(case, {"bias": "Int8Bias"}, ["x_scale", "eval.weight_quant_scale", "eval.bias_quant_scale"], True)


def t1_bias_int8_requant(case):
    declared_input(case, {"bias": "Int8Bias", "input": INT8}, ["x_scale", "eval.input_quant_scale", "eval.weight_quant_scale", "eval.bias_quant_scale"], True)


def relu_keeps_what_it_reads(case):
    data = quantize(model_of([helper.make_node("Relu", ["x"], ["y"])], case["x_value"].shape), {"inputs": declared(case), "rules": []}, case["x_value"][None])
    equal(outputs(data, case["x2_value"]), case["eval.out_value"], "output")


def conv2d_same_strided(case):
    model, x = conv(case, auto_pad="SAME_UPPER", strides=[2, 2])
    data = quantize(model, {"rules": [{"op": "Conv", "weight": WEIGHT, "bias": "Int32Bias", "input": INT8, "output": INT8}]}, x[None])
    found, scales = integers(data, "Conv"), [s for s, _ in quantizers(data)]
    equal(scales[:3], [case[f"eval.{k}_quant_scale"] for k in ("input", "weight", "bias")], "scales")
    close(scales[3], case["eval.output_quant_scale"], "output scale", 2.0 ** -22) # behind a sum
    equal(found[0], case["eval.weight_quant_int"], "weight")
    equal(found[1], case["eval.bias_quant_int"], "bias")
    equal(numpy.rint(outputs(data, x) / scales[3]), case["eval.output_quant_int"], "integers")


def linear_of_rank_three(case):
    """As exporters write a Linear of sequences: MatMul with the transposed weight, then Add."""
    x = case["x"][None]
    model = model_of([helper.make_node("MatMul", ["x", "w"], ["t"]), helper.make_node("Add", ["bias", "t"], ["y"])], x.shape,
                     [("w", numpy.ascontiguousarray(case["weight"].T)), ("bias", case["bias"])])
    rule = {"op": "MatMul", "weight": "Int8WeightPerChannelFloat", "bias": "Int32Bias", "input": INT8, "output": INT8}
    data = quantize(model, {"rules": [rule]}, x[None])
    scales = [s for s, _ in quantizers(data)]
    equal(scales[:3], [case[f"eval.{k}_quant_scale"] for k in ("input", "weight", "bias")], "scales")
    close(scales[3], case["eval.output_quant_scale"], "output scale", 2.0 ** -22) # behind a sum
    equal(integers(data, "MatMul")[0].T, case["eval.weight_quant_int"], "weight")
    equal(integers(data, "Add")[0], case["eval.bias_quant_int"], "bias")
    equal(numpy.rint(outputs(data, x)[0] / scales[3]), case["eval.output_quant_int"], "integers")


def convolution_of_volumes(_):
    rng = numpy.random.default_rng(3)
    x, w, b = (rng.standard_normal(s).astype(f32) for s in ((2, 3, 5, 6, 4), (4, 3, 3, 2, 2), (4,)))
    data = quantize(model_of([helper.make_node("Conv", ["x", "w", "b"], ["y"])], x.shape, [("w", w), ("b", b)]),
                    {"rules": [{"op": "Conv", "weight": "Int8WeightPerChannelFloat", "bias": "Int32Bias", "input": INT8}]}, x[None])
    ws, xs = numpy.abs(w).reshape(4, -1).max(1) / f32(127), numpy.abs(x).max() / f32(128)
    equal([s for s, _ in quantizers(data)], [xs, ws, ws * xs], "scales")
    equal(integers(data, "Conv")[0], numpy.clip(numpy.rint(w / ws.reshape(-1, 1, 1, 1, 1)), -127, 127), "weight")
    equal(integers(data, "Conv")[1], numpy.rint(b / (ws * xs)), "bias")


def grouped_transposed_convolution(_):
    rng = numpy.random.default_rng(4)
    x, w, b = (rng.standard_normal(s).astype(f32) for s in ((1, 4, 5, 5), (4, 3, 2, 2), (6,)))
    data = quantize(model_of([helper.make_node("ConvTranspose", ["x", "w", "b"], ["y"], group=2)], x.shape, [("w", w), ("b", b)]),
                    {"rules": [{"op": "ConvTranspose", "weight": WEIGHT, "bias": "Int16Bias", "input": SHIFTED}]}, x[None])
    ws = numpy.abs(w).max() / f32(127)
    scales = [s for s, _ in quantizers(data)]
    equal(scales[1], ws, "weight scale")
    equal(scales[2], ws * scales[0], "bias scale")
    equal(integers(data, "ConvTranspose")[1], numpy.clip(numpy.rint(b / (ws * scales[0])), -2 ** 15, 2 ** 15 - 1), "bias")


def bias_alone(_):
    rng = numpy.random.default_rng(5)
    x, w, b = (rng.standard_normal(s).astype(f32) for s in ((1, 2, 5, 5), (3, 2, 2, 2), (3,)))
    data = quantize(model_of([helper.make_node("Conv", ["x", "w", "b"], ["y"])], x.shape, [("w", w), ("b", b)]),
                    {"rules": [{"op": "Conv", "bias": "Int8BiasPerTensorFloatInternalScaling"}]}, x[None])
    if [n.op_type for n in onnx.load_from_string(data).graph.node] != ["DequantizeLinear", "Conv"]:
        raise check.Difference("other operators")
    equal(integers(data, "Conv")[0], w, "weight")
    equal(integers(data, "Conv")[1], numpy.clip(numpy.rint(b / (numpy.abs(b).max() / f32(128))), -128, 127), "bias")


def untouched(op, constants=()):
    def test(case):
        x = case["x_value"]
        model = model_of([helper.make_node(op, ["x"] + [k for k, _ in constants], ["y"])], x.shape, constants)
        data = quantize(model, {"rules": [{"op": op, "output": None}]}, x[None])
        if [n.op_type for n in onnx.load_from_string(data).graph.node] != [op]:
            raise check.Difference("the node is not alone")
        equal(outputs(data, case["x2_value"]), case["eval.out_value"], "output")
    return test


# ---- batches ----

def collected(op, quantizer, **keys):
    """The scale after so many batches is the one that Brevitas has in inference then."""
    def test(case):
        x = case["x"]
        for count in (1, 2, 3, 10, 29, 30, 31, 34):
            data = quantize(model_of([helper.make_node(op, ["x"], ["y"])], x.shape[1:]), {"rules": [{"op": op, "output": {"quantizer": quantizer, **keys}}]}, x[:count])
            scale, zero = quantizers(data)[0]
            equal(scale, case["eval_scale_after"][count - 1], f"scale after {count}")
            equal(zero, numpy.broadcast_to(case["eval_zp_after"][count - 1], zero.shape), f"zero point after {count}")
    return test


def rank(percentile, n):
    return int(numpy.floor(0.01 * percentile * n + 0.5))


class Training:
    """A quantizer of Brevitas' while it is trained: float32, one rounding an operation."""

    def __init__(self, bits, signed, steps, momentum, shifted=False):
        self.low, self.high = (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
        self.steps, self.momentum, self.shifted = steps, momentum, shifted
        self.count, self.range, self.minimum = 0, f32(1), f32(0)

    def fake(self, x, u, m):
        scale = u / f32(-self.low if self.low else self.high)
        zero = numpy.clip(numpy.rint(numpy.abs(m) / scale), self.low, self.high) if self.shifted else f32(0)
        return (numpy.clip(numpy.rint(x / scale + zero), self.low, self.high) - zero) * scale

    def average(self, old, new):
        if self.momentum is None:
            return old * f32(self.count / (self.count + 1)) + new / f32(self.count + 1)
        return old * f32(1 - self.momentum) + f32(self.momentum) * new

    def __call__(self, x):
        if self.count >= self.steps:
            return self.fake(x, self.range, self.minimum)
        ordered = numpy.sort(x.ravel() if self.shifted else numpy.abs(x).ravel())
        m = min(ordered[max(int(numpy.ceil(0.01 * 0.001 * x.size)), 1) - 1], f32(0)) if self.shifted else f32(0)
        u = max(numpy.abs(ordered[rank(99.999, x.size) - 1] - m), f32(1e-10))
        self.range = self.average(self.range, u) if self.count else u
        self.minimum = self.average(self.minimum, m) if self.count else m
        self.count += 1
        return self.fake(x, u, m)

    def scale(self):
        return self.range / f32(-self.low if self.low else self.high)


def chain(shape, count, first, second, **how):
    """Two quantizers in a row; the second sees what the first makes of each batch."""
    x = numpy.random.default_rng(7).standard_normal((count, *shape)).astype(f32) * numpy.linspace(0.5, 2, count, dtype=f32).reshape(-1, *[1] * len(shape))
    a, b = Training(**first[1]), Training(**second[1])
    for batch in x:
        b(a(batch))
    recipe = {"rules": [{"match": "first", "output": first[0]}, {"match": "second", "output": second[0]}]}
    model = model_of([helper.make_node("Identity", ["x"], ["t"], name="first"), helper.make_node("Identity", ["t"], ["y"], name="second")], shape)
    data = quantize(model, recipe, x, *how.get("options", ()))
    equal([s for s, _ in quantizers(data)], [a.scale(), b.scale()], "scales")
    return data


def of(name, bits, signed, steps=30, momentum=0.1):
    return {"quantizer": name, "bit_width": bits, "collect_steps": steps, "momentum": momentum}, {"bits": bits, "signed": signed, "steps": steps, "momentum": momentum, "shifted": name == SHIFTED}


def second_sees_quantized_batches(_):
    chain((4, 50), 9, of(INT8, 3, True), of(INT8, 8, True))


def second_sees_shifted_batches(_):
    chain((4, 50), 5, of(SHIFTED, 4, False), of(INT8, 6, True))


def frozen_ranges_are_seen_by_those_that_collect_longer(_):
    chain((4, 50), 9, of(INT8, 3, True, steps=2), of(INT8, 8, True, steps=7))


def ranges_of_later_ones_freeze_first(_):
    chain((4, 50), 9, of(INT8, 3, True, steps=7), of(INT8, 8, True, steps=2))


def mean_of_all_batches(_):
    chain((4, 50), 6, of(INT8, 4, True, momentum=None), of(INT8, 8, True, momentum=0.5))


def percentiles_of_large_tensors(_):
    """Past 50,000 values the largest is left out, past 100,000 the lowest as well; in what is observed and in what the
    training model quantizes with."""
    chain((3, 20000), 3, of(INT8, 3, True), of(INT8, 8, True))
    chain((3, 70000), 2, of(SHIFTED, 4, False), of(SHIFTED, 8, False))


def workers_do_not_matter(_):
    files = {chain((4, 50), 9, of(INT8, 3, True, steps=4), of(SHIFTED, 8, False), options=("--threads", str(n))) for n in (1, 2, 8)}
    if len(files) != 1:
        raise check.Difference("other bytes with other numbers of threads")


TESTS = {
    "t1_requant_qt_input": t1_requant_qt_input,
    "t1_bias_int8_qt_input": t1_bias_int8_qt_input,
    "t1_bias_int8_requant": t1_bias_int8_requant,
    "t2_relu_disabled_qt": relu_keeps_what_it_reads,
    "t2_shifted_then_relu_disabled": relu_keeps_what_it_reads,
    "t2_identity_disabled": untouched("Identity"),
    "t2_hardtanh_disabled": untouched("Clip", [("low", f32(-0.5)), ("high", f32(1))]),
    "conv2d_same_strided": conv2d_same_strided,
    "linear_pc_full": linear_of_rank_three,
    "stats30_int8": collected("Identity", INT8),
    "stats30_shifted": collected("Identity", SHIFTED),
    "stats30_relu_per_channel": collected("Relu", UINT8, per_channel=True),
    **{t.__name__: t for t in (convolution_of_volumes, grouped_transposed_convolution, bias_alone, second_sees_quantized_batches, second_sees_shifted_batches, frozen_ranges_are_seen_by_those_that_collect_longer,
                               ranges_of_later_ones_freeze_first, mean_of_all_batches, percentiles_of_large_tensors, workers_do_not_matter)},
}


def main():
    failed = 0
    with numpy.load(os.path.join(check.HERE, "figures.npz")) as figures:
        for name, test in TESTS.items():
            try:
                test({k.split("/", 1)[1]: figures[k] for k in figures if k.startswith(name + "/")})
                print(f"{name}: same")
            except (check.Difference, subprocess.CalledProcessError) as problem:
                failed += 1
                print(f"{name}: DIFFERENT: {problem}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
