/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>

#include "cmocka_all.h"
#include "quant/qparams.h"

static void assert_affine(struct qn_range range, struct qn_range bounds, float scale, int32_t zero_point)
{
    float   got_scale;
    int32_t got_zero_point;

    qn_affine_params(range, bounds, 0, 255, &got_scale, &got_zero_point);
    assert_float_equal(got_scale, scale, 0);
    assert_int_equal(got_zero_point, zero_point);
}

static void the_range_is_divided_by_the_steps_in_double_and_rounded_once(void **state)
{
    (void)state;
    assert_affine((struct qn_range){ -1, 1 }, QN_UNBOUNDED, (float)(2.0 / 255), 127);
    assert_affine((struct qn_range){ -0.1f, 0.7f }, QN_UNBOUNDED, (float)(((double)0.7f + (double)0.1f) / 255), 32);
}

static void the_range_is_widened_to_include_zero(void **state)
{
    (void)state;
    assert_affine((struct qn_range){ 2, 5.1f }, QN_UNBOUNDED, (float)((double)5.1f / 255), 0);
    assert_affine((struct qn_range){ -5.1f, -2 }, QN_UNBOUNDED, (float)((double)5.1f / 255), 255);
}

static void a_range_without_information_or_of_zero_becomes_one_either_side(void **state)
{
    const struct qn_range nothing[] = { { 0, 0 }, { -0.0f, 0 }, QN_RANGE_EMPTY, { NAN, 1 }, { -1, NAN }, { 3, 2 } };

    (void)state;
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        assert_affine(nothing[i], QN_UNBOUNDED, (float)(2.0 / 255), 127);
        assert_affine(nothing[i], (struct qn_range){ 0, INFINITY }, (float)(1.0 / 255), 0);
    }
    assert_affine((struct qn_range){ 0, 0 }, (struct qn_range){ 0, 0.5f }, (float)(0.5 / 255), 0);
}

static void tiny_and_huge_ranges_stop_at_the_scale_limits(void **state)
{
    (void)state;
    assert_affine((struct qn_range){ 0, FLT_TRUE_MIN }, QN_UNBOUNDED, QN_SCALE_MIN, 0);
    assert_affine((struct qn_range){ -1e-30f, 0 }, QN_UNBOUNDED, QN_SCALE_MIN, 0);
    assert_affine((struct qn_range){ -INFINITY, INFINITY }, QN_UNBOUNDED, QN_SCALE_MAX, 255);
    assert_affine((struct qn_range){ 0, FLT_MAX }, QN_UNBOUNDED, QN_SCALE_MAX, 0);
}

static void the_range_behind_relu6_never_passes_six(void **state)
{
    float   scale;
    int32_t zero_point;

    (void)state;
    qn_affine_params((struct qn_range){ -3, 9 }, (struct qn_range){ 0, 6 }, 0, 255, &scale, &zero_point);
    assert_int_equal(zero_point, 0);
    assert_true(255.0f * scale <= 6.0f);
    assert_true(255.0f * nextafterf(scale, 1) >= 6.0f);
}

static void a_scale_that_rounds_past_the_bound_is_the_one_below(void **state)
{
    int lowered = 0;

    (void)state;
    for (int i = 1; i <= 1000; i++) {
        const float bound = (float)i * 0.01f, plain = (float)((double)bound / 255);
        float       scale;
        int32_t     zero_point;
        qn_affine_params((struct qn_range){ 0, 100 }, (struct qn_range){ 0, bound }, 0, 255, &scale, &zero_point);
        assert_true(255.0f * scale <= bound);
        assert_float_equal(scale, 255.0f * plain > bound ? nextafterf(plain, 0) : plain, 0);
        lowered += 255.0f * plain > bound;
    }
    assert_in_range(lowered, 1, 999);
}

static void bounds_on_both_sides_cost_at_most_a_step_of_range(void **state)
{
    float   scale;
    int32_t zero_point;

    (void)state;
    qn_affine_params((struct qn_range){ -1, 1 }, (struct qn_range){ -1, 1 }, 0, 255, &scale, &zero_point);
    assert_true((float)(0 - zero_point) * scale >= -1);
    assert_true((float)(255 - zero_point) * scale <= 1);
    assert_float_equal(scale, 1.0f / 128, 0);
    /* A lower bound of a fraction of a step: better without negative codes than with steps twice as small. */
    qn_affine_params((struct qn_range){ -0.014f, 6 }, (struct qn_range){ -0.014f, 6 }, 0, 255, &scale, &zero_point);
    assert_int_equal(zero_point, 0);
    assert_float_equal(scale, 6.0f / 255, 1e-8);
}

static void bounds_that_leave_nothing_but_zero_are_ignored(void **state)
{
    (void)state;
    assert_affine((struct qn_range){ -1, 1 }, (struct qn_range){ 0, 0 }, (float)(2.0 / 255), 127);
    assert_affine((struct qn_range){ -1, 1 }, (struct qn_range){ NAN, NAN }, (float)(2.0 / 255), 127);
}

static void symmetric_scale_is_absmax_over_steps(void **state)
{
    (void)state;
    assert_float_equal(qn_symmetric_scale(2.5f, 127), 2.5f / 127, 0);
    assert_float_equal(qn_symmetric_scale(-2.5f, 128), 2.5f / 128, 0);
    assert_float_equal(qn_symmetric_scale(1e-10f, 127), 7.874016e-13f, 1e-19);
    assert_float_equal(qn_symmetric_scale(0, 127), 1.0f / 127, 0);
    assert_float_equal(qn_symmetric_scale(NAN, 127), 1.0f / 127, 0);
    assert_float_equal(qn_symmetric_scale(FLT_TRUE_MIN, 127), QN_SCALE_MIN, 0);
    assert_float_equal(qn_symmetric_scale(INFINITY, 127), QN_SCALE_MAX, 0);
}

static void parameters_start_as_identity_and_refuse_bits_that_do_not_fit(void **state)
{
    struct qn_arena   arena = { 0 };
    struct qn_qparams qp;
    qonnx_error       err = { 0 };

    (void)state;
    assert_int_equal(qn_qparams_init(&qp, &arena, qn_qtype_find("int8"), 4, true, 0, 3, &err), QONNX_OK);
    assert_int_equal(qp.lo, -7);
    assert_int_equal(qp.hi, 7);
    assert_int_equal(qp.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_float_equal(qp.scale[i], 1, 0);
        assert_int_equal(qp.zero_point[i], 0);
    }
    qn_qparams_set_symmetric(&qp, 1, 3.5f, qp.hi);
    assert_float_equal(qp.scale[1], 0.5f, 0);
    assert_float_equal(qn_qparams_range(&qp, 1).min, -3.5f, 0);
    assert_float_equal(qn_qparams_range(&qp, 1).max, 3.5f, 0);
    assert_int_equal(qn_qparams_init(&qp, &arena, qn_qtype_find("int8"), 9, true, 0, 1, &err), QONNX_E_USAGE);
    assert_string_equal(err.message, "9 bits (narrow) cannot be stored as int8");
    qn_arena_inject_failure(1, true);
    assert_int_equal(qn_qparams_init(&qp, &arena, qn_qtype_find("int8"), 8, true, 0, 1, NULL), QONNX_E_NOMEM);
    qn_arena_inject_failure(0, false);
    qn_arena_release(&arena);
}

static void bias_scale_is_input_times_weight_scale(void **state)
{
    volatile float x = 0.0173f, w = 0.00371f; /* kept from being multiplied by the compiler in wider precision */
    const float    product = x * w;

    (void)state;
    assert_memory_equal(&(float){ qn_bias_scale(x, w) }, &product, sizeof product);
}

static void bias_codes_leave_room_for_the_products(void **state)
{
    (void)state;
    assert_int_equal(qn_bias_code_limit(0, 255, 127), INT32_MAX);
    assert_int_equal(qn_bias_code_limit(1000, 255, 127), INT32_MAX - 1000 * 255 * 127);
    assert_int_equal(qn_bias_code_limit(66311, 255, 127), 1 << 24);
    assert_int_equal(qn_bias_code_limit(UINT64_MAX, 255, 127), 1 << 24);
    assert_int_equal(qn_bias_code_limit(10, -128, -128), INT32_MAX - 10 * 128 * 128);
}

static void bias_codes_are_rounded_half_to_even_and_clamped(void **state)
{
    const float bias[] = { 0.5f, 1.5f, -2.5f, 16777217.0f * 2, 3e9f, -INFINITY, NAN }, scale = 1;
    int32_t     codes[7];

    (void)state;
    assert_int_equal(qn_bias_codes(bias, 7, &scale, 1, INT32_MAX, codes), 3);
    assert_int_equal(codes[0], 0);
    assert_int_equal(codes[1], 2);
    assert_int_equal(codes[2], -2);
    assert_int_equal(codes[3], 33554432);
    assert_int_equal(codes[4], INT32_MAX);
    assert_int_equal(codes[5], -INT32_MAX);
    assert_int_equal(codes[6], 0);
}

static void a_dead_channels_weight_scale_is_raised_until_its_bias_fits(void **state)
{
    const int32_t limit = qn_bias_code_limit(576, 255, 127);
    const float   input = 0.02f, bias = 1.7f, raised = qn_bias_min_weight_scale(input, bias, limit);
    const float   scale = qn_bias_scale(input, raised), below = qn_bias_scale(input, raised * 0.999999f);
    int32_t       code;

    (void)state;
    assert_int_equal(qn_bias_codes(&bias, 1, &scale, 1, limit, &code), 0);
    assert_true(code > limit - limit / 1000000);
    assert_int_equal(qn_bias_codes(&bias, 1, &below, 1, limit, &code), 1);
    /* No bias, or nothing a weight scale could do about it. */
    assert_float_equal(qn_bias_min_weight_scale(1, 0, limit), QN_SCALE_MIN, 0);
    assert_float_equal(qn_bias_min_weight_scale(0, 1, limit), QN_SCALE_MIN, 0);
    assert_float_equal(qn_bias_min_weight_scale(NAN, 1, limit), QN_SCALE_MIN, 0);
    assert_float_equal(qn_bias_min_weight_scale(1e-19f, FLT_MAX, limit), QN_SCALE_MAX, 0);
}

static void accumulators_are_as_wide_as_brevitas_says(void **state)
{
    (void)state;
    assert_int_equal(qn_accumulator_bits(8, 8, 18, 0), 21);
    assert_int_equal(qn_accumulator_bits(8, 8, 18, 8), 22);
    assert_int_equal(qn_accumulator_bits(8, 8, 18, 32), 33);
    assert_int_equal(qn_accumulator_bits(1, 1, 1, 0), 0);
    assert_int_equal(qn_accumulator_bits(1, 1, 3, 0), 2);
    assert_int_equal(qn_accumulator_bits(4, 4, 576, 0), 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_range_is_divided_by_the_steps_in_double_and_rounded_once),
        cmocka_unit_test(the_range_is_widened_to_include_zero),
        cmocka_unit_test(a_range_without_information_or_of_zero_becomes_one_either_side),
        cmocka_unit_test(tiny_and_huge_ranges_stop_at_the_scale_limits),
        cmocka_unit_test(the_range_behind_relu6_never_passes_six),
        cmocka_unit_test(a_scale_that_rounds_past_the_bound_is_the_one_below),
        cmocka_unit_test(bounds_on_both_sides_cost_at_most_a_step_of_range),
        cmocka_unit_test(bounds_that_leave_nothing_but_zero_are_ignored),
        cmocka_unit_test(symmetric_scale_is_absmax_over_steps),
        cmocka_unit_test(parameters_start_as_identity_and_refuse_bits_that_do_not_fit),
        cmocka_unit_test(bias_scale_is_input_times_weight_scale),
        cmocka_unit_test(bias_codes_leave_room_for_the_products),
        cmocka_unit_test(bias_codes_are_rounded_half_to_even_and_clamped),
        cmocka_unit_test(a_dead_channels_weight_scale_is_raised_until_its_bias_fits),
        cmocka_unit_test(accumulators_are_as_wide_as_brevitas_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
