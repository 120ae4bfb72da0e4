/* SPDX-License-Identifier: Apache-2.0
 * What solve found before, for later plans of the same graph: candidates differ in few tensors and layers. */
#ifndef QN_PLAN_SOLVED_H
#define QN_PLAN_SOLVED_H

#include "plan/plan.h"
#include "quant/observe.h"

/* A range, all that it depends on first. */
struct qn_solved_range {
    const struct qn_stats    *stats;
    const struct qn_observer *observer;
    struct qn_observe_goal    goal;
    struct qn_range           range;
    float                     scale;
    int32_t                   zero_point;
    double                    sqnr;
};

struct qn_solved;

QONNX_MUST_CHECK qonnx_status qn_solved_new(struct qn_solved **solved, const struct qn_graph *graph, qonnx_error *err);
void                          qn_solved_release(struct qn_solved *solved); /* NULL is allowed */

/* True when the value's range was found before for the same, and fills in the rest. */
bool qn_solved_range(const struct qn_solved *solved, qn_value_id value, struct qn_solved_range *range);
QONNX_MUST_CHECK qonnx_status qn_solved_keep_range(struct qn_solved *solved, qn_value_id value,
                                                   const struct qn_solved_range *range, qonnx_error *err);

/* The same of a layer's numbers in the plan, whose tensors have theirs by now. */
bool                          qn_solved_layer(struct qn_plan *plan, qn_node_id layer);
/* Around solving one: what that takes from the plan's arena lives as long as what is kept here. Layers that are too large
 * are not kept. The status is how it went, and what is returned. */
void                          qn_solved_begin(struct qn_plan *plan, qn_node_id layer);
QONNX_MUST_CHECK qonnx_status qn_solved_end(struct qn_plan *plan, qn_node_id layer, qonnx_status status,
                                            qonnx_error *err);

#endif
