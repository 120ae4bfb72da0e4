/* SPDX-License-Identifier: Apache-2.0
 * The op table: how each operator's inputs and outputs can be quantized. A new operator is one row in rules.c. */
#ifndef QN_PLAN_RULES_H
#define QN_PLAN_RULES_H

#include "onnx/graph.h"

/* Why a node is as it is. One line each: identifier, text. The identifier in lower case is what reports carry. */
#define QN_REASON_LIST(R)                                                                                         \
    R(QUANTIZED, "computes on integers")                                                                          \
    R(FUSED, "fused into the quantized node before it")                                                           \
    R(MOVES_CODES, "moves integer codes unchanged")                                                               \
    R(OP_NOT_IN_TABLE, "no rule for this operator")                                                               \
    R(NO_WEIGHTS, "computes on shapes, indices or other values that are not quantized")                           \
    R(POINTWISE_CHAIN, "a pointwise function of one tensor is kept whole in float: rounding inside it costs accuracy") \
    R(NOT_NEEDED, "no quantized node reads its result")                                                           \
    R(INPUT_FLOAT, "none of its inputs comes from a quantized node")                                              \
    R(GRAPH_OUTPUT, "its result is a graph output, which is not quantized")                                       \
    R(NEEDS_QUANTIZED_OUTPUT, "the target computes it on integers only with a quantized output")                   \
    R(WEIGHT_NOT_CONSTANT, "its weight is not a constant")                                                        \
    R(WEIGHT_NOT_FLOAT, "its weight is not float32")                                                              \
    R(WEIGHT_NOT_FINITE, "its weight holds NaN or infinity")                                                      \
    R(WEIGHT_SHAPE, "its weight has an unusual shape")                                                            \
    R(ATTRIBUTES, "no integer kernel for its attributes")                                                         \
    R(ACT_TIMES_ACT, "a product of two activations: no gain on the target")                                       \
    R(EINSUM, "its equation is not the product by a constant matrix that a MatMul computes")                     \
    R(SLOWER_ON_TARGET, "slower on the target when quantized")                                                    \
    R(NOT_ON_TARGET, "the target cannot compute it on integers, or does it wrong")                                \
    R(EMBEDDING, "a table is read, not multiplied: codes make the file smaller, not faster (-o embeddings=int8)") \
    R(NOT_PORTABLE, "computed on integers by ONNX Runtime alone: choose an ort-... target for that")              \
    R(RECURRENT, "recurrent, and no runtime computes it on integers")                                             \
    R(OPSET, "needs a newer opset than the model has")                                                            \
    R(HAS_BODY, "holds nested graphs, whose nodes are looked at one by one")                                      \
    R(ONLY_WEIGHTS, "has no weight to quantize, and the values it reads stay in float")                            \
    R(SCOPE, "the begin or end of a nested graph")                                                       \
    R(OTHER_DOMAIN, "an operator of another domain")                                \
    R(EXCLUDED, "excluded by the user")                                                                           \
    R(NOT_INCLUDED, "not among the nodes to include")                                                             \
    R(NO_RANGE, "no range is known for what it reads or writes")                                                  \
    R(NOT_FINITE, "NaN or infinity was seen in what it reads or writes")                                          \
    R(QUANTIZATION_ERROR, "quantizing what it reads or writes loses too much on the calibration data")            \
    R(SIZE_ALLOWS, "the size that was asked for has room for it in float")                                        \
    R(REPEATS_CHANNELS, "spreads channels with outliers over several, for the layer that reads them")              \
    R(NOT_IN_RECIPE, "the recipe has no quantizer for it")                                                        \
    R(OPERAND_IN_FLOAT, "the recipe leaves its input or its weight in float")                                     \
    R(ALREADY_QUANTIZED, "is quantized in the input model already")                                               \
    R(FLOAT_IN_INPUT, "is in float in the input model, which is quantized already")

enum qn_reason {
#define R(id, text) QN_REASON_##id,
    QN_REASON_LIST(R)
#undef R
        QN_REASON_COUNT
};
const char *qn_reason_name(enum qn_reason reason); /* "op_not_in_table" */
const char *qn_reason_text(enum qn_reason reason);
/* True when the node runs on integers. */
bool qn_reason_is_quantized(enum qn_reason reason);

/* What an input is. */
enum qn_role {
    QN_ROLE_OTHER,  /* shapes, indices, bounds: never quantized */
    QN_ROLE_ACT,    /* an activation: one scale for the tensor */
    QN_ROLE_WEIGHT, /* a constant with a scale for each output channel */
    QN_ROLE_BIAS,   /* a constant in int32, scale = input scale × weight scale */
};

/* What kind of work the operator does; the planner treats each kind in one way. */
enum qn_kind {
    QN_KIND_LAYER = 1, /* multiplies by a weight: where the time goes, so what all else is quantized for */
    QN_KIND_JOIN,      /* combines several activations */
    QN_KIND_MOVE,      /* output values are input values: same parameters on both sides */
    QN_KIND_POOL,      /* averages: own range, worth it between quantized neighbours */
    QN_KIND_POINTWISE, /* a function of each element: stays in float, in chains */
    QN_KIND_RECURRENT, /* multiplies by weights again and again: activations get their codes as it runs, or not at all */
    QN_KIND_TABLE,     /* reads rows of a constant by index: as codes that are dequantized behind it */
};

struct qn_rule {
    const char   *op;
    enum qn_kind  kind;
    enum qn_role  in[3], rest; /* roles of inputs 0, 1, 2 and of those behind */
    bool          own_output;  /* the output has its own range (else the input's, for moves, or none) */
    bool          also_pointwise; /* with one activation and constants it is part of pointwise chains */
    bool          blocks;      /* the weight is a matrix that may be quantized in blocks */
    bool          clamp;       /* cuts its input to an interval: vanishes into the node before it */
    int           axis;        /* of the weight's output channels; -1 is the last */
    int           since;       /* lowest opset whose operator takes 8-bit tensors */
    float         fixed_scale; /* not 0: parameters the output always has */
    int32_t       fixed_zero_point;
    const char   *twin_domain, *twin, *twin_inputs; /* integer form: operand order, see rules.c */
    /* Adapts a copy of the row to one node, or gives the reason why the node must stay in float. */
    enum qn_reason (*refine)(const struct qn_graph *graph, qn_node_id node, struct qn_rule *rule);
};

/* True for what users call a layer: it has weights that it multiplies by. */
bool qn_rule_is_layer(const struct qn_rule *rule);
/* The row for an operator of ai.onnx, NULL when there is none. The i-th row, NULL behind the last. */
const struct qn_rule *qn_rule_find(const char *op);
const struct qn_rule *qn_rule_at(size_t i);

#endif
