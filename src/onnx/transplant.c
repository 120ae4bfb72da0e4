/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/transplant.h"

#include <string.h>

#include "onnx/attr.h"

/* Recursion is as deep as the messages are, which the reader limits. */

static char *unconst(const char *text) { return (char *)(uintptr_t)text; } /* protobuf-c's texts are not const */

static void set(struct qn_renames *names, struct qn_arena *scratch, const char *from, const char *to)
{
    size_t      count = names->from.count;
    uint32_t    id = qn_names_intern(&names->from, from);
    const char **grown;

    if (id == QN_NONE) return;
    if (id >= count) {
        grown = qn_arena_grow(scratch, (void *)names->to, id, &names->room, sizeof *grown);
        if (!grown) return;
        names->to = grown;
    }
    names->to[id] = to;
}

static const char *get(const struct qn_renames *names, const char *name)
{
    for (; names && name && *name; names = names->outer) {
        uint32_t id = qn_names_find(&names->from, name);
        if (id != QN_NONE) return names->to[id];
    }
    return name;
}

void qn_transplant_init(struct qn_transplant *t, struct qn_edit *edit, struct qn_arena *scratch, struct qn_names *taken)
{
    *t = (struct qn_transplant){ .edit = edit, .scratch = scratch, .taken = taken };
    qn_names_init(&t->names.from, scratch);
}

void qn_transplant_map(struct qn_transplant *t, const char *from, const char *to) { set(&t->names, t->scratch, from, to); }

const char *qn_transplant_name(const struct qn_transplant *t, const char *name) { return get(&t->names, name); }

static const char *new_name(struct qn_transplant *t, const char *name)
{
    const char *base = t->prefix ? qn_arena_printf(qn_edit_arena(t->edit), "%s/%s", t->prefix, name) : name;

    if (!base) return "";
    if (!t->prefix && qn_names_find(t->taken, name) == QN_NONE)
        qn_names_intern(t->taken, name);
    else
        base = qn_edit_name(t->edit, base, "");
    return base;
}

const char *qn_transplant_define(struct qn_transplant *t, const char *name)
{
    const char *to = name && *name ? new_name(t, name) : "";

    if (*to) qn_transplant_map(t, name, to);
    return to;
}

/* ---- nested graphs ---- */

/* Nested graphs keep their own names, unless they could hide what their nodes are to read from the graph around. */
static void define_nested(struct qn_transplant *t, struct qn_renames *scope, const char *name)
{
    if (name && *name) set(scope, t->scratch, name, t->prefix ? new_name(t, name) : name);
}

static Onnx__NodeProto *copy_node(struct qn_transplant *t, const struct qn_renames *scope, const Onnx__NodeProto *node);

static void *copied(struct qn_transplant *t, const void *list, size_t count)
{
    return qn_arena_memdup(qn_edit_arena(t->edit), list, count * sizeof(void *));
}

static Onnx__TensorProto *copy_tensor(struct qn_arena *arena, const struct qn_renames *scope, const Onnx__TensorProto *tensor)
{
    Onnx__TensorProto *copy = (Onnx__TensorProto *)(void *)qn_arena_memdup(arena, tensor, sizeof *tensor);

    if (copy) copy->name = unconst(get(scope, tensor->name));
    return copy;
}

Onnx__TensorProto *qn_transplant_tensor(const struct qn_transplant *t, const Onnx__TensorProto *tensor)
{
    return copy_tensor(qn_edit_arena(t->edit), &t->names, tensor);
}

static void rename_infos(struct qn_transplant *t, const struct qn_renames *scope, Onnx__ValueInfoProto ***list, size_t count)
{
    struct qn_arena *arena = qn_edit_arena(t->edit);

    *list = copied(t, *list, count);
    for (size_t i = 0; *list && i < count; i++) {
        Onnx__ValueInfoProto *info = (Onnx__ValueInfoProto *)(void *)qn_arena_memdup(arena, (*list)[i], sizeof *info);
        if (!info) return;
        info->name = unconst(get(scope, info->name));
        (*list)[i] = info;
    }
}

static void define_sources(struct qn_transplant *t, struct qn_renames *scope, Onnx__GraphProto *graph)
{
    struct qn_arena *arena = qn_edit_arena(t->edit);

    for (size_t i = 0; i < graph->n_input; i++) define_nested(t, scope, graph->input[i]->name);
    graph->initializer = copied(t, graph->initializer, graph->n_initializer);
    for (size_t i = 0; graph->initializer && i < graph->n_initializer; i++) {
        const char *name = graph->initializer[i]->name;
        if (name && qn_names_find(&scope->from, name) == QN_NONE) define_nested(t, scope, name);
        graph->initializer[i] = copy_tensor(arena, scope, graph->initializer[i]);
    }
    graph->sparse_initializer = copied(t, graph->sparse_initializer, graph->n_sparse_initializer);
    for (size_t i = 0; graph->sparse_initializer && i < graph->n_sparse_initializer; i++) {
        Onnx__SparseTensorProto *sparse = graph->sparse_initializer[i];
        sparse = (Onnx__SparseTensorProto *)(void *)qn_arena_memdup(arena, sparse, sizeof *sparse);
        if (!sparse || !sparse->values) return;
        define_nested(t, scope, sparse->values->name);
        sparse->values = copy_tensor(arena, scope, sparse->values);
        graph->sparse_initializer[i] = sparse;
    }
}

static Onnx__GraphProto *copy_graph(struct qn_transplant *t, const struct qn_renames *outer, const Onnx__GraphProto *graph)
{
    struct qn_renames scope = { .outer = outer };
    Onnx__GraphProto *copy = (Onnx__GraphProto *)(void *)qn_arena_memdup(qn_edit_arena(t->edit), graph, sizeof *graph);

    if (!copy) return NULL;
    qn_names_init(&scope.from, t->scratch);
    define_sources(t, &scope, copy);
    copy->node = copied(t, graph->node, graph->n_node);
    for (size_t n = 0; copy->node && n < graph->n_node; n++) {
        for (size_t i = 0; i < graph->node[n]->n_output; i++) define_nested(t, &scope, graph->node[n]->output[i]);
        if (!(copy->node[n] = copy_node(t, &scope, graph->node[n]))) return NULL;
    }
    rename_infos(t, &scope, &copy->input, copy->n_input);
    rename_infos(t, &scope, &copy->output, copy->n_output);
    rename_infos(t, &scope, &copy->value_info, copy->n_value_info);
    return qn_arena_failed(qn_edit_arena(t->edit)) ? NULL : copy;
}

/* ---- nodes ---- */

/* What the attribute says at the new place: NULL when the call leaves it out. */
static const Onnx__AttributeProto *resolve(const struct qn_transplant *t, const Onnx__AttributeProto *attr)
{
    const Onnx__AttributeProto *given;

    if (!t->function || !attr->ref_attr_name || !*attr->ref_attr_name) return attr;
    if ((given = qn_attr_find(t->call, attr->ref_attr_name)) != NULL) return given;
    for (size_t i = 0; i < t->function->n_attribute_proto; i++) {
        given = t->function->attribute_proto[i];
        if (given->name && strcmp(given->name, attr->ref_attr_name) == 0) return given;
    }
    return NULL;
}

static Onnx__AttributeProto *copy_attribute(struct qn_transplant *t, const struct qn_renames *scope, const Onnx__AttributeProto *attr)
{
    const Onnx__AttributeProto *said = resolve(t, attr);
    Onnx__AttributeProto       *copy;

    if (!said) return NULL;
    copy = (Onnx__AttributeProto *)(void *)qn_arena_memdup(qn_edit_arena(t->edit), said, sizeof *said);
    if (!copy) return NULL;
    copy->name = attr->name;
    if (said != attr) return copy; /* a graph that the call brings is of the call's scope */
    if (copy->g) copy->g = copy_graph(t, scope, copy->g);
    copy->graphs = copied(t, copy->graphs, copy->n_graphs);
    for (size_t i = 0; copy->graphs && i < copy->n_graphs; i++) copy->graphs[i] = copy_graph(t, scope, copy->graphs[i]);
    return copy;
}

static Onnx__NodeProto *copy_node(struct qn_transplant *t, const struct qn_renames *scope, const Onnx__NodeProto *node)
{
    struct qn_arena *arena = qn_edit_arena(t->edit);
    Onnx__NodeProto *copy = qn_node_copy(arena, node);
    size_t           kept = 0;

    if (!copy) return NULL;
    if (t->prefix && copy->name && *copy->name) copy->name = unconst(new_name(t, copy->name));
    for (size_t i = 0; i < copy->n_input; i++) copy->input[i] = unconst(get(scope, copy->input[i]));
    for (size_t i = 0; i < copy->n_output; i++) copy->output[i] = unconst(get(scope, copy->output[i]));
    for (size_t i = 0; i < copy->n_attribute; i++) {
        Onnx__AttributeProto *attr = copy_attribute(t, scope, copy->attribute[i]);
        if (attr) copy->attribute[kept++] = attr;
    }
    copy->n_attribute = kept;
    return qn_arena_failed(arena) || qn_arena_failed(t->scratch) ? NULL : copy;
}

Onnx__NodeProto *qn_transplant_node(struct qn_transplant *t, const Onnx__NodeProto *node) { return copy_node(t, &t->names, node); }
