/* SPDX-License-Identifier: Apache-2.0
 * Growing text. `text` is never NULL and always NUL-terminated. Failure (out of memory, or past the cap of 1 GiB) is
 * sticky, the text then stays as it was. */
#ifndef QN_BASE_STRBUF_H
#define QN_BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct qn_strbuf {
    char  *text;
    size_t length, capacity;
    bool   failed;
};

void qn_strbuf_init(struct qn_strbuf *buf);
void qn_strbuf_release(struct qn_strbuf *buf);
void qn_strbuf_clear(struct qn_strbuf *buf); /* empty, memory kept */
void qn_strbuf_add(struct qn_strbuf *buf, const void *bytes, size_t size);
void qn_strbuf_puts(struct qn_strbuf *buf, const char *text);
void qn_strbuf_printf(struct qn_strbuf *buf, const char *format, ...) QONNX_PRINTF(2, 3);
/* Foreign text between single quotes, control bytes and quotes escaped as \xNN. */
void qn_strbuf_quote(struct qn_strbuf *buf, const char *text);

#endif
