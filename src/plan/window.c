/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/window.h"

#include <string.h>

#include "onnx/attr.h"

/* One number for each spatial axis, `absent` where the attribute is; false when there are fewer or more. */
static bool numbers(const Onnx__NodeProto *node, const char *name, int dims, int64_t absent, int64_t *first, int64_t *second)
{
    size_t         count;
    const int64_t *values = qn_attr_ints(node, name, &count);

    for (int i = 0; i < dims; i++) {
        first[i] = values ? values[i < (int)count ? i : 0] : absent;
        if (second) second[i] = values ? values[i + dims < (int)count ? i + dims : 0] : absent;
    }
    return !values || count == (size_t)dims * (second ? 2 : 1);
}

static bool convolution(const Onnx__NodeProto *pb, const Onnx__TensorProto *weight, struct qn_window *w)
{
    const int64_t group = qn_attr_int(pb, "group", 1);
    const int     dims = (int)weight->n_dims - 2;

    if (dims < 1 || dims > QN_WINDOW_DIMS || group < 1 || weight->dims[0] < 1 || weight->dims[0] % group || weight->dims[1] < 1) return false;
    w->dims = dims;
    w->groups = (size_t)group;
    w->channels = (size_t)weight->dims[1];
    for (int i = 0; i < dims; i++) w->kernel[i] = weight->dims[i + 2];
    if (!numbers(pb, "strides", dims, 1, w->stride, NULL) || !numbers(pb, "dilations", dims, 1, w->dilation, NULL)) return false;
    if (qn_attr_is(pb, "auto_pad", "SAME_UPPER"))
        w->pad = QN_PAD_SAME_UPPER;
    else if (qn_attr_is(pb, "auto_pad", "SAME_LOWER"))
        w->pad = QN_PAD_SAME_LOWER;
    else if (!qn_attr_is(pb, "auto_pad", "VALID"))
        return numbers(pb, "pads", dims, 0, w->before, w->after);
    return true;
}

bool qn_node_window(const struct qn_graph *graph, qn_node_id node, struct qn_window *window)
{
    const Onnx__NodeProto   *pb = graph->pb->node[node];
    const Onnx__TensorProto *weight = qn_node_constant(graph, node, 1);
    int                      axis = 0;

    *window = (struct qn_window){ .groups = 1 };
    if (!weight) return false;
    if (strcmp(pb->op_type, "Conv") == 0) return convolution(pb, weight, window);
    if (strcmp(pb->op_type, "Gemm") == 0) {
        if (qn_attr_int(pb, "transA", 0)) return false;
        axis = qn_attr_int(pb, "transB", 0) != 0;
    } else if (strcmp(pb->op_type, "MatMul") != 0) {
        return false;
    }
    if (weight->n_dims != 2 || weight->dims[axis] < 1) return false;
    window->channels = (size_t)weight->dims[axis];
    return true;
}
