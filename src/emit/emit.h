/* SPDX-License-Identifier: Apache-2.0
 * Output formats. Each is one file, src/emit/NAME.c, that defines `const struct qn_emitter qn_emit_NAME`; the build
 * finds them by itself. An emitter obeys a solved plan: it only queues edits. */
#ifndef QN_EMIT_EMIT_H
#define QN_EMIT_EMIT_H

#include "onnx/edit.h"
#include "plan/plan.h"

struct qn_emitter {
    const char *name, *summary;
    int64_t     min_opset; /* of ai.onnx */
    bool        foreign;   /* ONNX Runtime has no kernels for it: judged in the form qcdq */
    bool        shapes;    /* its readers want the shape of every value */
    qonnx_status (*emit)(const struct qn_plan *plan, struct qn_edit *edit, qonnx_error *err);
    /* A second step on the graph that the first has made, in an edit of its own; NULL for none. */
    qonnx_status (*fold)(const struct qn_graph *graph, struct qn_edit *edit, qonnx_error *err);
};

const struct qn_emitter *qn_emitter_find(const char *name);
const struct qn_emitter *qn_emitter_at(size_t i); /* NULL behind the last */

/* Runs both steps on `graph`, whose ids are those of the plan's graph, and commits. */
QONNX_MUST_CHECK qonnx_status qn_emit(const struct qn_emitter *emitter, const struct qn_plan *plan, struct qn_graph *graph, qonnx_error *err);

/* ---- shared by the formats ---- */

/* Names of the constants that hold one set of parameters. */
struct qn_param_names {
    const char *scale, *zero_point;
};

/* Scale and zero point as initializers: rank 0 for one, rank 1 for several. */
struct qn_param_names qn_emit_params(struct qn_edit *edit, const struct qn_qparams *params, const char *base);
/* Codes, one in type->code_size bytes, as a tensor; they must outlive it. NULL when memory is out. */
Onnx__TensorProto *qn_emit_codes(struct qn_edit *edit, const char *name, const struct qn_qtype *type, size_t rank, const int64_t *dims, const void *codes, size_t count);
/* A constant of a solved node (its weight, or an LSTM's recurrent one) as an initializer of codes; its shape is the float
 * one's. NULL on failure (sticky, or in err). */
QONNX_MUST_CHECK qonnx_status qn_emit_weight(Onnx__TensorProto **codes, struct qn_edit *edit, const struct qn_plan *plan, qn_node_id node, size_t slot, qonnx_error *err);

/* The form of an LSTM that ONNX Runtime multiplies on integers, in place of the node; it reads its other inputs as they
 * are in `inputs`. */
QONNX_MUST_CHECK qonnx_status qn_emit_lstm(struct qn_edit *edit, const struct qn_plan *plan, qn_node_id node, const char *const *inputs, qonnx_error *err);
/* A Gather that reads codes, and a DequantizeLinear behind it that makes the node's result. */
QONNX_MUST_CHECK qonnx_status qn_emit_table(struct qn_edit *edit, const struct qn_plan *plan, qn_node_id node, qonnx_error *err);

#endif
