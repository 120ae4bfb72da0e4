/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "quant/kernels.h"
#include "random.h"

static void every_kind_of_value_is_counted_as_what_it_is(void **state)
{
    const float    x[] = { 1, -2, 0, -0.0f, NAN, INFINITY, -INFINITY, -1e38f, -FLT_MAX, 1e30f, 0.9e30f };
    struct qn_scan scan;

    (void)state;
    qn_scan(x, sizeof x / sizeof x[0], 1, &scan);
    assert_int_equal(scan.nan, 1);
    assert_int_equal(scan.inf, 2);
    assert_int_equal(scan.masked, 3);
    assert_int_equal(scan.summed, 5);
    assert_int_equal(scan.zeros, 2);
    assert_float_equal(scan.min, -2, 0);
    assert_float_equal(scan.max, 0.9e30f, 0);
    assert_true(scan.sum2 == 1 + 4 + (double)0.9e30f * 0.9e30f);
}

static void nothing_ordinary_leaves_the_range_empty(void **state)
{
    const float    x[] = { NAN, INFINITY, -1e38f };
    struct qn_scan scan;

    (void)state;
    qn_scan(x, 3, 1, &scan);
    assert_true(scan.min > scan.max);
    assert_true(scan.sum == 0 && scan.sum2 == 0 && scan.summed == 0);
    qn_scan(x, 0, 1, &scan);
    assert_true(scan.min > scan.max);
    assert_int_equal(scan.nan + scan.inf + scan.masked, 0);
}

static void negative_zero_is_reported_as_zero(void **state)
{
    const float    x[] = { -0.0f, -0.0f };
    struct qn_scan scan;

    (void)state;
    qn_scan(x, 2, 1, &scan);
    assert_false(signbit(scan.min));
    assert_false(signbit(scan.max));
}

/* For every length around the sizes of lanes and blocks, against the plainest loop there is. */
static void range_and_counts_agree_with_a_plain_loop_for_every_length(void **state)
{
    enum { MOST = 3 * QN_SCAN_BLOCK + 70 };
    static float x[MOST];
    struct rng   rng = { 1 };

    (void)state;
    for (size_t i = 0; i < MOST; i++) x[i] = rng_below(&rng, 9) ? rng_normal(&rng) : rng_any_float(&rng);
    for (size_t n = 0; n < MOST; n += n < 300 ? 1 : 61) {
        struct qn_scan scan;
        float          min = INFINITY, max = -INFINITY;
        uint64_t       ordinary = 0, nan = 0, inf = 0, zeros = 0;
        double         sum = 0, sum2 = 0, absolute = 0;
        for (size_t i = 0; i < n; i++) {
            nan += isnan(x[i]) != 0;
            inf += isinf(x[i]) != 0;
            if (!(fabsf(x[i]) < QN_MASKED_FROM)) continue;
            ordinary++;
            zeros += x[i] == 0;
            if (x[i] < min) min = x[i];
            if (x[i] > max) max = x[i];
            sum += x[i];
            sum2 += (double)x[i] * x[i];
            absolute += fabs((double)x[i]);
        }
        qn_scan(x, n, 1, &scan);
        assert_true(scan.min == min && scan.max == max);
        assert_int_equal(scan.nan, nan);
        assert_int_equal(scan.inf, inf);
        assert_int_equal(scan.summed, ordinary);
        assert_int_equal(scan.masked, n - ordinary - nan - inf);
        assert_int_equal(scan.zeros, zeros);
        assert_true(fabs(scan.sum - sum) <= absolute * 1e-12);
        assert_true(fabs(scan.sum2 - sum2) <= sum2 * 1e-12);
    }
}

/* The order of additions is part of the format of statistics: 64 lanes, then the lanes from first to last. */
static void sums_are_formed_in_64_lanes(void **state)
{
    enum { COUNT = 5003 };
    static float   x[COUNT];
    double         lane[64] = { 0 }, lane2[64] = { 0 }, sum = 0, sum2 = 0;
    struct rng     rng = { 2 };
    struct qn_scan scan;

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = rng_normal(&rng);
        lane[i % 64] += (double)x[i];
        lane2[i % 64] += (double)x[i] * x[i];
    }
    for (size_t j = 0; j < 64; j++) {
        sum += lane[j];
        sum2 += lane2[j];
    }
    qn_scan(x, COUNT, 1, &scan);
    assert_memory_equal(&scan.sum, &sum, sizeof sum);
    assert_memory_equal(&scan.sum2, &sum2, sizeof sum2);
}

static void only_every_nth_block_is_summed_but_all_set_the_range(void **state)
{
    enum { COUNT = 5 * QN_SCAN_BLOCK + 10 };
    float         *x = calloc(COUNT, sizeof *x);
    struct qn_scan scan;

    (void)state;
    assert_non_null(x);
    for (size_t i = 0; i < COUNT; i++) x[i] = (float)(i / QN_SCAN_BLOCK);
    x[QN_SCAN_BLOCK + 7] = -9;
    x[4] = NAN;
    qn_scan(x, COUNT, 2, &scan);
    assert_int_equal(scan.summed, 3 * QN_SCAN_BLOCK - 1);
    assert_int_equal(scan.zeros, QN_SCAN_BLOCK - 1);
    assert_true(scan.sum == (2.0 + 4.0) * QN_SCAN_BLOCK);
    assert_true(scan.min == -9 && scan.max == 5 && scan.nan == 1);
    qn_scan(x, COUNT, 0, &scan);
    assert_true(scan.summed == 0 && scan.sum == 0 && scan.zeros == 0);
    assert_true(scan.min == -9 && scan.max == 5 && scan.nan == 1);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_counted_as_what_it_is),
        cmocka_unit_test(nothing_ordinary_leaves_the_range_empty),
        cmocka_unit_test(negative_zero_is_reported_as_zero),
        cmocka_unit_test(range_and_counts_agree_with_a_plain_loop_for_every_length),
        cmocka_unit_test(sums_are_formed_in_64_lanes),
        cmocka_unit_test(only_every_nth_block_is_summed_but_all_set_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
