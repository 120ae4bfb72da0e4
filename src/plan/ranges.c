/* SPDX-License-Identifier: Apache-2.0
 * What all kinds of files have in common, and those that are lines of text. */
#include "plan/ranges.h"

#include <math.h>
#include <string.h>

#include "base/numerals.h"

enum { MOST_TENSORS = 1 << 20, LONGEST_NUMBER = 63 };
#define INT8_CODES 127 /* on either side of zero, as TensorRT and ncnn use them */
#define HEAD "TRT-"    /* of TensorRT's caches */

void qn_ranges_init(struct qn_ranges *ranges)
{
    memset(ranges, 0, sizeof *ranges);
    qn_names_init(&ranges->names, &ranges->arena);
}

void qn_ranges_release(struct qn_ranges *ranges)
{
    qn_arena_release(&ranges->arena);
    memset(ranges, 0, sizeof *ranges);
}

static qonnx_status add(struct qn_ranges *ranges, const char *name, struct qn_given given, qonnx_error *err)
{
    struct qn_named_range *grown;
    const char            *kept;

    if (!*name) return qn_fail(err, QONNX_E_FORMAT, "a tensor has no name");
    if (qn_names_find(&ranges->names, name) != QN_NONE)
        return qn_fail(err, QONNX_E_FORMAT, "'%.200s' is there twice", name);
    if (ranges->count == MOST_TENSORS)
        return qn_fail(err, QONNX_E_FORMAT, "there are more than %d tensors", MOST_TENSORS);
    grown = qn_arena_grow(&ranges->arena, ranges->list, ranges->count, &ranges->room, sizeof *grown);
    kept = qn_arena_strdup(&ranges->arena, name);
    if (!grown || !kept || qn_names_intern(&ranges->names, kept) == QN_NONE) return qn_fail_nomem(err);
    ranges->list = grown;
    grown[ranges->count++] = (struct qn_named_range){ .name = kept, .given = given };
    return QONNX_OK;
}

/* Into *range, as float32. */
static bool is_range(double min, double max, struct qn_range *range)
{
    if (!(min <= max) || !(fabs(min) <= (double)QN_SCALE_MAX) || !(fabs(max) <= (double)QN_SCALE_MAX)) return false;
    *range = (struct qn_range){ (float)min, (float)max };
    return true;
}

qonnx_status qn_ranges_add(struct qn_ranges *ranges, const char *name, double min, double max, qonnx_error *err)
{
    struct qn_given given = { .as = QN_GIVEN_RANGE };

    if (!is_range(min, max, &given.range))
        return qn_fail(err, QONNX_E_FORMAT, "'%.200s': %g … %g is no range", name, min, max);
    return add(ranges, name, given, err);
}

qonnx_status qn_ranges_add_codes(struct qn_ranges *ranges, const char *name, double scale, double offset, double bits,
                                 qonnx_error *err)
{
    struct qn_given given = { .as = QN_GIVEN_CODES };

    if (!(bits >= 2 && bits <= 32) || rint(bits) < bits || rint(bits) > bits)
        return qn_fail(err, QONNX_E_FORMAT, "'%.200s': %g is no width of codes", name, bits);
    if (!(fabs(offset) <= exp2(32)) || rint(offset) < offset || rint(offset) > offset)
        return qn_fail(err, QONNX_E_FORMAT, "'%.200s': %g is no offset", name, offset);
    if (!(scale > 0) || !is_range(scale * offset, scale * (offset + exp2(bits) - 1), &given.range))
        return qn_fail(err, QONNX_E_FORMAT, "'%.200s': %g is no scale", name, scale);
    given.scale = (float)scale;
    given.offset = (int64_t)offset;
    given.bits = (int)bits;
    return add(ranges, name, given, err);
}

qonnx_status qn_ranges_add_channels(struct qn_ranges *ranges, const char *name, qonnx_error *err)
{
    return add(ranges, name, (struct qn_given){ .as = QN_GIVEN_CHANNELS }, err);
}

/* ---- lines ---- */

/* A line, or a part of it, as a text of its own. */
static char *cut(struct qn_ranges *ranges, const char *text, size_t length)
{
    char *copy = qn_arena_alloc(&ranges->arena, length + 1);

    if (copy) memcpy(copy, text, length);
    return copy;
}

typedef qonnx_status line_reader(struct qn_ranges *ranges, char *line, size_t number, qonnx_error *err);

static qonnx_status read_lines(struct qn_ranges *ranges, line_reader *read, const char *text, size_t size,
                               qonnx_error *err)
{
    if (memchr(text, 0, size)) return qn_fail(err, QONNX_E_FORMAT, "this is no text: it contains a NUL byte");
    for (size_t at = 0, number = 1; at < size; number++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t      whole = end ? (size_t)(end - text) - at : size - at, length = whole;
        char       *line;

        while (length && (text[at + length - 1] == '\r' || text[at + length - 1] == ' ')) length--;
        if (!(line = cut(ranges, text + at, length))) return qn_fail_nomem(err);
        if (length) QN_TRY(qn_wrap(err, read(ranges, line, number, err), "line %zu", number));
        at += whole + 1;
    }
    return QONNX_OK;
}

/* Up to eight hexadecimal digits and nothing else. */
static bool hex_of(const char *digits, uint32_t *bits)
{
    static const char all[] = "0123456789abcdef0123456789ABCDEF";
    const size_t      length = strlen(digits);

    if (!length || length > 8 || strspn(digits, all) != length) return false;
    for (*bits = 0; *digits; digits++) *bits = *bits << 4 | (uint32_t)((strchr(all, *digits) - all) & 15);
    return true;
}

static qonnx_status tensorrt_line(struct qn_ranges *ranges, char *line, size_t number, qonnx_error *err)
{
    char    *colon = NULL;
    uint32_t bits;
    float    scale;

    if (number == 1) return QONNX_OK;
    for (char *next = line; (next = strstr(next, ": ")); next++) colon = next; /* names may contain it */
    if (!colon || !hex_of(colon + 2, &bits))
        return qn_fail(err, QONNX_E_FORMAT, "'%.60s' is no name with the digits of a scale", line);
    *colon = 0;
    memcpy(&scale, &bits, sizeof scale);
    if (!bits) return qn_ranges_add(ranges, line, 0, 0, err); /* never anything but zero */
    return qn_ranges_add_codes(ranges, line, (double)scale, -INT8_CODES - 1, 8, err);
}

qonnx_status qn_ranges_read_tensorrt(struct qn_ranges *ranges, const char *text, size_t size, qonnx_error *err)
{
    if (!size) return qn_fail(err, QONNX_E_FORMAT, "the file is empty");
    if (size < sizeof HEAD - 1 || memcmp(text, HEAD, sizeof HEAD - 1) != 0)
        return qn_fail(err, QONNX_E_FORMAT, "line 1: no calibration cache: it does not begin with " HEAD);
    return read_lines(ranges, tensorrt_line, text, size, err);
}

static bool ends_in(const char *text, const char *end)
{
    const size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

static qonnx_status ncnn_line(struct qn_ranges *ranges, char *line, size_t number, qonnx_error *err)
{
    char  *blank = strchr(line, ' '), *end;
    double codes;

    (void)number;
    if (*line == '#') return QONNX_OK;
    if (!blank) return qn_fail(err, QONNX_E_FORMAT, "'%.60s' is no name with a scale", line);
    *blank = 0;
    ranges->weights += ends_in(line, "_param_0");
    if (ends_in(line, "_param_0")) return QONNX_OK;
    codes = strlen(blank + 1) > LONGEST_NUMBER ? NAN : qn_strtod(blank + 1, &end);
    if (!isfinite(codes) || end == blank + 1 || *end || !(codes > 0))
        return qn_fail(err, QONNX_E_FORMAT, "'%.60s': '%.60s' is no scale", line, blank + 1);
    return qn_ranges_add_codes(ranges, line, 1 / codes, -INT8_CODES - 1, 8, err);
}

qonnx_status qn_ranges_read_ncnn(struct qn_ranges *ranges, const char *text, size_t size, qonnx_error *err)
{
    return read_lines(ranges, ncnn_line, text, size, err);
}
