/* SPDX-License-Identifier: Apache-2.0
 * What must hold for parameters from any range, however odd. */
#include <float.h>
#include <math.h>

#include "cmocka_all.h"
#include "quant/qparams.h"
#include "random.h"

static const float special[] = { 0,        -0.0f,          FLT_TRUE_MIN, -FLT_TRUE_MIN, FLT_MIN, -FLT_MIN, FLT_MAX,
                                 -FLT_MAX, INFINITY,       -INFINITY,    NAN,           1,       -1,       1e-10f,
                                 -1e-10f,  1e30f,          -1e30f,       1e-45f,        6,       0x1p-63f, 0x1p63f,
                                 -3.4e38f, 1.17549421e-38f };
enum { SPECIALS = sizeof special / sizeof special[0], ROUNDS = 1 << 20 };

static const struct {
    int32_t lo, hi;
} codes[] = { { 0, 255 }, { -128, 127 }, { -127, 127 }, { 0, 15 },         { -8, 7 },
              { -2, 1 },  { 0, 3 },      { 0, 254 },    { -32768, 32767 }, { 0, 65535 } };
enum { CODES = sizeof codes / sizeof codes[0] };

static void check_usable(float scale)
{
    if (!(scale >= QN_SCALE_MIN && scale <= QN_SCALE_MAX)) fail_msg("scale %a", (double)scale);
}

static void check_affine(struct qn_range range, struct qn_range bounds, int32_t lo, int32_t hi)
{
    float   scale = NAN;
    int32_t zero_point = INT32_MIN;

    qn_affine_params(range, bounds, lo, hi, &scale, &zero_point);
    check_usable(scale);
    assert_in_range(zero_point + 65536, lo + 65536, hi + 65536);
    if (bounds.min == 0 && bounds.max > 0) assert_int_equal(zero_point, lo);
}

static void no_pair_of_floats_makes_a_bad_scale(void **state)
{
    struct rng rng = { 11 };

    (void)state;
    for (size_t i = 0; i < SPECIALS; i++) {
        for (size_t j = 0; j < SPECIALS; j++) {
            for (size_t c = 0; c < CODES; c++) {
                const struct qn_range range = { special[i], special[j] };
                check_affine(range, QN_UNBOUNDED, codes[c].lo, codes[c].hi);
                for (size_t k = 0; k < SPECIALS; k++) {
                    check_affine(range, (struct qn_range){ 0, special[k] }, codes[c].lo, codes[c].hi);
                    check_affine(range, (struct qn_range){ special[k], special[j] }, codes[c].lo, codes[c].hi);
                }
            }
        }
    }
    for (int i = 0; i < ROUNDS; i++) {
        const struct qn_range range = { rng_any_float(&rng), rng_any_float(&rng) };
        const size_t          c = rng_below(&rng, CODES);
        check_affine(range, QN_UNBOUNDED, codes[c].lo, codes[c].hi);
        check_affine(range, (struct qn_range){ rng_any_float(&rng), rng_any_float(&rng) }, codes[c].lo, codes[c].hi);
    }
}

static void no_absmax_makes_a_bad_scale(void **state)
{
    struct rng rng = { 12 };

    (void)state;
    for (size_t i = 0; i < SPECIALS; i++)
        for (int32_t steps = 1; steps < 300; steps++) check_usable(qn_symmetric_scale(special[i], steps));
    for (int i = 0; i < ROUNDS; i++) check_usable(qn_symmetric_scale(rng_any_float(&rng), 127));
}

static void the_product_of_two_scales_is_a_normal_float(void **state)
{
    struct rng rng = { 13 };

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        const float a = qn_scale_clamp(rng_any_float(&rng)), b = qn_scale_clamp(rng_any_float(&rng));
        check_usable(a);
        assert_true(isnormal(qn_bias_scale(a, b)));
    }
    assert_true(isnormal(qn_bias_scale(QN_SCALE_MIN, QN_SCALE_MIN)));
    assert_true(isnormal(qn_bias_scale(QN_SCALE_MAX, QN_SCALE_MAX)));
}

/* Ordinary ranges and bounds of any size between the scale limits. */
static float ordinary(struct rng *rng) { return (float)ldexp(0.5 + rng_unit(rng) / 2, (int)rng_below(rng, 60) - 30); }

static void no_bound_is_passed(void **state)
{
    struct rng rng = { 14 };

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        const struct qn_range range = { -ordinary(&rng), ordinary(&rng) };
        const struct qn_range bounds = { rng_below(&rng, 2) ? 0 : -ordinary(&rng), ordinary(&rng) };
        const int32_t         lo = codes[i % CODES].lo, hi = codes[i % CODES].hi;
        float                 scale;
        int32_t               zero_point;
        qn_affine_params(range, bounds, lo, hi, &scale, &zero_point);
        if (scale <= QN_SCALE_MIN) continue;
        if ((float)(hi - zero_point) * scale > bounds.max || (float)(lo - zero_point) * scale < bounds.min)
            fail_msg("range [%a, %a] bounds [%a, %a]: scale %a zero point %d", (double)range.min, (double)range.max,
                     (double)bounds.min, (double)bounds.max, (double)scale, zero_point);
    }
}

static void bounds_cost_at_most_one_step_at_either_end(void **state)
{
    struct rng rng = { 15 };

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        const struct qn_range bounds = { -ordinary(&rng), ordinary(&rng) };
        const int32_t         lo = codes[i % CODES].lo, hi = codes[i % CODES].hi;
        float                 scale;
        int32_t               zero_point;
        double                step;
        qn_affine_params(bounds, bounds, lo, hi, &scale, &zero_point);
        step = (double)scale * 1.01; /* and the rounding of a float32 scale, times 65,535 */
        assert_true(((double)hi - zero_point) * scale >= bounds.max - step);
        assert_true(((double)lo - zero_point) * scale <= bounds.min + step);
    }
}

static void the_raised_weight_scale_is_the_smallest_that_keeps_the_bias_in_int32(void **state)
{
    struct rng rng = { 16 };

    (void)state;
    for (int i = 0; i < ROUNDS / 4; i++) {
        const float   input = ordinary(&rng), bias = ordinary(&rng);
        const int32_t limit = qn_bias_code_limit(rng_below(&rng, 70000), 255, 127);
        const float   weight = qn_bias_min_weight_scale(input, bias, limit);
        const float   scale = qn_bias_scale(input, weight), smaller = qn_bias_scale(input, weight * (1 - 0x1p-20f));
        int32_t       code;
        check_usable(weight);
        assert_int_equal(qn_bias_codes(&bias, 1, &scale, 1, limit, &code), 0);
        assert_in_range(code, 0, limit);
        if (weight > QN_SCALE_MIN) assert_int_equal(qn_bias_codes(&bias, 1, &smaller, 1, limit, &code), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_pair_of_floats_makes_a_bad_scale),
        cmocka_unit_test(no_absmax_makes_a_bad_scale),
        cmocka_unit_test(the_product_of_two_scales_is_a_normal_float),
        cmocka_unit_test(no_bound_is_passed),
        cmocka_unit_test(bounds_cost_at_most_one_step_at_either_end),
        cmocka_unit_test(the_raised_weight_scale_is_the_smallest_that_keeps_the_bias_in_int32),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
