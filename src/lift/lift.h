/* SPDX-License-Identifier: Apache-2.0
 * The way back: from a quantized file of any format to the pair (float graph, plan) that every emitter writes from.
 *
 * Everything comes from the file, nothing from rules: which values are quantized with what, which readers see the
 * dequantized value, and the integer codes of constants, which never change on the way. What is not understood stays in
 * the graph as it is, between what is, and is noted with a reason. */
#ifndef QN_LIFT_LIFT_H
#define QN_LIFT_LIFT_H

#include "plan/plan.h"

/* A quantized node that was left as it is. */
struct qn_lift_note {
    const char *node;   /* "node 'c' (QLinearConv)" */
    const char *output; /* the name of its first output */
    const char *reason;
};

struct qn_lift {
    struct qn_plan             plan;     /* over the graph that was lifted */
    struct qn_settings         settings; /* the plan's: those given, for no target, so that nothing is adapted to one */
    const struct qn_lift_note *notes;
    size_t                     note_count;
    size_t                     qdq, clips, qonnx, qoperator; /* quantized nodes that were read, by format */
    const char               **relus;                        /* results of Relus that only codes tell of */
    size_t                     relu_count, relu_room;
};

/* Turns the model's graph into its float form, in place, and fills *lift with the plan over it. *lift may not
 * move, and `settings` must outlive it. The names of float values, of inputs and of outputs stay. Release when done, not after a failure. */
QONNX_MUST_CHECK qonnx_status qn_lift(struct qn_lift *lift, struct qn_graph *graph, const struct qn_settings *settings,
                                      qonnx_error *err);
void                          qn_lift_release(struct qn_lift *lift);

/* For formats that compute on codes: what operators move stays quantized, so that kernels behind them get codes. */
QONNX_MUST_CHECK qonnx_status qn_lift_spread(struct qn_lift *lift, qonnx_error *err);

/* Whether operators of QOperator have a scale per channel, for which DequantizeLinear needs a newer opset than the model
 * has: it is to be raised before the lift. */
bool qn_lift_wants_opset_13(const struct qn_graph *graph);

/* The format the quantizers that were read are written in: "QDQ", "QCDQ", "QONNX", "QOperator", or "float". */
const char *qn_lift_format(const struct qn_lift *lift);

#endif
