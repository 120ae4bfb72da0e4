# SPDX-License-Identifier: Apache-2.0
"""Nodes that combine several activations, and poolings."""
import numpy as np

from .build import zoo

IMAGE = ["N", 8, 16, 16]
HEAD = {"QLinearGlobalAveragePool": 1, "QGemm": 1}


def relu_conv(net, x, channels=8, **attributes):
    return net.node("Relu", net.conv(x, channels, **attributes))


@zoo()
def add_residual(net):
    x = relu_conv(net, net.input("x", IMAGE))
    y = net.conv(relu_conv(net, x), 8)
    net.head(relu_conv(net, net.node("Relu", net.node("Add", y, x)))).expect(HEAD | {"QLinearConv": 4, "QLinearAdd": 1})


@zoo()
def add_residual_without_relu(net):
    """As in networks with inverted residuals."""
    x = net.conv(net.input("x", IMAGE), 8)
    for _ in range(2):
        x = net.node("Add", net.conv(relu_conv(net, x, 16, kernel=(1, 1)), 8, kernel=(1, 1)), x)
    net.head(relu_conv(net, x)).expect(HEAD | {"QLinearConv": 6, "QLinearAdd": 2})


@zoo()
def add_of_a_value_to_itself(net):
    x = relu_conv(net, net.input("x", IMAGE))
    net.head(relu_conv(net, net.node("Add", x, x))).expect(HEAD | {"QLinearConv": 2})


@zoo()
def add_of_two_inputs(net):
    """Nothing that is added comes from integers: adding in float and quantizing the sum costs less."""
    x = net.node("Add", net.input("a", IMAGE), net.input("b", IMAGE), name="sum")
    net.channels[x] = 8
    net.head(relu_conv(net, x)).expect(HEAD | {"QLinearConv": 1}, float_nodes={"sum": "input_float"})


@zoo()
def add_of_a_constant_map(net):
    x = net.node("Add", relu_conv(net, net.input("x", IMAGE)), net.weight(net.normal(1, 8, 16, 16)), name="sum")
    net.head(relu_conv(net, x)).expect(HEAD | {"QLinearConv": 2})


@zoo()
def add_broadcasts(net):
    x = relu_conv(net, net.input("x", IMAGE))
    y = net.conv(net.node("GlobalAveragePool", x), 8, kernel=(1, 1))
    net.head(relu_conv(net, net.node("Add", x, y))).expect({"QLinearConv": 3, "QLinearAdd": 1, "QLinearGlobalAveragePool": 2, "QGemm": 1})


@zoo()
def add_is_an_output(net):
    x = relu_conv(net, net.input("x", IMAGE))
    y = net.node("Add", net.conv(x, 8), x, name="sum")
    net.output(y)
    net.head(relu_conv(net, y)).expect(HEAD | {"QLinearConv": 3}, float_nodes={"sum": "graph_output"})


@zoo()
def sum_of_one_and_several(net):
    """Sum has no integer kernel."""
    x = relu_conv(net, net.input("x", IMAGE))
    y = net.node("Sum", net.conv(x, 8), net.conv(x, 8), x, name="sum")
    net.head(relu_conv(net, y)).expect(HEAD | {"QLinearConv": 4}, float_nodes={"sum": "op_not_in_table"})


@zoo()
def mul_squeeze_and_excite(net):
    x = relu_conv(net, net.input("x", IMAGE), 16)
    y = net.node("GlobalAveragePool", x)
    y = net.node("Sigmoid", net.conv(relu_conv(net, y, 4, kernel=(1, 1)), 16, kernel=(1, 1)))
    net.head(relu_conv(net, net.node("Mul", x, y)))
    net.expect({"QLinearConv": 4, "QLinearMul": 1, "QLinearSigmoid": 1, "QLinearGlobalAveragePool": 2, "QGemm": 1})


@zoo()
def mul_gate(net):
    """A gated unit: two convolutions of one tensor, multiplied."""
    x = net.input("x", IMAGE)
    y = net.node("Mul", net.conv(x, 8), net.node("Sigmoid", net.conv(x, 8)))
    net.head(relu_conv(net, y)).expect(HEAD | {"QLinearConv": 3, "QLinearMul": 1, "QLinearSigmoid": 1}, db=26)


@zoo()
def concat_branches(net):
    """As in Inception: ranges of the branches differ."""
    x = relu_conv(net, net.input("x", IMAGE))
    branches = [relu_conv(net, x, 4, kernel=(1, 1)), relu_conv(net, x, 4), net.conv(x, 4, kernel=(5, 5)), net.node("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4)]
    y = net.node("Concat", *branches, axis=1, channels=20)
    net.head(relu_conv(net, y)).expect(HEAD | {"QLinearConv": 5, "QLinearConcat": 1})


@zoo()
def concat_dense_connections(net):
    x = relu_conv(net, net.input("x", IMAGE))
    for depth in (12, 16, 20):
        x = net.node("Concat", x, relu_conv(net, x, 4), axis=1, channels=depth)
    net.head(relu_conv(net, x)).expect(HEAD | {"QLinearConv": 5, "QLinearConcat": 3})


@zoo()
def concat_with_a_float_branch(net):
    x = net.input("x", IMAGE)
    y = net.node("Concat", relu_conv(net, x), net.node("Softmax", x, axis=1), axis=1, channels=16)
    net.head(relu_conv(net, y)).expect(HEAD | {"QLinearConv": 2, "QLinearConcat": 1})


@zoo()
def concat_with_a_constant(net):
    x = relu_conv(net, net.input("x", [1, 8, 16, 16]))
    y = net.node("Concat", x, net.weight(net.normal(1, 2, 16, 16)), axis=1, channels=10)
    net.head(relu_conv(net, y)).expect(HEAD | {"QLinearConv": 2})


@zoo()
def concat_relu_behind(net):
    x = net.input("x", IMAGE)
    y = net.node("Relu", net.node("Concat", net.conv(x, 4), net.conv(x, 4), axis=1, channels=8))
    net.head(relu_conv(net, y)).expect(HEAD | {"QLinearConv": 3, "QLinearConcat": 1})


@zoo()
def concat_on_the_batch_axis(net):
    x = net.input("x", IMAGE)
    y = net.node("Concat", relu_conv(net, x), relu_conv(net, x), axis=0)
    net.head(relu_conv(net, y)).expect(HEAD | {"QLinearConv": 3, "QLinearConcat": 1})


@zoo()
def pool_max(net):
    x = net.node("MaxPool", relu_conv(net, net.input("x", IMAGE)), kernel_shape=[2, 2], strides=[2, 2])
    net.head(relu_conv(net, x)).expect(HEAD | {"QLinearConv": 2})


@zoo(opset=9)
def pool_max_of_opset_9(net):
    x = net.node("MaxPool", relu_conv(net, net.input("x", IMAGE)), kernel_shape=[2, 2], strides=[2, 2])
    net.head(relu_conv(net, x)).expect(HEAD | {"QLinearConv": 2})


@zoo()
def pool_max_with_indices(net):
    """The places of the maxima are those of the float input."""
    y, _ = net.node("MaxPool", net.input("x", IMAGE), outputs=2, kernel_shape=[2, 2], strides=[2, 2], name="pool")
    net.output("pool.y1", dtype=7)
    net.head(relu_conv(net, y)).expect(HEAD | {"QLinearConv": 1}, float_nodes={"pool": "attributes"})


@zoo()
def pool_average(net):
    x = net.node("AveragePool", relu_conv(net, net.input("x", IMAGE)), kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    net.head(relu_conv(net, x)).expect(HEAD | {"QLinearConv": 2, "QLinearAveragePool": 1})


@zoo()
def pool_average_counts_padding(net):
    x = net.node("AveragePool", relu_conv(net, net.input("x", IMAGE)), kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    net.head(relu_conv(net, x)).expect(HEAD | {"QLinearConv": 2, "QLinearAveragePool": 1})


@zoo()
def pool_average_of_a_float_input(net):
    x = net.node("AveragePool", net.input("x", IMAGE), kernel_shape=[2, 2], strides=[2, 2], name="pool")
    net.head(relu_conv(net, x)).expect(HEAD | {"QLinearConv": 1}, float_nodes={"pool": "input_float"})


@zoo()
def pool_by_reduce_mean(net):
    x = net.node("ReduceMean", relu_conv(net, net.input("x", IMAGE)), axes=[2, 3], keepdims=0, name="mean")
    net.output(net.gemm(x, 10)).expect({"QLinearConv": 1, "QGemm": 1}, float_nodes={"mean": "slower_on_target"})


@zoo()
def pool_global_max(net):
    x = net.node("GlobalMaxPool", relu_conv(net, net.input("x", IMAGE)), name="pool")
    net.output(net.gemm(net.node("Flatten", x), 10)).expect({"QLinearConv": 1, "QGemm": 1}, float_nodes={"pool": "op_not_in_table"})


@zoo()
def feature_pyramid(net):
    """Nearest upsampling and addition of levels, each with a head: float and integer readers of one tensor."""
    low = relu_conv(net, net.input("x", ["N", 3, 32, 32]), 8, strides=[2, 2])
    high = relu_conv(net, low, 8, strides=[2, 2])
    up = net.node("Resize", net.conv(high, 8, kernel=(1, 1)), "", net.weight(np.array([1, 1, 2, 2], np.float32)), mode="nearest",
                  coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    merged = net.node("Add", net.conv(low, 8, kernel=(1, 1)), up)
    net.output(net.node("Sigmoid", net.conv(relu_conv(net, merged), 2, kernel=(1, 1), name="score")), net.conv(merged, 4, name="box"))
    net.expect({"QLinearConv": 6, "QLinearAdd": 1}, float_nodes={"box": "graph_output"})
