/* SPDX-License-Identifier: Apache-2.0
 * Inside solve: what its steps share. solve.c does the activations and says in which order, solve_layer.c the weights. */
#ifndef QN_PLAN_SOLVER_H
#define QN_PLAN_SOLVER_H

#include "plan/layer_shape.h"
#include "plan/solve.h"
#include "quant/pack.h"

struct qn_solver {
    struct qn_plan               *plan;
    const struct qn_stats *const *stats;
    const struct qn_ranging      *ranging; /* may be NULL */
    const struct qn_given        *given;   /* by group */
    struct qn_verdict            *verdicts;
    bool                         *again;
    int                           threads;
    qonnx_error                  *err;
};

/* The node shall not be quantized; the first reason stands. */
void qn_solver_condemn(struct qn_solver *s, qn_node_id n, enum qn_reason reason, double db);

/* New parameters in the plan's arena. */
QONNX_MUST_CHECK qonnx_status qn_solver_params(struct qn_solver *s, struct qn_qparams **params, const struct qn_qtype *type, bool narrow, int axis, size_t count);

/* A quantized layer while it is solved. */
struct qn_open_layer {
    qn_node_id               node;
    const Onnx__TensorProto *weight, *bias;
    const float             *w, *b;
    size_t                   w_count, b_count;
    struct qn_layout         layout;
    int                      axis;
    float                    input_scale;
    uint64_t                 products; /* summed up for one output */
    struct qn_layer_shape    shape;
    bool                     shaped; /* it has one */
    struct qn_pair_inputs    inputs;     /* without `most`: pairs may saturate */
    float                   *importance; /* by channel of the input: of the square of a weight's error */
    bool                    *tight;      /* by output: its codes are to be looked at */
    size_t                   tight_count;
    double                   moved_cost; /* squares of weight, those of a channel of average importance */
};

bool qn_all_finite(const float *x, size_t n);

/* The constants of a node that multiplies by or reads from them, whatever its other inputs are: an LSTM, a table. */
QONNX_MUST_CHECK qonnx_status qn_solve_constants(struct qn_solver *s, qn_node_id n);
/* What was seen of the layer's input where that has channels, one for each that its weights are multiplied by; NULL: nothing. */
const struct qn_stats *qn_solver_channels(const struct qn_solver *s, const struct qn_open_layer *l);
/* The layer's bias makes good what its final codes take from the mean of each output, if that is asked for. */
QONNX_MUST_CHECK qonnx_status qn_solve_correct_bias(struct qn_solver *s, struct qn_open_layer *l);
/* Whether the settings ask that pairs of such a weight's codes are held. */
bool qn_solver_holds_pairs(const struct qn_solver *s, const struct qn_qparams *weight);
/* Whether codes are to be held so that pairs of products do not saturate, and by which inputs. */
QONNX_MUST_CHECK qonnx_status qn_solve_pairs_begin(struct qn_solver *s, struct qn_open_layer *l);
/* Then: raises scales; and when they are final, makes the codes unless nearest ones will do. */
QONNX_MUST_CHECK qonnx_status qn_solve_pair_scales(struct qn_solver *s, struct qn_open_layer *l);
QONNX_MUST_CHECK qonnx_status qn_solve_pair_codes(struct qn_solver *s, struct qn_open_layer *l);

/* Weight and bias of a quantized layer, whose input has its parameters by now. */
QONNX_MUST_CHECK qonnx_status qn_solve_layer(struct qn_solver *s, qn_node_id n);

#endif
