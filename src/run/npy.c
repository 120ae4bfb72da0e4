/* SPDX-License-Identifier: Apache-2.0 */
#include "run/npy.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "onnx/dtype.h"

enum { HEADER_MAX = 64 * 1024, CHUNK = 256 * 1024 };

/* ---- streams ---- */

static ptrdiff_t file_read(void *handle, void *to, size_t size)
{
    size_t got = fread(to, 1, size, handle);
    return got < size && ferror((FILE *)handle) ? -1 : (ptrdiff_t)got;
}

static void file_close(void *handle) { fclose(handle); }

qonnx_status qn_stream_open_file(struct qn_stream *stream, const char *path, uint64_t *size, qonnx_error *err)
{
    FILE       *file = fopen(path, "rbe");
    struct stat info;

    if (!file) return qn_fail(err, QONNX_E_IO, "%s: %s", path, strerror(errno));
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
        fclose(file);
        return qn_fail(err, QONNX_E_IO, "%s: not a regular file", path);
    }
    *size = (uint64_t)info.st_size;
    *stream = (struct qn_stream){ file, file_read, file_close };
    return QONNX_OK;
}

void qn_stream_close(struct qn_stream *stream)
{
    if (stream->close) stream->close(stream->handle);
    memset(stream, 0, sizeof *stream);
}

static qonnx_status read_all(struct qn_stream *stream, void *to, size_t size, qonnx_error *err)
{
    ptrdiff_t got = size ? stream->read(stream->handle, to, size) : 0;

    if (got < 0) return qn_fail(err, QONNX_E_DATA, "reading failed: the file is damaged");
    return (size_t)got == size
               ? QONNX_OK
               : qn_fail(err, QONNX_E_DATA, "ends too early: %zu bytes are missing", size - (size_t)got);
}

/* ---- the header: a Python dictionary with three known keys ---- */

struct parser {
    const char *at;
};

static void blanks(struct parser *p)
{
    while (isspace((unsigned char)*p->at)) p->at++;
}

static bool take(struct parser *p, const char *token)
{
    blanks(p);
    if (strncmp(p->at, token, strlen(token)) != 0) return false;
    p->at += strlen(token);
    return true;
}

/* A quoted text without escapes. */
static bool take_text(struct parser *p, char *text, size_t size)
{
    char   quote;
    size_t length = 0;

    blanks(p);
    quote = *p->at;
    if (quote != '\'' && quote != '"') return false;
    for (p->at++; *p->at && *p->at != quote; p->at++) {
        if (*p->at == '\\' || length + 1 >= size) return false;
        text[length++] = *p->at;
    }
    text[length] = 0;
    return *p->at ? (p->at++, true) : false;
}

static bool take_shape(struct parser *p, struct qn_npy *array)
{
    if (!take(p, "(")) return false;
    for (array->rank = 0; !take(p, ")");) {
        char    *end;
        intmax_t value;
        blanks(p);
        if (!isdigit((unsigned char)*p->at) || array->rank >= QN_MAX_RANK) return false;
        errno = 0;
        value = strtoimax(p->at, &end, 10);
        if (errno || value > INT64_MAX) return false;
        p->at = *end == 'L' ? end + 1 : end; /* written by Python 2 */
        array->dims[array->rank++] = value;
        if (take(p, ",")) continue;
        return take(p, ")");
    }
    return true;
}

static bool take_type(struct qn_npy *array, const char *text)
{
    static const struct {
        const char *code;
        int32_t     type;
        size_t      item;
    } types[] = {
        { "f2", QN_FLOAT16, 2 },
        { "f4", QN_FLOAT, 4 },
        { "f8", QN_DOUBLE, 8 },
        { "b1", QN_BOOL, 1 },
        { "i1", QN_INT8, 1 },
        { "i2", ONNX__TENSOR_PROTO__DATA_TYPE__INT16, 2 },
        { "i4", QN_INT32, 4 },
        { "i8", QN_INT64, 8 },
        { "u1", QN_UINT8, 1 },
        { "u2", ONNX__TENSOR_PROTO__DATA_TYPE__UINT16, 2 },
        { "u4", ONNX__TENSOR_PROTO__DATA_TYPE__UINT32, 4 },
        { "u8", ONNX__TENSOR_PROTO__DATA_TYPE__UINT64, 8 },
    };
    const bool little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;

    if (!*text || !strchr("<>|=", *text)) return false;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(text + 1, types[i].code) != 0) continue;
        array->dtype = types[i].type;
        array->item = types[i].item;
        array->swapped = types[i].item > 1 && *text == (little ? '>' : '<');
        return true;
    }
    return false;
}

static qonnx_status parse_header(struct qn_npy *array, const char *text, qonnx_error *err)
{
    struct parser p = { text };
    char          key[32], type[32] = "";
    bool          fortran = false;
    unsigned      seen = 0;

    if (!take(&p, "{")) return qn_fail(err, QONNX_E_DATA, "malformed .npy header");
    while (!take(&p, "}")) {
        if (!take_text(&p, key, sizeof key) || !take(&p, ":"))
            return qn_fail(err, QONNX_E_DATA, "malformed .npy header");
        if (strcmp(key, "descr") == 0) {
            if (!take_text(&p, type, sizeof type))
                return qn_fail(err, QONNX_E_DATA, "has a structured element type; plain numbers are needed");
            seen |= 1;
        } else if (strcmp(key, "fortran_order") == 0) {
            fortran = take(&p, "True");
            if (!fortran && !take(&p, "False"))
                return qn_fail(err, QONNX_E_DATA, "malformed .npy header: fortran_order");
            seen |= 2;
        } else if (strcmp(key, "shape") == 0) {
            if (!take_shape(&p, array)) return qn_fail(err, QONNX_E_DATA, "malformed .npy header: shape");
            seen |= 4;
        } else {
            return qn_fail(err, QONNX_E_DATA, "malformed .npy header: unknown key '%s'", key);
        }
        if (!take(&p, ",") && *p.at != '}') return qn_fail(err, QONNX_E_DATA, "malformed .npy header");
    }
    if (seen != 7) return qn_fail(err, QONNX_E_DATA, "malformed .npy header: a key is missing");
    if (!take_type(array, type))
        return qn_fail(err, QONNX_E_DATA, "has elements of type '%s', which are not plain numbers", type);
    if (fortran && array->rank > 1)
        return qn_fail(err, QONNX_E_DATA, "is stored in Fortran order; save numpy.ascontiguousarray of it");
    return QONNX_OK;
}

static qonnx_status read_header(struct qn_npy *array, uint64_t size, qonnx_error *err)
{
    uint8_t      prefix[12];
    size_t       length, body, prefix_size;
    char        *text;
    qonnx_status status;

    QN_TRY(read_all(&array->stream, prefix, 10, err));
    if (memcmp(prefix, "\x93NUMPY", 6) != 0 || prefix[6] < 1 || prefix[6] > 3)
        return qn_fail(err, QONNX_E_DATA, "not a .npy array of version 1 to 3");
    prefix_size = prefix[6] == 1 ? 10 : 12;
    if (prefix_size == 12) QN_TRY(read_all(&array->stream, prefix + 10, 2, err));
    length = (size_t)prefix[8] | (size_t)prefix[9] << 8;
    if (prefix_size == 12) length |= (size_t)prefix[10] << 16 | (size_t)prefix[11] << 24;
    if (length > HEADER_MAX)
        return qn_fail(err, QONNX_E_DATA, "has a .npy header of %zu bytes, more than %d", length, HEADER_MAX);
    if (!(text = malloc(length + 1))) return qn_fail_nomem(err);
    status = read_all(&array->stream, text, length, err);
    text[status == QONNX_OK ? length : 0] = 0;
    if (status == QONNX_OK) status = parse_header(array, text, err);
    free(text);
    QN_TRY(status);
    body = array->item; /* also without its empty axes the product must fit, so that every part of it does */
    for (int i = 0; i < array->rank; i++)
        if (__builtin_mul_overflow(body, array->dims[i] ? (size_t)array->dims[i] : 1, &body))
            return qn_fail(err, QONNX_E_DATA, "has an impossible shape: its size overflows");
    for (int i = 0; i < array->rank; i++)
        if (!array->dims[i]) body = 0;
    if (body > UINT64_MAX - prefix_size - length || size != prefix_size + length + body)
        return qn_fail(err, QONNX_E_DATA, "holds %" PRIu64 " bytes, its header asks for %zu", size,
                       prefix_size + length + body);
    return QONNX_OK;
}

qonnx_status qn_npy_open(struct qn_npy *array, struct qn_stream *stream, uint64_t size, qonnx_error *err)
{
    qonnx_status status;

    memset(array, 0, sizeof *array);
    array->stream = *stream;
    memset(stream, 0, sizeof *stream);
    status = read_header(array, size, err);
    if (status != QONNX_OK) qn_npy_close(array);
    return status;
}

void qn_npy_raw(struct qn_npy *array, struct qn_stream *stream, int32_t dtype, int rank, const int64_t *dims)
{
    memset(array, 0, sizeof *array);
    array->stream = *stream;
    memset(stream, 0, sizeof *stream);
    array->dtype = dtype;
    array->item = (size_t)qn_dtype_find(dtype)->bits / 8;
    array->swapped = array->item > 1 && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__;
    array->rank = rank;
    memcpy(array->dims, dims, (size_t)rank * sizeof *dims);
}

void qn_npy_close(struct qn_npy *array)
{
    qn_stream_close(&array->stream);
    free(array->scratch);
    memset(array, 0, sizeof *array);
}

/* ---- elements ---- */

size_t qn_npy_row_count(const struct qn_npy *array, int skip)
{
    size_t count = 1;
    for (int i = skip; i < array->rank; i++) count *= (size_t)array->dims[i]; /* fits: the header was checked */
    return count;
}

static void swap_bytes(uint8_t *bytes, size_t count, size_t item)
{
    for (size_t i = 0; i < count; i++, bytes += item)
        for (size_t a = 0, b = item - 1; a < b; a++, b--) {
            uint8_t byte = bytes[a];
            bytes[a] = bytes[b];
            bytes[b] = byte;
        }
}

static qonnx_status use_scratch(struct qn_npy *array, size_t size, qonnx_error *err)
{
    void *grown;

    if (size <= array->scratch_size) return QONNX_OK;
    if (!(grown = realloc(array->scratch, size))) return qn_fail_nomem(err);
    array->scratch = grown;
    array->scratch_size = size;
    return QONNX_OK;
}

/* Converts in pieces, so that the scratch buffer stays small. */
static qonnx_status read_converted(struct qn_npy *array, uint8_t *to, int32_t dtype, size_t count, qonnx_error *err)
{
    size_t item = (size_t)qn_dtype_find(dtype)->bits / 8, at;

    QN_TRY(use_scratch(array, CHUNK, err));
    while (count) {
        size_t n = CHUNK / array->item < count ? CHUNK / array->item : count;
        QN_TRY(read_all(&array->stream, array->scratch, n * array->item, err));
        if (array->swapped) swap_bytes(array->scratch, n, array->item);
        if (!qn_elements_convert(to, dtype, array->scratch, array->dtype, n, &at))
            return qn_fail(err, QONNX_E_DATA, "holds a %s that the model's %s cannot hold",
                           qn_dtype_find(array->dtype)->name, qn_dtype_find(dtype)->name);
        to += n * item;
        count -= n;
    }
    return QONNX_OK;
}

qonnx_status qn_npy_read(struct qn_npy *array, void *to, int32_t dtype, size_t count, qonnx_error *err)
{
    if (dtype != array->dtype) return read_converted(array, to, dtype, count, err);
    QN_TRY(read_all(&array->stream, to, count * array->item, err));
    if (array->swapped) swap_bytes(to, count, array->item);
    return QONNX_OK;
}

qonnx_status qn_npy_skip(struct qn_npy *array, size_t count, qonnx_error *err)
{
    size_t left = count * array->item;

    QN_TRY(use_scratch(array, CHUNK, err));
    while (left) {
        size_t n = left < CHUNK ? left : CHUNK;
        QN_TRY(read_all(&array->stream, array->scratch, n, err));
        left -= n;
    }
    return QONNX_OK;
}

qonnx_status qn_npy_at_end(struct qn_npy *array, qonnx_error *err)
{
    char      byte;
    ptrdiff_t got = array->stream.read(array->stream.handle, &byte, 1);

    if (got < 0) return qn_fail(err, QONNX_E_DATA, "is damaged: its checksum is wrong");
    return got == 0 ? QONNX_OK : qn_fail(err, QONNX_E_DATA, "holds more than its header says");
}

void qn_add_shape(struct qn_strbuf *text, int rank, const int64_t *dims)
{
    qn_strbuf_puts(text, "[");
    for (int i = 0; i < rank; i++) {
        if (i) qn_strbuf_puts(text, ",");
        if (dims[i] < 0)
            qn_strbuf_puts(text, "?");
        else
            qn_strbuf_printf(text, "%" PRId64, dims[i]);
    }
    qn_strbuf_puts(text, "]");
}
