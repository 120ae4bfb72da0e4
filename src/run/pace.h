/* SPDX-License-Identifier: Apache-2.0
 * Which of two sessions is faster: pairs of runs that take turns in going first, in CPU time, on one thread. */
#ifndef QN_RUN_PACE_H
#define QN_RUN_PACE_H

#include "run/runner.h"

/* How many times less time the second takes: the median over the pairs and its interval of 95 % confidence, whatever the
 * distribution. No pairs: nothing was measured. */
struct qn_pace {
    double median, low, high;
    size_t pairs;
};

/* Both run on `inputs`, and must have the same. Takes a few seconds at most, unless a single run takes that long. */
QONNX_MUST_CHECK qonnx_status qn_pace_measure(struct qn_pace *pace, struct qn_session *const sessions[2],
                                              const struct qn_view *inputs, qonnx_error *err);

/* Median and interval of n > 0 ratios, which are sorted in place. */
struct qn_pace qn_pace_of(double *ratios, size_t n);

#endif
