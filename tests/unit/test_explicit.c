/* SPDX-License-Identifier: Apache-2.0
 * From a recipe's rules to quantizers in a graph, and to their numbers. What whole files come to is in
 * tests/golden/exports. */
#include "plan/explicit.h"

#include <math.h>

#include "planned.h"

#define GIVEN "{\"quantizer\": \"Int8ActPerTensorFloatMinMaxInit\", \"min_val\": -1, \"max_val\": 1}" /* scale 1/128 */
#define WEIGHT "\"weight\": \"Int8WeightPerTensorFloat\""

static qonnx_status obey_document(struct planned *p, const char *text)
{
    struct qn_recipe *recipe;

    assert_ok(small_index(&p->s), &p->s.err);
    planned_settings(p, NO_OPTIONS);
    recipe = qn_arena_alloc(&p->settings.arena, sizeof *recipe);
    assert_ok(qn_recipe_parse(recipe, "r.json", text, strlen(text), &p->settings.arena, &p->err), &p->err);
    p->settings.recipe = recipe;
    QN_TRY(qn_explicit_plan(&p->plan, &p->s.graph, &p->settings, &p->err));
    return qn_explicit_weights(&p->plan, &p->err);
}

/* Rules, the first on line 1. */
static qonnx_status obey(struct planned *p, const char *rules)
{
    char text[2048];

    snprintf(text, sizeof text, "{\"version\": 1, \"rules\": [%s]}", rules);
    return obey_document(p, text);
}

static void obeys(struct planned *p, const char *rules) { assert_ok(obey(p, rules), &p->err); }
static void solves(struct planned *p) { assert_ok(qn_explicit_solve(&p->plan, &p->err), &p->err); }

static size_t reads(const struct planned *p, const char *node) { return (size_t)node_of(p, node)->reads[0]; }

/* x -> a (Conv) -> b (Relu) -> y (Conv) */
static void open_chain(struct planned *p)
{
    planned_open(p, 4);
    small_conv(&p->s, "a", "x", "a_b");
    small_op(&p->s, "Relu", "b", "a");
    small_conv(&p->s, "y", "b", "y_b");
    small_output(&p->s, "y");
}

/* ---- where ---- */

static void nothing_said_is_nothing_done(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    obeys(&p, "");
    solves(&p);
    assert_int_equal(p.plan.recipe->site_count, 0);
    for (qn_value_id v = 0; v < p.s.graph.value_count; v++) assert_false(p.plan.tensors[v].quantized);
    assert_reason(&p, "a", QN_REASON_NOT_IN_RECIPE);
    assert_null(node_of(&p, "a")->weight);
    planned_close(&p);
}

static void null_takes_back_what_earlier_rules_gave(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    obeys(&p, "{\"op\": \"Conv\", " WEIGHT ", \"output\": " GIVEN "}, {\"match\": \"y\", \"weight\": null, \"output\": null}");
    assert_non_null(node_of(&p, "a")->weight);
    assert_null(node_of(&p, "y")->weight);
    assert_true(tensor_of(&p, "a")->at_producer && !tensor_of(&p, "y")->quantized);
    planned_close(&p);
}

static void readers_that_ask_for_the_same_share_a_quantizer(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_conv(&p.s, "b", "x", NULL);
    small_op(&p.s, "Abs", "c", "x");
    small_op(&p.s, "Concat", "y", "a", "b", "c");
    small_output(&p.s, "y");
    obeys(&p, "{\"op\": \"Conv\", \"input\": \"Int8ActPerTensorFloat\"}");
    assert_int_equal(p.plan.recipe->site_count, 1);
    assert_true(tensor_of(&p, "x")->quantized && !tensor_of(&p, "x")->at_producer);
    assert_true(reads(&p, "a") && reads(&p, "b") && !reads(&p, "c"));
    planned_close(&p);
}

static void readers_that_ask_for_different_things_have_their_own(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_conv(&p.s, "b", "x", NULL);
    small_op(&p.s, "Concat", "y", "a", "b");
    small_output(&p.s, "y");
    obeys(&p, "{\"op\": \"Conv\", \"input\": \"Int8ActPerTensorFloat\"}, {\"match\": \"b\", \"input\": {\"bit_width\": 4}}");
    assert_int_equal(p.plan.recipe->site_count, 2);
    assert_false(tensor_of(&p, "x")->quantized);
    assert_non_null(node_of(&p, "a")->input);
    assert_non_null(node_of(&p, "b")->input);
    planned_close(&p);
}

static void a_quantized_tensor_is_requantized_by_its_readers_quantizer(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    obeys(&p, "{\"match\": \"b\", \"output\": " GIVEN "}, {\"match\": \"y\", \"input\": " GIVEN "}");
    assert_true(tensor_of(&p, "b")->at_producer && reads(&p, "y"));
    assert_non_null(node_of(&p, "y")->input);
    planned_close(&p);
}

static void only_if_float_looks_through_what_keeps_a_scale(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Relu", "b", "a");
    small_op(&p.s, "MaxPool", "c", "b");
    small_conv(&p.s, "d", "c", NULL);
    small_op(&p.s, "Sigmoid", "e", "c");
    small_conv(&p.s, "f", "e", NULL);
    small_op(&p.s, "Add", "y", "d", "f");
    small_output(&p.s, "y");
    obeys(&p, "{\"match\": \"a\", \"output\": " GIVEN "}, {\"op\": \"Conv\", \"input\": {\"quantizer\": \"Int8ActPerTensorFloat\", \"only_if_float\": true}}");
    assert_true(reads(&p, "a")); /* x was float */
    assert_true(!reads(&p, "d") && !node_of(&p, "d")->input);
    assert_true(reads(&p, "f")); /* a Sigmoid makes floats */
    planned_close(&p);
}

static void a_quantized_identity_vanishes_and_one_that_requantizes_does_not(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_op(&p.s, "Identity", "a", "x");
    small_op(&p.s, "Identity", "b", "a");
    small_op(&p.s, "Identity", "y", "b");
    small_output(&p.s, "y");
    obeys(&p, "{\"match\": \"a\", \"output\": " GIVEN "}, {\"match\": \"y\", \"input\": " GIVEN ", \"output\": " GIVEN "}");
    assert_true(node_of(&p, "a")->dropped && !node_of(&p, "b")->dropped && !node_of(&p, "y")->dropped);
    planned_close(&p);
}

static void a_clip_vanishes_for_a_quantizer_with_limits_of_its_own(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_constant(&p.s, "low", 0, 0, NULL);
    small_constant(&p.s, "high", 6, 0, NULL);
    small_op(&p.s, "Clip", "a", "x", "low", "high");
    small_op(&p.s, "Clip", "y", "a", "low", "high");
    small_output(&p.s, "y");
    obeys(&p, "{\"match\": \"a\", \"output\": {\"quantizer\": \"Uint8ActPerTensorFloatMaxInit\", \"max_val\": 6}}, {\"match\": \"y\", \"output\": \"Uint8ActPerTensorFloat\"}");
    assert_true(node_of(&p, "a")->dropped && !node_of(&p, "y")->dropped);
    planned_close(&p);
}

static void wildcards_reach_layers_and_activations_and_names_reach_all(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Tanh", "b", "a");
    small_op(&p.s, "Add", "c", "a", "b");
    small_op(&p.s, "MaxPool", "d", "c");
    small_op(&p.s, "Abs", "y", "d");
    small_output(&p.s, "y");
    obeys(&p, "{\"match\": \"*\", \"output\": " GIVEN "}, {\"match\": \"d\", \"output\": " GIVEN "}, {\"op\": \"Abs\", \"output\": " GIVEN "}");
    assert_true(tensor_of(&p, "a")->quantized && tensor_of(&p, "b")->quantized);
    assert_false(tensor_of(&p, "c")->quantized);
    assert_true(tensor_of(&p, "d")->quantized && tensor_of(&p, "y")->quantized);
    planned_close(&p);
}

static void include_and_exclude_bound_the_rules(void **state)
{
    struct planned    p;
    static const char text[] = "{\"version\": 1, \"rules\": [{\"op\": \"Conv\", " WEIGHT "}]}";
    struct qn_recipe *recipe;

    (void)state;
    open_chain(&p);
    assert_ok(small_index(&p.s), &p.s.err);
    planned_settings(&p, OPTIONS("exclude", "y"));
    recipe = qn_arena_alloc(&p.settings.arena, sizeof *recipe);
    assert_ok(qn_recipe_parse(recipe, NULL, text, strlen(text), &p.settings.arena, &p.err), &p.err);
    p.settings.recipe = recipe;
    assert_ok(qn_explicit_plan(&p.plan, &p.s.graph, &p.settings, &p.err), &p.err);
    assert_reason(&p, "y", QN_REASON_EXCLUDED);
    assert_non_null(p.plan.recipe->weights[small_node(&p.s, "a")].row);
    assert_null(p.plan.recipe->weights[small_node(&p.s, "y")].row);
    planned_close(&p);
}

static void reasons_tell_what_the_recipe_leaves_in_float(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_conv(&p.s, "b", "a", NULL);
    small_op(&p.s, "Relu", "c", "b");
    small_op(&p.s, "Conv", "y", "c", "x"); /* a weight that is no constant */
    small_output(&p.s, "y");
    obeys(&p, "{\"op\": \"Conv\", " WEIGHT "}, {\"match\": \"b\", \"input\": " GIVEN "}");
    assert_reason(&p, "a", QN_REASON_OPERAND_IN_FLOAT);
    assert_reason(&p, "b", QN_REASON_QUANTIZED);
    assert_reason(&p, "c", QN_REASON_NOT_IN_RECIPE);
    assert_reason(&p, "y", QN_REASON_WEIGHT_NOT_CONSTANT);
    planned_close(&p);
}

/* ---- errors ---- */

static void refuses(const char *rules, const char *piece)
{
    struct planned p;

    open_chain(&p);
    assert_fails(obey(&p, rules), QONNX_E_USAGE, &p.err, piece);
    planned_close(&p);
}

static void rules_of_no_use_are_errors(void **state)
{
    struct planned p;

    (void)state;
    refuses("{\"match\": \"conv*\", " WEIGHT "}", "r.json:1: no node is meant by this rule (match 'conv*')");
    refuses("{\"op\": \"Gemm\", " WEIGHT "}", "r.json:1: no node is meant by this rule (op 'Gemm')");
    refuses("{\"regex\": \"z$\", " WEIGHT "}", "r.json:1: no node is meant by this rule (regex 'z$')");
    refuses("{\"op\": \"Relu\", \n" WEIGHT "}", "r.json:2: weight: the rule is of no use: node 'b' (Relu) has no weight");
    refuses("{\"op\": \"Relu\", \"bias\": \"Int8Bias\"}", "bias: the rule is of no use: node 'b' (Relu) has no bias");
    open_chain(&p);
    obeys(&p, "{\"op\": \"Gemm\", " WEIGHT ", \"optional\": true}");
    planned_close(&p);
}

static void nothing_to_change_is_an_error(void **state)
{
    (void)state;
    refuses("{\"op\": \"Conv\", \"weight\": {\"bit_width\": 4}}", "r.json:1: weight: changes a quantizer that no earlier rule gives node 'a' (Conv)");
}

static void rules_that_contradict_each_other_name_line_and_node(void **state)
{
    (void)state;
    refuses("{\"op\": \"Conv\", " WEIGHT "},\n{\"match\": \"y\", \"weight\": {\"bit_width\": 16}}", "r.json:2: node 'y' (Conv): weight: 'Int8WeightPerTensorFloat': a bit width of 16 is not between 2 and 8");
    refuses("{\"op\": \"Relu\", \"output\": " GIVEN "},\n{\"op\": \"Relu\", \"output\": {\"max_val\": -3}}", "r.json:2: node 'b' (Relu): output: 'Int8ActPerTensorFloatMinMaxInit': min_val -1 is greater than max_val -3");
}

static void declared_inputs_must_be_inputs(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    assert_fails(obey_document(&p, "{\"version\": 1, \"rules\": [],\n\"inputs\": {\"xx\": {\"scale\": 1}}}"), QONNX_E_USAGE, &p.err, "r.json:2: inputs.xx: the model has no such input; did you mean 'x'?");
    planned_close(&p);
    open_chain(&p);
    assert_fails(obey_document(&p, "{\"version\": 1, \"rules\": [],\n\"inputs\": {\"a_b\": {\"scale\": 1}}}"), QONNX_E_USAGE, &p.err, "the model has no such input");
    planned_close(&p);
}

static void a_scale_for_each_channel_needs_to_know_the_channels(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_op(&p.s, "Relu", "y", "x");
    small_output(&p.s, "y");
    assert_fails(obey(&p, "{\"op\": \"Relu\", \"output\": {\"quantizer\": \"Uint8ActPerTensorFloat\", \"per_channel\": true}}"), QONNX_E_UNSUPPORTED, &p.err, "node 'y' (Relu): output: a scale for each channel needs the shape of 'y'");
    planned_close(&p);
    open_chain(&p); /* behind a convolution they are known */
    obeys(&p, "{\"op\": \"Relu\", \"output\": {\"quantizer\": \"Uint8ActPerTensorFloat\", \"per_channel\": true}}");
    assert_int_equal(p.plan.recipe->sites[0]->channels, 4);
    assert_int_equal(p.plan.recipe->sites[0]->rank, 4);
    planned_close(&p);
}

/* ---- numbers ---- */

static void weights_biases_and_given_ranges_are_exact(void **state)
{
    struct planned             p;
    const struct qn_node_plan *a;

    (void)state;
    open_chain(&p);
    obeys(&p, "{\"match\": \"a\", " WEIGHT ", \"bias\": \"Int32Bias\", \"input\": " GIVEN "}");
    solves(&p);
    a = node_of(&p, "a");
    assert_true(a->weight->scale[0] == 0.5f / 127 && a->weight->lo == -127);
    assert_true(tensor_of(&p, "x")->params->scale[0] == 1.0f / 128);
    assert_true(a->bias->scale[0] == 0.5f / 127 * (1.0f / 128) && !a->bias_own_scale);
    assert_int_equal(a->bias_codes[3], (int)rintf(0.25f / a->bias->scale[0]));
    assert_int_equal(a->accumulator_bits, 33);
    assert_int_equal(p.plan.recipe->warning_count, 0);
    assert_int_equal(p.plan.rounding, QN_SHIFT_THEN_ROUND);
    planned_close(&p);
}

static void a_bias_without_input_scale_names_the_layer(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    obeys(&p, "{\"op\": \"Conv\", " WEIGHT ", \"bias\": \"Int8Bias\", \"output\": " GIVEN "}");
    assert_fails(qn_explicit_solve(&p.plan, &p.err), QONNX_E_USAGE, &p.err, "node 'a' (Conv): Input scale required: 'Int8Bias' takes its scale from the layer's input and weight, and the input is not quantized");
    planned_close(&p);
    open_chain(&p);
    obeys(&p, "{\"match\": \"a\", \"bias\": \"Int8Bias\", \"input\": " GIVEN "}");
    assert_fails(qn_explicit_solve(&p.plan, &p.err), QONNX_E_USAGE, &p.err, "Input scale required: 'Int8Bias' takes its scale from the layer's input and weight, and the weight is not quantized");
    planned_close(&p);
}

static void a_bias_with_a_scale_of_its_own_needs_none(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    obeys(&p, "{\"match\": \"a\", \"bias\": \"Int8BiasPerTensorFloatInternalScaling\"}");
    solves(&p);
    assert_true(node_of(&p, "a")->bias->scale[0] == 0.25f / 128 && node_of(&p, "a")->bias_own_scale);
    assert_int_equal(node_of(&p, "a")->bias_codes[0], 127); /* the positive end lies on 128 */
    planned_close(&p);
}

static void a_scale_goes_through_relu_moves_and_layers(void **state)
{
    struct planned p;
    float          first;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", "a_b");
    small_op(&p.s, "Relu", "b", "a");
    small_op(&p.s, "MaxPool", "c", "b");
    small_conv(&p.s, "y", "c", "y_b");
    small_output(&p.s, "y");
    obeys(&p, "{\"op\": \"Conv\", " WEIGHT ", \"bias\": \"Int32Bias\"}, {\"match\": \"a\", \"input\": " GIVEN "}");
    solves(&p);
    first = 0.5f / 127 * (1.0f / 128);
    assert_true(node_of(&p, "y")->bias->scale[0] == 0.5f / 127 * first);
    assert_true(p.plan.recipe->metadata[small_value(&p.s, "c")].known);
    assert_int_equal(p.plan.recipe->metadata[small_value(&p.s, "c")].bits, 33);
    planned_close(&p);
}

static void the_bias_of_a_matmul_is_added_behind_it(void **state)
{
    struct planned p;
    struct qn_use  at;

    (void)state;
    planned_open(&p, 3);
    small_constant(&p.s, "w", 0.5f, DIMS(5, 3));
    small_constant(&p.s, "c", 0.25f, DIMS(3));
    small_op(&p.s, "MatMul", "a", "x", "w");
    small_op(&p.s, "Add", "b", "c", "a");
    small_op(&p.s, "Relu", "y", "b");
    small_output(&p.s, "y");
    obeys(&p, "{\"op\": \"MatMul\", " WEIGHT ", \"bias\": \"Int32Bias\", \"input\": " GIVEN ", \"output\": " GIVEN "}");
    solves(&p);
    at = qn_plan_bias(&p.plan, small_node(&p.s, "a"));
    assert_true(at.node == small_node(&p.s, "b") && at.slot == 0);
    assert_true(node_of(&p, "a")->bias->scale[0] == 0.5f / 127 * (1.0f / 128));
    assert_true(tensor_of(&p, "b")->at_producer && !tensor_of(&p, "a")->quantized);
    assert_reason(&p, "b", QN_REASON_FUSED);
    assert_int_equal(p.plan.recipe->metadata[small_value(&p.s, "y")].bits, 8);
    planned_close(&p);
    planned_open(&p, 3);
    small_constant(&p.s, "w", 0.5f, DIMS(5, 3));
    small_constant(&p.s, "c", 0.25f, DIMS(1));
    small_op(&p.s, "MatMul", "a", "x", "w");
    small_op(&p.s, "Add", "y", "a", "c"); /* not one for each channel */
    small_output(&p.s, "y");
    assert_fails(obey(&p, "{\"op\": \"MatMul\", " WEIGHT ", \"bias\": \"Int32Bias\"}"), QONNX_E_USAGE, &p.err, "node 'a' (MatMul) has no bias");
    planned_close(&p);
}

static void two_quantizers_for_one_result_are_an_error(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 3);
    small_constant(&p.s, "w", 0.5f, DIMS(5, 3));
    small_constant(&p.s, "c", 0.25f, DIMS(3));
    small_op(&p.s, "MatMul", "a", "x", "w");
    small_op(&p.s, "Add", "y", "a", "c");
    small_output(&p.s, "y");
    assert_fails(obey(&p, "{\"op\": [\"MatMul\", \"Add\"], \"output\": " GIVEN "}"), QONNX_E_USAGE, &p.err, "node 'y' (Add): output: the MatMul before it, whose bias it adds, has an output quantizer too");
    planned_close(&p);
}

static void a_bias_is_quantized_where_the_weight_is_not(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    obeys(&p, "{\"match\": \"a\", \"bias\": \"Int8BiasPerTensorFloatInternalScaling\"}");
    solves(&p);
    assert_true(!node_of(&p, "a")->weight && node_of(&p, "a")->bias);
    planned_close(&p);
}

static void a_bias_that_is_cut_off_is_a_warning_with_the_layer(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    obeys(&p, "{\"match\": \"a\", " WEIGHT ", \"bias\": \"Int8Bias\", \"input\": " GIVEN "}");
    solves(&p);
    assert_int_equal(node_of(&p, "a")->bias_codes[0], 127);
    assert_int_equal(p.plan.recipe->warning_count, 1);
    assert_string_equal(p.plan.recipe->warnings[0], "node 'a' (Conv): 4 of 4 biases do not fit the 8 bits of 'Int8Bias' and are cut off");
    planned_close(&p);
}

static void sums_that_may_overflow_are_a_warning_and_nothing_is_moved(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 2);
    small_constant(&p.s, "w", 0.5f, DIMS(200000, 1));
    small_op(&p.s, "MatMul", "y", "x", "w");
    small_output(&p.s, "y");
    obeys(&p, "{\"op\": \"MatMul\", " WEIGHT ", \"input\": " GIVEN "}");
    solves(&p);
    assert_int_equal(p.plan.recipe->warning_count, 1);
    assert_non_null(strstr(p.plan.recipe->warnings[0], "node 'y' (MatMul): the sum of 200000 products"));
    assert_true(node_of(&p, "y")->weight->scale[0] == 0.5f / 127);
    planned_close(&p);
}

static void scales_for_each_channel_stand_on_the_axis_of_outputs(void **state)
{
    static const struct {
        const char *op;
        int64_t     trans_b;
        int         axis;
        size_t      count;
    } cases[] = { { "MatMul", 0, 1, 3 }, { "Gemm", 0, 1, 3 }, { "Gemm", 1, 0, 5 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct planned   p;
        Onnx__NodeProto *node;
        planned_open(&p, 2);
        small_constant(&p.s, "w", 0.5f, DIMS(5, 3));
        node = small_op(&p.s, cases[i].op, "y", "x", "w");
        if (cases[i].trans_b) qn_attr_set_int(&p.s.model.arena, node, "transB", 1);
        small_output(&p.s, "y");
        obeys(&p, "{\"match\": \"y\", \"weight\": \"Int8WeightPerChannelFloat\"}");
        assert_int_equal(node_of(&p, "y")->weight->axis, cases[i].axis);
        assert_int_equal(node_of(&p, "y")->weight->count, cases[i].count);
        planned_close(&p);
    }
}

/* x (4 channels) -> y, a convolution with so many groups */
static void open_grouped(struct planned *p, const char *op, int64_t groups, const int64_t *dims)
{
    static const int64_t shape[] = { 1, 4, 5, 5 };
    Onnx__NodeProto     *node;

    memset(p, 0, sizeof *p);
    small_open(&p->s);
    model_input(&p->s.model, "x", QN_FLOAT, 4, shape, NULL);
    small_constant(&p->s, "w", 0.5f, 4, dims);
    node = small_op(&p->s, op, "y", "x", "w");
    qn_attr_set_int(&p->s.model.arena, node, "group", groups);
    small_output(&p->s, "y");
}

#define PER_CHANNEL "{\"quantizer\": \"Int8ActPerTensorFloatMinMaxInit\", \"min_val\": -1, \"max_val\": 1, \"per_channel\": true}"

static void inputs_with_a_scale_for_each_channel_are_for_depthwise_convolutions(void **state)
{
    struct planned p;

    (void)state;
    open_grouped(&p, "Conv", 1, (const int64_t[]){ 4, 4, 1, 1 });
    obeys(&p, "{\"op\": \"Conv\", " WEIGHT ", \"input\": " PER_CHANNEL "}");
    assert_fails(qn_explicit_solve(&p.plan, &p.err), QONNX_E_UNSUPPORTED, &p.err, "node 'y' (Conv): the input has a scale for each channel");
    planned_close(&p);
    open_grouped(&p, "Conv", 4, (const int64_t[]){ 4, 1, 1, 1 });
    obeys(&p, "{\"op\": \"Conv\", " WEIGHT ", \"input\": " PER_CHANNEL "}");
    solves(&p);
    assert_int_equal(tensor_of(&p, "x")->params->count, 4);
    assert_int_equal(p.plan.recipe->metadata[small_value(&p.s, "y")].scale_count, 4);
    planned_close(&p);
}

static void grouped_transposed_convolutions_have_one_scale(void **state)
{
    struct planned p;

    (void)state;
    open_grouped(&p, "ConvTranspose", 2, (const int64_t[]){ 4, 2, 1, 1 });
    assert_fails(obey(&p, "{\"op\": \"ConvTranspose\", \"weight\": \"Int8WeightPerChannelFloat\"}"), QONNX_E_UNSUPPORTED, &p.err, "node 'y' (ConvTranspose): weight: 'Int8WeightPerChannelFloat': a transposed convolution with 2 groups");
    planned_close(&p);
    open_grouped(&p, "ConvTranspose", 2, (const int64_t[]){ 4, 2, 1, 1 });
    obeys(&p, "{\"op\": \"ConvTranspose\", " WEIGHT "}");
    planned_close(&p);
}

static void declared_inputs_give_their_scale_and_ask_for_no_data(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    assert_ok(obey_document(&p, "{\"version\": 1, \"rules\": [{\"match\": \"a\", " WEIGHT ", \"bias\": \"Int16Bias\"}], \"inputs\": {\"x\": {\"scale\": 0.25, \"zero_point\": 3, \"bit_width\": 4, \"signed\": false}}}"), &p.err);
    for (size_t i = 0; i < p.plan.recipe->site_count; i++) assert_false(qn_site_collects(p.plan.recipe->sites[i]));
    solves(&p);
    assert_true(tensor_of(&p, "x")->at_producer && tensor_of(&p, "x")->params->hi == 15 && tensor_of(&p, "x")->params->zero_point[0] == 3);
    assert_true(node_of(&p, "a")->bias->scale[0] == 0.5f / 127 * 0.25f);
    planned_close(&p);
}

static void a_range_without_samples_is_an_error(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    obeys(&p, "{\"match\": \"b\", \"output\": \"Uint8ActPerTensorFloat\"}");
    assert_true(qn_site_collects(p.plan.recipe->sites[0]));
    assert_fails(qn_explicit_solve(&p.plan, &p.err), QONNX_E_DATA, &p.err, "'b': there is no sample to take its range from");
    planned_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_is_nothing_done),
        cmocka_unit_test(null_takes_back_what_earlier_rules_gave),
        cmocka_unit_test(readers_that_ask_for_the_same_share_a_quantizer),
        cmocka_unit_test(readers_that_ask_for_different_things_have_their_own),
        cmocka_unit_test(a_quantized_tensor_is_requantized_by_its_readers_quantizer),
        cmocka_unit_test(only_if_float_looks_through_what_keeps_a_scale),
        cmocka_unit_test(a_quantized_identity_vanishes_and_one_that_requantizes_does_not),
        cmocka_unit_test(a_clip_vanishes_for_a_quantizer_with_limits_of_its_own),
        cmocka_unit_test(wildcards_reach_layers_and_activations_and_names_reach_all),
        cmocka_unit_test(include_and_exclude_bound_the_rules),
        cmocka_unit_test(reasons_tell_what_the_recipe_leaves_in_float),
        cmocka_unit_test(rules_of_no_use_are_errors),
        cmocka_unit_test(nothing_to_change_is_an_error),
        cmocka_unit_test(rules_that_contradict_each_other_name_line_and_node),
        cmocka_unit_test(declared_inputs_must_be_inputs),
        cmocka_unit_test(a_scale_for_each_channel_needs_to_know_the_channels),
        cmocka_unit_test(weights_biases_and_given_ranges_are_exact),
        cmocka_unit_test(a_bias_without_input_scale_names_the_layer),
        cmocka_unit_test(a_bias_with_a_scale_of_its_own_needs_none),
        cmocka_unit_test(a_scale_goes_through_relu_moves_and_layers),
        cmocka_unit_test(the_bias_of_a_matmul_is_added_behind_it),
        cmocka_unit_test(two_quantizers_for_one_result_are_an_error),
        cmocka_unit_test(a_bias_is_quantized_where_the_weight_is_not),
        cmocka_unit_test(a_bias_that_is_cut_off_is_a_warning_with_the_layer),
        cmocka_unit_test(sums_that_may_overflow_are_a_warning_and_nothing_is_moved),
        cmocka_unit_test(scales_for_each_channel_stand_on_the_axis_of_outputs),
        cmocka_unit_test(inputs_with_a_scale_for_each_channel_are_for_depthwise_convolutions),
        cmocka_unit_test(grouped_transposed_convolutions_have_one_scale),
        cmocka_unit_test(declared_inputs_give_their_scale_and_ask_for_no_data),
        cmocka_unit_test(a_range_without_samples_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
