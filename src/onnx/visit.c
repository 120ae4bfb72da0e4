/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/visit.h"

#include <stdbool.h>
#include <stdint.h>

/* The message a singular field holds, or NULL when it is not set. */
static ProtobufCMessage *single(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const char *base = (const char *)message;

    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF &&
        *(const uint32_t *)(const void *)(base + field->quantifier_offset) != field->id)
        return NULL;
    return *(ProtobufCMessage *const *)(const void *)(base + field->offset);
}

static qonnx_status visit_field(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                                qn_message_fn fn, void *context, qonnx_error *err)
{
    const char        *base = (const char *)message;
    ProtobufCMessage **items;
    size_t             count;

    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        ProtobufCMessage *child = single(message, field);
        return child ? qn_visit_messages(child, fn, context, err) : QONNX_OK;
    }
    count = *(const size_t *)(const void *)(base + field->quantifier_offset);
    items = *(ProtobufCMessage * *const *)(const void *)(base + field->offset);
    for (size_t i = 0; i < count; i++) QN_TRY(qn_visit_messages(items[i], fn, context, err));
    return QONNX_OK;
}

qonnx_status qn_visit_messages(ProtobufCMessage *message, qn_message_fn fn, void *context, qonnx_error *err)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;

    QN_TRY(fn(message, context, err));
    for (unsigned i = 0; i < type->n_fields; i++)
        if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE)
            QN_TRY(visit_field(message, &type->fields[i], fn, context, err));
    return QONNX_OK;
}

struct tensors {
    qn_tensor_fn fn;
    void        *context;
};

static qonnx_status only_tensors(ProtobufCMessage *message, void *context, qonnx_error *err)
{
    const struct tensors *t = context;
    return message->descriptor == &onnx__tensor_proto__descriptor ? t->fn((Onnx__TensorProto *)message, t->context, err)
                                                                   : QONNX_OK;
}

qonnx_status qn_visit_tensors(ProtobufCMessage *message, qn_tensor_fn fn, void *context, qonnx_error *err)
{
    struct tensors tensors = { fn, context };
    return qn_visit_messages(message, only_tensors, &tensors, err);
}
