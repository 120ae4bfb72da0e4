/* SPDX-License-Identifier: Apache-2.0
 * The range whose parameters make the least squared error of all values, by trial: first both ends drawn in together,
 * then each alone, then small moves of either until none helps. */
#include <math.h>

#include "quant/moments.h"

enum { SHRINKS = 48, REFINEMENTS = 4 };

struct search {
    const struct qn_observe_goal *goal;
    const struct qn_moments      *m;
    struct qn_range               extremes;
    double                        low, high; /* the best ends so far, as shares of the extremes */
    double                        noise;
};

static struct qn_range range_at(const struct search *s, double low, double high)
{
    return (struct qn_range){ (float)(s->extremes.min * low), (float)(s->extremes.max * high) };
}

static bool consider(struct search *s, double low, double high)
{
    float   scale;
    int32_t zero_point;
    double  noise;

    qn_observe_params(s->goal, range_at(s, low, high), &scale, &zero_point);
    noise = qn_moments_noise_below(s->m, scale, (double)s->goal->lo - zero_point, (double)s->goal->hi - zero_point, s->noise);
    if (!(noise < s->noise)) return false;
    s->noise = noise;
    s->low = low;
    s->high = high;
    return true;
}

static void refine(struct search *s, bool two_sided)
{
    for (int i = 0; i < REFINEMENTS; i++) {
        const double factor = exp2(-1.0 / (16 << i));
        bool         better = true;
        for (int moves = 0; better && moves < SHRINKS; moves++) {
            const double low = s->low, high = s->high;
            if (two_sided) {
                better = consider(s, low * factor, high) || consider(s, fmin(low / factor, 1), high) ||
                         consider(s, low, high * factor) || consider(s, low, fmin(high / factor, 1));
            } else {
                better = consider(s, low * factor, high * factor) ||
                         consider(s, fmin(low / factor, 1), fmin(high / factor, 1));
            }
        }
    }
}

static struct qn_range mse(const struct qn_stats *stats, const struct qn_observe_goal *goal)
{
    struct qn_moments m;
    struct search     s = {
            .goal = goal, .m = &m, .extremes = qn_observe_extremes(stats, goal), .low = 1, .high = 1, .noise = INFINITY
    };
    const bool two_sided = s.extremes.min < 0 && s.extremes.max > 0 && !goal->symmetric;

    if (!qn_observe_has_histogram(stats)) return s.extremes;
    qn_moments_init(&m, stats, goal->useful);
    for (int i = 0; i <= SHRINKS; i++) consider(&s, exp2(-i / 8.0), exp2(-i / 8.0));
    if (two_sided) {
        const double high = s.high;
        double       low;
        for (int i = 0; i <= SHRINKS; i++) consider(&s, exp2(-i / 8.0), high);
        low = s.low;
        for (int i = 0; i <= SHRINKS; i++) consider(&s, low, exp2(-i / 8.0));
    }
    refine(&s, two_sided);
    return range_at(&s, s.low, s.high);
}

const struct qn_observer qn_observer_mse = {
    .name = "mse",
    .summary = "the range that leaves the least squared error of rounding and clipping together",
    .needs = QN_NEEDS_HISTOGRAM,
    .range = mse,
};
