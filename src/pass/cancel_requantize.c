/* SPDX-License-Identifier: Apache-2.0
 * Codes that are dequantized and quantized again with the same numbers are the same codes: readers of the second take the
 * first. Such pairs stand where a model has integers as inputs or outputs. */
#include <string.h>

#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "pass/pass.h"

static bool same_bytes(const Onnx__TensorProto *a, const Onnx__TensorProto *b)
{
    struct qn_arena scratch = { 0 };
    const float    *x, *y;
    const int64_t  *i, *k;
    size_t          n = 0, m = 1;
    bool            same = false;

    if (a == b) return true;
    if (!a || !b || a->data_type != b->data_type || a->n_dims > 1 || b->n_dims > 1) return false;
    if (qn_tensor_ints(a, &scratch, &i, &n, NULL) == QONNX_OK && qn_tensor_ints(b, &scratch, &k, &m, NULL) == QONNX_OK)
        same = n == m && memcmp(i, k, n * sizeof *i) == 0;
    else if (qn_tensor_floats(a, &scratch, &x, &n, NULL) == QONNX_OK &&
             qn_tensor_floats(b, &scratch, &y, &m, NULL) == QONNX_OK)
        same = n == m && memcmp(x, y, n * sizeof *x) == 0;
    qn_arena_release(&scratch);
    return same;
}

/* The DequantizeLinear before a QuantizeLinear of the same numbers, or QN_NONE. */
static qn_node_id counterpart(const struct qn_graph *g, qn_node_id q)
{
    const Onnx__NodeProto *a = g->pb->node[q], *b;
    qn_value_id            x = qn_node_input(g, q, 0);
    qn_node_id             dq = x == QN_NONE ? QN_NONE : g->values[x].producer;

    if (dq == QN_NONE || !qn_node_is(g, q, "QuantizeLinear") || !qn_node_is(g, dq, "DequantizeLinear")) return QN_NONE;
    b = g->pb->node[dq];
    if (a->n_input != 3 || b->n_input != 3 || a->n_output != 1 || qn_attr_int(a, "block_size", 0) ||
        qn_attr_int(b, "block_size", 0))
        return QN_NONE;
    if (!same_bytes(qn_node_constant(g, q, 1), qn_node_constant(g, dq, 1)) ||
        !same_bytes(qn_node_constant(g, q, 2), qn_node_constant(g, dq, 2)))
        return QN_NONE;
    if (!qn_node_constant(g, q, 1) || !qn_node_constant(g, q, 2) ||
        qn_attr_int(a, "axis", 1) != qn_attr_int(b, "axis", 1))
        return QN_NONE;
    return dq;
}

/* True when nothing but the Q reads what the DQ makes. */
static bool only_for(const struct qn_graph *g, qn_node_id dq, qn_node_id q)
{
    qn_value_id out = qn_node_output(g, dq, 0);
    return out != QN_NONE && qn_value_only_user(g, out) == q;
}

/* False when something that the pair leans on has been changed in this round. */
static bool cancel(const struct qn_graph *g, struct qn_edit *edit, qn_node_id q, qn_node_id dq, bool *touched)
{
    qn_value_id codes = qn_node_input(g, dq, 0), out = qn_node_output(g, q, 0), value = qn_node_output(g, dq, 0);
    const struct qn_value *from = codes == QN_NONE ? NULL : &g->values[codes];

    if (!from || out == QN_NONE || g->values[out].flags & QN_CAPTURED) return true;
    if (touched[q] || touched[dq] || (from->producer != QN_NONE && touched[from->producer])) return false;
    if (g->values[out].flags & QN_OUTPUT) { /* the codes take the output's name, if they may change theirs */
        if (from->producer == QN_NONE || from->flags & (QN_OUTPUT | QN_CAPTURED)) return true;
        qn_edit_set_output(edit, from->producer, from->producer_slot, g->values[out].name);
        qn_edit_redirect(edit, codes, g->values[out].name);
        qn_edit_drop_value_info(edit, from->name);
        touched[from->producer] = true;
    } else {
        qn_edit_redirect(edit, out, from->name);
    }
    qn_edit_drop_value_info(edit, g->values[out].name);
    qn_edit_remove_node(edit, q);
    touched[q] = touched[dq] = true;
    if (!only_for(g, dq, q)) return true;
    qn_edit_drop_value_info(edit, g->values[value].name);
    qn_edit_remove_node(edit, dq);
    return true;
}

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    struct qn_arena scratch = { 0 };
    bool           *touched = qn_arena_array(&scratch, graph->node_count, sizeof *touched);

    if (!touched) return qn_fail_nomem(err);
    for (qn_node_id q = 0; q < graph->node_count; q++) {
        qn_node_id dq = counterpart(graph, q);
        if (dq != QN_NONE && !cancel(graph, edit, q, dq, touched)) *again = true;
    }
    qn_edit_drop_unused(edit);
    qn_arena_release(&scratch);
    return QONNX_OK;
}

const struct qn_pass qn_pass_cancel_requantize = {
    "cancel_requantize", "no quantizing again of what was just dequantized with the same numbers", run
};
