/* SPDX-License-Identifier: Apache-2.0
 * What costs accuracy in a solved plan. A unit is what has one error: a group of tensors with common
 * parameters, or the weight of a layer. */
#ifndef QN_PLAN_UNITS_H
#define QN_PLAN_UNITS_H

#include "plan/plan.h"

/* A node takes part in a unit: it must be in float for the unit's error to vanish. */
struct qn_part {
    uint32_t   unit; /* the group's id, or behind all of them the layer's */
    qn_node_id node;
};

struct qn_unit {
    double                db; /* that are left of it, or of what it goes into */
    const struct qn_part *parts;
    size_t                part_count;
};

/* In the arena, in the order of the graph. `stats` by value id, NULL where nothing is known.
 *
 * A layer whose large products cancel is left with more noise than its operands: its result counts too, where that was
 * seen. */
QONNX_MUST_CHECK qonnx_status qn_plan_units(const struct qn_plan *plan, const struct qn_stats *const *stats, struct qn_arena *arena, struct qn_unit **units,
                                           size_t *count, qonnx_error *err);
/* Its nodes that have no verdict yet get that of being left in float for its error. True when there was one. */
bool qn_unit_condemn(const struct qn_unit *unit, struct qn_verdict *verdicts);

/* Products that a layer with constant weights sums up for a sample; 0 for other nodes. Sizes are those of the statistics,
 * and count as 1 where they are not known. */
double qn_plan_work(const struct qn_plan *plan, const struct qn_stats *const *stats, qn_node_id node);

#endif
