/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "cmocka_all.h"
#include "quant/fixed_sum.h"
#include "random.h"

static double sum_of(const double *values, size_t n)
{
    struct qn_fixed_sum sum = { { 0 } };
    for (size_t i = 0; i < n; i++) qn_fixed_sum_add(&sum, values[i]);
    return qn_fixed_sum_value(&sum);
}
#define SUM(...) sum_of((const double[]){ __VA_ARGS__ }, sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))

static void one_value_comes_back(void **state)
{
    struct rng rng = { 5 };

    (void)state;
    assert_true(SUM(0.0) == 0);
    for (int i = 0; i < 20000; i++) {
        const double value = ldexp(rng_unit(&rng) - 0.5, (int)rng_below(&rng, 138) - 59);
        assert_true(SUM(value) == value);
        assert_true(SUM(value, -value) == 0);
    }
}

static void small_values_survive_large_ones(void **state)
{
    (void)state;
    assert_true(SUM(0x1p77, 0x1p-112, -0x1p77) == 0 && SUM(0x1p77, 0x1p-111, -0x1p77) == 0x1p-111);
    assert_true(SUM(-0x1p77, 1, 0x1p77) == 1);
    assert_true(SUM(-3, 1, 1) == -1);
}

static void what_does_not_fit_is_cut_and_nan_is_nothing(void **state)
{
    (void)state;
    assert_true(SUM(1e300) == 0x1p78 && SUM(-(double)INFINITY) == -0x1p78 && SUM(0x1p78, 0x1p78) == 0x1p79);
    assert_true(SUM((double)NAN, 2.5) == 2.5);
    assert_true(SUM(0x1p-200) == 0);
    assert_true(SUM(0x1.8p-111 + 0x1p-130) == 0x1.8p-111 && SUM(-0x1.8p-111 - 0x1p-130) == -0x1.8p-111);
}

static void many_large_values_do_not_run_over(void **state)
{
    struct qn_fixed_sum sum = { { 0 } };

    (void)state;
    qn_fixed_sum_add(&sum, 0x1p78);
    for (int i = 0; i < 40; i++) { /* doubled each time: as if 2^40 had been added */
        struct qn_fixed_sum copy = sum;
        qn_fixed_sum_merge(&sum, &copy);
    }
    assert_true(qn_fixed_sum_value(&sum) == 0x1p118);
}

static void the_order_leaves_no_trace(void **state)
{
    enum { N = 500 };
    struct rng rng = { 6 };

    (void)state;
    for (int round = 0; round < 50; round++) {
        struct qn_fixed_sum forth = { { 0 } }, back = { { 0 } }, part = { { 0 } };
        double              values[N], exact = 0, size = 0;
        for (int i = 0; i < N; i++) values[i] = ldexp(rng_unit(&rng) - 0.5, (int)rng_below(&rng, 60) - 30);
        for (int i = 0; i < N; i++) qn_fixed_sum_add(&forth, values[i]);
        for (int i = N; i-- > 100;) qn_fixed_sum_add(&back, values[i]);
        for (int i = 0; i < 100; i++) qn_fixed_sum_add(&part, values[i]);
        qn_fixed_sum_merge(&back, &part);
        assert_memory_equal(&forth, &back, sizeof forth);
        for (int i = 0; i < N; i++) {
            exact += values[i];
            size += fabs(values[i]);
        }
        assert_true(fabs(qn_fixed_sum_value(&forth) - exact) <= 1e-13 * size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_value_comes_back),
        cmocka_unit_test(small_values_survive_large_ones),
        cmocka_unit_test(what_does_not_fit_is_cut_and_nan_is_nothing),
        cmocka_unit_test(many_large_values_do_not_run_over),
        cmocka_unit_test(the_order_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
