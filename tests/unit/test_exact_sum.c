/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "cmocka_all.h"
#include "quant/exact_sum.h"
#include "random.h"

static double sum_of(const double *values, size_t n)
{
    struct qn_exact_sum sum = { 0 };
    for (size_t i = 0; i < n; i++) qn_exact_sum_add(&sum, values[i]);
    return qn_exact_sum_value(&sum);
}
#define SUM(...) sum_of((const double[]){ __VA_ARGS__ }, sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))

static void nothing_sums_to_zero(void **state)
{
    const struct qn_exact_sum empty = { 0 };

    (void)state;
    assert_true(qn_exact_sum_value(&empty) == 0);
    assert_true(SUM(0.0, -0.0) == 0);
    assert_true(SUM(1e300, -1e300) == 0);
}

static void one_value_comes_back_whatever_it_is(void **state)
{
    static const double special[] = {
        DBL_MAX, -DBL_MAX, DBL_MIN, DBL_TRUE_MIN, -DBL_TRUE_MIN, 1, 0.1, 3 * DBL_TRUE_MIN
    };
    struct rng rng = { 3 };

    (void)state;
    for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) assert_true(SUM(special[i]) == special[i]);
    for (int i = 0; i < 20000; i++) {
        const double value = rng_any_double(&rng);
        if (isfinite(value)) assert_true(SUM(value) == value);
    }
}

static void small_values_survive_large_ones(void **state)
{
    (void)state;
    assert_true(SUM(1e300, 1, -1e300) == 1);
    assert_true(SUM(DBL_MAX, DBL_TRUE_MIN, -DBL_MAX) == DBL_TRUE_MIN);
    assert_true(SUM(DBL_MAX, DBL_MAX, -DBL_MAX) == DBL_MAX);
    assert_true(SUM(DBL_MAX, DBL_MAX) == INFINITY);
    assert_true(SUM(-DBL_MAX, -DBL_MAX) == -INFINITY);
}

static void the_result_is_rounded_once_half_to_even(void **state)
{
    const double ulp = 0x1p-52;

    (void)state;
    assert_true(SUM(1, ulp / 2) == 1);
    assert_true(SUM(1 + ulp, ulp / 2) == 1 + 2 * ulp);
    assert_true(SUM(1, ulp / 2, DBL_TRUE_MIN) == 1 + ulp);
    assert_true(SUM(1, ulp / 2, -DBL_TRUE_MIN) == 1);
    assert_true(SUM(-1, -ulp / 2, -DBL_TRUE_MIN) == -1 - ulp);
    assert_true(SUM(0x1p32, -0x1p-30) == 0x1p32 - 0x1p-20 + (0x1p-20 - 0x1p-30)); /* borrows across digits */
}

static void sums_of_integers_are_exact(void **state)
{
    struct qn_exact_sum sum = { 0 };
    struct rng          rng = { 4 };
    int64_t             expected = 0;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        const int64_t value = (int64_t)(rng_next(&rng) >> 24) - (INT64_C(1) << 39);
        expected += value;
        qn_exact_sum_add(&sum, ldexp((double)value, -31));
    }
    assert_true(qn_exact_sum_value(&sum) == ldexp((double)expected, -31));
}

static void infinities_and_nan_are_kept(void **state)
{
    (void)state;
    assert_true(SUM(1, INFINITY, -5) == INFINITY);
    assert_true(SUM(1, -INFINITY) == -INFINITY);
    assert_true(isnan(SUM(INFINITY, -INFINITY)));
    assert_true(isnan(SUM(NAN, 1)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_sums_to_zero),
        cmocka_unit_test(one_value_comes_back_whatever_it_is),
        cmocka_unit_test(small_values_survive_large_ones),
        cmocka_unit_test(the_result_is_rounded_once_half_to_even),
        cmocka_unit_test(sums_of_integers_are_exact),
        cmocka_unit_test(infinities_and_nan_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
