/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"

enum { BUFFER_SIZE = 64 * 1024, OPEN_SINKS = 256, HURRY = 8 << 20 };

/* A temporary that must not outlive the process. A signal handler may look at it at any time, so its memory is static. */
enum { FREE, RESERVED, LIVE, REMOVING, GONE };
struct temporary {
    atomic_int state;
    char       path[PATH_MAX];
};
static struct temporary temporaries[OPEN_SINKS];

struct qn_sink {
    int               fd;
    int               error; /* the first errno of a write */
    char             *target, *folder;
    struct temporary *temporary;
    mode_t            mode;
    off_t             written, hurried; /* bytes; and those that are on their way to the disk */
    size_t            used;
    uint8_t           buffer[BUFFER_SIZE];
};

static struct temporary *reserve(void)
{
    for (size_t i = 0; i < OPEN_SINKS; i++) {
        int expected = FREE;
        if (atomic_compare_exchange_strong(&temporaries[i].state, &expected, RESERVED)) return &temporaries[i];
    }
    return NULL;
}

/* Removes the file and gives the slot back, unless a handler is at it at this moment and the process about to end. */
static void remove_temporary(struct temporary *temporary)
{
    if (atomic_load(&temporary->state) != RESERVED) unlink(temporary->path);
    for (int state = LIVE; !atomic_compare_exchange_strong(&temporary->state, &state, FREE);)
        if (state == REMOVING || state == FREE) return;
}

void qn_sink_remove_all(void)
{
    int saved = errno;

    for (size_t i = 0; i < OPEN_SINKS; i++) {
        int expected = LIVE;
        if (!atomic_compare_exchange_strong(&temporaries[i].state, &expected, REMOVING)) continue;
        unlink(temporaries[i].path);
        atomic_store(&temporaries[i].state, GONE);
    }
    errno = saved;
}

static qonnx_status fail_errno(qonnx_error *err, const char *path, int number)
{
    char buffer[128];

    if (number == ENOMEM) return qn_fail_nomem(err);
    if (number == EFAULT)
        return qn_fail(err, QONNX_E_IO, "%s: cannot write: an input file was truncated while it was read", path);
    return qn_fail(err, QONNX_E_IO, "%s: cannot write: %s", path, strerror_r(number, buffer, sizeof buffer));
}

/* umask() can only be read by changing it, which other threads would see. */
static mode_t current_umask(void)
{
    FILE    *status = fopen("/proc/self/status", "re");
    char     line[256];
    unsigned mask = 0;
    bool     found = false;

    while (status && !found && fgets(line, sizeof line, status)) found = sscanf(line, "Umask: %o", &mask) == 1;
    if (status) fclose(status);
    if (!found) {
        mask = umask(077);
        umask((mode_t)mask);
    }
    return (mode_t)mask;
}

/* Finds out what is to be replaced: fills target (links resolved) and mode. */
static qonnx_status examine_target(struct qn_sink *sink, const char *path, qonnx_error *err)
{
    struct stat info;

    if (!*path) return qn_fail(err, QONNX_E_IO, "the name of the output file is empty");
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode)) {
        sink->target = realpath(path, NULL);
        if (!sink->target && errno == ENOENT)
            return qn_fail(err, QONNX_E_IO, "%s: is a symbolic link to nothing", path);
    } else {
        sink->target = strdup(path);
    }
    if (!sink->target) return fail_errno(err, path, errno);
    if (stat(sink->target, &info) == 0) {
        if (S_ISDIR(info.st_mode)) return qn_fail(err, QONNX_E_IO, "%s: cannot write: is a directory", path);
        if (!S_ISREG(info.st_mode)) return qn_fail(err, QONNX_E_IO, "%s: cannot write: is not a regular file", path);
        sink->mode = info.st_mode & 0777;
    } else if (errno == ENOENT) {
        sink->mode = 0666 & ~current_umask();
    } else {
        return fail_errno(err, path, errno);
    }
    return QONNX_OK;
}

static qonnx_status create_temporary(struct qn_sink *sink, const char *path, qonnx_error *err)
{
    const char *slash = strrchr(sink->target, '/');
    uint64_t    random;
    int         length;

    sink->folder = !slash                  ? strdup(".")
                   : slash == sink->target ? strdup("/")
                                           : strndup(sink->target, (size_t)(slash - sink->target));
    if (!sink->folder) return qn_fail_nomem(err);
    if (getrandom(&random, sizeof random, 0) != sizeof random) return fail_errno(err, path, errno);
    sink->temporary = reserve();
    if (!sink->temporary)
        return qn_fail(err, QONNX_E_LIMIT, "%s: cannot write: more than %d output files are open", path, OPEN_SINKS);
    length =
        snprintf(sink->temporary->path, PATH_MAX, "%s/.qonnx-%016llx.tmp", sink->folder, (unsigned long long)random);
    if (length < 0 || length >= PATH_MAX) return fail_errno(err, path, ENAMETOOLONG);
    atomic_store(&sink->temporary->state, LIVE); /* before the file exists, so that no signal can fall in between */
    sink->fd = open(sink->temporary->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return sink->fd < 0 ? fail_errno(err, path, errno) : QONNX_OK;
}

/* Closes and removes whatever is there. */
static void release(struct qn_sink *sink)
{
    if (sink->fd >= 0) close(sink->fd);
    if (sink->temporary) remove_temporary(sink->temporary);
    free(sink->target);
    free(sink->folder);
    free(sink);
}

qonnx_status qn_sink_open(struct qn_sink **result, const char *target, qonnx_error *err)
{
    struct qn_sink *sink = malloc(sizeof *sink);
    qonnx_status    status;

    if (!sink) return qn_fail_nomem(err);
    memset(sink, 0, offsetof(struct qn_sink, buffer));
    sink->fd = -1;
    status = examine_target(sink, target, err);
    if (status == QONNX_OK) status = create_temporary(sink, target, err);
    if (status != QONNX_OK) {
        release(sink);
        return status;
    }
    *result = sink;
    return QONNX_OK;
}

/* The disk works while the rest is made, and the sync at the end has less to wait for. Only a hint. */
static void hurry(struct qn_sink *sink)
{
    if (sink->written - sink->hurried < HURRY) return;
    sync_file_range(sink->fd, sink->hurried, sink->written - sink->hurried, SYNC_FILE_RANGE_WRITE);
    sink->hurried = sink->written;
}

static void write_through(struct qn_sink *sink, const uint8_t *bytes, size_t size)
{
    while (size && !sink->error) {
        ssize_t put = write(sink->fd, bytes, size);
        if (put > 0) {
            bytes += put;
            size -= (size_t)put;
            sink->written += put;
        } else if (put == 0) {
            sink->error = ENOSPC;
        } else if (errno != EINTR) {
            sink->error = errno;
        }
    }
    hurry(sink);
}

static void flush(struct qn_sink *sink)
{
    write_through(sink, sink->buffer, sink->used);
    sink->used = 0;
}

void qn_sink_write(struct qn_sink *sink, const void *bytes, size_t size)
{
    if (!size) return;
    if (size > sizeof sink->buffer - sink->used) flush(sink);
    if (size >= sizeof sink->buffer) {
        write_through(sink, bytes, size);
    } else {
        memcpy(sink->buffer + sink->used, bytes, size);
        sink->used += size;
    }
}

/* Makes the rename durable. Some file systems cannot sync folders; the file itself is safe by then. */
static void sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

qonnx_status qn_sink_check_room(const struct qn_sink *sink, uint64_t size, qonnx_error *err)
{
    struct statvfs disk;
    uint64_t       room;

    if (fstatvfs(sink->fd, &disk) != 0 || !disk.f_blocks) return QONNX_OK; /* some file systems do not say */
    if (__builtin_mul_overflow((uint64_t)disk.f_bavail, (uint64_t)disk.f_frsize, &room) || room >= size) return QONNX_OK;
    return qn_fail(err, QONNX_E_IO, "%s: cannot write: No space left on device (%" PRIu64 " bytes are needed, %" PRIu64 " are free)", sink->target, size, room);
}

qonnx_status qn_sink_finish(struct qn_sink *sink, qonnx_error *err)
{
    if (sink->fd >= 0) {
        flush(sink);
        if (!sink->error && fchmod(sink->fd, sink->mode) != 0) sink->error = errno;
        if (!sink->error && fsync(sink->fd) != 0 && errno != EINVAL && errno != EROFS) sink->error = errno;
        if (close(sink->fd) != 0 && !sink->error) sink->error = errno;
        sink->fd = -1;
    }
    return sink->error ? fail_errno(err, sink->target, sink->error) : QONNX_OK;
}

qonnx_status qn_sink_commit(struct qn_sink *sink, qonnx_error *err)
{
    qonnx_status status = qn_sink_finish(sink, err);

    if (status == QONNX_OK && rename(sink->temporary->path, sink->target) != 0) status = fail_errno(err, sink->target, errno);
    if (status == QONNX_OK) sync_folder(sink->folder);
    release(sink); /* after a rename there is no temporary left to unlink */
    return status;
}

void qn_sink_discard(struct qn_sink *sink)
{
    if (sink) release(sink);
}
