/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/observe.h"

/* Samples are replayed in the order of the data, whoever saw which of them when. */
static struct qn_range moving_average(const struct qn_stats *stats, const struct qn_observe_goal *goal)
{
    double min = 0, max = 0;
    bool   any = false;

    for (size_t i = 0; stats->ranges && i < stats->range_count; i++) {
        const struct qn_range range = stats->ranges[i];
        if (!(range.min <= range.max)) continue;
        min = any ? min + goal->momentum * (range.min - min) : range.min;
        max = any ? max + goal->momentum * (range.max - max) : range.max;
        any = true;
    }
    return any ? (struct qn_range){ (float)min, (float)max } : qn_observe_extremes(stats, goal);
}

const struct qn_observer qn_observer_moving_average = {
    .name = "moving-average",
    .summary = "each sample's smallest and largest value, averaged with more weight on later ones (-o momentum)",
    .needs = QN_NEEDS_RANGES,
    .range = moving_average,
};
