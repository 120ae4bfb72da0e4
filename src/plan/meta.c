/* SPDX-License-Identifier: Apache-2.0
 *
 * Quantizers set metadata; layers derive them from their operands; operators that move values, and Relu, keep them; a sum
 * of two tensors of one scale has a wider range. All else, and any operand in float, gives a plain tensor. */
#include "plan/meta.h"

#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "plan/planner.h"

struct propagation {
    const struct qn_plan  *plan;
    const struct qn_graph *graph;
    struct qn_arena       *arena;
    struct qn_plan_meta   *meta;
    qonnx_error           *err;
};

static const struct qn_metadata unknown = { .axis = -1 };

/* ---- shapes of layers ---- */

static uint64_t terms_of_matrix(int64_t outputs, int64_t inputs)
{
    const int64_t dims[2] = { outputs, inputs };
    uint64_t      terms;
    return qn_layer_terms(false, dims, 2, NULL, &terms, NULL) == QONNX_OK ? terms : 0;
}

uint64_t qn_plan_terms(const struct qn_graph *graph, qn_node_id node)
{
    const Onnx__NodeProto *pb = graph->pb->node[node];
    qn_value_id            w = qn_node_input(graph, node, 1);
    const int64_t         *dims = w == QN_NONE ? NULL : graph->values[w].dims, *given;
    int32_t                rank = w == QN_NONE ? -1 : graph->values[w].rank;
    int64_t                strides[64];
    size_t                 count;
    uint64_t               terms;
    bool                   transposed = qn_node_is(graph, node, "ConvTranspose");

    if (rank < 2 || rank > 64 || !dims) return 0;
    for (int32_t i = 0; i < rank; i++)
        if (dims[i] < 0) return 0;
    if (qn_node_is(graph, node, "MatMul")) return terms_of_matrix(dims[rank - 1], dims[rank - 2]);
    if (qn_node_is(graph, node, "Gemm"))
        return qn_attr_int(pb, "transB", 0) ? terms_of_matrix(dims[0], dims[1]) : terms_of_matrix(dims[1], dims[0]);
    given = qn_attr_ints(pb, "strides", &count);
    for (size_t i = 0; i < 64; i++) strides[i] = i < count ? given[i] : 1;
    return qn_layer_terms(transposed, dims, (size_t)rank, strides, &terms, NULL) == QONNX_OK ? terms : 0;
}

static int output_axis(const struct qn_graph *graph, qn_node_id n)
{
    qn_value_id out = qn_node_output(graph, n, 0);
    if (!qn_node_is(graph, n, "MatMul")) return 1;
    return out != QN_NONE && graph->values[out].rank > 0 ? graph->values[out].rank - 1 : 1;
}

/* ---- operands ---- */

static qonnx_status operand(const struct propagation *p, qn_node_id n, size_t slot, struct qn_metadata *meta)
{
    const struct qn_node_plan *row = &p->plan->nodes[n];
    qn_value_id                v = qn_node_input(p->graph, n, slot);

    *meta = unknown;
    if (slot == 0 && row->input) return qn_metadata_of_params(row->input, p->arena, meta, p->err);
    if (slot == 1 && row->weight) return qn_metadata_of_params(row->weight, p->arena, meta, p->err);
    if (v != QN_NONE) *meta = qn_plan_reads_codes(p->plan, n, slot) ? p->meta->seen[v] : p->meta->made[v];
    return QONNX_OK;
}

/* The bias as the layer adds it. */
static qonnx_status read_bias(const struct propagation *p, qn_node_id n, struct qn_layer *layer)
{
    const struct qn_node_plan *row = &p->plan->nodes[n];
    const Onnx__TensorProto   *tensor = qn_node_constant(p->graph, n, 2);
    float                     *values;

    if (!row->rule || row->rule->in[2] != QN_ROLE_BIAS || !tensor) return QONNX_OK;
    layer->bias_params = row->bias;
    if (!row->bias) return qn_tensor_floats(tensor, p->arena, &layer->bias, &layer->bias_count, p->err);
    if (!(values = qn_arena_array(p->arena, row->bias_count, sizeof *values))) return qn_fail_nomem(p->err);
    for (size_t i = 0; i < row->bias_count; i++) {
        size_t k = row->bias->count == 1 ? 0 : i;
        values[i] = (float)(row->bias_codes[i] - row->bias->zero_point[k]) * row->bias->scale[k];
    }
    layer->bias = values;
    layer->bias_count = row->bias_count;
    return QONNX_OK;
}

/* ---- nodes ---- */

/* Metadata that cannot be are those of a plain tensor. */
static qonnx_status forgive(qonnx_status status, struct qn_metadata *meta, qonnx_error *err)
{
    if (status == QONNX_OK) return QONNX_OK;
    if (status == QONNX_E_NOMEM) return qn_fail_nomem(err);
    *meta = unknown;
    return QONNX_OK;
}

static qonnx_status of_layer(const struct propagation *p, qn_node_id n, struct qn_metadata *meta)
{
    struct qn_metadata input, weight;
    struct qn_layer    layer = {
           .input = &input, .weight = &weight, .terms = qn_plan_terms(p->graph, n), .output_axis = output_axis(p->graph, n)
    };

    QN_TRY(operand(p, n, 0, &input));
    QN_TRY(operand(p, n, 1, &weight));
    if (!layer.terms || !input.known || !weight.known) return QONNX_OK;
    layer.convolution = !qn_node_is(p->graph, n, "MatMul") && !qn_node_is(p->graph, n, "Gemm");
    QN_TRY(read_bias(p, n, &layer));
    return forgive(qn_metadata_of_layer(&layer, p->arena, meta, NULL), meta, p->err);
}

static bool same_scales(const struct qn_metadata *a, const struct qn_metadata *b)
{
    if (!a->known || !b->known || a->scale_count != b->scale_count || a->axis != b->axis) return false;
    for (size_t i = 0; i < a->scale_count; i++)
        if (a->scale[i] != b->scale[i]) return false;
    return true;
}

static bool same_zeros(const struct qn_metadata *a, const struct qn_metadata *b)
{
    if (a->zero_count != b->zero_count) return false;
    for (size_t i = 0; i < a->zero_count; i++)
        if (a->zero_point[i] != b->zero_point[i]) return false;
    return true;
}

/* The span of the integers of so many bits, without narrowing. */
static double lowest(const struct qn_metadata *m) { return m->is_signed ? -exp2(m->bits - 1) : 0; }
static double highest(const struct qn_metadata *m) { return exp2(m->is_signed ? m->bits - 1 : m->bits) - 1; }

static qonnx_status of_sum(const struct propagation *p, qn_node_id n, struct qn_metadata *meta)
{
    struct qn_metadata a, b;
    float             *zero_point;

    QN_TRY(operand(p, n, 0, &a));
    QN_TRY(operand(p, n, 1, &b));
    if (!same_scales(&a, &b) || a.zero_count != b.zero_count) return QONNX_OK;
    if (!(zero_point = qn_arena_array(p->arena, a.zero_count, sizeof *zero_point))) return qn_fail_nomem(p->err);
    for (size_t i = 0; i < a.zero_count; i++) zero_point[i] = a.zero_point[i] + b.zero_point[i];
    *meta = a;
    meta->zero_point = zero_point;
    meta->is_signed = a.is_signed || b.is_signed;
    meta->bits = (int)ceil(log2(highest(&a) + highest(&b) - lowest(&a) - lowest(&b)));
    return QONNX_OK;
}

static qonnx_status of_concat(const struct propagation *p, qn_node_id n, struct qn_metadata *meta)
{
    struct qn_metadata first, next;

    QN_TRY(operand(p, n, 0, &first));
    for (size_t slot = 1; slot < p->graph->pb->node[n]->n_input; slot++) {
        QN_TRY(operand(p, n, slot, &next));
        if (!same_scales(&first, &next) || !same_zeros(&first, &next) || first.bits != next.bits ||
            first.is_signed != next.is_signed)
            return QONNX_OK;
    }
    *meta = first;
    return QONNX_OK;
}

/* Moving elements about moves the axis of their scales: which way, only some operators tell. */
static bool keeps_axis(const struct qn_graph *graph, qn_node_id n)
{
    static const char *const ops[] = { "Identity", "Relu", "MaxPool", "Dropout" };

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (qn_node_is(graph, n, ops[i])) return true;
    return false;
}

static qonnx_status of_node(const struct propagation *p, qn_node_id n, struct qn_metadata *meta)
{
    const struct qn_graph *g = p->graph;
    const struct qn_rule  *rule =
        qn_node_is(g, n, g->pb->node[n]->op_type) ? qn_rule_find(g->pb->node[n]->op_type) : NULL;
    struct qn_rule own;

    if (rule && rule->kind == QN_KIND_LAYER) return of_layer(p, n, meta);
    if (qn_node_is(g, n, "Add")) return of_sum(p, n, meta);
    if (qn_node_is(g, n, "Concat")) return of_concat(p, n, meta);
    if (!keeps_axis(g, n)) {
        if (!rule || rule->kind != QN_KIND_MOVE) return QONNX_OK;
        own = *rule;
        if (rule->refine && rule->refine(g, n, &own) == QN_REASON_ATTRIBUTES) return QONNX_OK;
    }
    QN_TRY(operand(p, n, 0, meta));
    if (meta->axis >= 0 && !keeps_axis(g, n)) *meta = unknown;
    return QONNX_OK;
}

static qonnx_status see(const struct propagation *p, qn_value_id v)
{
    const struct qn_tensor_plan *t = &p->plan->tensors[v];

    p->meta->seen[v] = p->meta->made[v];
    return t->quantized && t->params ? qn_metadata_of_params(t->params, p->arena, &p->meta->seen[v], p->err) : QONNX_OK;
}

qonnx_status qn_plan_metadata(const struct qn_plan *plan, struct qn_arena *arena, struct qn_plan_meta *meta,
                              qonnx_error *err)
{
    const struct qn_graph *g = plan->graph;
    struct propagation     p = { plan, g, arena, meta, err };

    meta->made = qn_arena_array(arena, g->value_count, sizeof *meta->made);
    meta->seen = qn_arena_array(arena, g->value_count, sizeof *meta->seen);
    if (!meta->made || !meta->seen) return qn_fail_nomem(err);
    for (qn_value_id v = 0; v < g->value_count; v++) {
        meta->made[v] = unknown;
        if (g->values[v].producer == QN_NONE) QN_TRY(see(&p, v));
    }
    for (qn_node_id n = 0; n < g->node_count; n++) {
        struct qn_metadata made = unknown;
        qonnx_status       status = of_node(&p, n, &made);

        if (status != QONNX_OK) return qn_wrap(err, status, "%s", qn_node_label(g, n));
        for (size_t slot = 0; slot < g->pb->node[n]->n_output; slot++) {
            qn_value_id out = qn_node_output(g, n, slot);
            if (out == QN_NONE) continue;
            meta->made[out] = slot && (qn_node_is(g, n, "MaxPool") || qn_node_is(g, n, "Dropout")) ? unknown : made;
            QN_TRY(see(&p, out));
        }
    }
    return QONNX_OK;
}
