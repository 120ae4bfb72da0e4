/* SPDX-License-Identifier: Apache-2.0
 * What QDQ and QCDQ share: QuantizeLinear/DequantizeLinear pairs, constants as integer codes. */
#include <string.h>

#include "emit/lib/around.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "quant/small_float.h"

/* One bound of a Clip, of the codes' type. */
static const char *bound(struct qn_around *w, const struct qn_qparams *params, const char *base, const char *suffix, int32_t value)
{
    const char *name = qn_edit_name(w->edit, base, suffix);
    size_t      size = params->type->code_size;

    qn_edit_add_initializer(w->edit, qn_tensor_new(w->arena, name, params->type->onnx_type, 0, NULL, qn_arena_memdup(w->arena, &value, size), size)); /* little-endian */
    return name;
}

/* Codes that are not all of their type's are cut to their range. */
static const char *clip(struct qn_around *w, struct qn_place place, const char *codes, const struct qn_qparams *params, const char *base)
{
    const char *inputs[] = { codes, bound(w, params, base, "_clip_min", params->lo), bound(w, params, base, "_clip_max", params->hi) };
    const char *out = qn_edit_name(w->edit, base, "_clipped");

    qn_around_node(w, place, "Clip", base, 3, inputs, out);
    return out;
}

static void dequantize(struct qn_around *w, struct qn_place place, const char *codes, struct qn_param_names params, int axis, const char *base, const char *out)
{
    const char      *inputs[] = { codes, params.scale, params.zero_point };
    Onnx__NodeProto *node = qn_around_node(w, place, "DequantizeLinear", base, 3, inputs, out);

    if (node && axis >= 0) qn_attr_set_int(w->arena, node, "axis", axis);
}

static bool needs_clip(const struct qn_qparams *params) { return params->lo != params->type->lo || params->hi != params->type->hi; }

/* A constant that the plan has the codes of needs no QuantizeLinear. */
static bool is_codes(const struct qn_around *w, const char *x, qn_value_id v)
{
    const struct qn_value *value = &w->plan->graph->values[v];
    return value->init && w->plan->tensors[v].codes && strcmp(x, value->name) == 0;
}

static void add_codes(struct qn_around *w, const char *name, const struct qn_qparams *params, qn_value_id v)
{
    const Onnx__TensorProto *tensor = w->plan->graph->values[v].init;
    Onnx__TensorProto       *codes = NULL;
    size_t                   count;

    if (qn_tensor_count(tensor, &count, NULL) == QONNX_OK) codes = qn_emit_codes(w->edit, name, params->type, tensor->n_dims, tensor->dims, w->plan->tensors[v].codes, count);
    qn_edit_add_initializer(w->edit, codes);
}

const char *qn_qdq_codes(struct qn_around *w, struct qn_place place, const char *x, const struct qn_qparams *params, struct qn_param_names *shared, const char *base, qn_value_id like)
{
    const char      *codes = qn_edit_name(w->edit, base, "_quantized");
    const char      *inputs[] = { x, NULL, NULL };
    Onnx__NodeProto *node;

    if (!shared->scale) *shared = qn_emit_params(w->edit, params, base);
    inputs[1] = shared->scale;
    inputs[2] = shared->zero_point;
    if (is_codes(w, x, like)) {
        add_codes(w, codes, params, like);
    } else {
        node = qn_around_node(w, place, "QuantizeLinear", base, 3, inputs, codes);
        if (node && params->axis >= 0) qn_attr_set_int(w->arena, node, "axis", params->axis);
        qn_around_describe(w, codes, params->type->onnx_type, like);
    }
    return needs_clip(params) ? clip(w, place, codes, params, base) : codes;
}

void qn_qdq_values(struct qn_around *w, struct qn_place place, const char *codes, const struct qn_qparams *params, const struct qn_param_names *shared, const char *base, const char *out, qn_value_id like)
{
    dequantize(w, place, codes, *shared, params->axis, base, out);
    qn_around_describe(w, out, QN_FLOAT, like);
}

void qn_qdq_activation(struct qn_around *w, struct qn_place place, const char *x, const struct qn_qparams *params, struct qn_param_names *shared, const char *base, const char *out, qn_value_id like)
{
    qn_qdq_values(w, place, qn_qdq_codes(w, place, x, params, shared, base, like), params, shared, base, out, like);
}

/* The float weight with a QuantizeLinear of its own. */
static const char *quantize_weight(struct qn_around *w, qn_node_id node, size_t slot, struct qn_param_names params, int axis)
{
    const char      *base = qn_node_constant(w->plan->graph, node, slot)->name, *out = qn_edit_name(w->edit, base, "_quantized");
    const char      *inputs[] = { base, params.scale, params.zero_point };
    Onnx__NodeProto *q = qn_around_node(w, (struct qn_place){ node, true }, "QuantizeLinear", base, 3, inputs, out);

    if (q && axis >= 0) qn_attr_set_int(w->arena, q, "axis", axis);
    return out;
}

qonnx_status qn_qdq_weight(struct qn_around *w, qn_node_id node, size_t slot, bool with_clip, const char **out)
{
    const struct qn_node_plan *row = &w->plan->nodes[node];
    const struct qn_qparams   *params = qn_plan_weight(row, slot);
    const char                *base = qn_node_constant(w->plan->graph, node, slot)->name, *name;
    struct qn_param_names      names = { 0 };
    struct qn_place            place = { node, true };
    Onnx__TensorProto         *codes;

    if (qn_qtype_scaled(params->type)) names = qn_emit_params(w->edit, params, base);
    if (with_clip && !row->weight_codes && w->plan->settings->weights_as && strcmp(w->plan->settings->weights_as, "float") == 0) {
        name = quantize_weight(w, node, slot, names, params->axis);
    } else {
        QN_TRY(qn_emit_weight(&codes, w->edit, w->plan, node, slot, w->err));
        qn_edit_add_initializer(w->edit, codes);
        name = codes->name;
    }
    if (with_clip && needs_clip(params)) name = clip(w, place, name, params, base);
    *out = qn_edit_name(w->edit, base, "_dequantized");
    if (names.scale)
        dequantize(w, place, name, names, params->axis, base, *out);
    else
        qn_attr_set_int(w->arena, qn_around_node(w, place, "Cast", base, 1, &name, *out), "to", QN_FLOAT);
    return QONNX_OK;
}

qonnx_status qn_qdq_bias(struct qn_around *w, qn_node_id node, const char **out)
{
    const struct qn_node_plan *row = &w->plan->nodes[node];
    struct qn_use              at = qn_plan_bias(w->plan, node);
    const char                *base = qn_node_constant(w->plan->graph, at.node, at.slot)->name, *name = qn_edit_name(w->edit, base, "_quantized");
    size_t                     size = row->bias->type->code_size;
    int64_t                    dim = (int64_t)row->bias_count;
    uint8_t                   *bytes = qn_arena_array(w->arena, row->bias_count, size);

    if (!bytes) return qn_fail_nomem(w->err);
    for (size_t i = 0; i < row->bias_count; i++) memcpy(bytes + i * size, &row->bias_codes[i], size); /* little-endian */
    qn_edit_add_initializer(w->edit, qn_tensor_new(w->arena, name, row->bias->type->onnx_type, 1, &dim, bytes, row->bias_count * size));
    *out = qn_edit_name(w->edit, base, "_dequantized");
    dequantize(w, (struct qn_place){ at.node, true }, name, qn_emit_params(w->edit, row->bias, base), row->bias->axis, base, *out);
    return QONNX_OK;
}
