/* SPDX-License-Identifier: Apache-2.0
 * A model in float16 or bfloat16 becomes one in float32, inputs and outputs included: runtimes for CPUs compute in float32
 * anyway, casting at each node, and integer kernels know no other scales. No value of a constant changes. (The program
 * gives inputs and outputs their types back when the model is quantized.)
 *
 * Types stand in tensors, in declarations and in attributes, at any depth, so the messages are walked by their
 * descriptors and changed in place. Where the meaning of the bits themselves is used, or a type is not there to be seen,
 * the model stays as it is. */
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "pass/lib/half.h"
#include "pass/pass.h"

static qonnx_status widen_tensor(Onnx__TensorProto *t, struct qn_arena *arena, qonnx_error *err)
{
    const float *values;
    size_t       count;

    if (!qn_dtype_is_half(t->data_type)) return QONNX_OK;
    QN_TRY(qn_tensor_floats(t, arena, &values, &count, err));
    t->data_type = QN_FLOAT;
    t->has_raw_data = true;
    t->raw_data.data = (uint8_t *)(uintptr_t)values;
    t->raw_data.len = count * sizeof *values;
    t->n_int32_data = 0;
    return QONNX_OK;
}

static void widen_attributes(const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (qn_names_half(node, node->attribute[i])) node->attribute[i]->i = QN_FLOAT;
}

static qonnx_status widen(ProtobufCMessage *message, void *context, qonnx_error *err)
{
    if (message->descriptor == &onnx__tensor_proto__descriptor) return widen_tensor((Onnx__TensorProto *)message, context, err);
    if (message->descriptor == &onnx__node_proto__descriptor) widen_attributes((Onnx__NodeProto *)message);
    if (message->descriptor == &onnx__type_proto__tensor__descriptor) {
        Onnx__TypeProto__Tensor *type = (Onnx__TypeProto__Tensor *)message;
        if (qn_dtype_is_half(type->elem_type)) type->elem_type = QN_FLOAT;
    }
    return QONNX_OK;
}

/* The model's own declarations of inputs and outputs stay as they are, for whoever is to go by them: copies are changed. */
static qonnx_status copy_ports(Onnx__ValueInfoProto **list, size_t count, struct qn_arena *arena, qonnx_error *err)
{
    for (size_t i = 0; i < count; i++) {
        Onnx__ValueInfoProto    *info = (Onnx__ValueInfoProto *)(void *)qn_arena_memdup(arena, list[i], sizeof *info);
        Onnx__TypeProto__Tensor *tensor;

        if (!info) return qn_fail_nomem(err);
        if (!info->type || info->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !info->type->tensor_type) continue;
        tensor = (Onnx__TypeProto__Tensor *)(void *)qn_arena_memdup(arena, info->type->tensor_type, sizeof *tensor);
        info->type = (Onnx__TypeProto *)(void *)qn_arena_memdup(arena, info->type, sizeof *info->type);
        if (!tensor || !info->type) return qn_fail_nomem(err);
        info->type->tensor_type = tensor;
        list[i] = info;
    }
    return QONNX_OK;
}

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    const struct qn_model *model = graph->model;
    struct qn_arena        *arena = qn_edit_arena(edit);

    (void)again;
    if (qn_halves(model, NULL) != QN_HALVES_TO_WIDEN) return QONNX_OK;
    QN_TRY(copy_ports(graph->pb->input, graph->pb->n_input, arena, err));
    QN_TRY(copy_ports(graph->pb->output, graph->pb->n_output, arena, err));
    QN_TRY(qn_visit_graphs(model, widen, arena, err));
    qn_edit_touch(edit);
    return QONNX_OK;
}

const struct qn_pass qn_pass_widen_half = { "widen_half", "float16 and bfloat16 become float32", run };
