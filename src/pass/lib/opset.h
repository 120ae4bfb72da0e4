/* SPDX-License-Identifier: Apache-2.0
 * What changed in the operators of ai.onnx between opset 7 and 25, as a table of (operator, opset of the change,
 * function that rewrites a node of before the change). Operators that only gained types or wording are not in it. */
#ifndef QN_PASS_LIB_OPSET_H
#define QN_PASS_LIB_OPSET_H

#include "onnx/edit.h"
#include "pass/lib/facts.h"

enum { QN_RAISE_TO = 13, QN_RAISE_FROM = 7 };

/* One node on its way up. */
struct qn_raise {
    const struct qn_graph  *graph;
    struct qn_edit         *edit;
    struct qn_arena        *arena;
    const struct qn_fact   *facts;     /* of the main graph */
    const Onnx__GraphProto *body;      /* the nested graph the node is in; NULL in the main graph */
    int64_t                 from;      /* the opset the model has */
    int                     to;
    bool                    all_float; /* the model has no double, float16 or bfloat16 */
    Onnx__NodeProto        *node;      /* a private copy; may be changed, or replaced by the last of several nodes */
    Onnx__NodeProto        *before[4]; /* new nodes that come before it */
    size_t                  before_count;
    qonnx_error            *err;
};

/* True when something may have to be changed in this node. */
bool                          qn_raise_concerns(const Onnx__NodeProto *node, int64_t from, int to);
/* Rewrites raise->node. E_UNSUPPORTED, naming node and operator, when the newer operator cannot say the same. */
QONNX_MUST_CHECK qonnx_status qn_raise_node(struct qn_raise *raise);

/* Queues what makes the whole model one of opset `to`; nothing for newer ones. E_UNSUPPORTED as above. */
QONNX_MUST_CHECK qonnx_status qn_raise_model(const struct qn_graph *graph, struct qn_edit *edit, int to, qonnx_error *err);

#endif
