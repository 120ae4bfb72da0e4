/* SPDX-License-Identifier: Apache-2.0
 * What changed in each operator is the table of opset.c; this file takes it through all nodes, those of nested graphs
 * included, which share the opset of the model. Nodes that change are changed in copies, and so are the graphs and nodes
 * around them: when one node cannot be raised, the pass fails with its name and the model is as it was. */
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "pass/lib/opset.h"

/* Copied nested graphs whose nodes are still to be looked at. */
struct work {
    struct qn_arena    scratch;
    Onnx__GraphProto **todo;
    size_t             count, room;
};

static Onnx__GraphProto *copy_body(struct qn_raise *r, struct work *work, const Onnx__GraphProto *body)
{
    Onnx__GraphProto *copy = (Onnx__GraphProto *)(void *)qn_arena_memdup(r->arena, body, sizeof *body);
    void *todo = qn_arena_grow(&work->scratch, (void *)work->todo, work->count, &work->room, sizeof *work->todo);

    if (!copy || !todo) return NULL;
    work->todo = todo;
    work->todo[work->count++] = copy;
    return copy;
}

/* Gives the node, which is a copy, copies of its bodies and puts those on the list. */
static qonnx_status copy_bodies(struct qn_raise *r, struct work *work)
{
    for (size_t i = 0; i < r->node->n_attribute; i++) {
        Onnx__AttributeProto *attr = r->node->attribute[i];
        if (!attr->g && !attr->n_graphs) continue;
        attr = (Onnx__AttributeProto *)(void *)qn_arena_memdup(r->arena, attr, sizeof *attr);
        if (!attr) return qn_fail_nomem(r->err);
        r->node->attribute[i] = attr;
        if (attr->g && !(attr->g = copy_body(r, work, attr->g))) return qn_fail_nomem(r->err);
        if (!attr->n_graphs) continue;
        attr->graphs =
            (Onnx__GraphProto **)(void *)qn_arena_memdup(r->arena, attr->graphs, attr->n_graphs * sizeof *attr->graphs);
        for (size_t k = 0; attr->graphs && k < attr->n_graphs; k++)
            if (!(attr->graphs[k] = copy_body(r, work, attr->graphs[k]))) return qn_fail_nomem(r->err);
        if (!attr->graphs) return qn_fail_nomem(r->err);
    }
    return QONNX_OK;
}

/* r->node becomes what stands for `node` now, with r->before before it; NULL when nothing changes. */
static qonnx_status raise_one(struct qn_raise *r, struct work *work, const Onnx__NodeProto *node)
{
    bool concerns = qn_raise_concerns(node, r->from, r->to), holds = qn_node_has_body(node);

    r->node = NULL;
    r->before_count = 0;
    if (!concerns && !holds) return QONNX_OK;
    if (!(r->node = qn_node_copy(r->arena, node))) return qn_fail_nomem(r->err);
    if (holds) QN_TRY(copy_bodies(r, work));
    return concerns ? qn_raise_node(r) : QONNX_OK;
}

static qonnx_status raise_main(struct qn_raise *r, struct work *work)
{
    for (qn_node_id n = 0; n < r->graph->node_count; n++) {
        QN_TRY(raise_one(r, work, r->graph->pb->node[n]));
        if (!r->node) continue;
        for (size_t i = 0; i < r->before_count; i++) qn_edit_insert_before(r->edit, n, r->before[i]);
        qn_edit_replace_node(r->edit, n, r->node);
    }
    return QONNX_OK;
}

static qonnx_status raise_body(struct qn_raise *r, struct work *work, Onnx__GraphProto *body)
{
    size_t            most = sizeof r->before / sizeof *r->before + 1, out = 0;
    Onnx__NodeProto **list = qn_arena_array(r->arena, body->n_node * most, sizeof(Onnx__NodeProto *));

    if (!list) return qn_fail_nomem(r->err);
    r->body = body;
    for (size_t n = 0; n < body->n_node; n++) {
        QN_TRY(raise_one(r, work, body->node[n]));
        for (size_t i = 0; i < r->before_count; i++) list[out++] = r->before[i];
        list[out++] = r->node ? r->node : body->node[n];
    }
    body->node = list;
    body->n_node = out;
    return QONNX_OK;
}

/* ---- is float the only floating type? ---- */

static bool other_float(int64_t type)
{
    const struct qn_dtype *dtype =
        type != QN_FLOAT && type > 0 && type < INT32_MAX ? qn_dtype_find((int32_t)type) : NULL;
    return dtype && dtype->is_float;
}

static bool declares_other(Onnx__ValueInfoProto *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const Onnx__TypeProto *type = list[i]->type;
        if (type && type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE && type->tensor_type &&
            other_float(type->tensor_type->elem_type))
            return true;
    }
    return false;
}

static bool graph_has_other(const Onnx__GraphProto *graph);

static bool node_has_other(const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        const Onnx__AttributeProto *attr = node->attribute[i];
        if (attr->t && other_float(attr->t->data_type)) return true;
        if (attr->g && graph_has_other(attr->g)) return true; /* depth was limited when the graph was built */
        for (size_t k = 0; k < attr->n_graphs; k++)
            if (graph_has_other(attr->graphs[k])) return true;
    }
    return other_float(qn_attr_int(node, "to", 0)) || other_float(qn_attr_int(node, "dtype", 0));
}

static bool graph_has_other(const Onnx__GraphProto *graph)
{
    for (size_t i = 0; i < graph->n_initializer; i++)
        if (other_float(graph->initializer[i]->data_type)) return true;
    for (size_t n = 0; n < graph->n_node; n++)
        if (node_has_other(graph->node[n])) return true;
    return declares_other(graph->input, graph->n_input) || declares_other(graph->output, graph->n_output) ||
           declares_other(graph->value_info, graph->n_value_info);
}

/* ---- the pass ---- */

/* A function has its own opset, but may not disagree with the model's on an operator it uses. */
static qonnx_status check_functions(const Onnx__ModelProto *model, int to, qonnx_error *err)
{
    for (size_t f = 0; f < model->n_functions; f++)
        for (size_t i = 0; i < model->functions[f]->n_opset_import; i++) {
            const Onnx__OperatorSetIdProto *import = model->functions[f]->opset_import[i];
            bool ours = !import->domain || !*import->domain || strcmp(import->domain, "ai.onnx") == 0;
            if (ours && import->version < to)
                return qn_fail(err, QONNX_E_UNSUPPORTED,
                               "model-local function '%.100s' uses opset %lld; functions cannot be raised to %d",
                               model->functions[f]->name ? model->functions[f]->name : "", (long long)import->version,
                               to);
        }
    return QONNX_OK;
}

static qonnx_status raise_all(struct qn_raise *r, struct work *work)
{
    if (!(r->facts = qn_facts(r->graph, &work->scratch))) return qn_fail_nomem(r->err);
    QN_TRY(raise_main(r, work));
    while (work->count) QN_TRY(raise_body(r, work, work->todo[--work->count]));
    if (qn_arena_failed(&work->scratch) || qn_arena_failed(r->arena)) return qn_fail_nomem(r->err);
    qn_edit_set_opset(r->edit, "", r->to);
    return QONNX_OK;
}

qonnx_status qn_raise_model(const struct qn_graph *graph, struct qn_edit *edit, int to, qonnx_error *err)
{
    struct qn_raise r = { .graph = graph, .edit = edit, .arena = qn_edit_arena(edit), .from = qn_model_opset(graph->model, ""), .to = to, .err = err };
    struct work     work = { 0 };
    qonnx_status    status;

    if (!r.from || r.from >= to) return QONNX_OK;
    if (r.from < QN_RAISE_FROM)
        return qn_fail(err, QONNX_E_UNSUPPORTED, "opset %lld is too old to be raised: %d is the oldest",
                       (long long)r.from, QN_RAISE_FROM);
    QN_TRY(check_functions(graph->model->pb, to, err));
    r.all_float = !graph_has_other(graph->pb);
    status = raise_all(&r, &work);
    qn_arena_release(&work.scratch);
    return status;
}
