/* SPDX-License-Identifier: Apache-2.0
 * From statistics to numbers: scales and zero points of every quantized tensor, weight and bias of a plan. */
#ifndef QN_PLAN_SOLVE_H
#define QN_PLAN_SOLVE_H

#include "plan/plan.h"
#include "quant/observe.h"

/* Fills the plan's parameters. stats[v] are the statistics of value v, NULL where there are none; a value that was not
 * observed takes those of the value its producer moved it from.
 *
 * A node that must not be quantized after all (no range, NaN seen, too much error, weights that are not finite) gets an
 * entry in `verdicts` (by node id) and *again is set: make a new plan with them and solve that. Terminates, for each
 * round adds a verdict. */
QONNX_MUST_CHECK qonnx_status qn_solve(struct qn_plan *plan, const struct qn_stats *const *stats, struct qn_verdict *verdicts, bool *again, qonnx_error *err);

#endif
