/* SPDX-License-Identifier: Apache-2.0
 * Node by node, in the file's order: what does each value stand for? */
#include <string.h>

#include "lift/lifter.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

struct qn_place_of qn_lift_plain(struct qn_lifter *l, qn_value_id v, qn_node_id maker, size_t slot)
{
    struct qn_item item = qn_item_blank(v);

    item.name = l->graph->values[v].name;
    item.maker = maker;
    item.maker_slot = slot;
    return (struct qn_place_of){ qn_item_new(l, item), QN_PLAIN };
}

/* Where an input comes from. Constants and graph inputs get their item when they are first met. */
struct qn_place_of qn_lift_place(struct qn_lifter *l, qn_value_id v)
{
    if (l->at[v].item == QN_NONE) l->at[v] = qn_lift_plain(l, v, QN_NONE, 0);
    return l->at[v];
}

/* ---- quantizing ---- */

/* The item that stands for one item, or the view of it, under a quantizer: itself when it has none yet or the same, else
 * an Identity of it, which is then just a place for the quantizer. */
static uint32_t quantize(struct qn_lifter *l, struct qn_place_of x, const struct qn_grid *grid, qn_node_id at,
                         qn_value_id out)
{
    struct qn_item *item = &l->items[x.item];
    struct qn_item  added = qn_item_blank(out);
    uint32_t        made;

    added.grid = grid;
    added.at = at;
    added.from = x.item;
    added.from_view = x.form == QN_VIEW;
    if (x.form == QN_PLAIN && !item->grid) {
        item->grid = grid;
        item->at = at;
    }
    if (item->grid && qn_same_grid(item->grid, grid)) {
        if (l->graph->values[item->old].rank < 0 && l->graph->values[out].rank >= 0) item->like = out;
        return x.item;
    }
    for (uint32_t k = item->first_child; k != QN_NONE; k = l->items[k].next_child)
        if (l->items[k].from_view == added.from_view && l->items[k].grid && qn_same_grid(l->items[k].grid, grid))
            return k;
    made = qn_item_new(l, added);
    l->items[made].next_child = l->items[x.item].first_child; /* the items may have moved */
    return l->items[x.item].first_child = made;
}

static bool clip_bounds(struct qn_lifter *l, qn_node_id n, int32_t *lo, int32_t *hi)
{
    *lo = INT32_MIN;
    *hi = INT32_MAX;
    if (!qn_node_is(l->graph, n, "Clip")) return false;
    for (size_t slot = 1; slot < 3; slot++) {
        const Onnx__TensorProto *bound = qn_node_constant(l->graph, n, slot);
        const struct qn_qtype   *type;
        size_t                   count;
        const void              *codes;

        if (!bound && qn_node_input(l->graph, n, slot) == QN_NONE) continue;
        if (!bound || !(codes = qn_codes_of(bound, &l->scratch, &type, &count)) || count != 1) return false;
        *(slot == 1 ? lo : hi) = qn_code_at(type, codes, 0);
    }
    return true;
}

/* When every reader of the codes is the same Clip, it belongs to the quantizer. */
const struct qn_grid *qn_lift_with_clip(struct qn_lifter *l, qn_value_id codes, const struct qn_grid *grid)
{
    const struct qn_value *v = &l->graph->values[codes];
    const struct qn_grid  *cut;
    int32_t                lo = 0, hi = 0, low, high;

    if (!v->use_count || v->flags & (QN_OUTPUT | QN_CAPTURED)) return grid;
    for (uint32_t i = 0; i < v->use_count; i++) {
        const struct qn_use *use = &l->graph->uses[v->use_at + i];
        if (use->slot != 0 || !clip_bounds(l, use->node, &low, &high)) return grid;
        if (i && (low != lo || high != hi)) return grid;
        lo = low;
        hi = high;
    }
    cut = qn_grid_cut(l, grid, lo, hi);
    return cut ? cut : grid;
}

/* ---- the nodes ---- */

/* Each reader returns why the node has to stay, or NULL when it has been read. */

static const char *read_quantize(struct qn_lifter *l, qn_node_id n, qn_value_id out)
{
    qn_value_id           v = qn_node_input(l->graph, n, 0);
    struct qn_place_of    x;
    struct qn_grid       *grid;
    const struct qn_grid *cut;
    const char           *reason;

    if (v == QN_NONE) return "it has no input";
    x = qn_lift_place(l, v);
    if (x.form > QN_VIEW) return "it quantizes integers";
    if (l->graph->values[v].dtype && l->graph->values[v].dtype != QN_FLOAT)
        return "it quantizes another type than float32";
    if ((reason = qn_grid_of_qdq(l, n, 0, &grid))) return reason;
    if (grid->qp.type->code_size == 4) return "its codes are of a type that QuantizeLinear does not make";
    cut = qn_lift_with_clip(l, out, grid);
    l->at[out] = (struct qn_place_of){ quantize(l, x, cut, n, out), QN_CODES };
    l->lift->qdq++;
    return NULL;
}

/* The item of an integer constant under a quantizer. */
uint32_t qn_lift_constant(struct qn_lifter *l, qn_node_id n, const struct qn_clipped *constant,
                          const struct qn_grid *grid, qn_value_id out)
{
    qn_value_id    v = qn_graph_find(l->graph, constant->codes->name);
    uint32_t       source = qn_lift_place(l, v).item, made;
    struct qn_item added = qn_item_blank(out);

    added.grid = grid;
    added.at = n;
    added.codes = constant->codes;
    added.clip_lo = constant->lo;
    added.clip_hi = constant->hi;
    for (uint32_t k = l->items[source].first_child; k != QN_NONE; k = l->items[k].next_child)
        if (l->items[k].codes && l->items[k].clip_lo == constant->lo && l->items[k].clip_hi == constant->hi &&
            qn_same_grid(l->items[k].grid, grid))
            return k;
    made = qn_item_new(l, added);
    l->items[made].next_child = l->items[source].first_child;
    return l->items[source].first_child = made;
}

static const char *read_constant(struct qn_lifter *l, qn_node_id n, qn_value_id out, struct qn_clipped constant)
{
    struct qn_grid *grid, *cut;
    const char     *reason;

    if (l->graph->values[out].flags & (QN_OUTPUT | QN_CAPTURED)) return "it dequantizes a constant for all to see";
    if ((reason = qn_grid_of_qdq(l, n, constant.codes->data_type, &grid))) return reason;
    if (grid->qp.type->onnx_type != constant.codes->data_type)
        return "its zero point is of another type than its codes";
    cut = qn_grid_cut(l, grid, constant.lo, constant.hi);
    l->at[out] = (struct qn_place_of){ qn_lift_constant(l, n, &constant, cut ? cut : grid, out), QN_VIEW };
    l->lift->qdq++;
    return NULL;
}

static const char *read_dequantize(struct qn_lifter *l, qn_node_id n, qn_value_id out)
{
    qn_value_id        v = qn_node_input(l->graph, n, 0);
    struct qn_place_of x;
    struct qn_grid    *grid;
    const char        *reason;

    if (v == QN_NONE) return "it has no input";
    if (l->graph->values[v].init)
        return read_constant(l, n, out, (struct qn_clipped){ l->graph->values[v].init, INT32_MIN, INT32_MAX });
    x = qn_lift_place(l, v);
    if (x.form == QN_CONSTANT_CODES) return read_constant(l, n, out, l->clips[x.item]);
    if (x.form == QN_VIEW || (x.form == QN_PLAIN && l->graph->values[v].dtype == QN_FLOAT))
        return "it dequantizes what is not quantized";
    if ((reason = qn_grid_of_qdq(
             l, n, x.form == QN_CODES ? l->items[x.item].grid->qp.type->onnx_type : l->graph->values[v].dtype, &grid)))
        return reason;
    if (x.form == QN_CODES) {
        if (!qn_same_numbers(&grid->qp, &l->items[x.item].grid->qp))
            return "it reads codes with other parameters than they were made with";
        l->at[out] = (struct qn_place_of){ x.item, QN_VIEW };
        if (l->graph->values[l->items[x.item].old].rank < 0 && l->graph->values[out].rank >= 0)
            l->items[x.item].like = out;
        l->lift->qdq++;
        return NULL;
    }
    if (grid->qp.type->code_size == 4) return "it dequantizes a sum";
    l->lift->qdq++;
    l->at[out] = qn_lift_plain(l, out, n, 0); /* integers from outside: the node stays, its result has a grid */
    l->items[l->at[out].item].grid = grid;
    l->items[l->at[out].item].at = n;
    l->at[out].form = QN_VIEW;
    return "";
}

static const char *read_clip(struct qn_lifter *l, qn_node_id n, qn_value_id out)
{
    qn_value_id        v = qn_node_input(l->graph, n, 0);
    struct qn_place_of x;
    struct qn_grid    *cut;
    int32_t            lo, hi;

    if (v == QN_NONE || !clip_bounds(l, n, &lo, &hi)) return "";
    if (l->graph->values[v].init) {
        const Onnx__TensorProto *codes = l->graph->values[v].init;
        struct qn_clipped       *grown;
        if (!qn_qtype_by_onnx(codes->data_type)) return "";
        if (!(grown = qn_arena_grow(&l->scratch, l->clips, l->clip_count, &l->clip_room, sizeof *grown))) return "";
        l->clips = grown;
        grown[l->clip_count] = (struct qn_clipped){ codes, lo, hi };
        l->at[out] = (struct qn_place_of){ (uint32_t)l->clip_count++, QN_CONSTANT_CODES };
        l->lift->clips++;
        return NULL;
    }
    x = qn_lift_place(l, v);
    if (x.form != QN_CODES) return "";
    if (!(cut = qn_grid_cut(l, l->items[x.item].grid, lo, hi))) return "it cuts codes to a range that no bit width has";
    x.form = QN_VIEW;
    l->at[out] = (struct qn_place_of){ quantize(l, x, cut, n, out), QN_CODES };
    l->lift->clips++;
    return NULL;
}

static const char *read_quant(struct qn_lifter *l, qn_node_id n, qn_value_id out)
{
    qn_value_id        v = qn_node_input(l->graph, n, 0);
    const char        *op = l->graph->pb->node[n]->op_type, *reason;
    struct qn_place_of x;
    struct qn_grid    *grid;

    if (strcmp(op, "Quant") != 0 && strcmp(op, "IntQuant") != 0)
        return "no other format has an operator for what it does";
    if (v == QN_NONE) return "it has no input";
    x = qn_lift_place(l, v);
    if (x.form > QN_VIEW) return "it quantizes integers";
    if ((reason = qn_grid_of_quant(l, n, &grid))) return reason;
    l->at[out] = (struct qn_place_of){ quantize(l, x, grid, n, out), QN_VIEW };
    if (grid->qp.type->code_size == 4)
        l->items[l->at[out].item].wide_codes =
            qn_attr_ints(l->graph->pb->node[n], "codes", &l->items[l->at[out].item].wide_count);
    l->any_shift_first = true;
    l->lift->qonnx++;
    return NULL;
}

/* A node that stays: it reads what its inputs stand for; integers it needs are made again. */
static void keep(struct qn_lifter *l, qn_node_id n, const char *reason)
{
    const Onnx__NodeProto *pb = l->graph->pb->node[n];

    for (size_t slot = 0; slot < pb->n_input; slot++) {
        qn_value_id v = qn_node_input(l->graph, n, slot);
        if (v == QN_NONE || qn_lift_place(l, v).form < QN_CODES) continue;
        if (!l->needed[v] && !*reason) qn_lift_note(l, n, "it computes on integers");
        l->needed[v] = true;
    }
    for (size_t slot = 0; slot < pb->n_output; slot++) {
        qn_value_id out = qn_node_output(l->graph, n, slot);
        if (out != QN_NONE && l->at[out].item == QN_NONE) l->at[out] = qn_lift_plain(l, out, n, slot);
    }
}

static bool is_quantizer(const struct qn_graph *g, qn_node_id n)
{
    return qn_lift_is(g, n, "QuantizeLinear") || qn_lift_is(g, n, "DequantizeLinear") ||
           qn_lift_is(g, n, "DynamicQuantizeLinear");
}

static void read_node(struct qn_lifter *l, qn_node_id n)
{
    const struct qn_graph *g = l->graph;
    qn_value_id            out = g->pb->node[n]->n_output == 1 ? qn_node_output(g, n, 0) : QN_NONE;
    const char            *reason = "";

    if (out != QN_NONE && qn_lift_is(g, n, "QuantizeLinear"))
        reason = read_quantize(l, n, out);
    else if (out != QN_NONE && qn_lift_is(g, n, "DequantizeLinear"))
        reason = read_dequantize(l, n, out);
    else if (out != QN_NONE && qn_node_is(g, n, "Clip"))
        reason = read_clip(l, n, out);
    else if (qn_lift_is_qonnx(g, n))
        reason = out == QN_NONE ? "it has more than one result" : read_quant(l, n, out);
    else if (is_quantizer(g, n))
        reason = "its parameters depend on the data";
    else if (qn_lift_move(l, n))
        return;
    l->gone[n] = !reason;
    if (!reason) return;
    if (*reason) qn_lift_note(l, n, reason);
    keep(l, n, reason);
}

/* Graph outputs and what nested graphs read must be there under their names. */
static void read_ends(struct qn_lifter *l)
{
    for (qn_value_id v = 0; v < l->graph->value_count; v++) {
        uint16_t           flags = l->graph->values[v].flags;
        struct qn_place_of at;

        if (!(flags & (QN_OUTPUT | QN_CAPTURED))) continue;
        at = qn_lift_place(l, v);
        if (at.form >= QN_CODES) l->needed[v] = true;
        if (at.form == QN_PLAIN) l->items[at.item].plain_read = true;
        if (at.form == QN_VIEW && l->items[at.item].pinned == QN_NONE) l->items[at.item].pinned = v;
        if (at.form == QN_VIEW) l->items[at.item].view_read = true;
    }
}

/* What is read as it is, and what as a view or as codes. Identity items come behind those that they read. */
static void mark_reads(struct qn_lifter *l)
{
    const struct qn_graph *g = l->graph;

    for (qn_node_id n = 0; n < g->node_count; n++)
        for (size_t slot = 0; !l->gone[n] && slot < g->pb->node[n]->n_input; slot++) {
            qn_value_id v = qn_node_input(g, n, slot);
            if (v == QN_NONE || l->at[v].form == QN_CONSTANT_CODES) continue;
            if (!slot && l->moves[n])
                l->items[l->moves[n]].view_read = true;
            else
                *(l->at[v].form == QN_PLAIN ? &l->items[l->at[v].item].plain_read
                                            : &l->items[l->at[v].item].view_read) = true;
        }
    for (qn_value_id v = 0; v < g->value_count; v++) {
        if (!l->needed[v]) continue;
        if (l->at[v].form == QN_CODES)
            l->items[l->at[v].item].view_read = true;
        else
            l->gone[g->values[v].producer] = false; /* a Clip of a constant */
    }
    for (uint32_t i = (uint32_t)l->item_count; i-- > 1;) {
        const struct qn_item *item = &l->items[i];
        if (item->from == QN_NONE || !item->view_read) continue;
        *(item->from_view ? &l->items[item->from].view_read : &l->items[item->from].plain_read) = true;
    }
}

qonnx_status qn_lift_read(struct qn_lifter *l)
{
    const struct qn_graph *g = l->graph;

    l->at = qn_arena_array(&l->scratch, g->value_count, sizeof *l->at);
    l->gone = qn_arena_array(&l->scratch, g->node_count, sizeof *l->gone);
    l->moves = qn_arena_array(&l->scratch, g->node_count, sizeof *l->moves);
    l->needed = qn_arena_array(&l->scratch, g->value_count, sizeof *l->needed);
    if (!l->at || !l->moves || !l->gone || !l->needed) return qn_fail_nomem(l->err);
    for (qn_value_id v = 0; v < g->value_count; v++) l->at[v].item = QN_NONE;
    qn_item_new(l, qn_item_blank(0)); /* stands in after a failure */
    if (!l->items) return qn_fail_nomem(l->err);
    for (qn_node_id n = 0; n < g->node_count; n++) {
        read_node(l, n);
        if (qn_arena_failed(&l->scratch) || qn_arena_failed(l->arena)) return qn_fail_nomem(l->err);
    }
    read_ends(l);
    mark_reads(l);
    return qn_arena_failed(&l->scratch) ? qn_fail_nomem(l->err) : QONNX_OK;
}
