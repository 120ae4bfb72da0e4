/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/check.h"

#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/deferred.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

/* Duplicates among imports and attributes are looked for pair by pair, so there is a limit to their number: no real
 * model comes near it, and a file made for the purpose would keep us busy for hours. */
enum { MAX_DEPTH = 64, MAX_PAIRED = 1024 };

static qonnx_status check_opsets(const struct qn_model *model, qonnx_error *err)
{
    const Onnx__ModelProto *pb = model->pb;

    if (!pb->n_opset_import) return qn_fail(err, QONNX_E_FORMAT, "the model imports no operator set");
    if (pb->n_opset_import > MAX_PAIRED) return qn_fail(err, QONNX_E_LIMIT, "the model imports %zu operator sets", pb->n_opset_import);
    for (size_t i = 0; i < pb->n_opset_import; i++) {
        if (pb->opset_import[i]->version < 1)
            return qn_fail(err, QONNX_E_FORMAT, "operator set '%s' has version %lld", pb->opset_import[i]->domain ? pb->opset_import[i]->domain : "", (long long)pb->opset_import[i]->version);
        for (size_t k = 0; k < i; k++) {
            const char *a = pb->opset_import[i]->domain, *b = pb->opset_import[k]->domain;
            if (strcmp(a ? a : "", b ? b : "") == 0) return qn_fail(err, QONNX_E_FORMAT, "operator set '%s' is imported twice", a ? a : "");
        }
    }
    return QONNX_OK;
}

static qonnx_status check_tensor(const Onnx__TensorProto *tensor, const char *role, qonnx_error *err)
{
    qonnx_status status = qn_tensor_check(tensor, err);
    return status == QONNX_OK ? status : qn_wrap(err, status, "%s '%.200s'", role, tensor->name ? tensor->name : "");
}

static qonnx_status check_graph_tensors(const Onnx__GraphProto *graph, int depth, qonnx_error *err)
{
    if (depth > MAX_DEPTH) return qn_fail(err, QONNX_E_LIMIT, "graphs are nested more than %d deep", MAX_DEPTH);
    for (size_t i = 0; i < graph->n_initializer; i++) QN_TRY(check_tensor(graph->initializer[i], "initializer", err));
    for (size_t n = 0; n < graph->n_node; n++) {
        const Onnx__NodeProto *node = graph->node[n];
        if (node->n_attribute > MAX_PAIRED)
            return qn_fail(err, QONNX_E_LIMIT, "node '%.150s' (%.60s) has %zu attributes", node->name ? node->name : "", node->op_type ? node->op_type : "", node->n_attribute);
        for (size_t i = 0; i < node->n_attribute; i++) {
            const Onnx__AttributeProto *attr = node->attribute[i];
            for (size_t k = 0; k < i; k++)
                if (attr->name && node->attribute[k]->name && strcmp(attr->name, node->attribute[k]->name) == 0)
                    return qn_fail(err, QONNX_E_FORMAT, "node '%.150s' (%.60s): attribute '%.60s' is given twice", node->name ? node->name : "", node->op_type ? node->op_type : "", attr->name);
            if (attr->t) QN_TRY(check_tensor(attr->t, "attribute tensor", err));
            for (size_t k = 0; k < attr->n_tensors; k++) QN_TRY(check_tensor(attr->tensors[k], "attribute tensor", err));
            if (attr->g) QN_TRY(check_graph_tensors(attr->g, depth + 1, err));
            for (size_t k = 0; k < attr->n_graphs; k++) QN_TRY(check_graph_tensors(attr->graphs[k], depth + 1, err));
        }
    }
    return QONNX_OK;
}

/* Quantizers of blocks in the field have negative scales, too, so that the lowest code may stand for a positive value. */
static qonnx_status check_scale(const Onnx__TensorProto *scale, bool blocks, struct qn_arena *arena, qonnx_error *err)
{
    const float *values;
    size_t       count;

    QN_TRY(qn_tensor_floats(scale, arena, &values, &count, err));
    for (size_t i = 0; i < count; i++)
        if (!(values[i] > 0 || (blocks && values[i] < 0)) || !isnormal(values[i])) return qn_fail(err, QONNX_E_FORMAT, "scale %zu is %g; a scale must be positive, normal and finite", i, (double)values[i]);
    return QONNX_OK;
}

/* One number is one number, whether it is a scalar or a vector of one: ONNX Runtime's own writer mixes them. */
static bool same_shape(const Onnx__TensorProto *a, const Onnx__TensorProto *b)
{
    if (a->n_dims > 1 || b->n_dims > 1) {
        if (a->n_dims != b->n_dims) return false;
        for (size_t i = 0; i < a->n_dims; i++)
            if (a->dims[i] != b->dims[i]) return false;
        return true;
    }
    return (a->n_dims ? a->dims[0] : 1) == (b->n_dims ? b->dims[0] : 1);
}

static qonnx_status check_qdq(const struct qn_graph *graph, qn_node_id node, int64_t opset, struct qn_arena *arena, qonnx_error *err)
{
    const Onnx__TensorProto *scale = qn_node_constant(graph, node, 1), *zero = qn_node_constant(graph, node, 2);
    qn_value_id              code = zero ? QN_NONE : qn_node_is(graph, node, "DequantizeLinear") ? qn_node_input(graph, node, 0) : QN_NONE;
    int32_t                  type = zero ? zero->data_type : code != QN_NONE ? graph->values[code].dtype : 0;
    const struct qn_dtype   *dtype = qn_dtype_find(type);
    qn_value_id              x = qn_node_input(graph, node, 0);

    if (type && (!dtype || !dtype->min_opset || dtype->min_opset > opset))
        return qn_fail(err, QONNX_E_FORMAT, "%s codes need opset %d, the model has %lld", qn_dtype_name(type), dtype ? dtype->min_opset : 0, (long long)opset);
    if (!scale) return QONNX_OK; /* computed scales are the runtime's business */
    if (!scale->has_raw_data || !qn_model_deferred(graph->model, scale->raw_data.data)) /* else they are not there yet */
        QN_TRY(check_scale(scale, qn_node_is(graph, node, "DequantizeLinear") && qn_attr_int(graph->pb->node[node], "block_size", 0) > 0, arena, err));
    if (zero && !same_shape(scale, zero))
        return qn_fail(err, QONNX_E_FORMAT, "scale and zero point differ in shape");
    if (scale->n_dims == 1 && scale->dims[0] != 1 && x != QN_NONE && graph->values[x].rank >= 0) {
        int64_t axis = qn_attr_int(graph->pb->node[node], "axis", 1), rank = graph->values[x].rank;
        if (opset < 13) return qn_fail(err, QONNX_E_FORMAT, "per-axis quantization needs opset 13, the model has %lld", (long long)opset);
        if (axis < 0) axis += rank;
        if (axis < 0 || axis >= rank) return qn_fail(err, QONNX_E_FORMAT, "axis %lld is out of range for rank %lld", (long long)axis, (long long)rank);
        if (graph->values[x].dims[axis] >= 0 && graph->values[x].dims[axis] != scale->dims[0])
            return qn_fail(err, QONNX_E_FORMAT, "%lld scales for an axis of %lld", (long long)scale->dims[0], (long long)graph->values[x].dims[axis]);
    }
    return QONNX_OK;
}

static qonnx_status check_nodes(const struct qn_graph *graph, struct qn_arena *arena, qonnx_error *err)
{
    int64_t opset = qn_model_opset(graph->model, "");

    for (qn_node_id n = 0; n < graph->node_count; n++) {
        qonnx_status status;
        if (!qn_node_is(graph, n, "QuantizeLinear") && !qn_node_is(graph, n, "DequantizeLinear")) continue;
        status = check_qdq(graph, n, opset, arena, err);
        if (status != QONNX_OK) return qn_wrap(err, status, "%s", qn_node_label(graph, n));
    }
    return QONNX_OK;
}

qonnx_status qn_check(const struct qn_graph *graph, qonnx_error *err)
{
    struct qn_arena arena = { 0 };
    qonnx_status    status;

    QN_TRY(check_opsets(graph->model, err));
    QN_TRY(check_graph_tensors(graph->pb, 0, err));
    status = check_nodes(graph, &arena, err);
    qn_arena_release(&arena);
    return status;
}
