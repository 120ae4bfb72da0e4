# SPDX-License-Identifier: Apache-2.0
"""Convolutions, what they absorb, and the activation functions behind them."""
import numpy as np

from .build import zoo

IMAGE = ["N", 8, 16, 16]
TWO = {"QLinearConv": 2, "QLinearGlobalAveragePool": 1, "QGemm": 1}


def between(net, function, **attributes):
    """conv → function → conv → head"""
    x = net.conv(net.input("x", IMAGE), 16, name="first")
    y = function(x) if callable(function) else net.node(function, x, name="function", **attributes)
    net.channels[y] = 16
    return net.head(net.node("Relu", net.conv(y, 12, name="second")))


@zoo()
def conv_relu(net):
    between(net, "Relu").expect(TWO)


@zoo()
def conv_without_activation(net):
    between(net, lambda x: x).expect(TWO)


@zoo()
def conv_clip6(net):
    between(net, lambda x: net.node("Clip", x, net.weight(np.float32(0)), net.weight(np.float32(6)))).expect(TWO)


@zoo(opset=9)
def conv_clip6_of_opset_9(net):
    between(net, "Clip", min=0.0, max=6.0).expect(TWO)


@zoo()
def conv_clip_two_sided(net):
    between(net, lambda x: net.node("Clip", x, net.weight(np.float32(-0.5)), net.weight(np.float32(1)))).expect(TWO)


@zoo()
def conv_clip_upper_only(net):
    between(net, lambda x: net.node("Clip", x, "", net.weight(np.float32(1)))).expect(TWO)


@zoo()
def conv_clip_away_from_zero(net):
    """Zero is not between the bounds: no code could stand for it, so nothing is cut off."""
    between(net, lambda x: net.node("Clip", x, net.weight(np.float32(0.25)), net.weight(np.float32(2)), name="function"))
    net.expect(TWO, float_nodes={"function": "pointwise_chain"})


@zoo()
def conv_clip_with_computed_bounds(net):
    """The bound is a result of the graph."""
    def function(x):
        bound = net.node("ReduceMax", net.node("Abs", x), keepdims=0)
        return net.node("Clip", x, net.weight(np.float32(0)), bound, name="function")
    between(net, function).expect(TWO)


@zoo()
def conv_relu_read_twice(net):
    """Both the result and the rectified result are read: the Relu cannot vanish."""
    x = net.conv(net.input("x", IMAGE), 8, name="first")
    y = net.node("Relu", x, name="function")
    net.head(net.node("Add", net.conv(x, 8), net.conv(y, 8)))
    net.expect({"QLinearConv": 3, "QLinearAdd": 1, "QLinearGlobalAveragePool": 1, "QGemm": 1})


@zoo()
def conv_leaky_relu(net):
    between(net, "LeakyRelu", alpha=0.1).expect(TWO | {"QLinearLeakyRelu": 1})


@zoo()
def conv_sigmoid(net):
    between(net, "Sigmoid").expect(TWO | {"QLinearSigmoid": 1}, db=25)


@zoo()
def conv_hard_swish(net):
    between(net, "HardSwish").expect(TWO, float_nodes={"function": "slower_on_target"})


@zoo(opset=11)
def conv_hard_swish_in_pieces(net):
    """x · Clip(x + 3, 0, 6) / 6: quantized only before and behind it."""
    def function(x):
        shifted = net.node("Add", x, net.weight(np.float32(3)), name="shift")
        cut = net.node("Clip", shifted, net.weight(np.float32(0)), net.weight(np.float32(6)), name="cut")
        return net.node("Div", net.node("Mul", x, cut, name="product"), net.weight(np.float32(6)), name="scale")
    between(net, function).expect(TWO, float_nodes=dict.fromkeys(["shift", "cut", "product", "scale"], "pointwise_chain"))


@zoo()
def conv_silu(net):
    def function(x):
        return net.node("Mul", x, net.node("Sigmoid", x, name="sigmoid"), name="product")
    between(net, function).expect(TWO, float_nodes=dict.fromkeys(["sigmoid", "product"], "pointwise_chain"))


@zoo()
def conv_gelu_by_erf(net):
    def function(x):
        erf = net.node("Erf", net.node("Div", x, net.weight(np.float32(2 ** 0.5))))
        return net.node("Mul", net.node("Mul", x, net.node("Add", erf, net.weight(np.float32(1)))), net.weight(np.float32(0.5)))
    between(net, function).expect(TWO)


@zoo(opset=20)
def conv_gelu(net):
    between(net, "Gelu").expect(TWO)


@zoo()
def conv_softmax(net):
    """Between codes ONNX Runtime would make it an integer Softmax unasked, which is slower."""
    between(net, "Softmax", axis=1).expect(TWO, db=20, float_nodes={"function": "slower_on_target"})


@zoo()
def conv_softmax_of_many(net):
    """Small shares of many: a scale of 1/256 would leave nothing of them, so what reads them stays float."""
    def function(x):
        y = net.node("Softmax", net.node("Reshape", x, net.ints(0, -1)), axis=1)
        return net.node("Reshape", y, net.ints(0, 16, 16, 16))
    between(net, function)
    net.expect(None, db=20, float_nodes={"second": "quantization_error"})


@zoo()
def conv_prelu(net):
    between(net, lambda x: net.node("PRelu", x, net.weight(np.full((16, 1, 1), 0.2)), name="function")).expect(TWO)


for _op, _attributes in [("Abs", {}), ("Celu", {"alpha": 1.5}), ("Cos", {}), ("Elu", {}), ("Erf", {}), ("Exp", {}), ("HardSigmoid", {}),
                         ("Mish", {}), ("Neg", {}), ("Selu", {}), ("Sin", {}), ("Softplus", {}), ("Softsign", {}), ("Tanh", {}),
                         ("ThresholdedRelu", {"alpha": 0.3})]:
    def _build(net, op=_op, attributes=_attributes):
        between(net, op, **attributes).expect(TWO, db=24, float_nodes={"function": None})
    _build.__name__ = f"conv_{_op.lower()}"
    zoo(opset=18)(_build)


@zoo()
def conv_chain_of_stepwise_functions(net):
    """Log, Sqrt, Reciprocal and Pow of positive numbers; Floor, Ceil, Round and Sign have steps."""
    def function(x):
        y = net.node("Add", net.node("Abs", x), net.weight(np.float32(1)))
        for op in ("Sqrt", "Log", "Exp", "Reciprocal"):
            y = net.node(op, y)
        y = net.node("Pow", y, net.weight(np.float32(1.5)))
        y = net.node("Mul", y, net.weight(np.float32(4)))
        steps = net.node("Sub", net.node("Ceil", y), net.node("Floor", y))
        return net.node("Max", net.node("Min", y, net.weight(np.float32(3.5))), net.node("Mul", steps, net.weight(np.float32(0.01))))
    between(net, function).expect(TWO, db=24)


# ---- shapes of convolutions ----

@zoo()
def conv_pointwise(net):
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 24, kernel=(1, 1)))
    net.head(net.node("Relu", net.conv(x, 16, kernel=(1, 1)))).expect(TWO)


@zoo()
def conv_depthwise(net):
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 16, kernel=(1, 1)))
    x = net.node("Relu", net.conv(x, 16, group=16))
    net.head(net.node("Relu", net.conv(x, 24, kernel=(1, 1)))).expect(TWO | {"QLinearConv": 3})


@zoo()
def conv_grouped_strided_dilated(net):
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 16, group=4, strides=[2, 2]))
    net.head(net.node("Relu", net.conv(x, 16, dilations=[2, 2], pads=[2, 2, 2, 2]))).expect(TWO)


@zoo()
def conv_uneven_padding(net):
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 16, kernel=(3, 5), pads=[0, 1, 2, 3]))
    net.head(net.node("Relu", net.conv(x, 16, auto_pad="SAME_UPPER", strides=[2, 2]))).expect(TWO)


@zoo()
def conv_without_bias(net):
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 16, bias=False))
    net.head(net.node("Relu", net.conv(x, 16, bias=False))).expect(TWO)


@zoo()
def conv_of_one_dimension(net):
    x = net.node("Relu", net.conv(net.input("x", ["N", 6, 40]), 16, kernel=(5,)))
    net.head(net.node("Relu", net.conv(x, 16, kernel=(3,)))).expect(TWO)


@zoo()
def conv_of_three_dimensions(net):
    x = net.node("Relu", net.conv(net.input("x", [1, 3, 6, 6, 6]), 8, kernel=(3, 3, 3)))
    net.head(net.node("Relu", net.conv(x, 8, kernel=(1, 1, 1)))).expect(TWO)


@zoo()
def conv_first_has_one_channel(net):
    x = net.node("Relu", net.conv(net.input("x", ["N", 1, 20, 20]), 16, kernel=(5, 5)))
    net.head(net.node("Relu", net.conv(x, 16))).expect(TWO)


@zoo()
def conv_transposed(net):
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 16))
    x = net.conv(x, 8, kernel=(2, 2), op="ConvTranspose", strides=[2, 2], pads=[0, 0, 0, 0], name="up")
    net.head(net.node("Relu", net.conv(net.node("Relu", x), 8))).expect(TWO, float_nodes={"up": "slower_on_target"})


@zoo()
def conv_transposed_in_groups(net):
    x = net.conv(net.input("x", IMAGE), 8, kernel=(4, 4), op="ConvTranspose", group=4, strides=[2, 2], pads=[1, 1, 1, 1], name="up")
    net.head(net.node("Relu", net.conv(x, 8))).expect(TWO | {"QLinearConv": 1}, float_nodes={"up": "slower_on_target"})


@zoo()
def conv_is_the_output(net):
    """A Conv of ONNX Runtime needs a quantized result, and graph outputs are not quantized."""
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 16))
    net.output(net.conv(x, 4, name="last")).expect({"QLinearConv": 1}, float_nodes={"last": "graph_output"}, db=30)


@zoo()
def conv_result_is_also_an_output(net):
    x = net.conv(net.input("x", IMAGE), 16, name="first")
    net.output(x)
    net.head(net.node("Relu", net.conv(x, 12))).expect(TWO | {"QLinearConv": 1}, float_nodes={"first": "graph_output"})


@zoo()
def conv_weight_is_computed(net):
    x = net.input("x", IMAGE)
    w = net.node("Mul", net.input("gain", [1]), net.weight(net.normal(8, 8, 3, 3, fan_in=72)))
    y = net.node("Conv", x, w, name="first", pads=[1, 1, 1, 1])
    net.head(net.node("Relu", net.conv(y, 8))).expect(TWO | {"QLinearConv": 1}, float_nodes={"first": "weight_not_constant"}, db=20)


# ---- batch normalization ----

def batch_norm(net, x, **attributes):
    c = net.channels[x]
    parameters = [1 + 0.2 * net.normal(c), 0.1 * net.normal(c), 0.1 * net.normal(c), 0.5 + net.rng.random(c).astype(np.float32)]
    return net.node("BatchNormalization", x, *[net.weight(p) for p in parameters], **attributes)


@zoo()
def batch_norm_is_folded(net):
    x = net.node("Relu", batch_norm(net, net.conv(net.input("x", IMAGE), 16, bias=False)))
    net.head(net.node("Relu", batch_norm(net, net.conv(x, 16)))).expect(TWO)


@zoo(opset=9)
def batch_norm_of_opset_9_is_folded(net):
    x = net.node("Relu", batch_norm(net, net.conv(net.input("x", IMAGE), 16, bias=False)))
    net.head(net.node("Relu", batch_norm(net, net.conv(x, 16)))).expect(TWO)


@zoo()
def batch_norm_before_the_conv(net):
    """Padding keeps it from being folded forwards."""
    x = batch_norm(net, net.input("x", IMAGE))
    net.head(net.node("Relu", net.conv(x, 16))).expect(TWO | {"QLinearConv": 1})


@zoo()
def batch_norm_of_a_shared_conv(net):
    x = net.conv(net.input("x", IMAGE), 16)
    net.head(net.node("Add", net.node("Relu", batch_norm(net, x)), net.node("Relu", x)))
    net.expect({"QLinearConv": 1, "QGemm": 1}, db=26)
