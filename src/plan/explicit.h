/* SPDX-License-Identifier: Apache-2.0
 * Plans that obey a recipe: the second way to fill a struct qn_plan. No node is judged and no number is moved; what the
 * recipe gives a quantizer has it, all else stays as it is.
 *
 *     qn_explicit_plan       which quantizer stands where
 *     qn_explicit_weights    parameters of weights, room for those of biases
 *     …training…             qn_site.batches, where qn_site_collects (src/train.c)
 *     qn_explicit_solve      parameters of activations and biases, metadata of all values */
#ifndef QN_PLAN_EXPLICIT_H
#define QN_PLAN_EXPLICIT_H

#include "plan/plan.h"
#include "plan/recipe.h"
#include "quant/running.h"

/* A place where an activation is quantized. Plan rows point to its params, which come first, so that who walks over the
 * plan finds the rest from there. */
struct qn_site {
    struct qn_qparams     params;
    struct qn_quantizer   quantizer; /* row NULL: a model input that is declared quantized, params are given */
    qn_value_id           value;     /* what is quantized */
    qn_node_id            node;      /* whose quantizer it is; QN_NONE for a declared input */
    enum qn_slot          slot;
    int                   axis, rank; /* of the channels when it has a scale for each; else -1 and not known */
    size_t                channels;
    struct qn_batch_stat *batches; /* by sample; batch_count of them are filled */
    size_t                batch_count;
    bool                  solved;
    const char           *scale_name; /* for emit/lib/training.h: the scale's name in the training model */
    const char           *observed;   /* the same: the float value it quantizes */
};

struct qn_explicit {
    struct qn_site     **sites;
    size_t               site_count, site_room;
    struct qn_quantizer *weights, *biases;              /* by node; row NULL: none */
    const struct qn_rule_words *(*said)[QN_SLOT_COUNT]; /* by node: the rule that each slot has its quantizer from */
    struct qn_use      *adds;     /* by node: where the constant behind a MatMul is added; node QN_NONE: nowhere */
    struct qn_metadata *metadata; /* by value, as its readers see it; by qn_explicit_solve */
    const char        **warnings; /* what the user should know, naming the layer */
    size_t              warning_count, warning_room;
};

/* As qn_plan_make, with the recipe of plan->settings. E_USAGE for rules that match nothing or contradict each other,
 * with file, line and node. */
QONNX_MUST_CHECK qonnx_status qn_explicit_plan(struct qn_plan *plan, const struct qn_graph *graph,
                                               const struct qn_settings *settings, qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_explicit_weights(struct qn_plan *plan, qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_explicit_solve(struct qn_plan *plan, qonnx_error *err);

/* The site whose params these are. */
struct qn_site               *qn_site_of(const struct qn_qparams *params);
/* Does it take its parameters from batches, and not have them yet? */
bool                          qn_site_collects(const struct qn_site *site);
/* Parameters from the batches there are. */
QONNX_MUST_CHECK qonnx_status qn_site_solve(struct qn_plan *plan, struct qn_site *site, qonnx_error *err);

/* The operand of an Add that is the bias of this MatMul: a constant for each output channel. False: there is none. */
bool qn_linear_bias(const struct qn_graph *graph, qn_node_id node, struct qn_use *bias);
/* The axis of a layer's output channels in its weight. */
int  qn_weight_axis(const struct qn_graph *graph, qn_node_id node);
/* True for operators whose result has the scale of their first input: they move values, or are a Relu. */
bool qn_keeps_metadata(const struct qn_graph *graph, qn_node_id node);

#endif
