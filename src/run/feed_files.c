/* SPDX-License-Identifier: Apache-2.0
 * Samples out of files of arrays: .npz, .npy, raw ones or folders of .pb. One file is open at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"
#include "run/feed_source.h"
#include "run/npz.h"

struct files {
    struct qn_source     base;
    struct qn_data_files list;
    struct qn_feed_ports want;
    struct qn_strbuf     later_notes; /* everything worth a note was noted when the files were first looked at */
    size_t               next_file;
    /* The open file. */
    size_t               left; /* samples */
    struct qn_npz       *npz;
    struct qn_npy       *arrays; /* one for each input */
    int                  skip;   /* leading axes that count samples: 1 or 0 */
    bool                 open;
    struct qn_view      *shapes; /* of each input in the first file */
    int64_t             *dims;   /* of these */
};

static void close_file(struct files *files)
{
    for (size_t i = 0; i < files->want.count; i++) qn_npy_close(&files->arrays[i]);
    qn_npz_close(files->npz);
    files->npz = NULL;
    files->open = false;
    files->left = 0;
}

/* ---- opening one file ---- */

static qonnx_status missing_array(struct qn_npz *npz, const char *name, qonnx_error *err)
{
    struct qn_strbuf have;
    size_t           listed = 0;

    qn_strbuf_init(&have);
    for (size_t i = 0; i < qn_npz_count(npz) && listed < 8; i++) {
        const char *other = qn_npz_name(npz, i);
        if (other) qn_strbuf_puts(&have, listed++ ? ", " : "");
        if (other) qn_strbuf_quote(&have, other);
    }
    qn_fail(err, QONNX_E_DATA, "no array '%s' for the model's input of that name; the file holds %s", name,
            listed ? have.text : "no arrays");
    qn_strbuf_release(&have);
    return QONNX_E_DATA;
}

/* The one array of a file, when it has just one: it can only be meant for the one input. */
static bool only_array(struct qn_npz *npz, char *name, size_t size)
{
    size_t found = 0;

    for (size_t i = 0; i < qn_npz_count(npz); i++) {
        const char *other = qn_npz_name(npz, i);
        if (other && ++found == 1) snprintf(name, size, "%s", other);
    }
    return found == 1;
}

static void note_unread(struct files *files, struct qn_npz *npz)
{
    for (size_t i = 0; i < qn_npz_count(npz); i++) {
        const char *name = qn_npz_name(npz, i);
        bool        read = !name;
        for (size_t k = 0; k < files->want.count && !read; k++) read = strcmp(name, files->want.ports[k].name) == 0;
        if (!read) qn_feed_note(files->want.notes, "array '%s' is no input of the model and is not read", name);
    }
}

static qonnx_status open_npz(struct files *files, const char *path, qonnx_error *err)
{
    bool found;

    QN_TRY(qn_npz_open(&files->npz, path, err));
    for (size_t i = 0; i < files->want.count; i++) {
        const char *name = files->want.ports[i].name;
        char        other[256];
        QN_TRY(qn_npz_array(files->npz, name, &files->arrays[i], &found, err));
        if (!found && files->want.count == 1 && only_array(files->npz, other, sizeof other)) {
            qn_feed_note(files->want.notes, "array '%s' is taken for the model's one input '%s'", other, name);
            QN_TRY(qn_npz_array(files->npz, other, &files->arrays[i], &found, err));
            if (found) return QONNX_OK;
        }
        if (!found) return missing_array(files->npz, name, err);
    }
    note_unread(files, files->npz);
    return QONNX_OK;
}

static qonnx_status open_npy(struct files *files, const char *path, qonnx_error *err)
{
    struct qn_stream stream;
    uint64_t         size;

    QN_TRY(qn_stream_open_file(&stream, path, &size, err));
    return qn_npy_open(&files->arrays[0], &stream, size, err);
}

/* A raw file says nothing of itself: its shape is the input's, with a sample axis before it. */
static qonnx_status open_raw(struct files *files, const char *path, qonnx_error *err)
{
    const struct qn_port *port = &files->want.ports[0];
    const int32_t    dtype = !port->dtype || qn_elements_convertible(QN_DOUBLE, port->dtype) ? QN_FLOAT : port->dtype;
    size_t           one = (size_t)qn_dtype_find(dtype)->bits / 8;
    int64_t          dims[QN_MAX_RANK];
    struct qn_stream stream;
    uint64_t         size;

    if (port->rank < 0 || port->rank >= QN_MAX_RANK)
        return qn_fail(err, QONNX_E_DATA,
                       "the model's input '%s' has no declared shape, which raw files need: use .npy", port->name);
    for (int i = 0; i < port->rank; i++) {
        dims[i + 1] = i == 0 && port->dims[i] < 0 ? 1 : port->dims[i];
        if (dims[i + 1] < 0)
            return qn_fail(
                err, QONNX_E_DATA,
                "axis %d of the model's input '%s' may have any size, and a raw file does not say which: use .npy", i,
                port->name);
        if (!dims[i + 1] || __builtin_mul_overflow(one, (size_t)dims[i + 1], &one))
            return qn_fail(err, QONNX_E_DATA, "the model's input '%s' has a shape that cannot be fed", port->name);
    }
    QN_TRY(qn_stream_open_file(&stream, path, &size, err));
    if (size % one) {
        qn_stream_close(&stream);
        return qn_fail(err, QONNX_E_DATA,
                       "holds %" PRIu64
                       " bytes, not a multiple of the %zu that one sample of the model's input '%s' takes in %s",
                       size, one, port->name, qn_dtype_name(dtype));
    }
    dims[0] = (int64_t)(size / one);
    qn_npy_raw(&files->arrays[0], &stream, dtype, port->rank + 1, dims);
    return QONNX_OK;
}

/* Those of one file's samples are all alike. */
static void note_shape(struct files *files, size_t input, int rank, const int64_t *dims)
{
    struct qn_view *shape = &files->shapes[input];
    int64_t        *kept = files->dims + input * QN_MAX_RANK;

    if (!shape->dims) {
        memcpy(kept, dims, (size_t)rank * sizeof *dims);
        *shape = (struct qn_view){ .name = files->want.ports[input].name, .rank = rank, .dims = kept };
        if (input + 1 == files->want.count) files->base.shapes = files->shapes;
    } else if (shape->rank != rank || memcmp(kept, dims, (size_t)rank * sizeof *dims) != 0) {
        files->base.shapes = NULL;
    }
}

/* How many samples the open arrays hold, and that they fit the inputs. */
static qonnx_status fit_arrays(struct files *files, qonnx_error *err)
{
    size_t bytes = 0;

    files->skip = 1;
    if (files->list.kind == QN_FILES_NPY && files->list.folder)
        files->skip = files->want.ports[0].rank >= 0 && files->arrays[0].rank == files->want.ports[0].rank + 1;
    for (size_t i = 0; i < files->want.count; i++) {
        struct qn_npy *array = &files->arrays[i];
        const char    *name = files->want.ports[i].name;
        int64_t        dims[QN_MAX_RANK];
        int32_t        dtype;
        int            rank;
        size_t         samples;
        if (array->rank < files->skip)
            return qn_fail(err, QONNX_E_DATA, "array '%s' is a single number, it has no sample axis", name);
        samples = files->skip ? (size_t)array->dims[0] : 1;
        if (i && samples != files->left)
            return qn_fail(err, QONNX_E_DATA, "array '%s' holds %zu samples, array '%s' holds %zu", name, samples,
                           files->want.ports[0].name, files->left);
        files->left = samples;
        QN_TRY(qn_wrap(err, qn_fit_type(&files->want.ports[i], array->dtype, &dtype, files->want.notes, err),
                       "array '%s'", name));
        QN_TRY(qn_wrap(err,
                       qn_fit_shape(&files->want.ports[i], array->rank - files->skip, array->dims + files->skip, &rank,
                                    dims, files->want.notes, err),
                       "array '%s'", name));
        note_shape(files, i, rank, dims);
        bytes |= qn_npy_row_count(array, files->skip);
    }
    /* A forged header could claim any number of empty samples. */
    return bytes || !files->left ? QONNX_OK : qn_fail(err, QONNX_E_DATA, "its samples have no elements");
}

static qonnx_status open_file(struct files *files, size_t index, qonnx_error *err)
{
    const char  *path = files->list.files[index].path;
    qonnx_status status = QONNX_OK;

    close_file(files);
    files->open = true;
    if (files->list.kind == QN_FILES_PB) {
        for (size_t i = 0; i < files->want.count && status == QONNX_OK; i++)
            status = qn_pb_read(path, i, &files->want, NULL, err);
        files->left = 1;
        return status;
    }
    status = files->list.kind == QN_FILES_NPZ   ? open_npz(files, path, err)
             : files->list.kind == QN_FILES_NPY ? open_npy(files, path, err)
                                                : open_raw(files, path, err);
    if (status == QONNX_OK) status = fit_arrays(files, err);
    if (status != QONNX_OK) qn_wrap(err, status, "%s", path);
    return status;
}

/* ---- reading ---- */

static qonnx_status read_arrays(struct files *files, struct qn_sample *sample, qonnx_error *err)
{
    for (size_t i = 0; i < files->want.count; i++) {
        struct qn_npy        *array = &files->arrays[i];
        const struct qn_port *port = &files->want.ports[i];
        size_t                count = qn_npy_row_count(array, files->skip);
        qonnx_status          status;
        if (sample) {
            int64_t dims[QN_MAX_RANK];
            int32_t dtype;
            int     rank;
            void   *data;
            QN_TRY(qn_fit_type(port, array->dtype, &dtype, files->want.notes, err));
            QN_TRY(qn_fit_shape(port, array->rank - files->skip, array->dims + files->skip, &rank, dims,
                                files->want.notes, err));
            QN_TRY(qn_sample_place(sample, files->want.count, i, port->name, dtype, rank, dims, &data, err));
            status = qn_npy_read(array, data, dtype, count, err);
        } else {
            status = qn_npy_skip(array, count, err);
        }
        if (status == QONNX_OK && files->left == 1) status = qn_npy_at_end(array, err);
        if (status != QONNX_OK) return qn_wrap(err, status, "array '%s'", port->name);
    }
    return QONNX_OK;
}

static qonnx_status read_pbs(struct files *files, struct qn_sample *sample, qonnx_error *err)
{
    for (size_t i = 0; sample && i < files->want.count; i++)
        QN_TRY(qn_pb_read(files->list.files[files->next_file - 1].path, i, &files->want, sample, err));
    return QONNX_OK;
}

static qonnx_status files_next(struct qn_source *source, struct qn_sample *sample, qonnx_error *err)
{
    struct files *files = (struct files *)source;
    qonnx_status  status;

    while (!files->left) {
        size_t expected;
        if (files->next_file == files->list.count) return qn_fail(err, QONNX_E_INTERNAL, "read past the last sample");
        expected = files->list.files[files->next_file].samples;
        QN_TRY(open_file(files, files->next_file, err));
        if (files->left != expected)
            return qn_fail(err, QONNX_E_DATA, "%s: changed while it was in use",
                           files->list.files[files->next_file].path);
        files->next_file++;
    }
    status = files->list.kind == QN_FILES_PB
                 ? read_pbs(files, sample, err)
                 : qn_wrap(err, read_arrays(files, sample, err), "%s", files->list.files[files->next_file - 1].path);
    if (status == QONNX_OK && --files->left == 0) close_file(files);
    return status;
}

static qonnx_status files_rewind(struct qn_source *source, qonnx_error *err)
{
    struct files *files = (struct files *)source;

    (void)err;
    close_file(files);
    files->next_file = 0;
    return QONNX_OK;
}

static void files_close(struct qn_source *source)
{
    struct files *files = (struct files *)source;

    close_file(files);
    qn_data_files_release(&files->list);
    free(files->arrays);
    free(files->shapes);
    free(files->dims);
    qn_strbuf_release(&files->later_notes);
    free(files);
}

/* Looks into every file once: what is wrong with the last one shows before the first one is run. */
static qonnx_status look_into_all(struct files *files, qonnx_error *err)
{
    for (size_t i = 0; i < files->list.count; i++) {
        QN_TRY(open_file(files, i, err));
        files->list.files[i].samples = files->left;
        if (__builtin_add_overflow(files->base.count, files->left, &files->base.count))
            return qn_fail(err, QONNX_E_DATA, "%s: impossible number of samples", files->list.files[i].path);
    }
    close_file(files);
    return QONNX_OK;
}

/* A file is called by its name; of one with several samples also the place in it is told. */
static void files_name(const struct qn_source *source, size_t position, struct qn_strbuf *text)
{
    const struct files *files = (const struct files *)source;
    size_t              i = 0, place = position;

    while (place >= files->list.files[i].samples) place -= files->list.files[i++].samples;
    if (files->list.count == 1) {
        qn_strbuf_printf(text, "sample %zu", position);
    } else {
        qn_strbuf_puts(text, files->list.files[i].path + files->list.prefix);
        if (files->list.files[i].samples > 1) qn_strbuf_printf(text, "[%zu]", place);
    }
}

qonnx_status qn_source_arrays(struct qn_source **source, struct qn_data_files *list, const struct qn_feed_ports *want,
                              qonnx_error *err)
{
    struct files *files = calloc(1, sizeof *files);
    qonnx_status  status = QONNX_OK;

    if (!files || !(files->arrays = calloc(want->count + 1, sizeof *files->arrays))) {
        free(files);
        qn_data_files_release(list);
        return qn_fail_nomem(err);
    }
    files->base =
        (struct qn_source){ .next = files_next, .rewind = files_rewind, .close = files_close, .name = files_name };
    files->list = *list;
    files->want = *want;
    files->shapes = calloc(want->count + 1, sizeof *files->shapes);
    files->dims = calloc((want->count + 1) * QN_MAX_RANK, sizeof *files->dims);
    if (!files->shapes || !files->dims) status = qn_fail_nomem(err);
    qn_strbuf_init(&files->later_notes);
    if (status == QONNX_OK && (list->kind == QN_FILES_NPY || list->kind == QN_FILES_RAW) && want->count != 1)
        status = qn_fail(err, QONNX_E_DATA, "%s: %s files feed models with one input, this one has %zu: use an .npz",
                         list->files[0].path, list->kind == QN_FILES_NPY ? ".npy" : "raw", want->count);
    if (status == QONNX_OK) status = look_into_all(files, err);
    if (status == QONNX_OK && !files->base.count)
        status = qn_fail(err, QONNX_E_DATA, "%s: holds no samples", list->files[0].path);
    if (status != QONNX_OK) {
        files_close(&files->base);
        return status;
    }
    files->want.notes = &files->later_notes;
    *source = &files->base;
    return QONNX_OK;
}
