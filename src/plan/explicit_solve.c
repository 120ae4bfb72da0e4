/* SPDX-License-Identifier: Apache-2.0
 *
 * The numbers of an explicit plan, in the order of the graph: what a bias is divided by follows from what its layer
 * reads, which may be the result of the layer before. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/numerals.h"
#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "plan/explicit_rules.h"

struct solver {
    struct qn_plan     *plan;
    struct qn_explicit *recipe;
    bool               *summed; /* by value: its metadata are those of a sum of products, not of a quantizer */
    struct qn_arena     scratch;
    int                 threads;
    qonnx_error        *err;
};

static int thread_count(const struct qn_plan *plan)
{
    return qn_settings_threads(plan->settings);
}

/* ---- weights ---- */

static qonnx_status solve_weight(struct qn_plan *plan, qn_node_id n, qonnx_error *err)
{
    const struct qn_graph     *g = plan->graph;
    const struct qn_quantizer *q = &plan->recipe->weights[n];
    const Onnx__TensorProto   *weight = qn_node_constant(g, n, 1);
    struct qn_node_plan       *row = &plan->nodes[n];
    bool                       transposed = qn_node_is(g, n, "ConvTranspose");
    int                        axis = q->per_channel ? qn_weight_axis(g, n) : -1, unused;
    struct qn_layout           layout;
    struct qn_error_sums       sums;
    const float               *w;
    size_t                     count;

    QN_TRY(qn_quantizer_weight_axis(q, transposed, qn_attr_int(g->pb->node[n], "group", 1), &unused, err));
    QN_TRY(qn_tensor_floats(weight, &plan->arena, &w, &count, err));
    QN_TRY(qn_layout_init(&layout, weight->dims, weight->n_dims, axis < 0 ? QN_NO_AXIS : axis, err));
    if (!(row->weight = qn_arena_alloc(&plan->arena, sizeof *row->weight))) return qn_fail_nomem(err);
    QN_TRY(qn_quantizer_weight(q, w, layout, axis, &plan->arena, thread_count(plan), row->weight, err));
    QN_TRY(qn_quantization_error(w, layout, row->weight, NULL, &sums, thread_count(plan), err));
    row->weight_sqnr = qn_sqnr_db(sums);
    return QONNX_OK;
}

qonnx_status qn_explicit_weights(struct qn_plan *plan, qonnx_error *err)
{
    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        qonnx_status status = plan->recipe->weights[n].row ? solve_weight(plan, n, err) : QONNX_OK;
        if (plan->recipe->biases[n].row &&
            !(plan->nodes[n].bias = qn_arena_alloc(&plan->arena, sizeof *plan->nodes[n].bias)))
            return qn_fail_nomem(err);
        QN_TRY(
            qn_said(plan->recipe->said[n][QN_SLOT_WEIGHT], QN_SLOT_WEIGHT, qn_node_label(plan->graph, n), status, err));
    }
    return QONNX_OK;
}

/* ---- activations ---- */

bool qn_site_collects(const struct qn_site *site)
{
    return !site->solved && site->quantizer.row && qn_quantizer_is_running(&site->quantizer);
}

qonnx_status qn_site_solve(struct qn_plan *plan, struct qn_site *site, qonnx_error *err)
{
    struct qn_running state, *running = NULL;
    const char       *name = plan->graph->values[site->value].name;

    if (site->solved) return QONNX_OK;
    if (qn_site_collects(site)) {
        if (!site->batch_count)
            return qn_fail(err, QONNX_E_DATA, "'%.200s': there is no sample to take its range from", name);
        QN_TRY(qn_running_init(&state, &site->quantizer, site->channels, &plan->arena, err));
        qn_running_replay(&state, site->batches, site->batch_count);
        running = &state;
    }
    QN_TRY(qn_quantizer_activation(&site->quantizer, running, site->channels, site->axis, &plan->arena, &site->params,
                                   err));
    site->solved = true;
    return QONNX_OK;
}

/* ---- biases and metadata ---- */

static qonnx_status warn(struct solver *s, const char *format, ...) QONNX_PRINTF(2, 3);
static qonnx_status warn(struct solver *s, const char *format, ...)
{
    struct qn_explicit *recipe = s->recipe;
    char                line[400];
    va_list             arguments;
    const char        **grown = qn_arena_grow(&s->plan->arena, (void *)recipe->warnings, recipe->warning_count,
                                              &recipe->warning_room, sizeof *grown);

    va_start(arguments, format);
    qn_vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (!grown) return qn_fail_nomem(s->err);
    recipe->warnings = grown;
    grown[recipe->warning_count++] = qn_arena_strdup(&s->plan->arena, line);
    return qn_arena_failed(&s->plan->arena) ? qn_fail_nomem(s->err) : QONNX_OK;
}

/* A layer, and what it computes on. */
struct layer {
    qn_node_id               node;
    const Onnx__TensorProto *weight;
    const float             *bias; /* as it is added: dequantized; NULL: none */
    size_t                   bias_count;
    struct qn_metadata       input, w; /* of the operands; not known for float ones */
    uint64_t                 terms;
};

static bool is_depthwise(const struct qn_graph *g, const struct layer *l)
{
    int64_t groups = qn_attr_int(g->pb->node[l->node], "group", 1);
    return qn_node_is(g, l->node, "Conv") && groups == l->weight->dims[0] && l->weight->dims[1] == 1;
}

static qonnx_status count_terms(struct solver *s, struct layer *l)
{
    const struct qn_graph *g = s->plan->graph;
    bool                   transposed = qn_node_is(g, l->node, "ConvTranspose"), matrix = l->weight->n_dims == 2;
    int64_t                dims[2], *strides = qn_arena_array(&s->scratch, l->weight->n_dims, sizeof *strides);
    size_t                 given;
    const int64_t         *said = qn_attr_ints(g->pb->node[l->node], "strides", &given);

    if (!strides) return qn_fail_nomem(s->err);
    for (size_t i = 2; i < l->weight->n_dims; i++) strides[i - 2] = i - 2 < given ? said[i - 2] : 1;
    if (!matrix) return qn_layer_terms(transposed, l->weight->dims, l->weight->n_dims, strides, &l->terms, s->err);
    dims[0] = l->weight->dims[qn_weight_axis(g, l->node)];
    dims[1] = l->weight->dims[1 - qn_weight_axis(g, l->node)];
    return qn_layer_terms(false, dims, 2, NULL, &l->terms, s->err);
}

static size_t count_cut(const struct layer *l, const struct qn_qparams *bias)
{
    size_t cut = 0;

    for (size_t i = 0; i < l->bias_count; i++) {
        double code = rint((double)l->bias[i] / (double)bias->scale[bias->count == 1 ? 0 : i]) +
                      bias->zero_point[bias->count == 1 ? 0 : i];
        cut += code < (double)bias->lo || code > (double)bias->hi;
    }
    return cut;
}

/* Codes, and from then on l->bias is what they stand for. */
static qonnx_status solve_bias(struct solver *s, struct layer *l)
{
    const struct qn_quantizer *q = &s->recipe->biases[l->node];
    struct qn_node_plan       *row = &s->plan->nodes[l->node];
    struct qn_arena           *arena = &s->plan->arena;
    struct qn_qparams          wide;
    struct qn_layout           layout;
    size_t                     cut;
    float                     *values;

    QN_TRY(qn_quantizer_bias(q, l->bias, l->bias_count, &l->input, &l->w, arena, row->bias, s->err));
    row->bias_own_scale = q->row->statistic != QN_STAT_SCALE_PRODUCT;
    row->bias_count = l->bias_count;
    row->bias_codes = qn_arena_array(arena, l->bias_count, sizeof *row->bias_codes);
    values = qn_arena_array(arena, l->bias_count, sizeof *values);
    if (qn_arena_failed(arena)) return qn_fail_nomem(s->err);
    wide = *row->bias; /* the same codes, in a type that holds them all */
    wide.type = qn_qtype_find("int32");
    layout = row->bias->count == 1 ? QN_LAYOUT_FLAT(l->bias_count) : (struct qn_layout){ 1, l->bias_count, 1 };
    QN_TRY(qn_quantize(l->bias, layout, &wide, s->plan->rounding, row->bias_codes, 1, s->err));
    QN_TRY(qn_dequantize(row->bias_codes, layout, &wide, values, 1, s->err));
    cut = count_cut(l, row->bias);
    if (cut && !row->bias_own_scale)
        QN_TRY(warn(s, "%s: %zu of %zu biases do not fit the %d bits of '%s' and are cut off",
                    qn_node_label(s->plan->graph, l->node), cut, l->bias_count, row->bias->bits, q->row->name));
    l->bias = values;
    return QONNX_OK;
}

static qonnx_status asked(const struct solver *s, qn_node_id n, enum qn_slot slot, qonnx_status status)
{
    return qn_said(s->recipe->said[n][slot], slot, qn_node_label(s->plan->graph, n), status, s->err);
}

static qonnx_status metadata_read(struct solver *s, qn_node_id n, struct qn_metadata *meta, bool *summed)
{
    const struct qn_node_plan *row = &s->plan->nodes[n];
    qn_value_id                v = qn_node_input(s->plan->graph, n, 0);

    *summed = false;
    *meta = (struct qn_metadata){ .axis = -1 };
    if (row->input) return qn_metadata_of_params(row->input, &s->plan->arena, meta, s->err);
    if (v == QN_NONE) return QONNX_OK;
    if (s->plan->tensors[v].quantized && row->reads[0])
        return qn_metadata_of_params(s->plan->tensors[v].params, &s->plan->arena, meta, s->err);
    *meta = s->recipe->metadata[v];
    *summed = s->summed[v];
    return QONNX_OK;
}

static qonnx_status solve_layer(struct solver *s, qn_node_id n, struct qn_metadata *out)
{
    const struct qn_graph   *g = s->plan->graph;
    struct qn_node_plan     *row = &s->plan->nodes[n];
    struct qn_use            at = qn_plan_bias(s->plan, n);
    const Onnx__TensorProto *bias = qn_node_constant(g, at.node, at.slot);
    struct layer             l = { .node = n, .weight = qn_node_constant(g, n, 1), .w = { .axis = -1 } };
    struct qn_layer          layer;
    bool                     summed;

    QN_TRY(metadata_read(s, n, &l.input, &summed));
    if (row->weight) QN_TRY(qn_metadata_of_params(row->weight, &s->plan->arena, &l.w, s->err));
    /* Sums with a scale for each channel come from layers without an output quantizer: to the next they are floats. */
    if (summed && l.input.scale_count > 1 && !is_depthwise(g, &l)) l.input = (struct qn_metadata){ .axis = -1 };
    if (row->weight && !summed)
        QN_TRY(asked(s, n, row->input || s->recipe->said[n][QN_SLOT_INPUT] ? QN_SLOT_INPUT : QN_SLOT_WEIGHT,
                     qn_quantizer_check_input(&l.input, is_depthwise(g, &l), s->err)));
    QN_TRY(asked(s, n, QN_SLOT_WEIGHT, count_terms(s, &l)));
    if (bias) QN_TRY(qn_tensor_floats(bias, &s->plan->arena, &l.bias, &l.bias_count, s->err));
    if (s->recipe->biases[n].row) QN_TRY(asked(s, n, QN_SLOT_BIAS, solve_bias(s, &l)));
    layer = (struct qn_layer){ &l.input,     &l.w,      l.weight->n_dims > 2,       l.terms, 1, l.bias,
                               l.bias_count, row->bias, QN_COMPARE_AS_BREVITAS_0_13 };
    QN_TRY(asked(s, n, QN_SLOT_WEIGHT, qn_metadata_of_layer(&layer, &s->plan->arena, out, s->err)));
    row->accumulator_bits = out->bits;
    return QONNX_OK;
}

static qonnx_status solve_node(struct solver *s, qn_node_id n)
{
    const struct qn_graph *g = s->plan->graph;
    qn_node_id             add = s->recipe->adds[n].node;
    qn_value_id            v = qn_node_output(g, add == QN_NONE ? n : add, 0);
    struct qn_metadata     meta = { .axis = -1 };
    bool                   summed = false;

    if (s->plan->nodes[n].weight || s->recipe->biases[n].row) {
        QN_TRY(solve_layer(s, n, &meta));
        summed = true;
    } else if (qn_keeps_metadata(g, n)) {
        QN_TRY(metadata_read(s, n, &meta, &summed));
    }
    if (v == QN_NONE || (s->recipe->metadata[v].known && !s->plan->tensors[v].at_producer))
        return QONNX_OK; /* an Add, after its MatMul */
    if (s->plan->tensors[v].at_producer) {
        QN_TRY(qn_metadata_of_params(s->plan->tensors[v].params, &s->plan->arena, &meta, s->err));
        summed = false;
    }
    s->recipe->metadata[v] = meta;
    s->summed[v] = summed;
    return QONNX_OK;
}

static qonnx_status solve_all(struct solver *s)
{
    const struct qn_graph *g = s->plan->graph;

    if (!(s->summed = qn_arena_array(&s->scratch, g->value_count, sizeof *s->summed))) return qn_fail_nomem(s->err);
    s->recipe->warning_count = 0;
    for (size_t i = 0; i < s->recipe->site_count; i++) QN_TRY(qn_site_solve(s->plan, s->recipe->sites[i], s->err));
    for (qn_value_id v = 0; v < g->value_count; v++) {
        struct qn_tensor_plan *t = &s->plan->tensors[v];
        if (!t->quantized) continue;
        for (size_t i = 0; i < t->params->count; i++) {
            struct qn_range one = qn_qparams_range(t->params, i);
            t->range.min = fminf(t->range.min, one.min);
            t->range.max = fmaxf(t->range.max, one.max);
        }
        if (t->at_producer && g->values[v].producer == QN_NONE)
            QN_TRY(qn_metadata_of_params(t->params, &s->plan->arena, &s->recipe->metadata[v], s->err));
    }
    for (qn_node_id n = 0; n < g->node_count; n++) QN_TRY(solve_node(s, n));
    return QONNX_OK;
}

qonnx_status qn_explicit_solve(struct qn_plan *plan, qonnx_error *err)
{
    struct solver s = { .plan = plan, .recipe = plan->recipe, .threads = thread_count(plan), .err = err };
    qonnx_status  status = solve_all(&s);

    qn_arena_release(&s.scratch);
    return status;
}
