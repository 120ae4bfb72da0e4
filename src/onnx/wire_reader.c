/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/wire_reader.h"

#include <limits.h>
#include <string.h>

#include "onnx.pb-c.h"

enum { RAW_DATA = 9 /* TensorProto.raw_data */, TAG_BYTES = 5, NUMBER_BYTES = 10, LENGTH_BYTES = 5 };

bool qn_wire_refuse(struct qn_wire_reader *reader, qonnx_status status, size_t at, const char *problem)
{
    reader->status = status;
    reader->at = at;
    reader->problem = problem;
    return false;
}

bool qn_wire_varint(struct qn_wire_reader *reader, size_t *at, size_t end, size_t limit, uint64_t *value)
{
    size_t start = *at;

    *value = 0;
    for (unsigned shift = 0; *at < end && *at - start < limit; shift += 7) {
        uint8_t byte = reader->bytes[(*at)++];
        if (shift == 63 && byte > 1)
            return qn_wire_refuse(reader, QONNX_E_FORMAT, start, "a number does not fit in 64 bits");
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return true;
    }
    return qn_wire_refuse(reader, QONNX_E_FORMAT, start,
                          *at - start == limit ? "a number has too many bytes" : "the data end within a number");
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type, uint32_t number)
{
    return number <= INT_MAX ? protobuf_c_message_descriptor_get_field(type, number) : NULL;
}

static bool read_tag(struct qn_wire_reader *reader, const ProtobufCMessageDescriptor *type, size_t *at, size_t end,
                     struct qn_wire_item *item)
{
    uint64_t tag;

    memset(item, 0, sizeof *item);
    item->start = *at;
    if (!qn_wire_varint(reader, at, end, TAG_BYTES, &tag)) return false;
    if (tag > UINT32_MAX) return qn_wire_refuse(reader, QONNX_E_FORMAT, item->start, "a field number is 2^29 or more");
    item->number = (uint32_t)(tag >> 3);
    item->wire_type = tag & 7;
    if (!item->number) return qn_wire_refuse(reader, QONNX_E_FORMAT, item->start, "a field has number 0");
    item->field = find_field(type, item->number);
    if (item->field) item->index = (unsigned)(item->field - type->fields);
    item->raw = item->number == RAW_DATA && type == &onnx__tensor_proto__descriptor;
    return true;
}

bool qn_wire_item(struct qn_wire_reader *reader, const ProtobufCMessageDescriptor *type, size_t at, size_t end,
                  struct qn_wire_item *item)
{
    uint64_t length = 0;

    if (!read_tag(reader, type, &at, end, item)) return false;
    item->body = item->payload = at;
    switch (item->wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        if (!qn_wire_varint(reader, &at, end, NUMBER_BYTES, &length)) return false;
        item->end = at;
        return true;
    case PROTOBUF_C_WIRE_TYPE_64BIT: length = 8; break;
    case PROTOBUF_C_WIRE_TYPE_32BIT: length = 4; break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        if (!qn_wire_varint(reader, &at, end, LENGTH_BYTES, &length)) return false;
        item->payload = at;
        break;
    case 3:
    case 4: return qn_wire_refuse(reader, QONNX_E_FORMAT, item->start, "a group, which ONNX does not use");
    default: return qn_wire_refuse(reader, QONNX_E_FORMAT, item->start, "a field of unknown wire type");
    }
    if (length > end - at)
        return qn_wire_refuse(reader, QONNX_E_FORMAT, item->start, "a field reaches past the end of what holds it");
    item->end = at + (size_t)length;
    return true;
}
