/* SPDX-License-Identifier: Apache-2.0
 * From statistics to numbers: scales and zero points of every quantized tensor, weight and bias of a plan. */
#ifndef QN_PLAN_SOLVE_H
#define QN_PLAN_SOLVE_H

#include "plan/given.h"
#include "plan/plan.h"
#include "quant/observe.h"

/* How the range of a group is read out of its statistics, where that is not what the settings say. */
struct qn_ranging {
    const struct qn_observer *observer; /* NULL: the settings' */
    double                    percentile; /* 0: the settings' */
    struct qn_given           given; /* in place of statistics; of this value itself, whatever its group is */
};

/* Fills the plan's parameters. stats[v] are the statistics of value v, NULL where there are none; a value that was not
 * observed takes those of the value its producer moved it from.
 *
 * A node that must not be quantized after all (no range, NaN seen, too much error, weights that are not finite) gets an
 * entry in `verdicts` (by node id) and *again is set: make a new plan with them and solve that. Terminates, for each
 * round adds a verdict.
 *
 * `ranging`, by value id, may be NULL; its observers are looked at for the value that a group is named after. */
QONNX_MUST_CHECK qonnx_status qn_solve(struct qn_plan *plan, const struct qn_stats *const *stats, const struct qn_ranging *ranging, struct qn_verdict *verdicts, bool *again, qonnx_error *err);

/* What is given to each group, by the id of the value it is named after: that value's own, or else what covers all that is given
 * to its members, or what the value has that a move made it from. In the plan's arena. */
QONNX_MUST_CHECK qonnx_status qn_solve_given(struct qn_plan *plan, const struct qn_ranging *ranging, struct qn_given **given, qonnx_error *err);

#endif
