/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/wire.h"

#include <limits.h>
#include <stdbool.h>
#include <string.h>

#include "onnx.pb-c.h"
#include "onnx/visit.h"
#include "onnx/wire_reader.h"

enum {
    LENGTH_BYTES = 5,          /* of a padded length in the skeleton, so that it can be filled in afterwards */
    TOKEN_BYTES = 16,          /* offset and length of a raw_data */
    ITEM_BYTES = 32,           /* at most what tag, length and token of one field take */
    MAX_SKELETON = 1000 << 20, /* bytes that are not raw_data */
    SCAN_BYTES = 64,           /* at most what protobuf-c keeps of a field while it unpacks */
    STRING_BYTES = 32,         /* the pointer to a string, bytes or message, and rounding */
    DROP_BYTES = 8 << 20,      /* of a map are given back at a time */
    LONG_PATH = 200,           /* longer ones are shortened in messages */
};

/* What unpacking may take besides eight times the file's size: a hostile file could ask for 200 times. */
static const uint64_t MAX_MEMORY = UINT64_C(2) << 30;

static bool is_fixed(ProtobufCType type, unsigned size)
{
    switch (type) {
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32: return size == 4;
    case PROTOBUF_C_TYPE_DOUBLE:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64: return size == 8;
    default: return false;
    }
}

static bool is_delimited(ProtobufCType type)
{
    return type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_BYTES || type == PROTOBUF_C_TYPE_MESSAGE;
}

static unsigned wire_type_of(ProtobufCType type)
{
    if (is_delimited(type)) return PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    if (is_fixed(type, 4)) return PROTOBUF_C_WIRE_TYPE_32BIT;
    return is_fixed(type, 8) ? PROTOBUF_C_WIRE_TYPE_64BIT : PROTOBUF_C_WIRE_TYPE_VARINT;
}

/* Checks a packed array and adds the memory of its elements. */
static bool check_packed(struct qn_wire_reader *reader, const struct qn_wire_item *item, uint64_t *memory)
{
    size_t   size = item->end - item->payload, at = item->payload, count = 0;
    uint64_t ignored;

    if (is_fixed(item->field->type, 4) || is_fixed(item->field->type, 8)) {
        *memory += size;
        if (size % (is_fixed(item->field->type, 4) ? 4 : 8))
            return qn_wire_refuse(reader, QONNX_E_FORMAT, item->start, "a packed array holds a part of an element");
        return true;
    }
    for (; at < item->end; count++)
        if (!qn_wire_varint(reader, &at, item->end, 10, &ignored)) return false;
    *memory += count * sizeof(uint64_t);
    return true;
}

/* Checks a field of the schema on its own; `memory` grows by what unpacking it takes. */
static bool check_field(struct qn_wire_reader *reader, const struct qn_wire_item *item, uint64_t *memory)
{
    const ProtobufCFieldDescriptor *field = item->field;

    if (field->label == PROTOBUF_C_LABEL_REPEATED && !is_delimited(field->type) &&
        item->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
        return check_packed(reader, item, memory);
    if (item->wire_type != wire_type_of(field->type))
        return qn_wire_refuse(reader, QONNX_E_FORMAT, item->start, "a field does not have the wire type ONNX gives it");
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        *memory += ((const ProtobufCMessageDescriptor *)field->descriptor)->sizeof_message + STRING_BYTES;
    } else if (is_delimited(field->type)) {
        *memory += (item->raw ? TOKEN_BYTES : item->end - item->payload) + STRING_BYTES;
        /* protobuf-c ends a string at the first NUL and would lose the rest */
        if (field->type == PROTOBUF_C_TYPE_STRING && item->end > item->payload &&
            memchr(reader->bytes + item->payload, 0, item->end - item->payload))
            return qn_wire_refuse(reader, QONNX_E_UNSUPPORTED, item->start, "a text contains a NUL byte");
    } else {
        *memory += sizeof(uint64_t);
    }
    return true;
}

/* Singular messages and members of a oneof must not come twice: protobuf's rule is to merge them, and protobuf-c loses
 * parts while it does. Of singular numbers and strings the last one counts, as everywhere. */
static bool check_once(struct qn_wire_reader *reader, const ProtobufCMessageDescriptor *type,
                       const struct qn_wire_item *item, uint64_t *seen)
{
    const ProtobufCFieldDescriptor *field = item->field;
    unsigned                        bit = item->index;

    if (field->label == PROTOBUF_C_LABEL_REPEATED) return true;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        bit = 0; /* the members of a oneof share the bit of the first */
        while (type->fields[bit].quantifier_offset != field->quantifier_offset ||
               !(type->fields[bit].flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
            bit++;
    } else if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return true;
    }
    if (*seen & UINT64_C(1) << bit)
        return qn_wire_refuse(reader, QONNX_E_UNSUPPORTED, item->start, "a field that may come once comes twice");
    *seen |= UINT64_C(1) << bit;
    return true;
}

/* A message that is being walked. */
struct level {
    const ProtobufCMessageDescriptor *type;
    size_t                            end;       /* in the file */
    size_t                            length_at; /* where the skeleton holds its padded length */
    uint64_t                          seen;      /* singular fields met so far, by index */
};

struct walk {
    struct qn_wire_reader reader;
    struct qn_strbuf      skeleton;
    struct level          levels[QN_WIRE_DEPTH];
    unsigned              depth; /* levels in use */
    uint64_t              memory;
    const struct qn_map  *map;     /* where the bytes are mapped, or NULL */
    size_t                dropped; /* bytes of it given back to the system */
};

static void put_varint(struct qn_strbuf *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t  count = 0;

    for (; value >= 0x80; value >>= 7) bytes[count++] = (uint8_t)(value | 0x80);
    bytes[count++] = (uint8_t)value;
    qn_strbuf_add(out, bytes, count);
}

static void put_padded(char *at, size_t value)
{
    for (int i = 0; i < LENGTH_BYTES; i++, value >>= 7)
        at[i] = (char)((value & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
}

static bool descend(struct walk *walk, const struct qn_wire_item *item)
{
    static const char unset[LENGTH_BYTES];
    struct level     *level = &walk->levels[walk->depth];

    if (walk->depth == QN_WIRE_DEPTH)
        return qn_wire_refuse(&walk->reader, QONNX_E_LIMIT, item->start, "messages are nested more than 100 deep");
    walk->depth++;
    level->type = item->field->descriptor;
    level->end = item->end;
    level->length_at = walk->skeleton.length;
    level->seen = 0;
    qn_strbuf_add(&walk->skeleton, unset, sizeof unset);
    return true;
}

static void put_token(struct qn_strbuf *out, const struct qn_wire_item *item)
{
    uint64_t token[2] = { item->payload, item->end - item->payload };

    put_varint(out, TOKEN_BYTES);
    qn_strbuf_add(out, token, sizeof token);
}

/* Copies a field into the skeleton. Tags and lengths are written anew in their shortest form, except the length of an
 * unknown field, which belongs to what protobuf-c keeps of it. */
static bool copy_item(struct walk *walk, const struct qn_wire_item *item)
{
    struct qn_strbuf *out = &walk->skeleton;
    bool              message = item->field && item->field->type == PROTOBUF_C_TYPE_MESSAGE;
    size_t            from = item->field ? item->payload : item->body;

    if ((message || item->raw ? 0 : item->end - from) + ITEM_BYTES > MAX_SKELETON - out->length)
        return qn_wire_refuse(&walk->reader, QONNX_E_LIMIT, item->start,
                              "more than 1000 MiB of the file are not raw_data");
    put_varint(out, (uint64_t)item->number << 3 | item->wire_type);
    if (message) return descend(walk, item);
    if (item->raw) {
        put_token(out, item);
        return true;
    }
    if (item->field && item->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED)
        put_varint(out, item->end - item->payload);
    qn_strbuf_add(out, walk->reader.bytes + from, item->end - from);
    return true;
}

static bool take_item(struct walk *walk, struct level *level, size_t *at)
{
    struct qn_wire_item item;

    if (!qn_wire_item(&walk->reader, level->type, *at, level->end, &item)) return false;
    walk->memory += SCAN_BYTES;
    if (!item.field)
        walk->memory += item.end - item.body + STRING_BYTES;
    else if (!check_field(&walk->reader, &item, &walk->memory) ||
             !check_once(&walk->reader, level->type, &item, &level->seen))
        return false;
    if (walk->memory > MAX_MEMORY + 8 * (uint64_t)walk->levels[0].end)
        return qn_wire_refuse(&walk->reader, QONNX_E_LIMIT, item.start,
                              "the file would unpack to more than 2 GiB and eight times its size");
    if (!copy_item(walk, &item)) return false;
    if (walk->skeleton.failed) return qn_wire_refuse(&walk->reader, QONNX_E_NOMEM, item.start, "out of memory");
    *at = item.field && item.field->type == PROTOBUF_C_TYPE_MESSAGE ? item.payload : item.end;
    return true;
}

/* One touch of a mapped file can make up to 2 MiB of it resident. */
static void drop_behind(struct walk *walk, size_t at)
{
    if (!walk->map || at - walk->dropped < DROP_BYTES) return;
    qn_map_drop(walk->map, walk->map->data + walk->dropped, at - walk->dropped);
    walk->dropped = at;
}

/* Goes once over all bytes with a stack of its own, so that no input can make it recurse. */
static bool walk_all(struct walk *walk, const ProtobufCMessageDescriptor *type, size_t size)
{
    size_t at = 0;

    walk->levels[0] = (struct level){ .type = type, .end = size };
    for (walk->depth = 1; walk->depth;) {
        struct level *level = &walk->levels[walk->depth - 1];
        if (at < level->end) {
            if (!take_item(walk, level, &at)) return false;
            drop_behind(walk, at);
        } else {
            if (walk->depth > 1)
                put_padded(walk->skeleton.text + level->length_at,
                           walk->skeleton.length - level->length_at - LENGTH_BYTES);
            walk->depth--;
        }
    }
    return true;
}

static qonnx_status report(const struct walk *walk, const ProtobufCMessageDescriptor *type, size_t size,
                           qonnx_error *err)
{
    const struct qn_wire_reader *reader = &walk->reader;
    struct qn_strbuf             path;

    if (reader->status == QONNX_E_NOMEM) return qn_fail_nomem(err);
    qn_strbuf_init(&path);
    qn_wire_path_at(&path, type, reader->bytes, size, reader->at);
    if (path.length > LONG_PATH) /* its two ends tell enough */
        qn_fail(err, reader->status, "byte %zu: %s, in %.*s ... %s", reader->at, reader->problem, LONG_PATH / 2,
                path.text, path.text + path.length - LONG_PATH / 2);
    else
        qn_fail(err, reader->status, "byte %zu: %s%s%s", reader->at, reader->problem, path.length ? ", in " : "",
                path.text);
    qn_strbuf_release(&path);
    return reader->status;
}

static void *allocate(void *arena, size_t size) { return qn_arena_alloc_raw(arena, size); }
static void  keep(void *arena, void *pointer)
{
    (void)arena; /* the arena frees everything at once */
    (void)pointer;
}

/* Turns the token in a raw_data into a pointer to the bytes it stands for. */
static qonnx_status patch(Onnx__TensorProto *tensor, void *context, qonnx_error *err)
{
    const uint8_t *bytes = context;
    uint64_t       token[2];

    (void)err;
    if (!tensor->has_raw_data) return QONNX_OK;
    memcpy(token, tensor->raw_data.data, sizeof token);
    tensor->raw_data.data = (uint8_t *)(uintptr_t)(bytes + token[0]);
    tensor->raw_data.len = (size_t)token[1];
    return QONNX_OK;
}

static qonnx_status unpack(ProtobufCMessage **message, const ProtobufCMessageDescriptor *type, const struct walk *walk,
                           struct qn_arena *arena, qonnx_error *err)
{
    ProtobufCAllocator allocator = { allocate, keep, arena };

    *message = protobuf_c_message_unpack(type, &allocator, walk->skeleton.length, (const uint8_t *)walk->skeleton.text);
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    if (!*message) return qn_fail(err, QONNX_E_INTERNAL, "protobuf-c refused what had been checked");
    return qn_visit_tensors(*message, patch, (void *)(uintptr_t)walk->reader.bytes, err);
}

static qonnx_status parse(ProtobufCMessage **message, const ProtobufCMessageDescriptor *type, struct walk *walk,
                          size_t size, struct qn_arena *arena, qonnx_error *err)
{
    ProtobufCMessage *result = NULL;
    qonnx_status      status;

    if (size > INT_MAX)
        return qn_fail(err, QONNX_E_LIMIT, "%zu bytes; protobuf ends at 2 GiB (larger models need external data)",
                       size);
    qn_strbuf_init(&walk->skeleton);
    status = walk_all(walk, type, size) ? unpack(&result, type, walk, arena, err) : report(walk, type, size, err);
    qn_strbuf_release(&walk->skeleton);
    if (walk->map) qn_map_drop(walk->map, walk->map->data, size);
    if (status == QONNX_OK) *message = result;
    return status;
}

qonnx_status qn_wire_parse(ProtobufCMessage **message, const ProtobufCMessageDescriptor *type, const uint8_t *bytes,
                           size_t size, struct qn_arena *arena, qonnx_error *err)
{
    struct walk walk = { .reader = { .bytes = bytes } };

    return parse(message, type, &walk, size, arena, err);
}

qonnx_status qn_wire_parse_map(ProtobufCMessage **message, const ProtobufCMessageDescriptor *type,
                               const struct qn_map *map, struct qn_arena *arena, qonnx_error *err)
{
    struct walk walk = { .reader = { .bytes = map->data }, .map = map };

    return parse(message, type, &walk, map->size, arena, err);
}
