/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/prices.h"

#include <string.h>

#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "plan/presets.h"

double qn_price(struct qn_kernel_cost cost, double elements) { return cost.node + cost.element * elements; }

bool qn_on_integers(const struct qn_pricing *p, qn_node_id n)
{
    const struct qn_rule *rule = p->plan->nodes[n].rule;
    enum qn_reason        reason = p->plan->nodes[n].reason;

    if (rule && (rule->kind == QN_KIND_RECURRENT || rule->kind == QN_KIND_TABLE)) return false; /* its neighbours see floats */
    return reason == QN_REASON_QUANTIZED || reason == QN_REASON_MOVES_CODES;
}

/* ---- sizes ---- */

/* Elements of a value in one run; 0: not known. */
double qn_elements(const struct qn_pricing *p, qn_value_id v)
{
    const struct qn_value *value = v == QN_NONE ? NULL : &p->graph->values[v];
    double                 count = 1;

    if (!value || value->seen) return value ? (double)value->seen : 0;
    if (value->rank < 0) return 0;
    for (int i = 0; i < value->rank; i++) count *= value->dims[i] > 0 ? (double)value->dims[i] : 0;
    return count;
}

/* The last size of a value; 0: not known. */
static double last_size(const struct qn_pricing *p, qn_value_id v)
{
    const struct qn_value *value = &p->graph->values[v];
    const int64_t         *dims = value->seen_dims ? value->seen_dims : value->dims;

    return value->rank > 0 && dims[value->rank - 1] > 0 ? (double)dims[value->rank - 1] : 0;
}

/* ---- layers ---- */

static bool is_conv(const struct qn_pricing *p, qn_node_id n) { return qn_node_is(p->graph, n, "Conv"); }

/* What a layer's kernel does, in the units of its costs. */
struct work {
    double products, weights, in, out, taps;
    double waste; /* in float: how many times the products are done, for vectors that are not full */
    bool   depthwise, thin, known;
};

static double rounded_up(const struct qn_pricing *p, double channels)
{
    double lanes = p->costs->lanes;
    return lanes * (double)(int64_t)((channels + lanes - 1) / lanes);
}

static struct work conv_work(const struct qn_pricing *p, qn_node_id n, const Onnx__TensorProto *w)
{
    double groups = (double)qn_attr_int(p->graph->pb->node[n], "group", 1), channels = (double)w->dims[0], taps = 1,
           positions;
    struct work work = { .weights = 1,
                         .waste = 1,
                         .in = qn_elements(p, qn_node_input(p->graph, n, 0)),
                         .out = qn_elements(p, p->plan->nodes[n].result) };

    for (size_t i = 0; i < w->n_dims; i++) work.weights *= (double)w->dims[i];
    for (size_t i = 2; i < w->n_dims; i++) taps *= (double)w->dims[i];
    work.depthwise = groups > 1 && (double)w->dims[0] == groups && w->dims[1] == 1;
    positions = work.out / channels;
    work.products = positions * work.weights;
    if (!work.depthwise) work.products *= rounded_up(p, channels / groups) / (channels / groups);
    if (taps > 1) work.taps = positions * taps * (work.depthwise ? 1 : groups);
    work.thin = w->dims[1] < p->costs->lanes;
    if (w->n_dims == 4 && !work.depthwise &&
        w->dims[1] >= p->costs->lanes / 2) /* channels of the input are filled up too */
        work.waste = rounded_up(p, (double)w->dims[1]) / (double)w->dims[1];
    if (w->n_dims == 3 && work.out > 0 &&
        last_size(p, p->plan->nodes[n].result) > 0) /* vectors go along the last axis */
        work.waste = rounded_up(p, last_size(p, p->plan->nodes[n].result)) / last_size(p, p->plan->nodes[n].result);
    work.known = work.in > 0 && work.out > 0;
    return work;
}

static struct work linear_work(const struct qn_pricing *p, qn_node_id n, const Onnx__TensorProto *w)
{
    int         axis = p->plan->nodes[n].rule->axis;
    double      channels = (double)w->dims[axis < 0 ? (int)w->n_dims - 1 : axis], rows;
    struct work work = { .weights = 1, .waste = 1, .in = qn_elements(p, qn_node_input(p->graph, n, 0)) };

    for (size_t i = 0; i < w->n_dims; i++) work.weights *= (double)w->dims[i];
    rows = work.in / (work.weights / channels);
    work.out = rows * channels;
    work.products = rows * work.weights * rounded_up(p, channels) / channels;
    work.known = work.in > 0;
    return work;
}

static double layer_price(const struct qn_layer_cost *cost, const struct work *work)
{
    return cost->node + cost->product * work->products + cost->weight * work->weights + cost->in * work->in +
           cost->out * work->out + (cost->tap + (work->thin ? cost->thin_tap : 0)) * work->taps;
}

/* ---- nodes ---- */

struct qn_prices qn_layer_prices(const struct qn_pricing *p, qn_node_id n)
{
    const Onnx__TensorProto    *w = qn_node_constant(p->graph, n, 1);
    const struct qn_layer_cost *costs;
    struct work                 work, work_in_float;

    if (!w || w->n_dims < 2 || qn_attr_int(p->graph->pb->node[n], "group", 1) < 1)
        return (struct qn_prices){ .known = false };
    work = is_conv(p, n) ? conv_work(p, n, w) : linear_work(p, n, w);
    work_in_float = work;
    work_in_float.products *= work.waste;
    costs = work.depthwise ? p->costs->depthwise : is_conv(p, n) ? p->costs->conv : p->costs->linear;
    return (struct qn_prices){ layer_price(&costs[0], &work_in_float), layer_price(&costs[1], &work), work.known };
}

/* Moving codes is no dearer than moving floats, but for pooling in a layout that integer convolutions did not make. */
double qn_plain_pool_price(const struct qn_pricing *p, qn_node_id n)
{
    qn_value_id in = qn_node_input(p->graph, n, 0);
    return qn_node_is(p->graph, n, "MaxPool") && in != QN_NONE && !p->last[in]
               ? p->costs->plain_pool * qn_elements(p, in)
               : 0;
}

struct qn_prices qn_node_prices(const struct qn_pricing *p, qn_node_id n)
{
    const struct qn_node_plan   *row = &p->plan->nodes[n];
    const struct qn_kernel_cost *costs = row->rule->kind == QN_KIND_JOIN   ? p->costs->join
                                         : row->rule->kind == QN_KIND_POOL ? p->costs->pool
                                                                           : p->costs->function;
    double                       size = qn_elements(p, qn_node_input(p->graph, n, 0));

    if (row->reason == QN_REASON_MOVES_CODES)
        return (struct qn_prices){ .on_integers = qn_plain_pool_price(p, n), .known = true };
    if (row->rule->kind == QN_KIND_LAYER) return qn_layer_prices(p, n);
    return (struct qn_prices){ qn_price(costs[0], size), qn_price(costs[1], size), size > 0 };
}

/* ---- layouts ---- */

/* Float kernels that work in the layout of float convolutions, or are computed along with one. */
static bool keeps_layout(const struct qn_pricing *p, qn_node_id n)
{
    static const char *const ops[] = {
        "Conv",          "MaxPool",   "AveragePool", "GlobalAveragePool",
        "GlobalMaxPool", "Concat",    "Add",         "Mul",
        "Sum",           "Relu",      "Clip",        "Sigmoid",
        "Tanh",          "LeakyRelu", "HardSigmoid", "BatchNormalization",
        "Resize",        "Upsample",
    };
    const Onnx__NodeProto *pb = p->graph->pb->node[n];

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        if (strcmp(pb->op_type, ops[i]) != 0) continue;
        return (strcmp(ops[i], "Add") != 0 && strcmp(ops[i], "Mul") != 0) ||
               (!qn_node_constant(p->graph, n, 0) && !qn_node_constant(p->graph, n, 1));
    }
    return false;
}

bool qn_makes_blocked(const struct qn_pricing *p, qn_value_id v)
{
    qn_node_id n = p->graph->values[v].producer;
    return n != QN_NONE && keeps_layout(p, n);
}

/* Functions of one value, which float convolutions or their layout compute along the way. */
static bool is_function(const Onnx__NodeProto *pb)
{
    static const char *const ops[] = { "Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "HardSigmoid" };

    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (strcmp(pb->op_type, ops[i]) == 0) return true;
    return false;
}

/* Whether somebody reads a value, or the functions of it, in the plain layout. */
static bool leaves_layout(const struct qn_pricing *p, qn_value_id v)
{
    qn_node_id             reader;
    const struct qn_value *value;
    bool                   leaves = false;

    while ((reader = qn_value_only_user(p->graph, v)) != QN_NONE && is_function(p->graph->pb->node[reader]) &&
           qn_node_output(p->graph, reader, 0) != QN_NONE)
        v = qn_node_output(p->graph, reader, 0);
    value = &p->graph->values[v];
    for (uint32_t u = 0; u < value->use_count; u++) leaves |= !keeps_layout(p, p->graph->uses[value->use_at + u].node);
    return leaves;
}

/* What a convolution in float pays for its layout where its neighbours do not share it. */
double qn_layout_price(const struct qn_pricing *p, qn_node_id n)
{
    qn_value_id              in = qn_node_input(p->graph, n, 0), out = p->plan->nodes[n].result;
    const Onnx__TensorProto *w = qn_node_constant(p->graph, n, 1);
    double                   total = 0;

    if (!is_conv(p, n) || !w || w->n_dims != 4 || in == QN_NONE || out == QN_NONE) return 0;
    if (w->dims[1] > 1 && qn_makes_blocked(p, in) != (w->dims[1] >= p->costs->lanes))
        total += qn_price(p->costs->reorder, qn_elements(p, in)); /* blocks that would not be full are not made */
    if (p->last[in] && !p->plan->tensors[in].at_producer) total += qn_price(p->costs->exchange, qn_elements(p, in));
    if (p->next[out]) return total + qn_price(p->costs->exchange, qn_elements(p, out));
    return leaves_layout(p, out) ? total + qn_price(p->costs->reorder, qn_elements(p, out)) : total;
}

/* Operators that do not mind where the channels lie, so that ONNX Runtime moves the change of layout past them. */
static bool any_layout(const Onnx__NodeProto *pb)
{
    const struct qn_rule *rule = qn_rule_find(pb->op_type);

    if (rule && (rule->kind == QN_KIND_POINTWISE || rule->kind == QN_KIND_JOIN || rule->kind == QN_KIND_POOL))
        return true;
    return !strcmp(pb->op_type, "MaxPool") || !strcmp(pb->op_type, "Resize") || !strcmp(pb->op_type, "HardSwish");
}

static void find_layouts(struct qn_pricing *p)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        const struct qn_node_plan *row = &p->plan->nodes[n];
        bool                       all = any_layout(p->graph->pb->node[n]), any = false;

        for (size_t slot = 0; all && slot < p->graph->pb->node[n]->n_input; slot++) {
            qn_value_id in = qn_node_input(p->graph, n, slot);
            if (in == QN_NONE || p->graph->values[in].init) continue;
            any = true;
            all = p->last[in];
        }
        if (is_conv(p, n) && row->reason == QN_REASON_QUANTIZED && row->result != QN_NONE) p->last[row->result] = true;
        for (size_t slot = 0; all && any && slot < p->graph->pb->node[n]->n_output; slot++) {
            qn_value_id out = qn_node_output(p->graph, n, slot);
            if (out != QN_NONE) p->last[out] = true;
        }
    }
}

/* The same against the current: where integer convolutions will read it. */
static void find_next(struct qn_pricing *p)
{
    for (qn_value_id v = 0; v < p->graph->value_count; v++) {
        const struct qn_value *value = &p->graph->values[v];
        for (uint32_t u = 0; u < value->use_count && !p->plan->tensors[v].at_producer; u++) {
            qn_node_id reader = p->graph->uses[value->use_at + u].node;
            p->next[v] |= is_conv(p, reader) && p->plan->nodes[reader].reason == QN_REASON_QUANTIZED;
        }
    }
    for (qn_node_id n = (qn_node_id)p->graph->node_count; n-- > 0;) {
        qn_value_id out = qn_node_output(p->graph, n, 0);
        if (qn_on_integers(p, n) || out == QN_NONE || !p->next[out] || !any_layout(p->graph->pb->node[n])) continue;
        for (size_t slot = 0; slot < p->graph->pb->node[n]->n_input; slot++) {
            qn_value_id in = qn_node_input(p->graph, n, slot);
            if (in != QN_NONE) p->next[in] = true;
        }
    }
}

/* ---- shores ---- */

static struct qn_readers readers_of(const struct qn_pricing *p, qn_value_id v)
{
    const struct qn_value *value = &p->graph->values[v];
    struct qn_readers      r = { 0 };

    for (uint32_t u = 0; u < value->use_count; u++) {
        struct qn_use          use = p->graph->uses[value->use_at + u];
        const Onnx__NodeProto *pb = p->graph->pb->node[use.node];
        bool                   conv = is_conv(p, use.node);
        if (use.slot == QN_SLOT_CAPTURED || strcmp(pb->op_type, "Shape") == 0) continue;
        if (qn_on_integers(p, use.node) && qn_plan_reads_codes(p->plan, use.node, use.slot)) {
            r.integer++;
            r.pooling |= strcmp(pb->op_type, "MaxPool") == 0;
            r.transposing += conv;
            continue;
        }
        r.in_float++;
        r.elsewhere |=
            qn_node_output(p->graph, use.node, 0) == QN_NONE || !p->last[qn_node_output(p->graph, use.node, 0)];
        r.reordering += conv;
        r.function = is_function(pb);
    }
    r.function &= r.in_float == 1 && !r.integer;
    return r;
}

double qn_quantize_price(const struct qn_pricing *p, qn_value_id v)
{
    const struct qn_readers *r = &p->readers[v];
    double                   size = qn_elements(p, v), total = qn_price(p->costs->quantize, size);

    if (!r->transposing || p->last[v]) return total;
    total += qn_price(p->costs->transpose, size);
    return qn_makes_blocked(p, v) ? total + qn_price(p->costs->reorder, size) : total;
}

/* Each float reader has a DQ of its own. */
double qn_dequantize_price(const struct qn_pricing *p, qn_value_id v)
{
    const struct qn_readers *r = &p->readers[v];
    double                   size = qn_elements(p, v), total = r->in_float * qn_price(p->costs->dequantize, size);

    if (r->elsewhere && p->last[v]) total += qn_price(p->costs->transpose, size);
    if (r->function) total += qn_price(p->costs->function[0], size);
    return total + r->reordering * qn_price(p->costs->reorder, size);
}

double qn_shore_price(const struct qn_pricing *p, qn_value_id v)
{
    return p->plan->tensors[v].at_producer ? qn_dequantize_price(p, v) : qn_quantize_price(p, v);
}

qonnx_status qn_pricing_init(struct qn_pricing *p, const struct qn_plan *plan, struct qn_arena *arena, qonnx_error *err)
{
    size_t values = plan->graph->value_count;

    *p = (struct qn_pricing){ .plan = plan, .graph = plan->graph, .costs = plan->settings->target_row->costs };
    p->last = qn_arena_array(arena, values, sizeof *p->last);
    p->next = qn_arena_array(arena, values, sizeof *p->next);
    p->readers = qn_arena_array(arena, values, sizeof *p->readers);
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    find_layouts(p);
    find_next(p);
    for (qn_value_id v = 0; v < values; v++) p->readers[v] = readers_of(p, v);
    return QONNX_OK;
}
