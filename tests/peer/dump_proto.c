/* SPDX-License-Identifier: Apache-2.0
 * Prints the schema that the library is built with, from protobuf-c's descriptors: a line for each field reachable from
 * ModelProto ("field MESSAGE NAME NUMBER LABEL TYPE PACKED ONEOF") and for each enumerator ("enum ENUM NAME NUMBER"). */
#include <stdio.h>
#include <string.h>

#include "onnx.pb-c.h"

enum { MAX_SEEN = 200 };

static const void *seen[MAX_SEEN];
static size_t      n_seen;

static int first_visit(const void *descriptor)
{
    for (size_t i = 0; i < n_seen; i++) {
        if (seen[i] == descriptor) return 0;
    }
    if (n_seen == MAX_SEEN) return 0;
    seen[n_seen++] = descriptor;
    return 1;
}

static const char *type_name(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32: return "int32";
    case PROTOBUF_C_TYPE_SINT32: return "sint32";
    case PROTOBUF_C_TYPE_SFIXED32: return "sfixed32";
    case PROTOBUF_C_TYPE_INT64: return "int64";
    case PROTOBUF_C_TYPE_SINT64: return "sint64";
    case PROTOBUF_C_TYPE_SFIXED64: return "sfixed64";
    case PROTOBUF_C_TYPE_UINT32: return "uint32";
    case PROTOBUF_C_TYPE_FIXED32: return "fixed32";
    case PROTOBUF_C_TYPE_UINT64: return "uint64";
    case PROTOBUF_C_TYPE_FIXED64: return "fixed64";
    case PROTOBUF_C_TYPE_FLOAT: return "float";
    case PROTOBUF_C_TYPE_DOUBLE: return "double";
    case PROTOBUF_C_TYPE_BOOL: return "bool";
    case PROTOBUF_C_TYPE_ENUM: return "enum";
    case PROTOBUF_C_TYPE_STRING: return "string";
    case PROTOBUF_C_TYPE_BYTES: return "bytes";
    case PROTOBUF_C_TYPE_MESSAGE: return "message";
    }
    return "unknown";
}

static const char *label_name(ProtobufCLabel label)
{
    switch (label) {
    case PROTOBUF_C_LABEL_REQUIRED: return "required";
    case PROTOBUF_C_LABEL_OPTIONAL: return "optional";
    case PROTOBUF_C_LABEL_REPEATED: return "repeated";
    case PROTOBUF_C_LABEL_NONE: return "none";
    }
    return "unknown";
}

static void dump_enum(const ProtobufCEnumDescriptor *descriptor)
{
    if (!first_visit(descriptor)) return;
    for (unsigned i = 0; i < descriptor->n_values; i++)
        printf("enum %s %s %d\n", descriptor->name, descriptor->values[i].name, descriptor->values[i].value);
}

static void dump_message(const ProtobufCMessageDescriptor *descriptor)
{
    if (!first_visit(descriptor)) return;
    printf("message %s\n", descriptor->name);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const char                     *type = type_name(field->type);

        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
            type = ((const ProtobufCMessageDescriptor *)field->descriptor)->name;
        else if (field->type == PROTOBUF_C_TYPE_ENUM)
            type = ((const ProtobufCEnumDescriptor *)field->descriptor)->name;
        printf("field %s %s %u %s %s %d %d\n", descriptor->name, field->name, field->id, label_name(field->label), type,
               (field->flags & PROTOBUF_C_FIELD_FLAG_PACKED) != 0, (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0);
    }
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

        if (field->type == PROTOBUF_C_TYPE_MESSAGE) dump_message(field->descriptor);
        if (field->type == PROTOBUF_C_TYPE_ENUM) dump_enum(field->descriptor);
    }
}

int main(void)
{
    /* No field has these three as its type. */
    dump_enum(&onnx__version__descriptor);
    dump_enum(&onnx__operator_status__descriptor);
    dump_enum(&onnx__tensor_proto__data_type__descriptor);
    dump_message(&onnx__model_proto__descriptor);
    return 0;
}
