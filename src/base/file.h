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
    bool           mapped; /* a private read-only map of the file */
    bool           owned;  /* memory of ours; neither: someone else's memory */
    dev_t          device;
    ino_t          inode;
};

/* Opens a regular file ("is a directory", "no such file" … are one clear error with the path). With copy, or when the
 * file cannot be mapped, the bytes are read into memory instead. */
QONNX_MUST_CHECK qonnx_status qn_map_open(struct qn_map *map, const char *path, bool copy, qonnx_error *err);
/* A map over memory of someone else, which must outlive it. */
void                          qn_map_borrow(struct qn_map *map, const void *bytes, size_t size);
void                          qn_map_release(struct qn_map *map); /* a zeroed struct may be released */
/* Tells the system that a span is not needed again soon; its pages leave this process' resident memory. A page that the
 * span covers only at its end stays until a later span covers the rest. */
void                          qn_map_drop(const struct qn_map *map, const void *start, size_t size);
/* True when p lies inside the map. */
bool                          qn_map_contains(const struct qn_map *map, const void *p);

/* For programs (the library never calls it): a mapped file that is truncated by others while in use raises SIGBUS. From
 * now on that writes one line "PROGRAM: PATH: …" to stderr, removes unfinished outputs and ends the process with status
 * 1; a SIGBUS from elsewhere keeps its default action. `program` must stay valid. */
void qn_map_guard_install(const char *program);

/* Digests of a stream of bytes, as lower-case hex. */
struct qn_digest {
    char xxh3_128[33];
    char sha256[65]; /* empty when not asked for */
};
struct qn_hasher;
QONNX_MUST_CHECK struct qn_hasher *qn_hasher_new(bool sha256); /* NULL: out of memory */
/* A second hasher in the same state; NULL: out of memory. */
QONNX_MUST_CHECK struct qn_hasher *qn_hasher_clone(const struct qn_hasher *hasher);
void                               qn_hasher_add(struct qn_hasher *hasher, const void *bytes, size_t size);
/* Both free the hasher; NULL is allowed for the second. */
void                               qn_hasher_finish(struct qn_hasher *hasher, struct qn_digest *digest);
void                               qn_hasher_discard(struct qn_hasher *hasher);

/* An output file in the making: bytes go to a temporary file (0600) in the target's folder; commit makes it the target
 * by fsync and rename, discard removes it. Errors are sticky and reported by commit. Where the target is a symbolic
 * link, the file it points to is replaced and the link stays. Unfinished temporaries are also removed by
 * qn_sink_remove_all() (async-signal-safe; for a program's signal handler and the end of a failed run). */
struct qn_sink;
QONNX_MUST_CHECK qonnx_status qn_sink_open(struct qn_sink **sink, const char *target, qonnx_error *err);
void                          qn_sink_write(struct qn_sink *sink, const void *bytes, size_t size);
/* The disk has room for so many bytes more, as far as can be told; else E_IO. */
QONNX_MUST_CHECK qonnx_status qn_sink_check_room(const struct qn_sink *sink, uint64_t size, qonnx_error *err);
/* All of it is on the disk, and nothing more can be written: of several files that belong together, the first of them
 * takes its name after the last one is safe. Does not release the sink. */
QONNX_MUST_CHECK qonnx_status qn_sink_finish(struct qn_sink *sink, qonnx_error *err);
/* Both release the sink; commit finishes it first. The target keeps the permission bits of the file it replaces, else 0666 less the umask. */
QONNX_MUST_CHECK qonnx_status qn_sink_commit(struct qn_sink *sink, qonnx_error *err);
void                          qn_sink_discard(struct qn_sink *sink); /* NULL is allowed */
void                          qn_sink_remove_all(void);

/* The file `name` beside `path`, with all symbolic links resolved. Refuses names that are empty, absolute, or lead out of
 * the folder through ".." or symbolic links. Where `path` itself is a link (as in download caches), files in the folder
 * it points to are inside as well. */
QONNX_MUST_CHECK qonnx_status qn_path_inside(char **result, struct qn_arena *arena, const char *path, const char *name,
                                             qonnx_error *err);

#endif
