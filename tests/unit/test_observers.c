/* SPDX-License-Identifier: Apache-2.0
 * Ranges read out of histograms, against what a plain search over the values themselves finds. */
#include <math.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "quant/moments.h"
#include "random.h"

enum { COUNT = 20000 };

static const struct qn_observe_goal uint8_goal = { .lo = 0,
                                                   .hi = 255,
                                                   .bounds = { -INFINITY, INFINITY },
                                                   .useful = { -INFINITY, INFINITY },
                                                   .percentile = 99,
                                                   .momentum = 0.1 };

enum shape { NORMAL, RELU, LAPLACE, SKEWED, OUTLIERS, NEGATIVE, SPARSE, SHAPES };

static void fill(float *x, enum shape shape)
{
    struct rng rng = { 11 + shape };

    for (size_t i = 0; i < COUNT; i++) {
        const float normal = rng_normal(&rng), other = rng_normal(&rng);
        switch (shape) {
        case RELU: x[i] = fmaxf(normal, 0); break;
        case LAPLACE: x[i] = normal * fabsf(other) * 3; break;
        case SKEWED: x[i] = expf(normal) - 0.3f; break;
        case OUTLIERS: x[i] = i % 4000 == 7 ? 40 * normal : normal; break;
        case NEGATIVE: x[i] = -expf(normal); break;
        case SPARSE: x[i] = i % 5 ? 0.02f * normal : 3 * other; break;
        default: x[i] = normal; break;
        }
    }
}

static struct qn_stats seen(const float *x, size_t n)
{
    struct qn_stats stats;
    assert_int_equal(qn_stats_init(&stats, QN_HISTOGRAM_ALL, NULL), QONNX_OK);
    qn_stats_add(&stats, x, n);
    return stats;
}

static struct qn_range range_by(const char *name, const struct qn_stats *stats, const struct qn_observe_goal *goal)
{
    return qn_observer_find(name)->range(stats, goal);
}

/* What quantizing the values with this range really does to them. */
static double error_of(const float *x, const struct qn_observe_goal *goal, struct qn_range range)
{
    float   scale;
    int32_t zero_point;
    double  sum = 0;

    qn_observe_params(goal, range, &scale, &zero_point);
    for (size_t i = 0; i < COUNT; i++) {
        const double value = fmin(fmax(x[i], goal->useful.min), goal->useful.max);
        const double code = fmin(fmax(rint((double)(x[i] / scale)), goal->lo - zero_point), goal->hi - zero_point);
        const double error = fmin(fmax(code * scale, goal->useful.min), goal->useful.max) - value;
        sum += error * error;
    }
    return sum / COUNT;
}

static double least_error(const float *x, const struct qn_observe_goal *goal, struct qn_range extremes)
{
    double least = INFINITY;

    for (int i = 1; i <= 40; i++)
        for (int j = 1; j <= 40; j++) {
            const struct qn_range range = { extremes.min * (float)i / 40, extremes.max * (float)j / 40 };
            least = fmin(least, error_of(x, goal, range));
        }
    return least;
}

static void mse_is_no_worse_than_a_search_over_the_values(void **state)
{
    static float x[COUNT];

    (void)state;
    for (int shape = 0; shape < SHAPES; shape++)
        for (int32_t hi = 15; hi <= 255; hi += 240) {
            struct qn_observe_goal goal = uint8_goal;
            struct qn_stats        stats;
            double                 found, least;
            goal.hi = hi;
            fill(x, (enum shape)shape);
            stats = seen(x, COUNT);
            found = error_of(x, &goal, range_by("mse", &stats, &goal));
            least = least_error(x, &goal, qn_stats_range(&stats));
            if (!(found < least * 1.02))
                fail_msg("shape %d, %d codes: %g, and %g can be had", shape, hi + 1, found, least);
            qn_stats_release(&stats);
        }
}

/* It weighs rounding as if it were even; close to the best where that holds. */
static void octav_is_close_to_the_best_for_bell_shapes(void **state)
{
    static float            x[COUNT];
    static const enum shape bells[] = { NORMAL, RELU, LAPLACE, SKEWED, NEGATIVE };

    (void)state;
    for (size_t i = 0; i < sizeof bells / sizeof *bells; i++)
        for (int32_t hi = 15; hi <= 255; hi += 240) {
            struct qn_observe_goal goal = uint8_goal;
            struct qn_stats        stats;
            double                 found, least;
            goal.hi = hi;
            fill(x, bells[i]);
            stats = seen(x, COUNT);
            found = error_of(x, &goal, range_by("octav", &stats, &goal));
            least = least_error(x, &goal, qn_stats_range(&stats));
            if (!(found < least * 1.15))
                fail_msg("shape %d, %d codes: %g, and %g can be had", (int)bells[i], hi + 1, found, least);
            qn_stats_release(&stats);
        }
}

/* The fixed point for a standard normal and 16 symmetric codes is known: 2.56 standard deviations. */
static void octav_finds_the_known_optimum_of_a_normal(void **state)
{
    static float           x[COUNT];
    struct qn_observe_goal goal = {
        .lo = -7, .hi = 7, .symmetric = true, .bounds = { -INFINITY, INFINITY }, .useful = { -INFINITY, INFINITY }
    };
    struct qn_stats stats;
    struct qn_range range;

    (void)state;
    fill(x, NORMAL);
    stats = seen(x, COUNT);
    range = range_by("octav", &stats, &goal);
    assert_true(range.min == -range.max);
    assert_true(fabsf(range.max - 2.5f) < 0.12f);
    qn_stats_release(&stats);
}

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The narrowest interval with zero in it that leaves `out` values outside. */
static double narrowest(float *x, size_t out)
{
    double least = INFINITY;

    qsort(x, COUNT, sizeof *x, ascending);
    for (size_t low = 0; low <= out; low++) least = fmin(least, fmax(x[COUNT - 1 - (out - low)], 0) - fmin(x[low], 0));
    return least;
}

static void percentile_holds_its_share_in_the_narrowest_range(void **state)
{
    static float x[COUNT];

    (void)state;
    for (int shape = 0; shape < SHAPES; shape++)
        for (int p = 0; p < 4; p++) {
            static const double    percentiles[] = { 90, 99, 99.9, 99.99 };
            struct qn_observe_goal goal = uint8_goal;
            struct qn_stats        stats;
            struct qn_range        range;
            size_t                 out = 0, budget;
            double                 best;
            goal.percentile = percentiles[p];
            budget = (size_t)((100 - percentiles[p]) / 100 * COUNT + 1e-6);
            fill(x, (enum shape)shape);
            stats = seen(x, COUNT);
            range = range_by("percentile", &stats, &goal);
            for (size_t i = 0; i < COUNT; i++) out += x[i] < range.min || x[i] > range.max;
            best = narrowest(x, budget);
            /* a bin's values count as even, which they are not quite */
            if (out > budget + 40 || out + 40 < budget)
                fail_msg("shape %d, %g %%: %zu values outside", shape, percentiles[p], out);
            if (!(range.max - range.min < best * 1.03 + 2 * qn_histogram_width(stats.histogram)))
                fail_msg("shape %d, %g %%: [%g, %g]", shape, percentiles[p], (double)range.min, (double)range.max);
            qn_stats_release(&stats);
        }
}

static void a_percentile_of_100_clips_nothing(void **state)
{
    static float           x[COUNT];
    struct qn_observe_goal goal = uint8_goal;
    struct qn_stats        stats;
    struct qn_range        range;

    (void)state;
    goal.percentile = 100;
    fill(x, SKEWED);
    stats = seen(x, COUNT);
    range = range_by("percentile", &stats, &goal);
    assert_true(range.min == stats.min && range.max == stats.max);
    qn_stats_release(&stats);
}

/* The divergence by its definition, over bins spelt out. */
static double divergence(const double *count, int bins, int from, int to, int codes)
{
    static double q[QN_HISTOGRAM_BINS];
    double        total = 0, sum_p = 0, sum_q = 0;
    int           outside = 0;

    for (int i = 0; i < bins; i++) outside += (i < from || i >= to) && count[i] > 0;
    for (int i = 0; i < bins; i++) q[i] = count[i] > 0 ? 1.0 / outside : 0;
    for (int k = 0; k < codes; k++) {
        const int start = from + (to - from) * k / codes, end = from + (to - from) * (k + 1) / codes;
        double    inside = 0;
        int       filled = 0;
        for (int i = start; i < end; i++) {
            inside += count[i];
            filled += count[i] > 0;
        }
        for (int i = start; i < end; i++) q[i] = count[i] > 0 ? inside / filled : 0;
    }
    for (int i = 0; i < bins; i++) {
        sum_p += count[i];
        sum_q += q[i];
    }
    for (int i = 0; i < bins; i++)
        if (count[i] > 0) total += count[i] / sum_p * log(count[i] / sum_p / (q[i] / sum_q));
    return total;
}

static void entropy_finds_the_least_divergence_of_all_thresholds(void **state)
{
    static float x[COUNT];

    (void)state;
    for (int shape = 0; shape < SHAPES; shape++) {
        static double   count[QN_HISTOGRAM_BINS];
        struct qn_stats stats;
        struct qn_range range;
        double          least = INFINITY, found;
        int             zero, first = 0, last = QN_HISTOGRAM_BINS, from, to;
        fill(x, (enum shape)shape);
        stats = seen(x, COUNT);
        for (int i = 0; i < QN_HISTOGRAM_BINS; i++) count[i] = (double)stats.histogram->bins[i];
        zero = stats.histogram->sides == QN_SIDE_POSITIVE   ? 0
               : stats.histogram->sides == QN_SIDE_NEGATIVE ? 4096
                                                            : 2048;
        while (first < zero && !(count[first] > 0)) first++;
        while (last > zero && !(count[last - 1] > 0)) last--;
        range = range_by("entropy", &stats, &uint8_goal);
        from = zero + (int)rint((double)range.min / qn_histogram_width(stats.histogram) - 0.499);
        to = zero + (int)rint((double)range.max / qn_histogram_width(stats.histogram) + 0.499);
        found = divergence(count, QN_HISTOGRAM_BINS, from, to, 256);
        for (int reach = 1; reach <= QN_HISTOGRAM_BINS; reach += 3) { /* a third of them, for time */
            const int a = zero - reach > first ? zero - reach : first, b = zero + reach < last ? zero + reach : last;
            if (b - a >= 256) least = fmin(least, divergence(count, QN_HISTOGRAM_BINS, a, b, 256));
        }
        if (!(found <= least + 1e-9))
            fail_msg("shape %d: %g at [%g, %g], and %g can be had", shape, found, (double)range.min, (double)range.max,
                     least);
        qn_stats_release(&stats);
    }
}

/* Most values are one value, as a background makes it: the rest is not thrown away for it. */
static void entropy_does_not_end_at_a_spike(void **state)
{
    static float    x[COUNT];
    struct rng      rng = { 8 };
    struct qn_stats stats;

    (void)state;
    for (size_t i = 0; i < COUNT; i++) x[i] = i % 3 ? 0.51f : fabsf(rng_normal(&rng)) * 2;
    stats = seen(x, COUNT);
    assert_true(range_by("entropy", &stats, &uint8_goal).max > 2);
    qn_stats_release(&stats);
}

static void outliers_do_not_stretch_what_clips(void **state)
{
    static const char *const clipping[] = { "mse", "octav", "percentile" };
    static float             x[COUNT];
    struct qn_observe_goal   goal = uint8_goal;
    struct qn_stats          stats;

    (void)state;
    goal.hi = 15;
    fill(x, OUTLIERS);
    stats = seen(x, COUNT);
    for (size_t i = 0; i < sizeof clipping / sizeof *clipping; i++) {
        const struct qn_range range = range_by(clipping[i], &stats, &goal);
        if (!(range.max - range.min < 0.9f * (stats.max - stats.min) && range.min <= -2 && range.max >= 2))
            fail_msg("%s: [%g, %g] of [%g, %g]", clipping[i], (double)range.min, (double)range.max, (double)stats.min,
                     (double)stats.max);
    }
    qn_stats_release(&stats);
}

/* Whatever is seen, and whatever is asked for, a range comes out that parameters can be made of. */
static void every_observer_has_an_answer_to_odd_data(void **state)
{
    static const float odd[][4] = { { 0, 0, 0, 0 },      { 1, 1, 1, 1 },          { -3, -3, -3, -3 },
                                    { 1e-38f, 0, 0, 0 }, { 9e29f, -9e29f, 1, 0 }, { NAN, NAN, -1e38f, INFINITY } };

    (void)state;
    for (size_t o = 0; qn_observer_at(o); o++)
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
            for (int bounds = 0; bounds < 3; bounds++)
                for (int histogram = 0; histogram < 2; histogram++) {
                    struct qn_observe_goal goal = uint8_goal;
                    struct qn_stats        stats;
                    struct qn_range        range;
                    float                  scale;
                    int32_t                zero_point;
                    if (bounds == 1) goal.bounds = (struct qn_range){ 0, 6 };
                    if (bounds == 2) goal.useful = (struct qn_range){ -3, INFINITY };
                    assert_int_equal(qn_stats_init(&stats, histogram ? QN_HISTOGRAM_ALL : 0, NULL), QONNX_OK);
                    qn_stats_add(&stats, odd[i], 4);
                    range = qn_observer_at(o)->range(&stats, &goal);
                    assert_false(isnan(range.min) || isnan(range.max));
                    qn_observe_params(&goal, range, &scale, &zero_point);
                    assert_true(scale >= QN_SCALE_MIN && scale <= QN_SCALE_MAX && zero_point >= 0 && zero_point <= 255);
                    if (i == 1) assert_true(fabsf(255.0f * scale - 1) < 0.01f); /* all of one value: it is kept */
                    qn_stats_release(&stats);
                }
}

static void moving_averages_follow_the_data_in_its_order(void **state)
{
    static const struct qn_range ranges[] = { { -1, 10 }, { INFINITY, -INFINITY }, { -2, 20 }, { 0, 0 } };
    struct qn_stats stats = { .min = -2, .max = 20, .count = 4, .samples = 4, .ranges = ranges, .range_count = 4 };
    struct qn_range range = range_by("moving-average", &stats, &uint8_goal);

    (void)state;
    assert_true(fabsf(range.min - -1.1f * 0.9f) < 1e-6f);
    assert_true(fabsf(range.max - 11 * 0.9f) < 1e-5f);
}

/* Below -3 nothing counts: no range is spent on it, and no noise is made there. */
static void what_is_not_useful_costs_nothing(void **state)
{
    static float           x[COUNT];
    struct qn_observe_goal goal = uint8_goal;
    struct rng             rng = { 4 };
    struct qn_stats        stats;

    (void)state;
    goal.useful = (struct qn_range){ -3, INFINITY };
    for (size_t i = 0; i < COUNT; i++) x[i] = i % 2 ? 5 * rng_normal(&rng) : -60 - 20 * fabsf(rng_normal(&rng));
    stats = seen(x, COUNT);
    for (size_t o = 0; qn_observer_at(o); o++) {
        struct qn_range      range = qn_observer_at(o)->range(&stats, &goal);
        float                scale;
        int32_t              zero_point;
        struct qn_qparams    qp = { .type = qn_qtype_find("uint8"),
                                    .bits = 8,
                                    .hi = 255,
                                    .axis = -1,
                                    .count = 1,
                                    .scale = &scale,
                                    .zero_point = &zero_point };
        struct qn_error_sums sums;
        double               real;
        qn_observe_params(&goal, range, &scale, &zero_point);
        if (!strcmp(qn_observer_at(o)->name, "entropy") || !strcmp(qn_observer_at(o)->name, "percentile"))
            continue; /* counts, not distances */
        if (!(-(float)zero_point * scale <= -3 && -(float)zero_point * scale > -3.3f))
            fail_msg("%s: lowest %g of [%g, %g]", qn_observer_at(o)->name, (double)(-(float)zero_point * scale),
                     (double)range.min, (double)range.max);
        sums = qn_stats_noise(&stats, &qp, goal.useful);
        real = error_of(x, &goal, range);
        if (fabs(10 * log10(sums.noise / real)) > 0.3)
            fail_msg("%s: noise %g, real %g", qn_observer_at(o)->name, sums.noise, real);
    }
    qn_stats_release(&stats);
}

/* A range that ends inside what is useful ends there. */
static void only_a_range_cut_for_use_reaches_beyond_its_end(void **state)
{
    struct qn_observe_goal goal = uint8_goal;
    float                  scale;
    int32_t                zero_point;

    (void)state;
    goal.useful = (struct qn_range){ -3, 3 };
    for (int i = 1; i < 200; i++) {
        const float high = 0.1f * (float)i;
        qn_observe_params(&goal, (struct qn_range){ -50, high }, &scale, &zero_point);
        assert_true(-(float)zero_point * scale <= -3);
        if (high >= 3) assert_true((float)(255 - zero_point) * scale >= 3);
        qn_observe_params(&goal, (struct qn_range){ -2, fminf(high, 2) }, &scale, &zero_point);
        assert_true(fabsf((float)zero_point * scale - 2) <= scale);
    }
}

static void cumulative_sums_and_their_inverse_agree(void **state)
{
    static float x[COUNT];

    (void)state;
    for (int shape = 0; shape < SHAPES; shape++) {
        static struct qn_moments m;
        struct qn_stats          stats;
        fill(x, (enum shape)shape);
        stats = seen(x, COUNT);
        qn_moments_init(&m, &stats, QN_UNBOUNDED);
        assert_true(fabs(qn_moments_all(&m).count + (double)stats.zeros - COUNT) < 1e-6);
        for (int i = 1; i < 50; i++) {
            const double count = qn_moments_all(&m).count * i / 50, at = qn_moments_last(&m, count);
            size_t       below = 0;
            assert_true(fabs(qn_moments_below(&m, at).count - count) < 1e-6 * COUNT);
            assert_true(fabs(qn_moments_below(&m, qn_moments_first(&m, count)).count - count) < 1e-6 * COUNT &&
                        qn_moments_first(&m, count) <= at);
            for (size_t k = 0; k < COUNT; k++) below += x[k] != 0 && (double)x[k] < at;
            if (shape != OUTLIERS && shape != SPARSE) assert_true(fabs((double)below - count) < 120);
        }
        qn_stats_release(&stats);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mse_is_no_worse_than_a_search_over_the_values),
        cmocka_unit_test(octav_is_close_to_the_best_for_bell_shapes),
        cmocka_unit_test(octav_finds_the_known_optimum_of_a_normal),
        cmocka_unit_test(percentile_holds_its_share_in_the_narrowest_range),
        cmocka_unit_test(a_percentile_of_100_clips_nothing),
        cmocka_unit_test(entropy_finds_the_least_divergence_of_all_thresholds),
        cmocka_unit_test(entropy_does_not_end_at_a_spike),
        cmocka_unit_test(outliers_do_not_stretch_what_clips),
        cmocka_unit_test(every_observer_has_an_answer_to_odd_data),
        cmocka_unit_test(moving_averages_follow_the_data_in_its_order),
        cmocka_unit_test(what_is_not_useful_costs_nothing),
        cmocka_unit_test(only_a_range_cut_for_use_reaches_beyond_its_end),
        cmocka_unit_test(cumulative_sums_and_their_inverse_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
