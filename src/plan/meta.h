/* SPDX-License-Identifier: Apache-2.0
 * Metadata of every value of a planned graph, as Brevitas' QuantTensor carries them from layer to layer. */
#ifndef QN_PLAN_META_H
#define QN_PLAN_META_H

#include "plan/plan.h"
#include "quant/metadata.h"

struct qn_plan_meta {
    struct qn_metadata *made; /* by value id: as its producer makes it */
    struct qn_metadata *seen; /* by value id: behind its quantizer, if it has one */
};

/* Both arrays are in the arena; a plan without parameters (not solved) gives nothing known. */
QONNX_MUST_CHECK qonnx_status qn_plan_metadata(const struct qn_plan *plan, struct qn_arena *arena,
                                               struct qn_plan_meta *meta, qonnx_error *err);

/* Products that add up to one output value of a layer, as Brevitas counts them; 0 when the weight's shape is not known
 * or unusual. */
uint64_t qn_plan_terms(const struct qn_graph *graph, qn_node_id node);

#endif
