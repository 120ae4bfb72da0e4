# SPDX-License-Identifier: Apache-2.0
"""lift_constants, fold_constants and remove_identity: a small model for each thing they do or do not."""
import sys

import numpy as np
from onnx import TensorProto, helper
from harness import Case, check_all, head, holds, numbers, require


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

    yield lift("arithmetic_stays", "g (float[2,3] x) => (float[2,4] y) { a = Mul(w, w) y = MatMul(x, a) }", None, weights={"w": numbers(3, 4)})

    def as_input(model):
        model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [4, 3]))
    yield lift(
        "initializer_that_is_an_input", "g (float[2,3] x) => (float[2,4] y) { t = Transpose(w) y = MatMul(x, t) }",
        "MatMul", weights={"w": numbers(4, 3)}, prepare=as_input, outcome=holds(t=[3, 4]))


# --- fold_constants ---

def fold(name, body, ops, **more):
    return Case(f"fold_{name}", "fold_constants", head(13) + body, ops, exact=True, **more)


def fold_cases():
    w34, w4 = {"w": numbers(3, 4)}, {"w": numbers(3, 4), "k": numbers(4)}
    for op in ("Add", "Sub", "Mul", "Div"):
        yield fold(f"{op.lower()}_of_constants", "g (float[2,3] x) => (float[2,4] y) { a = %s(w, k) y = MatMul(x, a) }" % op, "MatMul",
                   weights=w4, outcome=holds(a=[3, 4]))
        yield fold(f"{op.lower()}_of_scalar_first", "g (float[2,3] x) => (float[2,4] y) <float k = {1.5}> { a = %s(k, w) y = MatMul(x, a) }" % op,
                   "MatMul", weights=w34, outcome=holds(a=[3, 4]))
    yield fold("arithmetic_chain", "g (float[2,3] x) => (float[2,4] y) { a = Neg(w) b = Mul(a, a) c = Sqrt(b) d = Reciprocal(c) "
               "e = Mul(d, k) y = MatMul(x, e) }", "MatMul", weights=w4, outcome=holds(e=[3, 4]))
    yield fold("weight_norm", "g (float[1,3,4,4] x) => (float[1,5,4,4] y) { a = Div(v, n) b = Mul(a, g) y = Conv(x, b) }", "Conv",
               weights={"v": numbers(5, 3, 1, 1), "n": numbers(5, 1, 1, 1), "g": numbers(5, 1, 1, 1)}, outcome=holds(b=[5, 3, 1, 1]))
    yield fold("both_are_widened_stays", "g (float[3,4] x) => (float[3,4] y) { a = Mul(k, c) y = Add(x, a) }", None,
               weights={"k": numbers(4), "c": numbers(3, 1)})
    yield fold("arithmetic_of_integers_stays", "g (int64[2] x) => (int64[2] y) <int64[2] k = {1, 2}> { a = Mul(k, k) y = Add(x, a) }", None)
    yield fold("arithmetic_with_an_input_stays", "g (float[3,4] x) => (float[3,4] y) { y = Mul(w, x) }", None, weights=w34)
    yield fold("concat_of_constants", "g (float[2,3] x) => (float[2,8] y) { a = Concat<axis = -1>(w, v, w) y = MatMul(x, a) }", "MatMul",
               weights={"w": numbers(3, 3), "v": numbers(3, 2)}, outcome=holds(a=[3, 8]))
    yield fold("concat_with_an_input_stays", "g (float[2,3] x) => (float[4,3] y) { y = Concat<axis = 0>(w, x) }", None, weights={"w": numbers(2, 3)})
    yield fold("slices_of_a_constant", "g (float[2,3] x) => (float[2,2] y) <int64[1] s = {2}, int64[1] e = {4}, int64[1] m = {-6}, int64[1] far = {9223372036854775807}, "
               "int64[1] axis = {1}, int64[1] last = {-1}, int64[1] one = {1}> { a = Slice(w, s, e, axis) b = Slice(w, m, s, last, one) "
               "c = Slice(w, e, far, axis) t = Sub(a, b) u = Mul(t, c) y = MatMul(x, u) }", "MatMul", weights={"w": numbers(3, 6)}, outcome=holds(u=[3, 2]))
    yield fold("slice_with_steps_stays", "g (float[2,3] x) => (float[2,3] y) <int64[1] s = {0}, int64[1] e = {6}, int64[1] axis = {1}, int64[1] step = {2}> "
               "{ a = Slice(w, s, e, axis, step) y = MatMul(x, a) }", None, weights={"w": numbers(3, 6)})
    yield fold("slice_of_nothing_stays", "g (float[2,3] x) => (float[2,0] y) <int64[1] s = {4}, int64[1] e = {4}, int64[1] axis = {1}> "
               "{ a = Slice(w, s, e, axis) y = MatMul(x, a) }", None, weights={"w": numbers(3, 6)})
    yield fold("all_that_lift_does", "g (float[2,3] x) => (float[2,4] y) <float k = {2}> { c = Constant<value_float = 1.5>() a = Transpose(w) b = Mul(a, c) "
               "d = Identity(b) e = Div(d, k) y = MatMul(x, e) }", "MatMul", weights={"w": numbers(4, 3)}, outcome=holds(e=[3, 4]))


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


def main():
    cases = []
    for group in (lift_cases, fold_cases, identity_cases):
        cases.extend(group())
    return check_all(sys.argv[1], cases)


if __name__ == "__main__":
    sys.exit(main())
