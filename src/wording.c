/* SPDX-License-Identifier: Apache-2.0 */
#include "wording.h"

#include <inttypes.h>
#include <string.h>

static void put_foreign(struct qn_strbuf *text, const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)name[i];
        qn_strbuf_add(text, c < 0x20 || c == 0x7f ? "?" : name + i, 1);
    }
}

void qn_put_foreign(struct qn_strbuf *text, const char *name) { put_foreign(text, name, strlen(name)); }

const char *qn_base_name(const char *path, size_t *length)
{
    size_t end = strlen(path), start;

    while (end > 1 && path[end - 1] == '/') end--;
    for (start = end; start > 0 && path[start - 1] != '/';) start--;
    *length = end - start;
    return path + start;
}

void qn_put_base_name(struct qn_strbuf *text, const char *path)
{
    size_t      length;
    const char *name = qn_base_name(path, &length);
    put_foreign(text, name, length);
}

void qn_put_size(struct qn_strbuf *text, uint64_t bytes)
{
    static const char *const units[] = { "kB", "MB", "GB" };
    double                   value = (double)bytes / 1e3;
    size_t                   unit = 0;

    if (bytes < 1000) {
        qn_strbuf_printf(text, "%" PRIu64 " bytes", bytes);
        return;
    }
    while (value >= 999.5 && unit + 1 < sizeof units / sizeof *units) value /= 1e3, unit++;
    qn_strbuf_printf(text, "%.*f %s", value < 99.95 ? 1 : 0, value, units[unit]);
}

const char *qn_plural(uint64_t n) { return n == 1 ? "" : "s"; }
