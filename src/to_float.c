/* SPDX-License-Identifier: Apache-2.0
 * The format that emits nothing: the float graph as it was lifted. */
#include "to_float.h"

#include <stddef.h>
#include <string.h>

#include "lift/lift.h"
#include "onnx/attr.h"
#include "onnx/tensor.h"

/* Quantizers whose lowest code stands for 0 are what some writers make of a Relu or Clip, which they leave out. */
static bool cuts_at_zero(const struct qn_tensor_plan *t)
{
    if (!t->quantized || !t->at_producer) return false;
    for (size_t i = 0; i < t->params->count; i++)
        if (t->params->zero_point[i] > t->params->lo) return false;
    return true;
}

/* Operators whose result may be negative whatever they read; others pass on or make what is not. */
static bool makes_negatives(const struct qn_plan *plan, qn_node_id n)
{
    static const char *const ops[] = {
        "BatchNormalization", "InstanceNormalization", "LayerNormalization", "Sub", "Mul", "Add", "Sum"
    };
    const struct qn_graph *g = plan->graph;
    const struct qn_rule  *rule = plan->nodes[n].rule;
    bool                   might = rule && rule->kind == QN_KIND_LAYER;

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) might |= qn_node_is(g, n, ops[i]);
    if (!might || (rule && rule->kind == QN_KIND_LAYER) || qn_node_is(g, n, "Sub")) return might;
    for (size_t slot = 0; slot < g->pb->node[n]->n_input; slot++) {
        qn_value_id v = qn_node_input(g, n, slot);
        if (v == QN_NONE || !plan->nodes[n].reads[slot] || !cuts_at_zero(&plan->tensors[v])) return true;
    }
    return false;
}

/* A clamp to all that the codes can say: which one was left out is not known, and none makes other networks explode. */
static Onnx__NodeProto *new_clamp(const struct qn_plan *plan, struct qn_edit *edit, qn_value_id v, const char *x)
{
    struct qn_arena         *arena = qn_edit_arena(edit);
    const char              *out = plan->graph->values[v].name, *inputs[3] = { x };
    const struct qn_qparams *params = plan->tensors[v].params;
    Onnx__TensorProto       *lowest, *highest;

    if (params->count > 1 || qn_model_opset(plan->graph->model, "") < 11)
        return qn_node_new(arena, "Relu", qn_edit_name(edit, out, "_Relu"), 1, inputs, 1, &out);
    lowest = qn_tensor_float_scalar(arena, inputs[1] = qn_edit_name(edit, out, "_min"), 0);
    highest =
        qn_tensor_float_scalar(arena, inputs[2] = qn_edit_name(edit, out, "_max"), qn_qparams_range(params, 0).max);
    qn_edit_add_initializer(edit, lowest);
    qn_edit_add_initializer(edit, highest);
    return qn_node_new(arena, "Clip", qn_edit_name(edit, out, "_Clip"), 3, inputs, 1, &out);
}

static void add_clamp(const struct qn_plan *plan, struct qn_edit *edit, qn_value_id v)
{
    const struct qn_value *value = &plan->graph->values[v];
    const char            *before = qn_edit_name(edit, value->name, "_unclamped");

    qn_edit_set_output(edit, value->producer, value->producer_slot, before);
    qn_edit_insert_after(edit, value->producer, new_clamp(plan, edit, v, before));
}

/* A Relu that the file does not have, but its codes tell of. */
static bool is_told(const struct qn_lift *lift, qn_value_id v)
{
    for (size_t i = 0; v != QN_NONE && i < lift->relu_count; i++)
        if (strcmp(lift->relus[i], lift->plan.graph->values[v].name) == 0) return true;
    return false;
}

/* The plan's settings are the lift's own. */
static const struct qn_lift *lift_of(const struct qn_plan *plan)
{
    return (const struct qn_lift *)(const void *)((const char *)plan->settings - offsetof(struct qn_lift, settings));
}

/* Nothing is quantized: places that only a quantizer needed go as well. */
static qonnx_status emit_float(const struct qn_plan *plan, struct qn_edit *edit, qonnx_error *err)
{
    const struct qn_lift  *lift = lift_of(plan);
    const struct qn_graph *g = plan->graph;

    (void)err;
    for (qn_node_id n = 0; n < g->node_count; n++) {
        qn_value_id out = qn_node_output(g, n, 0);
        if (out == QN_NONE) continue;
        if (cuts_at_zero(&plan->tensors[out]) && makes_negatives(plan, n)) add_clamp(plan, edit, out);
        if (qn_node_is(g, n, "Relu") && plan->tensors[out].quantized && is_told(lift, out))
            qn_edit_replace_node(edit, n, new_clamp(plan, edit, out, g->pb->node[n]->input[0]));
        if (!plan->nodes[n].dropped || g->values[out].flags & (QN_OUTPUT | QN_CAPTURED)) continue;
        qn_edit_redirect(edit, out, g->pb->node[n]->input[0]);
        qn_edit_remove_node(edit, n);
        qn_edit_drop_value_info(edit, g->values[out].name);
    }
    return QONNX_OK;
}

const struct qn_emitter qn_to_float = { .name = "float", .emit = emit_float };
