/* SPDX-License-Identifier: Apache-2.0
 * Clipping against rounding, by the fixed point of OCTAV (Sakr et al. 2022) with an end of its own for each side. With n
 * steps between -a and b, rounding makes (a + b)^2 / 12 n^2 of error for each value inside, clipping (x - b)^2 for each
 * beyond b; the derivative by b is zero where
 *     b (P[x > b] + q) = E[x; x > b] - a q,    q = P[inside] / 12 n^2
 * and likewise for a. Zeros are exact whatever the scale and count as nothing. */
#include <math.h>

#include "quant/moments.h"

enum { ROUNDS = 60 };

static double next_end(struct qn_moment beyond, double other, double q, double most)
{
    const double end = beyond.count + q > 0 ? (beyond.sum - other * q) / (beyond.count + q) : 0;
    return fmin(fmax(end, 0), most);
}

static struct qn_moment mirrored(struct qn_moment m) { return (struct qn_moment){ m.count, -m.sum, m.sum2 }; }

static struct qn_range octav(const struct qn_stats *stats, const struct qn_observe_goal *goal)
{
    const struct qn_range extremes = qn_observe_extremes(stats, goal);
    const double          steps = (double)goal->hi - goal->lo;
    struct qn_moments     m;
    struct qn_moment      all, negative;
    double                a, b;

    if (!qn_observe_has_histogram(stats)) return extremes;
    qn_moments_init(&m, stats, goal->useful);
    all = qn_moments_all(&m);
    negative = qn_moments_below(&m, 0);
    a = negative.count > 0 ? -negative.sum / negative.count : 0; /* from the means outwards */
    b = all.count > negative.count ? (all.sum - negative.sum) / (all.count - negative.count) : 0;
    for (int i = 0; i < ROUNDS; i++) {
        const struct qn_moment beneath = qn_moments_below(&m, -a), to_b = qn_moments_below(&m, b);
        const struct qn_moment beyond = { all.count - to_b.count, all.sum - to_b.sum, all.sum2 - to_b.sum2 };
        const double           q = (to_b.count - beneath.count) / (12 * steps * steps), before = a;
        a = goal->symmetric ? next_end((struct qn_moment){ beneath.count + beyond.count, beyond.sum - beneath.sum, 0 },
                                       0, 4 * q, fmax(-extremes.min, extremes.max))
                            : next_end(mirrored(beneath), b, q, -extremes.min);
        b = goal->symmetric ? a : next_end(beyond, before, q, extremes.max);
    }
    return (struct qn_range){ (float)-a, (float)b };
}

const struct qn_observer qn_observer_octav = {
    .name = "octav",
    .summary = "where clipping and even rounding errors balance, found by a fixed point for each end",
    .needs = QN_NEEDS_HISTOGRAM,
    .range = octav,
};
