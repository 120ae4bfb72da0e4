/* SPDX-License-Identifier: Apache-2.0
 *
 * Renaming what nodes read. */
#ifndef QN_ONNX_REDIRECT_H
#define QN_ONNX_REDIRECT_H

#include "onnx/graph.h"

/* Every node of the graph, those of nested graphs included, reads redirect[value] in place of the value where that is not
 * NULL; chains of redirections are followed. What a nested graph defines itself stays its own, also when the graph around
 * it has a value of the same name; a new name that such a value would hide is an error. Edits the messages in place;
 * scratch holds what is needed meanwhile, and the caller asks it for lack of memory. */
QONNX_MUST_CHECK qonnx_status qn_redirect_uses(const struct qn_graph *graph, const char *const *redirect,
                                               struct qn_arena *scratch, qonnx_error *err);

#endif
