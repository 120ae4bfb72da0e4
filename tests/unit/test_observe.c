/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "quant/observe.h"
#include "random.h"

static struct qn_stats make(size_t most)
{
    struct qn_stats stats;
    assert_int_equal(qn_stats_init(&stats, most, NULL), QONNX_OK);
    return stats;
}

static void statistics_add_up_over_samples(void **state)
{
    struct qn_stats stats = make(0);

    (void)state;
    qn_stats_add(&stats, (const float[]){ 1, 2, 0 }, 3);
    qn_stats_add(&stats, (const float[]){ -4, NAN, INFINITY, -1e38f }, 4);
    assert_int_equal(stats.samples, 2);
    assert_int_equal(stats.count, 7);
    assert_int_equal(stats.nan, 1);
    assert_int_equal(stats.inf, 1);
    assert_int_equal(stats.masked, 1);
    assert_int_equal(qn_stats_ordinary(&stats), 4);
    assert_int_equal(stats.summed, 4);
    assert_int_equal(stats.zeros, 1);
    assert_true(qn_exact_sum_value(&stats.sum) == -1);
    assert_true(qn_exact_sum_value(&stats.sum2) == 21);
    assert_null(stats.histogram);
    qn_stats_release(&stats);
}

static const struct qn_observe_goal uint8_goal = {
    .lo = 0, .hi = 255, .bounds = { -INFINITY, INFINITY }, .useful = { -INFINITY, INFINITY }, .percentile = 99.99, .momentum = 0.1
};

static struct qn_range range_by(const char *name, const struct qn_stats *stats, const struct qn_observe_goal *goal)
{
    const struct qn_observer *observer = qn_observer_find(name);
    assert_non_null(observer);
    return observer->range(stats, goal);
}

static void minmax_gives_the_extremes_and_zero(void **state)
{
    struct qn_stats stats = make(0);
    struct qn_range range = range_by("minmax", &stats, &uint8_goal);

    (void)state;
    assert_true(range.min > range.max);
    qn_stats_add(&stats, (const float[]){ 1, -2, NAN, -1e38f }, 4);
    range = range_by("minmax", &stats, &uint8_goal);
    assert_true(range.min == -2 && range.max == 1);
    assert_null(qn_observer_find("median"));
    qn_stats_release(&stats);
}

static void observers_are_listed_in_name_order_with_a_summary(void **state)
{
    const struct qn_observer *observer, *before = NULL;

    (void)state;
    assert_non_null(qn_observer_at(0));
    for (size_t i = 0; (observer = qn_observer_at(i)); i++) {
        assert_true(observer->summary && observer->summary[0] && observer->range);
        assert_ptr_equal(qn_observer_find(observer->name), observer);
        if (before) assert_true(strcmp(before->name, observer->name) < 0);
        before = observer;
    }
}

static void statistics_gathered_differently_do_not_merge(void **state)
{
    struct qn_stats plain = make(0), fine = make(QN_HISTOGRAM_ALL), coarse = make(2), sampled = make(QN_HISTOGRAM_ALL);
    qonnx_error     err = { 0 };

    (void)state;
    sampled.sum_every = 4;
    assert_int_equal(qn_stats_merge(&plain, &fine, &err), QONNX_E_DATA);
    assert_non_null(strstr(err.message, "at most 0 and"));
    assert_int_equal(qn_stats_merge(&fine, &coarse, NULL), QONNX_E_DATA);
    assert_int_equal(qn_stats_merge(&fine, &sampled, NULL), QONNX_E_DATA);
    qn_stats_release(&plain);
    qn_stats_release(&fine);
    qn_stats_release(&coarse);
    qn_stats_release(&sampled);
}

/* The estimate against the error that quantizing the values really makes. */
static void check_estimate(const float *x, size_t n, size_t most, struct qn_range range, double tolerance_db)
{
    struct qn_stats      stats = make(most);
    struct qn_error_sums real;
    float                scale;
    int32_t              zero_point;
    struct qn_qparams    qp = { .type = qn_qtype_find("uint8"),
                                .bits = 8,
                                .hi = 255,
                                .axis = -1,
                                .count = 1,
                                .scale = &scale,
                                .zero_point = &zero_point };
    double               estimate;

    qn_qparams_set_affine(&qp, 0, range, QN_UNBOUNDED);
    qn_stats_add(&stats, x, n);
    assert_int_equal(qn_quantization_error(x, QN_LAYOUT_FLAT(n), &qp, NULL, &real, 1, NULL), QONNX_OK);
    estimate = qn_sqnr_db(qn_stats_noise(&stats, &qp, QN_UNBOUNDED));
    if (fabs(estimate - qn_sqnr_db(real)) > tolerance_db)
        fail_msg("estimated %.2f dB, real %.2f dB", estimate, qn_sqnr_db(real));
    qn_stats_release(&stats);
}

static void noise_estimate_is_close_to_the_real_noise(void **state)
{
    enum { COUNT = 40000 };
    static float x[COUNT], relu[COUNT];
    struct rng   rng = { 6 };

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        x[i] = rng_normal(&rng);
        relu[i] = fmaxf(x[i], 0);
    }
    check_estimate(x, COUNT, 0, (struct qn_range){ -6, 6 }, 0.1);
    check_estimate(x, COUNT, QN_HISTOGRAM_ALL, (struct qn_range){ -6, 6 }, 0.1);
    check_estimate(relu, COUNT, 0, (struct qn_range){ 0, 6 }, 0.1);
    check_estimate(relu, COUNT, QN_HISTOGRAM_ALL, (struct qn_range){ 0, 6 }, 0.1);
    /* Only a histogram knows how much is clipped. */
    check_estimate(x, COUNT, QN_HISTOGRAM_ALL, (struct qn_range){ -1, 2 }, 0.05);
    check_estimate(relu, COUNT, QN_HISTOGRAM_ALL, (struct qn_range){ 0, 0.5f }, 0.05);
    check_estimate(x, COUNT, COUNT / 3, (struct qn_range){ -1, 2 }, 0.3);
    /* An outlier stretches the steps until the rest is lost: bins wider than values, steps wider than bins. */
    x[0] = 1000;
    check_estimate(x, COUNT, QN_HISTOGRAM_ALL, (struct qn_range){ -4, 1000 }, 0.3);
}

static void noise_of_zeros_and_of_nothing_is_none(void **state)
{
    struct qn_stats   stats = make(QN_HISTOGRAM_ALL);
    float             scale = 0.5f;
    int32_t           zero_point = 3;
    struct qn_qparams qp = { .type = qn_qtype_find("uint8"),
                             .bits = 8,
                             .hi = 255,
                             .axis = -1,
                             .count = 1,
                             .scale = &scale,
                             .zero_point = &zero_point };

    (void)state;
    assert_true(qn_sqnr_db(qn_stats_noise(&stats, &qp, QN_UNBOUNDED)) == QN_SQNR_MAX);
    qn_stats_add(&stats, (const float[]){ 0, 0 }, 2);
    assert_true(qn_sqnr_db(qn_stats_noise(&stats, &qp, QN_UNBOUNDED)) == QN_SQNR_MAX);
    qn_stats_release(&stats);
    stats = make(0);
    qn_stats_add(&stats, (const float[]){ 0, 0 }, 2);
    assert_true(qn_sqnr_db(qn_stats_noise(&stats, &qp, QN_UNBOUNDED)) == QN_SQNR_MAX);
    qn_stats_release(&stats);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_add_up_over_samples),
        cmocka_unit_test(minmax_gives_the_extremes_and_zero),
        cmocka_unit_test(observers_are_listed_in_name_order_with_a_summary),
        cmocka_unit_test(statistics_gathered_differently_do_not_merge),
        cmocka_unit_test(noise_estimate_is_close_to_the_real_noise),
        cmocka_unit_test(noise_of_zeros_and_of_nothing_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
