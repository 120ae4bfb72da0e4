/* SPDX-License-Identifier: Apache-2.0
 * Reading a model the runtime has optimised and saved. Its convolutions then work in a blocked layout (NCHWc), and
 * for an observer, as for any reader that does not know the layout, it brings tensors back to the plain one first:
 * at a price of up to a third of the whole run. */
#include <string.h>

#include "base/names.h"
#include "onnx/attr.h"
#include "onnx/graph.h"
#include "onnx/wire.h"
#include "run/ort_model.h"

/* Block sizes are powers of two up to this. */
enum { LARGEST_BLOCK = 16, LONGEST_CHAIN = 256, CACHE_LINE = 64 };

/* ---- reading ---- */

/* Kernels that read a weight where it lies want whole lines of the cache: the runtime itself places weights so, but packs
 * them closely when it saves them. */
static qonnx_status align_weights(struct qn_model *saved, qonnx_error *err)
{
    Onnx__GraphProto *graph = saved->pb->graph;

    for (size_t i = 0; i < graph->n_initializer; i++) {
        ProtobufCBinaryData *data = &graph->initializer[i]->raw_data;
        uint8_t             *copy;
        if (!graph->initializer[i]->has_raw_data || (uintptr_t)data->data % CACHE_LINE == 0) continue;
        if (!(copy = qn_arena_alloc_raw(&saved->arena, data->len + CACHE_LINE))) return qn_fail_nomem(err);
        copy += (CACHE_LINE - (uintptr_t)copy % CACHE_LINE) % CACHE_LINE;
        memcpy(copy, data->data, data->len);
        data->data = copy;
    }
    return QONNX_OK;
}

qonnx_status qn_ort_model_open_saved(struct qn_model *saved, const char *path, const char *weights, qonnx_error *err)
{
    ProtobufCMessage *message;
    qonnx_status      status;

    memset(saved, 0, sizeof *saved);
    status = qn_map_open(&saved->map, path, false, err);
    if (status == QONNX_OK)
        status = qn_wire_parse(&message, &onnx__model_proto__descriptor, saved->map.data, saved->map.size,
                               &saved->arena, err);
    if (status == QONNX_OK) saved->pb = (Onnx__ModelProto *)message;
    if (status == QONNX_OK && !saved->pb->graph)
        status = qn_fail(err, QONNX_E_RUNTIME, "a saved model without a graph");
    if (status == QONNX_OK) status = qn_model_attach_file(saved, weights, err);
    if (status == QONNX_OK) status = align_weights(saved, err);
    if (status != QONNX_OK) qn_model_release(saved);
    return status;
}

/* ---- moving observers ---- */

struct layout {
    Onnx__GraphProto   *graph;
    struct qn_names     names;
    Onnx__NodeProto   **producers; /* by name, as are the next three */
    Onnx__TensorProto **constants;
    Onnx__NodeProto   **reader;  /* the last one */
    size_t             *readers; /* observers do not count */
    bool                nested;  /* some node holds a graph, which may read any value */
};

static bool is_op(const Onnx__NodeProto *node, const char *domain, const char *op)
{
    return node && node->op_type && !strcmp(node->op_type, op) && !strcmp(node->domain ? node->domain : "", domain);
}

static bool is_observer(const Onnx__NodeProto *node)
{
    return is_op(node, QN_OBSERVE_DOMAIN, QN_OBSERVE_OP) && node->n_input == 1;
}

static void index_node(struct layout *layout, Onnx__NodeProto *node)
{
    for (size_t o = 0; o < node->n_output; o++) {
        uint32_t id = qn_names_intern(&layout->names, node->output[o]);
        if (id != QN_NONE) layout->producers[id] = node;
    }
    for (size_t i = 0; i < node->n_input && !is_observer(node); i++) {
        uint32_t id = qn_names_intern(&layout->names, node->input[i]);
        if (id == QN_NONE) continue;
        layout->readers[id]++;
        layout->reader[id] = node;
    }
    layout->nested |= qn_node_has_body(node);
}

static qonnx_status layout_init(struct layout *layout, struct qn_model *model, qonnx_error *err)
{
    Onnx__GraphProto *graph = model->pb->graph;
    size_t            capacity = graph->n_initializer + graph->n_output + 1;

    memset(layout, 0, sizeof *layout);
    layout->graph = graph;
    qn_names_init(&layout->names, &model->arena);
    for (size_t i = 0; i < graph->n_node; i++) capacity += graph->node[i]->n_output + graph->node[i]->n_input;
    layout->producers = qn_arena_array(&model->arena, capacity, sizeof(Onnx__NodeProto *));
    layout->constants = qn_arena_array(&model->arena, capacity, sizeof(Onnx__TensorProto *));
    layout->reader = qn_arena_array(&model->arena, capacity, sizeof(Onnx__NodeProto *));
    layout->readers = qn_arena_array(&model->arena, capacity, sizeof *layout->readers);
    for (size_t i = 0; !qn_arena_failed(&model->arena) && i < graph->n_node; i++) index_node(layout, graph->node[i]);
    for (size_t i = 0; !qn_arena_failed(&model->arena) && i < graph->n_initializer; i++) {
        uint32_t id =
            graph->initializer[i]->name ? qn_names_intern(&layout->names, graph->initializer[i]->name) : QN_NONE;
        if (id != QN_NONE) layout->constants[id] = graph->initializer[i];
    }
    for (size_t i = 0; !qn_arena_failed(&model->arena) && i < graph->n_output; i++) {
        uint32_t id = graph->output[i]->name ? qn_names_intern(&layout->names, graph->output[i]->name) : QN_NONE;
        if (id != QN_NONE) layout->readers[id]++;
    }
    return qn_arena_failed(&model->arena) ? qn_fail_nomem(err) : QONNX_OK;
}

static Onnx__NodeProto *producer_of(const struct layout *layout, const char *name)
{
    uint32_t id = qn_names_find(&layout->names, name);
    return id == QN_NONE ? NULL : layout->producers[id];
}

/* Whether a blocked tensor of so many channels has no padding in its last block. The block's size depends on the
 * processor and is nowhere written, but a convolution's weights are padded like its output. */
static bool unpadded(const struct layout *layout, const char *name, int64_t channels)
{
    if (channels <= 0) return false;
    if (channels % LARGEST_BLOCK == 0) return true;
    for (int step = 0; step < LONGEST_CHAIN; step++) {
        const Onnx__NodeProto *node = producer_of(layout, name);
        if (!node || !node->n_input || is_op(node, QN_BLOCKED_DOMAIN, "ReorderInput")) return false;
        if (is_op(node, QN_BLOCKED_DOMAIN, "Conv")) {
            uint32_t                 id = node->n_input > 1 ? qn_names_find(&layout->names, node->input[1]) : QN_NONE;
            const Onnx__TensorProto *weight = id == QN_NONE ? NULL : layout->constants[id];
            return weight && weight->n_dims == 4 && weight->dims[0] == channels;
        }
        name = node->input[0]; /* pooling, activations and sums keep the channels */
    }
    return false;
}

/* Nodes that only brought a tensor back for its observer. */
static void drop_unread(struct layout *layout)
{
    size_t used = 0;

    if (layout->nested) return;
    for (size_t i = 0; i < layout->graph->n_node; i++) {
        Onnx__NodeProto *node = layout->graph->node[i];
        bool             unread = is_op(node, QN_BLOCKED_DOMAIN, "ReorderOutput") && node->n_output == 1;
        if (unread) unread = layout->readers[qn_names_find(&layout->names, node->output[0])] == 0;
        if (!unread) layout->graph->node[used++] = node;
    }
    layout->graph->n_node = used;
}

/* ---- sums ---- */

struct sums {
    struct layout    *layout;
    struct ort_watch **watch; /* by name: of the tensor that is called so and in blocks */
    bool             *blocked;
};

static bool takes_blocked(const struct sums *s, const char *name)
{
    uint32_t id = qn_names_find(&s->layout->names, name);
    return id != QN_NONE && s->blocked[id];
}

/* The number to show a tensor under, unless some node shows it already. */
static int64_t show(struct sums *s, const char *name)
{
    uint32_t          id = qn_names_find(&s->layout->names, name);
    struct ort_watch *watch = id == QN_NONE ? NULL : s->watch[id];

    if (!watch || watch->shown) return -1;
    watch->shown = true;
    return (int64_t)watch->id;
}

/* Turns an Add, with the Relu that is all that reads it, into a sum. */
static void make_sum(struct sums *s, Onnx__NodeProto *node, struct qn_arena *arena)
{
    struct layout   *layout = s->layout;
    const uint32_t   id = qn_names_find(&layout->names, node->output[0]);
    Onnx__NodeProto *relu = id != QN_NONE && layout->readers[id] == 1 && !s->watch[id] ? layout->reader[id] : NULL;
    int64_t          left, right, result;

    if (!is_op(relu, "", "Relu") || relu->n_output != 1) relu = NULL;
    left = show(s, node->input[0]);
    right = show(s, node->input[1]);
    result = show(s, relu ? relu->output[0] : node->output[0]);
    if (left < 0 && right < 0 && result < 0) return;
    node->domain = qn_arena_strdup(arena, QN_OBSERVE_DOMAIN);
    node->op_type = qn_arena_strdup(arena, QN_SUM_OP);
    qn_attr_set_int(arena, node, "left", left);
    qn_attr_set_int(arena, node, "right", right);
    qn_attr_set_int(arena, node, "id", result);
    qn_attr_set_int(arena, node, "relu", relu != NULL);
    if (!relu) return;
    node->output[0] = relu->output[0];
    layout->reader[id] = NULL;
    relu->n_output = 0; /* the mark of a node to be dropped */
}

static bool is_empty(const Onnx__NodeProto *node) { return !node->n_output && is_op(node, "", "Relu"); }

static qonnx_status make_sums(struct layout *layout, struct ort_watch *watches, size_t count, struct qn_arena *arena, qonnx_error *err)
{
    Onnx__GraphProto *graph = layout->graph;
    struct sums       s = { .layout = layout };
    size_t            used = 0;

    if (layout->nested) return QONNX_OK;
    s.watch = qn_arena_array(arena, layout->names.count, sizeof(struct ort_watch *));
    s.blocked = qn_arena_array(arena, layout->names.count, sizeof *s.blocked);
    if (!s.watch || !s.blocked) return qn_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        uint32_t id = qn_names_find(&layout->names, watches[i].name);
        if (watches[i].blocked && id != QN_NONE) s.watch[id] = &watches[i];
    }
    for (size_t i = 0; i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i];
        bool             blocked = node->domain && !strcmp(node->domain, QN_BLOCKED_DOMAIN) && !is_op(node, QN_BLOCKED_DOMAIN, "ReorderOutput");
        if (is_op(node, "", "Relu") && node->n_input == 1) blocked = takes_blocked(&s, node->input[0]);
        if (is_op(node, "", "Add") && node->n_input == 2 && takes_blocked(&s, node->input[0]) && takes_blocked(&s, node->input[1])) {
            make_sum(&s, node, arena);
            blocked = true;
        }
        for (size_t o = 0; blocked && o < node->n_output; o++)
            if (qn_names_find(&layout->names, node->output[o]) != QN_NONE) s.blocked[qn_names_find(&layout->names, node->output[o])] = true;
    }
    for (size_t i = 0; i < graph->n_node; i++)
        if (!is_empty(graph->node[i])) graph->node[used++] = graph->node[i];
    graph->n_node = used;
    return qn_arena_failed(arena) ? qn_fail_nomem(err) : QONNX_OK;
}

qonnx_status qn_ort_model_watches(struct qn_model *model, struct ort_watch **watches, size_t *count, qonnx_error *err)
{
    Onnx__GraphProto *graph = model->pb->graph;
    struct layout     layout;
    struct ort_watch *list = qn_arena_array(&model->arena, graph->n_node, sizeof *list);
    size_t            used = 0;

    if (!list) return qn_fail_nomem(err);
    QN_TRY(layout_init(&layout, model, err));
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i], *reorder;
        if (!is_observer(node)) continue;
        list[used] = (struct ort_watch){ node->input[0], (size_t)qn_attr_int(node, "id", -1), false, false };
        reorder = producer_of(&layout, node->input[0]);
        if (is_op(reorder, QN_BLOCKED_DOMAIN, "ReorderOutput") && reorder->n_input == 1 &&
            !qn_attr_int(reorder, "channels_last", 0) &&
            unpadded(&layout, reorder->input[0], qn_attr_int(reorder, "channels", 0)))
            list[used] = (struct ort_watch){ reorder->input[0], list[used].id, true, false };
        else if (qn_names_find(&layout.names, node->input[0]) != QN_NONE) /* it keeps what it reads */
            layout.readers[qn_names_find(&layout.names, node->input[0])]++;
        used++;
    }
    drop_unread(&layout);
    *watches = list;
    *count = used;
    return make_sums(&layout, list, used, &model->arena, err);
}
