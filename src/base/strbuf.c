/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strbuf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numerals.h"

enum { CAP = 1 << 30 };

static char empty[1];

void qn_strbuf_init(struct qn_strbuf *buf)
{
    memset(buf, 0, sizeof *buf);
    buf->text = empty;
}

void qn_strbuf_release(struct qn_strbuf *buf)
{
    if (buf->capacity) free(buf->text);
    qn_strbuf_init(buf);
}

void qn_strbuf_clear(struct qn_strbuf *buf)
{
    buf->length = 0;
    buf->failed = false;
    if (buf->capacity) buf->text[0] = 0;
}

static bool reserve(struct qn_strbuf *buf, size_t more)
{
    size_t wanted = buf->capacity ? buf->capacity : 64;
    char  *grown;

    if (buf->failed || more > CAP - buf->length - 1) return !(buf->failed = true);
    if (buf->length + more < buf->capacity) return true;
    while (wanted <= buf->length + more) wanted *= 2;
    grown = realloc(buf->capacity ? buf->text : NULL, wanted);
    if (!grown) return !(buf->failed = true);
    buf->text = grown;
    buf->capacity = wanted;
    return true;
}

void qn_strbuf_add(struct qn_strbuf *buf, const void *bytes, size_t size)
{
    if (!reserve(buf, size)) return;
    if (size) memcpy(buf->text + buf->length, bytes, size);
    buf->length += size;
    buf->text[buf->length] = 0;
}

void qn_strbuf_puts(struct qn_strbuf *buf, const char *text) { qn_strbuf_add(buf, text, strlen(text)); }

void qn_strbuf_printf(struct qn_strbuf *buf, const char *format, ...)
{
    va_list args;
    int     size;

    va_start(args, format);
    size = qn_vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0 || !reserve(buf, (size_t)size)) return;
    va_start(args, format);
    qn_vsnprintf(buf->text + buf->length, (size_t)size + 1, format, args);
    va_end(args);
    buf->length += (size_t)size;
}

void qn_strbuf_quote(struct qn_strbuf *buf, const char *text)
{
    qn_strbuf_puts(buf, "'");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < 0x20 || c == 0x7f || c == '\'' || c == '\\')
            qn_strbuf_printf(buf, "\\x%02x", c);
        else
            qn_strbuf_add(buf, text, 1);
    }
    qn_strbuf_puts(buf, "'");
}
