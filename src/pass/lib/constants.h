/* SPDX-License-Identifier: Apache-2.0
 * Constant nodes become initializers of the same name, Identity of a constant is the constant, and nodes that a given
 * function can work out from constants become their result. Only the main graph. A value that is a graph output keeps
 * the node that makes it. */
#ifndef QN_PASS_LIB_CONSTANTS_H
#define QN_PASS_LIB_CONSTANTS_H

#include "onnx/edit.h"

/* qn_fold, or what does more. */
typedef Onnx__TensorProto *(*qn_fold_fn)(const Onnx__NodeProto *node, const Onnx__TensorProto *const *inputs, struct qn_arena *arena);

QONNX_MUST_CHECK qonnx_status qn_lift_constants(const struct qn_graph *graph, struct qn_edit *edit, qn_fold_fn how, qonnx_error *err);

#endif
