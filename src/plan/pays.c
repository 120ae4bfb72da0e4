/* SPDX-License-Identifier: Apache-2.0
 *
 * Two questions. Of each layer: would it be cheaper in float, its neighbours staying as they are? And of each island (the
 * nodes that hand on codes to each other): is all of it, with the Q and DQ at its shores, cheaper than in float? What is
 * lost goes to float, and a new plan is made and asked again. */
#include "plan/pays.h"

#include "plan/presets.h"
#include "plan/prices.h"

struct pays {
    struct qn_pricing prices;
    double           *in_float, *on_integers; /* of each island, by its root */
    qn_node_id       *island;                 /* of each node: towards its root */
    bool             *changes;                /* of each island: a layer leaves it */
    bool             *unknown;                /* of each island: a size is not known */
    bool             *losing, *any;
};

/* ---- islands ---- */

static qn_node_id root_of(struct pays *p, qn_node_id n)
{
    while (p->island[n] != n) n = p->island[n] = p->island[p->island[n]];
    return n;
}

/* The first integer node that touches the value; the others join its island. */
static qn_node_id join_touching(struct pays *p, qn_value_id v)
{
    const struct qn_value *value = &p->prices.graph->values[v];
    qn_node_id             first = QN_NONE, n = value->producer;

    if (p->prices.plan->tensors[v].at_producer && n != QN_NONE)
        first = p->prices.plan->nodes[n].reason == QN_REASON_FUSED ? p->prices.plan->nodes[n].fused_into : n;
    for (uint32_t u = 0; u < value->use_count; u++) {
        struct qn_use use = p->prices.graph->uses[value->use_at + u];
        if (use.slot == QN_SLOT_CAPTURED || !qn_on_integers(&p->prices, use.node) ||
            !qn_plan_reads_codes(p->prices.plan, use.node, use.slot))
            continue;
        if (first == QN_NONE)
            first = use.node;
        else
            p->island[root_of(p, use.node)] = root_of(p, first);
    }
    return first;
}

static void price_islands(struct pays *p)
{
    for (qn_node_id n = 0; n < p->prices.graph->node_count; n++) p->island[n] = n;
    for (qn_value_id v = 0; v < p->prices.graph->value_count; v++)
        if (p->prices.plan->tensors[v].quantized) join_touching(p, v);
    for (qn_node_id n = 0; n < p->prices.graph->node_count; n++) {
        qn_node_id       root = root_of(p, n);
        struct qn_prices prices;
        if (!qn_on_integers(&p->prices, n)) continue;
        prices = qn_node_prices(&p->prices, n);
        p->in_float[root] += prices.in_float + (prices.known ? qn_layout_price(&p->prices, n) : 0);
        p->on_integers[root] += prices.on_integers;
        p->unknown[root] |= !prices.known;
    }
    for (qn_value_id v = 0; v < p->prices.graph->value_count; v++) {
        qn_node_id first = p->prices.plan->tensors[v].quantized ? join_touching(p, v) : QN_NONE;
        if (first == QN_NONE) continue;
        p->on_integers[root_of(p, first)] += qn_shore_price(&p->prices, v);
        p->unknown[root_of(p, first)] |= qn_elements(&p->prices, v) <= 0;
    }
}

static void lose(struct pays *p, qn_node_id n)
{
    p->losing[n] = true;
    *p->any = true;
}

/* ---- single layers ---- */

/* What changes at one value when one of its readers or its maker goes to float. */
static double shore_without_reader(const struct pays *p, qn_value_id v)
{
    const struct qn_readers *r = &p->prices.readers[v];
    double                   size = qn_elements(&p->prices, v);

    if (p->prices.plan->tensors[v].at_producer)
        return qn_price(p->prices.costs->dequantize, size) +
               (r->in_float ? 0 : qn_price(p->prices.costs->transpose, size)) +
               (r->transposing && qn_makes_blocked(&p->prices, v) ? qn_price(p->prices.costs->reorder, size) : 0);
    return r->integer == 1 ? -qn_quantize_price(&p->prices, v) : 0;
}

static double shore_without_maker(const struct pays *p, qn_value_id v)
{
    const struct qn_readers *r = &p->prices.readers[v];
    double                   pool = r->pooling ? p->prices.costs->plain_pool * qn_elements(&p->prices, v) : 0;

    return (r->integer ? qn_quantize_price(&p->prices, v) + pool : 0) - qn_dequantize_price(&p->prices, v);
}

static bool layer_loses(const struct pays *p, qn_node_id n)
{
    const struct qn_node_plan *row = &p->prices.plan->nodes[n];
    struct qn_prices           prices = qn_layer_prices(&p->prices, n);
    double                     change = prices.in_float - prices.on_integers;

    if (!prices.known || change >= 0) return false; /* by itself faster on integers */
    change += shore_without_reader(p, qn_node_input(p->prices.graph, n, 0));
    if (row->result != QN_NONE && p->prices.plan->tensors[row->result].at_producer)
        change += shore_without_maker(p, row->result);
    return change < 0;
}

static void lose_layers(struct pays *p)
{
    for (qn_node_id n = 0; n < p->prices.graph->node_count; n++) {
        const struct qn_node_plan *row = &p->prices.plan->nodes[n];
        bool                       loses = row->reason == QN_REASON_MOVES_CODES
                                               ? qn_plain_pool_price(&p->prices, n) > 0
                                               : row->reason == QN_REASON_QUANTIZED && row->rule->kind == QN_KIND_LAYER && layer_loses(p, n);
        if (!loses) continue;
        lose(p, n);
        p->changes[root_of(p, n)] = true;
    }
}

/* Those that no layer left: they are judged as they will be without it. */
static void lose_islands(struct pays *p)
{
    for (qn_node_id n = 0; n < p->prices.graph->node_count; n++) {
        qn_node_id root = root_of(p, n);
        if (qn_on_integers(&p->prices, n) && !p->unknown[root] && !p->changes[root] &&
            p->on_integers[root] >= p->in_float[root])
            lose(p, n);
    }
}

qonnx_status qn_plan_losses(const struct qn_plan *plan, bool *losing, bool *any, qonnx_error *err)
{
    size_t          nodes = plan->graph->node_count;
    struct qn_arena arena = { 0 };
    struct pays     p = { .losing = losing, .any = any };
    qonnx_status    status;

    *any = false;
    if (!plan->settings->target_row->costs || !plan->settings->only_faster || plan->settings->acts != QN_ACTS_STATIC) return QONNX_OK;
    p.in_float = qn_arena_array(&arena, nodes, sizeof *p.in_float);
    p.on_integers = qn_arena_array(&arena, nodes, sizeof *p.on_integers);
    p.island = qn_arena_array(&arena, nodes, sizeof *p.island);
    p.changes = qn_arena_array(&arena, nodes, sizeof *p.changes);
    p.unknown = qn_arena_array(&arena, nodes, sizeof *p.unknown);
    status = qn_pricing_init(&p.prices, plan, &arena, err);
    if (status == QONNX_OK) {
        price_islands(&p);
        lose_layers(&p);
        lose_islands(&p);
    }
    qn_arena_release(&arena);
    return status;
}
