/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/quantizer.h"

#include <math.h>
#include <string.h>

#include "cmocka_all.h"
#include "quant/running.h"

/* assert_float_equal() lets the last bit differ, whatever the tolerance. */
#define assert_same_float(a, b) assert_true((a) == (b))

static struct qn_arena arena;

static int release(void **state)
{
    (void)state;
    qn_arena_inject_failure(0, false);
    qn_arena_release(&arena);
    return 0;
}

static struct qn_quantizer named(const char *name)
{
    const struct qn_quantizer_row *row = qn_quantizer_row_find(name);
    struct qn_quantizer            q;

    assert_non_null(row);
    qn_quantizer_init(&q, row);
    return q;
}

static void assert_refused(struct qn_quantizer q, const char *text)
{
    qonnx_error error = { 0 };

    assert_int_equal(qn_quantizer_check(&q, &error), QONNX_E_USAGE);
    if (!strstr(error.message, text)) fail_msg("\"%s\" does not say \"%s\"", error.message, text);
    assert_non_null(strstr(error.message, q.row->name));
    assert_null(strchr(error.message, '\n'));
}

static void assert_accepted(struct qn_quantizer q)
{
    qonnx_error error = { 0 };
    if (qn_quantizer_check(&q, &error) != QONNX_OK) fail_msg("%s", error.message);
}

static struct qn_metadata centred(const float *scale, size_t count)
{
    static const float zero[16];
    return (struct qn_metadata){ .known = true,
                                 .is_signed = true,
                                 .bits = 8,
                                 .axis = count > 1 ? 1 : -1,
                                 .scale_count = count,
                                 .zero_count = count,
                                 .scale = scale,
                                 .zero_point = zero };
}

static void every_row_is_found_by_its_name_and_says_what_it_is(void **state)
{
    size_t count = 0;

    (void)state;
    for (const struct qn_quantizer_row *row; (row = qn_quantizer_row_at(count)); count++) {
        struct qn_quantizer q = named(row->name);
        assert_ptr_equal(q.row, row);
        assert_true(strlen(row->summary) > 10);
        if (row->statistic == QN_STAT_GIVEN) q.min_val = -1, q.max_val = 1;
        if (!row->bits) q.bits = 8;
        assert_accepted(q);
        assert_int_equal(q.collect_steps, 30);
        assert_true(q.momentum == 0.1);
    }
    assert_int_equal(count, 15);
    assert_null(qn_quantizer_row_find("Int7WeightPerTensorFloat"));
}

static void any_width_from_2_to_8_bits_is_accepted_and_no_other(void **state)
{
    (void)state;
    for (int bits = -1; bits <= 40; bits++) {
        struct qn_quantizer q = named("Int8WeightPerTensorFloat"), bias = named("Int32Bias");
        if (!bits) continue; /* stands for no default */
        q.bits = bias.bits = bits;
        if (bits >= 2 && bits <= 8)
            assert_accepted(q);
        else
            assert_refused(q, "is not between 2 and 8");
        if (bits >= 2 && bits <= 32)
            assert_accepted(bias);
        else
            assert_refused(bias, "is not between 2 and 32");
    }
}

static void contradictions_are_refused_in_one_line(void **state)
{
    struct qn_quantizer q = named("Int8ActPerTensorFloat");

    (void)state;
    q.min_val = 2;
    q.max_val = 1;
    assert_refused(q, "min_val 2 is greater than max_val 1");
    q.max_val = INFINITY;
    assert_refused(q, "max_val inf is not a finite float");
    q.min_val = -1e300;
    q.max_val = 1;
    assert_refused(q, "min_val -1e+300");
    q = named("Int8ActPerTensorFloat");
    q.momentum = 1.5;
    assert_refused(q, "momentum of 1.5");
    q.momentum = NAN;
    assert_accepted(q);
    q.low_percentile = 99.999;
    assert_refused(q, "percentiles 99.999 and 99.999");
    q.low_percentile = 0;
    q.high_percentile = 100.5;
    assert_refused(q, "percentiles 0 and 100.5");
    q.high_percentile = NAN;
    assert_refused(q, "percentiles");
    q = named("Int8ActPerTensorFloat");
    q.collect_steps = -3;
    assert_refused(q, "collect_stats_steps is -3");
    q = named("Int32Bias");
    q.per_channel = true;
    assert_refused(q, "cannot be set to per channel");
    q = named("Int32Bias");
    q.is_signed = false;
    assert_refused(q, "no type to store them");
}

static void an_unsigned_given_range_needs_no_minimum(void **state)
{
    struct qn_quantizer q = named("Uint8ActPerTensorFloatMaxInit");
    struct qn_qparams   qp;
    qonnx_error         error = { 0 };

    (void)state;
    assert_refused(q, "needs max_val:");
    q.max_val = 6;
    assert_accepted(q);
    assert_int_equal(qn_quantizer_activation(&q, NULL, 1, -1, &arena, &qp, &error), QONNX_OK);
    assert_same_float(qp.scale[0], 6.0f / 255.0f);
    q.max_val = 1e-12; /* what is given has no floor */
    assert_int_equal(qn_quantizer_activation(&q, NULL, 1, -1, &arena, &qp, &error), QONNX_OK);
    assert_same_float(qp.scale[0], 1e-12f / 255.0f);
    q.max_val = 0;
    assert_refused(q, "no range but 0");
    q = named("Int8ActPerTensorFloatMinMaxInit");
    assert_refused(q, "needs max_val and min_val:");
}

static void limits_do_not_replace_the_range_of_a_quantizer_that_takes_it_from_data(void **state)
{
    struct qn_quantizer q = named("Int8ActPerTensorFloat");

    (void)state;
    q.min_val = -1;
    q.max_val = 1;
    assert_accepted(q);
    assert_true(qn_quantizer_is_running(&q));
}

static void the_range_is_divided_by_the_steps_to_the_lowest_code_or_to_the_highest_if_unsigned(void **state)
{
    struct qn_quantizer q = named("Int8ActPerTensorFloat");

    (void)state;
    for (int bits = 2; bits <= 8; bits++) {
        q.bits = bits;
        q.is_signed = true;
        q.narrow = false;
        assert_same_float(qn_quantizer_steps(&q), exp2f((float)bits - 1));
        q.narrow = true;
        assert_same_float(qn_quantizer_steps(&q), exp2f((float)bits - 1) - 1);
        q.is_signed = false;
        assert_same_float(qn_quantizer_steps(&q), exp2f((float)bits) - 2);
        q.narrow = false;
        assert_same_float(qn_quantizer_steps(&q), exp2f((float)bits) - 1);
    }
    q = named("Int32Bias");
    assert_same_float(qn_quantizer_steps(&q), 2147483648.0f);
}

static void wide_biases_are_stored_in_32_bits_and_clamped_to_their_own_width(void **state)
{
    const float         one = 1, bias[] = { 1e9f, -1e9f, 5 };
    struct qn_metadata  operand = centred(&one, 1);
    struct qn_quantizer q = named("IntBias");
    struct qn_qparams   qp;
    int32_t             codes[3];
    qonnx_error         error = { 0 };

    (void)state;
    for (int bits = 9; bits < 32; bits++) {
        q.bits = bits;
        for (int is_signed = 0; is_signed < 2; is_signed++) {
            const int32_t top = (int32_t)((INT64_C(1) << (bits - is_signed)) - 1);
            q.is_signed = is_signed;
            assert_accepted(q);
            assert_int_equal(qn_quantizer_bias(&q, bias, 3, &operand, &operand, &arena, &qp, &error), QONNX_OK);
            assert_string_equal(qp.type->name, "int32");
            assert_int_equal(qp.bits, bits);
            assert_int_equal(qp.is_signed, is_signed);
            assert_int_equal(qn_quantize(bias, QN_LAYOUT_FLAT(3), &qp, QN_SHIFT_THEN_ROUND, codes, 1, &error),
                             QONNX_OK);
            assert_int_equal(codes[0], top < 1000000000 ? top : 1000000000);
            assert_int_equal(codes[1], !is_signed ? 0 : top < 1000000000 ? -top - 1 : -1000000000);
            assert_int_equal(codes[2], 5);
        }
    }
}

static void a_bias_has_as_many_scales_as_the_weight(void **state)
{
    const float               weights[] = { 0.5f, 0.25f, 3 }, input_scale = 0.1f, bias[] = { 1, 2, 3 };
    struct qn_metadata        input = centred(&input_scale, 1), weight = centred(weights, 3), channels;
    const struct qn_quantizer q = named("Int32Bias");
    struct qn_qparams         qp;
    qonnx_error               error = { 0 };

    (void)state;
    assert_int_equal(qn_quantizer_bias(&q, bias, 3, &input, &weight, &arena, &qp, &error), QONNX_OK);
    assert_int_equal(qp.count, 3);
    assert_int_equal(qp.axis, 0);
    for (int i = 0; i < 3; i++) assert_same_float(qp.scale[i], weights[i] * input_scale);
    weight.scale_count = 1;
    assert_int_equal(qn_quantizer_bias(&q, bias, 3, &input, &weight, &arena, &qp, &error), QONNX_OK);
    assert_int_equal(qp.count, 1);
    assert_int_equal(qp.axis, -1);
    channels = centred(weights, 3); /* in front of a depthwise convolution */
    assert_int_equal(qn_quantizer_bias(&q, bias, 3, &channels, &weight, &arena, &qp, &error), QONNX_OK);
    assert_int_equal(qp.count, 3);
    assert_same_float(qp.scale[2], weights[2] * weights[0]);
    weight.scale_count = 2;
    assert_int_equal(qn_quantizer_bias(&q, bias, 3, &input, &weight, &arena, &qp, &error), QONNX_E_UNSUPPORTED);
    assert_string_equal(error.message, "1 input scales and 2 weight scales do not fit a bias of 3");
}

static void a_bias_scale_that_no_float_holds_is_the_nearest_usable_one(void **state)
{
    const float               tiny = 1e-30f, huge = 1e30f, bias = 1;
    struct qn_metadata        a = centred(&tiny, 1), b = centred(&huge, 1);
    const struct qn_quantizer q = named("Int32Bias");
    struct qn_qparams         qp;
    qonnx_error               error = { 0 };

    (void)state;
    assert_int_equal(qn_quantizer_bias(&q, &bias, 1, &a, &a, &arena, &qp, &error), QONNX_OK);
    assert_true(isnormal(qp.scale[0]));
    assert_int_equal(qn_quantizer_bias(&q, &bias, 1, &b, &b, &arena, &qp, &error), QONNX_OK);
    assert_true(isfinite(qp.scale[0]));
}

static void an_internally_scaled_bias_needs_no_input(void **state)
{
    const float         bias[] = { 1, -3, 2 };
    struct qn_quantizer q = named("Int8BiasPerTensorFloatInternalScaling");
    struct qn_qparams   qp;
    int8_t              codes[3];
    qonnx_error         error = { 0 };

    (void)state;
    assert_int_equal(qn_quantizer_bias(&q, bias, 3, NULL, NULL, &arena, &qp, &error), QONNX_OK);
    assert_same_float(qp.scale[0], 3.0f / 128.0f);
    assert_int_equal(qn_quantize(bias, QN_LAYOUT_FLAT(3), &qp, QN_SHIFT_THEN_ROUND, codes, 1, &error), QONNX_OK);
    assert_int_equal(codes[1], -128);
    q.per_channel = true;
    assert_int_equal(qn_quantizer_bias(&q, bias, 3, NULL, NULL, &arena, &qp, &error), QONNX_OK);
    assert_int_equal(qp.count, 3);
    assert_same_float(qp.scale[2], 2.0f / 128.0f);
}

static void output_channels_are_on_axis_1_of_a_transposed_convolution(void **state)
{
    struct qn_quantizer q = named("Int8WeightPerChannelFloat");
    int                 axis = 7;
    qonnx_error         error = { 0 };

    (void)state;
    assert_int_equal(qn_quantizer_weight_axis(&q, false, 4, &axis, &error), QONNX_OK);
    assert_int_equal(axis, 0);
    assert_int_equal(qn_quantizer_weight_axis(&q, true, 1, &axis, &error), QONNX_OK);
    assert_int_equal(axis, 1);
    assert_int_equal(qn_quantizer_weight_axis(&q, true, 2, &axis, &error), QONNX_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "2 groups"));
    q.per_channel = false;
    assert_int_equal(qn_quantizer_weight_axis(&q, true, 2, &axis, &error), QONNX_OK);
    assert_int_equal(axis, -1);
}

static struct qn_qparams weight_params(struct qn_quantizer q, const float *x, size_t channels, size_t inner)
{
    struct qn_qparams qp;
    qonnx_error       error = { 0 };

    assert_int_equal(qn_quantizer_weight(&q, x, (struct qn_layout){ 1, channels, inner }, 0, &arena, 1, &qp, &error),
                     QONNX_OK);
    return qp;
}

static void shifted_weights_take_their_zero_point_from_the_minimum(void **state)
{
    const float               x[] = { -1, 3, 1, 2, 4, 3, -4, -2, -3 };
    const struct qn_quantizer q = named("ShiftedUint8WeightPerChannelFloat");
    const struct qn_qparams   qp = weight_params(q, x, 3, 3);

    (void)state;
    assert_int_equal(qp.count, 3);
    assert_string_equal(qp.type->name, "uint8");
    assert_same_float(qp.scale[0], 4.0f / 255.0f);
    assert_int_equal(qp.zero_point[0], 64);
    assert_same_float(qp.scale[1], 4.0f / 255.0f); /* from 0, not from the smallest value */
    assert_int_equal(qp.zero_point[1], 0);
    assert_same_float(qp.scale[2], 2.0f / 255.0f); /* does not reach up to 0 */
    assert_int_equal(qp.zero_point[2], 255);
}

static void a_shifted_quantizer_with_signed_codes_counts_from_the_lowest(void **state)
{
    const float         x[] = { -1, 3 };
    struct qn_quantizer q = named("ShiftedUint8WeightPerTensorFloat");
    struct qn_qparams   qp;

    (void)state;
    q.is_signed = true;
    assert_accepted(q);
    qp = weight_params(q, x, 1, 2);
    assert_same_float(qp.scale[0], 4.0f / 128.0f);
    assert_int_equal(qp.zero_point[0], -128 + 32);
}

static void bad_weights_give_a_usable_scale(void **state)
{
    const float               x[] = { NAN, 1, NAN, NAN, INFINITY, 1, 0, -0.0f };
    const struct qn_quantizer q = named("Int8WeightPerChannelFloat");
    const struct qn_quantizer shifted = named("ShiftedUint8WeightPerChannelFloat");
    const struct qn_qparams   qp = weight_params(q, x, 4, 2), other = weight_params(shifted, x, 4, 2);

    (void)state;
    assert_same_float(qp.scale[0], 1.0f / 127.0f);
    assert_same_float(qp.scale[1], 1e-10f / 127.0f);
    assert_same_float(qp.scale[2], QN_SCALE_MAX);
    assert_same_float(qp.scale[3], 1e-10f / 127.0f);
    assert_same_float(other.scale[1], 1e-10f / 255.0f);
    assert_same_float(other.scale[2], QN_SCALE_MAX);
    for (int i = 0; i < 4; i++) assert_int_equal(other.zero_point[i], 0);
}

static void channels_with_different_scales_can_only_enter_a_depthwise_convolution(void **state)
{
    const float              scales[] = { 1, 2 };
    const struct qn_metadata one = centred(scales, 1), two = centred(scales, 2), none = { 0 };
    qonnx_error              error = { 0 };

    (void)state;
    assert_int_equal(qn_quantizer_check_input(NULL, false, &error), QONNX_OK);
    assert_int_equal(qn_quantizer_check_input(&none, false, &error), QONNX_OK);
    assert_int_equal(qn_quantizer_check_input(&one, false, &error), QONNX_OK);
    assert_int_equal(qn_quantizer_check_input(&two, true, &error), QONNX_OK);
    assert_int_equal(qn_quantizer_check_input(&two, false, &error), QONNX_E_UNSUPPORTED);
    assert_non_null(strstr(error.message, "depthwise"));
}

static void statistics_of_the_wrong_shape_are_a_bug_and_not_a_crash(void **state)
{
    const struct qn_quantizer q = named("Int8ActPerTensorFloat");
    struct qn_running         running;
    struct qn_qparams         qp;
    qonnx_error               error = { 0 };

    (void)state;
    assert_int_equal(qn_quantizer_activation(&q, NULL, 1, -1, &arena, &qp, &error), QONNX_E_INTERNAL);
    error = (qonnx_error){ 0 };
    assert_int_equal(qn_running_init(&running, &q, 3, &arena, &error), QONNX_OK);
    assert_int_equal(qn_quantizer_activation(&q, &running, 3, -1, &arena, &qp, &error), QONNX_E_INTERNAL);
}

static void out_of_memory_is_reported(void **state)
{
    const float               x[] = { 1, 2 }, one = 1;
    const struct qn_metadata  operand = centred(&one, 1);
    const struct qn_quantizer weight = named("Int8WeightPerChannelFloat"), bias = named("Int32Bias");
    struct qn_qparams         qp;
    const struct qn_layout    layout = { 1, 2, 1 };

    (void)state;
    for (size_t nth = 1; nth <= 2; nth++) {
        qonnx_error error = { 0 };
        qn_arena_inject_failure(nth, false);
        assert_int_equal(qn_quantizer_weight(&weight, x, layout, 0, &arena, 1, &qp, &error), QONNX_E_NOMEM);
        qn_arena_inject_failure(0, false);
        qn_arena_release(&arena);
        error = (qonnx_error){ 0 };
        qn_arena_inject_failure(nth, false);
        assert_int_equal(qn_quantizer_bias(&bias, x, 2, &operand, &operand, &arena, &qp, &error), QONNX_E_NOMEM);
        qn_arena_inject_failure(0, false);
        qn_arena_release(&arena);
    }
}

#define TEST(f) cmocka_unit_test_teardown(f, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_row_is_found_by_its_name_and_says_what_it_is),
        TEST(any_width_from_2_to_8_bits_is_accepted_and_no_other),
        TEST(contradictions_are_refused_in_one_line),
        TEST(an_unsigned_given_range_needs_no_minimum),
        TEST(limits_do_not_replace_the_range_of_a_quantizer_that_takes_it_from_data),
        TEST(the_range_is_divided_by_the_steps_to_the_lowest_code_or_to_the_highest_if_unsigned),
        TEST(wide_biases_are_stored_in_32_bits_and_clamped_to_their_own_width),
        TEST(a_bias_has_as_many_scales_as_the_weight),
        TEST(a_bias_scale_that_no_float_holds_is_the_nearest_usable_one),
        TEST(an_internally_scaled_bias_needs_no_input),
        TEST(output_channels_are_on_axis_1_of_a_transposed_convolution),
        TEST(shifted_weights_take_their_zero_point_from_the_minimum),
        TEST(a_shifted_quantizer_with_signed_codes_counts_from_the_lowest),
        TEST(bad_weights_give_a_usable_scale),
        TEST(channels_with_different_scales_can_only_enter_a_depthwise_convolution),
        TEST(statistics_of_the_wrong_shape_are_a_bug_and_not_a_crash),
        TEST(out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
