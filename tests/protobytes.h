/* SPDX-License-Identifier: Apache-2.0
 * Protobuf bytes by hand, well-formed or not. */
#ifndef QN_TESTS_PROTOBYTES_H
#define QN_TESTS_PROTOBYTES_H

#include <stdint.h>
#include <string.h>

#include "base/strbuf.h"

static inline void pb_varint(struct qn_strbuf *out, uint64_t value)
{
    do {
        uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        qn_strbuf_add(out, &byte, 1);
        value >>= 7;
    } while (value);
}

static inline void pb_tag(struct qn_strbuf *out, uint32_t field, unsigned wire_type)
{
    pb_varint(out, (uint64_t)field << 3 | wire_type);
}

static inline void pb_number(struct qn_strbuf *out, uint32_t field, uint64_t value)
{
    pb_tag(out, field, 0);
    pb_varint(out, value);
}

static inline void pb_bytes(struct qn_strbuf *out, uint32_t field, const void *bytes, size_t size)
{
    pb_tag(out, field, 2);
    pb_varint(out, size);
    qn_strbuf_add(out, bytes, size);
}

static inline void pb_text(struct qn_strbuf *out, uint32_t field, const char *text)
{
    pb_bytes(out, field, text, strlen(text));
}

/* Puts `inner` into `out` as a message field and releases it. */
static inline void pb_message(struct qn_strbuf *out, uint32_t field, struct qn_strbuf *inner)
{
    pb_bytes(out, field, inner->text, inner->length);
    qn_strbuf_release(inner);
}

#endif
