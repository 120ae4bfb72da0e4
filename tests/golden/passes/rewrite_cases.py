# SPDX-License-Identifier: Apache-2.0
"""lift_constants, remove_identity, fold_affine and matmul_bias: a small model for each thing they do or do not."""
import sys

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from harness import Case, check_all

RNG = np.random.default_rng(7)


def numbers(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def head(opset=13, ir=8, extra=""):
    return f'<ir_version: {ir}, opset_import: ["" : {opset}{extra}]>\n'


def require(holds, text):
    assert holds, text


def initializers(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def holds(**wanted):
    """The result has exactly these initializers, of these shapes."""
    def check(model):
        found = {name: array.shape for name, array in initializers(model).items()}
        assert found == {name: tuple(shape) for name, shape in wanted.items()}, f"initializers {found}"
    return check


# --- lift_constants ---

def lift(name, body, ops, opset=13, **more):
    return Case(f"lift_{name}", "lift_constants", head(opset, more.pop("ir", 8)) + body, ops, exact=True, **more)


def lift_cases():
    yield lift(
        "tensor", "g (float[2] x) => (float[2] y) { k = Constant<value = float[2] {1,2}>() y = Add(x, k) }", "Add",
        outcome=holds(k=[2]))
    yield lift(
        "float", "g (float[2] x) => (float[2] y) { k = Constant<value_float = 1.5>() y = Add(x, k) }", "Add",
        outcome=holds(k=[]))
    yield lift(
        "floats", "g (float[2] x) => (float[2] y) { k = Constant<value_floats = [1.5, 2.5]>() y = Add(x, k) }", "Add",
        outcome=holds(k=[2]))
    yield lift(
        "int", "g (float[2] x) => (float y) { k = Constant<value_int = 1>() y = Gather(x, k) }", "Gather",
        outcome=holds(k=[]))
    yield lift(
        "ints", "g (float[2] x) => (float[1,2] y) { k = Constant<value_ints = [0]>() y = Unsqueeze(x, k) }",
        "Unsqueeze", outcome=holds(k=[1]))
    yield lift(
        "old_opset", "g (float[2] x) => (float[2] y) { k = Constant<value = float[2] {1,2}>() y = Add(x, k) }", "Add",
        opset=7, ir=3, outcome=lambda m: require(m.ir_version >= 4, "initializers that are no inputs need IR 4"))
    yield lift(
        "unused", "g (float[2] x) => (float[2] y) { k = Constant<value_float = 1.5>() y = Relu(x) }", "Relu",
        outcome=holds())
    yield lift(
        "output_stays", "g (float[2] x) => (float[2] y, float k) { k = Constant<value_float = 1.5>() y = Add(x, k) }",
        None)
    yield lift(
        "string_stays",
        'g (float[2] x) => (float[2] y, string[1] s) { '
        'k = Constant<value_string = "a">() u = Identity(k) sh = Constant<value_ints = [1]>() s = Reshape(u, sh) '
        'y = Relu(x) }',
        "Constant Identity Relu Reshape")
    yield lift(
        "identity",
        "g (float[2] x) => (float[2] y) { "
        "k = Constant<value = float[2] {1,2}>() a = Identity(k) b = Identity(a) t = Add(x, b) y = Mul(t, a) }",
        "Add Mul", outcome=holds(k=[2]))
    yield lift(
        "identity_of_initializer",
        "g (float[2] x) => (float[2] y) <float[2] w = {1,2}> { a = Identity(w) t = Add(x, a) y = Mul(t, w) }",
        "Add Mul", outcome=holds(w=[2]))
    yield lift(
        "identity_to_output_stays",
        "g (float[2] x) => (float[2] y, float[2] z) <float[2] w = {1,2}> { z = Identity(w) y = Add(x, w) }", None,
        outcome=holds(w=[2]))
    yield lift(
        "half_weights", "g (float[2,3] x) => (float[2,4] y) { w = Cast<to=1>(h) y = MatMul(x, w) }", "MatMul",
        weights={"h": numbers(3, 4).astype(np.float16)}, outcome=holds(w=[3, 4]))
    yield lift(
        "double_weights", "g (float[2,3] x) => (float[2,4] y) { w = Cast<to=1>(h) y = MatMul(x, w) }", "MatMul",
        weights={"h": numbers(3, 4).astype(np.float64)}, outcome=holds(w=[3, 4]))
    yield lift(
        "cast_to_int",
        "g (float[2,3] x) => (float[6] y) <float[1] f = {-1.9}> { i = Cast<to=7>(f) y = Reshape(x, i) }", "Reshape",
        outcome=holds(i=[1]))
    yield lift(
        "cast_narrows", "g (int32[1] x) => (int32[1] y) <int64[1] f = {5}> { i = Cast<to=6>(f) y = Add(x, i) }", "Add",
        outcome=holds(i=[1]))
    yield lift(
        "cast_out_of_range_stays",
        "g (int32[1] x) => (int32[1] y) <int64[1] f = {5000000000}> { i = Cast<to=6>(f) y = Add(x, i) }", None)
    yield lift(
        "cast_of_huge_float_stays",
        "g (int64[1] x) => (int64[1] y) <float[1] f = {1e30}> { i = Cast<to=7>(f) y = Add(x, i) }", None)
    yield lift(
        "transpose", "g (float[2,3] x) => (float[2,4] y) { t = Transpose(w) y = MatMul(x, t) }", "MatMul",
        weights={"w": numbers(4, 3)}, outcome=holds(t=[3, 4]))
    yield lift(
        "transpose_4d",
        "g (float[1,3,5,5] x) => (float[1,4,4,3] y) { t = Transpose<perm=[3,2,0,1]>(w) y = Conv(x, t) }", "Conv",
        weights={"w": numbers(2, 3, 3, 4)}, outcome=holds(t=[4, 3, 2, 3]))
    yield lift(
        "transpose_of_integers",
        "g (float[9] x) => (float[3,2] y) <int64[2,3] i = {0,1,2,3,4,5}> { t = Transpose(i) y = Gather(x, t) }",
        "Gather", outcome=holds(t=[3, 2]))
    yield lift(
        "shared_by_transpose",
        "g (int64[2] i) => (float[2,5] y) { e = Gather(w, i) t = Transpose(w) y = MatMul(e, t) }", "Gather MatMul",
        weights={"w": numbers(5, 3)}, feeds={"i": np.array([4, 1])}, outcome=holds(w=[5, 3], t=[3, 5]))
    yield lift(
        "reshape_chain",
        "g (float[2,3] x) => (float[2,4] y) <int64[2] s = {3, -1}> { "
        "a = Reshape(w, s) b = Unsqueeze(a, z) c = Squeeze(b) d = Flatten<axis=1>(c) y = MatMul(x, d) }",
        "MatMul", weights={"w": numbers(2, 6), "z": np.array([0, 3])}, outcome=holds(d=[3, 4]))
    yield lift(
        "reshape_keeps_sizes",
        "g (float[2,3] x) => (float[2,4] y) <int64[2] s = {0, 4}> { a = Reshape(w, s) y = MatMul(x, a) }", "MatMul",
        weights={"w": numbers(3, 2, 2)}, outcome=holds(a=[3, 4]))
    yield lift(
        "old_squeeze",
        "g (float[2,3] x) => (float[2,4] y) { a = Unsqueeze<axes=[0]>(w) b = Squeeze<axes=[0]>(a) y = MatMul(x, b) }",
        "MatMul", opset=11, weights={"w": numbers(3, 4)}, outcome=holds(b=[3, 4]))
    yield lift(
        "dequantize_stays",
        "g (float[2,3] x) => (float[2,4] y) <float s = {0.5}, int8 z = {0}> { "
        "w = DequantizeLinear(q, s, z) y = MatMul(x, w) }",
        None, weights={"q": np.ones((3, 4), np.int8)})
    yield lift(
        "computed_shape_stays",
        "g (float[2,3] x, int64[2] s) => (float[A,B] y) { a = Reshape(w, s) y = MatMul(x, a) }", None,
        weights={"w": numbers(3, 4)}, feeds={"s": np.array([3, 4])})
    yield lift("read_in_a_body", """g (float[2] x, bool c) => (float[2] y) {
            k = Constant<value = float[2] {1,2}>()
            i = Identity(k)
            y = If (c) <
                then_branch = t () => (float[2] a) { a = Add(x, i) },
                else_branch = e () => (float[2] b) { m = Constant<value_float = 2.0>() b = Mul(x, m) }
            >
        }""", "If", feeds={"c": np.array(True)}, outcome=holds(k=[2]))

    def as_input(model):
        model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3]))
    yield lift(
        "initializer_that_is_an_input", "g (float[2,3] x) => (float[2,4] y) { t = Transpose(w) y = MatMul(x, t) }",
        "MatMul", weights={"w": numbers(4, 3)}, prepare=as_input, outcome=holds(t=[3, 4]))


# --- remove_identity ---

def identity(name, body, ops, opset=13, **more):
    return Case(f"identity_{name}", "remove_identity", head(opset) + body, ops, exact=True, **more)


def identity_cases():
    yield identity("inside", "g (float[2] x) => (float[2] y) { a = Relu(x) b = Identity(a) y = Neg(b) }", "Neg Relu")
    yield identity(
        "chain",
        "g (float[2] x) => (float[2] y) { "
        "a = Identity(x) b = Identity(a) c = Identity(b) d = Neg(c) e = Identity(d) f = Identity(e) y = "
        "Identity(f) }",
        "Neg")
    yield identity("input_to_output_stays", "g (float[2] x) => (float[2] y) { y = Identity(x) }", "Identity")
    yield identity(
        "chain_input_to_output_leaves_one",
        "g (float[2] x) => (float[2] y) { a = Identity(x) b = Identity(a) y = Identity(b) }", "Identity")
    yield identity("to_output", "g (float[2] x) => (float[2] y) { a = Relu(x) y = Identity(a) }", "Relu")
    yield identity(
        "to_output_of_a_shared_value",
        "g (float[2] x) => (float[2] y, float[2] z) { a = Relu(x) y = Identity(a) z = Neg(a) }", "Neg Relu")
    yield identity(
        "two_outputs_of_one_value",
        "g (float[2] x) => (float[2] y, float[2] z) { a = Relu(x) y = Identity(a) z = Identity(a) }", "Identity Relu")
    yield identity(
        "output_of_an_output_stays", "g (float[2] x) => (float[2] y, float[2] z) { y = Relu(x) z = Identity(y) }",
        "Identity Relu")
    yield identity(
        "two_outputs_of_one_node",
        "g (float[4] x) => (float[2] y, float[2] z) { a, b = Split(x) y = Identity(a) z = Identity(b) }", "Split")
    yield identity(
        "constant_to_output_stays",
        "g (float[2] x) => (float[2] y, float[2] z) <float[2] w = {1,2}> { y = Add(x, w) z = Identity(w) }",
        "Add Identity")
    yield identity("read_in_a_body", """g (float[2] x, bool c) => (float[2] y, float[2] z) {
            r = Relu(x) i = Identity(r)
            y = If (c) <
                then_branch = t () => (float[2] a) { a = Neg(i) },
                else_branch = e () => (float[2] b) { b = Neg(r) }
            >
            z = Identity(r)
        }""", "If Relu", feeds={"c": np.array(False)})
    yield identity("in_a_body_stays", """g (float[2] x, bool c) => (float[2] y) {
            y = If (c) <
                then_branch = t () => (float[2] a) { i = Neg(x) a = Identity(i) },
                else_branch = e () => (float[2] b) { b = Neg(x) }
            >
        }""", "If", feeds={"c": np.array(True)})
    for opset in (7, 10, 12, 13):
        yield identity(
            f"dropout_{opset}", "g (float[2] x) => (float[2] y) { a = Relu(x) b, m = Dropout(a) y = Neg(b) }",
            "Neg Relu", opset)
    yield identity(
        "dropout_off",
        "g (float[2] x) => (float[2] y) <float r = {0.5}, bool t = {0}> { b = Dropout(x, r, t) y = Neg(b) }", "Neg")
    yield identity(
        "dropout_training_stays",
        "g (float[2] x) => (float[2] y) <float r = {0.5}, bool t = {1}> { b = Dropout(x, r, t) y = Neg(b) }", None,
        runs=False)
    yield identity(
        "dropout_training_computed_stays",
        "g (float[2] x, bool t) => (float[2] y) <float r = {0.5}> { b = Dropout(x, r, t) y = Neg(b) }", None,
        feeds={"t": np.array(False)})
    yield identity(
        "dropout_mask_used_stays",
        "g (float[2] x) => (float[2] y, bool[2] n) { b, m = Dropout(x) y = Neg(b) n = Not(m) }", None)
    yield identity(
        "cast_to_own_type",
        "g (float[2] x) => (float[2] y) { a = Cast<to=1>(x) b = Neg(a) c = Cast<to=1>(b) y = Neg(c) }", "Neg*2")
    yield identity(
        "cast_to_other_type_stays", "g (float[2] x) => (double[2] y) { a = Cast<to=11>(x) y = Neg(a) }", None)
    yield identity(
        "reshape_to_own_shape",
        "g (float[2,3] x) => (float[2,3] y) <int64[2] s = {2,3}> { a = Reshape(x, s) y = Neg(a) }", "Neg")
    yield identity(
        "reshape_to_own_shape_open",
        "g (float[N,3] x) => (float[N,3] y) <int64[2] s = {-1,3}> { a = Reshape(x, s) y = Neg(a) }", "Neg")
    yield identity(
        "reshape_copies_sizes",
        "g (float[N,M] x) => (float[N,M] y) <int64[2] s = {0,0}> { a = Reshape(x, s) y = Neg(a) }", "Neg")
    yield identity(
        "reshape_of_unknown_stays",
        "g (float[N,M] x) => (float[A,B] y) <int64[2] s = {-1,2}> { a = Reshape(x, s) y = Neg(a) }", None)
    yield identity(
        "reshape_stays", "g (float[2,3] x) => (float[3,2] y) <int64[2] s = {3,2}> { a = Reshape(x, s) y = Neg(a) }",
        None)
    yield identity(
        "reshape_allowzero_stays",
        "g (float[0,3] x) => (float[0,3] y) <int64[2] s = {0,3}> { a = Reshape<allowzero=1>(x, s) y = Neg(a) }", None,
        opset=14, runs=False)
    yield identity(
        "transpose_moves_nothing", "g (float[2,3] x) => (float[2,3] y) { a = Transpose<perm=[0,1]>(x) y = Neg(a) }",
        "Neg")
    yield identity("transpose_stays", "g (float[2,3] x) => (float[3,2] y) { a = Transpose(x) y = Neg(a) }", None)
    yield identity(
        "one_input",
        "g (float[2,3] x) => (float[2,3] y) { a = Concat<axis=0>(x) b = Max(a) c = Sum(b) d = Neg(c) y = Min(d) }",
        "Neg")
    yield Case(
        "identity_of_another_domain_stays", "remove_identity",
        head(extra=', "my" : 1') + "g (float[2] x) => (float[2] y) { a = my.Identity(x) y = Neg(a) }", None,
        runs=False)


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
    for group in (lift_cases, identity_cases, fold_norm_cases, fold_constant_cases, fold_matrix_cases, bias_cases):
        cases.extend(group())
    return check_all(sys.argv[1], cases)


if __name__ == "__main__":
    sys.exit(main())
