/* SPDX-License-Identifier: Apache-2.0 */
#include "json_out.h"

#include <math.h>
#include <string.h>

#include <qonnx/version.h>

#include "wording.h"

void qn_json_put(struct qn_json *json, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) != 0) json->failed = true;
}

void qn_json_append(struct qn_json *json, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0) json->failed = true;
}

/* Length of the valid UTF-8 character at s, 0 when there is none: no over-long forms, surrogates, or code points past
 * U+10FFFF, the same as jansson accepts. The text ends with a NUL, so a cut character is found by its missing tail. */
static size_t utf8_length(const unsigned char *s)
{
    static const struct {
        unsigned char first, last, low, high; /* of the lead byte; of the byte after it */
        size_t        length;
    } forms[] = {
        { 0x01, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
        { 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };

    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        size_t have = 1;
        if (*s < forms[f].first || *s > forms[f].last) continue;
        if (forms[f].length > 1 && (s[1] < forms[f].low || s[1] > forms[f].high)) return 0;
        while (have < forms[f].length && (s[have] & 0xc0) == 0x80) have++;
        return have == forms[f].length ? have : 0;
    }
    return 0;
}

void qn_put_valid_utf8(struct qn_strbuf *text, const char *bytes)
{
    while (*bytes) {
        size_t length = utf8_length((const unsigned char *)bytes);
        if (length)
            qn_strbuf_add(text, bytes, length);
        else
            qn_strbuf_puts(text, "\xef\xbf\xbd");
        bytes += length ? length : 1;
    }
}

json_t *qn_json_text(const char *text)
{
    struct qn_strbuf valid;
    json_t          *string;

    if (!text) return json_null();
    qn_strbuf_init(&valid);
    qn_put_valid_utf8(&valid, text);
    string = valid.failed ? NULL : json_string(valid.text);
    qn_strbuf_release(&valid);
    return string;
}

/* -0 is written as 0: a sign nobody can use would only make equal files differ. */
json_t *qn_json_real(double value) { return isfinite(value) ? json_real(value == 0 ? 0 : value) : json_null(); }

json_t *qn_json_rounded(double value, int decimals)
{
    double unit = pow(10, decimals);
    return qn_json_real(fabs(value) < 1e12 ? rint(value * unit) / unit : value);
}

json_t *qn_json_uint(uint64_t value) { return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value); }

static json_t *text_of(const char *bytes, size_t length)
{
    struct qn_strbuf copy;
    json_t          *string;

    qn_strbuf_init(&copy);
    qn_strbuf_add(&copy, bytes, length);
    string = copy.failed ? NULL : qn_json_text(copy.text);
    qn_strbuf_release(&copy);
    return string;
}

json_t *qn_json_base_name(const char *path)
{
    size_t      length;
    const char *name = qn_base_name(path, &length);
    return text_of(name, length);
}

json_t *qn_json_lines(const char *text)
{
    json_t        *array = json_array();
    struct qn_json json = { false };

    for (size_t length; *text; text += length + (text[length] == '\n')) {
        length = strcspn(text, "\n");
        if (length) qn_json_append(&json, array, text_of(text, length));
    }
    if (!json.failed) return array;
    json_decref(array);
    return NULL;
}

json_t *qn_json_producer(void) { return json_pack("{s:s, s:s}", "name", "qonnx-quantize", "version", QONNX_VERSION); }

/* ---- writing ---- */

static int add_bytes(const char *bytes, size_t size, void *text)
{
    qn_strbuf_add(text, bytes, size);
    return ((struct qn_strbuf *)text)->failed ? -1 : 0;
}

/* A value on one line. */
static void dump(struct qn_json *json, const json_t *value, struct qn_strbuf *text)
{
    if (json_dump_callback(value, add_bytes, text, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) != 0) json->failed = true;
}

static void write_list(struct qn_json *json, const json_t *list, struct qn_strbuf *text)
{
    if (!json_array_size(list)) {
        qn_strbuf_puts(text, "[]");
        return;
    }
    qn_strbuf_puts(text, "[\n");
    for (size_t i = 0; i < json_array_size(list); i++) {
        qn_strbuf_puts(text, "    ");
        dump(json, json_array_get(list, i), text);
        qn_strbuf_puts(text, i + 1 < json_array_size(list) ? ",\n" : "\n");
    }
    qn_strbuf_puts(text, "  ]");
}

static void write_object(struct qn_json *json, json_t *object, int depth, struct qn_strbuf *text)
{
    const char *key, *separator = "{\n";
    json_t     *value;

    json_object_foreach(object, key, value)
    {
        json_t *name = json_string(key);
        qn_strbuf_printf(text, "%s%*s", separator, 2 * depth + 2, "");
        dump(json, name, text);
        json_decref(name);
        qn_strbuf_puts(text, ": ");
        if (depth == 0 && json_is_array(value))
            write_list(json, value, text);
        else if (depth == 0 && json_object_size(value))
            write_object(json, value, depth + 1, text);
        else
            dump(json, value, text);
        separator = ",\n";
    }
    qn_strbuf_printf(text, "\n%*s}", 2 * depth, "");
}

qonnx_status qn_json_write(struct qn_json *json, json_t *root, struct qn_strbuf *text, qonnx_error *err)
{
    if (root && !json->failed) write_object(json, root, 0, text);
    qn_strbuf_puts(text, "\n");
    if (!root || text->failed) json->failed = true;
    json_decref(root);
    return json->failed ? qn_fail_nomem(err) : QONNX_OK;
}
