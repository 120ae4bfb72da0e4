/* SPDX-License-Identifier: Apache-2.0
 * A folder for the files of one test. */
#ifndef QN_TESTS_SCRATCH_H
#define QN_TESTS_SCRATCH_H

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmocka_all.h"

struct scratch {
    char folder[200];
    char path[8][512]; /* of scratch_path(), used in turn */
    int  next;
};

static inline void scratch_open(struct scratch *scratch)
{
    const char *base = getenv("TMPDIR");

    memset(scratch, 0, sizeof *scratch);
    snprintf(scratch->folder, sizeof scratch->folder, "%s/qonnx-test-XXXXXX", base && *base ? base : "/tmp");
    assert_non_null(mkdtemp(scratch->folder));
}

/* FOLDER/name; valid for seven further calls. */
static inline const char *scratch_path(struct scratch *scratch, const char *name)
{
    char  *path = scratch->path[scratch->next++ % 8];
    size_t folder = strlen(scratch->folder), length = strlen(name);

    assert_true(folder + 1 + length < sizeof scratch->path[0]);
    memcpy(path, scratch->folder, folder);
    path[folder] = '/';
    memcpy(path + folder + 1, name, length + 1);
    return path;
}

static inline const char *scratch_write(struct scratch *scratch, const char *name, const void *bytes, size_t size)
{
    const char *path = scratch_path(scratch, name);
    FILE       *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    return path;
}

/* All of a file, with a NUL behind it; the caller frees it. */
static inline char *scratch_read(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes;
    long  length;

    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    length = ftell(file);
    assert_true(length >= 0);
    rewind(file);
    bytes = malloc((size_t)length + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)length, file), (size_t)length);
    fclose(file);
    bytes[length] = 0;
    if (size) *size = (size_t)length;
    return bytes;
}

static inline void assert_file_is(const char *path, const void *bytes, size_t size)
{
    size_t have;
    char  *found = scratch_read(path, &have);

    assert_int_equal(have, size);
    assert_memory_equal(found, bytes, size);
    free(found);
}

/* Entries of the folder, so that a left-over temporary is seen. */
static inline size_t scratch_count(const struct scratch *scratch)
{
    DIR   *folder = opendir(scratch->folder);
    size_t count = 0;

    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) count++;
    closedir(folder);
    return count;
}

static inline int scratch_remove_one(const char *path, const struct stat *info, int type, struct FTW *where)
{
    (void)info, (void)type, (void)where;
    return remove(path);
}

static inline void scratch_close(struct scratch *scratch)
{
    assert_int_equal(nftw(scratch->folder, scratch_remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

#endif
