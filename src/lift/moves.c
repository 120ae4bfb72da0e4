/* SPDX-License-Identifier: Apache-2.0
 * Operators that move elements, here moving codes. */
#include <string.h>

#include "lift/lifter.h"
#include "onnx/attr.h"

/* Integers of a constant that a node moves get their meaning from the DequantizeLinear behind it. */
static struct qn_place_of constant_behind_move(struct qn_lifter *l, qn_node_id n, qn_value_id v)
{
    const struct qn_value *from = &l->graph->values[v];
    qn_value_id            out = l->graph->pb->node[n]->n_output == 1 ? qn_node_output(l->graph, n, 0) : QN_NONE;
    struct qn_place_of     none = { QN_NONE, QN_PLAIN };
    struct qn_clipped      constant = { from->init, INT32_MIN, INT32_MAX };
    struct qn_grid        *grid, *first = NULL;

    if (out == QN_NONE || !l->graph->values[out].use_count || l->graph->values[out].flags & (QN_OUTPUT | QN_CAPTURED))
        return none;
    for (uint32_t i = 0; i < l->graph->values[out].use_count; i++) {
        const struct qn_use *use = &l->graph->uses[l->graph->values[out].use_at + i];
        if (use->slot || !qn_lift_is(l->graph, use->node, "DequantizeLinear")) return none;
        if (qn_grid_of_qdq(l, use->node, from->dtype, &grid) || grid->qp.axis >= 0 ||
            grid->qp.type->onnx_type != from->dtype)
            return none;
        if (!first) first = grid;
        if (!qn_same_numbers(&grid->qp, &first->qp)) return none;
    }
    return (struct qn_place_of){ qn_lift_constant(l, n, &constant, first, v), QN_CODES };
}

/* Codes are padded with the code of 0, or not with a constant at all: the float form then needs no constant. */
static bool pads_with_zero(struct qn_lifter *l, qn_node_id n, const struct qn_grid *grid)
{
    const Onnx__NodeProto   *pb = l->graph->pb->node[n];
    const Onnx__TensorProto *value = qn_node_constant(l->graph, n, 2);
    const struct qn_qtype   *type;
    const void              *codes;
    size_t                   count;

    if (qn_attr_find(pb, "mode") && !qn_attr_is(pb, "mode", "constant")) return true;
    if (qn_node_input(l->graph, n, 2) == QN_NONE) return grid->qp.zero_point[0] == 0;
    return value && (codes = qn_codes_of(value, &l->scratch, &type, &count)) && count == 1 &&
           qn_code_at(type, codes, 0) == grid->qp.zero_point[0];
}

/* A node that moves values, here moving codes: its float form moves what they stand for. */
bool qn_lift_move(struct qn_lifter *l, qn_node_id n)
{
    const Onnx__NodeProto *pb = l->graph->pb->node[n];
    const struct qn_rule  *row = qn_node_is(l->graph, n, pb->op_type) ? qn_rule_find(pb->op_type) : NULL;
    qn_value_id            v = qn_node_input(l->graph, n, 0);
    struct qn_rule         rule;
    struct qn_place_of     x;
    enum qn_reason         reason;

    if (!row || row->kind != QN_KIND_MOVE || v == QN_NONE) return false;
    x = l->graph->values[v].init ? constant_behind_move(l, n, v) : qn_lift_place(l, v);
    rule = *row;
    if (x.form != QN_CODES || l->items[x.item].grid->qp.axis >= 0) return false;
    if (strcmp(row->op, "Pad") == 0 && !pads_with_zero(l, n, l->items[x.item].grid)) return false;
    reason = row->refine ? row->refine(l->graph, n, &rule) : QN_REASON_QUANTIZED;
    if (reason != QN_REASON_QUANTIZED && reason != QN_REASON_SLOWER_ON_TARGET) return false;
    for (size_t slot = 1; slot < pb->n_input; slot++) {
        qn_value_id other = qn_node_input(l->graph, n, slot);
        if (other != QN_NONE && qn_lift_place(l, other).form != QN_PLAIN) return false;
    }
    for (size_t slot = 0; slot < pb->n_output; slot++) {
        qn_value_id out = qn_node_output(l->graph, n, slot);
        if (out == QN_NONE) continue;
        l->at[out] = qn_lift_plain(l, out, n, slot);
        l->at[out].form = QN_CODES;
        l->items[l->at[out].item].grid = qn_lift_with_clip(l, out, l->items[x.item].grid);
        l->items[l->at[out].item].at = n;
    }
    l->moves[n] = x.item;
    return true;
}
