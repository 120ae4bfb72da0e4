/* SPDX-License-Identifier: Apache-2.0 */
#include "run/npz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

struct qn_npz {
    zip_t           *archive;
    struct qn_strbuf name;
};

static ptrdiff_t member_read(void *handle, void *to, size_t size)
{
    size_t got = 0;

    while (got < size) { /* a stored member may give less than asked for */
        zip_int64_t n = zip_fread(handle, (char *)to + got, size - got);
        if (n < 0) return -1;
        if (n == 0) break;
        got += (size_t)n;
    }
    return (ptrdiff_t)got;
}

static void member_close(void *handle) { zip_fclose(handle); }

qonnx_status qn_npz_open(struct qn_npz **result, const char *path, qonnx_error *err)
{
    struct qn_npz *npz = calloc(1, sizeof *npz);
    int            code = 0;

    if (!npz) return qn_fail_nomem(err);
    qn_strbuf_init(&npz->name);
    if (!(npz->archive = zip_open(path, ZIP_RDONLY, &code))) {
        zip_error_t why;
        zip_error_init_with_code(&why, code);
        qn_fail(err, QONNX_E_DATA, "not a readable .npz (zip) file: %s", zip_error_strerror(&why));
        zip_error_fini(&why);
        qn_npz_close(npz);
        return QONNX_E_DATA;
    }
    *result = npz;
    return QONNX_OK;
}

void qn_npz_close(struct qn_npz *npz)
{
    if (!npz) return;
    if (npz->archive) zip_discard(npz->archive);
    qn_strbuf_release(&npz->name);
    free(npz);
}

size_t qn_npz_count(const struct qn_npz *npz)
{
    zip_int64_t count = zip_get_num_entries(npz->archive, 0);
    return count > 0 ? (size_t)count : 0;
}

const char *qn_npz_name(struct qn_npz *npz, size_t i)
{
    const char *name = zip_get_name(npz->archive, i, ZIP_FL_ENC_GUESS);
    size_t      length = name ? strlen(name) : 0;

    if (length < 4 || strcmp(name + length - 4, ".npy") != 0) return NULL;
    qn_strbuf_clear(&npz->name);
    qn_strbuf_add(&npz->name, name, length - 4);
    return npz->name.text;
}

/* A deflated byte stands for at most 1,032: a size beyond that is forged, and no memory is set aside for it. Other methods
 * pack denser, but NumPy does not write them. */
static bool plausible(const zip_stat_t *info)
{
    return !(info->valid & ZIP_STAT_COMP_SIZE) || info->size / 1032 <= info->comp_size;
}

qonnx_status qn_npz_array(struct qn_npz *npz, const char *name, struct qn_npy *array, bool *found, qonnx_error *err)
{
    struct qn_stream stream = { 0 };
    zip_stat_t       info;
    zip_int64_t      at;

    memset(array, 0, sizeof *array);
    qn_strbuf_clear(&npz->name);
    qn_strbuf_printf(&npz->name, "%s.npy", name);
    if (npz->name.failed) return qn_fail_nomem(err);
    at = zip_name_locate(npz->archive, npz->name.text, ZIP_FL_ENC_GUESS);
    *found = at >= 0;
    if (!*found) return QONNX_OK;
    zip_stat_init(&info);
    if (zip_stat_index(npz->archive, (zip_uint64_t)at, 0, &info) != 0 || !(info.valid & ZIP_STAT_SIZE))
        return qn_fail(err, QONNX_E_DATA, "array '%s': damaged archive: %s", name, zip_strerror(npz->archive));
    if (!plausible(&info)) return qn_fail(err, QONNX_E_DATA, "array '%s': damaged archive: impossible size", name);
    if (!(stream.handle = zip_fopen_index(npz->archive, (zip_uint64_t)at, 0)))
        return qn_fail(err, QONNX_E_DATA, "array '%s': %s", name, zip_strerror(npz->archive));
    stream.read = member_read;
    stream.close = member_close;
    return qn_wrap(err, qn_npy_open(array, &stream, info.size, err), "array '%s'", name);
}
