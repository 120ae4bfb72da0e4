/* SPDX-License-Identifier: Apache-2.0
 * From a recipe's rules to quantizers in a graph. What whole files come to is in tests/golden/exports. */
#include "lifted.h"
#include "obeyed.h"
#include "onnx/attr.h"

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
    obeys(&p, "{\"op\": \"Conv\", " WEIGHT ", \"output\": " GIVEN
              "}, {\"match\": \"y\", \"weight\": null, \"output\": null}");
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
    obeys(
        &p,
        "{\"op\": \"Conv\", \"input\": \"Int8ActPerTensorFloat\"}, {\"match\": \"b\", \"input\": {\"bit_width\": 4}}");
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
    obeys(&p, "{\"match\": \"a\", \"output\": " GIVEN
              "}, {\"op\": \"Conv\", \"input\": {\"quantizer\": \"Int8ActPerTensorFloat\", \"only_if_float\": true}}");
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
    obeys(&p,
          "{\"match\": \"a\", \"output\": " GIVEN "}, {\"match\": \"y\", \"input\": " GIVEN ", \"output\": " GIVEN "}");
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
    obeys(&p, "{\"match\": \"a\", \"output\": {\"quantizer\": \"Uint8ActPerTensorFloatMaxInit\", \"max_val\": 6}}, "
              "{\"match\": \"y\", \"output\": \"Uint8ActPerTensorFloat\"}");
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
    obeys(&p, "{\"match\": \"*\", \"output\": " GIVEN "}, {\"match\": \"d\", \"output\": " GIVEN
              "}, {\"op\": \"Abs\", \"output\": " GIVEN "}");
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

static void channels_follow_from_the_layer_before_where_no_shape_is_declared(void **state)
{
    static const struct {
        const char *op;
        int64_t     groups;
        size_t      rank, channels;
        int64_t     dims[4];
    } cases[] = { { "Conv", 2, 4, 6, { 6, 2, 1, 1 } },
                  { "ConvTranspose", 2, 4, 6, { 4, 3, 1, 1 } },
                  { "ConvTranspose", 1, 3, 3, { 4, 3, 2 } },
                  { "Gemm", 0, 2, 3, { 4, 3 } } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct planned        p;
        Onnx__NodeProto      *node;
        const struct qn_site *site;
        planned_open(&p, (int)cases[i].rank);
        small_constant(&p.s, "w", 1, cases[i].rank, cases[i].dims);
        node = small_op(&p.s, cases[i].op, "a", "x", "w");
        if (cases[i].groups) qn_attr_set_int(&p.s.model.arena, node, "group", cases[i].groups);
        small_op(&p.s, "Tanh", "y", "a");
        small_output(&p.s, "y");
        obeys(&p, "{\"op\": \"Tanh\", \"output\": {\"quantizer\": \"Int8ActPerTensorFloat\", \"per_channel\": true}}");
        site = qn_site_of(tensor_of(&p, "y")->params);
        assert_int_equal(site->channels, cases[i].channels);
        assert_int_equal(site->axis, 1);
        assert_int_equal(site->rank, cases[i].rank);
        planned_close(&p);
    }
}

static void an_unsigned_quantizer_may_be_asked_for_signs(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    obeys(&p, "{\"op\": \"Relu\", \"output\": {\"quantizer\": \"Uint8ActPerTensorFloatMaxInit\", \"max_val\": 2, "
              "\"signed\": true}}");
    solves(&p);
    assert_string_equal(tensor_of(&p, "b")->params->type->name, "int8");
    assert_true(tensor_of(&p, "b")->params->scale[0] == 2.0f / 128);
    planned_close(&p);
}

/* x -> Q -> DQ -> a (Conv, of a weight in codes) -> r (Relu) -> Q -> DQ -> y (Conv) */
static void quantizers_that_a_model_has_are_kept_and_none_is_put_beside_them(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_grid(&p.s, "g", 0.5f, QN_INT8, 0);
    small_codes(&p.s, "c", QN_INT8, (const int8_t[]){ 1, 2, 3, 4 }, DIMS(4, 1, 1, 1));
    small_dequantize(&p.s, "w", "c", "g");
    small_quantize(&p.s, "xq", "x", "g");
    small_dequantize(&p.s, "xd", "xq", "g");
    small_op(&p.s, "Conv", "a", "xd", "w");
    small_op(&p.s, "Relu", "r", "a");
    small_quantize(&p.s, "rq", "r", "g");
    small_dequantize(&p.s, "rd", "rq", "g");
    small_conv(&p.s, "y", "rd", "y_b");
    small_output(&p.s, "y");
    obeys(&p, "{\"op\": \"Conv\", " WEIGHT ", \"input\": {\"quantizer\": \"Int8ActPerTensorFloat\", \"only_if_float\": "
              "true}}, {\"op\": \"Relu\", \"output\": " GIVEN ", \"optional\": true}");
    assert_reason(&p, "a", QN_REASON_ALREADY_QUANTIZED);
    assert_int_equal(p.plan.recipe->site_count, 0);
    assert_null(node_of(&p, "a")->weight);
    assert_non_null(node_of(&p, "y")->weight);
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
    refuses("{\"op\": \"Relu\", \n" WEIGHT "}",
            "r.json:2: weight: the rule is of no use: node 'b' (Relu) has no weight");
    refuses("{\"op\": \"Relu\", \"bias\": \"Int8Bias\"}", "bias: the rule is of no use: node 'b' (Relu) has no bias");
    open_chain(&p);
    obeys(&p, "{\"op\": \"Gemm\", " WEIGHT ", \"optional\": true}");
    planned_close(&p);
}

static void nothing_to_change_is_an_error(void **state)
{
    (void)state;
    refuses("{\"op\": \"Conv\", \"weight\": {\"bit_width\": 4}}",
            "r.json:1: weight: changes a quantizer that no earlier rule gives node 'a' (Conv)");
}

static void rules_that_contradict_each_other_name_line_and_node(void **state)
{
    (void)state;
    refuses("{\"op\": \"Conv\", " WEIGHT "},\n{\"match\": \"y\", \"weight\": {\"bit_width\": 16}}",
            "r.json:2: node 'y' (Conv): weight: 'Int8WeightPerTensorFloat': a bit width of 16 is not between 2 and 8");
    refuses(
        "{\"op\": \"Relu\", \"output\": " GIVEN "},\n{\"op\": \"Relu\", \"output\": {\"max_val\": -3}}",
        "r.json:2: node 'b' (Relu): output: 'Int8ActPerTensorFloatMinMaxInit': min_val -1 is greater than max_val -3");
}

static void declared_inputs_must_be_inputs(void **state)
{
    struct planned p;

    (void)state;
    open_chain(&p);
    assert_fails(obey_document(&p, "{\"version\": 1, \"rules\": [],\n\"inputs\": {\"xx\": {\"scale\": 1}}}"),
                 QONNX_E_USAGE, &p.err, "r.json:2: inputs.xx: the model has no such input; did you mean 'x'?");
    planned_close(&p);
    open_chain(&p);
    assert_fails(obey_document(&p, "{\"version\": 1, \"rules\": [],\n\"inputs\": {\"a_b\": {\"scale\": 1}}}"),
                 QONNX_E_USAGE, &p.err, "the model has no such input");
    planned_close(&p);
}

static void a_scale_for_each_channel_needs_to_know_the_channels(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_op(&p.s, "Relu", "y", "x");
    small_output(&p.s, "y");
    assert_fails(
        obey(&p, "{\"op\": \"Relu\", \"output\": {\"quantizer\": \"Uint8ActPerTensorFloat\", \"per_channel\": true}}"),
        QONNX_E_UNSUPPORTED, &p.err, "node 'y' (Relu): output: a scale for each channel needs the shape of 'y'");
    planned_close(&p);
    open_chain(&p); /* behind a convolution they are known */
    obeys(&p, "{\"op\": \"Relu\", \"output\": {\"quantizer\": \"Uint8ActPerTensorFloat\", \"per_channel\": true}}");
    assert_int_equal(p.plan.recipe->sites[0]->channels, 4);
    assert_int_equal(p.plan.recipe->sites[0]->rank, 4);
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
        cmocka_unit_test(channels_follow_from_the_layer_before_where_no_shape_is_declared),
        cmocka_unit_test(an_unsigned_quantizer_may_be_asked_for_signs),
        cmocka_unit_test(quantizers_that_a_model_has_are_kept_and_none_is_put_beside_them),
        cmocka_unit_test(rules_of_no_use_are_errors),
        cmocka_unit_test(nothing_to_change_is_an_error),
        cmocka_unit_test(rules_that_contradict_each_other_name_line_and_node),
        cmocka_unit_test(declared_inputs_must_be_inputs),
        cmocka_unit_test(a_scale_for_each_channel_needs_to_know_the_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
