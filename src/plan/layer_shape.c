/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/layer_shape.h"

#include <string.h>

#include "onnx/attr.h"
#include "onnx/tensor.h"

static bool conv_pads(const Onnx__NodeProto *pb)
{
    size_t         count;
    const int64_t *pads = qn_attr_ints(pb, "pads", &count);

    for (size_t i = 0; i < count; i++)
        if (pads[i] != 0) return true;
    return qn_attr_is(pb, "auto_pad", "SAME_UPPER") || qn_attr_is(pb, "auto_pad", "SAME_LOWER");
}

static bool conv(const Onnx__NodeProto *pb, const Onnx__TensorProto *w, struct qn_layer_shape *s)
{
    int64_t groups = qn_attr_int(pb, "group", 1);

    if (w->n_dims < 2 || groups < 1 || w->dims[0] % groups) return false;
    *s = (struct qn_layer_shape){ .input_axis = 1, .pads = conv_pads(pb) };
    s->weight = (struct qn_products){ .outputs = (size_t)w->dims[0], .groups = (size_t)groups, .taps = 1, .channels = (size_t)w->dims[1], .tap_stride = 1 };
    for (size_t i = 2; i < w->n_dims; i++) s->weight.taps *= (size_t)w->dims[i]; /* the tensor's count was checked */
    s->weight.in_stride = s->weight.taps;
    s->weight.out_stride = s->weight.taps * s->weight.channels;
    return true;
}

static bool matrix(const Onnx__TensorProto *w, bool transposed, struct qn_layer_shape *s)
{
    size_t rows, columns;

    if (w->n_dims != 2) return false;
    rows = (size_t)w->dims[0];
    columns = (size_t)w->dims[1];
    *s = (struct qn_layer_shape){ .input_axis = -1 };
    if (transposed)
        s->weight = (struct qn_products){ .outputs = rows, .groups = 1, .taps = 1, .channels = columns, .out_stride = columns, .in_stride = 1 };
    else
        s->weight = (struct qn_products){ .outputs = columns, .groups = 1, .taps = 1, .channels = rows, .out_stride = 1, .in_stride = columns };
    return true;
}

bool qn_layer_shape(const struct qn_graph *graph, qn_node_id node, struct qn_layer_shape *shape)
{
    const Onnx__NodeProto   *pb = graph->pb->node[node];
    const Onnx__TensorProto *w = qn_node_constant(graph, node, 1);
    size_t                   count;

    if (!w || qn_tensor_count(w, &count, NULL) != QONNX_OK || !count) return false;
    if (strcmp(pb->op_type, "Conv") == 0) return conv(pb, w, shape);
    if (strcmp(pb->op_type, "Gemm") == 0) return matrix(w, qn_attr_int(pb, "transB", 0) != 0, shape);
    return strcmp(pb->op_type, "MatMul") == 0 && matrix(w, false, shape);
}
