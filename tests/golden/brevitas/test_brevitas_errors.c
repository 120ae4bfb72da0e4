/* SPDX-License-Identifier: Apache-2.0
 * What cannot be is said in one line that holds Brevitas' own text. */
#include "golden.h"

static json_t *recorded;

static int load(void **state)
{
    (void)state;
    recorded = golden_load("errors.json");
    return 0;
}

static int unload(void **state)
{
    (void)state;
    json_decref(recorded);
    return 0;
}

static void assert_text(const char *key, qonnx_status status, const qonnx_error *error)
{
    const char *want = golden_text(json_object_get(recorded, "texts"), key);

    if (!want) fail_msg("nothing recorded as %s", key);
    assert_int_not_equal(status, QONNX_OK);
    assert_int_equal(status, error->status);
    if (!strstr(error->message, want)) fail_msg("%s: \"%s\" does not hold \"%s\"", key, error->message, want);
    assert_null(strchr(error->message, '\n'));
}

static struct qn_quantizer named(const char *name)
{
    struct qn_quantizer q;
    qn_quantizer_init(&q, qn_quantizer_row_find(name));
    return q;
}

static void assert_check(const char *key, struct qn_quantizer q)
{
    qonnx_error error = { 0 };
    assert_text(key, qn_quantizer_check(&q, &error), &error);
}

static void a_bias_without_input_scale_says_what_is_missing(void **state)
{
    const struct qn_quantizer q = named("Int8Bias");
    const float               one = 1;
    const struct qn_metadata  known = golden_centred(&one);
    struct qn_qparams         qp;
    qonnx_error               error = { 0 };

    assert_text("int8bias_float_input", qn_quantizer_bias(&q, &one, 1, NULL, &known, *state, &qp, &error), &error);
    assert_non_null(strstr(error.message, "the input is not quantized"));
    error = (qonnx_error){ 0 };
    assert_text("int8bias_output_quant_only", qn_quantizer_bias(&q, &one, 1, &known, NULL, *state, &qp, &error),
                &error);
    assert_non_null(strstr(error.message, "the weight is not quantized"));
}

static void a_given_range_must_be_given(void **state)
{
    struct qn_quantizer q = named("Int8ActPerTensorFloatMinMaxInit");

    (void)state;
    assert_check("hardtanh_no_args", q);
    assert_check("identity_minmaxinit_no_args", q);
    q.min_val = -1;
    assert_check("hardtanh_only_min", q);
    q.min_val = NAN;
    q.max_val = 1;
    assert_check("hardtanh_only_max", q);
}

static void a_quantizer_needs_its_bit_width_and_its_steps(void **state)
{
    struct qn_quantizer q = named("Int8ActPerTensorFloat");

    (void)state;
    assert_check("intbias_without_bit_width", named("IntBias"));
    q.collect_steps = 0;
    assert_check("collect_stats_steps_0", q);
}

static void an_output_without_metadata_cannot_be_demanded(void **state)
{
    static const char *const keys[] = {
        "int8bias_float_input_return_qt", "return_qt_float_input_no_quant",     "internal_bias_float_input_return_qt",
        "sigmoid_disabled_qt_return_qt",  "identity_disabled_float_return_qt",  "relu_disabled_float_return_qt",
        "shifted_input_return_qt",        "shifted_input_int32_bias_return_qt",
    };
    const float        one = 1, shift = 7;
    struct qn_metadata input = golden_centred(&one), weight = input, out;
    struct qn_layer    layer = { .input = NULL, .weight = &weight, .convolution = true, .terms = 9, .output_axis = 1 };
    qonnx_error        error = { 0 };

    assert_int_equal(qn_metadata_of_layer(&layer, *state, &out, &error), QONNX_OK);
    assert_false(out.known);
    input.zero_point = &shift;
    layer.input = &input;
    assert_int_equal(qn_metadata_of_layer(&layer, *state, &out, &error), QONNX_OK);
    assert_false(out.known);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        error = (qonnx_error){ 0 };
        assert_text(keys[i], qn_metadata_require(&out, &error), &error);
    }
}

static void values_off_the_grid_have_no_integers(void **state)
{
    const float              one = 1, x[] = { 0, 1.25f };
    const struct qn_metadata meta = golden_centred(&one);
    int64_t                  integers[2];
    qonnx_error              error = { 0 };

    (void)state;
    assert_text("invalid_int", qn_metadata_integers(&meta, x, QN_LAYOUT_FLAT(2), integers, &error), &error);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, golden_setup, golden_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_bias_without_input_scale_says_what_is_missing),
        TEST(a_given_range_must_be_given),
        TEST(a_quantizer_needs_its_bit_width_and_its_steps),
        TEST(an_output_without_metadata_cannot_be_demanded),
        TEST(values_off_the_grid_have_no_integers),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
