/* SPDX-License-Identifier: Apache-2.0
 * Protobuf's wire format, one field at a time. For wire.c and wire_path.c only. */
#ifndef QN_ONNX_WIRE_READER_H
#define QN_ONNX_WIRE_READER_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { QN_WIRE_DEPTH = 100 }; /* messages within messages, the outermost included; as in other protobuf readers */

/* One field as it stands in the file; numbers are offsets. */
struct qn_wire_item {
    size_t   start, body, payload, end; /* of the tag, behind it, behind the length, behind it all */
    uint32_t number;
    unsigned wire_type;
    const ProtobufCFieldDescriptor *field; /* NULL: not in the schema */
    unsigned                        index; /* of the field in its message */
    bool                            raw;   /* TensorProto.raw_data */
};

struct qn_wire_reader {
    const uint8_t *bytes;
    const char    *problem; /* what is wrong, in words; NULL while all is well */
    size_t         at;      /* where */
    qonnx_status   status;
};

/* Records a problem; always false. */
bool qn_wire_refuse(struct qn_wire_reader *reader, qonnx_status status, size_t at, const char *problem);
/* A varint of at most `limit` bytes between *at and end; *at moves behind it. */
bool qn_wire_varint(struct qn_wire_reader *reader, size_t *at, size_t end, size_t limit, uint64_t *value);
/* Reads the field at `at`, which is before `end`; on success the whole item lies within. On failure item->number is 0
 * unless the tag was readable. */
bool qn_wire_item(struct qn_wire_reader *reader, const ProtobufCMessageDescriptor *type, size_t at, size_t end,
                  struct qn_wire_item *item);

#endif
