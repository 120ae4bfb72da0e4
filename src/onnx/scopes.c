/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/scopes.h"

#include <string.h>

#include "base/names.h"
#include "onnx/attr.h"

/* Marks are known by the address of these texts, which nothing that was read from a file can have. */
static char mark_domain[] = "nested", flat_body[] = "nested";

static char *unconst(const char *text) { return (char *)(uintptr_t)text; } /* protobuf-c's texts are not const */

bool qn_is_mark(const Onnx__NodeProto *node) { return node->domain == mark_domain; }
bool qn_is_enter(const Onnx__NodeProto *node) { return qn_is_mark(node) && strcmp(node->op_type, "Enter") == 0; }
bool qn_is_leave(const Onnx__NodeProto *node) { return qn_is_mark(node) && strcmp(node->op_type, "Leave") == 0; }
bool qn_is_flat_body(const Onnx__AttributeProto *attr) { return attr->ref_attr_name == flat_body; }

static size_t body_of(const Onnx__NodeProto *mark) { return (size_t)qn_attr_int(mark, "body", 0); }

/* What is left of a body when its nodes and constants are gone: name, documentation, types of inputs and outputs. */
static bool add_body(struct qn_model *model, const Onnx__GraphProto *body)
{
    Onnx__GraphProto  *shell = (Onnx__GraphProto *)(void *)qn_arena_memdup(&model->arena, body, sizeof *body);
    Onnx__GraphProto **grown = qn_arena_grow(&model->arena, (void *)model->bodies, model->body_count, &model->body_room, sizeof *grown);

    if (!shell || !grown) return false;
    shell->n_node = shell->n_initializer = shell->n_value_info = 0;
    model->bodies = grown;
    grown[model->body_count++] = shell;
    return true;
}

struct qn_marks qn_marks_new(struct qn_model *model, const Onnx__AttributeProto *attr, const char *path, const char *const *inputs, const char *const *outputs)
{
    struct qn_arena *arena = &model->arena;
    int64_t          id = (int64_t)model->body_count;
    struct qn_marks  marks = { qn_node_new(arena, "Enter", path, 0, NULL, attr->g->n_input, inputs), qn_node_new(arena, "Leave", path, attr->g->n_output, outputs, 0, NULL),
                               (Onnx__AttributeProto *)(void *)qn_arena_memdup(arena, attr, sizeof *attr) };

    if (!marks.enter || !marks.leave || !marks.attr || !add_body(model, attr->g)) return (struct qn_marks){ 0 };
    marks.enter->domain = marks.leave->domain = mark_domain;
    qn_attr_set_int(arena, marks.enter, "body", id);
    qn_attr_set_int(arena, marks.leave, "body", id);
    marks.attr->g = NULL;
    marks.attr->ref_attr_name = flat_body;
    marks.attr->has_i = true;
    marks.attr->i = id;
    return marks;
}

/* ---- closing ---- */

/* Scopes; others are bodies, from 1. */
static const uint32_t MAIN = 0, SEVERAL = UINT32_MAX - 1, NOWHERE = UINT32_MAX;

struct closer {
    const struct qn_model  *model;
    const Onnx__GraphProto *flat;
    struct qn_arena        *arena;
    struct qn_names         names;
    uint32_t               *scope; /* by name: where it is defined; of initializers: where it is read */
    bool                   *port;  /* by name: input or output of its scope */
    size_t                  capacity, at;
    Onnx__GraphProto      **made; /* by body */
    bool                    initializers_stay;
};

static uint32_t note(struct closer *c, const char *name, uint32_t scope, bool port)
{
    size_t   before = c->names.count;
    uint32_t id = name && *name ? qn_names_intern(&c->names, name) : QN_NONE;

    if (id == QN_NONE || id >= c->capacity) return QN_NONE; /* the capacity covers every name there is */
    if (id >= before) c->scope[id] = scope;
    c->port[id] |= port;
    return id;
}

/* Initializers first: their scope is that of their readers. */
static void note_read(struct closer *c, size_t initializers, const char *name, uint32_t scope)
{
    uint32_t id = name && *name ? qn_names_find(&c->names, name) : QN_NONE;

    if (id == QN_NONE || id >= initializers || c->scope[id] == scope) return;
    c->scope[id] = c->scope[id] == NOWHERE ? scope : SEVERAL;
}

/* What graphs that stay nested read from outside; their own names do no harm. Recursion is as deep as the messages are. */
static void note_nested(struct closer *c, size_t initializers, const Onnx__NodeProto *node, uint32_t scope);

static void note_graph(struct closer *c, size_t initializers, const Onnx__GraphProto *graph, uint32_t scope)
{
    for (size_t n = 0; n < graph->n_node; n++) {
        for (size_t i = 0; i < graph->node[n]->n_input; i++) note_read(c, initializers, graph->node[n]->input[i], scope);
        note_nested(c, initializers, graph->node[n], scope);
    }
    for (size_t i = 0; i < graph->n_output; i++) note_read(c, initializers, graph->output[i]->name, scope);
}

static void note_nested(struct closer *c, size_t initializers, const Onnx__NodeProto *node, uint32_t scope)
{
    for (size_t i = 0; i < node->n_attribute; i++) {
        if (node->attribute[i]->g) note_graph(c, initializers, node->attribute[i]->g, scope);
        for (size_t k = 0; k < node->attribute[i]->n_graphs; k++) note_graph(c, initializers, node->attribute[i]->graphs[k], scope);
    }
}

static qonnx_status note_all(struct closer *c, qonnx_error *err)
{
    const Onnx__GraphProto *g = c->flat;
    size_t                  initializers, depth = 0;
    uint32_t               *stack = qn_arena_array(c->arena, g->n_node + 1, sizeof *stack);

    c->capacity = g->n_initializer + g->n_input + g->n_output;
    for (size_t n = 0; n < g->n_node; n++) c->capacity += g->node[n]->n_output + (qn_is_leave(g->node[n]) ? g->node[n]->n_input : 0);
    c->scope = qn_arena_array(c->arena, c->capacity, sizeof *c->scope);
    c->port = qn_arena_array(c->arena, c->capacity, sizeof *c->port);
    if (!stack || !c->scope || !c->port) return qn_fail_nomem(err);
    for (size_t i = 0; i < g->n_initializer; i++) note(c, g->initializer[i]->name, c->initializers_stay ? MAIN : NOWHERE, false);
    initializers = c->initializers_stay ? 0 : c->names.count;
    for (size_t i = 0; i < g->n_input; i++) {
        note_read(c, initializers, g->input[i]->name, MAIN);
        note(c, g->input[i]->name, MAIN, true);
    }
    for (size_t n = 0; n < g->n_node; n++) {
        const Onnx__NodeProto *node = g->node[n];
        if (qn_is_enter(node)) stack[++depth] = (uint32_t)body_of(node) + 1;
        for (size_t i = 0; i < node->n_input; i++) note_read(c, initializers, node->input[i], stack[depth]);
        note_nested(c, initializers, node, stack[depth]);
        for (size_t i = 0; i < node->n_output; i++) note(c, node->output[i], stack[depth], qn_is_enter(node));
        if (qn_is_leave(node)) depth--;
    }
    for (size_t i = 0; i < g->n_output; i++) note_read(c, initializers, g->output[i]->name, MAIN);
    return qn_arena_failed(c->arena) ? qn_fail_nomem(err) : QONNX_OK;
}

static Onnx__ValueInfoProto **rename_ports(struct closer *c, Onnx__ValueInfoProto *const *ports, char *const *names, size_t count)
{
    Onnx__ValueInfoProto **list = qn_arena_array(c->arena, count, sizeof *list);

    for (size_t i = 0; list && i < count; i++) {
        if (!(list[i] = (Onnx__ValueInfoProto *)(void *)qn_arena_memdup(c->arena, ports[i], sizeof **list))) return NULL;
        list[i]->name = names[i];
    }
    return list;
}

static bool push(struct closer *c, Onnx__GraphProto *graph, size_t *room, Onnx__NodeProto *node)
{
    Onnx__NodeProto **grown = qn_arena_grow(c->arena, (void *)graph->node, graph->n_node, room, sizeof *grown);

    if (!grown || !node) return false;
    graph->node = grown;
    grown[graph->n_node++] = node;
    return true;
}

/* The names of a body's outputs: each must be made by a node of the body, and be there once. */
static bool finish_body(struct closer *c, Onnx__GraphProto *body, size_t *room, const Onnx__NodeProto *leave, uint32_t scope)
{
    char **names = (char **)(void *)qn_arena_memdup(c->arena, leave->input, leave->n_input * sizeof *names);

    for (size_t i = 0; names && i < leave->n_input; i++) {
        uint32_t    id = qn_names_find(&c->names, names[i]);
        const char *from = names[i], *to = from;

        if (id != QN_NONE && c->scope[id] == scope && !c->port[id] && id >= c->flat->n_initializer) {
            c->port[id] = true;
            continue;
        }
        for (unsigned k = 1; to && qn_names_find(&c->names, to) != QN_NONE; k++) to = qn_arena_printf(c->arena, "%s_out%u", from, k);
        if (!to || note(c, to, scope, true) == QN_NONE || !push(c, body, room, qn_node_new(c->arena, "Identity", to, 1, &from, 1, &to))) return false;
        names[i] = unconst(to);
    }
    return names && (body->output = rename_ports(c, body->output, names, body->n_output)) != NULL;
}

static Onnx__NodeProto *with_bodies(struct closer *c, Onnx__NodeProto *node)
{
    Onnx__NodeProto *copy = NULL;

    for (size_t i = 0; i < node->n_attribute; i++) {
        Onnx__AttributeProto *attr;
        if (!qn_is_flat_body(node->attribute[i])) continue;
        if (!copy && !(copy = qn_node_copy(c->arena, node))) return NULL;
        if (!(attr = (Onnx__AttributeProto *)(void *)qn_arena_memdup(c->arena, node->attribute[i], sizeof *attr))) return NULL;
        attr->g = c->made[attr->i];
        attr->ref_attr_name = NULL;
        attr->has_i = false;
        attr->i = 0;
        copy->attribute[i] = attr;
    }
    return copy ? copy : node;
}

/* Collects nodes up to the end of the scope. Recursion is as deep as the bodies were. */
static bool close_scope(struct closer *c, Onnx__GraphProto *graph, uint32_t scope)
{
    size_t room = 0;

    graph->node = NULL;
    graph->n_node = 0;
    while (c->at < c->flat->n_node) {
        Onnx__NodeProto *node = c->flat->node[c->at++];
        if (qn_is_leave(node)) return finish_body(c, graph, &room, node, scope);
        if (qn_is_enter(node)) {
            size_t            id = body_of(node);
            Onnx__GraphProto *body = (Onnx__GraphProto *)(void *)qn_arena_memdup(c->arena, c->model->bodies[id], sizeof *body);
            if (!body || !(body->input = rename_ports(c, body->input, node->output, body->n_input)) || !close_scope(c, body, (uint32_t)id + 1)) return false;
            c->made[id] = body;
        } else if (!push(c, graph, &room, with_bodies(c, node))) {
            return false;
        }
    }
    return true;
}

/* Gives each graph the constants and the declared types that are its own. */
static bool hand_out(struct closer *c, Onnx__GraphProto *main_graph)
{
    size_t *infos = qn_arena_array(c->arena, c->model->body_count + 1, sizeof *infos), *tensors = qn_arena_array(c->arena, c->model->body_count + 1, sizeof *tensors);

    main_graph->value_info = NULL;
    main_graph->initializer = NULL;
    main_graph->n_value_info = main_graph->n_initializer = 0;
    for (size_t i = 0; infos && i < c->flat->n_value_info; i++) {
        const char           *name = c->flat->value_info[i]->name;
        uint32_t              id = name ? qn_names_find(&c->names, name) : QN_NONE, scope = id == QN_NONE || c->scope[id] >= SEVERAL ? MAIN : c->scope[id];
        Onnx__GraphProto     *to = scope ? c->made[scope - 1] : main_graph;
        Onnx__ValueInfoProto **grown;
        if (scope && c->port[id]) continue;
        if (!(grown = qn_arena_grow(c->arena, (void *)to->value_info, to->n_value_info, &infos[scope], sizeof *grown))) return false;
        to->value_info = grown;
        grown[to->n_value_info++] = c->flat->value_info[i];
    }
    for (size_t i = 0; tensors && i < c->flat->n_initializer; i++) {
        uint32_t            id = qn_names_find(&c->names, c->flat->initializer[i]->name), scope = id == QN_NONE || c->scope[id] >= SEVERAL ? MAIN : c->scope[id];
        Onnx__GraphProto   *to = scope ? c->made[scope - 1] : main_graph;
        Onnx__TensorProto **grown = qn_arena_grow(c->arena, (void *)to->initializer, to->n_initializer, &tensors[scope], sizeof *grown);
        if (!grown) return false;
        to->initializer = grown;
        grown[to->n_initializer++] = c->flat->initializer[i];
    }
    return infos && tensors;
}

qonnx_status qn_scopes_close(Onnx__GraphProto **nested, const struct qn_model *model, Onnx__GraphProto *flat, bool initializers_stay, struct qn_arena *arena, qonnx_error *err)
{
    struct closer     c = { .model = model, .flat = flat, .arena = arena, .initializers_stay = initializers_stay };
    Onnx__GraphProto *graph;

    *nested = flat;
    if (!model->body_count) return QONNX_OK;
    graph = (Onnx__GraphProto *)(void *)qn_arena_memdup(arena, flat, sizeof *flat);
    c.made = qn_arena_array(arena, model->body_count, sizeof(Onnx__GraphProto *));
    if (!graph || !c.made) return qn_fail_nomem(err);
    qn_names_init(&c.names, arena);
    QN_TRY(note_all(&c, err));
    if (!close_scope(&c, graph, MAIN) || !hand_out(&c, graph)) return qn_fail_nomem(err);
    *nested = graph;
    return QONNX_OK;
}
