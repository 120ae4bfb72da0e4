# SPDX-License-Identifier: Apache-2.0
"""Small models in which quantizers stand in every position, right and odd. WIRINGS: name to (model, facts); facts are

    qdq     the operators of the file after converting to QDQ, as one text
    says    a piece of what converting to QDQ warns of
    fails   a piece of the error of converting to QDQ
    float   the operators of the float form, where it is worth a word
    runs    False: not to be run, because ONNX Runtime takes a minute to load it"""
import numpy as np
from onnx import TensorProto as T
from onnx import helper, numpy_helper

WIRINGS = {}
X, Y = [("x", T.FLOAT, [1, 4])], [("y", T.FLOAT, [1, 4])]
PARAMETERS = {"s": np.float32(0.1), "z": np.uint8(3), "s2": np.float32(0.2), "z2": np.uint8(0), "zi": np.int8(0)}
MS, QONNX = [("com.microsoft", 1)], [("qonnx.custom_op.general", 2)]


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def q(x, y, s="s", z="z", **attributes):
    return node("QuantizeLinear", f"{x} {s} {z}", y, **attributes)


def dq(x, y, s="s", z="z", **attributes):
    return node("DequantizeLinear", f"{x} {s} {z}", y, **attributes)


def quant(x, y, s="s", z="f0", b="b8", op="Quant", domain="qonnx.custom_op.general", mode="ROUND"):
    return node(op, f"{x} {s} {z} {b}", y, domain=domain, signed=1, narrow=0, rounding_mode=mode)


def wiring(name, nodes, inputs=None, outputs=None, opset=13, domains=(), tensors=(), constants=None, **facts):
    ports = [[helper.make_tensor_value_info(*port) for port in ports] for ports in (inputs or X, outputs or Y)]
    known = [numpy_helper.from_array(np.asarray(v), k) for k, v in {**PARAMETERS, **(constants or {})}.items()]
    graph = helper.make_graph(nodes, name, *ports, [*known, *tensors])
    opsets = [helper.make_opsetid(domain, version) for domain, version in [("", opset), *domains]]
    WIRINGS[name] = helper.make_model(graph, opset_imports=opsets, ir_version=10), facts


def array(low, high, kind, *shape):
    return (low + np.arange(np.prod(shape, dtype=int)) % (high - low + 1)).astype(kind).reshape(shape)


def branch(name, op, source, **attributes):
    return helper.make_graph([node(op, source, name, **attributes)], name, [], [helper.make_tensor_value_info(name, T.FLOAT, None)])


# ---- pairs that do not match, or are not pairs ----

wiring("pair", [q("x", "a"), dq("a", "b"), node("Relu", "b", "y")], qdq="QuantizeLinear DequantizeLinear Relu", float="Relu")
wiring("scales_differ", [q("x", "a"), dq("a", "b", "s2"), node("Relu", "b", "y")], qdq="QuantizeLinear DequantizeLinear Relu",
       says="other parameters than they were made with", float="QuantizeLinear DequantizeLinear Relu")
wiring("zero_points_differ", [q("x", "a"), dq("a", "b", "s", "z2"), node("Relu", "b", "y")], qdq="QuantizeLinear DequantizeLinear Relu",
       says="other parameters")
wiring("quantize_alone", [q("x", "a"), node("Cast", "a", "y", to=T.FLOAT)], qdq="QuantizeLinear Cast", says="computes on integers")
wiring("quantized_output", [q("x", "y")], outputs=[("y", T.UINT8, [1, 4])], qdq="QuantizeLinear")
wiring("quantized_input", [dq("x", "y")], inputs=[("x", T.UINT8, [1, 4])], qdq="DequantizeLinear")
wiring("quantized_ends", [dq("x", "a"), node("Relu", "a", "b"), q("b", "y")], inputs=[("x", T.UINT8, [1, 4])], outputs=[("y", T.UINT8, [1, 4])],
       qdq="DequantizeLinear Relu QuantizeLinear")
wiring("dequantizes_floats", [dq("x", "y")], qdq="DequantizeLinear", says="what is not quantized")
wiring("quantizes_codes", [q("x", "a"), q("a", "b"), dq("b", "y")], says="it quantizes integers")
wiring("no_zero_point", [q("x", "a", z=""), dq("a", "b", z=""), node("Relu", "b", "y")], qdq="QuantizeLinear DequantizeLinear Relu")
wiring("vector_of_one", [q("x", "a", "s1", "z"), dq("a", "b", "s1", "z"), node("Relu", "b", "y")], constants={"s1": np.array([0.1], np.float32)},
       qdq="QuantizeLinear DequantizeLinear Relu")
wiring("of_microsoft", [q("x", "a", domain="com.microsoft"), dq("a", "b", domain="com.microsoft"), node("Relu", "b", "y")], domains=MS,
       qdq="QuantizeLinear DequantizeLinear Relu")
wiring("sixteen_bits_early", [q("x", "a", z="z16", domain="com.microsoft"), dq("a", "b", z="z16", domain="com.microsoft"), node("Relu", "b", "y")],
       constants={"z16": np.uint16(7)}, domains=MS, fails="need opset 21")
wiring("sixteen_bits", [q("x", "a", z="z16"), dq("a", "b", z="z16"), node("Relu", "b", "y")], constants={"z16": np.int16(0)}, opset=21,
       qdq="QuantizeLinear DequantizeLinear Relu")
wiring("half_floats", [node("Cast", "x", "h", to=T.FLOAT16), q("h", "a", "sh"), dq("a", "b", "sh"), node("Cast", "b", "y", to=T.FLOAT)],
       constants={"sh": np.float16(0.1)}, opset=19, says="its scale is not float32")
wiring("computed_scale", [node("Abs", "t", "u"), q("x", "a", "u"), dq("a", "y", "u")], inputs=[*X, ("t", T.FLOAT, [])], says="its scale is not a constant")

# ---- several quantizers, several readers ----

wiring("requantized", [q("x", "a"), dq("a", "b"), q("b", "c", "s2", "z2"), dq("c", "d", "s2", "z2"), node("Add", "d b", "y")],
       qdq="QuantizeLinear DequantizeLinear QuantizeLinear DequantizeLinear Add", float="Add")
wiring("two_quantizers", [q("x", "a"), dq("a", "b"), q("x", "c", "s2", "z2"), dq("c", "d", "s2", "z2"), node("Add", "d b", "e"), node("Add", "e x", "y")],
       qdq="QuantizeLinear DequantizeLinear QuantizeLinear DequantizeLinear Add Add", float="Add Add")
wiring("pair_for_each_reader", [q("x", "a"), dq("a", "b"), q("x", "c"), dq("c", "d"), node("Add", "b d", "y")], qdq="QuantizeLinear DequantizeLinear Add")
wiring("dequantized_for_each_reader", [q("x", "a"), dq("a", "b"), dq("a", "c"), node("Add", "b c", "y")], qdq="QuantizeLinear DequantizeLinear Add")
wiring("output_and_reader", [node("Relu", "x", "r"), q("r", "a"), dq("a", "y"), node("Neg", "y", "n")], outputs=[*Y, ("n", T.FLOAT, [1, 4])],
       qdq="Relu QuantizeLinear DequantizeLinear Neg", float="Relu Neg")
wiring("output_and_float_reader", [node("Relu", "x", "r"), q("r", "a"), dq("a", "y"), node("Neg", "r", "n")], outputs=[*Y, ("n", T.FLOAT, [1, 4])],
       qdq="Relu QuantizeLinear DequantizeLinear Neg")
wiring("outputs_before_and_behind", [node("Relu", "x", "r"), q("r", "a"), dq("a", "y")], outputs=[*Y, ("r", T.FLOAT, [1, 4])],
       qdq="Relu QuantizeLinear DequantizeLinear")
wiring("output_twice", [node("Relu", "x", "r"), q("r", "a"), dq("a", "y"), dq("a", "y2")], outputs=[*Y, ("y2", T.FLOAT, [1, 4])])
wiring("output_and_codes", [node("Relu", "x", "r"), q("r", "a"), dq("a", "y")], outputs=[*Y, ("a", T.UINT8, [1, 4])], qdq="Relu QuantizeLinear DequantizeLinear")
wiring("input_is_output", [q("x", "a"), dq("a", "y")], qdq="QuantizeLinear DequantizeLinear")
wiring("read_in_branches", [q("x", "a"), dq("a", "b"), node("If", "c", "y", then_branch=branch("t", "Neg", "b"), else_branch=branch("e", "Neg", "x"))],
       inputs=[*X, ("c", T.BOOL, [])], qdq="QuantizeLinear If")
wiring("codes_read_in_branches",
       [q("x", "a"), dq("a", "b"), node("If", "c", "y", then_branch=branch("t", "Cast", "a", to=T.FLOAT), else_branch=branch("e", "Neg", "b"))],
       inputs=[*X, ("c", T.BOOL, [])])

# ---- clips ----

RANGE = {"lo": np.uint8(0), "hi": np.uint8(15)}
wiring("clip", [q("x", "a"), node("Clip", "a lo hi", "b"), dq("b", "y")], constants=RANGE, qdq="QuantizeLinear Clip DequantizeLinear")
wiring("clip_of_no_width", [q("x", "a"), node("Clip", "a lo hi", "b"), dq("b", "y")], constants={"lo": np.uint8(2), "hi": np.uint8(100)}, says="no bit width has")
wiring("clip_of_all", [q("x", "a"), node("Clip", "a lo hi", "b"), dq("b", "y")], constants={"lo": np.uint8(0), "hi": np.uint8(255)}, qdq="QuantizeLinear DequantizeLinear")
wiring("clip_for_one_reader", [q("x", "a"), node("Clip", "a lo hi", "b"), dq("b", "c"), dq("a", "d"), node("Add", "c d", "y")], constants=RANGE,
       qdq="QuantizeLinear DequantizeLinear Clip DequantizeLinear Add")
wiring("clip_cuts_weights", [node("Clip", "w lo hi", "b"), dq("b", "c"), node("MatMul", "x c", "y")], constants={**RANGE, "w": array(0, 120, np.uint8, 4, 4)},
       qdq="DequantizeLinear MatMul")
wiring("clipped_weights_as_integers", [node("Clip", "w lo hi", "b"), dq("b", "c"), node("Cast", "b", "d", to=T.FLOAT), node("Add", "c d", "e"), node("Add", "e x", "y")],
       constants={**RANGE, "w": np.array([[1, 100, 7, 9]], np.uint8)}, says="computes on integers")

# ---- constants ----

MATRIX = {"w": array(-7, 8, np.int8, 4, 4)}
wiring("weight_of_two_scales", [dq("w", "v", "s", "zi"), dq("w", "u", "s2", "zi"), node("MatMul", "x v", "g"), node("MatMul", "g u", "y")], constants=MATRIX,
       qdq="DequantizeLinear MatMul DequantizeLinear MatMul")
wiring("weight_is_added_too", [dq("w", "v", "s", "zi"), node("MatMul", "x v", "g"), node("Add", "g v", "y")], outputs=[("y", T.FLOAT, [4, 4])], constants=MATRIX)
wiring("weight_on_the_left", [q("x", "a"), dq("a", "b"), dq("w", "v", "s", "zi"), node("MatMul", "v b", "y")], inputs=[("x", T.FLOAT, [4, 4])],
       outputs=[("y", T.FLOAT, [4, 4])], constants=MATRIX)
wiring("weight_in_blocks", [dq("w", "v", "sb", "zb", axis=0, block_size=2), node("MatMul", "x v", "y")], opset=21, says="quantized in blocks",
       constants={**MATRIX, "sb": np.full((2, 4), 0.1, np.float32), "zb": np.zeros((2, 4), np.int8)})
wiring("bias_alone", [dq("c", "d", "s", "zb"), node("Gemm", "x w d", "y")], qdq="DequantizeLinear Gemm",
       constants={"w": np.eye(4, dtype=np.float32), "c": np.arange(4, dtype=np.int32), "zb": np.int32(0)})
wiring("bias_of_another_scale", [q("x", "a"), dq("a", "b"), dq("w", "v", "s", "zi"), dq("c", "d", "s", "zb"), node("Gemm", "b v d", "y")],
       constants={**MATRIX, "c": np.arange(4, dtype=np.int32), "zb": np.int32(0)})
wiring("constant_is_output", [dq("w", "y")], constants={"w": array(0, 200, np.uint8, 1, 4)})
wiring("table_of_codes", [node("Gather", "w i", "a"), dq("a", "y")], inputs=[("i", T.INT64, [3])], outputs=[("y", T.FLOAT, [3, 2])], constants={"w": array(0, 99, np.uint8, 5, 2)})
wiring("table", [dq("w", "a"), node("Gather", "a i", "y")], inputs=[("i", T.INT64, [3])], outputs=[("y", T.FLOAT, [3, 2])], constants={"w": array(0, 99, np.uint8, 5, 2)},
       qdq="DequantizeLinear Gather")
for kind, low, high in ((T.INT4, -8, 7), (T.UINT4, 0, 15)):
    wiring(f"weight_of_{T.DataType.Name(kind).lower()}", [q("x", "a"), dq("a", "b"), dq("w", "v", "s5", "zw", axis=1), node("MatMul", "b v", "y")], opset=21,
           outputs=[("y", T.FLOAT, [1, 5])], constants={"s5": np.array([0.1, 0.2, 0.3, 0.4, 0.5], np.float32)},
           tensors=[helper.make_tensor("w", kind, [4, 5], array(low, high, int, 20).tolist()), helper.make_tensor("zw", kind, [5], [0, 1, 2, 3, 7])],
           qdq="QuantizeLinear DequantizeLinear DequantizeLinear MatMul")

# ---- axes ----

FOUR = {"s4": np.array([0.1, 0.2, 0.3, 0.4], np.float32), "z4": np.array([3, 0, 1, 2], np.uint8)}
FOO = [("d", 1)]
wiring("per_axis", [q("x", "a", "s4", "z4", axis=-1), dq("a", "y", "s4", "z4", axis=1)], constants=FOUR, qdq="QuantizeLinear DequantizeLinear")
wiring("huge_axis", [q("x", "a", "s4", "z4", axis=1 << 60), dq("a", "y", "s4", "z4", axis=1)], constants=FOUR, fails="out of range")
wiring("huge_axis_of_unknown_rank", [node("Foo", "x", "f", domain="d"), q("f", "a", "s4", "z4", axis=1 << 60), dq("a", "y", "s4", "z4", axis=-(1 << 62))], constants=FOUR,
       domains=FOO, says="its axis is out of range")
wiring("axis_from_the_end_of_unknown_rank", [node("Foo", "x", "f", domain="d"), q("f", "a", "s4", "z4", axis=-1), dq("a", "y", "s4", "z4", axis=-1)], constants=FOUR,
       domains=FOO, says="unknown rank")

# ---- codes that move ----

HALVES = {"sh": np.array([2, 2])}
wiring("moved", [q("x", "a"), node("Reshape", "a sh", "b"), node("Transpose", "b", "c"), dq("c", "d"), node("Relu", "d", "y")], outputs=[("y", T.FLOAT, [2, 2])], constants=HALVES,
       float="Reshape Transpose Relu")
wiring("moved_and_read", [q("x", "a"), node("Reshape", "a sh", "b"), dq("b", "d"), node("Relu", "d", "y"), node("Cast", "b", "i", to=T.INT32)], constants=HALVES,
       outputs=[("y", T.FLOAT, [2, 2]), ("i", T.INT32, [2, 2])], says="computes on integers")
wiring("split", [q("x", "a"), node("Split", "a sh", "b c", axis=1), dq("b", "d"), dq("c", "e"), node("Add", "d e", "y")], outputs=[("y", T.FLOAT, [1, 2])], constants=HALVES,
       float="Split Add")
wiring("padded", [q("x", "a"), node("Pad", "a pp z", "b"), dq("b", "y")], outputs=[("y", T.FLOAT, [1, 6])], constants={"pp": np.array([0, 1, 0, 1])}, float="Pad")
wiring("padded_with_something", [q("x", "a"), node("Pad", "a pp z2", "b"), dq("b", "y")], outputs=[("y", T.FLOAT, [1, 6])], constants={"pp": np.array([0, 1, 0, 1])},
       says="computes on integers")
wiring("integers_move", [node("Reshape", "x sh", "y")], inputs=[("x", T.UINT8, [1, 4])], outputs=[("y", T.UINT8, [2, 2])], constants=HALVES, says="no quantizer", qdq="Reshape")

# ---- QOperator ----

wiring("other_scale_than_made_with", [q("x", "a"), node("QLinearAdd", "a s2 z a s z s2 z", "c", domain="com.microsoft"), dq("c", "y", "s2")], domains=MS, says="other parameters")
wiring("operands_missing", [q("x", "a"), node("QLinearAdd", "a s z", "c", domain="com.microsoft"), dq("c", "y", "s2")], domains=MS, says="an operand is missing")
wiring("integers_through", [node("QLinearAdd", "x s z x s z s2 z", "y", domain="com.microsoft")], inputs=[("x", T.UINT8, [1, 4])], outputs=[("y", T.UINT8, [1, 4])], domains=MS,
       qdq="DequantizeLinear DequantizeLinear Add QuantizeLinear")
wiring("product_of_two_inputs", [q("x", "a"), node("QLinearMatMul", "a s z b s z s2 z", "c"), dq("c", "y", "s2")], inputs=[*X, ("b", T.UINT8, [4, 4])])
wiring("no_float_form", [q("x", "a"), node("QLinearReduceMean", "a s z s2 z", "c", domain="com.microsoft", axes=[1], keepdims=1), dq("c", "y", "s2")],
       outputs=[("y", T.FLOAT, [1, 1])], domains=MS, says="no float form of it is known")
wiring("sum_without_scale", [q("x", "a"), node("MatMulInteger", "a w z zi", "y")], outputs=[("y", T.INT32, [1, 4])], constants=MATRIX, says="not scaled by a Mul")
wiring("product_with_one_factor",
       [q("x", "a"), node("MatMulInteger", "a w z zi", "b"), node("Cast", "b", "c", to=T.FLOAT), node("Mul", "c f", "y")], constants={**MATRIX, "f": np.float32(0.02)},
       qdq="QuantizeLinear DequantizeLinear DequantizeLinear MatMul")
wiring("dynamic", [node("DynamicQuantizeLinear", "x", "a as az"), node("MatMulInteger", "a w az zi", "b"), node("Cast", "b", "c", to=T.FLOAT), node("Mul", "c as", "y")],
       constants=MATRIX, says="not a constant")

# ---- QONNX ----

FLOATS = {"f0": np.float32(0), "b8": np.float32(8), "b1": np.float32(1), "b33": np.float32(33), "b75": np.float32(7.5), "b16": np.float32(16), "b24": np.float32(24),
          "half": np.float32(0.5), "f200": np.float32(200)}
PLAIN = "QuantizeLinear DequantizeLinear Relu"
for name, options, facts in (
        ("quant", {}, {"qdq": PLAIN}), ("int_quant", {"op": "IntQuant"}, {"qdq": PLAIN}), ("quant_of_brevitas", {"domain": "onnx.brevitas"}, {"qdq": PLAIN}),
        ("quant_that_floors", {"mode": "FLOOR"}, {"fails": "its rounding mode is not ROUND"}), ("quant_of_one_bit", {"b": "b1"}, {"fails": "it has one bit"}),
        ("quant_of_33_bits", {"b": "b33"}, {"fails": "not a whole number from 2 to 32"}), ("quant_of_half_a_bit", {"b": "b75"}, {"fails": "not a whole number"}),
        ("quant_of_16_bits", {"b": "b16"}, {"fails": "its 16-bit codes need opset 21"}), ("quant_of_24_bits", {"b": "b24"}, {"fails": "no QuantizeLinear for its 24-bit"}),
        ("quant_with_half_a_zero_point", {"z": "half"}, {"fails": "not one of the codes"}), ("quant_with_zero_point_outside", {"z": "f200"}, {"fails": "not one of the codes"})):
    domains = [(options["domain"], 1)] if "domain" in options else QONNX
    wiring(name, [quant("x", "a", **options), node("Relu", "a", "y")], constants=FLOATS, domains=domains, **facts)
wiring("bipolar", [node("BipolarQuant", "x s", "a", domain="qonnx.custom_op.general"), node("Relu", "a", "y")], domains=QONNX, fails="no other format has an operator")
wiring("scales_on_two_axes", [quant("x", "a", "s22"), node("Relu", "a", "y")], inputs=[("x", T.FLOAT, [2, 2])], outputs=[("y", T.FLOAT, [2, 2])], domains=QONNX,
       constants={**FLOATS, "s22": array(1, 4, np.float32, 2, 2)}, fails="more than one axis")
wiring("scales_broadcast", [quant("x", "a", "s4"), node("Relu", "a", "y")], constants={**FLOATS, **FOUR}, domains=QONNX, qdq=PLAIN)

# ---- very many ----


def chain(length):
    nodes, last = [], "x"
    for i in range(length):
        s = "s" if i % 2 else "s2"
        nodes += [q(last, f"a{i}", s), dq(f"a{i}", f"b{i}", s)]
        last = f"b{i}"
    return [*nodes, node("Relu", last, "y")]


wiring("chain_of_10000", chain(10000), runs=False)
wiring("fan_of_10000", [n for i in range(10000) for n in (q("x", f"a{i}", "s" if i % 2 else "s2"), dq(f"a{i}", f"b{i}", "s" if i % 2 else "s2"))]
       + [node("Sum", " ".join(f"b{i}" for i in range(100)), "y")], qdq="QuantizeLinear DequantizeLinear QuantizeLinear DequantizeLinear Sum")
wiring("fan_of_2000_scales", [n for i in range(2000) for n in (q("x", f"a{i}", f"q{i}"), dq(f"a{i}", f"b{i}", f"q{i}"))] + [node("Sum", " ".join(f"b{i}" for i in range(2000)), "y")],
       constants={f"q{i}": np.float32(0.1 + i * 1e-4) for i in range(2000)})
