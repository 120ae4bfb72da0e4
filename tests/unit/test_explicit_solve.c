/* SPDX-License-Identifier: Apache-2.0
 * The numbers of plans that obey a recipe. */
#include "obeyed.h"

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
    assert_fails(qn_explicit_solve(&p.plan, &p.err), QONNX_E_USAGE, &p.err,
                 "r.json:1: node 'a' (Conv): bias: Input scale required: 'Int8Bias' takes its scale from the layer's "
                 "input and weight, "
                 "and the input is not quantized");
    planned_close(&p);
    open_chain(&p);
    obeys(&p, "{\"match\": \"a\", \"bias\": \"Int8Bias\", \"input\": " GIVEN "}");
    assert_fails(qn_explicit_solve(&p.plan, &p.err), QONNX_E_USAGE, &p.err,
                 "Input scale required: 'Int8Bias' takes its scale from the layer's input and weight, and the weight "
                 "is not quantized");
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
    assert_fails(obey(&p, "{\"op\": \"MatMul\", " WEIGHT ", \"bias\": \"Int32Bias\"}"), QONNX_E_USAGE, &p.err,
                 "node 'a' (MatMul) has no bias");
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
    assert_fails(obey(&p, "{\"op\": [\"MatMul\", \"Add\"], \"output\": " GIVEN "}"), QONNX_E_USAGE, &p.err,
                 "node 'y' (Add): output: the MatMul before it, whose bias it adds, has an output quantizer too");
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
    assert_string_equal(p.plan.recipe->warnings[0],
                        "node 'a' (Conv): 4 of 4 biases do not fit the 8 bits of 'Int8Bias' and are cut off");
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

#define PER_CHANNEL                                                                                                    \
    "{\"quantizer\": \"Int8ActPerTensorFloatMinMaxInit\", \"min_val\": -1, \"max_val\": 1, \"per_channel\": true}"

static void inputs_with_a_scale_for_each_channel_are_for_depthwise_convolutions(void **state)
{
    struct planned p;

    (void)state;
    open_grouped(&p, "Conv", 1, (const int64_t[]){ 4, 4, 1, 1 });
    obeys(&p, "{\"op\": \"Conv\", " WEIGHT ", \"input\": " PER_CHANNEL "}");
    assert_fails(qn_explicit_solve(&p.plan, &p.err), QONNX_E_UNSUPPORTED, &p.err,
                 "r.json:1: node 'y' (Conv): input: the input has a scale for each channel");
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
    assert_fails(
        obey(&p, "{\"op\": \"ConvTranspose\", \"weight\": \"Int8WeightPerChannelFloat\"}"), QONNX_E_UNSUPPORTED, &p.err,
        "node 'y' (ConvTranspose): weight: 'Int8WeightPerChannelFloat': a transposed convolution with 2 groups");
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
    assert_ok(obey_document(&p, "{\"version\": 1, \"rules\": [{\"match\": \"a\", " WEIGHT
                                ", \"bias\": \"Int16Bias\"}], \"inputs\": {\"x\": {\"scale\": 0.25, \"zero_point\": 3, "
                                "\"bit_width\": 4, \"signed\": false}}}"),
              &p.err);
    for (size_t i = 0; i < p.plan.recipe->site_count; i++) assert_false(qn_site_collects(p.plan.recipe->sites[i]));
    solves(&p);
    assert_true(tensor_of(&p, "x")->at_producer && tensor_of(&p, "x")->params->hi == 15 &&
                tensor_of(&p, "x")->params->zero_point[0] == 3);
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
    assert_fails(qn_explicit_solve(&p.plan, &p.err), QONNX_E_DATA, &p.err,
                 "'b': there is no sample to take its range from");
    planned_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_biases_and_given_ranges_are_exact),
        cmocka_unit_test(a_bias_without_input_scale_names_the_layer),
        cmocka_unit_test(a_bias_with_a_scale_of_its_own_needs_none),
        cmocka_unit_test(a_scale_goes_through_relu_moves_and_layers),
        cmocka_unit_test(the_bias_of_a_matmul_is_added_behind_it),
        cmocka_unit_test(two_quantizers_for_one_result_are_an_error),
        cmocka_unit_test(a_bias_is_quantized_where_the_weight_is_not),
        cmocka_unit_test(a_bias_that_is_cut_off_is_a_warning_with_the_layer),
        cmocka_unit_test(scales_for_each_channel_stand_on_the_axis_of_outputs),
        cmocka_unit_test(inputs_with_a_scale_for_each_channel_are_for_depthwise_convolutions),
        cmocka_unit_test(grouped_transposed_convolutions_have_one_scale),
        cmocka_unit_test(declared_inputs_give_their_scale_and_ask_for_no_data),
        cmocka_unit_test(a_range_without_samples_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
