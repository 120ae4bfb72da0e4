/* SPDX-License-Identifier: Apache-2.0
 * What is remembered of a tensor's values, and how a range follows from it.
 *
 * Statistics only ever add up: merged in any order they are the same bytes. An observer is a way to read a range out
 * of them: src/quant/observe/NAME.c defines `const struct qn_observer qn_observer_NAME`; the build finds the files by
 * itself. */
#ifndef QN_QUANT_OBSERVE_H
#define QN_QUANT_OBSERVE_H

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
    size_t               sum_every; /* each sum_every-th block of a sample is summed, see qn_scan */
    size_t               stride;    /* every stride-th value of a sample enters the histogram */
    struct qn_histogram *histogram; /* owned; NULL when not asked for */
};

/* Empty statistics; `histogram_stride` 0 means no histogram. Everything is summed; to save time with large tensors set
 * sum_every before the first value. */
QONNX_MUST_CHECK qonnx_status qn_stats_init(struct qn_stats *stats, size_t histogram_stride, qonnx_error *err);
void                          qn_stats_release(struct qn_stats *stats);
/* One sample's values. Allocates nothing and cannot fail. */
void                          qn_stats_add(struct qn_stats *stats, const float *x, size_t n);
/* E_DATA when the two were not gathered in the same way (sum_every, histogram stride). */
QONNX_MUST_CHECK qonnx_status qn_stats_merge(struct qn_stats *stats, const struct qn_stats *other, qonnx_error *err);

/* Ordinary values seen. */
uint64_t        qn_stats_ordinary(const struct qn_stats *stats);
struct qn_range qn_stats_range(const struct qn_stats *stats);

/* What the range is for: an observer that weighs clipping against rounding needs to know the codes. */
struct qn_observe_goal {
    int32_t         lo, hi;
    bool            symmetric;
    struct qn_range bounds;
};

struct qn_observer {
    const char *name, *summary;
    bool        needs_histogram;
    /* The range to quantize; QN_RANGE_EMPTY when nothing ordinary was seen. */
    qonnx_status (*range)(const struct qn_stats *stats, const struct qn_observe_goal *goal, struct qn_range *range,
                          qonnx_error *err);
};

/* The observer of that name, or NULL; the i-th in name order, NULL behind the last. */
const struct qn_observer *qn_observer_find(const char *name);
const struct qn_observer *qn_observer_at(size_t i);

/* The noise that slot 0 of these parameters adds to the tensor, as mean signal and noise of a value. With a histogram
 * each bin is weighed by its rounding and clipping error; without one rounding counts as scale^2 / 12 for values that
 * are not zero, and clipping only by the extremes. */
struct qn_error_sums qn_stats_noise(const struct qn_stats *stats, const struct qn_qparams *qp);

#endif
