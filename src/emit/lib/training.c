/* SPDX-License-Identifier: Apache-2.0 */
#include "emit/lib/training.h"

#include <string.h>

#include "emit/lib/around.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/explicit_rules.h"
#include "quant/kernels.h"
#include "quant/pack.h"

enum { MAX_AXES = 32 };

struct training {
    const char **scales; /* by value: the scale that its readers see, NULL when there is none */
    bool        *spread; /* by value: that scale has several entries, and none of them comes from a quantizer */
    qn_node_id   next;   /* scales are known of what nodes before it make */
};

/* Where a chain of operators is being put. */
struct chain {
    struct qn_around *w;
    struct qn_place   place;
    const char       *base;
};

static struct training *training_of(const struct qn_around *w) { return w->style->context; }

/* ---- operators and constants ---- */

static Onnx__NodeProto *put(struct chain *c, const char *op, size_t count, const char *const *inputs, const char *out)
{
    return qn_around_node(c->w, c->place, op, c->base, count, inputs, out);
}

static const char *unary(struct chain *c, const char *op, const char *x)
{
    const char *out = qn_edit_name(c->w->edit, c->base, "_training");
    put(c, op, 1, &x, out);
    return out;
}

static const char *binary(struct chain *c, const char *op, const char *x, const char *y)
{
    const char *inputs[] = { x, y }, *out = qn_edit_name(c->w->edit, c->base, "_training");
    put(c, op, 2, inputs, out);
    return out;
}

static const char *ternary(struct chain *c, const char *op, const char *x, const char *y, const char *z)
{
    const char *inputs[] = { x, y, z }, *out = qn_edit_name(c->w->edit, c->base, "_training");
    put(c, op, 3, inputs, out);
    return out;
}

static const char *constant(struct chain *c, int32_t type, size_t rank, const int64_t *dims, const void *values,
                            size_t size)
{
    const char *name = qn_edit_name(c->w->edit, c->base, "_constant");
    qn_edit_add_initializer(c->w->edit, qn_tensor_new(c->w->arena, name, type, rank, dims,
                                                      qn_arena_memdup(c->w->arena, values, size), size));
    return name;
}

static const char *number(struct chain *c, float value) { return constant(c, QN_FLOAT, 0, NULL, &value, sizeof value); }
static const char *wide(struct chain *c, double value) { return constant(c, QN_DOUBLE, 0, NULL, &value, sizeof value); }
static const char *integer(struct chain *c, int64_t value)
{
    return constant(c, QN_INT64, 0, NULL, &value, sizeof value);
}

static const char *vector(struct chain *c, size_t count, const int64_t *values)
{
    int64_t dim = (int64_t)count;
    return constant(c, QN_INT64, 1, &dim, values, count * sizeof *values);
}

/* One number, or one for each channel. */
static const char *numbers(struct chain *c, const float *values, size_t count, bool per_channel)
{
    int64_t dim = (int64_t)count;
    return constant(c, QN_FLOAT, per_channel, &dim, values, count * sizeof *values);
}

static const char *cast(struct chain *c, const char *x, int32_t to)
{
    const char      *out = qn_edit_name(c->w->edit, c->base, "_training");
    Onnx__NodeProto *node = put(c, "Cast", 1, &x, out);
    if (node) qn_attr_set_int(c->w->arena, node, "to", to);
    return out;
}

/* Element `index` along an axis. */
static const char *gather(struct chain *c, const char *x, const char *index, int64_t axis)
{
    const char      *inputs[] = { x, index }, *out = qn_edit_name(c->w->edit, c->base, "_training");
    Onnx__NodeProto *node = put(c, "Gather", 2, inputs, out);
    if (node) qn_attr_set_int(c->w->arena, node, "axis", axis);
    return out;
}

/* ---- order statistics ---- */

/* The values of one channel in a row: [n], or [channels, n]. */
static const char *rows(struct chain *c, const char *x, const struct qn_site *site)
{
    int64_t          flat[2] = { (int64_t)site->channels, -1 }, perm[MAX_AXES] = { 1, 0 };
    const char      *turned;
    Onnx__NodeProto *node;

    if (site->axis < 0) return binary(c, "Reshape", x, vector(c, 1, flat + 1));
    turned = qn_edit_name(c->w->edit, c->base, "_training");
    for (int i = 2; i < site->rank && i < MAX_AXES; i++) perm[i] = i;
    node = put(c, "Transpose", 1, &x, turned);
    if (node) qn_attr_set_ints(c->w->arena, node, "perm", (size_t)site->rank, perm);
    return binary(c, "Reshape", turned, vector(c, 2, flat));
}

/* The k-th of the largest or of the smallest. */
static const char *kth(struct chain *c, const char *x, const char *k, bool largest, int64_t axis)
{
    const int64_t    one = 1;
    const char      *inputs[] = { x, binary(c, "Reshape", k, vector(c, 1, &one)) };
    const char      *outputs[] = { qn_edit_name(c->w->edit, c->base, "_training"),
                                   qn_edit_name(c->w->edit, c->base, "_training") };
    Onnx__NodeProto *node =
        qn_node_new(c->w->arena, "TopK", qn_edit_name(c->w->edit, c->base, "_TopK"), 2, inputs, 2, outputs);

    if (node) {
        qn_attr_set_int(c->w->arena, node, "axis", axis);
        qn_attr_set_int(c->w->arena, node, "largest", largest);
        qn_attr_set_int(c->w->arena, node, "sorted", 1);
    }
    if (c->place.before)
        qn_edit_insert_before(c->w->edit, c->place.at, node);
    else
        qn_edit_insert_after(c->w->edit, c->place.at, node);
    return gather(c, outputs[0], binary(c, "Sub", k, integer(c, 1)), axis);
}

/* Percentiles as in quant/running.h: the ranks are worked out in double. */
static const char *high_value(struct chain *c, const char *x, const struct qn_site *site, const char *n, int64_t axis)
{
    const double fraction = 0.01 * site->quantizer.high_percentile;
    const char  *rank =
        cast(c, binary(c, "Add", binary(c, "Mul", cast(c, n, QN_DOUBLE), wide(c, fraction)), wide(c, 0.5)), QN_INT64);

    rank = binary(c, "Max", binary(c, "Min", rank, n), integer(c, 1));
    return kth(c, x, binary(c, "Add", binary(c, "Sub", n, rank), integer(c, 1)), true, axis);
}

static const char *low_value(struct chain *c, const char *x, const struct qn_site *site, const char *n, int64_t axis)
{
    const double fraction = 0.01 * site->quantizer.low_percentile;
    const char  *rank = cast(c, unary(c, "Ceil", binary(c, "Mul", cast(c, n, QN_DOUBLE), wide(c, fraction))), QN_INT64);

    return kth(c, x, binary(c, "Max", binary(c, "Min", rank, n), integer(c, 1)), false, axis);
}

struct fake {
    const char *scale, *zero_point; /* the zero point is NULL when it is 0 */
};

/* Scale and zero point of this very batch. */
static struct fake of_batch(struct chain *c, const char *x, const struct qn_site *site)
{
    const struct qn_quantizer *q = &site->quantizer;
    int64_t                    axis = site->axis < 0 ? 0 : 1;
    const char *usual = binary(c, "Less", unary(c, "Abs", x), number(c, QN_MASKED_FROM)), *n, *range, *low = NULL, *row;
    struct fake fake = { NULL, NULL };
    int32_t     lo, hi;

    row = rows(c, ternary(c, "Where", usual, x, number(c, 0)), site);
    if (q->row->statistic == QN_STAT_ABS_PERCENTILE) row = unary(c, "Abs", row);
    n = gather(c, unary(c, "Shape", row), integer(c, axis), 0);
    range = high_value(c, row, site, n, axis);
    if (q->row->statistic == QN_STAT_PERCENTILE_INTERVAL) {
        low = binary(c, "Min", low_value(c, row, site, n, axis), number(c, 0));
        range = unary(c, "Abs", binary(c, "Sub", range, low));
    }
    fake.scale = binary(c, "Div", binary(c, "Max", range, number(c, QN_RANGE_FLOOR)), number(c, qn_quantizer_steps(q)));
    if (!low || !q->row->shifted) return fake;
    qn_quantizer_codes(q, &lo, &hi);
    fake.zero_point =
        unary(c, "Round", binary(c, "Add", binary(c, "Div", unary(c, "Abs", low), fake.scale), number(c, (float)lo)));
    fake.zero_point = binary(c, "Max", binary(c, "Min", fake.zero_point, number(c, (float)hi)), number(c, (float)lo));
    return fake;
}

static struct fake of_params(struct chain *c, const struct qn_qparams *params)
{
    struct fake fake = { numbers(c, params->scale, params->count, params->axis >= 0), NULL };
    float      *zeros = qn_arena_array(&c->w->scratch, params->count, sizeof *zeros);

    for (size_t i = 0; zeros && i < params->count; i++) zeros[i] = (float)params->zero_point[i];
    if (zeros) fake.zero_point = numbers(c, zeros, params->count, params->axis >= 0);
    return fake;
}

/* ---- the style ---- */

static const char *spread_out(struct chain *c, const char *per_channel, const struct qn_site *site)
{
    int64_t dims[MAX_AXES];

    if (site->axis < 0 || !per_channel) return per_channel;
    for (int i = 0; i < MAX_AXES; i++) dims[i] = i == 1 ? -1 : 1;
    return binary(c, "Reshape", per_channel, vector(c, (size_t)site->rank, dims));
}

static void activation(struct qn_around *w, struct qn_place place, const char *x, const struct qn_qparams *params,
                       struct qn_param_names *shared, const char *base, const char *out, qn_value_id like)
{
    struct qn_site *site = qn_site_of(params);
    struct chain    c = { w, place, base };
    struct fake     fake;
    const char     *scale, *zero, *code, *inputs[2];
    int32_t         lo = params->lo, hi = params->hi;

    (void)shared;
    (void)like;
    site->observed = x;
    fake = site->solved ? of_params(&c, params) : of_batch(&c, x, site);
    if (!site->solved) qn_quantizer_codes(&site->quantizer, &lo, &hi);
    site->scale_name = fake.scale;
    scale = spread_out(&c, fake.scale, site);
    zero = spread_out(&c, fake.zero_point, site);
    code = binary(&c, "Div", x, scale);
    if (zero) code = binary(&c, "Add", code, zero);
    code = ternary(&c, "Clip", unary(&c, "Round", code), number(&c, (float)lo), number(&c, (float)hi));
    if (zero) code = binary(&c, "Sub", code, zero);
    inputs[0] = code;
    inputs[1] = scale;
    put(&c, "Mul", 2, inputs, out);
}

static const char *initializer(struct qn_around *w, const Onnx__TensorProto *like, const float *values, size_t count)
{
    const char *name = qn_edit_name(w->edit, like->name, "_training");
    qn_edit_add_initializer(w->edit, qn_tensor_new(w->arena, name, QN_FLOAT, like->n_dims, like->dims, values,
                                                   count * sizeof *values));
    return name;
}

static qonnx_status weight(struct qn_around *w, qn_node_id node, size_t slot, const char **out)
{
    const struct qn_qparams *params = qn_plan_weight(&w->plan->nodes[node], slot);
    const Onnx__TensorProto *tensor = qn_node_constant(w->plan->graph, node, slot);
    struct qn_layout         layout;
    const float             *x;
    float                   *values;
    void                    *codes;
    size_t                   count;

    QN_TRY(qn_tensor_floats(tensor, w->arena, &x, &count, w->err));
    QN_TRY(qn_layout_init(&layout, tensor->dims, tensor->n_dims, params->axis < 0 ? QN_NO_AXIS : params->axis, w->err));
    values = qn_arena_array(w->arena, count, sizeof *values);
    codes = qn_arena_array(&w->scratch, count, params->type->code_size);
    if (!values || !codes) return qn_fail_nomem(w->err);
    QN_TRY(qn_quantize(x, layout, params, w->plan->rounding, codes, 1, w->err));
    QN_TRY(qn_dequantize(codes, layout, params, values, 1, w->err));
    *out = initializer(w, tensor, values, count);
    return QONNX_OK;
}

/* ---- biases ---- */

/* The scale of what a node reads in its first slot. */
static const char *scale_read(struct qn_around *w, qn_node_id n, bool *spread)
{
    const struct qn_node_plan *row = &w->plan->nodes[n];
    qn_value_id                v = qn_node_input(w->plan->graph, n, 0);

    *spread = false;
    if (row->input) return qn_site_of(row->input)->scale_name;
    if (v == QN_NONE) return NULL;
    if (w->plan->tensors[v].quantized && row->reads[0]) return qn_site_of(w->plan->tensors[v].params)->scale_name;
    *spread = training_of(w)->spread[v];
    return training_of(w)->scales[v];
}

static const char *weight_scale(struct chain *c, const struct qn_qparams *weight)
{
    return numbers(c, weight->scale, weight->count, weight->axis >= 0);
}

static bool is_depthwise(const struct qn_graph *g, qn_node_id n)
{
    const Onnx__TensorProto *w = qn_node_constant(g, n, 1);
    return qn_node_is(g, n, "Conv") && w && w->n_dims > 2 && qn_attr_int(g->pb->node[n], "group", 1) == w->dims[0] &&
           w->dims[1] == 1;
}

/* Scales of what the nodes up to this one make, all earlier quantizers having been written. */
static void follow_scales(struct qn_around *w, qn_node_id until)
{
    struct training       *t = training_of(w);
    const struct qn_graph *g = w->plan->graph;

    for (; t->next < until; t->next++) {
        const struct qn_node_plan *row = &w->plan->nodes[t->next];
        qn_node_id                 add = w->plan->recipe->adds[t->next].node;
        qn_value_id                out = qn_node_output(g, add == QN_NONE ? t->next : add, 0);
        struct chain               c = { w, { t->next, false }, NULL };
        const char                *in;
        bool                       spread;
        if (out == QN_NONE || w->plan->tensors[out].at_producer) continue; /* scale_read finds its site */
        in = scale_read(w, t->next, &spread);
        if (!in || (spread && row->weight && !is_depthwise(g, t->next))) continue;
        c.base = g->values[out].name;
        if (row->weight)
            t->scales[out] = binary(&c, "Mul", weight_scale(&c, row->weight), in);
        else if (qn_keeps_metadata(g, t->next))
            t->scales[out] = in;
        t->spread[out] = spread || (row->weight && row->weight->axis >= 0);
    }
}

static qonnx_status bias(struct qn_around *w, qn_node_id node, const char **out)
{
    const struct qn_quantizer *q = &w->plan->recipe->biases[node];
    const struct qn_qparams   *of_weight = w->plan->nodes[node].weight;
    struct qn_use              at = qn_plan_bias(w->plan, node);
    const Onnx__TensorProto   *tensor = qn_node_constant(w->plan->graph, at.node, at.slot);
    struct chain               c = { w, { at.node, true }, tensor->name };
    const char                *in, *scale, *code, *inputs[2];
    struct qn_qparams          params;
    const float               *x;
    size_t                     count;
    bool                       spread;
    int32_t                    lo, hi;

    follow_scales(w, node);
    in = scale_read(w, node, &spread);
    if (spread && !is_depthwise(w->plan->graph, node)) in = NULL;
    QN_TRY(qn_tensor_floats(tensor, w->arena, &x, &count, w->err));
    qn_quantizer_codes(q, &lo, &hi);
    if (q->row->statistic != QN_STAT_SCALE_PRODUCT || !in || !of_weight) {
        qonnx_status status = qn_quantizer_bias(q, x, count, NULL, NULL, w->arena, &params, w->err);
        QN_TRY(qn_said(w->plan->recipe->said[node][QN_SLOT_BIAS], QN_SLOT_BIAS, qn_node_label(w->plan->graph, node),
                       status, w->err)); /* it fails for the latter two */
        scale = numbers(&c, params.scale, params.count, params.count > 1);
    } else {
        scale = binary(&c, "Mul", weight_scale(&c, of_weight), in);
    }
    code = ternary(&c, "Clip", unary(&c, "Round", binary(&c, "Div", tensor->name, scale)), number(&c, (float)lo),
                   number(&c, (float)hi));
    inputs[0] = code;
    inputs[1] = scale;
    *out = qn_edit_name(w->edit, tensor->name, "_training");
    put(&c, "Mul", 2, inputs, *out);
    return QONNX_OK;
}

static qonnx_status write(const struct qn_plan *plan, struct qn_edit *edit, struct training *t,
                          struct qn_arena *scratch, qonnx_error *err)
{
    struct qn_style style = { .activation = activation, .weight = weight, .bias = bias, .context = t };

    t->scales = qn_arena_array(scratch, plan->graph->value_count, sizeof(char *));
    t->spread = qn_arena_array(scratch, plan->graph->value_count, sizeof *t->spread);
    if (!t->scales || !t->spread) return qn_fail_nomem(err);
    return qn_around_write(plan, edit, &style, err);
}

qonnx_status qn_training_write(const struct qn_plan *plan, struct qn_graph *graph, qonnx_error *err)
{
    struct training t = { 0 };
    struct qn_arena scratch = { 0 };
    struct qn_edit *edit;
    qonnx_status    status;

    QN_TRY(qn_edit_begin(&edit, graph, err));
    status = write(plan, edit, &t, &scratch, err);
    qn_arena_release(&scratch);
    if (status == QONNX_OK) return qn_edit_commit(edit, NULL, err);
    qn_edit_cancel(edit);
    return status;
}
