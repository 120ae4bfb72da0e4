# SPDX-License-Identifier: Apache-2.0
"""raise_opset: models for each operator that changed between opset 7 and 13, before and after in ONNX Runtime."""
import sys

import numpy as np
from onnx import helper
from harness import Case, check_all, head, require


def now_13(model):
    assert [o.version for o in model.opset_import if o.domain == ""] == [13]
    assert model.ir_version >= 7


def case(name, opset, body, ops=None, **more):
    outcome = more.pop("outcome", None)

    def both(model):
        now_13(model)
        if outcome:
            outcome(model)
    exact = more.pop("exact", True)
    extra = more.pop("extra", "")
    return Case(f"{name}_{opset}", "raise_opset", head(opset, 4, extra) + body, ops, outcome=both, exact=exact, **more)


def no_attributes(*names):
    def check(model):
        for node in model.graph.node:
            for attribute in node.attribute:
                assert attribute.name not in names, f"attribute {attribute.name} is still there"
    return check


def attribute_to_input():
    for opset in (7, 9, 11, 12):
        yield case(
            "squeeze", opset, "g (float[2,1,3,1] x) => (float[2,3,1] y) { y = Squeeze<axes=[1]>(x) }",
            outcome=no_attributes("axes"))
        yield case("squeeze_all", opset, "g (float[2,1,3,1] x) => (float[2,3] y) { y = Squeeze(x) }")
        yield case(
            "unsqueeze", opset, "g (float[2,3] x) => (float[1,2,3,1] y) { y = Unsqueeze<axes=[0,3]>(x) }",
            outcome=no_attributes("axes"))
        yield case(
            "split", opset,
            "g (float[2,6] x) => (float[2,1] a, float[2,5] b) { a, b = Split<axis=1, split=[1,5]>(x) }",
            outcome=no_attributes("split"))
        yield case("split_even", opset, "g (float[2,6] x) => (float[2,3] a, float[2,3] b) { a, b = Split<axis=1>(x) }")
        yield case(
            "reduce_sum", opset, "g (float[2,3,4] x) => (float[2,1,4] y) { y = ReduceSum<axes=[1]>(x) }",
            outcome=no_attributes("axes"))
        yield case(
            "reduce_sum_flat", opset,
            "g (float[2,3,4] x) => (float[4] y) { y = ReduceSum<axes=[0,1], keepdims=0>(x) }")
        yield case("reduce_sum_all", opset, "g (float[2,3,4] x) => (float[1,1,1] y) { y = ReduceSum(x) }")
    for opset in (11, 12):
        yield case("squeeze_negative", opset, "g (float[2,1,3,1] x) => (float[2,1,3] y) { y = Squeeze<axes=[-1]>(x) }")
        yield case("unsqueeze_negative", opset, "g (float[2,3] x) => (float[2,3,1] y) { y = Unsqueeze<axes=[-1]>(x) }")
    for opset in (7, 8, 9):
        yield case(
            "slice", opset,
            "g (float[5,6,7] x) => (float[5,3,4] y) { y = Slice<axes=[1,2], starts=[1,-4], ends=[4,1000]>(x) }",
            outcome=no_attributes("axes", "starts", "ends"))
        yield case(
            "slice_first_axes", opset,
            "g (float[5,6,7] x) => (float[2,4,7] y) { y = Slice<starts=[0,1], ends=[2,-1]>(x) }")
        yield case(
            "topk", opset, "g (float[3,8] x) => (float[3,2] v, int64[3,2] i) { v, i = TopK<axis=1, k=2>(x) }",
            outcome=no_attributes("k"))
    yield case(
        "topk", 10, "g (float[3,8] x, int64[1] k) => (float[3,N] v, int64[3,N] i) { v, i = TopK<axis=1>(x, k) }",
        feeds={"k": np.array([3], np.int64)})
    yield case(
        "slice", 10, "g (float[5,6] x) => (float[2,6] y) <int64[1] a = {1}, int64[1] b = {3}> { y = Slice(x, a, b) }")


def bounds_and_pads():
    for opset in (7, 9, 10):
        yield case(
            "clip", opset, "g (float[4,5] x) => (float[4,5] y) { y = Clip<min=-0.5, max=1.25>(x) }",
            outcome=no_attributes("min", "max"))
        yield case("clip_below", opset, "g (float[4,5] x) => (float[4,5] y) { y = Clip<min=0.0>(x) }")
        yield case("clip_above", opset, "g (float[4,5] x) => (float[4,5] y) { y = Clip<max=6.0>(x) }")
        yield case("clip_nothing", opset, "g (float[4,5] x) => (float[4,5] y) { y = Clip(x) }")
        yield case(
            "clip_type_inferred", opset,
            "g (double[4,5] x) => (float[4,5] y) { a = Cast<to=1>(x) b = Tanh(a) y = Clip<min=-0.5, max=0.5>(b) }")
        yield case(
            "pad", opset, "g (float[2,3] x) => (float[2,8] y) { y = Pad<pads=[0,2,0,3], value=1.5>(x) }",
            outcome=no_attributes("pads", "value"))
        yield case(
            "pad_zero", opset, "g (float[2,3] x) => (float[3,3] y) { y = Pad<pads=[1,0,0,0]>(x) }",
            outcome=no_attributes("pads", "value"))
        yield case(
            "pad_reflect", opset, 'g (float[2,3] x) => (float[2,6] y) { y = Pad<pads=[0,2,0,1], mode="reflect">(x) }')
        yield case("pad_edge", opset, 'g (float[2,3] x) => (float[2,6] y) { y = Pad<pads=[0,2,0,1], mode="edge">(x) }')
    yield case(
        "clip", 11, "g (float[4,5] x, float lo) => (float[4,5] y) { y = Clip(x, lo) }",
        feeds={"lo": np.array(-1, np.float32)})
    yield case(
        "clip_unknown_type", 9,
        "g (float16[4] a, float[4] b) => (float[M] y) { q = Mystery(a, b) c = Clip<min=0.0>(q) y = Mystery(a, c) }",
        fails="(Clip) cannot be raised from opset 9 to 13: its element type is not known")
    yield case(
        "clip_half", 9, "g (float16[4] x) => (float16[4] y) { y = Clip<min=0.0>(x) }",
        fails="its element type is neither float nor double")


def resizing():
    scales = {"s": np.array([1, 1, 2, 3], np.float32)}
    for mode in ("nearest", "linear"):
        attr = f'mode="{mode}"'
        for opset in (7, 8):
            yield case(
                f"upsample_{mode}", opset,
                f"g (float[1,2,3,4] x) => (float[1,2,6,12] y) {{ y = Upsample<{attr}, scales=[1.0,1.0,2.0,3.0]>(x) }}",
                "Resize")
        yield case(
            f"upsample_{mode}", 9, f"g (float[1,2,3,4] x) => (float[1,2,6,12] y) {{ y = Upsample<{attr}>(x, s) }}",
            "Resize", weights=scales)
        yield case(
            f"upsample_{mode}_computed", 9,
            f"g (float[1,2,3,4] x, float[4] s) => (float[A,B,C,D] y) {{ y = Upsample<{attr}>(x, s) }}", "Resize",
            feeds=scales)
        yield case(
            f"resize_{mode}", 10, f"g (float[1,2,3,4] x) => (float[1,2,6,12] y) {{ y = Resize<{attr}>(x, s) }}",
            weights=scales)
        yield case(
            f"resize_{mode}_fraction", 10,
            f"g (float[1,1,4,4] x) => (float[1,1,6,7] y) {{ y = Resize<{attr}>(x, s) }}",
            weights={"s": np.array([1, 1, 1.5, 1.75], np.float32)})
        yield case(
            f"resize_{mode}_shrinks", 10, f"g (float[1,1,8,9] x) => (float[1,1,4,5] y) {{ y = Resize<{attr}>(x, s) }}",
            weights={"s": np.array([1, 1, 0.5, 0.6], np.float32)})
    yield case(
        "upsample_default", 7,
        "g (float[1,1,2,2] x) => (float[1,1,4,4] y) { y = Upsample<scales=[1.0,1.0,2.0,2.0]>(x) }", "Resize")
    refused = "how its nearest mode rounds depends on scales that are not known"
    yield case(
        "resize_both_ways", 10, "g (float[1,1,4,4] x) => (float[1,1,2,8] y) { y = Resize(x, s) }",
        weights={"s": np.array([1, 1, 0.5, 2], np.float32)}, fails=refused)
    yield case(
        "resize_computed", 10, "g (float[1,1,4,4] x, float[4] s) => (float[A,B,C,D] y) { y = Resize(x, s) }",
        fails=refused)
    yield case(
        "resize_linear_computed", 10,
        'g (float[1,1,4,4] x, float[4] s) => (float[A,B,C,D] y) { y = Resize<mode="linear">(x, s) }',
        feeds={"s": np.array([1, 1, 0.5, 2], np.float32)})
    empty = {"e": np.zeros(0, np.float32)}
    gone = 'coordinate_transformation_mode="tf_half_pixel_for_nn"'
    half = 'coordinate_transformation_mode="half_pixel"'

    def one_of_two(model):
        assert model.graph.node[0].input[2] == "", "scales and sizes are both given"
    for opset in (11, 12):
        yield case(
            "resize_sizes", opset, f"g (float[1,1,4,4] x) => (float[1,1,7,9] y) {{ y = Resize<{half}>(x, e, e, z) }}",
            weights={**empty, "z": np.array([1, 1, 7, 9], np.int64)}, outcome=one_of_two)
        yield case(
            "resize_cubic", opset,
            f'g (float[1,1,4,4] x) => (float[1,1,8,8] y) {{ y = Resize<{half}, mode="cubic">(x, e, s) }}',
            weights={**empty, "s": np.array([1, 1, 2, 2], np.float32)})
        for size in (3, 5, 7, 11, 13):
            body = (f'g (float[1,1,1,7] x) => (float[1,1,1,{size}] y) {{ '
                    f'y = Resize<{gone}, nearest_mode="floor">(x, e, e, z) }}')
            yield case(
                f"resize_tf_half_pixel_{size}", opset, body,
                weights={**empty, "z": np.array([1, 1, 1, size], np.int64)})
        body = f'g (float[1,1,1,7] x) => (float[1,1,1,3] y) {{ y = Resize<{gone}, nearest_mode="ceil">(x, e, e, z) }}'
        yield case(
            "resize_tf_half_pixel_other", opset, body, weights={**empty, "z": np.array([1, 1, 1, 3], np.int64)},
            fails="tf_half_pixel_for_nn is gone")


def softmaxes():
    rng = np.random.default_rng(1)
    for op in ("Softmax", "LogSoftmax", "Hardmax"):
        def one(name, opset, shape, attributes, ops, op=op):
            ports = f"g (float[{shape}] x) => (float[{shape}] y)"
            return case(
                f"{op.lower()}_{name}", opset, f"{ports} {{ y = {op}{attributes}(x) }}", ops, exact=op == "Hardmax")
        wrapped = " ".join(sorted(["Flatten", "Reshape", "Shape", op]))
        for opset in (7, 11, 12):
            yield one("default_is_last", opset, "3,5", "", op)
            yield one("default", opset, "3,5,2", "", wrapped)
            yield one("first", opset, "3,5,2", "<axis=0>", wrapped)
            yield one("last", opset, "3,5,2", "<axis=2>", op)
            yield one("ones_behind", opset, "3,5,1,1", "<axis=1>", op)
            body = f"g (float[N,K] x) => (float[N,M] y) {{ a = MatMul(x, w) b = Relu(a) c = {op}(b) y = Neg(c) }}"
            yield case(
                f"{op.lower()}_rank_inferred", opset, body, " ".join(sorted([op, "MatMul", "Neg", "Relu"])),
                weights={"w": np.eye(4, dtype=np.float32)},
                feeds={"x": rng.standard_normal((3, 4)).astype(np.float32)}, exact=op == "Hardmax")
        for opset in (11, 12):
            yield one("negative", opset, "3,5,2", "<axis=-1>", op)
            yield one("negative_inner", opset, "3,5,2", "<axis=-2>", wrapped)
    body = "g (float[3,5] x, int64[R] s) => (float[3,5] y) <int64[2] back = {3, 5}> { " \
           "r = Reshape(x, s) p = Softmax(r) y = Reshape(p, back) }"
    for shape in ([3, 5], [5, 3], [3, 5, 1], [3, 1, 5]):
        yield case(
            "softmax_rank_unknown_" + "x".join(map(str, shape)), 9, body, "Flatten Reshape*3 Shape Softmax",
            feeds={"s": np.array(shape, np.int64)}, exact=False)


def others():
    for opset in (7, 10, 11):
        yield case(
            "dropout", opset, "g (float[4,5] x) => (float[4,5] y) { y = Dropout<ratio=0.3>(x) }",
            outcome=no_attributes("ratio"))
        yield case("dropout_mask_unused", opset, "g (float[4,5] x) => (float[4,5] y) { y, m = Dropout<ratio=0.3>(x) }")
        yield case(
            "dropout_mask_used", opset,
            "g (float[4,5] x) => (float[4,5] y, bool[4,5] m) { y, m = Dropout<ratio=0.3>(x) }",
            fails="(Dropout) cannot be raised")
    for opset in (9, 10):
        yield case(
            "scatter", opset,
            "g (float[3,3] x, float[2,3] u) => (float[3,3] y) <int64[2,3] i = {1,0,2,0,2,1}> { y = Scatter(x, i, u) }",
            "ScatterElements")
    params = {k: np.array(v, np.float32) for k, v in {"s": [1, 2], "b": [0, 1], "m": [1, 3], "v": [4, 5]}.items()}
    for opset in (7, 8):
        yield case(
            "batchnorm_spatial", opset,
            "g (float[2,2,3] x) => (float[2,2,3] y) { y = BatchNormalization<spatial=1>(x, s, b, m, v) }",
            weights=params, outcome=no_attributes("spatial"))
        yield case(
            "batchnorm_matrix", opset,
            "g (float[3,2] x) => (float[3,2] y) { y = BatchNormalization<spatial=0>(x, s, b, m, v) }", weights=params,
            runs=False, outcome=no_attributes("spatial"))
        wide = {k: np.ones((2, 3), np.float32) for k in params}
        yield case(
            "batchnorm_per_activation", opset,
            "g (float[2,2,3] x) => (float[2,2,3] y) { y = BatchNormalization<spatial=0>(x, s, b, m, v) }",
            weights=wide, fails="attribute spatial = 0 is gone")
    yield case(
        "old_operator", 7, "g (float[2] x) => (float[2] y) { y = ParametricSoftplus(x) }",
        fails="(ParametricSoftplus) cannot be raised from opset 7 to 13: the operator is gone")
    yield case("too_old", 6, "g (float[2] x) => (float[2] y) { y = Relu(x) }", fails="opset 6 is too old to be raised")
    yield case(
        "other_domain", 11, "g (float[2,3] x) => (float[2,3] y) { t = Relu(x) y = com.microsoft.Gelu(t) }",
        extra=', "com.microsoft" : 1', runs=True)
    yield case(
        "squeeze_of_another_domain", 11, "g (float[1,3] x) => (float[1,3] y) { y = my.Squeeze<axes=[0]>(x) }",
        extra=', "my" : 1', runs=False,
        outcome=lambda model: require(model.graph.node[0].attribute[0].name == "axes", "changed"))


def unchanged_operators():
    """Only the number changes for these; one node each, in every opset that has the operator."""
    bodies = {
        "argmax": (7, "g (float[3,4] x) => (int64[3,1] y) { y = ArgMax<axis=1>(x) }"),
        "average_pool": (7,
            "g (float[1,2,6,6] x) => (float[1,2,3,3] y) { "
            "y = AveragePool<kernel_shape=[2,2], strides=[2,2], pads=[0,0,0,0]>(x) }"),
        "average_pool_counting_pads": (7,
            "g (float[1,2,6,6] x) => (float[1,2,6,6] y) { "
            "y = AveragePool<kernel_shape=[2,2], pads=[1,1,0,0], count_include_pad=1, strides=[1,1]>(x) }"),
        "max_pool": (7,
            'g (float[1,2,7,7] x) => (float[1,2,4,4] y) { '
            'y = MaxPool<kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_UPPER">(x) }'),
        "lp_pool": (7,
            "g (float[1,2,6,6] x) => (float[1,2,3,3] y) { "
            "y = LpPool<kernel_shape=[2,2], strides=[2,2]>(x) }"),
        "concat": (7, "g (float[2,3] x) => (float[4,3] y) { y = Concat<axis=0>(x, x) }"),
        "gemm": (7,
            "g (float[2,3] x) => (float[2,2] y) <float[3,2] w = {1,2,3,4,5,6}, float[2] b = {1,2}> { "
            "y = Gemm<alpha=0.5>(x, w, b) }"),
        "flatten": (7, "g (float[2,3,4] x) => (float[6,4] y) { y = Flatten<axis=2>(x) }"),
        "gather": (7, "g (float[5,3] x) => (float[2,3] y) <int64[2] i = {4,0}> { y = Gather(x, i) }"),
        "prelu": (7, "g (float[2,3,4] x) => (float[2,3,4] y) <float[3,1] s = {0.1,0.2,0.3}> { y = PRelu(x, s) }"),
        "depth_to_space": (7, "g (float[1,8,2,3] x) => (float[1,2,4,6] y) { y = DepthToSpace<blocksize=2>(x) }"),
        "reduce_mean": (7, "g (float[2,3,4] x) => (float[2,1,4] y) { y = ReduceMean<axes=[1]>(x) }"),
        "reduce_max": (7, "g (float[2,3,4] x) => (float[2,4] y) { y = ReduceMax<axes=[1], keepdims=0>(x) }"),
        "max_min_sum_mean": (8,
            "g (float[2,3] x, float[2,3] z) => (float[2,3] y) { "
            "a = Max(x, z) b = Min(x, z) c = Sum(a, b) d = Mean(c, z) y = Pow(d, two) }"),
        "compare": (7,
            "g (float[2,3] x, float[2,3] z) => (bool[2,3] y) { "
            "a = Less(x, z) b = Greater(x, z) y = Or(a, b) }"),
        "tile": (7, "g (float[2,3] x) => (float[4,3] y) <int64[2] r = {2,1}> { y = Tile(x, r) }"),
        "lrn": (7, "g (float[1,4,2,2] x) => (float[1,4,2,2] y) { y = LRN<size=3>(x) }"),
        "onehot": (9,
            "g (float[2] x) => (float[4,3] y) <int64[4] i = {0,2,1,2}, int64 d = {3}, float[2] v = {0,1}> { "
            "y = OneHot(i, d, v) }"),
        "expand": (8, "g (float[1,3] x) => (float[4,3] y) <int64[2] s = {4,3}> { y = Expand(x, s) }"),
        "conv_transpose_same": (7,
            'g (float[1,1,3] x) => (float[1,1,A] y) <float[1,1,3] w = {1,2,3}> { '
            'y = ConvTranspose<strides=[2], kernel_shape=[3]>(x, w) }'),
        "gathernd_erf": (12,
            "g (float[2,3] x) => (float[2] y) <int64[2,2] i = {0,1,1,2}> { "
            "e = Erf(x) y = GatherND(e, i) }"),
    }
    for name, (since, body) in bodies.items():
        for opset in range(since, 13):
            weights = {"two": np.float32(2)} if "two" in body else {}
            yield case(f"only_number_{name}", opset, body, weights=weights)


def nested():
    body = """g (float[1,3,2] x, bool c) => (float[3,2] y) {
        y = If (c) <
            then_branch = t () => (float[3,2] a) { s = Squeeze<axes=[0]>(x) a = Clip<min=-1.0, max=1.0>(s) },
            else_branch = e () => (float[3,2] b) { s2 = Squeeze<axes=[0]>(x) p = Softmax(s2) b = Neg(p) }
        >
    }"""

    def bodies_are_new(model):
        for attribute in model.graph.node[0].attribute:
            for node in attribute.g.node:
                assert not [a for a in node.attribute if a.name in ("axes", "min", "max")], "a nested node is as it was"
    for opset in (9, 10):
        for value in (True, False):
            yield case(f"if_{value}", opset, body, feeds={"c": np.array(value)}, outcome=bodies_are_new, exact=False)
    yield case(
        "if_body_refused", 10,
        "g (float[2] x, bool c) => (float[2] y) { y = If (c) <then_branch = t () => (float[2] a) { "
        "a, m = Dropout(x) }, else_branch = e () => (float[2] b) { b = Neg(x) }> }",
        fails="(Dropout) cannot be raised")
    loop = """g (int64 n, float[3,1] x) => (float[3,1] y) {
        k = Constant<value = bool {1}>()
        y = Loop (n, k, x) <
            body = b (int64 i, bool go, float[3,1] v) => (bool go2, float[3,1] w) {
                go2 = Identity(go)
                f = Squeeze<axes=[1]>(v)
                u = Unsqueeze<axes=[1]>(f)
                w = If (go) <
                    then_branch = t () => (float[3,1] a) { q = ReduceSum<axes=[0]>(u) a = Add(q, u) },
                    else_branch = e () => (float[3,1] z) { z = Neg(u) }
                >
            }
        >
    }"""
    yield case("loop_of_if", 11, loop, feeds={"n": np.array(3, np.int64)}, exact=False)


def scan_cases():
    """Bodies of Scan; built with helpers because the text syntax does not take all of its attributes."""
    state = helper.make_tensor_value_info("s", 1, [2])
    item = helper.make_tensor_value_info("v", 1, [2])
    out = helper.make_tensor_value_info("t", 1, [2])
    each = helper.make_tensor_value_info("o", 1, [1, 2])
    nodes = [helper.make_node("Add", ["s", "v"], ["t"]), helper.make_node("Unsqueeze", ["t"], ["o"], axes=[0])]
    body = helper.make_graph(nodes, "body", [state, item], [out, each])

    def add_scan(model):
        del model.graph.node[:]
        model.graph.node.append(helper.make_node("Scan", ["i", "x"], ["f", "y"], num_scan_inputs=1, body=body))
    text = "g (float[2] i, float[4,2] x) => (float[2] f, float[4,1,2] y) { f = Identity(i) y = Identity(x) }"
    for opset in (9, 11):
        yield case("scan", opset, text, "Scan", prepare=add_scan)
    yield case(
        "scan_batched", 8, text, prepare=add_scan,
        fails="(Scan) cannot be raised from opset 8 to 13: its batch axis is gone")


def unchanged_models():
    for opset in (13, 15, 17):
        yield Case(
            f"opset_{opset}_stays", "raise_opset",
            head(opset, 8) + "g (float[2,3] x) => (float[2,3] y) { y = Softmax(x) }", exact=True,
            outcome=lambda model, opset=opset: require(model.opset_import[0].version == opset, "opset changed"))


def main():
    cases = []
    for group in (attribute_to_input, bounds_and_pads, resizing, softmaxes, others, unchanged_operators, nested,
                  scan_cases, unchanged_models):
        cases.extend(group())
    return check_all(sys.argv[1], cases)


if __name__ == "__main__":
    sys.exit(main())
