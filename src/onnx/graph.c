/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/graph.h"

#include <stdio.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/scopes.h"

enum { MAX_DEPTH = 64 }; /* of nested graphs; the reader's limit on messages is lower */

/* A nested graph's own names, and the scope around it. */
struct scope {
    const struct scope *outer;
    struct qn_names     names;
};

struct builder {
    struct qn_graph *graph;
    size_t           value_capacity, use_capacity;
    struct pending { /* uses in order of appearance, sorted into the flat array at the end */
        qn_value_id   value;
        struct qn_use use;
    } *pending;
    size_t       pending_count;
    qonnx_error *err;
};

bool qn_node_has_body(const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (node->attribute[i]->g || node->attribute[i]->n_graphs || qn_is_flat_body(node->attribute[i])) return true;
    return false;
}

static struct qn_value *value_of(struct builder *b, const char *name)
{
    struct qn_graph *g = b->graph;
    size_t           before = g->names.count;
    qn_value_id      id = qn_names_intern(&g->names, name);
    struct qn_value *grown;

    if (id == QN_NONE) return NULL;
    if (id < before) return &g->values[id];
    grown = qn_arena_grow(&g->arena, g->values, id, &b->value_capacity, sizeof *grown);
    if (!grown) return NULL;
    g->values = grown;
    g->value_count = id + 1u;
    grown[id] = (struct qn_value){ .name = name, .producer = QN_NONE, .rank = -1 };
    return &grown[id];
}

static void set_shape(struct builder *b, struct qn_value *value, const Onnx__TypeProto *type)
{
    const Onnx__TypeProto__Tensor *tensor;
    int64_t                       *dims;

    if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type) return;
    tensor = type->tensor_type;
    value->dtype = tensor->elem_type;
    if (!tensor->shape || tensor->shape->n_dim > INT32_MAX) return;
    if (!(dims = qn_arena_array(&b->graph->arena, tensor->shape->n_dim, sizeof *dims))) return;
    for (size_t i = 0; i < tensor->shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = tensor->shape->dim[i];
        bool known = dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && dim->dim_value >= 0;
        dims[i] = known ? dim->dim_value : -1;
    }
    value->rank = (int32_t)tensor->shape->n_dim;
    value->dims = dims;
}

/* Graph inputs and initializers; an initializer may carry an input's name (IR 3 asks for it). */
static qonnx_status add_sources(struct builder *b)
{
    Onnx__GraphProto *pb = b->graph->pb;
    struct qn_value  *value;

    for (size_t i = 0; i < pb->n_input; i++) {
        const char *name = pb->input[i]->name;
        if (!name || !*name) return qn_fail(b->err, QONNX_E_FORMAT, "graph input %zu has no name", i);
        if (qn_names_find(&b->graph->names, name) != QN_NONE) return qn_fail(b->err, QONNX_E_FORMAT, "graph input '%s' is defined twice", name);
        if (!(value = value_of(b, name))) return qn_fail_nomem(b->err);
        value->flags = QN_INPUT;
        set_shape(b, value, pb->input[i]->type);
    }
    for (size_t i = 0; i < pb->n_initializer; i++) {
        Onnx__TensorProto *init = pb->initializer[i];
        if (!init->name || !*init->name) return qn_fail(b->err, QONNX_E_FORMAT, "initializer %zu has no name", i);
        if (!(value = value_of(b, init->name))) return qn_fail_nomem(b->err);
        if (value->init) return qn_fail(b->err, QONNX_E_FORMAT, "initializer '%s' is defined twice", init->name);
        value->init = init;
        value->flags &= (uint16_t)~QN_INPUT;
        value->dtype = init->data_type;
        value->rank = (int32_t)init->n_dims;
        value->dims = init->dims;
    }
    for (size_t i = 0; i < pb->n_sparse_initializer; i++) {
        Onnx__TensorProto *values = pb->sparse_initializer[i]->values;
        if (!values || !values->name || !*values->name) return qn_fail(b->err, QONNX_E_FORMAT, "sparse initializer %zu has no name", i);
        if (qn_names_find(&b->graph->names, values->name) != QN_NONE) return qn_fail(b->err, QONNX_E_FORMAT, "sparse initializer '%s' is defined twice", values->name);
        if (!(value = value_of(b, values->name))) return qn_fail_nomem(b->err);
        value->dtype = values->data_type;
    }
    return QONNX_OK;
}

static qonnx_status add_use(struct builder *b, qn_value_id value, qn_node_id node, uint16_t slot)
{
    struct pending *grown = qn_arena_grow(&b->graph->arena, b->pending, b->pending_count, &b->use_capacity, sizeof *grown);

    if (!grown) return qn_fail_nomem(b->err);
    b->pending = grown;
    grown[b->pending_count++] = (struct pending){ value, { node, slot } };
    b->graph->values[value].use_count++;
    return QONNX_OK;
}

static bool in_scope(const struct scope *scope, const char *name)
{
    for (; scope; scope = scope->outer)
        if (qn_names_find(&scope->names, name) != QN_NONE) return true;
    return false;
}

static qonnx_status capture(struct builder *b, const struct scope *scope, const char *name, qn_node_id holder)
{
    qn_value_id id;

    if (!name || !*name || in_scope(scope, name)) return QONNX_OK;
    id = qn_names_find(&b->graph->names, name);
    if (id == QN_NONE && qn_arena_failed(&b->graph->arena)) return qn_fail_nomem(b->err); /* the scope lost a name */
    if (id == QN_NONE) return qn_fail(b->err, QONNX_E_FORMAT, "a nested graph reads '%s', which is not defined before it", name);
    b->graph->values[id].flags |= QN_CAPTURED;
    return add_use(b, id, holder, QN_SLOT_CAPTURED);
}

/* Finds what the nested graphs of one node read from the main graph. */
static qonnx_status walk_bodies(struct builder *b, const struct scope *outer, const Onnx__NodeProto *node, qn_node_id holder, int depth);

static qonnx_status walk_body(struct builder *b, const struct scope *outer, const Onnx__GraphProto *body, qn_node_id holder, int depth)
{
    struct scope scope = { .outer = outer };

    if (depth > MAX_DEPTH) return qn_fail(b->err, QONNX_E_LIMIT, "graphs are nested more than %d deep", MAX_DEPTH);
    qn_names_init(&scope.names, &b->graph->arena);
    for (size_t i = 0; i < body->n_input; i++) qn_names_intern(&scope.names, body->input[i]->name ? body->input[i]->name : "");
    for (size_t i = 0; i < body->n_initializer; i++) qn_names_intern(&scope.names, body->initializer[i]->name ? body->initializer[i]->name : "");
    for (size_t i = 0; i < body->n_sparse_initializer; i++) {
        const Onnx__TensorProto *values = body->sparse_initializer[i]->values;
        if (values && values->name) qn_names_intern(&scope.names, values->name);
    }
    for (size_t n = 0; n < body->n_node; n++) {
        const Onnx__NodeProto *node = body->node[n];
        for (size_t i = 0; i < node->n_input; i++) QN_TRY(capture(b, &scope, node->input[i], holder));
        QN_TRY(walk_bodies(b, &scope, node, holder, depth));
        for (size_t i = 0; i < node->n_output; i++) qn_names_intern(&scope.names, node->output[i]);
    }
    for (size_t i = 0; i < body->n_output; i++) QN_TRY(capture(b, &scope, body->output[i]->name, holder));
    return qn_arena_failed(&b->graph->arena) ? qn_fail_nomem(b->err) : QONNX_OK;
}

static qonnx_status walk_bodies(struct builder *b, const struct scope *outer, const Onnx__NodeProto *node, qn_node_id holder, int depth)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        const Onnx__AttributeProto *attr = node->attribute[i];
        if (attr->g) QN_TRY(walk_body(b, outer, attr->g, holder, depth + 1));
        for (size_t k = 0; k < attr->n_graphs; k++) QN_TRY(walk_body(b, outer, attr->graphs[k], holder, depth + 1));
    }
    return QONNX_OK;
}

static qonnx_status add_node(struct builder *b, qn_node_id id)
{
    struct qn_graph *g = b->graph;
    Onnx__NodeProto *node = g->pb->node[id];

    if (!node->op_type || !*node->op_type) return qn_fail(b->err, QONNX_E_FORMAT, "node #%u has no op_type", id);
    if (node->n_input >= QN_SLOT_CAPTURED || node->n_output >= QN_SLOT_CAPTURED) return qn_fail(b->err, QONNX_E_LIMIT, "%s has too many inputs or outputs", qn_node_label(g, id));
    for (size_t slot = 0; slot < node->n_input; slot++) {
        qn_value_id value;
        if (!*node->input[slot]) continue;
        value = qn_names_find(&g->names, node->input[slot]);
        if (value == QN_NONE)
            return qn_fail(b->err, QONNX_E_FORMAT, "%s reads '%s', which nothing before it defines (missing, out of order or a cycle)", qn_node_label(g, id), node->input[slot]);
        QN_TRY(add_use(b, value, id, (uint16_t)slot));
    }
    QN_TRY(walk_bodies(b, NULL, node, id, 0));
    for (size_t slot = 0; slot < node->n_output; slot++) {
        struct qn_value *value;
        if (!*node->output[slot]) continue;
        if (qn_names_find(&g->names, node->output[slot]) != QN_NONE)
            return qn_fail(b->err, QONNX_E_FORMAT, "%s defines '%s', which is defined already", qn_node_label(g, id), node->output[slot]);
        if (!(value = value_of(b, node->output[slot]))) return qn_fail_nomem(b->err);
        value->producer = id;
        value->producer_slot = (uint16_t)slot;
    }
    return QONNX_OK;
}

static qonnx_status add_outputs_and_types(struct builder *b)
{
    struct qn_graph *g = b->graph;

    for (size_t i = 0; i < g->pb->n_output; i++) {
        const char *name = g->pb->output[i]->name;
        qn_value_id id = name ? qn_names_find(&g->names, name) : QN_NONE;
        if (id == QN_NONE) return qn_fail(b->err, QONNX_E_FORMAT, "graph output '%s' is not defined by anything", name ? name : "");
        g->values[id].flags |= QN_OUTPUT;
        if (!g->values[id].dtype) set_shape(b, &g->values[id], g->pb->output[i]->type);
    }
    for (size_t i = 0; i < g->pb->n_value_info; i++) {
        const char *name = g->pb->value_info[i]->name;
        qn_value_id id = name ? qn_names_find(&g->names, name) : QN_NONE;
        if (id != QN_NONE && !g->values[id].dtype) set_shape(b, &g->values[id], g->pb->value_info[i]->type);
    }
    return QONNX_OK;
}

static qonnx_status sort_uses(struct builder *b)
{
    struct qn_graph *g = b->graph;
    uint32_t         at = 0, *fill;

    g->uses = qn_arena_array(&g->arena, b->pending_count, sizeof *g->uses);
    fill = qn_arena_array(&g->arena, g->value_count, sizeof *fill);
    if (!g->uses || !fill) return qn_fail_nomem(b->err);
    for (size_t v = 0; v < g->value_count; v++) {
        g->values[v].use_at = fill[v] = at;
        at += g->values[v].use_count;
    }
    for (size_t i = 0; i < b->pending_count; i++) g->uses[fill[b->pending[i].value]++] = b->pending[i].use;
    return QONNX_OK;
}

/* Marks come in pairs: whoever lays bodies out flat sees to that. */
static qonnx_status find_scopes(struct builder *b)
{
    struct qn_graph *g = b->graph;
    qn_node_id       scope = QN_NONE;

    if (!(g->scopes = qn_arena_array(&g->arena, g->node_count, sizeof *g->scopes))) return qn_fail_nomem(b->err);
    for (qn_node_id n = 0; n < g->node_count; n++) {
        g->scopes[n] = scope;
        if (qn_is_enter(g->pb->node[n])) scope = n;
        if (qn_is_leave(g->pb->node[n])) scope = g->scopes[scope];
    }
    return QONNX_OK;
}

static qonnx_status build(struct builder *b)
{
    struct qn_graph *g = b->graph;

    if (!g->pb) return qn_fail(b->err, QONNX_E_FORMAT, "the model has no graph");
    if (g->pb->n_node >= QN_NONE) return qn_fail(b->err, QONNX_E_LIMIT, "the graph has too many nodes");
    g->node_count = g->pb->n_node;
    QN_TRY(add_sources(b));
    for (qn_node_id id = 0; id < g->node_count; id++) QN_TRY(add_node(b, id));
    QN_TRY(add_outputs_and_types(b));
    QN_TRY(sort_uses(b));
    QN_TRY(find_scopes(b));
    return qn_arena_failed(&g->arena) ? qn_fail_nomem(b->err) : QONNX_OK;
}

qonnx_status qn_graph_build(struct qn_graph *graph, struct qn_model *model, qonnx_error *err)
{
    struct builder b = { .graph = graph, .err = err };
    qonnx_status   status;

    memset(graph, 0, sizeof *graph);
    graph->model = model;
    graph->pb = model->pb->graph;
    qn_names_init(&graph->names, &graph->arena);
    status = build(&b);
    if (status != QONNX_OK) qn_graph_release(graph);
    return status;
}

void qn_graph_release(struct qn_graph *graph)
{
    qn_arena_release(&graph->arena);
    memset(graph, 0, sizeof *graph);
}

qn_value_id qn_graph_find(const struct qn_graph *graph, const char *name)
{
    return name && *name ? qn_names_find(&graph->names, name) : QN_NONE;
}

qn_value_id qn_node_input(const struct qn_graph *graph, qn_node_id node, size_t slot)
{
    const Onnx__NodeProto *pb = graph->pb->node[node];
    return slot < pb->n_input ? qn_graph_find(graph, pb->input[slot]) : QN_NONE;
}

qn_value_id qn_node_output(const struct qn_graph *graph, qn_node_id node, size_t slot)
{
    const Onnx__NodeProto *pb = graph->pb->node[node];
    return slot < pb->n_output ? qn_graph_find(graph, pb->output[slot]) : QN_NONE;
}

Onnx__TensorProto *qn_node_constant(const struct qn_graph *graph, qn_node_id node, size_t slot)
{
    qn_value_id value = qn_node_input(graph, node, slot);
    return value == QN_NONE ? NULL : graph->values[value].init;
}

qn_node_id qn_value_only_user(const struct qn_graph *graph, qn_value_id value)
{
    const struct qn_value *v = &graph->values[value];
    qn_node_id             user;

    if (v->use_count != 1 || v->flags & (QN_OUTPUT | QN_CAPTURED)) return QN_NONE;
    user = graph->uses[v->use_at].node;
    return graph->scopes[user] == qn_value_scope(graph, value) ? user : QN_NONE;
}

qn_node_id qn_value_scope(const struct qn_graph *graph, qn_value_id value)
{
    qn_node_id producer = graph->values[value].producer;

    if (producer == QN_NONE) return QN_NONE;
    return qn_is_enter(graph->pb->node[producer]) ? producer : graph->scopes[producer];
}

bool qn_node_is(const struct qn_graph *graph, qn_node_id node, const char *op_type)
{
    const Onnx__NodeProto *pb = graph->pb->node[node];
    bool default_domain = !pb->domain || !*pb->domain || strcmp(pb->domain, "ai.onnx") == 0;
    return default_domain && strcmp(pb->op_type, op_type) == 0;
}

/* Foreign text must not reach a terminal's control functions. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

/* Recursion is as deep as the bodies are. */
void qn_node_put_path(const struct qn_graph *graph, qn_node_id node, struct qn_strbuf *text)
{
    qn_node_id scope = graph->scopes[node];

    if (scope == QN_NONE) return;
    qn_node_put_path(graph, scope, text);
    qn_strbuf_puts(text, graph->pb->node[scope]->name);
    qn_strbuf_puts(text, "/");
}

const char *qn_node_label(const struct qn_graph *graph, qn_node_id node)
{
    static _Thread_local char label[256];
    const Onnx__NodeProto    *pb = graph->pb->node[node];

    if (pb->name && *pb->name)
        snprintf(label, sizeof label, "node '%.150s' (%.60s)", pb->name, pb->op_type);
    else
        snprintf(label, sizeof label, "node #%u (%.60s)", node, pb->op_type);
    make_printable(label);
    return label;
}

static void dump_type(const struct qn_value *value, struct qn_strbuf *text)
{
    if (!value->dtype) return;
    qn_strbuf_printf(text, " %s", qn_dtype_name(value->dtype));
    if (value->rank < 0) return;
    qn_strbuf_puts(text, "[");
    for (int32_t i = 0; i < value->rank; i++) {
        if (value->dims[i] < 0)
            qn_strbuf_puts(text, i ? ",?" : "?");
        else
            qn_strbuf_printf(text, "%s%lld", i ? "," : "", (long long)value->dims[i]);
    }
    qn_strbuf_puts(text, "]");
}

void qn_graph_dump(const struct qn_graph *graph, struct qn_strbuf *text)
{
    for (size_t v = 0; v < graph->value_count; v++) {
        const struct qn_value *value = &graph->values[v];
        if (value->producer != QN_NONE) continue;
        qn_strbuf_puts(text, value->init ? "constant " : value->flags & QN_INPUT ? "input " : "sparse ");
        qn_strbuf_quote(text, value->name);
        dump_type(value, text);
        qn_strbuf_puts(text, "\n");
    }
    for (qn_node_id n = 0; n < graph->node_count; n++) {
        const Onnx__NodeProto *node = graph->pb->node[n];
        size_t                 start = text->length;
        qn_strbuf_printf(text, "#%u ", n);
        qn_strbuf_printf(text, "%s%s%s", node->domain && *node->domain ? node->domain : "", node->domain && *node->domain ? "." : "", node->op_type);
        make_printable(text->text + start);
        for (size_t i = 0; i < node->n_input; i++) {
            qn_strbuf_puts(text, i ? ", " : " ");
            qn_strbuf_quote(text, node->input[i]);
        }
        qn_strbuf_puts(text, " ->");
        for (size_t i = 0; i < node->n_output; i++) {
            qn_value_id id = qn_node_output(graph, n, i);
            qn_strbuf_puts(text, i ? ", " : " ");
            qn_strbuf_quote(text, node->output[i]);
            if (id == QN_NONE) continue;
            dump_type(&graph->values[id], text);
            if (graph->values[id].flags & QN_OUTPUT) qn_strbuf_puts(text, " output");
            if (graph->values[id].flags & QN_CAPTURED) qn_strbuf_puts(text, " captured");
        }
        qn_strbuf_puts(text, "\n");
    }
}
