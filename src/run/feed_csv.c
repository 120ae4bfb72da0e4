/* SPDX-License-Identifier: Apache-2.0
 * Samples out of a table of numbers: one in each line. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numerals.h"
#include "onnx/dtype.h"
#include "run/csv.h"
#include "run/feed_source.h"
#include "run/npy.h"

enum { NOBODY = -1 };

struct input {
    size_t  columns; /* elements of a sample */
    int32_t dtype;
    int     rank;
    int64_t dims[QN_MAX_RANK];
    void   *data; /* of the sample being read; NULL: it is only checked */
    size_t  next;
};

struct csv {
    struct qn_source     base;
    struct qn_data_files files;
    struct qn_feed_ports want;
    struct qn_csv        table;
    bool                 header;
    size_t               columns;
    int                 *owners; /* of each column: an input, or NOBODY */
    struct input        *inputs;
};

/* ---- whose columns they are ---- */

/* "x", or "x[3]", "x.3", "x_3" with the number in *element. */
static bool belongs(const char *column, const char *input, int64_t *element)
{
    size_t      length = strlen(input);
    const char *rest = column + length;
    char       *end;

    *element = -1;
    if (strncmp(column, input, length) != 0) return false;
    if (!*rest) return true;
    if (!strchr("[._", *rest) || rest[1] < '0' || rest[1] > '9') return false;
    errno = 0;
    *element = strtoll(rest + 1, &end, 10);
    return !errno && (*rest == '[' ? end[0] == ']' && !end[1] : !*end);
}

/* An exact name goes before one with a number. */
static int find_owner(const struct csv *csv, const char *column, int64_t *element)
{
    int found = NOBODY;

    for (size_t i = 0; i < csv->want.count; i++) {
        int64_t number;
        if (!belongs(column, csv->want.ports[i].name, &number)) continue;
        if (found != NOBODY && number >= 0) continue;
        found = (int)i;
        *element = number;
        if (number < 0) break;
    }
    return found;
}

static qonnx_status match_names(struct csv *csv, size_t *matched, const char **stranger, qonnx_error *err)
{
    int64_t *last = calloc(csv->want.count, sizeof *last);

    if (!last) return qn_fail_nomem(err);
    for (size_t i = 0; i < csv->want.count; i++) last[i] = -1;
    for (size_t c = 0; c < csv->columns; c++) {
        int64_t element = -1;
        int     owner = csv->owners[c] = find_owner(csv, csv->table.cells[c], &element);
        if (owner == NOBODY && !*stranger) *stranger = csv->table.cells[c];
        if (owner == NOBODY) continue;
        ++*matched;
        if (element >= 0 && element <= last[owner]) {
            qn_fail(err, QONNX_E_DATA, "column '%.100s' stands behind a later one of the same input",
                    csv->table.cells[c]);
            free(last);
            return QONNX_E_DATA;
        }
        last[owner] = element;
    }
    free(last);
    return QONNX_OK;
}

static qonnx_status find_owners(struct csv *csv, qonnx_error *err)
{
    const char *stranger = NULL;
    size_t      matched = 0;

    if (csv->header) QN_TRY(match_names(csv, &matched, &stranger, err));
    if (!matched && csv->want.count > 1)
        return qn_fail(
            err, QONNX_E_DATA,
            "the model has %zu inputs: the first line has to name their columns, as in %.60s[0],%.60s[1],%.60s[0]",
            csv->want.count, csv->want.ports[0].name, csv->want.ports[0].name, csv->want.ports[1].name);
    if (matched && stranger)
        qn_feed_note(csv->want.notes, "%zu column%s no input of the model and not read: '%.100s'%s",
                     csv->columns - matched, csv->columns - matched == 1 ? " is" : "s are", stranger,
                     csv->columns - matched == 1 ? "" : ", ...");
    for (size_t c = 0; c < csv->columns; c++) {
        if (!matched) csv->owners[c] = 0; /* names of one's own */
        if (csv->owners[c] != NOBODY) csv->inputs[csv->owners[c]].columns++;
    }
    return QONNX_OK;
}

/* The shape that so many elements have in the input. */
static qonnx_status shape(struct input *input, const struct qn_port *port, qonnx_error *err)
{
    struct qn_strbuf text;
    size_t           known = 1;
    int              open = -1;
    bool             good = true;

    input->dtype = port->dtype ? port->dtype : QN_FLOAT;
    if (!qn_elements_convertible(QN_INT64, input->dtype))
        return qn_fail(err, QONNX_E_DATA, "the model's input '%.100s' takes %s, which is not written as numbers",
                       port->name, qn_dtype_name(input->dtype));
    input->rank = port->rank < 0 ? 2 : port->rank;
    for (int i = 0; i < input->rank && good; i++) {
        int64_t size = port->rank < 0 ? -1 : port->dims[i];
        if (size < 0 && i == 0 && input->rank > 1) size = 1;
        good = size >= 0 ? !__builtin_mul_overflow(known, (size_t)size, &known) : open < 0;
        if (size < 0) open = i;
        input->dims[i] = size;
    }
    if (good && open >= 0) {
        good = known && input->columns % known == 0;
        input->dims[open] = good ? (int64_t)(input->columns / known) : 0;
    } else {
        good = good && known == input->columns;
    }
    if (good && input->columns) return QONNX_OK;
    qn_strbuf_init(&text);
    qn_add_shape(&text, port->rank < 0 ? 0 : port->rank, port->dims);
    qn_fail(err, QONNX_E_DATA, "has %zu column%s for the model's input '%.100s', which takes %s%s", input->columns,
            input->columns == 1 ? "" : "s", port->name, text.text,
            input->columns && good ? ""
                                   : ": a first line with names says which columns are whose (INPUT[0],INPUT[1],...)");
    qn_strbuf_release(&text);
    return QONNX_E_DATA;
}

/* ---- numbers ---- */

static bool store(const struct input *input, size_t at, const char *cell)
{
    const struct qn_dtype *row = qn_dtype_find(input->dtype);
    uint8_t                checked[sizeof(double)];
    void                  *to = input->data ? (uint8_t *)input->data + at * (size_t)row->bits / 8 : checked;
    const bool             real = qn_elements_convertible(QN_DOUBLE, input->dtype);
    double                 value;
    int64_t                whole;
    char                  *end;
    size_t                 unused;

    if (real) {
        value = qn_strtod(cell, &end);
        return qn_elements_convert(to, input->dtype, &value, QN_DOUBLE, 1, &unused);
    }
    errno = 0;
    whole = strtoll(cell, &end, 10);
    if (*end || errno) { /* 3.0, or 1e3 */
        value = qn_strtod(cell, &end);
        if (!(fabs(value) <= 0x1p53) || value != rint(value)) return false;
        whole = (int64_t)value;
    }
    return qn_elements_convert(to, input->dtype, &whole, QN_INT64, 1, &unused);
}

/* The line's cells to the inputs' data, if these are set. */
static qonnx_status take_row(struct csv *csv, qonnx_error *err)
{
    const struct qn_csv *table = &csv->table;

    if (table->count != csv->columns)
        return qn_fail(err, QONNX_E_DATA, "line %zu has another number of columns (%zu) than the lines before it (%zu)",
                       table->number, table->count, csv->columns);
    for (size_t i = 0; i < csv->want.count; i++) csv->inputs[i].next = 0;
    for (size_t c = 0; c < csv->columns; c++) {
        struct input *input = csv->owners[c] == NOBODY ? NULL : &csv->inputs[csv->owners[c]];
        if (!input) continue;
        if (!qn_csv_is_number(table->cells[c]))
            return qn_fail(err, QONNX_E_DATA, "line %zu, column %zu: '%.60s' is not a number", table->number, c + 1,
                           table->cells[c]);
        if (!store(input, input->next++, table->cells[c]))
            return qn_fail(err, QONNX_E_DATA,
                           "line %zu, column %zu: the model's input takes %s, which does not hold %.60s", table->number,
                           c + 1, qn_dtype_name(input->dtype), table->cells[c]);
    }
    return QONNX_OK;
}

/* ---- the source ---- */

static qonnx_status start(struct csv *csv, qonnx_error *err)
{
    bool done;

    qn_csv_rewind(&csv->table);
    return csv->header ? qn_csv_next(&csv->table, &done, err) : QONNX_OK;
}

static qonnx_status next_of(struct csv *csv, struct qn_sample *sample, qonnx_error *err)
{
    bool done;

    QN_TRY(qn_csv_next(&csv->table, &done, err));
    if (done) return qn_fail(err, QONNX_E_DATA, "changed while it was in use");
    if (!sample) return QONNX_OK;
    for (size_t i = 0; i < csv->want.count; i++) {
        struct input *input = &csv->inputs[i];
        QN_TRY(qn_sample_place(sample, csv->want.count, i, csv->want.ports[i].name, input->dtype, input->rank,
                               input->dims, &input->data, err));
    }
    return take_row(csv, err);
}

static qonnx_status csv_next(struct qn_source *source, struct qn_sample *sample, qonnx_error *err)
{
    struct csv *csv = (struct csv *)source;
    return qn_wrap(err, next_of(csv, sample, err), "%s", csv->files.files[0].path);
}

static qonnx_status csv_rewind(struct qn_source *source, qonnx_error *err)
{
    struct csv *csv = (struct csv *)source;
    return qn_wrap(err, start(csv, err), "%s", csv->files.files[0].path);
}

static void csv_name(const struct qn_source *source, size_t position, struct qn_strbuf *text)
{
    (void)source;
    qn_strbuf_printf(text, "row %zu", position + 1);
}

static void csv_close(struct qn_source *source)
{
    struct csv *csv = (struct csv *)source;

    qn_csv_close(&csv->table);
    free(csv->owners);
    free(csv->inputs);
    qn_data_files_release(&csv->files);
    free(csv);
}

static qonnx_status read_first_line(struct csv *csv, qonnx_error *err)
{
    bool done;

    QN_TRY(qn_csv_next(&csv->table, &done, err));
    if (done) return qn_fail(err, QONNX_E_DATA, "holds no samples");
    csv->columns = csv->table.count;
    for (size_t c = 0; c < csv->columns && !csv->header; c++) csv->header = !qn_csv_is_number(csv->table.cells[c]);
    if (!(csv->owners = calloc(csv->columns, sizeof *csv->owners))) return qn_fail_nomem(err);
    QN_TRY(find_owners(csv, err));
    for (size_t i = 0; i < csv->want.count; i++) {
        if (!csv->inputs[i].columns)
            return qn_fail(err, QONNX_E_DATA, "no column '%.100s' for the model's input of that name",
                           csv->want.ports[i].name);
        QN_TRY(shape(&csv->inputs[i], &csv->want.ports[i], err));
    }
    return QONNX_OK;
}

/* Every line is looked at: what is wrong with the last one shows before the first one is run. */
static qonnx_status open_csv(struct csv *csv, const char *path, qonnx_error *err)
{
    bool done = false;

    QN_TRY(qn_csv_open(&csv->table, path, err));
    QN_TRY(read_first_line(csv, err));
    if (!csv->header) {
        QN_TRY(take_row(csv, err));
        csv->base.count++;
    }
    for (;;) {
        QN_TRY(qn_csv_next(&csv->table, &done, err));
        if (done) break;
        QN_TRY(take_row(csv, err));
        csv->base.count++;
    }
    if (!csv->base.count) return qn_fail(err, QONNX_E_DATA, "holds no samples");
    return start(csv, err);
}

qonnx_status qn_source_csv(struct qn_source **source, struct qn_data_files *files, const struct qn_feed_ports *want,
                           qonnx_error *err)
{
    struct csv  *csv = calloc(1, sizeof *csv);
    qonnx_status status;

    if (!csv) {
        qn_data_files_release(files);
        return qn_fail_nomem(err);
    }
    csv->base = (struct qn_source){ .next = csv_next, .rewind = csv_rewind, .close = csv_close, .name = csv_name };
    csv->files = *files;
    csv->want = *want;
    csv->inputs = calloc(want->count, sizeof *csv->inputs);
    status = csv->inputs ? open_csv(csv, files->files[0].path, err) : qn_fail_nomem(err);
    if (status == QONNX_OK)
        *source = &csv->base;
    else
        status = qn_wrap(err, status, "%s", files->files[0].path);
    if (status != QONNX_OK) csv_close(&csv->base);
    return status;
}
