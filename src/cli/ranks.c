/* SPDX-License-Identifier: Apache-2.0
 * Only built with QONNX_MPI. Each rank writes the statistics of its shard beside the result, as a file for --resume; the
 * first collects them and puts them together as `merge` does, so that the bytes are those of a single run. */
#include "ranks.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mpi.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { AT_ONCE = 1 << 28, WAIT_MS = 10, PATIENCE_MS = 2000 };
#define MAGIC "QONNX statistics"

struct ranks {
    int                rank, count;
    const char        *output;
    char              *part, *kept; /* of this rank: its shard's statistics; and where they stay until all are together */
    struct qn_console *console;
    qonnx_error       *err;
};

static qonnx_status fail(struct ranks *r, qonnx_status status, const char *format, ...) QONNX_PRINTF(3, 4);
static qonnx_status fail(struct ranks *r, qonnx_status status, const char *format, ...)
{
    va_list arguments;

    if (r->err->status != QONNX_OK) return status;
    r->err->status = status;
    va_start(arguments, format);
    vsnprintf(r->err->message, sizeof r->err->message, format, arguments);
    va_end(arguments);
    return status;
}

/* An ordinary start must not wait for a launcher that is not there. */
static bool is_launched(void) { return getenv("OMPI_COMM_WORLD_SIZE") || getenv("PMIX_RANK") || getenv("PMI_RANK"); }

/* ---- ending together ---- */

static void tell(const struct ranks *r, qonnx_status status)
{
    qn_console_clear(r->console);
    qn_console_error(r->console, r->err->message[0] ? r->err->message : qonnx_status_text(status));
}

/* All ranks meet here. Returns the first that failed, or INT_MAX. One that failed does not wait for those that are still at
 * work, which may take hours: it tells why, and ends all of them. */
static int first_failed(const struct ranks *r, qonnx_status status)
{
    int         mine = status ? r->rank : INT_MAX, first, done = 0;
    MPI_Request request;

    MPI_Iallreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD, &request);
    for (int waited = 0;; waited += WAIT_MS) {
        MPI_Test(&request, &done, MPI_STATUS_IGNORE);
        if (done) return first;
        if (status && waited > PATIENCE_MS) {
            tell(r, status);
            MPI_Abort(MPI_COMM_WORLD, qonnx_status_exit_code(status));
        }
        usleep(WAIT_MS * 1000);
    }
}

/* What `teller` knows is known to all; when that is a failure it has told why, and no rank comes back. None leaves before:
 * launchers end all when one has left with a failure. */
static void go_on_together(const struct ranks *r, int teller, qonnx_status status)
{
    int code = qonnx_status_exit_code(status);

    if (r->rank == teller && status) tell(r, status);
    MPI_Bcast(&code, 1, MPI_INT, teller, MPI_COMM_WORLD);
    if (!code) return;
    MPI_Finalize();
    exit(code);
}

/* ---- one rank's part ---- */

/* What would be replaced is what stands there from an earlier run, and nothing else. */
static qonnx_status check_output(struct ranks *r)
{
    char  start[sizeof MAGIC - 1] = "";
    FILE *file = fopen(r->output, "rb");
    bool  strange;

    if (!file) return QONNX_OK;
    strange = fread(start, 1, sizeof start, file) != sizeof start || memcmp(start, MAGIC, sizeof start) != 0;
    if (strange && !ferror(file) && ftell(file) == 0) strange = false; /* an empty file */
    fclose(file);
    return strange ? fail(r, QONNX_E_USAGE, "'%s' is there and holds no statistics: it is not replaced", r->output)
                   : QONNX_OK;
}

static qonnx_status observe(struct ranks *r, const struct qn_args *args, const qonnx_callbacks *callbacks)
{
    char         shard[32];
    qonnx_status status;

    if (args->shard) return fail(r, QONNX_E_USAGE, "--shard: each rank takes a shard of its own");
    if ((status = check_output(r))) return status;
    snprintf(shard, sizeof shard, "%d/%d", r->rank + 1, r->count);
    if ((status = qonnx_options_set(args->options, "shard", shard, r->err))) return status;
    rename(r->part, r->kept); /* of a run that ended before all were together */
    status = qonnx_calibrate(args->files[0], r->part, args->options, callbacks, NULL, r->err);
    if (!status && rename(r->part, r->kept))
        return fail(r, QONNX_E_IO, "%s: cannot rename: %s", r->part, strerror(errno));
    return status;
}

/* ---- putting them together ---- */

/* The bytes of this rank's file. */
static qonnx_status load(struct ranks *r, char **bytes, uint64_t *size)
{
    struct stat about;
    FILE       *file = fopen(r->kept, "rb");
    bool        whole = false;

    *bytes = NULL;
    if (file && fstat(fileno(file), &about) == 0 && (*bytes = malloc((size_t)about.st_size + 1))) {
        *size = (uint64_t)about.st_size;
        whole = fread(*bytes, 1, (size_t)*size, file) == (size_t)*size;
    }
    if (file) fclose(file);
    return whole ? QONNX_OK : fail(r, QONNX_E_IO, "%s: cannot read: %s", r->kept, strerror(errno));
}

/* A file in memory; its name lives as long as this process. */
static qonnx_status store(struct ranks *r, const char *bytes, uint64_t size, char name[32])
{
    int fd = memfd_create("statistics", MFD_CLOEXEC);

    for (uint64_t at = 0; fd >= 0 && at < size;) {
        ssize_t written = write(fd, bytes + at, (size_t)(size - at));
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) fd = -1;
        at += written > 0 ? (uint64_t)written : 0;
    }
    snprintf(name, 32, "/proc/self/fd/%d", fd);
    return fd >= 0 ? QONNX_OK : fail(r, QONNX_E_NOMEM, "no room for the statistics of all ranks: %s", strerror(errno));
}

static int part_of(uint64_t size, uint64_t at) { return size - at < AT_ONCE ? (int)(size - at) : AT_ONCE; }

static void give(const char *bytes, uint64_t size)
{
    for (uint64_t at = 0; at < size; at += AT_ONCE)
        MPI_Send(bytes + at, part_of(size, at), MPI_BYTE, 0, 0, MPI_COMM_WORLD);
}

/* All that the others give is taken, whatever becomes of it. */
static qonnx_status take(struct ranks *r, int from, uint64_t size, char name[32])
{
    char *bytes = malloc((size_t)size + 1);

    if (!bytes) { /* they would wait for ever */
        fputs("out of memory\n", stderr);
        MPI_Abort(MPI_COMM_WORLD, qonnx_status_exit_code(QONNX_E_NOMEM));
        return QONNX_E_NOMEM;
    }
    for (uint64_t at = 0; at < size; at += AT_ONCE)
        MPI_Recv(bytes + at, part_of(size, at), MPI_BYTE, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    qonnx_status status = store(r, bytes, size, name);
    free(bytes);
    return status;
}

/* In the first rank: the others' bytes and its own become the result. */
static qonnx_status merge(struct ranks *r, const char *bytes, const uint64_t *sizes, const qonnx_callbacks *callbacks,
                          qonnx_result **result)
{
    char(*names)[32] = calloc((size_t)r->count, sizeof *names);
    const char **paths = calloc((size_t)r->count, sizeof *paths);
    qonnx_status status =
        names && paths ? store(r, bytes, sizes[0], names[0]) : fail(r, QONNX_E_NOMEM, "out of memory");

    for (int i = 1; i < r->count && names && paths; i++) {
        qonnx_status taken = take(r, i, sizes[i], names[i]);
        if (!status) status = taken;
    }
    for (int i = 0; i < r->count && names && paths; i++) paths[i] = names[i];
    if (!status) status = qonnx_merge(r->output, paths, (size_t)r->count, callbacks, result, r->err);
    free(names);
    free(paths);
    return status;
}

static void gather(struct ranks *r, const char *bytes, uint64_t size, const qonnx_callbacks *callbacks,
                   qonnx_result **result)
{
    uint64_t    *sizes = calloc((size_t)r->count, sizeof *sizes);
    qonnx_status status = QONNX_OK;

    if (!sizes) MPI_Abort(MPI_COMM_WORLD, qonnx_status_exit_code(QONNX_E_NOMEM));
    MPI_Gather(&size, 1, MPI_UINT64_T, sizes, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    if (r->rank)
        give(bytes, size);
    else
        status = merge(r, bytes, sizes, callbacks, result);
    free(sizes);
    go_on_together(r, 0, status);
    unlink(r->kept);
}

/* ---- all of it ---- */

/* Comes back from success only. */
static void run(struct ranks *r, const struct qn_args *args, const qonnx_callbacks *callbacks, qonnx_result **result)
{
    char        *bytes = NULL;
    uint64_t     size = 0;
    qonnx_status status = r->part && r->kept ? observe(r, args, callbacks) : fail(r, QONNX_E_NOMEM, "out of memory");
    int          failed;

    if (!status) status = load(r, &bytes, &size);
    if ((failed = first_failed(r, status)) != INT_MAX) go_on_together(r, failed, status);
    gather(r, bytes, size, callbacks, result);
    free(bytes);
}

static char *path_of(const struct ranks *r, const char *end)
{
    const size_t room = strlen(r->output) + strlen(end) + 32;
    char        *path = malloc(room);

    if (path) snprintf(path, room, "%s.%d-of-%d%s", r->output, r->rank + 1, r->count, end);
    return path;
}

qonnx_status qn_ranks_calibrate(const struct qn_args *args, struct qn_console *console,
                                const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err)
{
    struct ranks r = { .output = args->files[1], .console = console, .err = err };
    qonnx_status status = QONNX_OK;
    int          level;

    if (!is_launched()) return qonnx_calibrate(args->files[0], args->files[1], args->options, callbacks, result, err);
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &r.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &r.count);
    if (r.count == 1) {
        status = qonnx_calibrate(args->files[0], args->files[1], args->options, callbacks, result, err);
    } else {
        r.part = path_of(&r, "");
        r.kept = path_of(&r, ".partial");
        run(&r, args, r.rank ? NULL : callbacks, result); /* all would tell the same */
        free(r.part);
        free(r.kept);
    }
    MPI_Finalize();
    if (r.rank) exit(0); /* the first one tells */
    return status;
}
