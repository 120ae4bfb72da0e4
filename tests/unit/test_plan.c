/* SPDX-License-Identifier: Apache-2.0
 * Placement, promise by promise. What whole graphs come to is in tests/golden/plan. */
#include "plan/plan.h"

#include <math.h>

#include "planned.h"

static void inputs_of_layers_are_quantized_and_graph_outputs_are_not(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 2);
    small_gemm(&p.s, "a", "x");
    small_gemm(&p.s, "y", "a");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_true(tensor_of(&p, "x")->quantized && !tensor_of(&p, "x")->at_producer);
    assert_true(tensor_of(&p, "a")->quantized && tensor_of(&p, "a")->at_producer);
    assert_false(tensor_of(&p, "y")->quantized);
    assert_reason(&p, "a", QN_REASON_QUANTIZED);
    assert_reason(&p, "y", QN_REASON_QUANTIZED);
    planned_close(&p);
}

static void where_only_weights_count_every_layer_has_codes_and_no_tensor_does(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 2);
    small_gemm(&p.s, "a", "x");
    small_op(&p.s, "Softmax", "b", "a");
    small_gemm(&p.s, "y", "b");
    small_op(&p.s, "MatMul", "z", "y", "a");
    small_output(&p.s, "z");
    planned_make(&p, OPTIONS("preset", "int8-weights"));
    for (qn_value_id v = 0; v < p.s.graph.value_count; v++) assert_false(p.plan.tensors[v].quantized);
    assert_reason(&p, "a", QN_REASON_QUANTIZED);
    assert_reason(&p, "y", QN_REASON_QUANTIZED);
    assert_reason(&p, "z", QN_REASON_ACT_TIMES_ACT);
    assert_true(node_of(&p, "b")->reason != QN_REASON_QUANTIZED);
    planned_close(&p);
}

static void a_clamp_vanishes_into_the_layer_before_it(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Relu", "b", "a");
    small_conv(&p.s, "c", "b", NULL);
    small_constant(&p.s, "low", 0, 0, NULL);
    small_constant(&p.s, "high", 6, 0, NULL);
    small_op(&p.s, "Clip", "d", "c", "low", "high");
    small_conv(&p.s, "y", "d", NULL);
    small_op(&p.s, "Abs", "z", "y");
    small_output(&p.s, "z");
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "b", QN_REASON_FUSED);
    assert_int_equal(node_of(&p, "b")->fused_into, small_node(&p.s, "a"));
    assert_false(tensor_of(&p, "a")->quantized); /* nothing between them */
    assert_true(tensor_of(&p, "b")->bounds.min == 0.0f && isinf(tensor_of(&p, "b")->bounds.max));
    assert_true(tensor_of(&p, "d")->bounds.min == 0.0f && tensor_of(&p, "d")->bounds.max == 6.0f);
    planned_close(&p);
}

static void a_clamp_that_others_see_through_stays(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Relu", "b", "a");
    small_conv(&p.s, "c", "a", NULL); /* reads the value before the Relu */
    small_conv(&p.s, "d", "b", NULL);
    small_op(&p.s, "Add", "e", "c", "d");
    small_op(&p.s, "Abs", "y", "e");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "b", QN_REASON_POINTWISE_CHAIN);
    assert_true(tensor_of(&p, "a")->quantized && tensor_of(&p, "b")->quantized);
    assert_true(isinf(tensor_of(&p, "a")->bounds.min));
    planned_close(&p);
}

static void bounds_must_hold_zero_and_be_constant(void **state)
{
    static const struct {
        float low, high;
        bool  absorbed;
    } cases[] = { { -1, 1, true }, { 0, 1, true }, { -2, 0, true }, { 0.5f, 1, false }, { -2, -1, false }, { 0, 0, false }, { 1, -1, false }, { NAN, 1, false } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct planned p;
        planned_open(&p, 4);
        small_conv(&p.s, "a", "x", NULL);
        small_constant(&p.s, "low", cases[i].low, 0, NULL);
        small_constant(&p.s, "high", cases[i].high, 0, NULL);
        small_op(&p.s, "Clip", "b", "a", "low", "high");
        small_conv(&p.s, "c", "b", NULL);
        small_op(&p.s, "Abs", "y", "c");
        small_output(&p.s, "y");
        planned_make(&p, NO_OPTIONS);
        if ((node_of(&p, "b")->reason == QN_REASON_FUSED) != cases[i].absorbed) fail_msg("[%g, %g]", (double)cases[i].low, (double)cases[i].high);
        planned_close(&p);
    }
}

static void a_conv_has_a_quantized_result_or_none(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Softmax", "b", "a"); /* float */
    small_conv(&p.s, "y", "b", NULL);    /* an output */
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "a", QN_REASON_QUANTIZED);
    assert_true(tensor_of(&p, "a")->at_producer);
    assert_reason(&p, "y", QN_REASON_GRAPH_OUTPUT);
    assert_false(tensor_of(&p, "b")->quantized || tensor_of(&p, "y")->quantized);
    planned_close(&p);
}

static void joins_are_quantized_between_quantized_neighbours(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_input(&p.s, "x2", 4);
    small_op(&p.s, "Add", "early", "x", "x2"); /* of two float values */
    small_conv(&p.s, "a", "early", NULL);
    small_conv(&p.s, "b", "early", NULL);
    small_op(&p.s, "Add", "sum", "a", "b");
    small_conv(&p.s, "c", "sum", NULL);
    small_op(&p.s, "Add", "late", "c", "sum"); /* whose result only float nodes read */
    small_op(&p.s, "Softmax", "y", "late");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "early", QN_REASON_INPUT_FLOAT);
    assert_reason(&p, "sum", QN_REASON_QUANTIZED);
    assert_reason(&p, "late", QN_REASON_NOT_NEEDED);
    assert_true(tensor_of(&p, "sum")->at_producer);
    planned_close(&p);
}

static void moves_share_parameters_along_their_chain(void **state)
{
    struct planned   p;
    Onnx__NodeProto *split;
    qn_value_id      root;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Transpose", "t", "a");
    split = small_op(&p.s, "Split", "s1", "t");
    small_second_output(&p.s, split, "s2");
    small_conv(&p.s, "b", "s1", NULL);
    small_conv(&p.s, "c", "s2", NULL);
    small_op(&p.s, "Add", "d", "b", "c");
    small_op(&p.s, "Abs", "y", "d");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "t", QN_REASON_MOVES_CODES);
    assert_reason(&p, "s1", QN_REASON_MOVES_CODES);
    root = tensor_of(&p, "a")->group;
    assert_int_equal(root, small_value(&p.s, "a"));
    assert_int_equal(tensor_of(&p, "t")->group, root);
    assert_int_equal(tensor_of(&p, "s1")->group, root);
    assert_int_equal(tensor_of(&p, "s2")->group, root);
    planned_close(&p);
}

static void a_move_stays_float_when_one_result_leaves_in_float(void **state)
{
    for (int variant = 0; variant < 4; variant++) {
        struct planned   p;
        Onnx__NodeProto *split;

        (void)state;
        planned_open(&p, 4);
        small_conv(&p.s, "a", "x", NULL);
        split = small_op(&p.s, "Split", "s1", "a");
        small_second_output(&p.s, split, "s2");
        small_conv(&p.s, "b", "s1", NULL);
        small_op(&p.s, "Abs", "y", "b");
        small_output(&p.s, "y");
        if (variant == 1) small_op(&p.s, "Softmax", "z", "s2"); /* 0: nobody reads it */
        if (variant == 2) small_output(&p.s, "s2");
        if (variant == 3) small_conv(&p.s, "z", "s2", NULL), small_op(&p.s, "Softmax", "z2", "z"); /* all are read by layers */
        planned_make(&p, NO_OPTIONS);
        assert_reason(&p, "s1", variant == 3 ? QN_REASON_MOVES_CODES : QN_REASON_NOT_NEEDED);
        assert_true(tensor_of(&p, "s1")->quantized); /* for the layer that reads it */
        assert_int_equal(tensor_of(&p, "s1")->at_producer, variant == 3);
        planned_close(&p);
    }
}

static void functions_of_one_tensor_stay_whole(void **state)
{
    static const char *const inner[] = { "half", "erf", "one", "scaled" };
    struct planned           p;

    (void)state;
    planned_open(&p, 2);
    small_gemm(&p.s, "a", "x");
    small_constant(&p.s, "k", 2, 0, NULL);
    small_op(&p.s, "Mul", "half", "a", "k");
    small_op(&p.s, "Erf", "erf", "half");
    small_op(&p.s, "Add", "one", "erf", "k");
    small_op(&p.s, "Mul", "scaled", "a", "one"); /* still a function of `a` alone */
    small_gemm(&p.s, "y", "scaled");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    for (size_t i = 0; i < 4; i++) assert_reason(&p, inner[i], QN_REASON_POINTWISE_CHAIN);
    assert_false(tensor_of(&p, "a")->quantized || tensor_of(&p, "erf")->quantized || tensor_of(&p, "one")->quantized);
    assert_true(tensor_of(&p, "scaled")->quantized);
    planned_close(&p);
}

static void a_sigmoid_alone_between_integers_has_fixed_parameters(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Sigmoid", "b", "a");
    small_conv(&p.s, "c", "b", NULL);
    small_op(&p.s, "Abs", "y", "c");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "b", QN_REASON_QUANTIZED);
    assert_true(tensor_of(&p, "b")->fixed_scale == 1.0f / 256 && tensor_of(&p, "b")->at_producer);
    planned_close(&p);
}

static void a_quantized_softmax_has_fixed_parameters_and_is_observed(void **state)
{
    struct planned     p;
    const qn_value_id *ids;
    size_t             count;

    (void)state; /* ONNX Runtime computes it on codes, and wrongly with other scales */
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Softmax", "b", "a");
    small_op(&p.s, "Transpose", "t", "b");
    small_conv(&p.s, "c", "t", NULL);
    small_op(&p.s, "Abs", "y", "c");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "b", QN_REASON_SLOWER_ON_TARGET);
    assert_true(tensor_of(&p, "b")->quantized && tensor_of(&p, "b")->fixed_scale == 1.0f / 256);
    assert_int_equal(tensor_of(&p, "t")->group, small_value(&p.s, "b"));
    for (size_t v = 0; v < p.s.graph.value_count; v++) p.s.graph.values[v].rank = 4;
    assert_ok(qn_plan_observed(&p.plan, &ids, &count, &p.err), &p.err);
    assert_int_equal(count, 5); /* t for its channels */
    assert_int_equal(ids[2], small_value(&p.s, "b"));
    planned_close(&p);
}

static void constant_weights_are_needed_and_examined(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 2);
    small_input(&p.s, "w", 2);
    small_op(&p.s, "Gemm", "computed", "x", "w");
    model_constant(&p.s.model, "double", QN_DOUBLE, DIMS(2, 2), (const double[4]){ 0 }, 32);
    small_op(&p.s, "MatMul", "wide", "x", "double");
    small_constant(&p.s, "none", 1, DIMS(0, 4));
    small_op(&p.s, "MatMul", "empty", "x", "none");
    small_op(&p.s, "MatMul", "product", "x", "w");
    small_constant(&p.s, "b4", 1, DIMS(4));
    small_constant(&p.s, "ok", 1, DIMS(2, 4));
    small_constant(&p.s, "b3", 1, DIMS(3));
    small_op(&p.s, "Gemm", "bias_length", "x", "ok", "b3");
    small_op(&p.s, "Gemm", "bias_computed", "x", "ok", "w");
    small_op(&p.s, "Gemm", "right", "x", "ok", "b4");
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "computed", QN_REASON_WEIGHT_NOT_CONSTANT);
    assert_reason(&p, "wide", QN_REASON_WEIGHT_NOT_FLOAT);
    assert_reason(&p, "empty", QN_REASON_WEIGHT_SHAPE);
    assert_reason(&p, "product", QN_REASON_ACT_TIMES_ACT);
    assert_reason(&p, "bias_length", QN_REASON_WEIGHT_SHAPE);
    assert_reason(&p, "bias_computed", QN_REASON_WEIGHT_NOT_CONSTANT);
    assert_reason(&p, "right", QN_REASON_QUANTIZED);
    planned_close(&p);
}

static void what_nested_graphs_read_is_float(void **state)
{
    struct planned    p;
    Onnx__GraphProto *outer;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_conv(&p.s, "b", "a", NULL);
    small_op(&p.s, "Abs", "y", "b");
    outer = small_enter(&p.s, small_body(&p.s, small_op(&p.s, "If", "if", "x"), "then_branch"));
    small_op(&p.s, "Neg", "inner", "a");
    small_output(&p.s, "inner");
    small_leave(&p.s, outer);
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "a", QN_REASON_GRAPH_OUTPUT);
    assert_reason(&p, "if", QN_REASON_HAS_BODY);
    assert_reason(&p, "b", QN_REASON_QUANTIZED);
    assert_false(tensor_of(&p, "a")->at_producer); /* b reads codes of it, the branch does not */
    planned_close(&p);
}

static void users_choose_nodes(void **state)
{
    static const char *const expected[] = { "--exclude: no node matches 'conv*'", "--include: no node matches 'conv*'" };

    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        struct planned p;
        qonnx_status   status;

        planned_open(&p, 2);
        small_gemm(&p.s, "a", "x");
        small_gemm(&p.s, "b", "x");
        status = planned_try(&p, OPTIONS(variant % 2 ? "include" : "exclude", variant < 2 ? "a" : "conv*"));
        if (variant < 2) {
            assert_ok(status, &p.err);
            assert_reason(&p, "a", variant ? QN_REASON_QUANTIZED : QN_REASON_EXCLUDED);
            assert_reason(&p, "b", variant ? QN_REASON_NOT_INCLUDED : QN_REASON_QUANTIZED);
        } else {
            assert_fails(status, QONNX_E_USAGE, &p.err, expected[variant % 2]);
            assert_null(p.plan.graph);
        }
        planned_close(&p);
    }
}

static void verdicts_hold_and_their_neighbours_follow(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Relu", "b", "a");
    small_conv(&p.s, "c", "b", NULL);
    small_op(&p.s, "Abs", "y", "c");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    qn_plan_release(&p.plan);
    p.verdicts[small_node(&p.s, "c")] = (struct qn_verdict){ QN_REASON_QUANTIZATION_ERROR, 7.5 };
    assert_ok(qn_plan_make(&p.plan, &p.s.graph, &p.settings, p.verdicts, &p.err), &p.err);
    assert_reason(&p, "c", QN_REASON_QUANTIZATION_ERROR);
    assert_true(node_of(&p, "c")->db == 7.5);
    assert_reason(&p, "a", QN_REASON_QUANTIZED);
    assert_true(tensor_of(&p, "b")->at_producer); /* the Conv before it needs a quantized result all the same */
    planned_close(&p);
}

/* ---- where ONNX Runtime would take the layer back to float ---- */

static void a_clamp_with_one_float_reader_gets_its_codes(void **state)
{
    for (int readers = 1; readers <= 2; readers++) {
        struct planned p;

        (void)state;
        planned_open(&p, 2);
        small_gemm(&p.s, "a", "x");
        small_op(&p.s, "Relu", "b", "a");
        small_op(&p.s, "Softmax", "y", "b");
        if (readers == 2) small_op(&p.s, "Softmax", "z", "b");
        small_output(&p.s, "y");
        planned_make(&p, NO_OPTIONS);
        assert_reason(&p, "a", QN_REASON_QUANTIZED);
        assert_int_equal(tensor_of(&p, "b")->at_producer, readers == 1);
        planned_close(&p);
    }
}

static void a_linear_result_read_through_a_clamp_and_besides_gets_its_codes(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 2);
    small_gemm(&p.s, "a", "x");
    small_op(&p.s, "Relu", "b", "a");
    small_gemm(&p.s, "c", "b");
    small_op(&p.s, "Softmax", "y", "a");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_true(tensor_of(&p, "a")->at_producer && tensor_of(&p, "b")->quantized);
    planned_close(&p);
}

static void a_gemm_without_bias_keeps_what_it_would_swallow_apart(void **state)
{
    static const char *const readers[] = { "Transpose", "Sum", "Abs" };

    (void)state;
    for (int variant = 0; variant < 6; variant++) {
        struct planned p;
        const bool     bias = variant >= 3;

        planned_open(&p, 2);
        small_constant(&p.s, "w", 0.5f, DIMS(4, 4));
        small_constant(&p.s, "b", 0.5f, DIMS(4));
        if (bias)
            small_op(&p.s, "Gemm", "a", "x", "w", "b");
        else
            small_op(&p.s, "Gemm", "a", "x", "w");
        if (variant % 3 == 1)
            small_op(&p.s, "Sum", "c", "a", "x");
        else
            small_op(&p.s, readers[variant % 3], "c", "a");
        small_op(&p.s, "Softmax", "y", "c");
        small_output(&p.s, "y");
        planned_make(&p, NO_OPTIONS);
        assert_reason(&p, "a", QN_REASON_QUANTIZED);
        assert_int_equal(tensor_of(&p, "a")->at_producer, !bias && variant % 3 < 2);
        planned_close(&p);
    }
}

static void a_linear_result_that_leaves_and_is_read_by_layers_stays_float(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 2);
    small_gemm(&p.s, "a", "x");
    small_gemm(&p.s, "y", "a");
    small_output(&p.s, "a");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "a", QN_REASON_GRAPH_OUTPUT);
    assert_reason(&p, "y", QN_REASON_QUANTIZED);
    planned_close(&p);
}

/* ---- the rest ---- */

static void only_ranges_that_are_needed_are_observed(void **state)
{
    struct planned     p;
    const qn_value_id *ids;
    size_t             count;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Relu", "b", "a");
    small_op(&p.s, "Sigmoid", "s", "b");
    small_op(&p.s, "Transpose", "t", "s");
    small_conv(&p.s, "c", "t", NULL);
    small_op(&p.s, "Abs", "y", "c");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    for (size_t v = 0; v < p.s.graph.value_count; v++) p.s.graph.values[v].rank = 4; /* unknown ranks are looked at too */
    assert_ok(qn_plan_observed(&p.plan, &ids, &count, &p.err), &p.err);
    assert_int_equal(count, 4);
    assert_int_equal(ids[0], small_value(&p.s, "x"));
    assert_int_equal(ids[1], small_value(&p.s, "b")); /* behind the Relu; s has fixed parameters, and t those of s … */
    assert_int_equal(ids[2], small_value(&p.s, "t")); /* … but a layer reads its channels */
    assert_int_equal(ids[3], small_value(&p.s, "c"));
    planned_close(&p);
}

static void channels_are_followed_where_layers_read_them(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Relu", "b", "a");
    small_conv(&p.s, "c", "b", NULL);
    small_op(&p.s, "Flatten", "f", "c");
    small_gemm(&p.s, "y", "f");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_int_equal(tensor_of(&p, "x")->channels, 4);
    assert_int_equal(tensor_of(&p, "x")->channel_axis, 1);
    assert_int_equal(tensor_of(&p, "b")->channels, 4);
    assert_int_equal(tensor_of(&p, "a")->channels, 0);
    assert_int_equal(tensor_of(&p, "f")->channels, 4);
    assert_int_equal(tensor_of(&p, "f")->channel_axis, -1);
    planned_close(&p);
}

static void counts_and_dump_agree_with_the_rows(void **state)
{
    struct planned        p;
    struct qn_plan_counts counts;
    struct qn_strbuf      text;

    (void)state;
    planned_open(&p, 2);
    small_gemm(&p.s, "a", "x");
    small_op(&p.s, "Relu", "b", "a");
    small_gemm(&p.s, "c", "b");
    small_op(&p.s, "Erf", "e", "c");
    small_op(&p.s, "Foo", "y", "e");
    small_input(&p.s, "w", 2);
    small_op(&p.s, "MatMul", "m", "y", "w"); /* no layer: it has no weight */
    small_output(&p.s, "m");
    planned_make(&p, NO_OPTIONS);
    counts = qn_plan_count(&p.plan);
    assert_int_equal(counts.nodes, 6);
    assert_int_equal(counts.quantized, 3);
    assert_int_equal(counts.layers, 2);
    assert_int_equal(counts.layers_quantized, 2);
    qn_strbuf_init(&text);
    qn_plan_dump(&p.plan, &text);
    assert_string_equal(text.text, "tensor 'x' for integer readers\n"
                                   "tensor 'b' made of integers, bounds [0, inf]\n"
                                   "node 'a' (Gemm): quantized\n"
                                   "node 'b' (Relu): fused\n"
                                   "node 'c' (Gemm): quantized\n"
                                   "node 'e' (Erf): pointwise_chain\n"
                                   "node 'y' (Foo): op_not_in_table\n"
                                   "node 'm' (MatMul): act_times_act\n");
    qn_strbuf_release(&text);
    planned_close(&p);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        bool done = false;
        for (size_t nth = 1; !done; nth++) {
            struct planned     p;
            qonnx_status       status;
            const qn_value_id *ids;
            size_t             count;

            planned_open(&p, 4);
            small_conv(&p.s, "a", "x", "bias");
            small_op(&p.s, "Relu", "b", "a");
            small_conv(&p.s, "y", "b", NULL);
            assert_ok(small_index(&p.s), &p.s.err);
            planned_settings(&p, NO_OPTIONS);
            qn_arena_inject_failure(nth, from_then_on);
            status = qn_plan_make(&p.plan, &p.s.graph, &p.settings, NULL, &p.err);
            if (status == QONNX_OK && (status = qn_plan_observed(&p.plan, &ids, &count, &p.err)) == QONNX_OK) done = true;
            qn_arena_inject_failure(0, false);
            if (!done) assert_string_equal(qonnx_status_name(status), "E_NOMEM");
            planned_close(&p);
            assert_true(nth < 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs_of_layers_are_quantized_and_graph_outputs_are_not),
        cmocka_unit_test(where_only_weights_count_every_layer_has_codes_and_no_tensor_does),
        cmocka_unit_test(a_clamp_vanishes_into_the_layer_before_it),
        cmocka_unit_test(a_clamp_that_others_see_through_stays),
        cmocka_unit_test(bounds_must_hold_zero_and_be_constant),
        cmocka_unit_test(a_conv_has_a_quantized_result_or_none),
        cmocka_unit_test(joins_are_quantized_between_quantized_neighbours),
        cmocka_unit_test(moves_share_parameters_along_their_chain),
        cmocka_unit_test(a_move_stays_float_when_one_result_leaves_in_float),
        cmocka_unit_test(functions_of_one_tensor_stay_whole),
        cmocka_unit_test(a_sigmoid_alone_between_integers_has_fixed_parameters),
        cmocka_unit_test(a_quantized_softmax_has_fixed_parameters_and_is_observed),
        cmocka_unit_test(constant_weights_are_needed_and_examined),
        cmocka_unit_test(what_nested_graphs_read_is_float),
        cmocka_unit_test(users_choose_nodes),
        cmocka_unit_test(verdicts_hold_and_their_neighbours_follow),
        cmocka_unit_test(a_clamp_with_one_float_reader_gets_its_codes),
        cmocka_unit_test(a_linear_result_read_through_a_clamp_and_besides_gets_its_codes),
        cmocka_unit_test(a_gemm_without_bias_keeps_what_it_would_swallow_apart),
        cmocka_unit_test(a_linear_result_that_leaves_and_is_read_by_layers_stays_float),
        cmocka_unit_test(only_ranges_that_are_needed_are_observed),
        cmocka_unit_test(channels_are_followed_where_layers_read_them),
        cmocka_unit_test(counts_and_dump_agree_with_the_rows),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
