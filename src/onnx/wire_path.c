/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "onnx/wire.h"
#include "onnx/wire_reader.h"

enum { MAX_FIELDS = 64 }; /* of one message type */

static void add_step(struct qn_strbuf *path, const struct qn_wire_item *item, unsigned occurrence)
{
    if (path->length) qn_strbuf_puts(path, ".");
    if (!item->field)
        qn_strbuf_printf(path, "(field %" PRIu32 ")", item->number);
    else if (item->field->label == PROTOBUF_C_LABEL_REPEATED)
        qn_strbuf_printf(path, "%s[%u]", item->field->name, occurrence);
    else
        qn_strbuf_puts(path, item->field->name);
}

void qn_wire_path_at(struct qn_strbuf *path, const ProtobufCMessageDescriptor *type, const uint8_t *bytes, size_t size,
                     size_t offset)
{
    struct qn_wire_reader reader = { .bytes = bytes };
    size_t                at = 0, end = size;
    unsigned              seen[MAX_FIELDS] = { 0 }, depth = 0;

    while (at < end && offset < end && depth < QN_WIRE_DEPTH) {
        struct qn_wire_item item;
        bool                whole = qn_wire_item(&reader, type, at, end, &item);

        if (whole && item.end <= offset) {
            if (item.field) seen[item.index]++;
            at = item.end;
            continue;
        }
        if (!item.number) return;
        add_step(path, &item, item.field ? seen[item.index] : 0);
        if (!whole || offset < item.payload || !item.field || item.field->type != PROTOBUF_C_TYPE_MESSAGE ||
            item.wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
            return;
        type = item.field->descriptor;
        at = item.payload;
        end = item.end;
        depth++;
        memset(seen, 0, sizeof seen);
    }
}
