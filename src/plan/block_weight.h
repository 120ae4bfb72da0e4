/* SPDX-License-Identifier: Apache-2.0
 * Weights that are quantized in blocks: which are, and how they lie. */
#ifndef QN_PLAN_BLOCK_WEIGHT_H
#define QN_PLAN_BLOCK_WEIGHT_H

#include "plan/plan.h"

/* Of the codes of a table with that value of the option, where it is to be in blocks; else 0. */
int                           qn_table_bits(const char *embeddings);
/* True where the node's form asks for blocks and its weight is a matrix that may have them. */
bool                          qn_block_weight_wanted(const struct qn_plan *plan, qn_node_id node);
/* What the form asks for. */
struct qn_block_form          qn_block_form_of(const struct qn_plan *plan, qn_node_id node);
/* The weight as outputs of what is summed over (a table as rows); its values live in `arena` where they are not in the model. */
QONNX_MUST_CHECK qonnx_status qn_block_weight_matrix(const struct qn_graph *graph, qn_node_id node,
                                                     struct qn_arena *arena, struct qn_matrix *matrix,
                                                     qonnx_error *err);
/* Bytes of codes, scales and zero points. */
uint64_t qn_block_weight_bytes(const struct qn_plan *plan, qn_node_id node, const struct qn_block_form *form);
/* The axis of the tensor along which blocks lie. */
int      qn_block_axis(const struct qn_graph *graph, qn_node_id node);

#endif
