/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/edit.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/check.h"
#include "onnx/functions.h"
#include "onnx/redirect.h"

enum place { BEFORE, AFTER };

struct insertion {
    qn_node_id       at; /* node_count stands for the end of the list */
    enum place       place;
    Onnx__NodeProto *node;
};
struct rewire {
    qn_node_id  node;
    uint32_t    slot;
    bool        output;
    const char *name;
};
struct info {
    const char *name;
    int32_t     dtype;
    int         rank;
    const int64_t *dims;
    const Onnx__ValueInfoProto *like; /* not NULL: in place of the three */
};
struct opset {
    const char *domain;
    int64_t     version;
};

struct qn_edit {
    struct qn_graph    *graph;
    struct qn_arena     scratch; /* of the edit itself; what it puts into the model is in the model's arena */
    struct qn_names     taken;
    Onnx__NodeProto   **replaced; /* by node id; NULL: as it was */
    bool               *removed;  /* by node id */
    const char        **redirect; /* by value id */
    Onnx__TensorProto **swapped;  /* by value id: initializer to put in place */
    struct insertion   *insertions;
    struct rewire      *rewires;
    Onnx__TensorProto **added;
    struct info        *infos;
    const char        **dropped_infos;
    size_t insertion_count, insertion_room, rewire_count, rewire_room, added_count, added_room, info_count, info_room, dropped_count, dropped_room, opset_count, opset_room;
    bool          drop_unused, drop_functions, changed;
    struct opset *opsets;
};

struct qn_arena *qn_edit_arena(struct qn_edit *edit) { return &edit->graph->model->arena; }

/* Appends to one of the edit's lists; out of memory is remembered by the scratch arena. */
#define PUSH(edit, list, count, room, item)                                                                        \
    do {                                                                                                           \
        void *grown = qn_arena_grow(&(edit)->scratch, (void *)(edit)->list, (edit)->count, &(edit)->room, sizeof *(edit)->list); \
        (edit)->changed = true;                                                                                    \
        if (!grown) return;                                                                                        \
        (edit)->list = grown;                                                                                      \
        (edit)->list[(edit)->count++] = item;                                                                      \
    } while (0)

static void take_names(struct qn_edit *edit, const Onnx__GraphProto *graph)
{
    for (size_t i = 0; i < graph->n_input; i++) qn_names_intern(&edit->taken, graph->input[i]->name ? graph->input[i]->name : "");
    for (size_t i = 0; i < graph->n_initializer; i++) qn_names_intern(&edit->taken, graph->initializer[i]->name ? graph->initializer[i]->name : "");
    for (size_t i = 0; i < graph->n_sparse_initializer; i++) {
        const Onnx__TensorProto *values = graph->sparse_initializer[i]->values;
        if (values && values->name) qn_names_intern(&edit->taken, values->name);
    }
    for (size_t n = 0; n < graph->n_node; n++) {
        const Onnx__NodeProto *node = graph->node[n];
        if (node->name) qn_names_intern(&edit->taken, node->name);
        for (size_t i = 0; i < node->n_output; i++) qn_names_intern(&edit->taken, node->output[i]);
        for (size_t i = 0; i < node->n_attribute; i++) { /* depth was limited when the graph was built */
            if (node->attribute[i]->g) take_names(edit, node->attribute[i]->g);
            for (size_t k = 0; k < node->attribute[i]->n_graphs; k++) take_names(edit, node->attribute[i]->graphs[k]);
        }
    }
}

qonnx_status qn_edit_begin(struct qn_edit **edit, struct qn_graph *graph, qonnx_error *err)
{
    struct qn_edit *e = calloc(1, sizeof *e);

    if (!e) return qn_fail_nomem(err);
    e->graph = graph;
    qn_names_init(&e->taken, &e->scratch);
    take_names(e, graph->pb);
    e->replaced = qn_arena_array(&e->scratch, graph->node_count, sizeof(Onnx__NodeProto *));
    e->removed = qn_arena_array(&e->scratch, graph->node_count, sizeof *e->removed);
    e->redirect = qn_arena_array(&e->scratch, graph->value_count, sizeof(char *));
    e->swapped = qn_arena_array(&e->scratch, graph->value_count, sizeof(Onnx__TensorProto *));
    if (qn_arena_failed(&e->scratch)) {
        qn_edit_cancel(e);
        return qn_fail_nomem(err);
    }
    *edit = e;
    return QONNX_OK;
}

void qn_edit_cancel(struct qn_edit *edit)
{
    if (!edit) return;
    qn_arena_release(&edit->scratch);
    free(edit);
}

const char *qn_edit_name(struct qn_edit *edit, const char *base, const char *suffix)
{
    struct qn_arena *arena = qn_edit_arena(edit);
    char            *name = qn_arena_printf(arena, "%s%s", base, suffix);

    for (unsigned n = 2; name && qn_names_find(&edit->taken, name) != QN_NONE; n++) name = qn_arena_printf(arena, "%s%s_%u", base, suffix, n);
    if (!name || qn_names_intern(&edit->taken, name) == QN_NONE) {
        arena->failed = true;
        return "";
    }
    return name;
}

static void insert(struct qn_edit *edit, qn_node_id at, enum place place, Onnx__NodeProto *node)
{
    struct insertion item = { at, place, node };
    if (!node) edit->scratch.failed = true;
    PUSH(edit, insertions, insertion_count, insertion_room, item);
}

void qn_edit_insert_before(struct qn_edit *edit, qn_node_id at, Onnx__NodeProto *node)
{
    insert(edit, at == QN_NONE ? 0 : at, BEFORE, node);
}

void qn_edit_insert_after(struct qn_edit *edit, qn_node_id at, Onnx__NodeProto *node)
{
    insert(edit, at == QN_NONE ? (qn_node_id)edit->graph->node_count : at, at == QN_NONE ? BEFORE : AFTER, node);
}

void qn_edit_remove_node(struct qn_edit *edit, qn_node_id node)
{
    edit->removed[node] = true;
    edit->changed = true;
}

void qn_edit_replace_node(struct qn_edit *edit, qn_node_id node, Onnx__NodeProto *with)
{
    if (!with) edit->scratch.failed = true;
    edit->replaced[node] = with;
    edit->changed = true;
}

static void rewire(struct qn_edit *edit, qn_node_id node, size_t slot, bool output, const char *name)
{
    struct rewire item = { node, (uint32_t)slot, output, name };
    PUSH(edit, rewires, rewire_count, rewire_room, item);
}

void qn_edit_set_input(struct qn_edit *edit, qn_node_id node, size_t slot, const char *name) { rewire(edit, node, slot, false, name); }
void qn_edit_set_output(struct qn_edit *edit, qn_node_id node, size_t slot, const char *name) { rewire(edit, node, slot, true, name); }

void qn_edit_redirect(struct qn_edit *edit, qn_value_id value, const char *name)
{
    edit->redirect[value] = name;
    edit->changed = true;
}

void qn_edit_add_initializer(struct qn_edit *edit, Onnx__TensorProto *tensor)
{
    if (!tensor) edit->scratch.failed = true;
    PUSH(edit, added, added_count, added_room, tensor);
}

void qn_edit_replace_initializer(struct qn_edit *edit, qn_value_id value, Onnx__TensorProto *tensor)
{
    if (!tensor) edit->scratch.failed = true;
    edit->swapped[value] = tensor;
    edit->changed = true;
}

void qn_edit_drop_unused(struct qn_edit *edit) { edit->drop_unused = true; }

void qn_edit_add_value_info(struct qn_edit *edit, const char *name, int32_t dtype, int rank, const int64_t *dims)
{
    struct info item = { .name = name, .dtype = dtype, .rank = rank, .dims = (const int64_t *)(const void *)qn_arena_memdup(&edit->scratch, dims, rank > 0 ? (size_t)rank * sizeof *dims : 0) };
    PUSH(edit, infos, info_count, info_room, item);
}

void qn_edit_declare(struct qn_edit *edit, const char *name, const Onnx__ValueInfoProto *like)
{
    struct info item = { .name = name, .like = like };
    PUSH(edit, infos, info_count, info_room, item);
}

void qn_edit_drop_value_info(struct qn_edit *edit, const char *name) { PUSH(edit, dropped_infos, dropped_count, dropped_room, name); }

void qn_edit_set_opset(struct qn_edit *edit, const char *domain, int64_t version)
{
    struct opset item = { domain, version };
    PUSH(edit, opsets, opset_count, opset_room, item);
}

void qn_edit_drop_functions(struct qn_edit *edit) { edit->drop_functions = edit->changed = true; }
void qn_edit_touch(struct qn_edit *edit) { edit->changed = true; }

/* ---- commit ---- */

static void apply_rewires(struct qn_edit *edit)
{
    for (size_t i = 0; i < edit->rewire_count; i++) {
        const struct rewire *r = &edit->rewires[i];
        Onnx__NodeProto     *node = edit->replaced[r->node] ? edit->replaced[r->node] : edit->graph->pb->node[r->node];
        char              ***list = r->output ? &node->output : &node->input;
        size_t              *count = r->output ? &node->n_output : &node->n_input;

        if (r->slot >= *count) {
            char **longer = qn_arena_array(qn_edit_arena(edit), (size_t)r->slot + 1, sizeof *longer);
            if (!longer) return;
            for (size_t k = 0; k <= r->slot; k++) longer[k] = k < *count ? (*list)[k] : (char *)(uintptr_t) "";
            *list = longer;
            *count = (size_t)r->slot + 1;
        }
        (*list)[r->slot] = (char *)(uintptr_t)r->name;
    }
}

/* The new node list: a counting sort of the insertions by place, so that calls keep their order. */
static void rebuild_nodes(struct qn_edit *edit)
{
    struct qn_graph  *g = edit->graph;
    size_t            slots = g->node_count + 1, out = 0;
    uint32_t         *start[2];
    Onnx__NodeProto **list = qn_arena_array(qn_edit_arena(edit), g->node_count + edit->insertion_count, sizeof(Onnx__NodeProto *));
    uint32_t         *order = qn_arena_array(&edit->scratch, edit->insertion_count, sizeof *order);

    for (int p = BEFORE; p <= AFTER; p++)
        if (!(start[p] = qn_arena_array(&edit->scratch, slots + 1, sizeof **start))) return;
    if (!list || !order) return;
    for (size_t i = 0; i < edit->insertion_count; i++) start[edit->insertions[i].place][edit->insertions[i].at + 1]++;
    for (size_t k = 0, at = 0; k < slots; k++) /* from counts to first positions: all before k, then all after k */
        for (int p = BEFORE; p <= AFTER; p++) {
            size_t count = start[p][k + 1];
            start[p][k] = (uint32_t)at;
            at += count;
            if (k + 1 == slots) start[p][slots] = (uint32_t)at;
        }
    {
        uint32_t *fill[2];
        for (int p = BEFORE; p <= AFTER; p++)
            if (!(fill[p] = (uint32_t *)(void *)qn_arena_memdup(&edit->scratch, start[p], (slots + 1) * sizeof **start))) return;
        for (size_t i = 0; i < edit->insertion_count; i++) order[fill[edit->insertions[i].place][edit->insertions[i].at]++] = (uint32_t)i;
        for (size_t k = 0; k < slots; k++) {
            for (uint32_t i = start[BEFORE][k]; i < fill[BEFORE][k]; i++) list[out++] = edit->insertions[order[i]].node;
            if (k < g->node_count && !edit->removed[k]) list[out++] = edit->replaced[k] ? edit->replaced[k] : g->pb->node[k];
            for (uint32_t i = start[AFTER][k]; i < fill[AFTER][k]; i++) list[out++] = edit->insertions[order[i]].node;
        }
    }
    g->pb->node = list;
    g->pb->n_node = out;
}

static void mark_used(const Onnx__GraphProto *graph, struct qn_names *used)
{
    for (size_t n = 0; n < graph->n_node; n++) {
        const Onnx__NodeProto *node = graph->node[n];
        for (size_t i = 0; i < node->n_input; i++) qn_names_intern(used, node->input[i]);
        for (size_t i = 0; i < node->n_attribute; i++) {
            if (node->attribute[i]->g) mark_used(node->attribute[i]->g, used);
            for (size_t k = 0; k < node->attribute[i]->n_graphs; k++) mark_used(node->attribute[i]->graphs[k], used);
        }
    }
    for (size_t i = 0; i < graph->n_output; i++) qn_names_intern(used, graph->output[i]->name ? graph->output[i]->name : "");
}

static bool unused_now(const struct qn_edit *edit, const struct qn_names *used, const char *name)
{
    qn_value_id id = qn_graph_find(edit->graph, name);
    return edit->drop_unused && id != QN_NONE && edit->graph->values[id].use_count && qn_names_find(used, name) == QN_NONE;
}

static void rebuild_initializers(struct qn_edit *edit)
{
    Onnx__GraphProto   *pb = edit->graph->pb;
    Onnx__TensorProto **list = qn_arena_array(qn_edit_arena(edit), pb->n_initializer + edit->added_count, sizeof(Onnx__TensorProto *));
    struct qn_names     used, gone;
    size_t              out = 0, kept = 0;

    if (!list) return;
    qn_names_init(&used, &edit->scratch);
    qn_names_init(&gone, &edit->scratch);
    if (edit->drop_unused) mark_used(pb, &used);
    for (size_t i = 0; i < pb->n_initializer; i++) {
        qn_value_id id = qn_graph_find(edit->graph, pb->initializer[i]->name);
        if (unused_now(edit, &used, pb->initializer[i]->name))
            qn_names_intern(&gone, pb->initializer[i]->name);
        else
            list[out++] = id != QN_NONE && edit->swapped[id] ? edit->swapped[id] : pb->initializer[i];
    }
    for (size_t i = 0; i < edit->added_count; i++) list[out++] = edit->added[i];
    pb->initializer = list;
    pb->n_initializer = out;
    for (size_t i = 0; i < pb->n_input; i++) /* IR 3 lists initializers as inputs too */
        if (!pb->input[i]->name || qn_names_find(&gone, pb->input[i]->name) == QN_NONE) pb->input[kept++] = pb->input[i];
    pb->n_input = kept;
    for (size_t i = 0; i < gone.count; i++) qn_edit_drop_value_info(edit, gone.texts[i]);
}

Onnx__ValueInfoProto *qn_value_info_new(struct qn_arena *arena, const char *name, int32_t dtype, int rank, const int64_t *dims)
{
    Onnx__ValueInfoProto    *value = qn_arena_alloc(arena, sizeof *value);
    Onnx__TypeProto         *type = qn_arena_alloc(arena, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = qn_arena_alloc(arena, sizeof *tensor);
    Onnx__TensorShapeProto  *shape = qn_arena_alloc(arena, sizeof *shape);

    if (qn_arena_failed(arena)) return NULL;
    onnx__value_info_proto__init(value);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    value->name = (char *)(uintptr_t)name;
    value->type = type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = true;
    tensor->elem_type = dtype;
    if (rank < 0) return value;
    onnx__tensor_shape_proto__init(shape);
    tensor->shape = shape;
    shape->n_dim = (size_t)rank;
    shape->dim = qn_arena_array(arena, shape->n_dim, sizeof(Onnx__TensorShapeProto__Dimension *));
    for (int i = 0; shape->dim && i < rank; i++) {
        Onnx__TensorShapeProto__Dimension *dim = qn_arena_alloc(arena, sizeof *dim);
        if (!dim) return NULL;
        onnx__tensor_shape_proto__dimension__init(dim);
        if (dims[i] >= 0) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = dims[i];
        }
        shape->dim[i] = dim;
    }
    return shape->dim ? value : NULL;
}

static Onnx__ValueInfoProto *new_info(struct qn_arena *arena, const struct info *info)
{
    Onnx__ValueInfoProto *value;

    if (!info->like) return qn_value_info_new(arena, info->name, info->dtype, info->rank, info->dims);
    if (!(value = (Onnx__ValueInfoProto *)(void *)qn_arena_memdup(arena, info->like, sizeof *value))) return NULL;
    value->name = (char *)(uintptr_t)info->name;
    return value;
}

static void rebuild_value_infos(struct qn_edit *edit)
{
    Onnx__GraphProto      *pb = edit->graph->pb;
    Onnx__ValueInfoProto **list = qn_arena_array(qn_edit_arena(edit), pb->n_value_info + edit->info_count, sizeof(Onnx__ValueInfoProto *));
    struct qn_names        dropped;
    size_t                 out = 0;

    if (!list) return;
    qn_names_init(&dropped, &edit->scratch);
    for (size_t i = 0; i < edit->dropped_count; i++) qn_names_intern(&dropped, edit->dropped_infos[i]);
    for (size_t i = 0; i < pb->n_value_info; i++)
        if (!pb->value_info[i]->name || qn_names_find(&dropped, pb->value_info[i]->name) == QN_NONE) list[out++] = pb->value_info[i];
    for (size_t i = 0; i < edit->info_count; i++)
        if (!(list[out++] = new_info(qn_edit_arena(edit), &edit->infos[i]))) return;
    pb->value_info = list;
    pb->n_value_info = out;
}

qonnx_status qn_edit_commit(struct qn_edit *edit, bool *changed, qonnx_error *err)
{
    struct qn_graph *graph = edit->graph;
    struct qn_model *model = graph->model;
    bool             any = edit->changed;
    qonnx_status     status = QONNX_OK;

    if (changed) *changed = edit->changed;
    if (any) {
        status = qn_redirect_uses(graph, edit->redirect, &edit->scratch, err);
        apply_rewires(edit);
        rebuild_nodes(edit);
        rebuild_initializers(edit);
        rebuild_value_infos(edit);
        if (edit->added_count && model->pb->ir_version < 4) { /* before, initializers had to be graph inputs as well */
            model->pb->has_ir_version = true;
            model->pb->ir_version = 4;
        }
        for (size_t i = 0; i < edit->opset_count; i++) qn_model_set_opset(model, edit->opsets[i].domain, edit->opsets[i].version);
        if (edit->drop_functions) qn_functions_drop(model);
    }
    if (status == QONNX_OK && (qn_arena_failed(&edit->scratch) || qn_arena_failed(&model->arena))) status = qn_fail_nomem(err);
    qn_edit_cancel(edit);
    if (status != QONNX_OK || !any) return status;
    qn_graph_release(graph);
    status = qn_graph_build(graph, model, err);
    if (status == QONNX_OK) status = qn_check(graph, err);
    return status;
}
