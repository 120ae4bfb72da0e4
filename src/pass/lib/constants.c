/* SPDX-License-Identifier: Apache-2.0 */
#include "pass/lib/constants.h"

#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "pass/lib/fold.h"

struct lift {
    const struct qn_graph *graph;
    struct qn_edit        *edit;
    struct qn_arena       *scratch;
    qn_fold_fn             fold;
    Onnx__TensorProto    **known; /* by value: the constant it turned out to be */
    qn_value_id           *alias; /* by value: the constant it is another name of, else QN_NONE */
    bool                  *gone;  /* by node */
};

/* The constant behind an input and the value it belongs to, also one found in this round. */
static Onnx__TensorProto *constant(const struct lift *lift, qn_node_id node, size_t slot, qn_value_id *value)
{
    qn_value_id id = qn_node_input(lift->graph, node, slot);

    if (id != QN_NONE && lift->alias[id] != QN_NONE) id = lift->alias[id];
    if (value) *value = id;
    if (id == QN_NONE) return NULL;
    return lift->known[id] ? lift->known[id] : lift->graph->values[id].init;
}

static Onnx__TensorProto *fold(struct lift *lift, qn_node_id n)
{
    const Onnx__NodeProto    *node = lift->graph->pb->node[n];
    const Onnx__TensorProto **inputs = qn_arena_array(lift->scratch, node->n_input, sizeof(Onnx__TensorProto *));

    for (size_t slot = 0; inputs && slot < node->n_input; slot++) inputs[slot] = constant(lift, n, slot, NULL);
    return inputs ? lift->fold(node, inputs, qn_edit_arena(lift->edit)) : NULL;
}

static void visit(struct lift *lift, qn_node_id n)
{
    const struct qn_graph *graph = lift->graph;
    const Onnx__NodeProto *node = graph->pb->node[n];
    struct qn_arena       *arena = qn_edit_arena(lift->edit);
    qn_value_id            out = qn_node_output(graph, n, 0), source;
    if (node->n_output != 1 || out == QN_NONE || (graph->values[out].flags & QN_OUTPUT) ||
        !qn_node_is(graph, n, node->op_type))
        return;
    if (qn_node_is(graph, n, "Constant")) {
        lift->known[out] = qn_fold_constant(node, arena);
    } else if (constant(lift, n, 0, &source)) {
        if (qn_node_is(graph, n, "Identity") && node->n_input == 1)
            lift->alias[out] = source;
        else
            lift->known[out] = fold(lift, n);
    }
    lift->gone[n] = lift->known[out] || lift->alias[out] != QN_NONE;
    if (lift->gone[n]) qn_edit_remove_node(lift->edit, n);
}

static bool still_used(const struct lift *lift, const struct qn_value *value)
{
    for (uint32_t i = 0; i < value->use_count; i++)
        if (!lift->gone[lift->graph->uses[value->use_at + i].node]) return true;
    return false;
}

/* Adds what the remaining nodes read; constants on the way to others are never written. */
static qonnx_status finish(struct lift *lift, struct qn_arena *scratch, qonnx_error *err)
{
    const struct qn_graph *graph = lift->graph;
    bool                  *needed = qn_arena_array(scratch, graph->value_count, sizeof *needed);
    bool                   any = false;

    if (!needed) return qn_fail_nomem(err);
    for (qn_value_id v = 0; v < graph->value_count; v++) {
        qn_value_id source = lift->alias[v];
        if (!lift->known[v] && source == QN_NONE) continue;
        any = true;
        if (source == QN_NONE) source = v;
        if (!still_used(lift, &graph->values[v])) continue;
        needed[source] = true;
        if (source != v) qn_edit_redirect(lift->edit, v, graph->values[source].name);
    }
    for (qn_value_id v = 0; v < graph->value_count; v++) {
        if (lift->known[v] && needed[v])
            qn_edit_add_initializer(lift->edit, lift->known[v]);
        else if (lift->known[v] || lift->alias[v] != QN_NONE)
            qn_edit_drop_value_info(lift->edit, graph->values[v].name);
    }
    if (any) qn_edit_drop_unused(lift->edit);
    return QONNX_OK;
}

qonnx_status qn_lift_constants(const struct qn_graph *graph, struct qn_edit *edit, qn_fold_fn how, qonnx_error *err)
{
    struct qn_arena scratch = { 0 };
    struct lift     lift = { .graph = graph, .edit = edit, .scratch = &scratch, .fold = how };
    qonnx_status    status = QONNX_E_NOMEM;

    lift.known = qn_arena_array(&scratch, graph->value_count, sizeof(Onnx__TensorProto *));
    lift.alias = qn_arena_array(&scratch, graph->value_count, sizeof *lift.alias);
    lift.gone = qn_arena_array(&scratch, graph->node_count, sizeof *lift.gone);
    if (qn_arena_failed(&scratch)) {
        status = qn_fail_nomem(err);
    } else {
        for (size_t v = 0; v < graph->value_count; v++) lift.alias[v] = QN_NONE;
        for (qn_node_id n = 0; n < graph->node_count; n++) visit(&lift, n); /* in order, so that chains are seen whole */
        status = qn_arena_failed(&scratch) ? qn_fail_nomem(err) : finish(&lift, &scratch, err);
    }
    qn_arena_release(&scratch);
    return status;
}
