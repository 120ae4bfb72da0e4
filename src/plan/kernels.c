/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/kernels.h"

#include <string.h>

#include "onnx/dtype.h"
#include "plan/presets.h"

/* A product of codes leaves as float where nothing asks for its codes: scaling is then part of the kernel. */
static bool leaves_as_float(const struct qn_plan *plan, const struct qn_node_plan *row)
{
    return row->result == QN_NONE || !plan->tensors[row->result].at_producer;
}

bool qn_plan_foresees_kernels(const struct qn_plan *plan)
{
    return !plan->recipe && plan->settings->target_row && plan->settings->target_row->twins_are_kernels;
}

const char *qn_plan_kernel(const struct qn_plan *plan, qn_node_id node)
{
    const struct qn_node_plan *row = &plan->nodes[node];

    if (!qn_plan_foresees_kernels(plan) || !row->rule || plan->settings->acts == QN_ACTS_FLOAT) return NULL;
    if (plan->settings->acts == QN_ACTS_DYNAMIC && row->rule->kind == QN_KIND_LAYER) return NULL; /* one of two, by who else reads the codes */
    if (row->reason == QN_REASON_MOVES_CODES) return plan->graph->pb->node[node]->op_type;
    if (row->reason != QN_REASON_QUANTIZED) return NULL;
    if (strcmp(row->rule->op, "MatMul") == 0 && leaves_as_float(plan, row))
        return strcmp(plan->settings->format, "qoperator") == 0 ? "MatMulInteger" : "MatMulIntegerToFloat";
    return row->rule->twin;
}

/* The float node whose result the Q would see: a clamp in between is no obstacle. */
static qn_node_id seen_through_clamp(const struct qn_plan *plan, qn_value_id value)
{
    const struct qn_graph *g = plan->graph;
    qn_node_id             n = g->values[value].producer;
    const struct qn_rule  *rule = n == QN_NONE ? NULL : qn_rule_find(g->pb->node[n]->op_type);
    qn_value_id            in = rule && rule->clamp ? qn_node_input(g, n, 0) : QN_NONE;

    return in == QN_NONE ? n : g->values[in].producer;
}

static bool only_quantized(const struct qn_plan *plan, qn_value_id value)
{
    const struct qn_value *v = &plan->graph->values[value];

    for (uint32_t u = 0; u < v->use_count; u++) {
        struct qn_use use = plan->graph->uses[v->use_at + u];
        if (use.slot == QN_SLOT_CAPTURED || !qn_plan_reads_codes(plan, use.node, use.slot)) return false;
    }
    return !(v->flags & QN_OUTPUT);
}

/* Operators with an integer kernel that have no rule, because it does not pay. */
static bool has_twin(const char *op_type)
{
    const struct qn_rule *rule = qn_rule_find(op_type);

    return (rule && rule->twin) || strcmp(op_type, "Softmax") == 0 || strcmp(op_type, "Where") == 0;
}

bool qn_plan_fuses_unasked(const struct qn_plan *plan, qn_value_id value)
{
    const struct qn_graph *g = plan->graph;
    qn_node_id             n = seen_through_clamp(plan, value);
    const char            *op = n == QN_NONE ? "" : g->pb->node[n]->op_type;
    bool                   all = true;

    if (!qn_plan_foresees_kernels(plan) || n == QN_NONE || qn_reason_is_quantized(plan->nodes[n].reason) ||
        plan->tensors[value].at_producer)
        return false;
    if (strcmp(op, "Conv") == 0 || strcmp(op, "ConvTranspose") == 0 || strcmp(op, "Gemm") == 0)
        return qn_plan_reads_codes(plan, n, 0);
    if (!has_twin(op) || !only_quantized(plan, value)) return false;
    for (size_t slot = 0; slot < g->pb->node[n]->n_input; slot++) {
        qn_value_id in = qn_node_input(g, n, slot);
        all &= in == QN_NONE || g->values[in].dtype == QN_BOOL || qn_plan_reads_codes(plan, n, slot);
    }
    return all;
}

/* A DQ is moved behind what only moves values. */
static bool comes_dequantized(const struct qn_plan *plan, qn_node_id node, size_t slot)
{
    while (!qn_plan_reads_codes(plan, node, slot)) {
        qn_value_id           v = qn_node_input(plan->graph, node, slot);
        qn_node_id            n = v == QN_NONE ? QN_NONE : plan->graph->values[v].producer;
        const struct qn_rule *rule = n == QN_NONE ? NULL : qn_rule_find(plan->graph->pb->node[n]->op_type);

        if (!rule || rule->kind != QN_KIND_MOVE || !plan->graph->pb->node[n]->n_input) return false;
        node = n;
        slot = 0;
    }
    return true;
}

bool qn_plan_multiplies_unasked(const struct qn_plan *plan, qn_node_id node)
{
    if (!qn_plan_foresees_kernels(plan) || !qn_node_is(plan->graph, node, "MatMul") ||
        qn_reason_is_quantized(plan->nodes[node].reason) || plan->graph->pb->node[node]->n_input != 2)
        return false;
    return comes_dequantized(plan, node, 0) && comes_dequantized(plan, node, 1);
}

bool qn_is_integer_kernel(const char *op_type)
{
    static const char *const names[] = {
        "QGemm",
        "QAttention",
        "QMoE",
        "MatMulIntegerToFloat",
        "MatMulInteger",
        "ConvInteger",
        "DynamicQuantizeMatMul",
        "DynamicQuantizeLSTM",
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(op_type, names[i]) == 0) return true;
    return strncmp(op_type, "QLinear", 7) == 0;
}
