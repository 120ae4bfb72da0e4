/* SPDX-License-Identifier: Apache-2.0
 * The only code that sees raw protobuf bytes.
 *
 * Stock protobuf-c copies every `bytes` field, recurses without limit and accepts tags that it then refuses to read
 * back. So the bytes are walked first, driven by protobuf-c's own descriptors. The walk checks lengths, nesting (at most
 * 100 messages), groups, field numbers 0 and >= 2^29, over-long varints, NUL bytes in strings, and that a known field
 * has its declared wire type; it writes a skeleton in which each TensorProto.raw_data is a small token. protobuf-c
 * then unpacks the skeleton into the arena and the tokens become pointers into the input: nothing large is copied. */
#ifndef QN_ONNX_WIRE_H
#define QN_ONNX_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/status.h"
#include "base/strbuf.h"

/* Parses a message of the given type. raw_data fields point into `bytes`, which must outlive the result; all else is in
 * the arena. Errors name the byte offset and the field path. */
QONNX_MUST_CHECK qonnx_status qn_wire_parse(ProtobufCMessage **message, const ProtobufCMessageDescriptor *type,
                                            const uint8_t *bytes, size_t size, struct qn_arena *arena,
                                            qonnx_error *err);

/* The same for a file; no page of it stays resident. */
QONNX_MUST_CHECK qonnx_status qn_wire_parse_map(ProtobufCMessage **message, const ProtobufCMessageDescriptor *type,
                                                const struct qn_map *map, struct qn_arena *arena, qonnx_error *err);

/* Adds the path of the field that holds the byte at `offset`, such as "graph.node[3].attribute[0].ints". */
void qn_wire_path_at(struct qn_strbuf *path, const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size,
                     size_t offset);

#endif
