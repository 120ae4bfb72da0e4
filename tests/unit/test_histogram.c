/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "quant/histogram.h"
#include "random.h"

static struct qn_histogram h;

static void fill(const float *x, size_t n, unsigned shift)
{
    float min = INFINITY, max = -INFINITY;

    for (size_t i = 0; i < n; i++) {
        if (!(fabsf(x[i]) < 1e30f)) continue;
        min = fminf(min, x[i]);
        max = fmaxf(max, x[i]);
    }
    if (min <= max) qn_histogram_cover(&h, min, max);
    qn_histogram_add(&h, x, n, shift);
}

static void one_sided_values_use_all_bins(void **state)
{
    const float x[] = { 0.0001f, 1.5f, 3.9999f };

    (void)state;
    qn_histogram_init(&h);
    fill(x, 3, 0);
    assert_int_equal(h.exponent, 2);
    assert_true(qn_histogram_width(&h) == 4.0 / 4096);
    assert_int_equal(h.bins[0], 1);
    assert_int_equal(h.bins[1536], 1);
    assert_int_equal(h.bins[4095], 1);
    assert_true(qn_histogram_edge(&h, 0) == 0 && qn_histogram_edge(&h, 4096) == 4);
    qn_histogram_init(&h);
    fill((const float[]){ -0.0001f, -1.5f, -3.9999f }, 3, 0);
    assert_int_equal(h.bins[4095], 1);
    assert_int_equal(h.bins[4095 - 1536], 1);
    assert_int_equal(h.bins[0], 1);
    assert_true(qn_histogram_edge(&h, 0) == -4 && qn_histogram_edge(&h, 4096) == 0);
}

static void values_of_both_signs_share_the_bins(void **state)
{
    (void)state;
    qn_histogram_init(&h);
    fill((const float[]){ -1, 1, 0, -0.0f }, 4, 0);
    assert_int_equal(h.exponent, 1);
    assert_int_equal(h.zeros, 2);
    assert_int_equal(h.bins[2048 + 1024], 1);
    assert_int_equal(h.bins[2047 - 1024], 1);
    assert_int_equal(qn_histogram_total(&h), 4);
    assert_true(qn_histogram_edge(&h, 0) == -2 && qn_histogram_edge(&h, 4096) == 2);
}

static void a_power_of_two_doubles_the_range(void **state)
{
    (void)state;
    qn_histogram_init(&h);
    fill((const float[]){ nextafterf(1, 0) }, 1, 0);
    assert_int_equal(h.exponent, 0);
    assert_int_equal(h.bins[4095], 1);
    fill((const float[]){ 1 }, 1, 0);
    assert_int_equal(h.exponent, 1);
    assert_int_equal(h.bins[2047], 1);
    assert_int_equal(h.bins[2048], 1);
}

static void nan_infinite_and_masked_values_are_left_out(void **state)
{
    (void)state;
    qn_histogram_init(&h);
    fill((const float[]){ NAN, INFINITY, -INFINITY, -1e38f, 2, FLT_MAX }, 6, 0);
    assert_int_equal(qn_histogram_total(&h), 1);
    assert_int_equal(h.sides, QN_SIDE_POSITIVE);
    assert_int_equal(h.exponent, 2);
}

static void extreme_magnitudes_have_a_bin(void **state)
{
    (void)state;
    qn_histogram_init(&h);
    fill((const float[]){ FLT_TRUE_MIN, -FLT_TRUE_MIN, 0x1p-63f }, 3, 0);
    assert_int_equal(h.exponent, QN_HISTOGRAM_MIN_EXPONENT);
    assert_int_equal(h.bins[2048], 1);
    assert_int_equal(h.bins[2047], 1);
    assert_int_equal(h.bins[2048 + 1024], 1);
    fill((const float[]){ 0.99e30f }, 1, 0);
    assert_int_equal(h.bins[2048], 2);
    assert_int_equal(h.bins[2047], 1);
    assert_int_equal(qn_histogram_total(&h), 4);
}

static void zeros_alone_keep_the_histogram_without_sides(void **state)
{
    (void)state;
    qn_histogram_init(&h);
    fill((const float[]){ 0, 0 }, 2, 0);
    assert_int_equal(h.sides, 0);
    assert_int_equal(h.zeros, 2);
    assert_int_equal(qn_histogram_total(&h), 2);
}

/* Long inputs go another way than short ones; bins must be where a plain loop puts them. */
static void long_inputs_agree_with_a_plain_loop(void **state)
{
    enum { COUNT = 60000 };
    static float    x[COUNT];
    static uint64_t bins[QN_HISTOGRAM_BINS];
    struct rng      rng = { 5 };
    uint64_t        zeros = 0;

    (void)state;
    for (size_t i = 0; i < COUNT; i++) x[i] = rng_below(&rng, 5) ? rng_normal(&rng) : 0;
    memset(bins, 0, sizeof bins);
    qn_histogram_init(&h);
    fill(x, COUNT, 0);
    for (size_t i = 0; i < COUNT; i++) {
        const double k = fabs((double)x[i]) / qn_histogram_width(&h);
        if (x[i] == 0)
            zeros++;
        else
            bins[x[i] > 0 ? 2048 + (size_t)k : 2047 - (size_t)k]++;
    }
    assert_int_equal(h.zeros, zeros);
    assert_memory_equal(h.bins, bins, sizeof bins);
}

/* Values 1 … n in order: who was picked shows in the bins. */
static void one_of_each_group_stands_for_all_of_it(void **state)
{
    (void)state;
    for (size_t n = 1; n < 4000; n = n * 3 + 1)
        for (unsigned shift = 0; shift < 6; shift++) {
            static float x[4096];
            const size_t groups = (n + ((size_t)1 << shift) - 1) >> shift;
            for (size_t i = 0; i < n; i++) x[i] = 1 + (float)i;
            qn_histogram_init(&h);
            qn_histogram_cover(&h, 1, 4095); /* bins of width 1 */
            qn_histogram_add(&h, x, n, shift);
            assert_int_equal(qn_histogram_total(&h), groups << shift);
            for (size_t g = 0; g < groups; g++) {
                uint64_t in_group = 0;
                for (size_t i = g << shift; i < (g + 1) << shift && i < n; i++) in_group += h.bins[i + 1];
                assert_int_equal(in_group, 1 << shift);
            }
        }
}

/* As channels or columns in memory make it. */
static void a_period_in_the_data_is_not_seen_in_one_phase_only(void **state)
{
    enum { COUNT = 1 << 20 };
    static float x[COUNT];

    (void)state;
    for (int period = 2; period <= 64; period += period < 16 ? 1 : 7)
        for (unsigned shift = 1; shift <= 4; shift++) {
            double share;
            for (int i = 0; i < COUNT; i++) x[i] = i % period ? 1 : 2;
            qn_histogram_init(&h);
            fill(x, COUNT, shift);
            share = (double)h.bins[2048] / COUNT;
            if (fabs(share * period - 1) > 0.15) fail_msg("period %d, 1 of %d: %g", period, 1 << shift, share * period);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_sided_values_use_all_bins),
        cmocka_unit_test(values_of_both_signs_share_the_bins),
        cmocka_unit_test(a_power_of_two_doubles_the_range),
        cmocka_unit_test(nan_infinite_and_masked_values_are_left_out),
        cmocka_unit_test(extreme_magnitudes_have_a_bin),
        cmocka_unit_test(zeros_alone_keep_the_histogram_without_sides),
        cmocka_unit_test(long_inputs_agree_with_a_plain_loop),
        cmocka_unit_test(one_of_each_group_stands_for_all_of_it),
        cmocka_unit_test(a_period_in_the_data_is_not_seen_in_one_phase_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
