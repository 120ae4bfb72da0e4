/* SPDX-License-Identifier: Apache-2.0
 * Changes to a graph, queued and then done at once. Ids are those of the graph the edit was begun on; the commit
 * applies everything, rebuilds the index and checks the model. Existing names never change; new ones are derived from
 * them and unique. Out of memory is sticky and reported by the commit.
 *
 * All objects handed in live in the model's arena (edit->arena). */
#ifndef QN_ONNX_EDIT_H
#define QN_ONNX_EDIT_H

#include "onnx/graph.h"

struct qn_edit;
struct qn_arena *qn_edit_arena(struct qn_edit *edit);

QONNX_MUST_CHECK qonnx_status qn_edit_begin(struct qn_edit **edit, struct qn_graph *graph, qonnx_error *err);
/* Ends the edit without a change. */
void qn_edit_cancel(struct qn_edit *edit);
/* Applies and frees the edit; rebuilds *graph in place (all ids change) and runs qn_check. On failure the model is
 * not usable any more. *changed (may be NULL) tells whether anything had been queued. */
QONNX_MUST_CHECK qonnx_status qn_edit_commit(struct qn_edit *edit, bool *changed, qonnx_error *err);

/* A name no value or node of the model has, also none in nested graphs: "base" + "suffix", then "_2", "_3" … Reserved at once. */
const char *qn_edit_name(struct qn_edit *edit, const char *base, const char *suffix);

/* New nodes; several before or after the same node keep the order of the calls. QN_NONE: at the very front / end. */
void qn_edit_insert_before(struct qn_edit *edit, qn_node_id at, Onnx__NodeProto *node);
void qn_edit_insert_after(struct qn_edit *edit, qn_node_id at, Onnx__NodeProto *node);
void qn_edit_remove_node(struct qn_edit *edit, qn_node_id node);
/* Puts another node in its place (same position). */
void qn_edit_replace_node(struct qn_edit *edit, qn_node_id node, Onnx__NodeProto *with);

/* Rewires one input or output slot of an existing node. */
void qn_edit_set_input(struct qn_edit *edit, qn_node_id node, size_t slot, const char *name);
void qn_edit_set_output(struct qn_edit *edit, qn_node_id node, size_t slot, const char *name);
/* Every use of a value by a node of the old graph (also inside nested graphs) reads `name` instead; nodes put in by this
 * edit keep what they read. A graph output is not a use. */
void qn_edit_redirect(struct qn_edit *edit, qn_value_id value, const char *name);

/* Initializers. Removing one also removes a graph input and value_info of that name. */
void qn_edit_add_initializer(struct qn_edit *edit, Onnx__TensorProto *tensor);
void qn_edit_replace_initializer(struct qn_edit *edit, qn_value_id value, Onnx__TensorProto *tensor);
/* After all else is applied: drops every initializer that was used before this edit and is not any more. */
void qn_edit_drop_unused(struct qn_edit *edit);
/* Declares type and shape of a new value; dims -1 for unknown, rank -1 for no shape. */
void qn_edit_add_value_info(struct qn_edit *edit, const char *name, int32_t dtype, int rank, const int64_t *dims);
/* The same with the type and shape that a value of another name is declared with. */
void qn_edit_declare(struct qn_edit *edit, const char *name, const Onnx__ValueInfoProto *like);
/* Drops the declared type and shape of a value. */
void qn_edit_drop_value_info(struct qn_edit *edit, const char *name);

/* A new declaration of a tensor; dims -1 for unknown, rank -1 for no shape. NULL when memory is out. */
Onnx__ValueInfoProto *qn_value_info_new(struct qn_arena *arena, const char *name, int32_t dtype, int rank, const int64_t *dims);

/* The graph was changed in place: the commit indexes and checks it anew. */
void qn_edit_touch(struct qn_edit *edit);
/* Opset changes together with the edit. */
void qn_edit_set_opset(struct qn_edit *edit, const char *domain, int64_t version);
/* No node calls a model-local function any more. */
void qn_edit_drop_functions(struct qn_edit *edit);

#endif
