/* SPDX-License-Identifier: Apache-2.0
 * Constant nodes become initializers of the same name, and the cheap operators that some exporters leave between a
 * weight and its user (see lib/fold.h) are worked out. Only the main graph: the bodies of If, Loop and Scan keep theirs. A value that is a graph output keeps the node that makes it. */
#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "pass/lib/fold.h"
#include "pass/pass.h"

struct lift {
    const struct qn_graph *graph;
    struct qn_edit        *edit;
    struct qn_arena       *scratch;
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
    return inputs ? qn_fold(node, inputs, qn_edit_arena(lift->edit)) : NULL;
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

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    struct qn_arena scratch = { 0 };
    struct lift     lift = { .graph = graph, .edit = edit, .scratch = &scratch };
    qonnx_status    status = QONNX_E_NOMEM;

    (void)again; /* nodes are in order, so one round sees every chain whole */
    lift.known = qn_arena_array(&scratch, graph->value_count, sizeof(Onnx__TensorProto *));
    lift.alias = qn_arena_array(&scratch, graph->value_count, sizeof *lift.alias);
    lift.gone = qn_arena_array(&scratch, graph->node_count, sizeof *lift.gone);
    if (qn_arena_failed(&scratch)) {
        status = qn_fail_nomem(err);
    } else {
        for (size_t v = 0; v < graph->value_count; v++) lift.alias[v] = QN_NONE;
        for (qn_node_id n = 0; n < graph->node_count; n++) visit(&lift, n);
        status = qn_arena_failed(&scratch) ? qn_fail_nomem(err) : finish(&lift, &scratch, err);
    }
    qn_arena_release(&scratch);
    return status;
}

const struct qn_pass qn_pass_lift_constants = { "lift_constants",
                                                "Constant nodes and trivial operators on constants become initializers",
                                                run };
