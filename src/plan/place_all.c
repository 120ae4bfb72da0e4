/* SPDX-License-Identifier: Apache-2.0
 *
 * Placement for targets that compute on integers alone: what is not worth it elsewhere is quantized too, or the graph would
 * fall apart into pieces that another processor computes. Every float value that an operator makes or reads has codes,
 * the graph's inputs and outputs included, but for what lies between a layer and the clamp that it absorbs. */
#include <string.h>

#include "onnx/dtype.h"
#include "plan/planner.h"
#include "plan/presets.h"

static bool has_rule(const struct qn_planner *p, qn_node_id n) { return p->plan->nodes[n].rule && *p->plan->nodes[n].rule->op; }

/* Types are not always declared; an operator with a rule makes what it reads. */
static void find_floats(struct qn_planner *p)
{
    const struct qn_graph *g = p->graph;

    for (qn_value_id v = 0; v < g->value_count; v++) p->ready[v] = g->values[v].dtype == QN_FLOAT;
    for (qn_node_id n = 0; n < g->node_count; n++) {
        qn_value_id in = qn_node_input(g, n, 0);

        for (size_t slot = 0; in != QN_NONE && has_rule(p, n) && slot < g->pb->node[n]->n_output; slot++) {
            qn_value_id out = qn_node_output(g, n, slot);
            if (out != QN_NONE && !g->values[out].dtype) p->ready[out] = p->ready[in];
        }
    }
}

static void mark(struct qn_planner *p, qn_value_id v)
{
    if (v != QN_NONE && p->ready[v]) p->plan->tensors[v].quantized = p->plan->tensors[v].at_producer = true;
}

/* Constants beside activations; bounds of a Clip and statistics of a BatchNormalization are parameters. */
static bool is_operand(const struct qn_planner *p, qn_node_id n, size_t slot)
{
    const struct qn_rule *rule = p->plan->nodes[n].rule;
    qn_value_id           v = qn_node_input(p->graph, n, slot);

    if (v == QN_NONE) return false;
    if (!p->graph->values[v].init) return true;
    if (!has_rule(p, n)) return false;
    if (rule->kind == QN_KIND_POINTWISE) return !rule->clamp && strcmp(rule->op, "BatchNormalization") != 0;
    return rule->kind != QN_KIND_MOVE && qn_rule_role(rule, slot) == QN_ROLE_ACT;
}

static void decide(struct qn_planner *p, qn_node_id n)
{
    const struct qn_graph *g = p->graph;
    struct qn_node_plan   *row = &p->plan->nodes[n];
    qn_value_id            first = qn_node_input(g, n, 0);
    qn_value_id            result = qn_node_output(g, n, 0);
    bool                   floats = first != QN_NONE && p->ready[first] && !g->values[first].init;

    if (row->fused_into != QN_NONE && p->plan->nodes[row->fused_into].reason == QN_REASON_QUANTIZED) {
        row->reason = QN_REASON_FUSED;
        return;
    }
    if (!floats) {
        row->reason = QN_REASON_NO_WEIGHTS;
        return;
    }
    row->reason = row->rule->kind == QN_KIND_MOVE ? QN_REASON_MOVES_CODES : QN_REASON_QUANTIZED;
    for (size_t slot = 0; slot < g->pb->node[n]->n_input; slot++)
        if (is_operand(p, n, slot)) mark(p, qn_node_input(g, n, slot));
    for (size_t slot = 0; slot < g->pb->node[n]->n_output; slot++) {
        qn_value_id out = qn_node_output(g, n, slot);
        if (out == QN_NONE) continue;
        mark(p, slot == 0 && row->result != QN_NONE ? row->result : out);
        if (row->reason == QN_REASON_MOVES_CODES) qn_plan_join_groups(p->plan->tensors, first, out);
    }
    if (row->rule->kind != QN_KIND_POINTWISE || result == QN_NONE || !p->plan->tensors[result].quantized) return;
    p->plan->tensors[result].fixed_scale = row->rule->fixed_scale;
    p->plan->tensors[result].fixed_zero_point = row->rule->fixed_zero_point;
}

void qn_plan_place_all(struct qn_planner *p)
{
    qn_plan_absorb_clamps(p);
    find_floats(p);
    for (qn_node_id n = 0; n < p->graph->node_count; n++)
        if (p->plan->nodes[n].reason == QN_REASON_NOT_NEEDED) decide(p, n);
    qn_plan_settle_groups(p);
    qn_plan_settle_softmax(p);
}
