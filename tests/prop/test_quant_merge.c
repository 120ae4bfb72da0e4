/* SPDX-License-Identifier: Apache-2.0
 * Statistics must come out the same bytes in whatever order and however split they were gathered. */
#include <math.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "quant/observe.h"
#include "random.h"

enum { SAMPLES = 40, MOST = 9000 };

struct sample {
    float *x;
    size_t n;
};

static void shuffle(struct rng *rng, size_t *order, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        const size_t j = rng_below(rng, i), kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/* Samples of very different size and magnitude, some one-sided, some of zeros, some with odd values. */
static void make_samples(struct rng *rng, struct sample *samples)
{
    for (size_t s = 0; s < SAMPLES; s++) {
        const float size = ldexpf(1, (int)rng_below(rng, 24) - 12);
        const int   kind = (int)rng_below(rng, 5);
        samples[s].n = 1 + rng_below(rng, s % 4 ? 300 : MOST);
        samples[s].x = malloc(samples[s].n * sizeof(float));
        assert_non_null(samples[s].x);
        for (size_t i = 0; i < samples[s].n; i++) {
            float value = rng_normal(rng) * size;
            if (kind == 1) value = fabsf(value);
            if (kind == 2) value = -fabsf(value);
            if (kind == 3 && i % 7 == 0) value = rng_any_float(rng);
            samples[s].x[i] = kind == 4 || i % 11 == 0 ? 0 : value;
        }
    }
}

static void check_equal(struct qn_stats *a, struct qn_stats *b)
{
    qn_exact_sum_normalize(&a->sum);
    qn_exact_sum_normalize(&b->sum);
    qn_exact_sum_normalize(&a->sum2);
    qn_exact_sum_normalize(&b->sum2);
    assert_memory_equal(&a->sum, &b->sum, sizeof a->sum);
    assert_memory_equal(&a->sum2, &b->sum2, sizeof a->sum2);
    assert_memory_equal(&a->min, &b->min, sizeof a->min);
    assert_memory_equal(&a->max, &b->max, sizeof a->max);
    assert_int_equal(a->samples, b->samples);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->nan, b->nan);
    assert_int_equal(a->inf, b->inf);
    assert_int_equal(a->masked, b->masked);
    assert_int_equal(a->summed, b->summed);
    assert_int_equal(a->zeros, b->zeros);
    assert_int_equal(a->stride, b->stride);
    assert_memory_equal(a->histogram, b->histogram, sizeof *a->histogram);
}

/* Hands the samples in random order to `parts` sets of statistics and merges those in random order. */
static struct qn_stats gather(struct rng *rng, const struct sample *samples, size_t parts, size_t most)
{
    struct qn_stats part[SAMPLES], all;
    size_t          order[SAMPLES];

    for (size_t i = 0; i < SAMPLES; i++) order[i] = i;
    for (size_t p = 0; p < parts; p++) assert_int_equal(qn_stats_init(&part[p], most, NULL), QONNX_OK);
    shuffle(rng, order, SAMPLES);
    for (size_t i = 0; i < SAMPLES; i++)
        qn_stats_add(&part[rng_below(rng, parts)], samples[order[i]].x, samples[order[i]].n);
    for (size_t i = 0; i < SAMPLES; i++) order[i] = i;
    shuffle(rng, order, parts);
    all = part[order[0]];
    for (size_t p = 1; p < parts; p++) {
        assert_int_equal(qn_stats_merge(&all, &part[order[p]], NULL), QONNX_OK);
        qn_stats_release(&part[order[p]]);
    }
    return all;
}

static void statistics_do_not_depend_on_order_or_split(void **state)
{
    struct rng    rng = { 31 };
    struct sample samples[SAMPLES];

    (void)state;
    for (int round = 0; round < 12; round++) {
        const size_t    most = round % 3 ? QN_HISTOGRAM_ALL : 300;
        struct qn_stats expected, got;
        make_samples(&rng, samples);
        expected = gather(&rng, samples, 1, most);
        for (size_t parts = 1; parts <= SAMPLES; parts = parts * 2 + 1) {
            got = gather(&rng, samples, parts, most);
            check_equal(&expected, &got);
            qn_stats_release(&got);
        }
        qn_stats_release(&expected);
        for (size_t s = 0; s < SAMPLES; s++) free(samples[s].x);
    }
}

static void a_histogram_does_not_depend_on_how_values_are_dealt_out(void **state)
{
    enum { COUNT = 20000 };
    static float               x[COUNT];
    static struct qn_histogram whole, parts[2];
    struct rng                 rng = { 32 };

    (void)state;
    for (int round = 0; round < 40; round++) {
        float low = 0, high = 0;
        for (size_t i = 0; i < COUNT; i++) {
            x[i] = rng_normal(&rng) * ldexpf(1, (int)rng_below(&rng, 100) - 50);
            if (round % 4 == 1) x[i] = fabsf(x[i]);
            if (round % 4 == 2) x[i] = -fabsf(x[i]);
            low = fminf(low, x[i]);
            high = fmaxf(high, x[i]);
        }
        qn_histogram_init(&whole);
        qn_histogram_cover(&whole, low, high);
        qn_histogram_add(&whole, x, COUNT, 0);
        for (int p = 0; p < 2; p++) qn_histogram_init(&parts[p]);
        for (size_t i = 0; i < COUNT;) {
            struct qn_histogram *part = &parts[rng_below(&rng, 2)];
            size_t               n = 1 + rng_below(&rng, 50);
            if (n > COUNT - i) n = COUNT - i;
            for (size_t j = i; j < i + n; j++) qn_histogram_cover(part, x[j], x[j]);
            qn_histogram_add(part, x + i, n, 0);
            i += n;
        }
        qn_histogram_merge(&parts[0], &parts[1]);
        assert_memory_equal(&parts[0], &whole, sizeof whole);
        assert_int_equal(qn_histogram_total(&whole), COUNT);
    }
}

static void every_value_lies_between_the_edges_of_its_bin(void **state)
{
    static struct qn_histogram h;
    struct rng                 rng = { 33 };

    (void)state;
    for (int round = 0; round < 2000; round++) {
        const float size = ldexpf(1, (int)rng_below(&rng, 120) - 60), other = rng_normal(&rng) * size;
        const float x = rng_normal(&rng) * size;
        size_t      bin = 0;
        if (x == 0) continue;
        qn_histogram_init(&h);
        qn_histogram_cover(&h, fminf(x, other), fmaxf(x, other));
        qn_histogram_add(&h, &x, 1, 0);
        while (!h.bins[bin]) bin++;
        assert_true(qn_histogram_edge(&h, bin) <= x && x <= qn_histogram_edge(&h, bin + 1));
    }
}

static void exact_sums_do_not_depend_on_order_or_split(void **state)
{
    enum { COUNT = 2000 };
    static double values[COUNT];
    struct rng    rng = { 34 };

    (void)state;
    for (int round = 0; round < 30; round++) {
        struct qn_exact_sum forward = { 0 }, parts[3] = { { { 0 }, 0, 0 }, { { 0 }, 0, 0 }, { { 0 }, 0, 0 } };
        size_t              order[COUNT];
        for (size_t i = 0; i < COUNT; i++) {
            do values[i] = rng_any_double(&rng);
            while (!isfinite(values[i]));
            if (round % 2) values[i] = rng_normal(&rng) * ldexp(1, (int)rng_below(&rng, 40));
            qn_exact_sum_add(&forward, values[i]);
            order[i] = i;
        }
        shuffle(&rng, order, COUNT);
        for (size_t i = 0; i < COUNT; i++) qn_exact_sum_add(&parts[rng_below(&rng, 3)], values[order[i]]);
        qn_exact_sum_merge(&parts[2], &parts[0]);
        qn_exact_sum_merge(&parts[2], &parts[1]);
        qn_exact_sum_normalize(&forward);
        qn_exact_sum_normalize(&parts[2]);
        assert_memory_equal(&forward, &parts[2], sizeof forward);
        /* Taking everything away again leaves exactly nothing. */
        for (size_t i = 0; i < COUNT; i++) qn_exact_sum_add(&forward, -values[i]);
        assert_true(qn_exact_sum_value(&forward) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statistics_do_not_depend_on_order_or_split),
        cmocka_unit_test(a_histogram_does_not_depend_on_how_values_are_dealt_out),
        cmocka_unit_test(every_value_lies_between_the_edges_of_its_bin),
        cmocka_unit_test(exact_sums_do_not_depend_on_order_or_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
