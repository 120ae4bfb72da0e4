/* SPDX-License-Identifier: Apache-2.0
 * The bodies of If, Loop and Scan, laid out flat. The nodes of a body then stand among those of the graph around it,
 * right before the node that holds the body, between two marks: Enter, whose outputs are the body's inputs, and Leave,
 * whose inputs are the body's outputs. So passes, plan and emitters see one graph in which everything defined is in order
 * and has a name of its own, and what is put before or after a node is in the node's scope. Initializers are all in the
 * main graph.
 *
 * Marks are never read from a file nor written to one: whoever runs or saves a model takes the nested form. */
#ifndef QN_ONNX_SCOPES_H
#define QN_ONNX_SCOPES_H

#include "onnx/model.h"

bool qn_is_enter(const Onnx__NodeProto *node);
bool qn_is_leave(const Onnx__NodeProto *node);
bool qn_is_mark(const Onnx__NodeProto *node);
/* The attribute stands for a body that is laid out flat. */
bool qn_is_flat_body(const Onnx__AttributeProto *attr);

/* The two marks of a body and, as *attr, what stands for it in the node that holds it. `path` names the scope, as in
 * "loop1/body". NULL when memory is out. */
struct qn_marks {
    Onnx__NodeProto      *enter, *leave;
    Onnx__AttributeProto *attr;
};
struct qn_marks qn_marks_new(struct qn_model *model, const Onnx__AttributeProto *attr, const char *path, const char *const *inputs, const char *const *outputs);

/* The nested form of a graph, itself when nothing in it is flat. Initializers that only one body reads go into it, unless
 * all are to stay in the main graph. What a body hands on without making it gets an Identity, as ONNX asks for. */
QONNX_MUST_CHECK qonnx_status qn_scopes_close(Onnx__GraphProto **nested, const struct qn_model *model, Onnx__GraphProto *flat, bool initializers_stay, struct qn_arena *arena, qonnx_error *err);

#endif
