/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/observe.h"

#include <stdlib.h>
#include <string.h>

#include "quant/kernels.h"

#define QN_OBSERVER(name) extern const struct qn_observer qn_observer_##name;
#include "observe.def"
#undef QN_OBSERVER

static const struct qn_observer *const observers[] = {
#define QN_OBSERVER(name) &qn_observer_##name,
#include "observe.def"
#undef QN_OBSERVER
};

enum { OBSERVER_COUNT = sizeof observers / sizeof observers[0] };

const struct qn_observer *qn_observer_at(size_t i) { return i < OBSERVER_COUNT ? observers[i] : NULL; }

const struct qn_observer *qn_observer_find(const char *name)
{
    for (size_t i = 0; i < OBSERVER_COUNT; i++)
        if (!strcmp(observers[i]->name, name)) return observers[i];
    return NULL;
}

qonnx_status qn_stats_init(struct qn_stats *stats, size_t histogram_most, qonnx_error *err)
{
    memset(stats, 0, sizeof *stats);
    stats->min = INFINITY;
    stats->max = -INFINITY;
    stats->sum_every = 1;
    stats->most = histogram_most;
    if (!histogram_most) return QONNX_OK;
    if (!(stats->histogram = malloc(sizeof *stats->histogram))) return qn_fail_nomem(err);
    qn_histogram_init(stats->histogram);
    return QONNX_OK;
}

qonnx_status qn_stats_follow_channels(struct qn_stats *stats, size_t channels, qonnx_error *err)
{
    if (!channels) return QONNX_OK;
    if (!(stats->channels = malloc(sizeof *stats->channels))) return qn_fail_nomem(err);
    return qn_channel_stats_init(stats->channels, channels, err);
}

void qn_stats_release(struct qn_stats *stats)
{
    if (stats->channels) qn_channel_stats_release(stats->channels);
    free(stats->channels);
    free(stats->histogram);
    memset(stats, 0, sizeof *stats);
}

static void fill_histogram(struct qn_stats *stats, const float *x, size_t n)
{
    unsigned shift = 0;

    while (shift < 31 && n >> shift > stats->most) shift++;
    if (stats->stride < (size_t)1 << shift) stats->stride = (size_t)1 << shift;
    qn_histogram_add(stats->histogram, x, n, shift);
}

static struct qn_range add_scan(struct qn_stats *stats, const float *x, size_t n, struct qn_scan scan)
{
    stats->samples++;
    stats->count += n;
    stats->nan += scan.nan;
    stats->inf += scan.inf;
    stats->masked += scan.masked;
    stats->summed += scan.summed;
    stats->zeros += scan.zeros;
    if (scan.min < stats->min) stats->min = scan.min;
    if (scan.max > stats->max) stats->max = scan.max;
    qn_exact_sum_add(&stats->sum, scan.sum);
    qn_exact_sum_add(&stats->sum2, scan.sum2);
    if (!(scan.min <= scan.max)) return QN_RANGE_EMPTY;
    if (stats->histogram) {
        qn_histogram_cover(stats->histogram, scan.min, scan.max);
        fill_histogram(stats, x, n);
    }
    return (struct qn_range){ scan.min, scan.max };
}

struct qn_range qn_stats_add(struct qn_stats *stats, const float *x, size_t n)
{
    struct qn_scan scan;

    qn_scan(x, n, stats->sum_every, &scan);
    return add_scan(stats, x, n, scan);
}

/* The tensor is looked at once, unless each of its values is to be summed. */
struct qn_range qn_stats_add_channels(struct qn_stats *stats, const struct qn_channel_view *view)
{
    struct qn_scan scan;
    const bool     same = qn_channel_stats_add(stats->channels, view, &scan);

    if (same && stats->sum_every != 1) return add_scan(stats, view->x, qn_layout_count(view->layout), scan);
    return qn_stats_add(stats, view->x, qn_layout_count(view->layout));
}

qonnx_status qn_stats_merge(struct qn_stats *stats, const struct qn_stats *other, qonnx_error *err)
{
    if (stats->most != other->most || stats->sum_every != other->sum_every || !stats->channels != !other->channels)
        return qn_fail(err, QONNX_E_DATA,
                       "statistics differ in how they were gathered: at most %zu and %zu values of a sample in the "
                       "histogram, every %zu and %zu blocks summed, %s and %s channels followed",
                       stats->most, other->most, stats->sum_every, other->sum_every, stats->channels ? "the" : "no",
                       other->channels ? "the" : "no");
    if (other->stride > stats->stride) stats->stride = other->stride;
    stats->samples += other->samples;
    stats->count += other->count;
    stats->nan += other->nan;
    stats->inf += other->inf;
    stats->masked += other->masked;
    stats->summed += other->summed;
    stats->zeros += other->zeros;
    if (other->min < stats->min) stats->min = other->min;
    if (other->max > stats->max) stats->max = other->max;
    qn_exact_sum_merge(&stats->sum, &other->sum);
    qn_exact_sum_merge(&stats->sum2, &other->sum2);
    if (stats->histogram) qn_histogram_merge(stats->histogram, other->histogram);
    if (stats->channels) qn_channel_stats_merge(stats->channels, other->channels);
    return QONNX_OK;
}

uint64_t qn_stats_ordinary(const struct qn_stats *stats)
{
    return stats->count - stats->nan - stats->inf - stats->masked;
}

struct qn_range qn_stats_range(const struct qn_stats *stats)
{
    return stats->min <= stats->max ? (struct qn_range){ stats->min, stats->max } : QN_RANGE_EMPTY;
}

struct qn_range qn_observe_cut(struct qn_range range, const struct qn_observe_goal *goal)
{
    if (!(range.min <= range.max)) return QN_RANGE_EMPTY;
    range.min = fminf(fmaxf(range.min, fmaxf(goal->useful.min, goal->bounds.min)), 0);
    range.max = fmaxf(fminf(range.max, fminf(goal->useful.max, goal->bounds.max)), 0);
    return range;
}

struct qn_range qn_observe_extremes(const struct qn_stats *stats, const struct qn_observe_goal *goal)
{
    return qn_observe_cut(qn_stats_range(stats), goal);
}

bool qn_observe_has_histogram(const struct qn_stats *stats)
{
    return stats->histogram && qn_histogram_total(stats->histogram) > stats->histogram->zeros;
}

void qn_observe_params(const struct qn_observe_goal *goal, struct qn_range range, float *scale, int32_t *zero_point)
{
    const struct qn_range useful = goal->useful;
    const bool            cut_low = range.min <= useful.min && useful.min < 0;
    const bool            cut_high = range.max >= useful.max && useful.max > 0;

    if (goal->symmetric) {
        *scale = qn_symmetric_scale(fmaxf(fabsf(range.min), fabsf(range.max)), goal->hi);
        *zero_point = 0;
        return;
    }
    if (cut_low) range.min = useful.min;
    if (cut_high) range.max = useful.max;
    for (int i = 0; i < 4; i++) { /* each widening moves one end by half a step or more */
        qn_affine_params(range, goal->bounds, goal->lo, goal->hi, scale, zero_point);
        if (cut_low && (float)(goal->lo - *zero_point) * *scale > useful.min)
            range.min -= *scale / 2;
        else if (cut_high && (float)(goal->hi - *zero_point) * *scale < useful.max)
            range.max += *scale / 2;
        else
            break;
    }
}
