/* SPDX-License-Identifier: Apache-2.0
 * Writes .npy and .npz files for tests. */
#ifndef QN_TESTS_NPY_FILES_H
#define QN_TESTS_NPY_FILES_H

#include <zip.h>

#include "scratch.h"

struct npy_bytes {
    char   bytes[1 << 16];
    size_t size;
};

/* An array as NumPy writes it: descr "<f4", shape "(2, 3)". */
static inline struct npy_bytes *npy_make(const char *descr, const char *shape, const void *data, size_t size)
{
    struct npy_bytes *npy = calloc(1, sizeof *npy);
    int               length;

    assert_non_null(npy);
    assert_true(size < sizeof npy->bytes - 256);
    memcpy(npy->bytes, "\x93NUMPY\1\0", 8);
    length = snprintf(npy->bytes + 10, 200, "{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, shape);
    while ((length + 11) % 64) npy->bytes[10 + length++] = ' ';
    npy->bytes[10 + length++] = '\n';
    npy->bytes[8] = (char)(length & 255);
    npy->bytes[9] = (char)(length >> 8);
    if (size) memcpy(npy->bytes + 10 + length, data, size);
    npy->size = 10 + (size_t)length + size;
    return npy;
}

static inline const char *npy_write(struct scratch *scratch, const char *name, const char *descr, const char *shape,
                                    const void *data, size_t size)
{
    struct npy_bytes *npy = npy_make(descr, shape, data, size);
    const char       *path = scratch_write(scratch, name, npy->bytes, npy->size);

    free(npy);
    return path;
}

struct npz_member {
    const char       *name; /* "x.npy" */
    struct npy_bytes *npy;  /* freed by npz_write */
};

static inline const char *npz_write(struct scratch *scratch, const char *name, const struct npz_member *members,
                                    size_t count)
{
    const char *path = scratch_path(scratch, name);
    zip_t      *zip = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, NULL);

    assert_non_null(zip);
    for (size_t i = 0; i < count; i++) {
        zip_source_t *source = zip_source_buffer(zip, members[i].npy->bytes, members[i].npy->size, 0);
        zip_int64_t   at;
        assert_non_null(source);
        assert_true((at = zip_file_add(zip, members[i].name, source, ZIP_FL_OVERWRITE)) >= 0);
        assert_int_equal(zip_set_file_compression(zip, (zip_uint64_t)at, i % 2 ? ZIP_CM_STORE : ZIP_CM_DEFLATE, 0), 0);
    }
    assert_int_equal(zip_close(zip), 0);
    for (size_t i = 0; i < count; i++) free(members[i].npy);
    return path;
}

#endif
