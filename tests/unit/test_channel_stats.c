/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "quant/observe.h"
#include "random.h"

/* [outer][channels][inner] as [outer][channels / block][inner][block]. */
static void to_blocks(const float *x, struct qn_layout l, size_t block, float *out)
{
    for (size_t o = 0; o < l.outer; o++)
        for (size_t c = 0; c < l.channels; c++)
            for (size_t p = 0; p < l.inner; p++)
                out[((o * l.channels + c / block * block) * l.inner) + p * block + c % block] =
                    x[(o * l.channels + c) * l.inner + p];
}

/* Everything but addresses. */
static void same_stats(const struct qn_channel_stats *a, const struct qn_channel_stats *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->summed, b->summed);
    assert_int_equal(a->mismatch, b->mismatch);
    assert_memory_equal(a->min, b->min, a->channels * sizeof *a->min);
    assert_memory_equal(a->max, b->max, a->channels * sizeof *a->max);
    for (size_t c = 0; c + 1 < a->channels + a->channels % 2; c++) assert_true(a->pair[c] == b->pair[c]);
    assert_memory_equal(a->sum, b->sum, a->channels * sizeof *a->sum);
    assert_memory_equal(a->sum2, b->sum2, a->channels * sizeof *a->sum2);
}

static const struct qn_layout layouts[] = { { 1, 32, 1 },   { 7, 48, 1 },   { 1, 16, 2 },   { 3, 32, 49 },
                                            { 1, 16, 511 }, { 1, 16, 512 }, { 2, 16, 513 }, { 1, 32, 5000 } };
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

static void a_blocked_layout_leaves_no_trace(void **state)
{
    struct rng rng = { 1 };

    (void)state;
    for (size_t k = 0; k < LAYOUTS; k++) {
        const size_t            n = qn_layout_count(layouts[k]);
        float                  *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
        struct qn_channel_stats plain, blocked;
        struct qn_scan          one, other;
        for (size_t i = 0; i < n; i++) x[i] = rng_below(&rng, 3) ? rng_normal(&rng) * (float)(1 + i % 7) : 0;
        for (size_t block = 8; block <= 16; block += 8) {
            assert_int_equal(qn_channel_stats_init(&plain, layouts[k].channels, NULL), QONNX_OK);
            assert_int_equal(qn_channel_stats_init(&blocked, layouts[k].channels, NULL), QONNX_OK);
            to_blocks(x, layouts[k], block, y);
            assert_true(qn_channel_stats_add(&plain, &(struct qn_channel_view){ x, layouts[k], 1 }, &one));
            assert_true(qn_channel_stats_add(&blocked, &(struct qn_channel_view){ y, layouts[k], block }, &other));
            same_stats(&plain, &blocked);
            assert_memory_equal(&one, &other, sizeof one);
            qn_channel_stats_release(&plain);
            qn_channel_stats_release(&blocked);
        }
        free(x);
        free(y);
    }
}

static float largest_sum(const float *x, struct qn_layout l, size_t c)
{
    float largest = -INFINITY;

    for (size_t o = 0; o < l.outer; o++)
        for (size_t p = 0; p < l.inner; p++) {
            const float *at = x + (o * l.channels + c) * l.inner + p;
            largest = fmaxf(largest, at[0] + at[l.inner]);
        }
    return largest;
}

/* Of long channels only some values enter the sums, so those are compared where the values repeat. */
static void the_figures_are_those_of_each_channel(void **state)
{
    struct rng rng = { 2 };

    (void)state;
    for (size_t k = 0; k < LAYOUTS + 2; k++) {
        const struct qn_layout  l = k < LAYOUTS    ? layouts[k]
                                    : k == LAYOUTS ? (struct qn_layout){ 2, 3, 4096 }
                                                   : (struct qn_layout){ 40, 700, 1 };
        const size_t            n = qn_layout_count(l), period = l.inner > 512 ? 64 : l.inner;
        float                  *x = malloc(n * sizeof *x);
        struct qn_channel_stats stats;
        struct qn_scan          scan;
        for (size_t i = 0; i < n; i++)
            x[i] = i % l.inner < period ? rng_normal(&rng) + (float)(i / l.inner % l.channels) : x[i - period];
        assert_int_equal(qn_channel_stats_init(&stats, l.channels, NULL), QONNX_OK);
        assert_false(qn_channel_stats_usable(&stats));
        assert_true(qn_channel_stats_add(&stats, &(struct qn_channel_view){ x, l, 1, 1 }, &scan));
        assert_true(qn_channel_stats_usable(&stats));
        assert_int_equal(scan.summed, stats.summed * l.channels);
        for (size_t c = 0; c < l.channels; c++) {
            float  min = INFINITY, max = -INFINITY;
            double sum = 0, sum2 = 0, count = (double)(l.outer * l.inner);
            for (size_t o = 0; o < l.outer; o++)
                for (size_t p = 0; p < l.inner; p++) {
                    const float value = x[(o * l.channels + c) * l.inner + p];
                    min = fminf(min, value);
                    max = fmaxf(max, value);
                    sum += (double)value;
                    sum2 += (double)value * (double)value;
                }
            assert_true(qn_channel_range(&stats, c).min == min && qn_channel_range(&stats, c).max == max);
            if (c % 2 == 0 && c + 1 < l.channels) assert_true(stats.pair[c] == -INFINITY && stats.pair[c + 1] == largest_sum(x, l, c));
            if (l.inner > 128 && l.inner != 4096) continue; /* not all are summed */
            assert_true(fabs(qn_channel_mean(&stats, c) - sum / count) < 1e-5 * (1 + fabs(sum / count)));
            assert_true(fabs(qn_channel_mean_square(&stats, c) - sum2 / count) < 1e-5 * (1 + sum2 / count));
        }
        qn_channel_stats_release(&stats);
        free(x);
    }
}

static void neither_the_order_of_samples_nor_their_split_shows(void **state)
{
    enum { SAMPLES = 9, CHANNELS = 24, INNER = 30, SIZE = CHANNELS * INNER };
    const struct qn_layout  l = { 1, CHANNELS, INNER };
    static float            x[SAMPLES][SIZE];
    struct qn_channel_stats forth, back, part;
    struct qn_scan          scan;
    struct rng              rng = { 3 };

    (void)state;
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < SIZE; i++) x[s][i] = ldexpf(rng_normal(&rng), s * 5 % 9 * 4 - 16);
    assert_int_equal(qn_channel_stats_init(&forth, CHANNELS, NULL), QONNX_OK);
    assert_int_equal(qn_channel_stats_init(&back, CHANNELS, NULL), QONNX_OK);
    assert_int_equal(qn_channel_stats_init(&part, CHANNELS, NULL), QONNX_OK);
    for (int s = 0; s < SAMPLES; s++) qn_channel_stats_add(&forth, &(struct qn_channel_view){ x[s], l, 1, (size_t)s % 2 }, &scan);
    for (int s = SAMPLES; s-- > 0;)
        qn_channel_stats_add(s % 3 ? &back : &part, &(struct qn_channel_view){ x[s], l, 1, (size_t)s % 2 }, &scan);
    qn_channel_stats_merge(&back, &part);
    same_stats(&forth, &back);
    qn_channel_stats_release(&forth);
    qn_channel_stats_release(&back);
    qn_channel_stats_release(&part);
}

static void what_is_not_ordinary_counts_as_zero_and_is_told(void **state)
{
    const float             bad[] = { NAN, INFINITY, -INFINITY, 1e30f, -3e38f };
    const struct qn_layout  planes = { 1, 2, 20 }, rows = { 20, 2, 1 };
    struct qn_channel_stats stats;
    struct qn_scan          scan;
    float                   x[40];

    (void)state;
    for (size_t k = 0; k < 5; k++)
        for (int at = 0; at < 40; at++)
            for (int as_rows = 0; as_rows < 2; as_rows++) {
                for (int i = 0; i < 40; i++) x[i] = i == at ? bad[k] : 5;
                assert_int_equal(qn_channel_stats_init(&stats, 2, NULL), QONNX_OK);
                assert_false(
                    qn_channel_stats_add(&stats, &(struct qn_channel_view){ x, as_rows ? rows : planes, 1 }, &scan));
                for (size_t c = 0; c < 2; c++) {
                    const bool hit = (as_rows ? at % 2 : at / 20) == (int)c;
                    assert_true(stats.min[c] == (hit ? 0.0f : 5.0f) && stats.max[c] == 5);
                    assert_true(qn_channel_mean(&stats, c) == (hit ? 4.75 : 5.0));
                }
                for (int i = 0; i < 40; i++) x[i] = 5; /* the next sample is not blamed for it */
                assert_true(
                    qn_channel_stats_add(&stats, &(struct qn_channel_view){ x, as_rows ? rows : planes, 1 }, &scan));
                qn_channel_stats_release(&stats);
            }
}

static void another_number_of_channels_makes_them_unusable(void **state)
{
    const float             x[12] = { 1, 2, 3 };
    struct qn_channel_stats stats, other;
    struct qn_scan          scan;

    (void)state;
    assert_int_equal(qn_channel_stats_init(&stats, 3, NULL), QONNX_OK);
    assert_int_equal(qn_channel_stats_init(&other, 4, NULL), QONNX_OK);
    assert_true(qn_channel_stats_add(&stats, &(struct qn_channel_view){ x, { 1, 3, 4 }, 1 }, &scan));
    assert_true(qn_channel_stats_usable(&stats));
    qn_channel_stats_merge(&stats, &other);
    assert_false(qn_channel_stats_usable(&stats));
    assert_true(qn_channel_stats_add(&other, &(struct qn_channel_view){ x, { 1, 4, 3 }, 1 }, &scan));
    assert_false(qn_channel_stats_add(&other, &(struct qn_channel_view){ x, { 1, 3, 4 }, 1 }, &scan));
    assert_false(qn_channel_stats_usable(&other));
    assert_false(qn_channel_stats_add(&other, &(struct qn_channel_view){ x, { 1, 4, 3 }, 8 }, &scan));
    qn_channel_stats_release(&stats);
    qn_channel_stats_release(&other);
    assert_int_equal(qn_channel_stats_init(&stats, QN_CHANNELS_MAX + 1, NULL), QONNX_E_LIMIT);
}

/* The tensor's own statistics do not depend on whether channels are followed, but for which values are summed up. */
static void the_tensor_is_seen_as_without_its_channels(void **state)
{
    struct rng rng = { 4 };

    (void)state;
    for (size_t k = 0; k < LAYOUTS; k++)
        for (int odd = 0; odd < 2; odd++) {
            const size_t    n = qn_layout_count(layouts[k]);
            float          *x = malloc(n * sizeof *x);
            struct qn_stats with, without;
            struct qn_range seen, expected;
            for (size_t i = 0; i < n; i++) x[i] = rng_normal(&rng);
            if (odd) x[n / 2] = -INFINITY;
            assert_int_equal(qn_stats_init(&with, QN_HISTOGRAM_ALL, NULL), QONNX_OK);
            assert_int_equal(qn_stats_init(&without, QN_HISTOGRAM_ALL, NULL), QONNX_OK);
            assert_int_equal(qn_stats_follow_channels(&with, layouts[k].channels, NULL), QONNX_OK);
            with.sum_every = without.sum_every = 8;
            for (int sample = 0; sample < 2; sample++) { /* the second one has a range of its own */
                seen = qn_stats_add_channels(&with, &(struct qn_channel_view){ x, layouts[k], 1 });
                expected = qn_stats_add(&without, x, n);
                for (size_t i = 0; i < n; i++) x[i] *= 0.5f;
            }
            assert_true(with.min == without.min && with.max == without.max);
            assert_memory_equal(&seen, &expected, sizeof seen);
            assert_int_equal(with.count, without.count);
            assert_int_equal(with.inf, without.inf);
            assert_memory_equal(with.histogram, without.histogram, sizeof *with.histogram);
            if (n < 4096)
                assert_true(fabs(qn_exact_sum_value(&with.sum2) - qn_exact_sum_value(&without.sum2)) <=
                            1e-5 * qn_exact_sum_value(&without.sum2));
            assert_int_equal(qn_stats_merge(&with, &without, NULL), QONNX_E_DATA);
            qn_stats_release(&with);
            qn_stats_release(&without);
            free(x);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_blocked_layout_leaves_no_trace),
        cmocka_unit_test(the_figures_are_those_of_each_channel),
        cmocka_unit_test(neither_the_order_of_samples_nor_their_split_shows),
        cmocka_unit_test(what_is_not_ordinary_counts_as_zero_and_is_told),
        cmocka_unit_test(another_number_of_channels_makes_them_unusable),
        cmocka_unit_test(the_tensor_is_seen_as_without_its_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
