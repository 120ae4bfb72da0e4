/* SPDX-License-Identifier: Apache-2.0
 * What a runtime is expected to make of a plan: which of its kernels will compute each node. */
#ifndef QN_PLAN_KERNELS_H
#define QN_PLAN_KERNELS_H

#include "plan/plan.h"

/* Whether anything is known of the target's kernels for this plan: it is ONNX Runtime, and no recipe is obeyed. */
bool qn_plan_foresees_kernels(const struct qn_plan *plan);

/* The operator of the integer kernel that the target will run the node by; of a node that moves codes, the node's own
 * operator. NULL: it runs in float, vanishes into another, or nothing is known. */
const char *qn_plan_kernel(const struct qn_plan *plan, qn_node_id node);

/* Where a float node stands between a DQ and a Q, ONNX Runtime computes it on integers of its own accord, and to that end
 * quantizes its weight as well. True when the Q of this value would do that to the node that makes it. */
bool qn_plan_fuses_unasked(const struct qn_plan *plan, qn_value_id value);

/* The same of a product of two dequantized activations, whatever follows it. */
bool qn_plan_multiplies_unasked(const struct qn_plan *plan, qn_node_id node);

/* True for operators of ONNX Runtime that compute on integers (Q, DQ and moves do not compute). */
bool qn_is_integer_kernel(const char *op_type);

#endif
