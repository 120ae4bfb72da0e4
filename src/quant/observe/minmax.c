/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/observe.h"

static qonnx_status minmax_range(const struct qn_stats *stats, const struct qn_observe_goal *goal,
                                 struct qn_range *range, qonnx_error *err)
{
    (void)goal, (void)err;
    *range = qn_stats_range(stats);
    return QONNX_OK;
}

const struct qn_observer qn_observer_minmax = {
    .name = "minmax",
    .summary = "from the smallest to the largest value seen; nothing is clipped",
    .range = minmax_range,
};
