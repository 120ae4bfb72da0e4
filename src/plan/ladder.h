/* SPDX-License-Identifier: Apache-2.0
 * What a weight may become where a size is asked for (--target-size, --target-bpw), and how much each of that takes. */
#ifndef QN_PLAN_LADDER_H
#define QN_PLAN_LADDER_H

#include "plan/plan.h"
#include "plan/presets.h"

struct qn_rung {
    const char            *name;
    struct qn_option_value values[6];
};
const struct qn_rung *qn_rung_at(size_t i); /* NULL behind the last */

/* Reads both options. E_USAGE for what is no size, and for presets that have nothing to choose from. */
QONNX_MUST_CHECK qonnx_status qn_ladder_parse(struct qn_settings *settings, qonnx_error *err);

/* The form of a rung for a node's weight; false where it has none. */
bool     qn_rung_form(const struct qn_rung *rung, struct qn_plan *plan, qn_node_id node, struct qn_weight_form *form);
/* Bytes of codes, scales and zero points; one for each output of the matrix where there are no blocks. */
uint64_t qn_rung_bytes(const struct qn_plan *plan, qn_node_id node, const struct qn_weight_form *form,
                       const struct qn_matrix *matrix);

#endif
