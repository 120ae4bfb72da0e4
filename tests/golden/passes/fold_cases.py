# SPDX-License-Identifier: Apache-2.0
"""fold_affine and matmul_bias: a small model for each thing they do or do not."""
import sys

import numpy as np
from onnx import TensorProto, helper
from harness import Case, check_all, head, holds, numbers, require


# --- fold_affine ---

def fold(name, body, ops, opset=13, **more):
    return Case(f"fold_{name}", "fold_affine", head(opset) + body, ops, **more)


def norm(channels, prefix=""):
    return {prefix + "s": numbers(channels), prefix + "b": numbers(channels), prefix + "m": numbers(channels),
            prefix + "v": np.abs(numbers(channels)) + np.float32(0.1)}


def fold_norm_cases():
    conv, bias = {"w": numbers(4, 3, 3, 3)}, {"c": numbers(4)}
    for opset in (7, 9, 14, 15):
        yield fold(
            f"batchnorm_{opset}",
            "g (float[1,3,5,5] x) => (float[1,4,3,3] y) { a = Conv(x, w) y = BatchNormalization(a, s, b, m, v) }",
            "Conv", opset, weights={**conv, **norm(4)}, outcome=holds(w=[4, 3, 3, 3], w_bias=[4]))
        yield fold(
            f"batchnorm_after_bias_{opset}",
            "g (float[1,3,5,5] x) => (float[1,4,3,3] y) { "
            "a = Conv(x, w, c) y = BatchNormalization<epsilon=0.1>(a, s, b, m, v) }",
            "Conv", opset, weights={**conv, **bias, **norm(4)}, outcome=holds(w=[4, 3, 3, 3], c=[4]))
    yield fold(
        "batchnorm_1d",
        "g (float[2,3,9] x) => (float[2,4,7] y) { a = Conv(x, w) y = BatchNormalization(a, s, b, m, v) }", "Conv",
        weights={"w": numbers(4, 3, 3), **norm(4)})
    yield fold(
        "batchnorm_3d",
        "g (float[1,2,4,4,4] x) => (float[1,3,3,3,3] y) { a = Conv(x, w) y = BatchNormalization(a, s, b, m, v) }",
        "Conv", weights={"w": numbers(3, 2, 2, 2, 2), **norm(3)})
    yield fold(
        "batchnorm_depthwise",
        "g (float[1,4,5,5] x) => (float[1,4,3,3] y) { a = Conv<group=4>(x, w) y = BatchNormalization(a, s, b, m, v) }",
        "Conv", weights={"w": numbers(4, 1, 3, 3), **norm(4)})
    for group in (1, 2, 4):
        yield fold(
            f"batchnorm_transposed_{group}",
            f"g (float[1,4,3,3] x) => (float[1,{3 * group},6,6] y) {{ "
            f"a = ConvTranspose<group={group}, strides=[2,2]>(x, w) y = BatchNormalization(a, s, b, m, v) }}",
            "ConvTranspose", weights={"w": numbers(4, 3, 2, 2), **norm(3 * group)})
    yield fold(
        "batchnorm_gemm",
        "g (float[2,3] x) => (float[2,4] y) { a = Gemm(x, w, c) y = BatchNormalization(a, s, b, m, v) }", "Gemm",
        weights={"w": numbers(3, 4), **bias, **norm(4)})
    yield fold(
        "batchnorm_gemm_transposed",
        "g (float[2,3] x) => (float[2,4] y) { "
        "a = Gemm<transB=1, alpha=0.5, beta=3.0>(x, w, c) y = BatchNormalization(a, s, b, m, v) }",
        "Gemm", weights={"w": numbers(4, 3), **bias, **norm(4)},
        outcome=lambda m: require([a.name for a in m.graph.node[0].attribute] == ["transB"], "alpha or beta is left"))
    yield fold(
        "batchnorm_gemm_square",
        "g (float[2,4] x) => (float[2,4] y) { a = Gemm(x, w) y = BatchNormalization(a, s, b, m, v) }", "Gemm",
        weights={"w": numbers(4, 4), **norm(4)})
    yield fold(
        "batchnorm_gemm_square_transposed",
        "g (float[2,4] x) => (float[2,4] y) { a = Gemm<transB=1>(x, w) y = BatchNormalization(a, s, b, m, v) }",
        "Gemm", weights={"w": numbers(4, 4), **norm(4)})
    yield fold(
        "batchnorm_matmul",
        "g (float[2,3] x) => (float[2,4] y) { a = MatMul(x, w) y = BatchNormalization(a, s, b, m, v) }", "Add MatMul",
        weights={"w": numbers(3, 4), **norm(4)}, outcome=holds(w=[3, 4], b_folded=[4]))
    yield fold(
        "batchnorm_scaled_matmul",
        "g (float[2,3] x) => (float[2,4] y) <float k = {2.5}> { "
        "a = MatMul(x, w) t = Mul(a, k) y = BatchNormalization(t, s, b, m, v) }",
        "Add MatMul", weights={"w": numbers(3, 4), **norm(4)})
    yield fold(
        "batchnorm_matmul_3d_stays",
        "g (float[2,4,3] x) => (float[2,4,4] y) { a = MatMul(x, w) y = BatchNormalization(a, s, b, m, v) }", None,
        weights={"w": numbers(3, 4), **norm(4)})
    yield fold(
        "batchnorm_twice",
        "g (float[1,3,5,5] x) => (float[1,4,3,3] y) { "
        "a = Conv(x, w) n = BatchNormalization(a, s, b, m, v) y = BatchNormalization(n, qs, qb, qm, qv) }",
        "Conv", weights={**conv, **norm(4), **norm(4, "q")})
    yield fold(
        "batchnorm_spatial_stays",
        "g (float[2,3] x) => (float[2,4] y) { a = Gemm(x, w, b) y = BatchNormalization<spatial=0>(a, s, b, m, v) }",
        None, 7, weights={"w": numbers(3, 4), **norm(4)}, runs=False)
    yield fold(
        "batchnorm_training_stays",
        "g (float[2,3] x) => (float[2,4] y) { "
        "a = Gemm(x, w) y, m2, v2 = BatchNormalization<training_mode=1>(a, s, b, m, v) }",
        None, 14, weights={"w": numbers(3, 4), **norm(4)}, runs=False)
    dead = norm(4)
    dead["v"] = np.array([1, -1, 1, 1], np.float32)
    yield fold(
        "batchnorm_negative_variance_stays",
        "g (float[2,3] x) => (float[2,4] y) { a = Gemm(x, w) y = BatchNormalization(a, s, b, m, v) }", None,
        weights={"w": numbers(3, 4), **dead}, runs=False)
    dead = norm(4)
    dead["s"] = np.array([1, 0, -1, 2], np.float32)
    yield fold(
        "batchnorm_dead_channel",
        "g (float[2,3] x) => (float[2,4] y) { a = Gemm(x, w) y = BatchNormalization(a, s, b, m, v) }", "Gemm",
        weights={"w": numbers(3, 4), **dead})
    yield fold(
        "batchnorm_shared_parameters",
        "g (float[1,3,5,5] x) => (float[1,4,3,3] y) { "
        "a = Conv(x, w) n = BatchNormalization(a, s, b, m, v) c2 = Conv(x, u) n2 = BatchNormalization(c2, s, b, "
        "m, v) y = Add(n, n2) }",
        "Add Conv*2", weights={**conv, "u": numbers(4, 3, 3, 3), **norm(4)})


def fold_constant_cases():
    def conv(name, op, ops="Conv", weights=None, text="float[1,4,3,3] y", **more):
        return fold(
            f"conv_{name}", f"g (float[1,3,5,5] x) => ({text}) {{ a = Conv(x, w, c) y = {op} }}", ops,
            weights={"w": numbers(4, 3, 3, 3), "c": numbers(4), **(weights or {})}, **more)
    for shape in ([], [1], [1, 1], [1, 1, 1, 1], [4, 1, 1], [1, 4, 1, 1]):
        name = "x".join(map(str, shape)) or "scalar"
        weights = {"k": numbers(*shape) if shape else np.float32(1.75)}
        yield conv(f"mul_{name}", "Mul(a, k)", weights=weights)
        yield conv(f"mul_first_{name}", "Mul(k, a)", weights=weights)
        yield conv(f"add_{name}", "Add(k, a)", weights=weights)
        yield conv(f"sub_{name}", "Sub(a, k)", weights=weights)
        yield conv(f"from_{name}", "Sub(k, a)", weights=weights)
        yield conv(f"div_{name}", "Div(a, k)", weights=weights)
    row = {"k": numbers(3)}
    yield conv("row_stays", "Mul(a, k)", "Conv Mul", row)
    yield conv("column_stays", "Mul(a, k)", "Conv Mul", {"k": numbers(3, 1)})
    yield conv("image_stays", "Add(a, k)", "Add Conv", {"k": numbers(3, 3)})
    yield conv("wider_rank_stays", "Mul(a, k)", "Conv Mul", {"k": numbers(1, 1, 1, 1, 1)}, text="float[1,1,4,3,3] y")
    for shape in ([1, 1, 4], [1, 4, 1], [1, 1, 1, 4], [1, 1, 4, 1]):  # as many values as channels, on another axis
        yield fold(
            "conv_other_axis_stays_" + "x".join(map(str, shape)),
            "g (float[1,3,6,6] x) => (float[1,4,4,4] y) { a = Conv(x, w) y = Mul(a, k) }", None,
            weights={"w": numbers(4, 3, 3, 3), "k": numbers(*shape)})
    yield conv("quotient_stays", "Div(k, a)", "Conv Div", {"k": np.float32(2)})
    yield conv("zero_divisor_stays", "Div(a, k)", "Conv Div", {"k": np.float32(0)}, runs=False)
    yield conv("infinite_stays", "Mul(a, k)", "Conv Mul", {"k": np.float32(np.inf)}, runs=False)
    yield conv("overflow_stays", "Mul(a, k)", "Conv Mul", {"k": np.float32(3e38)}, runs=False)
    yield conv("all_zero_stays", "Mul(a, k)", "Conv Mul", {"k": np.float32(0)})
    yield conv("not_constant_stays", "Mul(a, a)", "Conv Mul")
    yield fold(
        "conv_widened_stays", "g (float[1,1,5,5] x) => (float[1,4,3,3] y) { a = Conv(x, w) y = Mul(a, k) }",
        "Conv Mul", weights={"w": numbers(1, 1, 3, 3), "k": numbers(4, 1, 1)})
    yield fold(
        "conv_chain",
        "g (float[1,3,5,5] x) => (float[1,4,3,3] y) <float two = {2}, float[1] three = {3}> { "
        "a = Conv(x, w) p = Mul(a, two) q = Add(p, three) r = Sub(three, q) t = Div(r, k) y = "
        "BatchNormalization(t, s, b, m, v) }",
        "Conv", weights={"w": numbers(4, 3, 3, 3), "k": np.abs(numbers(4, 1, 1)) + np.float32(0.5), **norm(4)})
    yield fold(
        "chain_stops_at_use",
        "g (float[1,3,5,5] x) => (float[1,4,3,3] y) <float k = {2}, float six = {6}> { "
        "a = Conv(x, w) p = Mul(a, k) q = Add(p, k) r = Clip(q, k, six) y = Mul(r, p) }",
        "Add Clip Conv Mul", weights={"w": numbers(4, 3, 3, 3)})
    yield fold(
        "output_stays",
        "g (float[1,3,5,5] x) => (float[1,4,3,3] y, float[1,4,3,3] a) <float k = {2}> { "
        "a = Conv(x, w) y = Mul(a, k) }",
        None, weights={"w": numbers(4, 3, 3, 3)})
    yield fold(
        "bias_only", "g (float[1,3,5,5] x) => (float[1,4,3,3] y) <float k = {2}> { a = Conv(x, w) y = Add(a, k) }",
        "Conv", weights={"w": numbers(4, 3, 3, 3)}, outcome=holds(w=[4, 3, 3, 3], w_bias=[4]))
    yield fold(
        "no_bias_needed",
        "g (float[1,3,5,5] x) => (float[1,4,3,3] y) <float k = {2}> { a = Conv(x, w) y = Mul(a, k) }", "Conv",
        weights={"w": numbers(4, 3, 3, 3)}, outcome=holds(w=[4, 3, 3, 3]))
    yield fold(
        "computed_bias_stays",
        "g (float[1,3,5,5] x, float[4] c) => (float[1,4,3,3] y) <float k = {2}> { a = Conv(x, w, c) y = Mul(a, k) }",
        None, weights={"w": numbers(4, 3, 3, 3)})
    yield fold(
        "computed_weights_stay",
        "g (float[1,3,5,5] x, float[4,3,3,3] w) => (float[1,4,3,3] y) <float k = {2}> { "
        "a = Conv(x, w) y = Mul(a, k) }",
        None)
    yield fold(
        "shared_weights",
        "g (float[1,3,5,5] x) => (float[1,4,3,3] y) <float k = {2}, float j = {3}> { "
        "a = Conv(x, w) p = Mul(a, k) q = Conv(x, w) r = Mul(q, j) t = Conv(x, w) u = Add(p, r) y = Add(u, t) }",
        "Add*2 Conv*3", weights={"w": numbers(4, 3, 3, 3)},
        outcome=holds(w=[4, 3, 3, 3], w_folded=[4, 3, 3, 3], w_folded_2=[4, 3, 3, 3]))
    yield fold(
        "weights_that_are_an_output",
        "g (float[1,3,5,5] x) => (float[1,4,3,3] y, float[4,3,3,3] z) <float k = {2}> { "
        "a = Conv(x, w) y = Mul(a, k) z = Identity(w) }",
        "Conv Identity", weights={"w": numbers(4, 3, 3, 3)})
    yield fold(
        "weights_are_an_output",
        "g (float[1,3,5,5] x) => (float[1,4,3,3] y, float[4,3,3,3] w) <float k = {2}> { a = Conv(x, w) y = Mul(a, k) }",
        "Conv", weights={"w": numbers(4, 3, 3, 3)}, outcome=holds(w=[4, 3, 3, 3], w_folded=[4, 3, 3, 3]))

    def as_input(model):
        model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3, 3, 3]))
    yield fold(
        "weights_that_are_an_input",
        "g (float[1,3,5,5] x) => (float[1,4,3,3] y) <float k = {2}> { a = Conv(x, w) y = Mul(a, k) }", "Conv",
        weights={"w": numbers(4, 3, 3, 3)}, prepare=as_input, outcome=holds(w_folded=[4, 3, 3, 3]))
    yield fold("read_in_a_body_stays", """
        g (float[1,3,5,5] x, bool q) => (float[1,4,3,3] y, float[1,4,3,3] z) <float k = {2}> {
            a = Conv(x, w) y = Mul(a, k)
            z = If (q) <
                then_branch = t () => (float[1,4,3,3] n) { n = Neg(a) },
                else_branch = e () => (float[1,4,3,3] o) { o = Abs(y) }
            >
        }""", None, weights={"w": numbers(4, 3, 3, 3)}, feeds={"q": np.array(True)})
    yield fold(
        "double_stays", "g (double[1,3] x) => (double[1,4] y) <double k = {2}> { a = MatMul(x, w) y = Mul(a, k) }",
        None, weights={"w": numbers(3, 4).astype(np.float64)})


def fold_matrix_cases():
    for trans, shape in ((0, (3, 4)), (1, (4, 3))):
        for alpha, beta in ((0.5, 1.0), (1.0, 0.5), (2.0, 3.0)):
            yield fold(
                f"gemm_normalised_{trans}_{alpha}_{beta}",
                f"g (float[2,3] x) => (float[2,4] y) {{ "
                f"y = Gemm<alpha={alpha}, beta={beta}, transB={trans}>(x, w, c) }}",
                "Gemm", weights={"w": numbers(*shape), "c": numbers(4)},
                outcome=lambda m: require({a.name for a in m.graph.node[0].attribute} <= {"transB"}, "not normalised"))
    yield fold(
        "gemm_scalar_bias",
        "g (float[2,3] x) => (float[2,4] y) <float c = {2}> { y = Gemm<alpha=0.5, beta=0.25>(x, w, c) }", "Gemm",
        weights={"w": numbers(3, 4)})
    yield fold(
        "gemm_row_bias", "g (float[2,3] x) => (float[2,4] y) { a = Gemm(x, w, c) y = Mul(a, k) }", "Gemm",
        weights={"w": numbers(3, 4), "c": numbers(1, 4), "k": numbers(1, 4)})
    yield fold(
        "gemm_column_bias_stays", "g (float[2,3] x) => (float[2,4] y) { a = Gemm(x, w, c) y = Mul(a, k) }", None,
        weights={"w": numbers(3, 4), "c": numbers(2, 1), "k": numbers(4)})
    yield fold(
        "gemm_square_column_bias_stays", "g (float[4,3] x) => (float[4,4] y) { a = Gemm(x, w, c) y = Mul(a, k) }",
        None, weights={"w": numbers(3, 4), "c": numbers(4, 1), "k": numbers(4)})
    yield fold(
        "gemm_wider_constant_stays", "g (float[2,3] x) => (float[1,2,4] y) { a = Gemm(x, w) y = Add(a, k) }", None,
        weights={"w": numbers(3, 4), "k": numbers(1, 1, 4)})
    yield fold(
        "gemm_square_column_stays", "g (float[4,3] x) => (float[4,4] y) { a = Gemm(x, w) y = Mul(a, k) }", None,
        weights={"w": numbers(3, 4), "k": numbers(4, 1)})
    yield fold(
        "gemm_trans_a", "g (float[3,2] x) => (float[2,4] y) { a = Gemm<transA=1, alpha=2.0>(x, w) y = Add(a, k) }",
        "Gemm", weights={"w": numbers(3, 4), "k": numbers(4)})
    yield fold(
        "gemm_column_of_ones", "g (float[2,3] x) => (float[2,1] y) { a = Gemm(x, w, c) y = Mul(a, k) }", "Gemm",
        weights={"w": numbers(3, 1), "c": numbers(1), "k": numbers(1, 1)})
    yield fold(
        "gemm_zero_alpha_stays", "g (float[2,3] x) => (float[2,4] y) { y = Gemm<alpha=0.0>(x, w, c) }", None,
        weights={"w": numbers(3, 4), "c": numbers(4)})
    for shape in ([], [4], [1, 4], [1, 1, 4]):
        name = "x".join(map(str, shape)) or "scalar"
        yield fold(
            f"matmul_mul_{name}", "g (float[2,5,3] x) => (float[2,5,4] y) { a = MatMul(x, w) y = Mul(a, k) }",
            "MatMul", weights={"w": numbers(3, 4), "k": numbers(*shape) if shape else np.float32(3)})
        yield fold(
            f"matmul_add_{name}_stays", "g (float[2,5,3] x) => (float[2,5,4] y) { a = MatMul(x, w) y = Add(a, k) }",
            "Add MatMul", weights={"w": numbers(3, 4), "k": numbers(*shape) if shape else np.float32(3)})
    yield fold(
        "matmul_scaled_then_shifted",
        "g (float[2,5,3] x) => (float[2,5,4] y) <float k = {2}> { "
        "a = MatMul(x, w) p = Mul(a, k) q = Add(p, k) y = Mul(q, k) }",
        "Add MatMul Mul", weights={"w": numbers(3, 4)})
    yield fold(
        "matmul_batched", "g (float[2,5,3] x) => (float[2,5,4] y) { a = MatMul(x, w) y = Div(a, k) }", "MatMul",
        weights={"w": numbers(2, 3, 4), "k": np.abs(numbers(4)) + np.float32(1)})
    yield fold(
        "matmul_rank_unknown_stays",
        "g (float[3] x, int64[R] s) => (float[1,4] y) { q = Reshape(x, s) a = MatMul(q, w) y = Mul(a, k) }", None,
        weights={"w": numbers(3, 4), "k": numbers(1, 4)}, feeds={"s": np.array([3])})
    yield fold(
        "matmul_vector", "g (float[3] x) => (float[4] y) { a = MatMul(x, w) y = Mul(a, k) }", "MatMul",
        weights={"w": numbers(3, 4), "k": numbers(4)})
    yield fold(
        "matmul_column_scale_stays", "g (float[5,3] x) => (float[5,4] y) { a = MatMul(x, w) y = Mul(a, k) }", None,
        weights={"w": numbers(3, 4), "k": numbers(5, 1)})


# --- matmul_bias ---

def bias(name, body, ops, **more):
    return Case(f"bias_{name}", "matmul_bias", head() + body, ops, **more)


def bias_cases():
    weights = {"w": numbers(3, 4), "k": numbers(4)}
    yield bias(
        "matrix", "g (float[N,3] x) => (float[N,4] y) { a = MatMul(x, w) y = Add(a, k) }", "Gemm", weights=weights,
        outcome=holds(w=[3, 4], k=[4]))
    yield bias(
        "first", "g (float[N,3] x) => (float[N,4] y) { a = MatMul(x, w) y = Add(k, a) }", "Gemm", weights=weights)
    yield bias(
        "row", "g (float[N,3] x) => (float[N,4] y) { a = MatMul(x, w) y = Add(a, k) }", "Gemm",
        weights={"w": numbers(3, 4), "k": numbers(1, 4)}, outcome=holds(w=[3, 4], k_vector=[4]))
    yield bias(
        "rank_inferred", "g (float[N,3] x) => (float[N,4] y) { r = Relu(x) a = MatMul(r, w) y = Add(a, k) }",
        "Gemm Relu", weights=weights)
    yield bias(
        "three_axes_stay", "g (float[2,5,3] x) => (float[2,5,4] y) { a = MatMul(x, w) y = Add(a, k) }", None,
        weights=weights)
    yield bias(
        "rank_unknown_stays",
        "g (float[6] x, int64[R] s) => (float[2,4] y) { q = Reshape(x, s) a = MatMul(q, w) y = Add(a, k) }", None,
        weights=weights, feeds={"s": np.array([2, 3])})
    yield bias(
        "scalar_stays", "g (float[N,3] x) => (float[N,4] y) <float k = {2}> { a = MatMul(x, w) y = Add(a, k) }", None,
        weights={"w": weights["w"]})
    yield bias(
        "wider_stays", "g (float[2,3] x) => (float[2,4] y) { a = MatMul(x, w) y = Add(a, k) }", None,
        weights={"w": weights["w"], "k": numbers(2, 4)})
    yield bias(
        "used_twice_stays",
        "g (float[2,3] x) => (float[2,4] y, float[2,4] z) { a = MatMul(x, w) y = Add(a, k) z = Neg(a) }", None,
        weights=weights)
    yield bias(
        "computed_weights_stay", "g (float[2,3] x, float[3,4] w) => (float[2,4] y) { a = MatMul(x, w) y = Add(a, k) }",
        None, weights={"k": weights["k"]})
    yield Case(
        "bias_after_batchnorm", "fold_affine,matmul_bias,fold_affine",
        head() + "g (float[N,3] x) => (float[N,4] y) { "
        "a = MatMul(x, w) t = BatchNormalization(a, s, b, m, v) y = Mul(t, k) }",
        "Gemm", weights={**weights, **norm(4)})


def main():
    cases = []
    for group in (fold_norm_cases, fold_constant_cases, fold_matrix_cases, bias_cases):
        cases.extend(group())
    return check_all(sys.argv[1], cases)


if __name__ == "__main__":
    sys.exit(main())
