/* SPDX-License-Identifier: Apache-2.0
 * Inside the planner: what classify.c, place.c and plan.c share. */
#ifndef QN_PLAN_PLANNER_H
#define QN_PLAN_PLANNER_H

#include "plan/plan.h"

struct qn_planner {
    struct qn_plan        *plan;
    const struct qn_graph *graph;
    const struct qn_settings *settings;
    qn_value_id *root;   /* of each value: the tensor it is a pointwise function of, itself for others */
    bool        *chain;  /* of each node: pointwise with one root */
    bool        *ready, *wanted; /* of each value */
    uint32_t    *depth;   /* of each node: layers on the longest way to it */
    bool        *blocked; /* of each node: dropped out while planning */
    const bool  *losing;  /* of each node: found to be slower on the target */
    struct qn_arena scratch;
};

/* The role of an input under a rule. */
enum qn_role qn_rule_role(const struct qn_rule *rule, size_t slot);
/* Step 1: each node against its row and the target's. */
QONNX_MUST_CHECK qonnx_status qn_plan_classify(struct qn_planner *p, const struct qn_verdict *verdicts, qonnx_error *err);
/* Step 3: what a Relu or Clip makes of a layer's, join's or pool's result, and where it appears. */
void qn_plan_absorb_clamps(struct qn_planner *p);
/* Instead of steps 2 to 5 for targets that compute on integers alone. */
void qn_plan_place_all(struct qn_planner *p);
/* Tensors of one group share parameters: puts both in one, and tells every tensor its group. */
void qn_plan_join_groups(struct qn_tensor_plan *tensors, qn_value_id a, qn_value_id b);
void qn_plan_settle_groups(struct qn_planner *p);
/* A Softmax on codes has the parameters that ONNX Runtime takes for granted. */
void qn_plan_settle_softmax(struct qn_planner *p);
/* Steps 2 to 5, and what follows from them for tensors and reasons. Cannot fail. */
void qn_plan_place(struct qn_planner *p);

#endif
