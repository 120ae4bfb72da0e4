/* SPDX-License-Identifier: Apache-2.0
 * What costs accuracy in a solved plan, worst first. A unit is what has one error: a group of tensors with common
 * parameters, or the weight of a layer. */
#ifndef QN_PLAN_RANK_H
#define QN_PLAN_RANK_H

#include "plan/plan.h"

/* A node takes part in a unit: it must be in float for the unit's error to vanish. */
struct qn_part {
    uint32_t   unit; /* the group's id, or behind all of them the layer's */
    qn_node_id node;
};

struct qn_unit {
    double                db; /* that it keeps by itself */
    const struct qn_part *parts;
    size_t                part_count;
    bool                  in_float, on_trial; /* marks of whoever ranks */
};

/* In the arena; worst first, equals in the order of the graph. */
QONNX_MUST_CHECK qonnx_status qn_plan_rank(const struct qn_plan *plan, struct qn_arena *arena, struct qn_unit **units,
                                           size_t *count, qonnx_error *err);
/* Its nodes that have no verdict yet get that of being left in float for its error. True when there was one. */
bool qn_unit_condemn(const struct qn_unit *unit, struct qn_verdict *verdicts);

#endif
