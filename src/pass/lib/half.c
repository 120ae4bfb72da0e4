/* SPDX-License-Identifier: Apache-2.0 */
#include "pass/lib/half.h"

#include <string.h>

#include "onnx/dtype.h"

/* Attributes of ai.onnx that name a type. */
static const char *const type_attributes[] = { "to", "dtype", "output_datatype", "output_dtype", "stash_type", "precision" };

static bool names_type(const Onnx__NodeProto *node, const Onnx__AttributeProto *attr)
{
    if (node->domain && *node->domain && strcmp(node->domain, "ai.onnx") != 0) return false;
    for (size_t i = 0; i < sizeof type_attributes / sizeof *type_attributes; i++)
        if (attr->name && strcmp(attr->name, type_attributes[i]) == 0) return true;
    return false;
}

bool qn_names_half(const Onnx__NodeProto *node, const Onnx__AttributeProto *attr)
{
    return names_type(node, attr) && attr->i > 0 && attr->i < INT32_MAX && qn_dtype_is_half((int32_t)attr->i);
}

struct survey {
    bool    half, blocked;
    int32_t kind; /* of the first tensor that is one */
};

/* Each call of a function may say another type. */
static bool leaves_type_open(const Onnx__NodeProto *node, const Onnx__AttributeProto *attr)
{
    return names_type(node, attr) && attr->ref_attr_name && *attr->ref_attr_name;
}

static qonnx_status look(ProtobufCMessage *message, void *context, qonnx_error *err)
{
    struct survey         *s = context;
    const Onnx__NodeProto *node = (const Onnx__NodeProto *)message;

    (void)err;
    if (message->descriptor == &onnx__tensor_proto__descriptor && qn_dtype_is_half(((Onnx__TensorProto *)message)->data_type)) {
        s->half = true;
        if (!s->kind) s->kind = ((Onnx__TensorProto *)message)->data_type;
    }
    if (message->descriptor == &onnx__type_proto__tensor__descriptor)
        s->half |= qn_dtype_is_half(((Onnx__TypeProto__Tensor *)message)->elem_type);
    if (message->descriptor != &onnx__node_proto__descriptor) return QONNX_OK;
    s->blocked |= node->op_type && strcmp(node->op_type, "BitCast") == 0;
    for (size_t i = 0; i < node->n_attribute; i++) {
        s->half |= qn_names_half(node, node->attribute[i]);
        s->blocked |= leaves_type_open(node, node->attribute[i]);
    }
    return QONNX_OK;
}

/* Sequences of half numbers cannot be cast where they come in or go out. */
static bool crosses_as_no_tensor(Onnx__ValueInfoProto *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct survey s = { 0 };
        if (!list[i]->type || list[i]->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) continue;
        if (qn_visit_messages(&list[i]->base, look, &s, NULL) == QONNX_OK && s.half) return true;
    }
    return false;
}

qonnx_status qn_visit_graphs(const struct qn_model *model, qn_message_fn fn, void *context, qonnx_error *err)
{
    QN_TRY(qn_visit_messages(&model->pb->graph->base, fn, context, err));
    for (size_t i = 0; i < model->pb->n_functions; i++) QN_TRY(qn_visit_messages(&model->pb->functions[i]->base, fn, context, err));
    for (size_t i = 0; i < model->body_count; i++) QN_TRY(qn_visit_messages(&model->bodies[i]->base, fn, context, err));
    return QONNX_OK;
}

enum qn_halves qn_halves(const struct qn_model *model, int32_t *kind)
{
    const Onnx__GraphProto *graph = model->pb->graph;
    struct survey           s = { 0 };

    if (qn_visit_graphs(model, look, &s, NULL) != QONNX_OK || !s.half) return QN_HALVES_NONE;
    if (kind) *kind = s.kind ? s.kind : QN_FLOAT16;
    s.blocked |= crosses_as_no_tensor(graph->input, graph->n_input) || crosses_as_no_tensor(graph->output, graph->n_output);
    return s.blocked ? QN_HALVES_FIXED : QN_HALVES_TO_WIDEN;
}
