/* SPDX-License-Identifier: Apache-2.0
 * What pointwise functions do far from zero. */
#ifndef QN_PLAN_TAILS_H
#define QN_PLAN_TAILS_H

#include "plan/planner.h"

/* The interval a Relu or Clip cuts to; false when a bound is not a constant. */
bool qn_plan_clamp_bounds(const struct qn_graph *graph, qn_node_id n, struct qn_range *bounds);

/* For each quantized tensor that only pointwise chains read: between which values it makes a difference to them. */
QONNX_MUST_CHECK qonnx_status qn_plan_find_useful(struct qn_planner *p, qonnx_error *err);

#endif
