/* SPDX-License-Identifier: Apache-2.0
 * What is best for the model's output only running it can tell: whoever runs it tries the other observers, and this one
 * is where it starts. */
#include "quant/observe.h"

const struct qn_observer qn_observer_auto = {
    .name = "auto",
    .summary = "minmax, and another of these where the model's outputs keep more with it",
    .needs = QN_NEEDS_HISTOGRAM,
    .range = qn_observe_extremes,
};
