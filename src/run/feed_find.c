/* SPDX-License-Identifier: Apache-2.0
 * Which files a path of data stands for, and what reads them. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "run/feed_source.h"

static const struct kind {
    const char *ends[4];
    const char *plural;  /* what a folder of them holds; NULL: single files only */
    const char *example; /* how such a name looks */
    qonnx_status (*open)(struct qn_source **source, struct qn_data_files *files, const struct qn_feed_ports *want,
                         qonnx_error *err);
} kinds[] = {
    [QN_FILES_NPZ] = { { ".npz" }, ".npz files", ".npz", qn_source_arrays },
    [QN_FILES_NPY] = { { ".npy" }, ".npy files", ".npy", qn_source_arrays },
    [QN_FILES_RAW] = { { ".raw", ".bin" }, ".raw or .bin files", ".raw, .bin", qn_source_arrays },
    [QN_FILES_IMAGES] = { { ".jpg", ".jpeg", ".png" }, "images", ".jpg, .jpeg, .png", qn_source_images },
    [QN_FILES_CSV] = { { ".csv" }, NULL, ".csv", qn_source_csv },
    [QN_FILES_PB] = { { NULL }, "test_data_set_* folders", "test_data_set_*", qn_source_arrays },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);
    return a > b && strcasecmp(text + a - b, end) == 0; /* cameras write IMG_1.JPG */
}

/* KINDS: none. */
static size_t kind_of(const char *name)
{
    for (size_t k = 0; k < KINDS; k++)
        for (size_t i = 0; i < sizeof kinds[k].ends / sizeof *kinds[k].ends && kinds[k].ends[i]; i++)
            if (ends_with(name, kinds[k].ends[i])) return k;
    return KINDS;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

void qn_data_files_release(struct qn_data_files *files)
{
    for (size_t i = 0; i < files->count; i++) free(files->files[i].path);
    free(files->files);
    memset(files, 0, sizeof *files);
}

/* Takes over the path. */
static qonnx_status add(struct qn_data_files *files, char *path, qonnx_error *err)
{
    if (path && files->count == files->capacity) {
        size_t               wanted = files->capacity ? files->capacity * 2 : 16;
        struct qn_data_file *grown = realloc(files->files, wanted * sizeof *grown);
        if (grown) {
            files->files = grown;
            files->capacity = wanted;
        }
    }
    if (!path || files->count == files->capacity) {
        free(path);
        return qn_fail_nomem(err);
    }
    files->files[files->count++] = (struct qn_data_file){ path, 0 };
    return QONNX_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct qn_data_file *)a)->path, ((const struct qn_data_file *)b)->path);
}
static int by_number(const void *a, const void *b)
{
    return strverscmp(((const struct qn_data_file *)a)->path, ((const struct qn_data_file *)b)->path);
}

/* ---- folders ---- */

/* What a folder holds. */
struct contents {
    struct qn_data_files *files;
    char                  first[256]; /* the name that told the kind */
    char                  stranger[256];
    struct qn_data_files  folders;
};

static bool is_test_data(const char *name) { return strncmp(name, "test_data_set_", 14) == 0; }

static qonnx_status add_data(struct contents *contents, char *path, const char *name, size_t kind, qonnx_error *err)
{
    struct qn_data_files *files = contents->files;

    if (files->count && (size_t)files->kind != kind) {
        free(path);
        return qn_fail(err, QONNX_E_DATA, "holds %s and %s ('%.100s', '%.100s'): keep one kind of data in a folder",
                       kinds[files->kind].plural, kinds[kind].plural, contents->first, name);
    }
    if (!files->count) snprintf(contents->first, sizeof contents->first, "%s", name);
    files->kind = (enum qn_files_kind)kind;
    return add(files, path, err);
}

static qonnx_status look_at(struct contents *contents, const char *folder, const char *name, qonnx_error *err)
{
    char  *path = NULL;
    size_t kind = kind_of(name);

    if (*name == '.') return QONNX_OK;
    if (asprintf(&path, "%s/%s", folder, name) < 0) return qn_fail_nomem(err);
    if (is_folder(path)) {
        if (is_test_data(name)) return add_data(contents, path, name, QN_FILES_PB, err);
        return add(&contents->folders, path, err);
    }
    if (kind < KINDS && kinds[kind].plural) return add_data(contents, path, name, kind, err);
    if (!*contents->stranger) snprintf(contents->stranger, sizeof contents->stranger, "%s", name);
    free(path);
    return QONNX_OK;
}

/* Entries come in any order, but which kinds meet first shows in an error only. */
static qonnx_status look_into(struct contents *contents, const char *path, qonnx_error *err)
{
    struct dirent **entries;
    int             count = scandir(path, &entries, NULL, alphasort);
    qonnx_status    status = QONNX_OK;

    if (count < 0) return qn_fail(err, QONNX_E_IO, "%s", strerror(errno));
    for (int i = 0; i < count; i++) {
        if (status == QONNX_OK) status = look_at(contents, path, entries[i]->d_name, err);
        free(entries[i]);
    }
    free(entries);
    return status;
}

/* Folders named for classes hold images, as training data do. */
static qonnx_status look_into_folders(struct contents *contents, qonnx_error *err)
{
    struct contents inner = { .files = contents->files };
    qonnx_status    status = QONNX_OK;

    for (size_t i = 0; i < contents->folders.count && status == QONNX_OK; i++)
        status = qn_wrap(err, look_into(&inner, contents->folders.files[i].path, err), "%s",
                         contents->folders.files[i].path);
    qn_data_files_release(&inner.folders);
    if (status == QONNX_OK && inner.files->count && inner.files->kind != QN_FILES_IMAGES)
        status = qn_fail(err, QONNX_E_DATA, "only images are looked for in folders of the folder; there are %s",
                         kinds[inner.files->kind].plural);
    return status;
}

static qonnx_status nothing_found(const struct contents *contents, qonnx_error *err)
{
    return qn_fail(err, QONNX_E_DATA,
                   "no .npz, .npy, test_data_set_*, image (.jpg, .jpeg, .png) or .raw, .bin in this folder%s%s%s",
                   *contents->stranger ? ", only others like '" : "", contents->stranger,
                   *contents->stranger ? "'" : "");
}

static qonnx_status list_folder(struct qn_data_files *files, const char *path, qonnx_error *err)
{
    struct contents contents = { .files = files };
    char           *first = NULL;
    struct stat     info;
    qonnx_status    status;

    files->folder = true;
    files->prefix = strlen(path) + 1;
    if (asprintf(&first, "%s/input_0.pb", path) < 0) return qn_fail_nomem(err);
    if (stat(first, &info) == 0) {
        free(first);
        files->kind = QN_FILES_PB;
        files->prefix = 0;
        return add(files, strdup(path), err);
    }
    free(first);
    status = look_into(&contents, path, err);
    if (status == QONNX_OK && !files->count) status = look_into_folders(&contents, err);
    if (status == QONNX_OK && !files->count) status = nothing_found(&contents, err);
    if (files->count)
        qsort(files->files, files->count, sizeof *files->files, files->kind == QN_FILES_PB ? by_number : by_name);
    qn_data_files_release(&contents.folders);
    return status;
}

/* ---- all ---- */

static qonnx_status find(struct qn_data_files *files, const char *path, qonnx_error *err)
{
    struct stat info;
    size_t      kind = kind_of(path);
    const char *slash = strrchr(path, '/');

    if (stat(path, &info) != 0) return qn_fail(err, QONNX_E_DATA, "%s", strerror(errno));
    if (S_ISDIR(info.st_mode)) return list_folder(files, path, err);
    if (kind == KINDS)
        return qn_fail(
            err, QONNX_E_DATA,
            "its name does not say what it holds: .npz, .npy, .csv, .raw, .bin, .jpg, .jpeg and .png are known");
    files->kind = (enum qn_files_kind)kind;
    files->prefix = slash ? (size_t)(slash - path) + 1 : 0;
    return add(files, strdup(path), err);
}

qonnx_status qn_data_files_find(struct qn_data_files *files, const char *path, qonnx_error *err)
{
    qonnx_status status;

    memset(files, 0, sizeof *files);
    status = find(files, path, err);
    if (status == QONNX_OK) return QONNX_OK;
    qn_data_files_release(files);
    return qn_wrap(err, status, "%s", path);
}

qonnx_status qn_source_open(struct qn_source **source, const char *path, const struct qn_feed_ports *want,
                            qonnx_error *err)
{
    struct qn_data_files files;

    QN_TRY(qn_data_files_find(&files, path, err));
    if (files.kind != QN_FILES_IMAGES && (want->images->size || want->images->mean || want->images->std)) {
        qn_data_files_release(&files);
        return qn_fail(err, QONNX_E_USAGE, "--image-size, --image-mean and --image-std are for images; %s holds others",
                       path);
    }
    return kinds[files.kind].open(source, &files, want, err);
}
