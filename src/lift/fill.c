/* SPDX-License-Identifier: Apache-2.0
 * The plan over the lifted graph: what was read, found again under the new ids. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lift/lifter.h"
#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "plan/presets.h"

/* ---- tensors ---- */

static qonnx_status fill_tensors(struct qn_lifter *l, const struct qn_item **by_value)
{
    struct qn_plan *plan = &l->lift->plan;

    for (qn_value_id v = 0; v < l->graph->value_count; v++)
        plan->tensors[v] = (struct qn_tensor_plan){ .group = v, .bounds = QN_UNBOUNDED, .useful = QN_UNBOUNDED, .sqnr = NAN };
    for (uint32_t i = 1; i < l->item_count; i++) {
        const struct qn_item  *item = &l->items[i];
        qn_value_id            v = item->grid && item->view_read ? qn_graph_find(l->graph, item->name) : QN_NONE;
        struct qn_tensor_plan *t;

        if (v == QN_NONE) continue;
        by_value[v] = item;
        t = &plan->tensors[v];
        t->quantized = true;
        t->at_producer = !item->plain_read && l->graph->values[v].producer != QN_NONE;
        t->params = (struct qn_qparams *)(uintptr_t)&item->grid->qp;
        t->range = qn_qparams_range(t->params, 0);
    }
    return QONNX_OK;
}

/* ---- nodes ---- */

struct pair {
    const Onnx__NodeProto *pb;
    size_t                 index;
};

static int by_pointer(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct pair *)a)->pb, y = (uintptr_t)((const struct pair *)b)->pb;
    return (x > y) - (x < y);
}

static qonnx_status fill_reads(struct qn_lifter *l)
{
    struct qn_plan *plan = &l->lift->plan;
    struct pair    *pairs = qn_arena_array(&l->scratch, l->node_count, sizeof *pairs), *found;

    if (!pairs) return qn_fail_nomem(l->err);
    for (size_t i = 0; i < l->node_count; i++) pairs[i] = (struct pair){ l->nodes[i].pb, i };
    if (l->node_count) qsort(pairs, l->node_count, sizeof *pairs, by_pointer);
    for (qn_node_id n = 0; n < l->graph->node_count; n++) {
        const Onnx__NodeProto *pb = l->graph->pb->node[n];
        struct qn_node_plan   *row = &plan->nodes[n];

        *row = (struct qn_node_plan){ .fused_into = QN_NONE, .result = QN_NONE, .db = NAN, .weight_sqnr = NAN };
        if (!(row->reads = qn_arena_array(l->arena, pb->n_input, sizeof *row->reads))) return qn_fail_nomem(l->err);
        found =
            l->node_count ? bsearch(&(struct pair){ pb, 0 }, pairs, l->node_count, sizeof *pairs, by_pointer) : NULL;
        if (!found) continue;
        row->dropped = l->nodes[found->index].dropped;
        for (size_t slot = 0; slot < pb->n_input; slot++) {
            qn_value_id v = qn_node_input(l->graph, n, slot);
            row->reads[slot] = l->nodes[found->index].views[slot] && v != QN_NONE && plan->tensors[v].quantized;
        }
    }
    return QONNX_OK;
}

/* ---- constants of layers ---- */

static bool shift_first_is_rounding(const struct qn_lifter *l, const struct qn_item *item)
{
    return item->grid->shift_first == (l->lift->plan.rounding == QN_SHIFT_THEN_ROUND);
}

static qonnx_status codes_of_item(struct qn_lifter *l, const struct qn_item *item, const Onnx__TensorProto *tensor,
                                  void **codes)
{
    size_t count;

    if (!item->codes) return qn_codes_from_floats(l, tensor, item, codes);
    *codes = (void *)(uintptr_t)qn_item_codes(l, item, &count);
    return *codes ? QONNX_OK : qn_fail_nomem(l->err);
}

static qonnx_status claim_weight(struct qn_lifter *l, qn_node_id n, const struct qn_item *item)
{
    struct qn_node_plan *row = &l->lift->plan.nodes[n];

    row->weight = (struct qn_qparams *)(uintptr_t)&item->grid->qp;
    row->reads[1] = false;
    if (!item->codes && shift_first_is_rounding(l, item)) return QONNX_OK; /* made from the float weight */
    return codes_of_item(l, item, qn_node_constant(l->graph, n, 1), &row->weight_codes);
}

/* The bias has the scale that integer kernels suppose: the product of the others. */
static bool is_product(const struct qn_plan *plan, qn_node_id n)
{
    const struct qn_node_plan *row = &plan->nodes[n];
    qn_value_id                x = qn_node_input(plan->graph, n, 0);
    const struct qn_qparams   *input = x != QN_NONE && row->reads[0] ? plan->tensors[x].params : NULL;

    if (!input || input->count != 1 || (row->bias->count != 1 && row->bias->count != row->weight->count)) return false;
    for (size_t i = 0; i < row->weight->count; i++)
        if (row->bias->scale[row->bias->count == 1 ? 0 : i] != qn_bias_scale(input->scale[0], row->weight->scale[i]))
            return false;
    return true;
}

static qonnx_status claim_bias(struct qn_lifter *l, qn_node_id n, const struct qn_item *item)
{
    struct qn_node_plan     *row = &l->lift->plan.nodes[n];
    const Onnx__TensorProto *tensor = qn_node_constant(l->graph, n, 2);
    const struct qn_qtype   *type = item->grid->qp.type;
    void                    *codes;

    if (tensor->n_dims != 1 || (type->is_signed == false && type->code_size == 4)) return QONNX_OK;
    QN_TRY(codes_of_item(l, item, tensor, &codes));
    row->bias_count = (size_t)tensor->dims[0];
    if (!(row->bias_codes = qn_arena_array(l->arena, row->bias_count, sizeof *row->bias_codes)))
        return qn_fail_nomem(l->err);
    for (size_t i = 0; i < row->bias_count; i++) row->bias_codes[i] = qn_code_at(type, codes, i);
    row->bias = (struct qn_qparams *)(uintptr_t)&item->grid->qp;
    row->reads[2] = false;
    row->bias_own_scale = !is_product(&l->lift->plan, n);
    return QONNX_OK;
}

/* A quantized constant where a layer has its weight or bias is the layer's; elsewhere it is a value like any other. */
static qonnx_status claim_constants(struct qn_lifter *l, const struct qn_item **by_value)
{
    struct qn_plan *plan = &l->lift->plan;

    for (qn_node_id n = 0; n < l->graph->node_count; n++) {
        const struct qn_rule *rule = plan->nodes[n].rule;
        qn_value_id           w = qn_node_input(l->graph, n, 1), b = qn_node_input(l->graph, n, 2);
        qonnx_status          status = QONNX_OK;

        if (!rule || rule->kind != QN_KIND_LAYER || rule->in[1] != QN_ROLE_WEIGHT || w == QN_NONE ||
            !plan->nodes[n].reads[1] || !l->graph->values[w].init)
            continue;
        status = claim_weight(l, n, by_value[w]);
        if (status == QONNX_OK && rule->in[2] == QN_ROLE_BIAS && b != QN_NONE && plan->nodes[n].reads[2] &&
            l->graph->values[b].init)
            status = claim_bias(l, n, by_value[b]);
        if (status != QONNX_OK) return qn_wrap(l->err, status, "%s", qn_node_label(l->graph, n));
    }
    return QONNX_OK;
}

/* Values whose view nobody reads any more; constants that stay values keep their codes. */
static qonnx_status settle_tensors(struct qn_lifter *l, const struct qn_item **by_value)
{
    struct qn_plan *plan = &l->lift->plan;
    bool           *read = qn_arena_array(&l->scratch, l->graph->value_count, sizeof *read);

    if (!read) return qn_fail_nomem(l->err);
    for (qn_node_id n = 0; n < l->graph->node_count; n++)
        for (size_t slot = 0; slot < l->graph->pb->node[n]->n_input; slot++)
            if (plan->nodes[n].reads[slot]) read[qn_node_input(l->graph, n, slot)] = true;
    for (qn_value_id v = 0; v < l->graph->value_count; v++) {
        struct qn_tensor_plan *t = &plan->tensors[v];
        if (!t->quantized) continue;
        t->quantized = read[v] || by_value[v]->pinned != QN_NONE;
        if (!t->quantized || !l->graph->values[v].init) continue;
        QN_TRY(codes_of_item(l, by_value[v], l->graph->values[v].init, &t->codes));
    }
    return QONNX_OK;
}

static const struct qn_target no_target = { .name = "none" };

qonnx_status qn_lift_fill(struct qn_lifter *l)
{
    struct qn_plan        *plan = &l->lift->plan;
    const struct qn_item **by_value = qn_arena_array(&l->scratch, l->graph->value_count, sizeof(struct qn_item *));

    plan->graph = l->graph;
    l->lift->settings = *l->settings;
    l->lift->settings.target_row = &no_target;
    plan->settings = &l->lift->settings;
    plan->rounding = l->any_shift_first ? QN_SHIFT_THEN_ROUND : QN_ROUND_THEN_SHIFT;
    plan->tensors = qn_arena_array(l->arena, l->graph->value_count, sizeof *plan->tensors);
    plan->nodes = qn_arena_array(l->arena, l->graph->node_count, sizeof *plan->nodes);
    if (!by_value || !plan->tensors || !plan->nodes) return qn_fail_nomem(l->err);
    QN_TRY(fill_tensors(l, by_value));
    QN_TRY(fill_reads(l));
    QN_TRY(qn_lift_rules(l));
    QN_TRY(claim_constants(l, by_value));
    QN_TRY(settle_tensors(l, by_value));
    qn_lift_reasons(l);
    return QONNX_OK;
}
