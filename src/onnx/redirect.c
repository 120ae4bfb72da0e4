/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/redirect.h"

/* The names that a nested graph has defined so far, and the scope around it; the main graph's is NULL. */
struct scope {
    const struct scope *outer;
    struct qn_names     names;
};

struct work {
    const struct qn_graph *graph;
    const char *const     *redirect;
    struct qn_arena       *scratch;
    qonnx_error           *err;
};

static bool in_scope(const struct scope *scope, const char *name)
{
    for (; scope; scope = scope->outer)
        if (qn_names_find(&scope->names, name) != QN_NONE) return true;
    return false;
}

static void define(struct scope *scope, const char *name)
{
    if (name && *name) qn_names_intern(&scope->names, name);
}

/* Where a name leads after all redirections, which cannot be more than there are values. */
static const char *resolve(const struct work *work, const char *name)
{
    for (size_t steps = 0; steps <= work->graph->value_count; steps++) {
        qn_value_id id = qn_graph_find(work->graph, name);
        if (id == QN_NONE || !work->redirect[id]) break;
        name = work->redirect[id];
    }
    return name;
}

static qonnx_status redirect_name(const struct work *work, const struct scope *scope, char **name)
{
    const char *resolved;

    if (!*name || in_scope(scope, *name)) return QONNX_OK;
    resolved = resolve(work, *name);
    if (resolved == *name) return QONNX_OK;
    if (in_scope(scope, resolved))
        return qn_fail(work->err, QONNX_E_FORMAT,
                       "a nested graph has a value named '%s' like one of the graph around it; rename either", resolved);
    *name = (char *)(uintptr_t)resolved;
    return QONNX_OK;
}

static qonnx_status redirect_body(const struct work *work, const struct scope *outer, Onnx__GraphProto *body);

static qonnx_status redirect_node(const struct work *work, const struct scope *scope, Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_input; i++) QN_TRY(redirect_name(work, scope, &node->input[i]));
    for (size_t i = 0; i < node->n_attribute; i++) { /* depth was limited when the graph was built */
        const Onnx__AttributeProto *attr = node->attribute[i];
        if (attr->g) QN_TRY(redirect_body(work, scope, attr->g));
        for (size_t k = 0; k < attr->n_graphs; k++) QN_TRY(redirect_body(work, scope, attr->graphs[k]));
    }
    return QONNX_OK;
}

/* An output of a nested graph may be a value of the graph around it; it then has the new name. */
static qonnx_status redirect_body(const struct work *work, const struct scope *outer, Onnx__GraphProto *body)
{
    struct scope scope = { .outer = outer };

    qn_names_init(&scope.names, work->scratch);
    for (size_t i = 0; i < body->n_input; i++) define(&scope, body->input[i]->name);
    for (size_t i = 0; i < body->n_initializer; i++) define(&scope, body->initializer[i]->name);
    for (size_t i = 0; i < body->n_sparse_initializer; i++)
        if (body->sparse_initializer[i]->values) define(&scope, body->sparse_initializer[i]->values->name);
    for (size_t n = 0; n < body->n_node; n++) {
        QN_TRY(redirect_node(work, &scope, body->node[n]));
        for (size_t i = 0; i < body->node[n]->n_output; i++) define(&scope, body->node[n]->output[i]);
    }
    for (size_t i = 0; i < body->n_output; i++) QN_TRY(redirect_name(work, &scope, &body->output[i]->name));
    return QONNX_OK;
}

qonnx_status qn_redirect_uses(const struct qn_graph *graph, const char *const *redirect, struct qn_arena *scratch,
                              qonnx_error *err)
{
    struct work work = { graph, redirect, scratch, err };

    for (size_t n = 0; n < graph->pb->n_node; n++) QN_TRY(redirect_node(&work, NULL, graph->pb->node[n]));
    return QONNX_OK;
}
