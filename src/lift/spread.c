/* SPDX-License-Identifier: Apache-2.0
 * Between a dequantized value and a kernel that could take codes there may be operators that only move elements. What
 * they move lies on the grid still, so quantizing it again with the same parameters changes nothing, and lets the codes
 * through. Only formats that compute on codes want that. */
#include "lift/lift.h"

static void read_view(struct qn_plan *plan, qn_value_id v)
{
    const struct qn_value *value = &plan->graph->values[v];

    for (uint32_t i = 0; i < value->use_count; i++) {
        const struct qn_use *use = &plan->graph->uses[value->use_at + i];
        if (use->slot != QN_SLOT_CAPTURED) plan->nodes[use->node].reads[use->slot] = true;
    }
}

/* Could it move codes, if its input came as codes? All results, or none: a Split of which one part stays float would not. */
static bool is_free_move(const struct qn_plan *plan, qn_node_id n)
{
    const struct qn_node_plan *row = &plan->nodes[n];

    if (!row->rule || row->rule->kind != QN_KIND_MOVE || qn_node_input(plan->graph, n, 0) == QN_NONE) return false;
    if (row->reason == QN_REASON_ATTRIBUTES || row->reason == QN_REASON_OPSET) return false;
    for (size_t slot = 0; slot < plan->graph->pb->node[n]->n_output; slot++) {
        qn_value_id out = qn_node_output(plan->graph, n, slot);
        if (out != QN_NONE &&
            (plan->tensors[out].quantized || plan->graph->values[out].flags & (QN_OUTPUT | QN_CAPTURED)))
            return false;
    }
    return true;
}

static bool any_output(const struct qn_plan *plan, qn_node_id n, const bool *wanted)
{
    for (size_t slot = 0; slot < plan->graph->pb->node[n]->n_output; slot++) {
        qn_value_id out = qn_node_output(plan->graph, n, slot);
        if (out != QN_NONE && (wanted ? wanted[out] : plan->tensors[out].quantized)) return true;
    }
    return false;
}

/* Backwards: the values that kernels would take codes of. */
static void find_wanted(const struct qn_plan *plan, bool *wanted)
{
    for (qn_node_id n = (qn_node_id)plan->graph->node_count; n-- > 0;) {
        const struct qn_node_plan *row = &plan->nodes[n];
        bool                       first = row->weight || (is_free_move(plan, n) && any_output(plan, n, wanted));
        bool                       all = row->rule && row->rule->twin && !row->weight && any_output(plan, n, NULL);

        for (size_t slot = 0; slot < plan->graph->pb->node[n]->n_input && (first || all); slot++) {
            qn_value_id v = qn_node_input(plan->graph, n, slot);
            if (v != QN_NONE && (all || slot == 0)) wanted[v] = true;
        }
    }
}

qonnx_status qn_lift_spread(struct qn_lift *lift, qonnx_error *err)
{
    struct qn_plan *plan = &lift->plan;
    bool           *wanted = qn_arena_array(&plan->arena, plan->graph->value_count, sizeof *wanted);

    if (!wanted) return qn_fail_nomem(err);
    find_wanted(plan, wanted);
    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        qn_value_id x = qn_node_input(plan->graph, n, 0);

        if (!is_free_move(plan, n) || !plan->nodes[n].reads[0] || plan->tensors[x].params->axis >= 0 ||
            !any_output(plan, n, wanted))
            continue;
        plan->nodes[n].reason = QN_REASON_MOVES_CODES;
        for (size_t slot = 0; slot < plan->graph->pb->node[n]->n_output; slot++) {
            qn_value_id out = qn_node_output(plan->graph, n, slot);
            if (out == QN_NONE) continue;
            plan->tensors[out].quantized = plan->tensors[out].at_producer = true;
            plan->tensors[out].params = plan->tensors[x].params;
            plan->tensors[out].range = plan->tensors[x].range;
            plan->tensors[out].group = plan->tensors[x].group;
            read_view(plan, out);
        }
    }
    return QONNX_OK;
}
