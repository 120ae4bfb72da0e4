/* SPDX-License-Identifier: Apache-2.0
 * From what was read to the edit that makes the float graph. */
#include <string.h>

#include "lift/lifter.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"

uint32_t qn_item_view(const struct qn_lifter *l, uint32_t item)
{
    return l->items[item].moved == QN_NONE ? item : l->items[item].moved;
}

static bool is_live(const struct qn_item *item) { return item->plain_read || item->view_read; }

/* ---- names ---- */

static const char *without(struct qn_lifter *l, const char *name, const char *suffix)
{
    size_t length = strlen(name), tail = strlen(suffix);
    return length > tail && strcmp(name + length - tail, suffix) == 0
               ? qn_arena_printf(&l->graph->model->arena, "%.*s", (int)(length - tail), name)
               : NULL;
}

static const char *if_free(struct qn_lifter *l, const char *name)
{
    const char *free_name = name ? qn_edit_name(l->edit, name, "") : NULL;
    return free_name && strcmp(free_name, name) == 0 ? free_name : NULL;
}

/* The name that codes were named after, if it is free. */
static const char *base_name(struct qn_lifter *l, const char *codes)
{
    return if_free(l, without(l, codes, "_quantized"));
}

static const char *name_constant(struct qn_lifter *l, const struct qn_item *item)
{
    const char *view = l->graph->values[item->old].name, *base = without(l, item->codes->name, "_quantized"),
               *shorter = base ? without(l, base, "_values") : NULL;

    if ((base = if_free(l, shorter ? shorter : base))) return base;
    if (l->graph->values[item->old].init) return qn_edit_name(l->edit, view, "_float");
    base = without(l, view, "_dequantized");
    return base ? qn_edit_name(l->edit, base, "_float") : view; /* of a node that goes */
}

static const char *name_item(struct qn_lifter *l, const struct qn_item *item)
{
    const char *old = l->graph->values[item->old].name, *base;

    if (item->pinned != QN_NONE) return l->graph->values[item->pinned].name;
    if (item->codes) return name_constant(l, item);
    if (l->at[item->old].form == QN_VIEW) return old; /* of a node that goes */
    if ((base = base_name(l, old))) return base;
    return l->needed[item->old] ? qn_edit_name(l->edit, old, "_float") : old;
}

/* A constant that was only written as floats because QONNX has nothing else. */
static bool is_values(const struct qn_lifter *l, const struct qn_item *item)
{
    const struct qn_value *old = &l->graph->values[item->old];
    return old->init && item->maker == QN_NONE && item->from == QN_NONE && !item->codes && item->grid &&
           item->grid->shift_first && !(old->flags & (QN_OUTPUT | QN_CAPTURED));
}

/* The same tensor under another name. */
static Onnx__TensorProto *renamed(struct qn_lifter *l, const Onnx__TensorProto *tensor, const char *name)
{
    Onnx__TensorProto *copy =
        (Onnx__TensorProto *)(void *)qn_arena_memdup(&l->graph->model->arena, tensor, sizeof *tensor);
    if (copy) copy->name = (char *)(uintptr_t)name;
    return copy;
}

/* A quantized value that must be there under its name is made under it, unless others want the unquantized one too. */
static void name_items(struct qn_lifter *l)
{
    size_t count = l->item_count;

    for (uint32_t i = 1; i < count; i++) {
        struct qn_item *item = &l->items[i];
        bool            old_name = item->name && l->at[item->old].form == QN_PLAIN;

        if (!is_live(item)) continue;
        if (item->pinned != QN_NONE && old_name && (item->maker == QN_NONE || item->plain_read)) {
            struct qn_item taker = qn_item_blank(item->pinned);
            uint32_t       made;
            taker.name = l->graph->values[item->pinned].name;
            taker.grid = item->grid;
            taker.at = item->at;
            taker.from = i;
            taker.pinned = item->pinned;
            taker.view_read = true;
            made = qn_item_new(l, taker);
            item = &l->items[i];
            item->moved = made;
            item->pinned = QN_NONE;
            item->grid = NULL;
            item->plain_read = true;
        } else if (!old_name || item->pinned != QN_NONE) {
            item->name = name_item(l, item);
        } else if (is_values(l, item)) {
            const char *base = if_free(l, without(l, item->name, "_values"));
            if (base) item->name = base;
        }
    }
}

/* ---- nodes ---- */

static bool *record(struct qn_lifter *l, const Onnx__NodeProto *pb, bool dropped)
{
    struct qn_lifted_node *grown = qn_arena_grow(&l->scratch, l->nodes, l->node_count, &l->node_room, sizeof *grown);
    bool                  *views = qn_arena_array(&l->scratch, pb ? pb->n_input : 0, sizeof *views);

    if (!grown || !views || !pb) {
        l->scratch.failed = true;
        return NULL;
    }
    l->nodes = grown;
    grown[l->node_count++] = (struct qn_lifted_node){ pb, views, dropped };
    return views;
}

static void rewrite_node(struct qn_lifter *l, qn_node_id n)
{
    const struct qn_graph *g = l->graph;
    const Onnx__NodeProto *pb = g->pb->node[n];
    bool                  *views = record(l, pb, false);

    if (!views) return;
    for (size_t slot = 0; slot < pb->n_input; slot++) {
        qn_value_id v = qn_node_input(g, n, slot);
        uint32_t    moved = slot ? 0 : l->moves[n];
        const char *name;

        if (v == QN_NONE || l->at[v].item == QN_NONE || (!moved && l->at[v].form >= QN_CODES)) continue;
        if (slot == 2 && l->moves[n] && qn_node_is(g, n, "Pad")) { /* the code of 0, which is the default for floats */
            qn_edit_set_input(l->edit, n, 2, "");
            continue;
        }
        views[slot] = moved || l->at[v].form != QN_PLAIN;
        name = l->items[views[slot] ? qn_item_view(l, moved ? moved : l->at[v].item) : l->at[v].item].name;
        if (strcmp(name, pb->input[slot]) != 0) qn_edit_set_input(l->edit, n, slot, name);
    }
    for (size_t slot = 0; slot < pb->n_output; slot++) {
        qn_value_id           out = qn_node_output(g, n, slot);
        const struct qn_item *item =
            out == QN_NONE || l->at[out].form == QN_CONSTANT_CODES ? NULL : &l->items[l->at[out].item];
        if (item && item->maker == n && item->maker_slot == slot && is_live(item) &&
            strcmp(item->name, pb->output[slot]) != 0)
            qn_edit_set_output(l->edit, n, slot, item->name);
    }
}

static void add_identity(struct qn_lifter *l, const char *x, const char *out, bool view, bool dropped, qn_node_id at,
                         bool before)
{
    Onnx__NodeProto *node =
        qn_node_new(qn_edit_arena(l->edit), "Identity", qn_edit_name(l->edit, out, "_Identity"), 1, &x, 1, &out);
    bool *views = record(l, node, dropped);

    if (!views) return;
    views[0] = view;
    if (before)
        qn_edit_insert_before(l->edit, at, node);
    else
        qn_edit_insert_after(l->edit, at, node);
}

/* Integers for a reader that stays: made from the view, so that nothing needs the value before it was quantized. */
static void add_quantize(struct qn_lifter *l, qn_value_id v)
{
    const struct qn_item *item = &l->items[qn_item_view(l, l->at[v].item)];
    const char *name = l->graph->values[v].name, *inputs[3] = { item->name, item->grid->scale, item->grid->zero_point };
    Onnx__NodeProto *node =
        qn_node_new(qn_edit_arena(l->edit), "QuantizeLinear", qn_edit_name(l->edit, name, "_QuantizeLinear"),
                    item->grid->zero_point ? 3 : 2, inputs, 1, &name);
    bool *views = record(l, node, false);

    if (!views) return;
    views[0] = true;
    if (item->grid->qp.axis >= 0) qn_attr_set_int(qn_edit_arena(l->edit), node, "axis", item->grid->qp.axis);
    if (item->grid->qp.type->min_opset > qn_model_opset(l->graph->model, ""))
        node->domain = qn_arena_strdup(qn_edit_arena(l->edit), "com.microsoft");
    qn_edit_insert_after(l->edit, l->graph->values[v].producer, node);
}

/* ---- declarations ---- */

static void describe(struct qn_lifter *l)
{
    const struct qn_graph *g = l->graph;

    for (qn_value_id v = 0; v < g->value_count; v++) {
        const struct qn_value *value = &g->values[v];
        const struct qn_item  *item =
            l->at[v].item == QN_NONE || l->at[v].form == QN_CONSTANT_CODES ? NULL : &l->items[l->at[v].item];
        bool same = item && item->old == v && l->at[v].form == QN_PLAIN && strcmp(item->name, value->name) == 0;
        if (value->producer == QN_NONE || same || (l->needed[v] && l->at[v].form == QN_CODES)) continue;
        qn_edit_drop_value_info(l->edit, value->name);
    }
    for (uint32_t i = 1; i < l->item_count; i++) {
        const struct qn_item  *item = &l->items[i];
        const struct qn_value *old = &g->values[item->old];
        bool                   output = item->pinned != QN_NONE && g->values[item->pinned].flags & QN_OUTPUT;
        bool                   made = item->from != QN_NONE ||
                    (item->maker != QN_NONE && strcmp(item->name ? item->name : "", old->name) != 0) ||
                    l->at[item->old].form == QN_CODES;
        if (!is_live(item) || item->codes || output || old->flags & (QN_INPUT | QN_OUTPUT) || old->init) continue;
        if (old->rank < 0 && item->like != QN_NONE) {
            qn_edit_drop_value_info(l->edit, item->name);
            qn_edit_add_value_info(l->edit, item->name, QN_FLOAT, g->values[item->like].rank,
                                   g->values[item->like].dims);
        } else if (made && old->dtype) {
            qn_edit_add_value_info(l->edit, item->name, QN_FLOAT, old->rank, old->dims);
        }
    }
}

/* ---- all ---- */

static qonnx_status rewrite_items(struct qn_lifter *l)
{
    for (uint32_t i = 1; i < l->item_count; i++) {
        const struct qn_item *item = &l->items[i];
        Onnx__TensorProto    *tensor;

        if (!is_live(item)) continue;
        if (item->codes) {
            qonnx_status status = qn_item_values(l, item, &tensor);
            if (status != QONNX_OK) return qn_wrap(l->err, status, "constant '%.200s'", item->codes->name);
            qn_edit_add_initializer(l->edit, tensor);
        } else if (item->from != QN_NONE) {
            const struct qn_item *from = &l->items[item->from_view ? qn_item_view(l, item->from) : item->from];
            add_identity(l, from->name, item->name, item->from_view, true, item->at, true);
        } else if (is_values(l, item) && strcmp(item->name, l->graph->values[item->old].name) != 0) {
            qn_edit_add_initializer(l->edit, renamed(l, l->graph->values[item->old].init, item->name));
        }
    }
    return QONNX_OK;
}

static void rewrite_values(struct qn_lifter *l)
{
    for (qn_value_id v = 0; v < l->graph->value_count; v++) {
        const struct qn_value *value = &l->graph->values[v];
        const struct qn_item  *item;

        if (l->needed[v] && l->at[v].form == QN_CODES) add_quantize(l, v);
        if (!(value->flags & (QN_OUTPUT | QN_CAPTURED)) || l->at[v].form != QN_VIEW) continue;
        item = &l->items[qn_item_view(l, l->at[v].item)];
        if (item->pinned != v) add_identity(l, item->name, value->name, true, false, value->producer, false);
    }
}

qonnx_status qn_lift_rewrite(struct qn_lifter *l)
{
    qonnx_status status;

    QN_TRY(qn_edit_begin(&l->edit, l->graph, l->err));
    name_items(l);
    for (qn_node_id n = 0; n < l->graph->node_count; n++) {
        if (l->gone[n])
            qn_edit_remove_node(l->edit, n);
        else
            rewrite_node(l, n);
    }
    status = rewrite_items(l);
    if (status == QONNX_OK) {
        rewrite_values(l);
        describe(l);
        qn_edit_drop_unused(l->edit);
        if (qn_arena_failed(&l->scratch) || qn_arena_failed(l->arena)) status = qn_fail_nomem(l->err);
    }
    if (status == QONNX_OK) return qn_edit_commit(l->edit, NULL, l->err);
    qn_edit_cancel(l->edit);
    return status;
}
