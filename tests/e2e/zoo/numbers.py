# SPDX-License-Identifier: Apache-2.0
"""Numbers that ranges, scales and biases must survive: zeros, tiny and huge values, NaN, dead channels, far-off ranges."""
import numpy as np

from .build import zoo

SHAPE = [4, 16]
IMAGE = [1, 8, 12, 12]
TWO = {"QLinearConv": 2, "QLinearGlobalAveragePool": 1, "QGemm": 1}


def feed(make):
    return lambda rng: make(rng).astype(np.float32)


def two_gemms(net, make, first=None):
    x = net.input("x", SHAPE, feed(make))
    y = first(x) if first else net.gemm(x, 16)
    return net.output(net.gemm(net.node("Relu", y), 8))


@zoo()
def inputs_are_zero(net):
    two_gemms(net, lambda rng: np.zeros(SHAPE)).expect({"QGemm": 2})


@zoo()
def inputs_are_tiny(net):
    two_gemms(net, lambda rng: 1e-30 * rng.standard_normal(SHAPE)).expect({"QGemm": 1})


@zoo()
def inputs_are_subnormal(net):
    two_gemms(net, lambda rng: 1e-41 * rng.standard_normal(SHAPE)).expect({"QGemm": 1})


@zoo()
def inputs_are_huge(net):
    two_gemms(net, lambda rng: 1e30 * rng.standard_normal(SHAPE)).expect({})


@zoo()
def inputs_are_positive_and_far_from_zero(net):
    two_gemms(net, lambda rng: 100 + rng.standard_normal(SHAPE)).expect({"QGemm": 2})


@zoo()
def inputs_are_negative(net):
    two_gemms(net, lambda rng: -rng.random(SHAPE)).expect({"QGemm": 2})


@zoo()
def inputs_have_outliers(net):
    """One value is 3000 times the rest, and carries the signal."""
    def make(rng):
        x = rng.standard_normal(SHAPE)
        x[0, 0] = 3000
        return x
    two_gemms(net, make).expect({"QGemm": 2})


@zoo()
def inputs_hold_infinity(net):
    """Seen in calibration: what reads it, and what it reaches, stays float. (Where that is all there is, or NaN, the samples are refused.)"""
    def make(rng):
        x = rng.standard_normal(SHAPE).astype(np.float32)
        x[0, 0] = np.inf
        return x
    bad = net.gemm(net.input("bad", ["N", SHAPE[1]], make), 8, name="reached")
    good = net.gemm(net.input("good", ["N", SHAPE[1]], lambda rng: rng.standard_normal(SHAPE).astype(np.float32)), 8)
    net.output(bad, good).expect({"QGemm": 1}, warns="infinite", float_nodes={"reached": "not_finite"})


def half_bad(net, spoil):
    """The first of two layers has a spoilt channel that is cut off behind it, so that calibration sees finite numbers only."""
    def first(x):
        w, b = net.normal(16, 32, fan_in=16), net.normal(32)
        spoil(w, b)
        y = net.node("Gemm", x, net.weight(w), net.weight(b), name="bad", channels=32)
        return net.node("Slice", y, net.ints(0), net.ints(16), net.ints(1), channels=16)
    two_gemms(net, lambda rng: rng.standard_normal(SHAPE), first).expect({"QGemm": 1}, float_nodes={"bad": "weight_not_finite"})


@zoo()
def weight_holds_nan(net):
    def spoil(w, b):
        w[3, 20] = np.nan
    half_bad(net, spoil)


@zoo()
def weight_holds_infinity(net):
    def spoil(w, b):
        w[3, 20] = np.inf
    half_bad(net, spoil)


@zoo()
def bias_holds_nan(net):
    def spoil(w, b):
        b[20] = np.nan
    half_bad(net, spoil)


@zoo()
def weights_are_nan(net):
    """Everything is NaN: nothing can be quantized, and the output is what it was."""
    def first(x):
        return net.node("Gemm", x, net.weight(np.full((16, 16), np.nan, np.float32)), name="bad", channels=16)
    two_gemms(net, lambda rng: rng.standard_normal(SHAPE), first).expect({}, float_nodes={"bad": None}, warns="no layer was quantized")


def conv_with(net, w, b, db=28.0, kernels=TWO):
    x = net.node("Conv", net.input("x", IMAGE), net.weight(w), net.weight(b), pads=[1] * 4, name="first", channels=len(w))
    net.head(net.node("Relu", net.conv(net.node("Relu", x), 8)))
    return net.expect(kernels, db=db)


@zoo()
def channel_is_dead(net):
    """All weights of one channel are 0, its bias is not."""
    w, b = net.normal(8, 8, 3, 3, fan_in=72), net.normal(8)
    w[3] = 0
    conv_with(net, w, b)


@zoo()
def channel_is_nearly_dead(net):
    """Weights of 1e-9 and a bias of 2: with the scale of the weights the bias would not fit 32 bits."""
    w, b = net.normal(8, 8, 3, 3, fan_in=72), net.normal(8)
    w[3] *= 1e-9
    b[3] = 2
    w[5] *= 1e-20
    b[5] = -1
    conv_with(net, w, b)


@zoo()
def channels_have_very_different_scales(net):
    w, b = net.normal(8, 8, 3, 3, fan_in=72), 0.1 * net.normal(8)
    w *= np.array([1e-4, 1e-3, 1e-2, 0.1, 1, 1, 1, 1], np.float32).reshape(-1, 1, 1, 1)
    conv_with(net, w, b)


@zoo()
def weights_are_zero(net):
    conv_with(net, np.zeros((8, 8, 3, 3), np.float32), net.normal(8))


@zoo()
def weights_are_subnormal(net):
    """A scale is never subnormal, so of these weights nothing would be left."""
    conv_with(net, np.full((8, 8, 3, 3), 1e-42, np.float32), net.normal(8), kernels={**TWO, "QLinearConv": 1})


@zoo()
def weights_are_huge(net):
    conv_with(net, 1e25 * net.normal(8, 8, 3, 3, fan_in=72), net.normal(8), kernels={})


@zoo()
def bias_is_huge(net):
    """Far outside of what the products can reach."""
    conv_with(net, net.normal(8, 8, 3, 3, fan_in=72), 1e6 * net.normal(8))


@zoo()
def relu_never_passes_anything(net):
    """Everything behind the first layer is zero in calibration and evaluation."""
    w = net.normal(8, 8, 3, 3, fan_in=72)
    conv_with(net, w, np.full(8, -1000, np.float32))


@zoo()
def activations_are_constant(net):
    """Weights are zero, so each channel is its bias everywhere."""
    x = net.node("Conv", net.input("x", IMAGE), net.weight(np.zeros((8, 8, 1, 1), np.float32)), net.weight(np.full(8, 3.7, np.float32)), channels=8)
    net.head(net.node("Relu", net.conv(x, 8))).expect(TWO)


@zoo()
def layer_sums_many_products(net):
    """Enough of them that the sum needs more than 24 bits."""
    x = net.input("x", [2, 4096])
    net.output(net.gemm(x, 8, depth=4096)).expect({"QGemm": 1})
