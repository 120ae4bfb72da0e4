/* SPDX-License-Identifier: Apache-2.0
 * Model-local functions: which one a node calls, and what the model would be without them. */
#ifndef QN_ONNX_FUNCTIONS_H
#define QN_ONNX_FUNCTIONS_H

#include "onnx/graph.h"

struct qn_functions {
    const Onnx__ModelProto *model;
    struct qn_arena        *scratch;
    struct qn_names         keys; /* domain, name and overload; ids are places in the model's list */
};

/* E_FORMAT for two functions of one name. */
QONNX_MUST_CHECK qonnx_status qn_functions_init(struct qn_functions *functions, const struct qn_model *model, struct qn_arena *scratch, qonnx_error *err);
/* The function that a node calls, or NULL. */
const Onnx__FunctionProto *qn_functions_find(const struct qn_functions *functions, const Onnx__NodeProto *node);
/* True when a node of the graph, or of one nested in it, calls a function. */
bool qn_functions_called(const struct qn_functions *functions, const Onnx__GraphProto *graph);
/* E_LIMIT when a function calls itself, or when with every call written out the model would have too many nodes. */
QONNX_MUST_CHECK qonnx_status qn_functions_check(struct qn_functions *functions, qonnx_error *err);
/* Drops all functions, and the imports of their domains where no node is of them. */
void qn_functions_drop(struct qn_model *model);

#endif
