/* SPDX-License-Identifier: Apache-2.0
 * What is remembered of a tensor's values, and how a range follows from it.
 *
 * Statistics only ever add up: merged in any order they are the same bytes. An observer is a way to read a range out
 * of them: src/quant/observe/NAME.c defines `const struct qn_observer qn_observer_NAME`; the build finds the files by
 * itself. */
#ifndef QN_QUANT_OBSERVE_H
#define QN_QUANT_OBSERVE_H

#include "quant/channel_stats.h"
#include "quant/exact_sum.h"
#include "quant/histogram.h"
#include "quant/pack.h"

struct qn_stats {
    uint64_t             samples; /* calls of qn_stats_add */
    uint64_t             count;   /* values seen; of them: */
    uint64_t             nan, inf, masked;
    float                min, max; /* of ordinary values (finite, |x| < QN_MASKED_FROM); min > max: there were none */
    uint64_t             summed;   /* ordinary values in the sums; of them: */
    uint64_t             zeros;
    struct qn_exact_sum  sum, sum2; /* of the values and of their squares, each sample's formed in a fixed order */
    size_t               sum_every; /* each sum_every-th block of a sample is summed, see qn_scan; with channels, other than 1: what their sums are made of */
    size_t               most;      /* values of a sample that enter the histogram; of larger samples */
    size_t               stride;    /* one value in so many stood for all: the largest such number so far, 0 before */
    struct qn_histogram *histogram; /* owned, as is the next; NULL when not asked for */
    struct qn_channel_stats *channels;
    /* Where an observer asks for it: the range of each sample, in the data's order, QN_RANGE_EMPTY where nothing ordinary
     * was seen. Not owned, kept by whoever knows the order. */
    const struct qn_range *ranges;
    size_t                 range_count;
};

#define QN_HISTOGRAM_ALL SIZE_MAX

/* Empty statistics; `histogram_most` 0 means no histogram. Everything is summed; to save time with large tensors set
 * sum_every before the first value. */
QONNX_MUST_CHECK qonnx_status qn_stats_init(struct qn_stats *stats, size_t histogram_most, qonnx_error *err);
/* Also follow each of so many channels (0: none); before the first value. */
QONNX_MUST_CHECK qonnx_status qn_stats_follow_channels(struct qn_stats *stats, size_t channels, qonnx_error *err);
void                          qn_stats_release(struct qn_stats *stats);
/* One sample's values; returns the range of the ordinary ones. Allocates nothing and cannot fail. */
struct qn_range               qn_stats_add(struct qn_stats *stats, const float *x, size_t n);
/* The same with their channels, when those are followed. */
struct qn_range               qn_stats_add_channels(struct qn_stats *stats, const struct qn_channel_view *view);
/* E_DATA when the two were not gathered in the same way (sum_every, most values for the histogram). */
QONNX_MUST_CHECK qonnx_status qn_stats_merge(struct qn_stats *stats, const struct qn_stats *other, qonnx_error *err);

/* Ordinary values seen. */
uint64_t        qn_stats_ordinary(const struct qn_stats *stats);
struct qn_range qn_stats_range(const struct qn_stats *stats);

/* What the range is for: an observer that weighs clipping against rounding needs to know the codes. */
struct qn_observe_goal {
    int32_t         lo, hi;
    bool            symmetric;
    struct qn_range bounds; /* what the operator before guarantees; parameters keep within them */
    struct qn_range useful; /* whoever reads the tensor takes what lies outside for the nearer end */
    double          percentile, momentum;
};

enum { QN_NEEDS_HISTOGRAM = 1, QN_NEEDS_RANGES = 2 };

struct qn_observer {
    const char *name, *summary;
    unsigned    needs; /* QN_NEEDS_… */
    /* The range to quantize; QN_RANGE_EMPTY when nothing ordinary was seen. Without what it needs: the extremes. */
    struct qn_range (*range)(const struct qn_stats *stats, const struct qn_observe_goal *goal);
};

/* The observer of that name, or NULL; the i-th in name order, NULL behind the last. */
const struct qn_observer *qn_observer_find(const char *name);
const struct qn_observer *qn_observer_at(size_t i);

/* A range cut to what is useful and to the bounds, and widened to include 0; QN_RANGE_EMPTY of an empty one. */
struct qn_range qn_observe_cut(struct qn_range range, const struct qn_observe_goal *goal);
/* For observers: that of all values. */
struct qn_range qn_observe_extremes(const struct qn_stats *stats, const struct qn_observe_goal *goal);
/* True when there is a histogram with anything but zeros in it. */
bool            qn_observe_has_histogram(const struct qn_stats *stats);

/* Parameters for a range. Where the range ends because nothing beyond is useful, the outermost code lies on or beyond
 * that end: all that is clipped there then is as good as exact. */
void qn_observe_params(const struct qn_observe_goal *goal, struct qn_range range, float *scale, int32_t *zero_point);

/* The noise that slot 0 of these parameters adds to the tensor, as mean signal and noise of a value, when values outside
 * `useful` are as good as its nearer end. With a histogram each bin is weighed by its rounding and clipping error; without
 * one rounding counts as scale^2 / 12 for values that are not zero, and clipping only by the extremes. */
struct qn_error_sums qn_stats_noise(const struct qn_stats *stats, const struct qn_qparams *qp, struct qn_range useful);

#endif
