/* SPDX-License-Identifier: Apache-2.0
 * Parameters of activations that are given instead of found: by another tool, in a file (ranges.h). */
#ifndef QN_PLAN_GIVEN_H
#define QN_PLAN_GIVEN_H

#include <stdint.h>

#include "quant/observe.h"

enum qn_given_as {
    QN_GIVEN_NOTHING,
    QN_GIVEN_RANGE,    /* a range, to be covered like one that was observed */
    QN_GIVEN_CODES,    /* also its scale and where its codes lie: they are taken as they are where that is possible */
    QN_GIVEN_CHANNELS, /* something for each channel: no activation can have it */
};

struct qn_given {
    enum qn_given_as as;
    struct qn_range  range;
    float            scale; /* of codes: they stand for scale × (offset … offset + 2^bits - 1) */
    int64_t          offset;
    int              bits;
};

/* The range that covers both, where values that are given different things share parameters. */
struct qn_given qn_given_join(struct qn_given a, struct qn_given b);

/* Parameters for what is given, into slot 0; returns the range they cover. Codes of another width, or that would break what
 * the goal asks for (symmetric ones, the bounds of a Relu), count as their range. */
struct qn_range qn_given_params(const struct qn_given *given, const struct qn_observe_goal *goal, float least_range,
                                struct qn_qparams *params);

#endif
