/* SPDX-License-Identifier: Apache-2.0
 *
 * QONNX: every quantizer is one Quant node of qonnx.custom_op.general on float values, weights stay float initializers.
 * No runtime but qonnx's own executor, FINN and hls4ml knows these nodes. Its readers want the shape of every value. */
#include <math.h>
#include <string.h>

#include "emit/lib/around.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "quant/pack.h"

#define DOMAIN "qonnx.custom_op.general"
enum { DOMAIN_VERSION = 2 };

/* One number or, per channel, as many as channels on the axis of a tensor of this rank. */
static const char *floats(struct qn_around *w, const char *base, const char *suffix, const float *values, size_t count, int axis, int rank)
{
    const char *name = qn_edit_name(w->edit, base, suffix);
    int64_t    *dims = qn_arena_array(&w->scratch, rank > 0 ? (size_t)rank : 1, sizeof *dims);

    for (int i = 0; dims && i < rank; i++) dims[i] = i == axis ? (int64_t)count : 1;
    qn_edit_add_initializer(w->edit, dims ? qn_tensor_new(w->arena, name, QN_FLOAT, axis < 0 ? 0 : (size_t)rank, dims, qn_arena_memdup(w->arena, values, count * sizeof *values), count * sizeof *values) : NULL);
    return name;
}

static const char *zero_points(struct qn_around *w, const char *base, const struct qn_qparams *params, int rank)
{
    float *values = qn_arena_array(&w->scratch, params->count, sizeof *values);
    bool   all_same = true;

    for (size_t i = 0; values && i < params->count; i++) {
        values[i] = (float)params->zero_point[i];
        all_same &= params->zero_point[i] == params->zero_point[0];
    }
    if (!values) return "";
    return floats(w, base, "_zero_point", values, all_same ? 1 : params->count, all_same ? -1 : params->axis, rank);
}

static Onnx__NodeProto *quant(struct qn_around *w, struct qn_place place, const char *x, const struct qn_qparams *params, int rank, struct qn_param_names *shared, const char *base, const char *out)
{
    float            bits = (float)params->bits;
    const char      *inputs[4] = { x };
    Onnx__NodeProto *node;

    if (!shared->scale) {
        shared->scale = floats(w, base, "_scale", params->scale, params->count, params->axis, rank);
        shared->zero_point = zero_points(w, base, params, rank);
    }
    inputs[1] = shared->scale;
    inputs[2] = shared->zero_point;
    inputs[3] = floats(w, base, "_bit_width", &bits, 1, -1, 0);
    if (!(node = qn_around_node(w, place, "Quant", base, 4, inputs, out))) return NULL;
    node->domain = qn_arena_strdup(w->arena, DOMAIN);
    qn_attr_set_int(w->arena, node, "narrow", params->narrow);
    qn_attr_set_string(w->arena, node, "rounding_mode", "ROUND");
    qn_attr_set_int(w->arena, node, "signed", params->is_signed);
    return node;
}

static void activation(struct qn_around *w, struct qn_place place, const char *x, const struct qn_qparams *params, struct qn_param_names *shared, const char *base, const char *out, qn_value_id like)
{
    quant(w, place, x, params, w->plan->graph->values[like].rank, shared, base, out);
    qn_around_describe(w, out, QN_FLOAT, like);
}

static qonnx_status weight(struct qn_around *w, qn_node_id node, size_t slot, const char **out)
{
    const struct qn_node_plan *row = &w->plan->nodes[node];
    const Onnx__TensorProto   *tensor = qn_node_constant(w->plan->graph, node, slot);
    struct qn_param_names      own = { 0 };
    const char                *x = tensor->name;

    if (row->weight_codes) { /* the float weight is what the codes stand for */
        struct qn_layout layout;
        size_t           count;
        float           *values;
        QN_TRY(qn_tensor_count(tensor, &count, w->err));
        QN_TRY(qn_layout_init(&layout, tensor->dims, tensor->n_dims, row->weight->axis < 0 ? QN_NO_AXIS : row->weight->axis, w->err));
        if (!(values = qn_arena_array(w->arena, count, sizeof *values))) return qn_fail_nomem(w->err);
        QN_TRY(qn_dequantize(row->weight_codes, layout, row->weight, values, 1, w->err));
        x = qn_edit_name(w->edit, tensor->name, "_values");
        qn_edit_add_initializer(w->edit, qn_tensor_new(w->arena, x, QN_FLOAT, tensor->n_dims, tensor->dims, values, count * sizeof *values));
    }
    *out = qn_edit_name(w->edit, tensor->name, "_dequantized");
    quant(w, (struct qn_place){ node, true }, x, row->weight, (int)tensor->n_dims, &own, tensor->name, *out);
    qn_edit_add_value_info(w->edit, *out, QN_FLOAT, (int)tensor->n_dims, tensor->dims);
    return QONNX_OK;
}

/* Whether a Quant node, which computes in float32, makes these codes of x. */
static bool makes_codes(const float *x, const struct qn_node_plan *row)
{
    const struct qn_qparams *qp = row->bias;

    for (size_t i = 0; i < row->bias_count; i++) {
        size_t k = qp->count == 1 ? 0 : i;
        float  code = rintf(x[i] / qp->scale[k] + (float)qp->zero_point[k]);
        code = code > (float)qp->hi ? (float)qp->hi : code < (float)qp->lo ? (float)qp->lo : code;
        if (code != (float)row->bias_codes[i] || (int64_t)code != row->bias_codes[i]) return false;
    }
    return true;
}

/* The values that the codes stand for, where the float bias would not give these codes again. Codes of more than 24 bits
 * need more than float32 can say: they also go into an attribute, which readers of QONNX pass over. */
static const char *bias_values(struct qn_around *w, const Onnx__TensorProto *tensor, const struct qn_node_plan *row, bool *wide)
{
    const char  *name = qn_edit_name(w->edit, tensor->name, "_values");
    float       *values = qn_arena_array(w->arena, row->bias_count, sizeof *values);

    for (size_t i = 0; values && i < row->bias_count; i++) {
        size_t k = row->bias->count == 1 ? 0 : i;
        values[i] = (float)((int64_t)row->bias_codes[i] - row->bias->zero_point[k]) * row->bias->scale[k];
    }
    *wide = values && !makes_codes(values, row);
    qn_edit_add_initializer(w->edit, values ? qn_tensor_new(w->arena, name, QN_FLOAT, tensor->n_dims, tensor->dims, values, row->bias_count * sizeof *values) : NULL);
    return name;
}

static void keep_codes(struct qn_around *w, Onnx__NodeProto *node, const struct qn_node_plan *row)
{
    int64_t *codes = qn_arena_array(w->arena, row->bias_count, sizeof *codes);

    for (size_t i = 0; codes && i < row->bias_count; i++) codes[i] = row->bias_codes[i];
    if (codes && node) qn_attr_set_ints(w->arena, node, "codes", row->bias_count, codes);
}

static qonnx_status bias(struct qn_around *w, qn_node_id node, const char **out)
{
    const struct qn_node_plan *row = &w->plan->nodes[node];
    struct qn_use              at = qn_plan_bias(w->plan, node);
    const Onnx__TensorProto   *tensor = qn_node_constant(w->plan->graph, at.node, at.slot);
    struct qn_qparams          params = *row->bias;
    struct qn_param_names      own = { 0 };
    const char                *x = tensor->name;
    Onnx__NodeProto           *quantizer;
    const float               *values;
    size_t                     count;
    bool                       wide = false;

    QN_TRY(qn_tensor_floats(tensor, w->arena, &values, &count, w->err));
    if (count != row->bias_count || !makes_codes(values, row)) x = bias_values(w, tensor, row, &wide);
    if (!row->bias_own_scale) params.axis = 0; /* a scale that follows from others is a vector, of one if need be */
    *out = qn_edit_name(w->edit, tensor->name, "_dequantized");
    quantizer = quant(w, (struct qn_place){ at.node, true }, x, &params, 1, &own, tensor->name, *out);
    if (wide) keep_codes(w, quantizer, row);
    qn_edit_add_value_info(w->edit, *out, QN_FLOAT, (int)tensor->n_dims, tensor->dims);
    return QONNX_OK;
}

/* Shapes of all values, as far as they are known. */
static void describe_all(const struct qn_plan *plan, struct qn_edit *edit)
{
    const struct qn_graph *g = plan->graph;

    for (qn_value_id v = 0; v < g->value_count; v++) {
        const struct qn_value *value = &g->values[v];
        if (value->producer == QN_NONE || value->flags & QN_OUTPUT || !value->dtype || value->rank < 0 || plan->nodes[value->producer].dropped) continue;
        qn_edit_drop_value_info(edit, value->name);
        qn_edit_add_value_info(edit, value->name, value->dtype, value->rank, value->dims);
    }
}

static qonnx_status emit(const struct qn_plan *plan, struct qn_edit *edit, qonnx_error *err)
{
    static const struct qn_style style = { .activation = activation, .weight = weight, .bias = bias };

    describe_all(plan, edit);
    qn_edit_set_opset(edit, DOMAIN, DOMAIN_VERSION);
    return qn_around_write(plan, edit, &style, err);
}

const struct qn_emitter qn_emit_qonnx = { "qonnx", "Quant nodes of qonnx.custom_op.general, for QONNX, FINN and hls4ml", 13, .foreign = true, .shapes = true, .emit = emit };
