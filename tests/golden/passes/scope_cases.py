# SPDX-License-Identifier: Apache-2.0
"""open_scopes and einsum_matmul: a small model for each thing they do or do not."""
import sys

import numpy as np
from harness import Case, check_all, head, initializers, numbers, require


# --- open_scopes: functions ---

LOCAL = ', "local" : 1'


def scopes(name, text, ops, opset=17, **more):
    return Case(f"open_{name}", "open_scopes", head(opset, extra=more.pop("extra", LOCAL)) + text, ops, exact=True, **more)


def no_functions(model):
    require(not model.functions, "functions are left")
    require([o.domain for o in model.opset_import] == [""], f"imports {[o.domain for o in model.opset_import]}")


def names(*wanted):
    def check(model):
        found = [node.name for node in model.graph.node]
        assert found == list(wanted), f"nodes {found}"
        no_functions(model)
    return check


TWICE = '<domain: "local", opset_import: ["" : 17]> Twice (a) => (b) { t = Add(a, a) b = Relu(t) }'


def function_cases():
    yield scopes("function", "g (float[2] x) => (float[2] y) { y = local.Twice(x) }\n" + TWICE, "Add Relu", outcome=no_functions)
    yield scopes("function_names", "g (float[2] x) => (float[2] y) { [one] a = local.F(x) [two] y = local.F(a) }\n"
                 '<domain: "local", opset_import: ["" : 17]> F (a) => (b) { [n] t = Add(a, a) [m] b = Relu(t) }',
                 "Add*2 Relu*2", outcome=names("one/n", "one/m", "two/n", "two/m"))
    yield scopes("function_in_function",
                 "g (float[2] x) => (float[2] y) { t = Neg(x) y = local.Outer(t) }\n" + TWICE +
                 '\n<domain: "local", opset_import: ["" : 17, "local" : 1]> Outer (t) => (y) { u = local.Twice(t) y = local.Twice(u) }',
                 "Add*2 Neg Relu*2", outcome=no_functions)
    yield scopes("function_attributes",
                 "g (float[2,3] x) => (float[2] y) { a = local.Soft<axis = 0>(x) y = local.Top(a) }\n"
                 '<domain: "local", opset_import: ["" : 17]> Soft <axis> (a) => (b) { b = Softmax<axis: int = @axis>(a) }\n'
                 '<domain: "local", opset_import: ["" : 17]> Top <axis: int = 1, keepdims: int = 0> (a) => (b) '
                 '{ b = ReduceMax<axes = [1], keepdims: int = @keepdims>(a) }',
                 "ReduceMax Softmax", outcome=no_functions)
    yield scopes("function_attribute_left_out",
                 "g (float[2,3] x) => (float[2,3] y) { y = local.Soft(x) }\n"
                 '<domain: "local", opset_import: ["" : 17]> Soft <axis> (a) => (b) { b = Softmax<axis: int = @axis>(a) }', "Softmax")
    yield scopes("function_optional_parts",
                 "g (float[2] x) => (float[2] y) { y, unread = local.F(x) }\n"
                 '<domain: "local", opset_import: ["" : 17]> F (a, lo) => (b, c) { b = Clip(a, lo) c = Neg(a) }', "Clip Neg")
    yield scopes("function_hands_through",
                 "g (float[2] x) => (float[2] y, float[2] z) { y, z = local.F(x) }\n"
                 '<domain: "local", opset_import: ["" : 17]> F (a) => (a, b) { b = Neg(a) }', "Identity Neg", runs=False)
    yield scopes("function_with_a_body",
                 "g (float[2] x, bool c) => (float[2] y) { t = Neg(x) y = local.F(x, c, t) }\n"
                 '<domain: "local", opset_import: ["" : 17]> F (x, c, other) => (y) { y = If (c) <'
                 "then_branch = yes () => (float[2] t) { t = Add(x, other) }, else_branch = no () => (float[2] x2) { x2 = Sub(x, other) }> }",
                 "If Neg", feeds={"c": np.array(True)})
    yield scopes("function_called_in_a_body",
                 "g (float[2] x, bool c) => (float[2] y) { y = If (c) <"
                 "then_branch = yes () => (float[2] t) { t = local.Twice(x) }, else_branch = no () => (float[2] e) { e = Neg(x) }> }\n" + TWICE,
                 "If", feeds={"c": np.array(True)}, outcome=no_functions)
    yield scopes("function_nobody_calls", "g (float[2] x) => (float[2] y) { y = Neg(x) }\n" + TWICE, "Neg", outcome=no_functions)
    yield scopes("function_brings_a_domain",
                 "g (float[2] x) => (float[2] y) { y = local.F(x) }\n"
                 '<domain: "local", opset_import: ["" : 17, "com.microsoft" : 1]> F (a) => (b) { b = com.microsoft.QuickGelu(a) }', "QuickGelu",
                 outcome=lambda m: require([o.domain for o in m.opset_import] == ["", "com.microsoft"], "imports"))
    yield scopes("function_of_another_opset",
                 "g (float[2] x) => (float[2] y) { y = local.F(x) }\n"
                 '<domain: "local", opset_import: ["" : 13]> F (a) => (b) { b = Neg(a) }', "Neg", outcome=no_functions)
    yield scopes("function_calls_itself",
                 "g (float[2] x) => (float[2] y) { y = local.F(x) }\n"
                 '<domain: "local", opset_import: ["" : 17, "local" : 1]> F (a) => (b) { t = local.F(a) b = Neg(t) }', None, fails="calls itself", runs=False)
    bomb = "".join(f'<domain: "local", opset_import: ["" : 17, "local" : 1]> F{i} (a) => (b) {{ t = local.F{i - 1}(a) b = local.F{i - 1}(t) }}\n'
                   for i in range(1, 40))
    yield scopes("function_bomb",
                 "g (float[2] x) => (float[2] y) { y = local.F39(x) }\n"
                 '<domain: "local", opset_import: ["" : 17]> F0 (a) => (b) { b = Neg(a) }\n' + bomb, None, fails="nodes in all", runs=False)


# --- open_scopes: branches ---

def branch_cases():
    def branch(name, condition, ops, **more):
        return scopes(name, "g (float[2] x) => (float[2] y) <bool c = {" + condition + "}> { z = Neg(x) t = If (c) <"
                      "then_branch = yes () => (float[2] t) <float[2] w = {1, 2}> { z2 = Add(x, w) t = Mul(z2, z) }, "
                      "else_branch = no () => (float[2] t) <float[2] w = {3, 4}> { z2 = Sub(x, w) t = Div(z2, z) }> y = Relu(t) }", ops,
                      extra="", **more)

    yield branch("branch_taken", "1", "Add Identity Mul Neg Relu")
    yield branch("branch_not_taken", "0", "Div Identity Neg Relu Sub")
    yield scopes("branch_of_constant_node", "g (float[2] x) => (float[2] y) { c = Constant<value = bool {0}>() y = If (c) <"
                 "then_branch = yes () => (float[2] t) { t = Neg(x) }, else_branch = no () => (float[2] e) { e = Abs(x) }> }", "Abs Constant Identity", extra="")
    yield scopes("branch_in_a_branch", "g (float[2] x) => (float[2] y) <bool c = {1}> { y = If (c) <then_branch = yes () => (float[2] t) { "
                 "t = If (c) <then_branch = a () => (float[2] t2) { t2 = Neg(x) }, else_branch = b () => (float[2] e2) { e2 = Abs(x) }> }, "
                 "else_branch = no () => (float[2] e) { e = Abs(x) }> }", "Identity*2 Neg", extra="")
    yield scopes("branch_names_taken", "g (float[2] x) => (float[2] y) <bool c = {1}> { t = Neg(x) a = If (c) <"
                 "then_branch = yes () => (float[2] t2) { t2 = Exp(t) }, else_branch = no () => (float[2] e) { e = Abs(x) }> "
                 "b = If (c) <then_branch = yes () => (float[2] t2) { t2 = Sin(t) }, else_branch = no () => (float[2] e) { e = Abs(x) }> "
                 "y = Add(a, b) }", "Add Exp Identity*2 Neg Sin", extra="")
    yield scopes("branch_open", "g (float[2] x, bool c) => (float[2] y) { y = If (c) <then_branch = yes () => (float[2] t) { t = Neg(x) }, "
                 "else_branch = no () => (float[2] e) { e = Abs(x) }> }", None, feeds={"c": np.array(False)}, extra="")


# --- einsum_matmul ---

def einsum(name, equation, x, w, ops, first=False, opset=13, **more):
    """x and w are shapes, w is the constant."""
    declared = ",".join(str(d) for d in x)
    operands = "w, x" if first else "x, w"
    rank = more.pop("rank", None)
    out = ",".join("abcdefgh"[i] for i in range(rank if rank is not None else len(equation.split("->")[-1].strip())))
    return Case(f"einsum_{name}", "einsum_matmul",
                head(opset) + f'g (float[{declared}] x) => (float[{out}] y) {{ [e] y = Einsum<equation = "{equation}">({operands}) }}', ops,
                weights={"w": numbers(*w)}, **more)


def one_matrix(shape):
    def check(model):
        found = [a.shape for n, a in initializers(model).items() if n.endswith("_matrix")]
        assert found == [tuple(shape)], f"matrices {found}"
        assert [n.op_type for n in model.graph.node if n.name == "e"] == ["MatMul"], "the layer has lost its name"
    return check


def einsum_cases():
    yield einsum("linear", "bij,jk->bik", (2, 3, 4), (4, 5), "MatMul", outcome=one_matrix((4, 5)))
    yield einsum("transposed_weight", "bij,kj->bik", (2, 3, 4), (5, 4), "MatMul", outcome=one_matrix((4, 5)))
    yield einsum("weight_first", "jk, bij -> bik", (2, 3, 4), (4, 5), "MatMul", first=True, outcome=one_matrix((4, 5)))
    yield einsum("implied", "ij,jk", (3, 4), (4, 5), "MatMul", rank=2)
    yield einsum("implied_order", "jb,ja", (4, 3), (4, 5), "MatMul Transpose*2", rank=2)
    yield einsum("vector", "j,jk->k", (4,), (4, 5), "MatMul")
    yield einsum("to_heads", "bse,ehd->bshd", (2, 3, 8), (8, 2, 5), "MatMul Reshape", outcome=one_matrix((8, 10)))
    yield einsum("to_heads_first", "bse,hed->bhsd", (2, 3, 8), (2, 8, 5), "MatMul Reshape Transpose", outcome=one_matrix((8, 10)))
    yield einsum("from_heads", "bshd,hde->bse", (2, 3, 2, 5), (2, 5, 8), "MatMul Reshape", outcome=one_matrix((10, 8)))
    yield einsum("from_heads_first", "bhsd,hde->bse", (2, 2, 3, 5), (2, 5, 8), "MatMul Reshape Transpose", outcome=one_matrix((10, 8)))
    yield einsum("channels_first", "bchw,oc->bohw", (2, 3, 4, 5), (6, 3), "MatMul Transpose*2", outcome=one_matrix((3, 6)))
    yield einsum("ellipsis", "...j,jk->...k", (2, 3, 4), (4, 5), "MatMul", rank=3)
    yield einsum("ellipsis_moved_stays", "j...,jk->...k", (4, 2, 3), (4, 5), "Einsum", rank=3)
    yield einsum("batched_weight_stays", "bij,bjk->bik", (2, 3, 4), (2, 4, 5), "Einsum")
    yield einsum("sum_of_x_stays", "bij,jk->bk", (2, 3, 4), (4, 5), "Einsum")
    yield einsum("sum_of_w_stays", "bij,jk->bi", (2, 3, 4), (4, 5), "Einsum")
    yield einsum("outer_product_stays", "bi,k->bik", (2, 3), (5,), "Einsum")
    yield einsum("diagonal_stays", "bii,ik->bk", (2, 3, 3), (3, 5), "Einsum", runs=False)
    yield einsum("scaling_stays", "bij,j->bij", (2, 3, 4), (4,), "Einsum")
    yield Case("einsum_of_activations_stays", "einsum_matmul",
               head(13) + 'g (float[2,3] x, float[3,4] z) => (float[2,4] y) { y = Einsum<equation = "ij,jk->ik">(x, z) }', None)


def main():
    return check_all(sys.argv[1], [*function_cases(), *branch_cases(), *einsum_cases()])


if __name__ == "__main__":
    sys.exit(main())
