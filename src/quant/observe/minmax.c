/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/observe.h"

const struct qn_observer qn_observer_minmax = {
    .name = "minmax",
    .summary = "from the smallest to the largest value seen; nothing is clipped",
    .range = qn_observe_extremes,
};
