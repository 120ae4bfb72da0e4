/* SPDX-License-Identifier: Apache-2.0
 * Samples out of a list of files: .npz, .npy or folders of .pb. One file is open at a time. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "run/feed_source.h"
#include "run/npz.h"

enum kind { KIND_NPZ, KIND_NPY, KIND_PB };

struct file {
    char  *path;
    size_t samples;
};

struct files {
    struct qn_source     base;
    struct qn_feed_ports want;
    struct qn_strbuf     later_notes; /* everything worth a note was noted when the files were first looked at */
    enum kind            kind;
    bool                 folder;
    struct file         *files;
    size_t               file_count, capacity, next_file;
    /* The open file. */
    size_t               left; /* samples */
    struct qn_npz       *npz;
    struct qn_npy       *arrays; /* one for each input */
    int                  skip;   /* leading axes that count samples: 1 or 0 */
    bool                 open;
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

/* How many samples the open arrays hold, and that they fit the inputs. */
static qonnx_status fit_arrays(struct files *files, qonnx_error *err)
{
    size_t bytes = 0;

    files->skip = 1;
    if (files->kind == KIND_NPY && files->folder)
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
        bytes |= qn_npy_row_count(array, files->skip);
    }
    /* A forged header could claim any number of empty samples. */
    return bytes || !files->left ? QONNX_OK : qn_fail(err, QONNX_E_DATA, "its samples have no elements");
}

static qonnx_status open_file(struct files *files, size_t index, qonnx_error *err)
{
    const char  *path = files->files[index].path;
    qonnx_status status = QONNX_OK;

    close_file(files);
    files->open = true;
    if (files->kind == KIND_PB) {
        for (size_t i = 0; i < files->want.count && status == QONNX_OK; i++)
            status = qn_pb_read(path, i, &files->want, NULL, err);
        files->left = 1;
        return status;
    }
    status = files->kind == KIND_NPZ ? open_npz(files, path, err) : open_npy(files, path, err);
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
        QN_TRY(qn_pb_read(files->files[files->next_file - 1].path, i, &files->want, sample, err));
    return QONNX_OK;
}

static qonnx_status files_next(struct qn_source *source, struct qn_sample *sample, qonnx_error *err)
{
    struct files *files = (struct files *)source;
    qonnx_status  status;

    while (!files->left) {
        size_t expected;
        if (files->next_file == files->file_count) return qn_fail(err, QONNX_E_INTERNAL, "read past the last sample");
        expected = files->files[files->next_file].samples;
        QN_TRY(open_file(files, files->next_file, err));
        if (files->left != expected)
            return qn_fail(err, QONNX_E_DATA, "%s: changed while it was in use", files->files[files->next_file].path);
        files->next_file++;
    }
    status = files->kind == KIND_PB
                 ? read_pbs(files, sample, err)
                 : qn_wrap(err, read_arrays(files, sample, err), "%s", files->files[files->next_file - 1].path);
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
    for (size_t i = 0; i < files->file_count; i++) free(files->files[i].path);
    free(files->files);
    free(files->arrays);
    qn_strbuf_release(&files->later_notes);
    free(files);
}

/* ---- finding the files ---- */

static qonnx_status add_file(struct files *files, const char *folder, const char *name, qonnx_error *err)
{
    char *path = NULL;

    if (files->file_count == files->capacity) {
        size_t       wanted = files->capacity ? files->capacity * 2 : 16;
        struct file *grown = realloc(files->files, wanted * sizeof *grown);
        if (!grown) return qn_fail_nomem(err);
        files->files = grown;
        files->capacity = wanted;
    }
    if (asprintf(&path, "%s%s%s", folder, *folder ? "/" : "", name) < 0) return qn_fail_nomem(err);
    files->files[files->file_count++] = (struct file){ path, 0 };
    return QONNX_OK;
}

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a > b && strcmp(text + a - b, end) == 0;
}

static bool of_kind(enum kind kind, const char *name)
{
    if (*name == '.') return false;
    return kind == KIND_NPZ   ? ends_with(name, ".npz")
           : kind == KIND_NPY ? ends_with(name, ".npy")
                              : !strncmp(name, "test_data_set_", 14);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}
static int by_number(const void *a, const void *b)
{
    return strverscmp(((const struct file *)a)->path, ((const struct file *)b)->path);
}

/* Adds the folder's files of one kind. */
static qonnx_status list_kind(struct files *files, const char *path, enum kind kind, qonnx_error *err)
{
    DIR           *folder = opendir(path);
    struct dirent *entry;
    qonnx_status   status = QONNX_OK;

    if (!folder) return qn_fail(err, QONNX_E_IO, "%s: %s", path, strerror(errno));
    while (status == QONNX_OK && (entry = readdir(folder)))
        if (of_kind(kind, entry->d_name)) status = add_file(files, path, entry->d_name, err);
    closedir(folder);
    if (files->file_count)
        qsort(files->files, files->file_count, sizeof *files->files, kind == KIND_PB ? by_number : by_name);
    files->kind = kind;
    return status;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static qonnx_status list_folder(struct files *files, const char *path, qonnx_error *err)
{
    char first[4096];

    files->folder = true;
    if (snprintf(first, sizeof first, "%s/input_0.pb", path) < (int)sizeof first) {
        struct stat info;
        files->kind = KIND_PB;
        if (stat(first, &info) == 0) return add_file(files, "", path, err);
    }
    for (enum kind kind = KIND_NPZ; kind <= KIND_PB && !files->file_count; kind++)
        QN_TRY(list_kind(files, path, kind, err));
    if (files->file_count) return QONNX_OK;
    return qn_fail(err, QONNX_E_DATA, "%s: no .npz, .npy or test_data_set_* in this folder", path);
}

static qonnx_status list_files(struct files *files, const char *path, qonnx_error *err)
{
    struct stat info;

    if (stat(path, &info) != 0) return qn_fail(err, QONNX_E_DATA, "%s: %s", path, strerror(errno));
    if (is_folder(path)) return list_folder(files, path, err);
    files->kind = ends_with(path, ".npy") ? KIND_NPY : KIND_NPZ;
    return add_file(files, "", path, err);
}

/* Looks into every file once: what is wrong with the last one shows before the first one is run. */
static qonnx_status look_into_all(struct files *files, qonnx_error *err)
{
    for (size_t i = 0; i < files->file_count; i++) {
        QN_TRY(open_file(files, i, err));
        files->files[i].samples = files->left;
        if (__builtin_add_overflow(files->base.count, files->left, &files->base.count))
            return qn_fail(err, QONNX_E_DATA, "%s: impossible number of samples", files->files[i].path);
    }
    close_file(files);
    return QONNX_OK;
}

qonnx_status qn_source_open_files(struct qn_source **source, const char *path, const struct qn_feed_ports *want,
                                  qonnx_error *err)
{
    struct files *files = calloc(1, sizeof *files);
    qonnx_status  status;

    if (!files || !(files->arrays = calloc(want->count + 1, sizeof *files->arrays))) {
        free(files);
        return qn_fail_nomem(err);
    }
    files->base.next = files_next;
    files->base.rewind = files_rewind;
    files->base.close = files_close;
    files->want = *want;
    qn_strbuf_init(&files->later_notes);
    status = list_files(files, path, err);
    if (status == QONNX_OK && files->kind == KIND_NPY && want->count != 1)
        status = qn_fail(err, QONNX_E_DATA, "%s: .npy files feed models with one input, this one has %zu: use an .npz",
                         path, want->count);
    if (status == QONNX_OK) status = look_into_all(files, err);
    if (status == QONNX_OK && !files->base.count) status = qn_fail(err, QONNX_E_DATA, "%s: holds no samples", path);
    if (status != QONNX_OK) {
        files_close(&files->base);
        return status;
    }
    files->want.notes = &files->later_notes;
    *source = &files->base;
    return QONNX_OK;
}
