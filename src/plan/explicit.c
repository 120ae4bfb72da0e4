/* SPDX-License-Identifier: Apache-2.0
 *
 * Where quantizers stand. An output quantizer stands behind its node, and every reader sees what it makes. An input
 * quantizer belongs to one reader; readers of one float tensor that ask for the same share one. */
#include "plan/explicit.h"

#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/scopes.h"
#include "plan/explicit_rules.h"
#include "plan/match.h"

struct placer {
    struct qn_plan        *plan;
    const struct qn_graph *graph;
    struct qn_node_words  *words;
    bool                  *known; /* by value: what its readers see is quantized */
    struct qn_arena        scratch;
    qonnx_error           *err;
};

struct qn_site *qn_site_of(const struct qn_qparams *params) { return (struct qn_site *)(uintptr_t)params; }

static struct qn_site *new_site(struct placer *p, const struct qn_quantizer *q, qn_value_id value, qn_node_id node,
                                enum qn_slot slot)
{
    struct qn_explicit *recipe = p->plan->recipe;
    struct qn_site    **grown =
        qn_arena_grow(&p->plan->arena, recipe->sites, recipe->site_count, &recipe->site_room, sizeof *grown);
    struct qn_site *site = qn_arena_alloc(&p->plan->arena, sizeof *site);

    if (!grown || !site) return NULL;
    if (q) site->quantizer = *q;
    site->value = value;
    site->node = node;
    site->slot = slot;
    site->axis = -1;
    site->channels = 1;
    recipe->sites = grown;
    return grown[recipe->site_count++] = site;
}

/* ---- channels ---- */

/* What a layer's weight says of its result; the axis behind the batch is that of the channels but for a MatMul. */
static bool made_by_layer(const struct qn_graph *g, qn_node_id n, size_t *channels, int *rank)
{
    const Onnx__TensorProto *w = qn_node_constant(g, n, 1);
    int64_t                  groups = qn_node_is(g, n, "ConvTranspose") ? qn_attr_int(g->pb->node[n], "group", 1) : 1;

    if (!qn_is_layer_op(g, n) || qn_node_is(g, n, "MatMul") || !w || w->n_dims < 2) return false;
    if (w->dims[qn_weight_axis(g, n)] < 1 || groups < 1 || groups > INT32_MAX) return false;
    if (w->dims[qn_weight_axis(g, n)] > INT32_MAX) return false;
    *channels = (size_t)(w->dims[qn_weight_axis(g, n)] * groups);
    *rank = (int)w->n_dims;
    return true;
}

/* The rank of a value and its size along axis 1; what no shape says follows from the node that makes it. */
static bool channels_of(const struct placer *p, qn_value_id v, size_t *channels, int *rank)
{
    const struct qn_graph *g = p->graph;

    while (v != QN_NONE) {
        const struct qn_value *value = &g->values[v];
        if (value->rank >= 2 && value->dims[1] > 0) {
            *channels = (size_t)value->dims[1];
            *rank = value->rank;
            return true;
        }
        if (value->producer == QN_NONE) return false;
        if (made_by_layer(g, value->producer, channels, rank)) return true;
        if (!qn_rule_find(g->pb->node[value->producer]->op_type) ||
            qn_rule_find(g->pb->node[value->producer]->op_type)->kind != QN_KIND_POINTWISE)
            return false;
        v = qn_node_input(g, value->producer, 0);
    }
    return false;
}

static qonnx_status asked(const struct placer *p, qn_node_id n, enum qn_slot slot, qonnx_status status)
{
    return qn_said(p->words[n].from[slot], slot, qn_node_label(p->graph, n), status, p->err);
}

static qonnx_status set_channels(struct placer *p, struct qn_site *site)
{
    if (!site->quantizer.per_channel) return QONNX_OK;
    if (!channels_of(p, site->value, &site->channels, &site->rank))
        return asked(p, site->node, site->slot,
                     qn_fail(p->err, QONNX_E_UNSUPPORTED,
                             "a scale for each channel needs the shape of '%.200s', which is not known; is it declared "
                             "in the model?",
                             p->graph->values[site->value].name));
    site->axis = 1;
    return QONNX_OK;
}

/* ---- outputs and declared inputs ---- */

/* The value a node's output quantizer is for: with its bias, where an Add brings that. */
static qn_value_id result_of(const struct placer *p, qn_node_id n)
{
    qn_node_id add = p->plan->recipe->adds[n].node;
    return qn_node_output(p->graph, add == QN_NONE ? n : add, 0);
}

static qonnx_status place_declared(struct placer *p, const struct qn_input_words *input)
{
    qn_value_id       v = qn_graph_find(p->graph, input->name);
    struct qn_nearest nearest = { .word = input->name };
    struct qn_site   *site;

    if (v == QN_NONE || !(p->graph->values[v].flags & QN_INPUT)) {
        for (qn_value_id k = 0; k < p->graph->value_count; k++)
            if (p->graph->values[k].flags & QN_INPUT) qn_nearest_consider(&nearest, p->graph->values[k].name);
        return qn_fail(p->err, QONNX_E_USAGE, "%s:%d: inputs.%s: the model has no such input%s", input->file,
                       input->line, input->name, qn_nearest_hint(&nearest));
    }
    if (!(site = new_site(p, NULL, v, QN_NONE, QN_SLOT_OUTPUT))) return qn_fail_nomem(p->err);
    QN_TRY(qn_qparams_init(&site->params, &p->plan->arena, qn_qtype_find(input->is_signed ? "int8" : "uint8"),
                           input->bits, input->narrow, -1, 1, p->err));
    site->params.scale[0] = input->scale;
    site->params.zero_point[0] = input->zero_point;
    site->solved = true;
    p->plan->tensors[v].quantized = p->plan->tensors[v].at_producer = true;
    p->plan->tensors[v].params = &site->params;
    p->known[v] = true;
    return QONNX_OK;
}

/* A quantizer with limits of its own does what a Clip does, and an Identity does nothing. */
static bool vanishes(const struct placer *p, qn_node_id n)
{
    const struct qn_quantizer *output = &p->words[n].slots[QN_SLOT_OUTPUT];

    if (!output->row || p->words[n].slots[QN_SLOT_INPUT].row) return false;
    return qn_node_is(p->graph, n, "Identity") || (qn_node_is(p->graph, n, "Clip") && !isnan(output->max_val));
}

static qonnx_status place_output(struct placer *p, qn_node_id n)
{
    const struct qn_quantizer *q = &p->words[n].slots[QN_SLOT_OUTPUT];
    qn_value_id                v = result_of(p, n);
    qn_value_id                in = qn_node_input(p->graph, n, 0);
    struct qn_site            *site;

    if (v == QN_NONE) return QONNX_OK;
    p->known[v] |=
        q->row || qn_quantized_already(p->graph, v) ||
        (qn_keeps_metadata(p->graph, n) && (p->words[n].slots[QN_SLOT_INPUT].row || (in != QN_NONE && p->known[in])));
    if (!q->row) return QONNX_OK;
    if (p->plan->tensors[v].quantized)
        return asked(p, n, QN_SLOT_OUTPUT,
                     qn_fail(p->err, QONNX_E_USAGE,
                             "the MatMul before it, whose bias it adds, has an output quantizer too"));
    if (!(site = new_site(p, q, v, n, QN_SLOT_OUTPUT))) return qn_fail_nomem(p->err);
    p->plan->tensors[v].quantized = p->plan->tensors[v].at_producer = true;
    p->plan->tensors[v].params = &site->params;
    p->plan->nodes[n].dropped = vanishes(p, n);
    return set_channels(p, site);
}

/* ---- inputs ---- */

static bool same_real(double a, double b) { return a == b || (isnan(a) && isnan(b)); }

static bool same_quantizer(const struct qn_quantizer *a, const struct qn_quantizer *b)
{
    return a->row == b->row && a->bits == b->bits && a->is_signed == b->is_signed && a->narrow == b->narrow &&
           a->per_channel == b->per_channel && same_real(a->min_val, b->min_val) && same_real(a->max_val, b->max_val) &&
           a->collect_steps == b->collect_steps && same_real(a->momentum, b->momentum) &&
           same_real(a->low_percentile, b->low_percentile) && same_real(a->high_percentile, b->high_percentile);
}

/* All quantizers that readers of a value ask for are this one, and none is made where the value is. */
static bool can_share(const struct placer *p, qn_value_id v, const struct qn_quantizer *q)
{
    const struct qn_value *value = &p->graph->values[v];

    if (p->plan->tensors[v].quantized) return false;
    for (uint32_t u = 0; u < value->use_count; u++) {
        const struct qn_use       *use = &p->graph->uses[value->use_at + u];
        const struct qn_quantizer *other = &p->words[use->node].slots[QN_SLOT_INPUT];
        if (use->slot == 0 && other->row && !same_quantizer(other, q)) return false;
    }
    return true;
}

static qonnx_status place_input(struct placer *p, qn_node_id n)
{
    const struct qn_quantizer *q = &p->words[n].slots[QN_SLOT_INPUT];
    qn_value_id                v = qn_node_input(p->graph, n, 0);
    struct qn_tensor_plan     *t = v == QN_NONE ? NULL : &p->plan->tensors[v];
    struct qn_site            *site;

    if (!q->row || !t) return QONNX_OK;
    if (t->quantized && !t->at_producer && same_quantizer(&qn_site_of(t->params)->quantizer, q)) { /* shared already */
        p->plan->nodes[n].reads[0] = true;
        return QONNX_OK;
    }
    if (!(site = new_site(p, q, v, n, QN_SLOT_INPUT))) return qn_fail_nomem(p->err);
    if (can_share(p, v, q)) {
        t->quantized = true;
        t->params = &site->params;
        p->plan->nodes[n].reads[0] = true;
    } else {
        p->plan->nodes[n].input = &site->params;
    }
    return set_channels(p, site);
}

/* ---- all ---- */

/* A quantizer for floats only is not wanted where the value is quantized already. */
static void drop_unwanted(struct placer *p, qn_node_id n)
{
    qn_value_id v = qn_node_input(p->graph, n, 0);

    if (p->words[n].slots[QN_SLOT_INPUT].row && p->words[n].only_if_float && v != QN_NONE && p->known[v])
        p->words[n].slots[QN_SLOT_INPUT].row = NULL;
}

static void mark_readers(struct placer *p, qn_node_id n)
{
    for (size_t slot = 0; slot < p->graph->pb->node[n]->n_input; slot++) {
        qn_value_id v = qn_node_input(p->graph, n, slot);
        if (v != QN_NONE && p->plan->tensors[v].at_producer) p->plan->nodes[n].reads[slot] = true;
    }
}

static bool user_left_out(const struct placer *p, qn_node_id n, enum qn_reason *reason)
{
    const struct qn_settings *s = p->plan->settings;
    bool                      in = !s->include.count;

    for (size_t i = 0; i < s->include.count; i++) in |= qn_match_node(s->include.items[i], p->graph, n);
    *reason = QN_REASON_NOT_INCLUDED;
    if (!in) return true;
    *reason = QN_REASON_EXCLUDED;
    for (size_t i = 0; i < s->exclude.count; i++)
        if (qn_match_node(s->exclude.items[i], p->graph, n)) return true;
    return false;
}

static enum qn_reason reason_of(const struct placer *p, qn_node_id n)
{
    const struct qn_node_words *words = &p->words[n];
    const Onnx__NodeProto      *pb = p->graph->pb->node[n];
    qn_value_id                 in = qn_node_input(p->graph, n, 0);
    enum qn_reason              reason;

    if (qn_is_mark(pb)) return QN_REASON_SCOPE;
    if (qn_node_has_body(pb)) return QN_REASON_HAS_BODY;
    if (!qn_node_is(p->graph, n, pb->op_type)) return QN_REASON_OTHER_DOMAIN;
    if (user_left_out(p, n, &reason)) return reason;
    if (!qn_is_layer_op(p->graph, n))
        return words->slots[QN_SLOT_OUTPUT].row ? QN_REASON_QUANTIZED : QN_REASON_NOT_IN_RECIPE;
    if ((reason = qn_layer_reason(p->graph, n)) != QN_REASON_QUANTIZED) return reason;
    if (!words->slots[QN_SLOT_WEIGHT].row && !words->slots[QN_SLOT_INPUT].row) return QN_REASON_NOT_IN_RECIPE;
    return words->slots[QN_SLOT_WEIGHT].row && (words->slots[QN_SLOT_INPUT].row || (in != QN_NONE && p->known[in]))
               ? QN_REASON_QUANTIZED
               : QN_REASON_OPERAND_IN_FLOAT;
}

/* An Add that brings the bias of an integer product is part of it. */
static void fuse_adds(struct placer *p)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        qn_node_id           add = p->plan->recipe->adds[n].node;
        struct qn_node_plan *row = add == QN_NONE ? NULL : &p->plan->nodes[add];
        if (!row || row->reason != QN_REASON_NOT_IN_RECIPE || p->plan->nodes[n].reason != QN_REASON_QUANTIZED ||
            !p->words[n].slots[QN_SLOT_BIAS].row)
            continue;
        row->reason = QN_REASON_FUSED;
        row->fused_into = n;
    }
}

static void fill_rows(struct placer *p)
{
    struct qn_explicit *recipe = p->plan->recipe;

    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        struct qn_node_plan  *row = &p->plan->nodes[n];
        const struct qn_rule *rule = qn_node_is(p->graph, n, p->graph->pb->node[n]->op_type)
                                         ? qn_rule_find(p->graph->pb->node[n]->op_type)
                                         : NULL;
        row->rule = rule;
        row->reason = reason_of(p, n);
        row->fused_into = QN_NONE;
        row->result = result_of(p, n);
        row->db = row->weight_sqnr = NAN;
        recipe->weights[n] = p->words[n].slots[QN_SLOT_WEIGHT];
        recipe->biases[n] = p->words[n].slots[QN_SLOT_BIAS];
        memcpy(recipe->said[n], p->words[n].from, sizeof recipe->said[n]);
    }
    fuse_adds(p);
}

static qonnx_status place(struct placer *p)
{
    const struct qn_recipe *words = p->plan->settings->recipe;

    QN_TRY(qn_match_check(&p->plan->settings->include, "include", p->graph, p->err));
    QN_TRY(qn_match_check(&p->plan->settings->exclude, "exclude", p->graph, p->err));
    QN_TRY(qn_explicit_words(p->graph, p->plan->settings, &p->scratch, &p->words, p->err));
    for (size_t i = 0; i < words->input_count; i++) QN_TRY(place_declared(p, &words->inputs[i]));
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        drop_unwanted(p, n);
        QN_TRY(place_output(p, n));
    }
    for (qn_node_id n = 0; n < p->graph->node_count; n++) mark_readers(p, n);
    for (qn_node_id n = 0; n < p->graph->node_count; n++) QN_TRY(place_input(p, n));
    fill_rows(p);
    return QONNX_OK;
}

static qonnx_status allocate(struct placer *p)
{
    struct qn_plan *plan = p->plan;
    size_t          values = p->graph->value_count, nodes = p->graph->node_count;

    plan->tensors = qn_arena_array(&plan->arena, values, sizeof *plan->tensors);
    plan->nodes = qn_arena_array(&plan->arena, nodes, sizeof *plan->nodes);
    plan->recipe = qn_arena_alloc(&plan->arena, sizeof *plan->recipe);
    p->known = qn_arena_array(&p->scratch, values, sizeof *p->known);
    if (!plan->tensors || !plan->nodes || !plan->recipe || !p->known) return qn_fail_nomem(p->err);
    plan->recipe->weights = qn_arena_array(&plan->arena, nodes, sizeof *plan->recipe->weights);
    plan->recipe->biases = qn_arena_array(&plan->arena, nodes, sizeof *plan->recipe->biases);
    plan->recipe->said = qn_arena_array(&plan->arena, nodes, sizeof *plan->recipe->said);
    plan->recipe->adds = qn_arena_array(&plan->arena, nodes, sizeof *plan->recipe->adds);
    plan->recipe->metadata = qn_arena_array(&plan->arena, values, sizeof *plan->recipe->metadata);
    for (qn_node_id n = 0; n < nodes; n++)
        plan->nodes[n].reads = qn_arena_array(&plan->arena, p->graph->pb->node[n]->n_input, sizeof(bool));
    if (qn_arena_failed(&plan->arena)) return qn_fail_nomem(p->err);
    for (qn_node_id n = 0; n < nodes; n++)
        if (!qn_linear_bias(p->graph, n, &plan->recipe->adds[n])) plan->recipe->adds[n].node = QN_NONE;
    for (qn_value_id v = 0; v < values; v++)
        plan->tensors[v] =
            (struct qn_tensor_plan){ .group = v, .bounds = QN_UNBOUNDED, .useful = QN_UNBOUNDED, .range = QN_RANGE_EMPTY, .sqnr = NAN };
    return QONNX_OK;
}

qonnx_status qn_explicit_plan(struct qn_plan *plan, const struct qn_graph *graph, const struct qn_settings *settings,
                              qonnx_error *err)
{
    struct placer p = { .plan = plan, .graph = graph, .err = err };
    qonnx_status  status;

    memset(plan, 0, sizeof *plan);
    plan->graph = graph;
    plan->settings = settings;
    plan->rounding = QN_SHIFT_THEN_ROUND;
    status = allocate(&p);
    if (status == QONNX_OK) status = place(&p);
    qn_arena_release(&p.scratch);
    if (status != QONNX_OK) qn_plan_release(plan);
    return status;
}
