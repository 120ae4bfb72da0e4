/* SPDX-License-Identifier: Apache-2.0
 * The narrowest range around zero that holds the asked-for share of all values. A one-sided tensor so loses values at its
 * far end only, a skewed one at its long tail, and a symmetric one at both. */
#include <math.h>

#include "quant/moments.h"

struct search {
    const struct qn_moments *m;
    double                   negative, all, budget; /* values: below zero, not zero, that may be left out */
    double                   low, high;             /* the best so far */
};

/* Leaving out `below` values at the low end, and at the high end what the budget still allows. */
static void consider(struct search *s, double below)
{
    const double low = below < s->negative ? fmin(qn_moments_last(s->m, below), 0) : 0;
    const double above = fmin(s->budget - below, s->all - s->negative);
    const double high = above < s->all - s->negative ? fmax(qn_moments_first(s->m, s->all - above), 0) : 0;

    if (!(high - low < s->high - s->low)) return;
    s->low = low;
    s->high = high;
}

static struct qn_range percentile(const struct qn_stats *stats, const struct qn_observe_goal *goal)
{
    struct qn_moments m;
    struct search     s = { .m = &m, .low = -INFINITY, .high = INFINITY };

    if (!qn_observe_has_histogram(stats)) return qn_observe_extremes(stats, goal);
    qn_moments_init(&m, stats, QN_UNBOUNDED);
    s.negative = qn_moments_below(&m, 0).count;
    s.all = qn_moments_all(&m).count;
    s.budget = floor((100 - goal->percentile) / 100 * m.total + 1e-6);
    consider(&s, 0);
    consider(&s, fmin(s.budget, s.negative));
    for (size_t i = 1; i < QN_HISTOGRAM_BINS; i++) { /* each end on each bin's edge */
        const double below = m.below[i].count, left = s.budget - (s.all - below);
        if (below > 0 && below < fmin(s.budget, s.negative)) consider(&s, below);
        if (left > 0 && left < fmin(s.budget, s.negative)) consider(&s, left);
    }
    return (struct qn_range){ (float)s.low, (float)s.high };
}

const struct qn_observer qn_observer_percentile = {
    .name = "percentile",
    .summary = "the narrowest range around zero that holds a share of the values (-o percentile)",
    .needs = QN_NEEDS_HISTOGRAM,
    .range = percentile,
};
