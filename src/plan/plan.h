/* SPDX-License-Identifier: Apache-2.0
 * The plan: what will happen to each tensor and node, decided before anything happens. Everything before it decides,
 * everything after it only obeys. Rows are indexed by the ids of the graph it was made for. */
#ifndef QN_PLAN_PLAN_H
#define QN_PLAN_PLAN_H

#include "base/strbuf.h"
#include "onnx/graph.h"
#include "plan/options.h"
#include "plan/rules.h"
#include "quant/blocks.h"
#include "quant/qparams.h"

/* A value (activation or constant operand). */
struct qn_tensor_plan {
    bool               quantized;   /* gets a Q/DQ pair */
    bool               at_producer; /* made by an integer kernel: every reader gets the dequantized value */
    qn_value_id        group;       /* values of one group share parameters; the id of one of them */
    struct qn_range    bounds;      /* what a Relu or Clip before it guarantees */
    struct qn_range    useful;      /* its one reader takes what lies outside for the nearer end */
    float              fixed_scale; /* not 0: parameters that do not depend on data */
    int32_t            fixed_zero_point;
    struct qn_qparams *params;      /* by solve; one object for a group */
    void              *codes;       /* of a constant: its codes, of params->type, unpacked; NULL: to be made from its values */
    struct qn_range    range;       /* by solve: the float range the group's parameters cover; */
    const struct qn_observer *observer; /* and how it was found; NULL when it does not come from statistics: */
    bool               given;    /* it was given instead */
    size_t             channels;    /* to be followed while observing; 0: none */
    int                channel_axis;
    double             sqnr;        /* by solve: dB that the tensor keeps on the calibration data; NAN when not measured */
};

/* A weight in blocks. */
struct qn_block_plan {
    struct qn_block_form form;
    const float         *importance; /* as struct qn_matrix has it */
};

/* What a weight loses as codes, where nobody has to know before they are made: by whoever makes them. */
struct qn_loss {
    struct qn_error_sums  sums;
    bool                  known;
    const struct qn_loss *same; /* the codes are those of another layer, and so is the loss */
};

/* Whether neighbouring codes of a weight are held within what sums of two products can take (quant/pair_safe.h). */
enum qn_pairing {
    QN_PAIRS_UNASKED,
    QN_PAIRS_EXEMPT, /* a depthwise convolution: its kernels add no pairs in 16 bits */
    QN_PAIRS_FREE,   /* nothing had to give way */
    QN_PAIRS_HELD,
};

/* A node. */
struct qn_node_plan {
    const struct qn_rule *rule;   /* this node's own row; NULL without a rule */
    struct qn_weight_form form;   /* asked for, for its weights */
    enum qn_reason        reason; /* also says whether it is quantized */
    double                db;     /* for QUANTIZATION_ERROR: what would be kept */
    qn_node_id            fused_into; /* for FUSED */
    qn_value_id           result; /* of layers, joins and pools: the value whose codes they make, behind a fused clamp */
    bool *reads; /* by input slot: it is to read the dequantized value */
    bool  dropped; /* the node vanishes: its result is its input, quantized */
    /* of quantized layers, by solve: */
    struct qn_qparams *input;  /* the layer's own quantizer, on top of what its input has; NULL for none */
    struct qn_qparams *weight; /* NULL: the weight stays float */
    struct qn_qparams *recurrent; /* of an LSTM's third input; `weight` is its second input's */
    const struct qn_block_plan *blocks; /* the weight is quantized in blocks, and `weight` is NULL */
    void              *weight_codes; /* of weight->type, unpacked; NULL: to be made from the float weight */
    void              *recurrent_codes; /* the same of `recurrent` */
    struct qn_qparams *bias;         /* NULL: no bias, or a float one */
    bool               bias_own_scale; /* not input scale × weight scale */
    int32_t           *bias_codes;
    size_t             bias_count, raised; /* channels whose weight scale the overflow guard raised */
    float             *least_scale;        /* what the bias needs each weight scale to be; NULL: nothing */
    const struct qn_rounded *rounded;      /* whose codes and scales the weight has; NULL: nearest codes */
    enum qn_pairing    pairing;
    const struct qn_pair_inputs *pair_inputs; /* by which pairs of weights are held; NULL: not at all */
    size_t             pair_raised, pair_moved; /* scales and codes that pairs changed */
    size_t             clamped; /* weights too large for the floats they are stored as */
    struct qn_loss    *lost;    /* NULL: this is known now: */
    double             weight_sqnr;
    double             weight_power, weight_noise; /* squares of an output channel's weights, and of their errors: sums, mean over channels */
    int                accumulator_bits;
};

/* Reasons that were found by measuring and hold for every later plan of the same graph; by node id. */
struct qn_verdict {
    enum qn_reason reason; /* QN_REASON_QUANTIZED: none */
    double         db;
    const struct qn_weight_form *form; /* its weight is to have; NULL: as the settings say */
};

struct qn_explicit; /* explicit.h */
struct qn_rounded;  /* round.h */
struct qn_solved;   /* solved.h */

struct qn_plan {
    const struct qn_graph    *graph;
    const struct qn_settings *settings;
    struct qn_tensor_plan    *tensors; /* by value id */
    struct qn_node_plan      *nodes;   /* by node id */
    enum qn_rounding          rounding; /* how float weights become codes */
    struct qn_solved         *solved;   /* what was found for earlier plans (solved.h); NULL: nothing is kept */
    const struct qn_rounded *const *rounded; /* weights rounded before, by node id, for solve to take; NULL: none */
    struct qn_explicit       *recipe;   /* what a recipe asks for; NULL in plans of our own */
    struct qn_arena           arena;
};

/* Decides. `verdicts` may be NULL. E_USAGE for include/exclude patterns that match nothing. Release when done; nothing to
 * release after a failure. */
QONNX_MUST_CHECK qonnx_status qn_plan_make(struct qn_plan *plan, const struct qn_graph *graph, const struct qn_settings *settings, const struct qn_verdict *verdicts, qonnx_error *err);
void qn_plan_release(struct qn_plan *plan);

/* The input slot of the constant that a node's `weight` is about. */
size_t qn_plan_weight_slot(const struct qn_node_plan *row);
/* What the row's weight keeps as codes, in dB; NAN when not known, be it because its codes are still to be made. */
double qn_plan_weight_db(const struct qn_node_plan *row);
/* The quantizer of the constant in a slot. */
const struct qn_qparams *qn_plan_weight(const struct qn_node_plan *row, size_t slot);
/* Where a layer's bias is read: its own third input or, in a plan that obeys a recipe, an operand of the Add behind a
 * MatMul. */
struct qn_use qn_plan_bias(const struct qn_plan *plan, qn_node_id layer);

/* Has the value a quantizer in the model as it came: is it made by one, or read by nothing else? */
bool qn_quantized_already(const struct qn_graph *graph, qn_value_id value);
/* True when input `slot` of the node is to read the dequantized value. */
bool qn_plan_reads_codes(const struct qn_plan *plan, qn_node_id node, size_t slot);
/* The values whose statistics solve needs, as ids in increasing order in the plan's arena. */
QONNX_MUST_CHECK qonnx_status qn_plan_observed(struct qn_plan *plan, const qn_value_id **values, size_t *count, qonnx_error *err);

struct qn_plan_counts {
    size_t nodes, quantized; /* of all nodes */
    size_t layers, layers_quantized;
};
struct qn_plan_counts qn_plan_count(const struct qn_plan *plan);

/* The plan as text, one line a quantized value and node, for golden tests and --dump plan. */
void qn_plan_dump(const struct qn_plan *plan, struct qn_strbuf *text);

#endif
