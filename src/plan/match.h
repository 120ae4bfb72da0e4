/* SPDX-License-Identifier: Apache-2.0
 * Patterns that users name nodes by. */
#ifndef QN_PLAN_MATCH_H
#define QN_PLAN_MATCH_H

#include "onnx/graph.h"
#include "plan/options.h"

/* `*` any text, `?` one character; all else is literal. Linear in the text's length times the pattern's. */
bool qn_glob(const char *pattern, const char *text);
/* True when a pattern names the node: its name, one of its outputs or constants, or "op:TYPE" its operator. */
bool qn_match_node(const char *pattern, const struct qn_graph *graph, qn_node_id node);
/* Remembers which patterns match a node of this graph, so that what passes fold away later is no mistake of the user. */
void qn_match_mark(struct qn_list *patterns, const struct qn_graph *graph, struct qn_arena *arena);
/* True when the pattern matches some node. */
bool qn_match_any(const char *pattern, const struct qn_graph *graph);
/* E_USAGE when one of the patterns matches no node at all, of this graph or of the one that was marked. */
QONNX_MUST_CHECK qonnx_status qn_match_check(const struct qn_list *patterns, const char *option, const struct qn_graph *graph, qonnx_error *err);

#endif
