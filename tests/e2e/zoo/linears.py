# SPDX-License-Identifier: Apache-2.0
"""Gemm and MatMul in the forms that exporters write, and the blocks of transformers."""
import numpy as np
from onnx import TensorProto

from .build import zoo

SEQUENCE = ["N", 6, 32]
FLOAT_RESULT = "MatMulIntegerToFloat"


def rows(net, width=32):
    return net.input("x", ["N", width], sample_shape=[4, width])


@zoo()
def gemm_chain(net):
    x = net.node("Relu", net.gemm(rows(net), 48))
    net.output(net.gemm(net.node("Relu", net.gemm(x, 48)), 10)).expect({"QGemm": 3})


@zoo()
def gemm_transposed_weight(net):
    x = net.node("Relu", net.gemm(rows(net), 48, trans_b=True))
    net.output(net.gemm(x, 10, trans_b=True)).expect({"QGemm": 2})


@zoo()
def gemm_alpha_and_beta(net):
    """Factors are folded into the constants."""
    x = net.node("Relu", net.gemm(rows(net), 48, alpha=0.5, beta=2.0))
    net.output(net.gemm(x, 10, trans_b=True, alpha=3.0)).expect({"QGemm": 2})


@zoo()
def gemm_bias_of_rank_two(net):
    x = net.node("Relu", net.gemm(rows(net), 48, bias=net.weight(net.normal(1, 48))))
    net.output(net.gemm(x, 10)).expect({"QGemm": 2})


@zoo()
def gemm_bias_for_each_row(net):
    x = net.input("x", [4, 32])
    y = net.node("Relu", net.gemm(x, 48, bias=net.weight(net.normal(4, 48)), name="odd"))
    net.output(net.gemm(y, 10)).expect({"QGemm": 1}, float_nodes={"odd": "weight_shape"})


@zoo()
def gemm_bias_is_one_number(net):
    x = net.node("Relu", net.gemm(rows(net), 48, bias=net.weight(np.float32([0.3])), name="odd"))
    net.output(net.gemm(x, 10)).expect({"QGemm": 1}, float_nodes={"odd": "weight_shape"})


@zoo()
def gemm_without_bias(net):
    net.output(net.gemm(net.node("Relu", net.gemm(rows(net), 48, bias=False)), 10, bias=False)).expect({"QGemm": 2})


@zoo()
def gemm_transposed_input(net):
    x = net.input("x", [32, 4])
    y = net.gemm(x, 48, depth=32, transA=1, name="odd")
    net.output(net.gemm(net.node("Relu", y), 10)).expect({"QGemm": 1}, float_nodes={"odd": "attributes"})


@zoo()
def gemm_of_activations(net):
    x = rows(net)
    y = net.gemm(x, 16)
    net.output(net.node("Gemm", y, net.gemm(x, 16), transB=1, name="product")).expect({"QGemm": 2}, float_nodes={"product": "weight_not_constant"})


@zoo()
def gemm_with_float_functions_between(net):
    x = net.node("Tanh", net.gemm(rows(net), 48))
    net.output(net.node("Softmax", net.gemm(x, 10), axis=1)).expect({"QGemm": 2})


@zoo()
def matmul_of_rank_two(net):
    net.output(net.linear(net.node("Relu", net.linear(rows(net), 48, 32)), 10, 48)).expect({"QGemm": 2})


@zoo()
def matmul_without_bias(net):
    net.output(net.matmul(net.node("Relu", net.matmul(rows(net), 48, 32)), 10, 48)).expect({"QLinearMatMul": 1, FLOAT_RESULT: 1})


@zoo()
def matmul_bias_float_result(net):
    """MatMul and Add of a bias of rank 1, result in float: as written, ONNX Runtime would make a float Gemm of the pair and
    dequantize the weight in each run."""
    net.output(net.linear(net.input("x", SEQUENCE), 24, 32, name="only")).expect({FLOAT_RESULT: 1})


@zoo()
def matmul_bias_first(net):
    net.output(net.linear(net.input("x", SEQUENCE), 24, 32, bias_first=True)).expect({FLOAT_RESULT: 1})


@zoo()
def matmul_bias_of_rank_three(net):
    net.output(net.linear(net.input("x", SEQUENCE), 24, 32, bias_shape=(1, 1, 24))).expect({FLOAT_RESULT: 1})


@zoo()
def matmul_bias_of_rank_two(net):
    net.output(net.linear(net.input("x", SEQUENCE), 24, 32, bias_shape=(1, 24))).expect({FLOAT_RESULT: 1})


@zoo()
def matmul_rank_is_not_declared(net):
    """The rank is found by running the model."""
    x = net.node("Reshape", net.input("x", SEQUENCE), net.node("Concat", net.node("Shape", "x"), net.ints(1), axis=0))
    y = net.node("Squeeze", x, net.ints(3))
    net.output(net.linear(net.node("Relu", y), 24, 32)).expect({FLOAT_RESULT: 1})


@zoo()
def matmul_of_rank_four(net):
    x = net.input("x", ["N", 2, 6, 32])
    net.output(net.linear(net.node("Tanh", net.linear(x, 32, 32)), 8, 32)).expect({FLOAT_RESULT: 2})


@zoo()
def matmul_of_a_vector(net):
    x = net.input("x", [32])
    net.output(net.linear(x, 8, 32)).expect({FLOAT_RESULT: 1})


@zoo()
def matmul_and_a_residual_of_matrices(net):
    """ONNX Runtime would take the residual for the bias of a float Gemm."""
    x = net.node("Tanh", net.matmul(rows(net), 16, 32))
    net.output(net.node("Add", net.matmul(x, 16, 16), x), net.node("Add", x, net.matmul(x, 16, 16)))
    net.expect({FLOAT_RESULT: 3}, db=24)


@zoo()
def matmul_and_gemm_of_matrices_added(net):
    """Sum instead of Add would be fused into the Gemm, which has no bias of its own."""
    x = rows(net)
    net.output(net.node("Add", net.matmul(x, 16, 32), net.gemm(x, 16, bias=False))).expect({FLOAT_RESULT: 1, "QGemm": 1})


@zoo()
def matmul_and_a_residual_of_sequences(net):
    x = net.node("Tanh", net.matmul(net.input("x", SEQUENCE), 16, 32))
    net.output(net.node("Add", net.matmul(x, 16, 16), x)).expect({FLOAT_RESULT: 2}, db=24)


@zoo()
def matmul_of_stacked_weights(net):
    x = net.input("x", [3, 6, 32])
    y = net.node("MatMul", x, net.weight(net.normal(3, 32, 16, fan_in=32)), name="stack")
    net.output(net.matmul(y, 8, 16)).expect({FLOAT_RESULT: 1}, float_nodes={"stack": "weight_shape"})


@zoo()
def einsum_of_matrices(net):
    """An attention block as some exporters write it: projections to heads and back, and products of activations, which stay."""
    x = net.input("x", ["N", 6, 16], sample_shape=[2, 6, 16])
    q, k = (net.node("Einsum", x, net.weight(net.normal(16, 2, 8, fan_in=16)), equation="bse,ehd->bhsd") for _ in range(2))
    v = net.node("Einsum", net.weight(net.normal(2, 8, 16, fan_in=16)), x, equation="hde,bse->bhsd")
    scores = net.node("Softmax", net.node("Einsum", q, k, equation="bhsd,bhtd->bhst", name="scores"), axis=-1)
    mixed = net.node("Einsum", scores, v, equation="bhst,bhtd->bhsd", name="mix")
    y = net.node("Add", x, net.node("Einsum", mixed, net.weight(net.normal(2, 8, 16, fan_in=16)), equation="bhsd,hde->bse"))
    net.output(net.node("Einsum", net.node("Relu", y), net.weight(net.normal(16, 10, fan_in=16)), equation="bij,jk->bik", name="linear"))
    net.expect({"MatMulIntegerToFloat": 5}, db=24, float_nodes={"scores": "einsum", "mix": "einsum"})


@zoo()
def matmul_constant_is_on_the_left(net):
    x = net.input("x", [2, 16, 16])
    y = net.node("MatMul", net.weight(net.normal(16, 16, fan_in=16)), x, name="left")
    net.output(net.matmul(y, 8, 16)).expect({FLOAT_RESULT: 1}, float_nodes={"left": "attributes"})


# ---- what a clamp behind a linear layer, and further readers of it, do to ONNX Runtime's fusions ----

@zoo()
def clamp_with_one_float_reader(net):
    """The result is quantized though nothing asks for it: the layer would run in float otherwise."""
    z = net.node("Relu", net.gemm(net.input("x", [4, 32]), 16))
    net.output(net.node("Softmax", z, axis=1)).expect({"QGemm": 1})


@zoo()
def clamp_with_one_float_reader_behind_matmul(net):
    z = net.node("Relu", net.matmul(net.input("x", [4, 32]), 16, 32))
    net.output(net.node("Softmax", z, axis=1)).expect({"QLinearMatMul": 1})


@zoo()
def clip_with_one_float_reader(net):
    z = net.node("Clip", net.gemm(net.input("x", [4, 32]), 16), net.weight(np.float32(0.25)), net.weight(np.float32(1)))
    net.output(net.node("Softmax", z, axis=1)).expect({"QGemm": 1})


@zoo()
def clamp_with_two_float_readers(net):
    z = net.node("Relu", net.gemm(net.input("x", [4, 32]), 16))
    net.output(net.node("Softmax", z, axis=1), net.node("Tanh", z)).expect({"QGemm": 1})


@zoo()
def clamp_is_an_output(net):
    z = net.node("Relu", net.gemm(net.input("x", [4, 32]), 16))
    net.output(z, net.gemm(z, 8)).expect({"QGemm": 2})


@zoo()
def clamp_beside_a_float_reader(net):
    y = net.gemm(net.input("x", [4, 32]), 16)
    net.output(net.node("Softmax", y, axis=1), net.gemm(net.node("Relu", y), 8)).expect({"QGemm": 2})


@zoo()
def clamp_beside_a_float_reader_behind_matmul(net):
    y = net.matmul(net.input("x", SEQUENCE), 16, 32)
    net.output(net.node("Softmax", y, axis=2), net.matmul(net.node("Relu", y), 8, 16)).expect({"QLinearMatMul": 1, FLOAT_RESULT: 1})


@zoo()
def gemm_without_bias_and_a_transpose(net):
    """ONNX Runtime would make one float Gemm of the two."""
    y = net.node("Transpose", net.gemm(net.input("x", [4, 32]), 16, bias=False), perm=[1, 0])
    net.output(net.node("Softmax", y, axis=1)).expect({"QGemm": 1})


@zoo()
def gemm_without_bias_and_a_sum(net):
    x = net.input("x", [4, 32])
    y = net.node("Sum", net.gemm(x, 16, bias=False), net.node("Softmax", net.gemm(x, 16), axis=1))
    net.output(net.node("Softmax", y, axis=1)).expect({"QGemm": 2})


@zoo()
def linear_result_is_an_output_and_read_by_layers(net):
    """It leaves in float, so the layer cannot also make codes of it."""
    y = net.gemm(net.input("x", [4, 32]), 16, name="first")
    net.output(y, net.gemm(y, 8)).expect({"QGemm": 1}, float_nodes={"first": "graph_output"})


@zoo()
def linear_with_bias_is_an_output_and_read_by_layers(net):
    y = net.linear(net.input("x", SEQUENCE), 16, 32)
    net.output(y, net.matmul(y, 8, 16)).expect({FLOAT_RESULT: 2})


@zoo()
def linear_result_has_readers_of_all_kinds(net):
    y = net.gemm(net.input("x", [4, 32]), 16)
    net.output(net.gemm(y, 8), net.gemm(net.node("Sigmoid", y), 8), net.node("Softmax", y, axis=1))
    net.expect({"QGemm": 3, "QLinearSigmoid": 1}, db=26)


def layer_norm(net, x, width):
    return net.node("LayerNormalization", x, net.weight(1 + 0.1 * net.normal(width)), net.weight(0.1 * net.normal(width)), axis=-1)


def layer_norm_in_pieces(net, x, width):
    centred = net.node("Sub", x, net.node("ReduceMean", x, axes=[-1]))
    variance = net.node("ReduceMean", net.node("Pow", centred, net.weight(np.float32(2))), axes=[-1])
    spread = net.node("Sqrt", net.node("Add", variance, net.weight(np.float32(1e-5))))
    y = net.node("Mul", net.node("Div", centred, spread), net.weight(1 + 0.1 * net.normal(width)))
    return net.node("Add", y, net.weight(0.1 * net.normal(width)))


def gelu(net, x):
    erf = net.node("Erf", net.node("Div", x, net.weight(np.float32(2 ** 0.5))))
    return net.node("Mul", net.node("Mul", x, net.node("Add", erf, net.weight(np.float32(1)))), net.weight(np.float32(0.5)))


def attention(net, x, mask, width=32, heads=4):
    def split(y, order):
        return net.node("Transpose", net.node("Reshape", y, net.ints(0, -1, heads, width // heads)), perm=order)
    q = split(net.linear(x, width, width), [0, 2, 1, 3])
    k = split(net.linear(x, width, width), [0, 2, 3, 1])
    v = split(net.linear(x, width, width), [0, 2, 1, 3])
    scores = net.node("Div", net.node("MatMul", q, k, name=f"scores{net.count}"), net.weight(np.float32((width // heads) ** 0.5)))
    scores = net.node("Add", scores, mask)
    mixed = net.node("MatMul", net.node("Softmax", scores, axis=-1), v, name=f"mix{net.count}")
    mixed = net.node("Reshape", net.node("Transpose", mixed, perm=[0, 2, 1, 3]), net.ints(0, -1, width))
    return net.linear(mixed, width, width)


def block(net, x, mask, norm):
    x = norm(net, net.node("Add", x, attention(net, x, mask)), 32)
    hidden = gelu(net, net.linear(x, 64, 32))
    return norm(net, net.node("Add", x, net.linear(hidden, 32, 64)), 32)


def token_mask(net, never):
    """1 for tokens, 0 for padding, as [N,1,1,T] added to scores: 0 or what stands for never."""
    def feed(rng):
        mask = np.ones((2, 6), np.int64)
        mask[1, int(rng.integers(2, 6)):] = 0
        return mask
    m = net.node("Unsqueeze", net.input("mask", ["N", "T"], feed, TensorProto.INT64, sample_shape=[2, 6]), net.ints(1, 2))
    away = net.node("Sub", net.weight(np.float32(1)), net.node("Cast", m, to=TensorProto.FLOAT))
    return net.node("Mul", away, net.weight(np.float32(never)))


@zoo()
def attention_encoder(net):
    """Two blocks; the mask holds -1e38. Products of activations, Softmax, LayerNormalization and residuals stay float."""
    x = net.input("x", ["N", "T", 32], sample_shape=[2, 6, 32])
    mask = token_mask(net, -1e38)
    for _ in range(2):
        x = block(net, x, mask, layer_norm)
    net.output(net.linear(x, 8, 32)).expect({FLOAT_RESULT: 13}, db=24)


@zoo()
def attention_with_infinite_mask(net):
    """-inf from Where; LayerNormalization written out."""
    x = net.input("x", ["N", "T", 32], sample_shape=[2, 6, 32])
    mask = net.node("Where", net.node("Less", token_mask(net, 1.0), net.weight(np.float32(0.5))), net.weight(np.float32(0)), net.weight(np.float32(-np.inf)))
    x = block(net, x, mask, layer_norm_in_pieces)
    net.output(net.linear(x, 8, 32)).expect({FLOAT_RESULT: 7}, db=24)


@zoo()
def attention_with_one_projection(net):
    """Query, key and value from one MatMul, split."""
    x = net.input("x", SEQUENCE)
    q, k, v = net.node("Split", net.linear(x, 96, 32), net.ints(32, 32, 32), outputs=3, axis=2)
    scores = net.node("Softmax", net.node("MatMul", q, net.node("Transpose", k, perm=[0, 2, 1])), axis=-1)
    net.output(net.linear(net.node("MatMul", scores, v, name="mix"), 16, 32))
    net.expect({FLOAT_RESULT: 2}, float_nodes={"mix": "act_times_act"}, db=24)


@zoo()
def embedding_tied_to_the_output(net):
    """The table is read by Gather, which stays float, and transposed by the last MatMul."""
    table = net.normal(50, 32)
    tokens = net.input("tokens", ["N", "T"], lambda rng: rng.integers(0, 50, (2, 6)), TensorProto.INT64)
    x = net.node("Gather", net.weight(table, "table"), tokens, name="embed", channels=32)
    x = net.node("Tanh", net.linear(x, 32, 32))
    net.output(net.node("MatMul", x, net.node("Transpose", "table", perm=[1, 0]), name="tied"))
    net.expect({FLOAT_RESULT: 2}, float_nodes={"embed": "embedding"}, db=24)


@zoo()
def embedding_tied_by_gemm(net):
    """Gemm with transB reads the very same initializer."""
    tokens = net.input("tokens", [6], lambda rng: rng.integers(0, 50, 6), TensorProto.INT64)
    x = net.node("Gather", net.weight(net.normal(50, 32), "table"), tokens, channels=32)
    x = net.node("Tanh", net.gemm(x, 32))
    net.output(net.node("Gemm", x, "table", transB=1)).expect({"QGemm": 2}, db=24)


@zoo()
def recurrent_stays_float(net):
    x = net.input("x", [6, 2, 16])
    w, r = net.weight(net.normal(1, 64, 16, fan_in=16)), net.weight(net.normal(1, 64, 16, fan_in=16))
    y = net.node("LSTM", x, w, r, net.weight(0.1 * net.normal(1, 128)), hidden_size=16, name="lstm")
    net.output(net.linear(net.node("Squeeze", y, net.ints(1)), 8, 16)).expect({FLOAT_RESULT: 1}, float_nodes={"lstm": "not_portable"})
