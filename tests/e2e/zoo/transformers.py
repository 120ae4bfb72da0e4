# SPDX-License-Identifier: Apache-2.0
"""Small transformers as exporters write them: masks of every kind, caches of past keys, from no length on. What stands for
"never" in scores may not set a range: -10000 among values of 1 would leave them a step or two."""
import numpy as np
from onnx import TensorProto, helper

from .build import zoo
from .linears import FLOAT_RESULT, block, layer_norm, token_mask

WIDTH, HEADS, TOKENS = 32, 4, 50
KEPT = 24.0  # dB


def encoder(net, mask, blocks=1):
    """With inputs of some length, and others padded to it."""
    x = net.input("x", ["N", "T", WIDTH], sample_shape=[2, 6, WIDTH])
    made = mask(net)
    for _ in range(blocks):
        x = block(net, x, made, layer_norm)
    net.output(net.linear(x, 8, WIDTH)).expect({FLOAT_RESULT: 1 + 6 * blocks}, db=KEPT)


@zoo()
def mask_of_minus_ten_thousand(net):
    """BERT's."""
    encoder(net, lambda net: token_mask(net, -10000.0))


@zoo()
def mask_of_the_lowest_half(net):
    encoder(net, lambda net: token_mask(net, -65504.0))


@zoo()
def mask_of_the_lowest_float(net):
    encoder(net, lambda net: token_mask(net, np.finfo(np.float32).min), blocks=2)


@zoo()
def mask_of_minus_a_billion(net):
    encoder(net, lambda net: token_mask(net, -1e9))


@zoo()
def mask_that_is_an_input(net):
    """Ready to be added."""
    def feed(rng):
        mask = np.zeros((2, 1, 1, 6), np.float32)
        mask[1, ..., int(rng.integers(2, 6)):] = -10000
        return mask
    encoder(net, lambda net: net.input("mask", ["N", 1, 1, "T"], feed))


# ---- decoders ----

def heads_of(net, x, order):
    y = net.node("Reshape", x, net.ints(0, 0, HEADS, WIDTH // HEADS))
    return net.node("Transpose", y, perm=order)


def decoder(net, masked, past=None):
    """Tokens in, logits out. masked(net, scores) hides what comes later; `past` is the length of cached keys and values."""
    tokens = net.input("tokens", ["N", "T"], lambda rng: rng.integers(0, TOKENS, (2, 5)), TensorProto.INT64, sample_shape=[2, 5])
    x = net.node("Gather", net.weight(net.normal(TOKENS, WIDTH), "table"), tokens, channels=WIDTH)
    q, k, v = net.node("Split", net.linear(x, 3 * WIDTH, WIDTH), net.ints(WIDTH, WIDTH, WIDTH), outputs=3, axis=2)
    q, k, v = (heads_of(net, part, [0, 2, 1, 3]) for part in (q, k, v))
    if past is not None:
        cache = [net.input(name, ["N", HEADS, "P", WIDTH // HEADS], sample_shape=[2, HEADS, past, WIDTH // HEADS]) for name in ("past_k", "past_v")]
        k, v = (net.node("Concat", old, new, axis=2) for old, new in zip(cache, (k, v)))
        net.output(k, v)
    scores = net.node("MatMul", q, net.node("Transpose", k, perm=[0, 1, 3, 2]))
    scores = masked(net, net.node("Div", scores, net.weight(np.float32((WIDTH // HEADS) ** 0.5))))
    y = net.node("MatMul", net.node("Softmax", scores, axis=-1), v)
    y = net.node("Reshape", net.node("Transpose", y, perm=[0, 2, 1, 3]), net.ints(0, 0, WIDTH))
    x = layer_norm(net, net.node("Add", x, net.linear(y, WIDTH, WIDTH)), WIDTH)
    net.output(net.node("MatMul", x, net.node("Transpose", "table", perm=[1, 0])))
    net.expect({FLOAT_RESULT: 3}, db=KEPT)


def constant(net, kept, never):
    """A square of later positions."""
    lower = np.tril(np.ones((5, 5), bool))
    return net.weight(np.where(lower, np.float32(kept), np.float32(never))[None, None].astype(np.float32))


@zoo()
def decoder_that_adds_a_constant_mask(net):
    decoder(net, lambda net, scores: net.node("Add", scores, constant(net, 0, -10000)))


@zoo()
def decoder_that_adds_infinity(net):
    decoder(net, lambda net, scores: net.node("Add", scores, constant(net, 0, -np.inf)))


@zoo()
def decoder_that_picks_by_where(net):
    """GPT-2's: scores where a triangle of ones says so, -10000 elsewhere."""
    def masked(net, scores):
        lower = net.weight(np.tril(np.ones((1, 1, 5, 5), bool)))
        return net.node("Where", lower, scores, net.weight(np.float32(-10000)))
    decoder(net, masked)


@zoo()
def decoder_that_multiplies_and_subtracts(net):
    """GPT-1's: scores * b - 10000 * (1 - b)."""
    def masked(net, scores):
        kept = constant(net, 1, 0)
        return net.node("Sub", net.node("Mul", scores, kept), net.node("Mul", net.node("Sub", net.weight(np.float32(1)), kept), net.weight(np.float32(10000))))
    decoder(net, masked)


def by_length(net, scores):
    """A triangle made while it runs, as exporters do for lengths that are not known."""
    shape = net.node("Shape", scores)
    size = net.node("Slice", shape, net.ints(2), net.ints(4))
    never = net.node("ConstantOfShape", size, value=helper.make_tensor("value", TensorProto.FLOAT, [1], [np.finfo(np.float32).min]))
    offset = net.node("Squeeze", net.node("Sub", net.node("Slice", shape, net.ints(3), net.ints(4)), net.node("Slice", shape, net.ints(2), net.ints(3))), net.ints(0))
    later = net.node("Trilu", never, net.node("Add", offset, net.weight(np.int64(1))), upper=1)
    return net.node("Add", scores, later)


@zoo()
def decoder_of_any_length(net):
    decoder(net, by_length)


@zoo()
def decoder_with_a_cache(net):
    decoder(net, by_length, past=3)


@zoo()
def decoder_with_an_empty_cache(net):
    """The first step: past keys and values of length 0."""
    decoder(net, by_length, past=0)


# ---- where "never" meets layers ----

@zoo()
def pooled_by_the_largest(net):
    """Padding is set to -1e9 before the largest is taken over the tokens: the layer behind reads what is left."""
    x = net.node("Tanh", net.linear(net.input("x", ["N", "T", WIDTH], sample_shape=[2, 6, WIDTH]), WIDTH, WIDTH))
    hidden = net.node("Less", net.node("Transpose", net.node("Squeeze", token_mask(net, -1e9), net.ints(1)), perm=[0, 2, 1]), net.weight(np.float32(-1)))
    y = net.node("ReduceMax", net.node("Where", hidden, net.weight(np.float32(-1e9)), x), axes=[1], keepdims=0)
    net.channels[y] = WIDTH
    net.output(net.gemm(y, 8)).expect({FLOAT_RESULT: 1, "QGemm": 1}, db=KEPT)
