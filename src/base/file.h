/* SPDX-License-Identifier: Apache-2.0
 * Files: reading through a map, writing so that the target is the whole new file or the untouched old one. */
#ifndef QN_BASE_FILE_H
#define QN_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/status.h"

/* A file's bytes. `data` is valid for `size` bytes until release; an empty file has size 0 and a non-NULL data. */
struct qn_map {
    const uint8_t *data;
    size_t         size;
    bool           mapped; /* a private read-only map; otherwise an owned copy */
    dev_t          device;
    ino_t          inode;
};

/* Opens a regular file ("is a directory", "no such file" … are one clear error with the path). With copy, or when the
 * file cannot be mapped, the bytes are read into memory instead. */
QONNX_MUST_CHECK qonnx_status qn_map_open(struct qn_map *map, const char *path, bool copy, qonnx_error *err);
void qn_map_release(struct qn_map *map); /* a zeroed struct may be released */
/* Tells the system that a span is not needed again soon; its pages leave this process' resident memory. */
void qn_map_drop(const struct qn_map *map, const void *start, size_t size);
/* True when p lies inside the map. */
bool qn_map_contains(const struct qn_map *map, const void *p);

/* Digests of a stream of bytes, as lower-case hex. */
struct qn_digest {
    char xxh3_128[33];
    char sha256[65]; /* empty when not asked for */
};
struct qn_hasher;
QONNX_MUST_CHECK struct qn_hasher *qn_hasher_new(bool sha256); /* NULL: out of memory */
void qn_hasher_add(struct qn_hasher *hasher, const void *bytes, size_t size);
void qn_hasher_finish(struct qn_hasher *hasher, struct qn_digest *digest); /* frees the hasher */

/* An output file in the making: bytes go to a temporary file (0600) in the target's folder; commit makes it the target
 * by fsync and rename, discard removes it. Errors are sticky and reported by commit. Unfinished temporaries are also
 * removed by qn_sink_remove_all() (async-signal-safe; for a program's signal handler and the end of a failed run). */
struct qn_sink;
QONNX_MUST_CHECK qonnx_status qn_sink_open(struct qn_sink **sink, const char *target, qonnx_error *err);
void qn_sink_write(struct qn_sink *sink, const void *bytes, size_t size);
/* Both release the sink. The target keeps the permission bits of the file it replaces, else 0666 less the umask. */
QONNX_MUST_CHECK qonnx_status qn_sink_commit(struct qn_sink *sink, qonnx_error *err);
void qn_sink_discard(struct qn_sink *sink);
void qn_sink_remove_all(void);

/* "dir/name" where dir is the folder part of `path`; refuses names that are absolute, empty, or leave the folder
 * through "..", also by symbolic links. */
QONNX_MUST_CHECK qonnx_status qn_path_inside(char **result, struct qn_arena *arena, const char *path, const char *name, qonnx_error *err);

#endif
