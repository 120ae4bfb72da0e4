/* SPDX-License-Identifier: Apache-2.0
 * Which nodes of a lifted graph compute on integers: the planner's words for what the file says. */
#include <math.h>
#include <string.h>

#include "lift/lifter.h"
#include "onnx/scopes.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/meta.h"

qonnx_status qn_lift_rules(struct qn_lifter *l)
{
    for (qn_node_id n = 0; n < l->graph->node_count; n++) {
        const Onnx__NodeProto *pb = l->graph->pb->node[n];
        const struct qn_rule  *rule = qn_node_is(l->graph, n, pb->op_type) ? qn_rule_find(pb->op_type) : NULL;
        struct qn_node_plan   *row = &l->lift->plan.nodes[n];
        struct qn_rule        *own;

        row->reason = rule ? QN_REASON_QUANTIZED : QN_REASON_OP_NOT_IN_TABLE;
        if (qn_node_has_body(pb)) row->reason = QN_REASON_HAS_BODY;
        if (qn_is_mark(pb)) row->reason = QN_REASON_SCOPE;
        if (!rule || qn_node_has_body(pb)) continue;
        if (!(own = qn_arena_alloc(l->arena, sizeof *own))) return qn_fail_nomem(l->err);
        *own = *rule;
        if (rule->refine) row->reason = rule->refine(l->graph, n, own);
        row->rule = own;
    }
    return QONNX_OK;
}

static const struct qn_tensor_plan *output(const struct qn_plan *plan, qn_node_id n)
{
    qn_value_id out = qn_node_output(plan->graph, n, 0);
    return out == QN_NONE ? NULL : &plan->tensors[out];
}

static enum qn_role role_of(const struct qn_rule *rule, size_t slot)
{
    return slot < 3 && (rule->in[slot] || !rule->rest) ? rule->in[slot] : rule->rest;
}

/* Every activation that the node reads is quantized. */
static bool reads_all(const struct qn_plan *plan, qn_node_id n)
{
    const struct qn_node_plan *row = &plan->nodes[n];

    for (size_t slot = 0; slot < plan->graph->pb->node[n]->n_input; slot++) {
        qn_value_id v = qn_node_input(plan->graph, n, slot);
        if (v != QN_NONE && role_of(row->rule, slot) == QN_ROLE_ACT && !row->reads[slot]) return false;
    }
    return true;
}

static bool reads_any(const struct qn_plan *plan, qn_node_id n)
{
    for (size_t slot = 0; slot < plan->graph->pb->node[n]->n_input; slot++)
        if (plan->nodes[n].reads[slot]) return true;
    return false;
}

static float bound(const struct qn_graph *g, qn_node_id n, size_t slot, const char *name, float absent)
{
    const Onnx__TensorProto *tensor = qn_node_constant(g, n, slot);
    struct qn_arena          scratch = { 0 };
    const float             *values;
    size_t                   count;
    float                    value = NAN;

    if (!tensor) return qn_node_input(g, n, slot) == QN_NONE ? qn_attr_float(g->pb->node[n], name, absent) : NAN;
    if (qn_tensor_floats(tensor, &scratch, &values, &count, NULL) == QONNX_OK && count == 1) value = *values;
    qn_arena_release(&scratch);
    return value;
}

/* The clamp behind a node, when saturating the codes cuts at least as much. */
static qn_node_id fused_clamp(const struct qn_plan *plan, qn_node_id n)
{
    const struct qn_graph *g = plan->graph;
    qn_value_id            out = qn_node_output(g, n, 0);
    qn_node_id             next = out == QN_NONE || plan->tensors[out].quantized ? QN_NONE : qn_value_only_user(g, out);
    const struct qn_tensor_plan *t = next == QN_NONE ? NULL : output(plan, next);
    struct qn_range              bounds = { 0, INFINITY };

    if (!t || !t->at_producer || !plan->nodes[next].rule || !plan->nodes[next].rule->clamp ||
        qn_node_input(g, next, 0) != out)
        return QN_NONE;
    if (!qn_node_is(g, next, "Relu"))
        bounds = (struct qn_range){ bound(g, next, 1, "min", -INFINITY), bound(g, next, 2, "max", INFINITY) };
    for (size_t i = 0; i < t->params->count; i++) {
        struct qn_range range = qn_qparams_range(t->params, i);
        if (!(range.min >= bounds.min && range.max <= bounds.max)) return QN_NONE;
    }
    return next;
}

static void settle_result(struct qn_plan *plan, qn_node_id n)
{
    struct qn_node_plan *row = &plan->nodes[n];
    qn_node_id           clamp = fused_clamp(plan, n);

    row->result = qn_node_output(plan->graph, n, 0);
    if (clamp == QN_NONE) return;
    row->result = qn_node_output(plan->graph, clamp, 0);
    plan->nodes[clamp].fused_into = n;
    plan->nodes[clamp].reason = QN_REASON_FUSED;
}

static bool result_quantized(const struct qn_plan *plan, const struct qn_node_plan *row)
{
    return row->result != QN_NONE && plan->tensors[row->result].quantized;
}

static enum qn_reason judge(struct qn_plan *plan, qn_node_id n)
{
    struct qn_node_plan *row = &plan->nodes[n];
    qn_value_id          x = qn_node_input(plan->graph, n, 0);

    switch (row->rule->kind) {
    case QN_KIND_LAYER:
        if (row->rule->in[1] == QN_ROLE_WEIGHT && !row->weight)
            return reads_any(plan, n) ? QN_REASON_WEIGHT_NOT_CONSTANT : QN_REASON_FLOAT_IN_INPUT;
        if (!reads_all(plan, n)) return row->weight ? QN_REASON_INPUT_FLOAT : QN_REASON_FLOAT_IN_INPUT;
        settle_result(plan, n);
        return QN_REASON_QUANTIZED;
    case QN_KIND_JOIN:
    case QN_KIND_POOL:
    case QN_KIND_POINTWISE:
        if (!reads_any(plan, n) || !row->rule->twin) return QN_REASON_FLOAT_IN_INPUT;
        if (!reads_all(plan, n)) return QN_REASON_INPUT_FLOAT;
        settle_result(plan, n);
        return result_quantized(plan, row) ? QN_REASON_QUANTIZED : QN_REASON_NOT_NEEDED;
    case QN_KIND_RECURRENT:
    case QN_KIND_TABLE: break;
    case QN_KIND_MOVE:
        if (!row->reads[0] || x == QN_NONE) return QN_REASON_FLOAT_IN_INPUT;
        for (size_t slot = 0; slot < plan->graph->pb->node[n]->n_output; slot++) {
            qn_value_id out = qn_node_output(plan->graph, n, slot);
            if (out == QN_NONE) continue;
            if (!plan->tensors[out].quantized || !plan->tensors[out].at_producer ||
                !qn_same_numbers(plan->tensors[out].params, plan->tensors[x].params))
                return QN_REASON_FLOAT_IN_INPUT;
        }
        return QN_REASON_MOVES_CODES;
    }
    return QN_REASON_FLOAT_IN_INPUT;
}

/* Values that a node moves codes between share one set of parameters. */
static void group(struct qn_plan *plan, qn_node_id n)
{
    qn_value_id root = plan->tensors[qn_node_input(plan->graph, n, 0)].group;

    for (size_t slot = 0; slot < plan->graph->pb->node[n]->n_output; slot++) {
        qn_value_id out = qn_node_output(plan->graph, n, slot);
        if (out != QN_NONE && plan->tensors[out].params->lo == plan->tensors[root].params->lo &&
            plan->tensors[out].params->hi == plan->tensors[root].params->hi)
            plan->tensors[out].group = root;
    }
}

static void count_bits(struct qn_plan *plan, qn_node_id n)
{
    struct qn_node_plan *row = &plan->nodes[n];
    uint64_t             terms = qn_plan_terms(plan->graph, n);
    qn_value_id          x = qn_node_input(plan->graph, n, 0);

    if (terms)
        row->accumulator_bits = qn_accumulator_bits(plan->tensors[x].params->bits, row->weight->bits, terms,
                                                    row->bias ? row->bias->bits : 0);
}

void qn_lift_reasons(struct qn_lifter *l)
{
    struct qn_plan *plan = &l->lift->plan;

    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        struct qn_node_plan *row = &plan->nodes[n];

        if (row->dropped) {
            row->reason = QN_REASON_QUANTIZED;
            row->result = qn_node_output(plan->graph, n, 0);
        }
        if (row->dropped || !row->rule || row->reason != QN_REASON_QUANTIZED) continue;
        row->reason = judge(plan, n);
        if (row->reason == QN_REASON_QUANTIZED && row->weight) count_bits(plan, n);
        if (row->reason == QN_REASON_MOVES_CODES) group(plan, n);
    }
}
