# SPDX-License-Identifier: Apache-2.0
"""What files look like: opsets, nested graphs, functions, constants in odd places, names."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .build import Net, zoo

IMAGE = ["N", 8, 16, 16]
TWO = {"QLinearConv": 2, "QLinearGlobalAveragePool": 1, "QGemm": 1}


def two_layers(net, **attributes):
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 16, **attributes))
    return net.head(net.node("Relu", net.conv(x, 12, **attributes)))


def _of_opset(opset):
    def build(net):
        two_layers(net).expect(TWO)
    build.__name__ = f"opset_{opset}"
    zoo(opset=opset)(build)


for _opset in (9, 10, 11, 12, 13, 15, 18, 19, 20, 21, 22):
    _of_opset(_opset)


@zoo(opset=9, ir=3)
def initializers_are_inputs(net):
    """As IR 3 demands: they stay what they are declared as, or go with their declaration."""
    two_layers(net).expect(TWO)
    for tensor in net.initializers:
        net.inputs.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))


@zoo()
def initializer_is_an_input(net):
    """A weight whose value a caller may override."""
    two_layers(net).expect(TWO)
    weight = net.initializers[0]
    net.inputs.append(helper.make_tensor_value_info(weight.name, weight.data_type, list(weight.dims)))


@zoo()
def weights_are_constant_nodes(net):
    two_layers(net).expect(TWO)
    constants = [helper.make_node("Constant", [], [t.name], name="const_" + t.name, value=t) for t in net.initializers]
    net.nodes, net.initializers = constants + net.nodes, []


@zoo()
def weights_pass_through_identity(net):
    w = net.node("Identity", net.weight(net.normal(16, 8, 3, 3, fan_in=72)))
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 16, weight=w))
    net.head(net.node("Relu", net.conv(net.node("Dropout", net.node("Identity", x)), 12))).expect(TWO)


@zoo()
def weights_are_computed(net):
    """Weight normalisation, two halves joined, a part cut out, a scaled transposed table: constants all the same."""
    v, n, g = (net.weight(a) for a in (net.normal(16, 8, 3, 3), np.full((16, 1, 1, 1), 9, np.float32), 1 + net.rng.random((16, 1, 1, 1))))
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 16, weight=net.node("Mul", net.node("Div", v, n), g)))
    halves = [net.weight(net.normal(6, 16, 3, 3, fan_in=144)) for _ in range(2)]
    x = net.node("Relu", net.conv(x, 12, weight=net.node("Concat", *halves, axis=0)))
    part = net.node("Slice", net.weight(net.normal(20, 12, 1, 1, fan_in=12)), net.ints(4), net.ints(16), net.ints(0))
    x = net.node("Flatten", net.node("GlobalAveragePool", net.node("Relu", net.conv(x, 12, (1, 1), weight=part))))
    table = net.node("Transpose", net.node("Mul", net.weight(net.normal(10, 12)), net.weight(np.float32(0.3))), perm=[1, 0])
    net.output(net.node("Gemm", x, table)).expect(TWO | {"QLinearConv": 3})


@zoo()
def embedding_and_output_are_tied(net):
    """One table is looked up in and, transposed, is the last layer's weight: the table stays float, the layer does not."""
    table = net.weight(net.normal(50, 16, fan_in=16))
    ids = net.input("ids", ["N", 6], lambda rng: rng.integers(0, 50, (2, 6)), TensorProto.INT64)
    x = net.node("Gather", table, ids, name="embed", channels=16)
    x = net.node("Tanh", net.linear(x, 16, 16))
    net.output(net.node("MatMul", x, net.node("Transpose", table, perm=[1, 0]), name="logits"))
    net.expect({"MatMulIntegerToFloat": 2}, float_nodes={"embed": "embedding"}, db=24)


@zoo(opset=13)
def tied_without_transpose(net):
    """The same with a Gemm, which reads the table itself."""
    table = net.weight(net.normal(50, 16, fan_in=16))
    x = net.node("Gather", table, net.input("ids", ["N"], lambda rng: rng.integers(0, 50, 6), TensorProto.INT64), channels=16)
    net.output(net.node("Gemm", net.node("Tanh", net.gemm(x, 16)), table, transB=1, name="logits")).expect({"QGemm": 2}, db=24)


@zoo()
def weights_are_typed_data(net):
    """float_data instead of raw bytes."""
    two_layers(net).expect(TWO)
    for tensor in net.initializers:
        values = numpy_helper.to_array(tensor).ravel().tolist()
        tensor.ClearField("raw_data")
        tensor.float_data.extend(values)


@zoo()
def weights_are_shared(net):
    """One weight, two layers with equal and two with different input parameters."""
    w = net.weight(net.normal(8, 8, 3, 3, fan_in=72))
    x = net.input("x", IMAGE)
    y = net.node("Relu", net.node("Add", net.conv(x, 8, weight=w), net.conv(x, 8, weight=w)))
    y = net.node("Relu", net.conv(y, 8, weight=w))
    net.head(net.node("Relu", net.conv(y, 8, weight=w, dilations=[2, 2])))
    net.expect(TWO | {"QLinearConv": 4, "QLinearAdd": 1}, db=26)
    net.shares_weights = True


@zoo()
def weight_and_bias_are_shared(net):
    """Siamese branches: the same two constants, inputs of different range, so biases of different scale."""
    w, b = net.weight(net.normal(8, 8, 3, 3, fan_in=72)), net.weight(net.normal(8))
    a = net.node("Conv", net.input("a", IMAGE), w, b, pads=[1] * 4, channels=8)
    far = net.input("b", IMAGE, lambda rng: 5 * rng.standard_normal((2, 8, 16, 16)).astype(np.float32))
    c = net.node("Conv", far, w, b, pads=[1] * 4, channels=8)
    net.head(net.node("Relu", net.conv(net.node("Concat", a, c, axis=1, channels=16), 8)))
    net.expect(TWO | {"QLinearConv": 3, "QLinearConcat": 1})
    net.shares_weights = True


@zoo()
def weight_is_shared_by_conv_and_gemm(net):
    """Shapes agree, axes do not."""
    w = net.weight(net.normal(16, 16, fan_in=16))
    x = net.input("x", ["N", 16], sample_shape=[4, 16])
    y = net.node("Relu", net.node("Gemm", x, w, channels=16))
    net.output(net.node("Gemm", y, w, transB=1)).expect({"QGemm": 2})
    net.shares_weights = True


@zoo()
def weight_is_a_graph_output(net):
    two_layers(net).expect(TWO)
    net.output(net.initializers[0].name)


@zoo()
def weight_is_also_added(net):
    """A layer and a float operator read one constant."""
    w = net.weight(net.normal(16, 16, fan_in=16))
    x = net.input("x", [16, 16])
    net.output(net.node("Gemm", net.node("Relu", net.node("Gemm", x, w, channels=16)), net.node("Add", x, w)))
    net.expect({"QGemm": 1})


@zoo()
def nothing_to_quantize(net):
    x = net.input("x", ["N", 12])
    net.output(net.node("Softmax", net.node("Add", net.node("Exp", net.node("Neg", x)), net.weight(net.normal(12))), axis=1))
    net.expect({}, db=100, warns="no layer was quantized")


@zoo()
def nothing_at_all(net):
    """One node that copies its input."""
    net.output(net.node("Identity", net.input("x", ["N", 12]))).expect({}, db=100, warns="no layer was quantized")


@zoo()
def input_is_an_output(net):
    two_layers(net).output("x", shape=IMAGE).expect(TWO)


@zoo()
def outputs_in_the_middle(net):
    """Every tensor on the way is a graph output: they stay float, and so do the convolutions that make them."""
    x = net.conv(net.input("x", IMAGE), 8, name="one")
    y = net.node("Relu", x)
    z = net.node("Relu", net.conv(y, 8, name="two"))
    net.output(x, y, z)
    net.head(net.node("Relu", net.conv(z, 8))).expect(TWO | {"QLinearConv": 1}, float_nodes={"one": "graph_output", "two": "graph_output"})


@zoo()
def integer_inputs_and_outputs(net):
    x = net.input("x", ["N", 16], lambda rng: rng.integers(-9, 9, (2, 16)).astype(np.int32), TensorProto.INT32)
    y = net.gemm(net.node("Cast", x, to=TensorProto.FLOAT), 24)
    net.output(net.node("ArgMax", y, axis=1), dtype=TensorProto.INT64)
    net.output(net.gemm(net.node("Relu", y), 8)).output("x", dtype=TensorProto.INT32, shape=["N", 16])
    net.expect({"QGemm": 2}).ints_may_differ = True


@zoo()
def nodes_without_names(net):
    two_layers(net).expect(TWO)
    for node in net.nodes:
        node.name = ""


@zoo()
def names_of_any_kind(net):
    """Slashes, colons, quotes, spaces, other scripts, and names that the new ones would take."""
    two_layers(net).expect(TWO)
    names = {}
    odd = ["a/b:0", "it's \"quoted\"", "with space", "größe", "数据", "x_quantized", "x_scale", "x_zero_point", "x_dequantized", "op:Conv*", "{}%s"]
    for i, node in enumerate(net.nodes):
        names[node.output[0]] = odd[i]
        node.name = odd[i] + "\n\t'\x1b[31m"
    for tensor, name in zip(net.initializers, ["x_quantized_2", "w\n2", "x_scale_2"]):
        names[tensor.name] = name
        tensor.name = name
    for node in net.nodes:
        node.input[:] = [names.get(v, v) for v in node.input]
        node.output[:] = [names.get(v, v) for v in node.output]
    net.outputs[0].name = names[net.outputs[0].name]


@zoo()
def optional_parts_are_absent(net):
    x = net.node("Dropout", net.conv(net.input("x", IMAGE), 8), out=["d", ""], channels=8)
    net.channels["d"] = 8
    y = net.node("Clip", net.node("Conv", "d", net.weight(net.normal(8, 8, 1, 1, fan_in=8)), "", channels=8), "", "")
    net.head(y).expect(TWO)


@zoo()
def value_info_is_declared(net):
    """With all shapes declared, and documentation and metadata that must survive."""
    two_layers(net).expect(TWO)
    inferred = onnx.shape_inference.infer_shapes(Net.model(net))

    def model():
        made = onnx.ModelProto()
        made.CopyFrom(inferred)
        made.doc_string = "documented"
        made.metadata_props.add(key="key", value="value")
        made.graph.doc_string = "a graph"
        made.graph.node[0].doc_string = "a node"
        return made
    net.model = model


# ---- nested graphs and functions ----

def branch(name, nodes, outputs, initializers=()):
    return helper.make_graph(nodes, name, [], [helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs], list(initializers))


@zoo()
def branches_read_outer_values(net):
    """Both branches of an If read a quantized layer's result, an outer weight, and have a Conv of their own."""
    x = net.conv(net.input("x", IMAGE), 8, name="outer")
    outer = net.weight(net.normal(8, 8, 1, 1, fan_in=8))
    inner = numpy_helper.from_array(net.normal(8, 8, 3, 3, fan_in=72), "inner_w")
    yes = branch("yes", [helper.make_node("Conv", [x, outer], ["yes.y"], name="yes_conv")], ["yes.y"])
    no = branch("no", [helper.make_node("Conv", [x, "inner_w"], ["no.y"], pads=[1] * 4, name="no_conv")], ["no.y"], [inner])
    choice = net.input("choice", [], lambda rng: np.bool_(rng.integers(2)), TensorProto.BOOL)
    y = net.node("If", choice, then_branch=yes, else_branch=no, channels=8, name="if")
    net.head(net.node("Relu", net.conv(y, 8))).expect(TWO | {"QLinearConv": 4}, float_nodes={"if": "has_body"})


@zoo()
def loop_reads_outer_values(net):
    """A Loop adds the result of an outer layer several times; a layer behind it is quantized."""
    x = net.node("Relu", net.gemm(net.input("x", ["N", 16], sample_shape=[4, 16]), 16))
    body = helper.make_graph(
        [helper.make_node("Add", ["state", x], ["state.y"], name="step"), helper.make_node("Identity", ["go"], ["go.y"], name="go_on")], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("go", TensorProto.BOOL, []),
         helper.make_tensor_value_info("state", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("go.y", TensorProto.BOOL, []), helper.make_tensor_value_info("state.y", TensorProto.FLOAT, None)])
    y = net.node("Loop", net.weight(np.int64(3)), net.weight(np.bool_(True)), x, body=body, channels=16, name="loop")
    net.output(net.gemm(y, 8)).expect({"QGemm": 2}, float_nodes={"loop": "has_body"}, db=24)


@zoo()
def scan_over_a_sequence(net):
    x = net.input("x", [5, 4, 16])
    body = helper.make_graph(
        [helper.make_node("Add", ["sum", "row"], ["sum.y"], name="add"), helper.make_node("Identity", ["sum.y"], ["row.y"], name="keep")], "body",
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [4, 16]), helper.make_tensor_value_info("row", TensorProto.FLOAT, [4, 16])],
        [helper.make_tensor_value_info("sum.y", TensorProto.FLOAT, [4, 16]), helper.make_tensor_value_info("row.y", TensorProto.FLOAT, [4, 16])])
    _, rows = net.node("Scan", net.weight(np.zeros((4, 16), np.float32)), x, outputs=2, body=body, num_scan_inputs=1, channels=16, name="scan")
    net.output(net.matmul(rows, 8, 16)).expect({"MatMulIntegerToFloat": 1}, float_nodes={"scan": "has_body"})


def tensor_info(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def loop_body(nodes, state, shape, initializers=(), scans=()):
    """The inputs i, go and `state`, the outputs go.y, `state`.y and `scans`."""
    return helper.make_graph([helper.make_node("Identity", ["go"], ["go.y"]), *nodes], "body",
                             [tensor_info("i", [], TensorProto.INT64), tensor_info("go", [], TensorProto.BOOL), tensor_info(state, shape)],
                             [tensor_info("go.y", [], TensorProto.BOOL), tensor_info(state + ".y", shape), *(tensor_info(s, shape) for s in scans)], list(initializers))


@zoo()
def layers_in_a_loop(net):
    """A recurrent cell: one weight is the body's, one comes from outside, and so does a value that is multiplied by a third."""
    far = net.node("Relu", net.gemm(net.input("far", ["N", 8], sample_shape=[4, 8]), 12))
    outer = net.weight(net.normal(12, 16, fan_in=12))
    inner = numpy_helper.from_array(net.normal(16, 16, fan_in=64), "w")
    bias = numpy_helper.from_array(net.normal(16) * 0.1, "b")
    nodes = [helper.make_node("Constant", [], ["half"], value_float=0.5), helper.make_node("Gemm", ["h", "w", "b"], ["hw"], name="cell"),
             helper.make_node("MatMul", [far, outer], ["fw"], name="from_outside"), helper.make_node("Add", ["hw", "fw"], ["s"], name="sum"),
             helper.make_node("Mul", ["s", "half"], ["s2"]), helper.make_node("Tanh", ["s2"], ["h.y"], name="squash"), helper.make_node("Identity", ["h.y"], ["each"])]
    start = net.input("start", ["N", 16], sample_shape=[4, 16])
    body = loop_body(nodes, "h", ["N", 16], [inner, bias], ["each"])
    h, each = net.node("Loop", net.weight(np.int64(5)), net.weight(np.bool_(True)), start, body=body, outputs=2, channels=16, name="loop")
    net.output(net.gemm(h, 8, name="head"), net.node("ReduceMean", each, axes=[0], keepdims=0))
    net.output_rank = 2
    net.expect({"QGemm": 3, "MatMulIntegerToFloat": 1}, float_nodes={"loop": "has_body"}, db=24)


@zoo()
def branches_in_a_loop(net):
    """An If in a Loop, its branches with layers, constants and values of the same names; one branch reads the Loop's own input."""
    def inner(name):
        w = numpy_helper.from_array(net.normal(8, 8, 3, 3, fan_in=72), "w")
        nodes = [helper.make_node("Conv", ["state", "w"], ["t"], pads=[1] * 4, name=f"{name}_conv"), helper.make_node("Relu", ["t"], ["u"], name=f"{name}_relu")]
        return branch(name, nodes, ["u"], [w])
    nodes = [helper.make_node("Mod", ["i", "two"], ["m"]), helper.make_node("Cast", ["m"], ["odd"], to=TensorProto.BOOL),
             helper.make_node("If", ["odd"], ["made"], name="choose", then_branch=inner("then"), else_branch=inner("else")),
             helper.make_node("Add", ["made", "state"], ["state.y"], name="residual")]
    body = loop_body(nodes, "state", ["N", 8, 8, 8], [numpy_helper.from_array(np.int64(2), "two")])
    x = net.input("x", ["N", 8, 8, 8])
    y = net.node("Loop", net.weight(np.int64(3)), net.weight(np.bool_(True)), x, body=body, channels=8, name="loop")
    net.output_rank = 2
    net.head(y).expect({"QLinearConv": 2, "QGemm": 1}, float_nodes={"loop": "has_body", "choose": "has_body"}, db=24)


@zoo()
def branch_that_no_sample_takes(net):
    """Nothing is known of its values, so its layer stays float; the other branch hands on an outer value as it is."""
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 8))
    yes = branch("yes", [helper.make_node("Conv", [x, "w"], ["t"], pads=[1] * 4, name="unseen")], ["t"], [numpy_helper.from_array(net.normal(8, 8, 3, 3), "w")])
    no = branch("no", [helper.make_node("Identity", [x], ["u"])], ["u"])
    never = net.input("never", [], lambda rng: np.bool_(False), TensorProto.BOOL)
    y = net.node("If", never, then_branch=yes, else_branch=no, channels=8, name="if")
    net.head(net.node("Relu", net.conv(y, 8))).expect(TWO, float_nodes={"unseen": "no_range"})


@zoo()
def layers_in_a_scan(net):
    """Over rows, with a state; the layer's function is the model's own."""
    x = net.input("x", [5, 4, 16])
    version = helper.make_opsetid("", 17)
    net.functions.append(helper.make_function("local", "Cell", ["a", "w"], ["y"], [helper.make_node("MatMul", ["a", "w"], ["t"], name="product"), helper.make_node("Tanh", ["t"], ["y"])], [version]))
    w = net.weight(net.normal(16, 16, fan_in=16))
    body = helper.make_graph(
        [helper.make_node("Add", ["h", "row"], ["s"], name="add"), helper.make_node("Cell", ["s", w], ["h.y"], name="cell", domain="local"),
         helper.make_node("Identity", ["h.y"], ["row.y"], name="keep")], "body",
        [tensor_info("h", [4, 16]), tensor_info("row", [4, 16])], [tensor_info("h.y", [4, 16]), tensor_info("row.y", [4, 16])])
    _, rows = net.node("Scan", net.weight(np.zeros((4, 16), np.float32)), x, outputs=2, body=body, num_scan_inputs=1, channels=16, name="scan")
    net.output(net.matmul(rows, 8, 16)).expect({"MatMulIntegerToFloat": 2}, float_nodes={"scan": "has_body"}, db=24)


@zoo(opset=11)
def old_layers_in_a_loop(net):
    """Raised to opset 13 with the rest; the axes of Squeeze and Unsqueeze become inputs."""
    w = numpy_helper.from_array(net.normal(8, 8, 3, fan_in=24), "w")
    nodes = [helper.make_node("Unsqueeze", ["state"], ["s4"], axes=[0]), helper.make_node("Squeeze", ["s4"], ["s3"], axes=[0]),
             helper.make_node("Conv", ["s3", "w"], ["t"], pads=[1, 1], name="conv"), helper.make_node("Relu", ["t"], ["state.y"], name="relu")]
    y = net.node("Loop", net.weight(np.int64(2)), net.weight(np.bool_(True)), net.input("x", ["N", 8, 12]), body=loop_body(nodes, "state", ["N", 8, 12], [w]), channels=8, name="loop")
    net.output_rank = 2
    net.head(net.node("Relu", net.conv(y, 8, (3,)))).expect({"QLinearConv": 2, "QLinearGlobalAveragePool": 1, "QGemm": 1})


@zoo()
def functions_of_the_model(net):
    """Without layers of their own."""
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 8))
    nodes = [helper.make_node("Mul", ["a", "a"], ["b"], name="square"), helper.make_node("Add", ["b", "a"], ["c"], name="sum")]
    net.functions.append(helper.make_function("local", "Poly", ["a"], ["c"], nodes, [helper.make_opsetid("", 17)]))
    y = net.node("Poly", x, domain="local", name="call")
    net.head(net.node("Relu", net.conv(y, 8))).expect(TWO, float_nodes={"call/square": "pointwise_chain", "call/sum": "pointwise_chain"}, db=22)


def _layers_in_functions(opset, function_opset):
    """A block that is called twice with its weights, inside of another function, and a layer whose weight is in the function."""
    def build(net):
        version, local = helper.make_opsetid("", function_opset), helper.make_opsetid("local", 1)
        block = [helper.make_node("Conv", ["x", "w", "b"], ["c"], name="conv", pads=[1] * 4), helper.make_node("Relu", ["c"], ["y"], name="relu")]
        net.functions.append(helper.make_function("local", "Block", ["x", "w", "b"], ["y"], block, [version]))
        twice = [helper.make_node("Block", ["x", "w1", "b1"], ["t"], name="first", domain="local"),
                 helper.make_node("Block", ["t", "w2", "b2"], ["y"], name="second", domain="local")]
        net.functions.append(helper.make_function("local", "Twice", ["x", "w1", "b1", "w2", "b2"], ["y"], twice, [version, local]))
        inner = numpy_helper.from_array(net.normal(12, 10, fan_in=12), "w")
        classify = [helper.make_node("Constant", [], ["w"], value=inner), helper.make_node("Gemm", ["x", "w"], ["y"], name="classify")]
        net.functions.append(helper.make_function("local", "Classify", ["x"], ["y"], classify, [version]))
        weights = [net.weight(a) for a in (net.normal(16, 8, 3, 3, fan_in=72), net.normal(16), net.normal(12, 16, 3, 3, fan_in=144), net.normal(12))]
        x = net.node("Twice", net.input("x", IMAGE), *weights, domain="local", name="net", channels=12)
        y = net.node("Flatten", net.node("GlobalAveragePool", x))
        net.output(net.node("Classify", y, domain="local", name="head"), shape=["N", 10]).expect(TWO)
    build.__name__ = f"layers_in_functions_{opset}_{function_opset}"
    zoo(opset=opset)(build)


for _opset in (11, 13, 15, 17, 19, 20, 21, 22, 23, 24, 25, 26):
    _layers_in_functions(_opset, _opset)
_layers_in_functions(12, 11)
_layers_in_functions(18, 15)


@zoo()
def branch_that_is_always_taken(net):
    """Its layers are the model's own; those of the other branch are gone."""
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 8))
    yes, no = (branch(name, [helper.make_node("Conv", [x, "w"], ["t"], pads=[1] * 4, name=f"{name}_conv"), helper.make_node("Relu", ["t"], ["r"])], ["r"],
                      [numpy_helper.from_array(net.normal(8, 8, 3, 3, fan_in=72), "w")]) for name in ("yes", "no"))
    net.head(net.node("If", net.weight(np.bool_(False)), then_branch=yes, else_branch=no, channels=8, name="if")).expect(TWO)


@zoo()
def operators_of_other_domains(net):
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 8))
    y = net.node("QuickGelu", x, domain="com.microsoft", name="gelu")
    net.head(net.node("Relu", net.conv(y, 8))).expect(TWO, float_nodes={"gelu": "other_domain"})


@zoo()
def quantized_already(net):
    """One layer has its Q/DQ already: it is left as it is."""
    x = net.input("x", IMAGE)
    scale, zero = net.weight(np.float32(0.03)), net.weight(np.uint8(128))
    y = net.node("DequantizeLinear", net.node("QuantizeLinear", x, scale, zero, name="q"), scale, zero, name="dq")
    net.channels[y] = 8
    y = net.node("Relu", net.conv(y, 8))
    net.head(net.node("Relu", net.conv(y, 8))).expect(TWO, float_nodes={"q": "already_quantized", "dq": "already_quantized"})


# ---- what users choose ----

@zoo()
def excluded_by_pattern(net):
    two_layers(net).expect({"QLinearConv": 2}, options=["--exclude", "head"], float_nodes={"head": "excluded"})


@zoo()
def included_by_operator(net):
    two_layers(net).expect({"QGemm": 1}, options=["--include", "op:Gemm"])


@zoo()
def per_tensor_weights(net):
    two_layers(net).expect(TWO, db=24, options=["-o", "per-channel=off"])


@zoo()
def signed_activations(net):
    """int8 activations: ONNX Runtime on x86 fuses them in straight chains like this one."""
    two_layers(net).expect(TWO, options=["-o", "act-type=int8"])
