# SPDX-License-Identifier: Apache-2.0
"""Nodes that only move values: codes pass through them, with the same parameters on both sides."""
import numpy as np

from .build import zoo

IMAGE = ["N", 8, 16, 16]
TWO = {"QLinearConv": 2, "QLinearGlobalAveragePool": 1, "QGemm": 1}


def moved(net, move, channels=None, db=28.0, kernels=TWO, shape=IMAGE):
    x = net.node("Relu", net.conv(net.input("x", shape), 16))
    y = move(x)
    net.channels[y] = channels or 16
    net.head(net.node("Relu", net.conv(y, 12)))
    return net.expect(kernels, db=db)


@zoo()
def resize_nearest(net):
    moved(net, lambda x: net.node("Resize", x, "", net.weight(np.array([1, 1, 2, 2], np.float32)), mode="nearest"))


@zoo()
def resize_to_sizes(net):
    moved(net, lambda x: net.node("Resize", x, "", "", net.ints(1, 16, 24, 20), mode="nearest"), shape=[1, 8, 16, 16])


@zoo(opset=10)
def resize_of_opset_10(net):
    moved(net, lambda x: net.node("Resize", x, net.weight(np.array([1, 1, 2, 2], np.float32)), mode="nearest"))


@zoo(opset=9)
def upsample_of_opset_9(net):
    moved(net, lambda x: net.node("Upsample", x, net.weight(np.array([1, 1, 2, 2], np.float32)), mode="nearest"))


@zoo()
def resize_linear(net):
    """Interpolation rounds, so it stays float."""
    moved(net, lambda x: net.node("Resize", x, "", net.weight(np.array([1, 1, 2, 2], np.float32)), mode="linear", name="resize"))
    net.float_nodes = {"resize": "attributes"}


@zoo()
def depth_to_space(net):
    moved(net, lambda x: net.node("DepthToSpace", x, blocksize=2), channels=4)


@zoo()
def space_to_depth(net):
    moved(net, lambda x: net.node("SpaceToDepth", x, blocksize=2, name="move"), channels=64)
    net.float_nodes = {"move": "op_not_in_table"}


@zoo()
def pad_with_zeros(net):
    moved(net, lambda x: net.node("Pad", x, net.ints(0, 0, 1, 1, 0, 0, 1, 1), name="pad"))
    net.float_nodes = {"pad": "slower_on_target"}


@zoo()
def slice_of_channels(net):
    moved(net, lambda x: net.node("Slice", x, net.ints(4), net.ints(12), net.ints(1)), channels=8)


@zoo(opset=9)
def slice_of_opset_9(net):
    moved(net, lambda x: net.node("Slice", x, starts=[4], ends=[12], axes=[1]), channels=8)


@zoo()
def split_and_shuffle(net):
    """Half goes through a Conv, half passes by; then channels are shuffled, as in ShuffleNet."""
    def move(x):
        a, b = net.node("Split", x, net.ints(8, 8), outputs=2, axis=1, channels=8)
        y = net.node("Concat", net.node("Relu", net.conv(a, 8)), b, axis=1, channels=16)
        y = net.node("Reshape", y, net.ints(0, 2, 8, 16, 16))
        return net.node("Reshape", net.node("Transpose", y, perm=[0, 2, 1, 3, 4]), net.ints(0, 16, 16, 16))
    moved(net, move, kernels=TWO | {"QLinearConv": 3, "QLinearConcat": 1})


@zoo(opset=11)
def split_of_opset_11(net):
    def move(x):
        a, b = net.node("Split", x, outputs=2, axis=1, split=[4, 12], channels=4)
        net.channels[b] = 12
        return net.node("Concat", b, net.conv(a, 4), axis=1, channels=16)
    moved(net, move, kernels=TWO | {"QLinearConv": 3, "QLinearConcat": 1})


@zoo()
def split_with_an_unread_part(net):
    def move(x):
        a, b = net.node("Split", x, net.ints(8, 8), outputs=2, axis=1, channels=8)
        return a
    moved(net, move, channels=8)


@zoo()
def split_with_a_float_reader(net):
    """One half is read by a layer, the other by Softmax, which reads it dequantized."""
    def move(x):
        a, b = net.node("Split", x, net.ints(8, 8), outputs=2, axis=1, channels=8)
        net.output(net.node("Softmax", b, axis=1))
        return a
    moved(net, move, channels=8)


@zoo()
def gather_of_channels(net):
    moved(net, lambda x: net.node("Gather", x, net.ints(*range(15, -1, -1)), axis=1))


@zoo()
def transpose_of_the_input(net):
    """NHWC in, NCHW inside."""
    x = net.node("Transpose", net.input("x", ["N", 16, 16, 8]), perm=[0, 3, 1, 2])
    net.channels[x] = 8
    net.head(net.node("Relu", net.conv(x, 12))).expect(TWO | {"QLinearConv": 1})


@zoo()
def transpose_of_the_output(net):
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 8))
    y = net.node("Transpose", net.node("Relu", net.conv(x, 8, name="last")), perm=[0, 2, 3, 1], name="nhwc")
    net.output(y).expect({"QLinearConv": 2}, float_nodes={"nhwc": None}, db=30)


@zoo()
def squeeze_and_unsqueeze(net):
    def move(x):
        y = net.node("Unsqueeze", x, net.ints(2))
        y = net.node("Transpose", y, perm=[0, 1, 2, 4, 3])
        return net.node("Squeeze", y, net.ints(2))
    moved(net, move)


@zoo(opset=11)
def squeeze_and_unsqueeze_of_opset_11(net):
    def move(x):
        y = net.node("Unsqueeze", x, axes=[2])
        y = net.node("Transpose", y, perm=[0, 1, 2, 4, 3])
        return net.node("Squeeze", y, axes=[2])
    moved(net, move)


@zoo()
def reshape_by_computed_shape(net):
    """The shape comes from Shape, Gather and Concat of the tensor itself."""
    def move(x):
        size = net.node("Shape", x)
        batch = net.node("Unsqueeze", net.node("Gather", size, net.weight(np.int64(0))), net.ints(0))
        return net.node("Reshape", x, net.node("Concat", batch, net.ints(4, 32, 32), axis=0))
    moved(net, move, channels=4)


@zoo()
def flatten_without_pooling(net):
    x = net.node("Relu", net.conv(net.input("x", [1, 4, 8, 8]), 8, strides=[2, 2]))
    net.output(net.gemm(net.node("Flatten", x), 10, depth=128)).expect({"QLinearConv": 1, "QGemm": 1})


@zoo()
def flatten_of_a_max_pool(net):
    x = net.node("MaxPool", net.node("Relu", net.conv(net.input("x", [1, 4, 8, 8]), 8)), kernel_shape=[2, 2], strides=[2, 2])
    net.output(net.gemm(net.node("Reshape", x, net.ints(1, -1)), 10, depth=128)).expect({"QLinearConv": 1, "QGemm": 1})


@zoo()
def moves_of_a_float_input(net):
    """Only layers read it, so it is quantized at once and moved as codes."""
    x = net.input("x", ["N", 8, 16, 16])
    a, b = net.node("Split", x, net.ints(4, 4), outputs=2, axis=1, channels=4)
    y = net.node("Add", net.conv(a, 8), net.conv(b, 8))
    net.head(net.node("Relu", net.conv(net.node("Relu", y), 8))).expect(TWO | {"QLinearConv": 3, "QLinearAdd": 1})


@zoo()
def moves_between_layers_and_outputs(net):
    """A moved value that is also a graph output stays float on that side."""
    x = net.node("Relu", net.conv(net.input("x", IMAGE), 8))
    y = net.node("Transpose", x, perm=[0, 1, 3, 2], name="turn")
    net.output(y)
    net.head(net.node("Relu", net.conv(y, 8))).expect(TWO)


@zoo()
def long_chain_of_moves(net):
    def move(x):
        for _ in range(20):
            x = net.node("Transpose", x, perm=[0, 1, 3, 2])
            x = net.node("Reshape", x, net.ints(0, 4, -1, 16))
            x = net.node("Reshape", x, net.ints(0, 16, 16, 16))
        return x
    moved(net, move)
