/* SPDX-License-Identifier: Apache-2.0
 * Inside explicit plans: what the rules of a recipe say of one node, and what each kind of node can be given. */
#ifndef QN_PLAN_EXPLICIT_RULES_H
#define QN_PLAN_EXPLICIT_RULES_H

#include "plan/explicit.h"

/* What holds for a node after all rules. */
struct qn_node_words {
    struct qn_quantizer         slots[QN_SLOT_COUNT]; /* row NULL: none */
    bool                        only_if_float;
    const struct qn_rule_words *from[QN_SLOT_COUNT]; /* the last rule that said something */
};

/* Conv, ConvTranspose, Gemm or MatMul with a constant float weight of fit shape; else why not. */
enum qn_reason qn_layer_reason(const struct qn_graph *graph, qn_node_id node);
bool           qn_is_layer_op(const struct qn_graph *graph, qn_node_id node);

/* The words for every node, by id, in the arena. E_USAGE for a rule that is of no use. */
QONNX_MUST_CHECK qonnx_status qn_explicit_words(const struct qn_graph *graph, const struct qn_settings *settings,
                                                struct qn_arena *arena, struct qn_node_words **words, qonnx_error *err);

/* Puts before an error where the recipe asked for what failed: file and line, node, slot. Rule NULL: not known. */
QONNX_MUST_CHECK qonnx_status qn_said(const struct qn_rule_words *rule, enum qn_slot slot, const char *node,
                                      qonnx_status status, qonnx_error *err);

#endif
