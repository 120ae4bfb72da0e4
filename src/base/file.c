/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const uint8_t nothing[1];

/* What the signal handler needs to know of each live map. A slot is taken by setting its path, and filled after. */
enum { GUARD_SLOTS = 256 };
static struct {
    _Atomic(char *)  path;
    atomic_uintptr_t start, end;
} guarded[GUARD_SLOTS];
static const char *guard_program;

static char *printable_copy(const char *text)
{
    char *copy = strdup(text);

    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    return copy;
}

/* A map beyond the last slot is not guarded; nothing else is lost. */
static void guard_add(const struct qn_map *map, const char *path)
{
    char *copy = printable_copy(path);

    for (size_t i = 0; copy && i < GUARD_SLOTS; i++) {
        char *expected = NULL;
        if (!atomic_compare_exchange_strong(&guarded[i].path, &expected, copy)) continue;
        atomic_store(&guarded[i].end, (uintptr_t)map->data + map->size);
        atomic_store(&guarded[i].start, (uintptr_t)map->data);
        return;
    }
    free(copy);
}

static void guard_remove(const struct qn_map *map)
{
    for (size_t i = 0; i < GUARD_SLOTS; i++) {
        if (atomic_load(&guarded[i].start) != (uintptr_t)map->data) continue;
        atomic_store(&guarded[i].start, 0);
        atomic_store(&guarded[i].end, 0);
        free(atomic_exchange(&guarded[i].path, NULL));
        return;
    }
}

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    static atomic_flag said = ATOMIC_FLAG_INIT;
    uintptr_t          at = (uintptr_t)info->si_addr, page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)context;
    for (size_t i = 0; i < GUARD_SLOTS; i++) {
        uintptr_t start = atomic_load(&guarded[i].start), end = atomic_load(&guarded[i].end);
        if (!start || at < start || at >= (end + page - 1) / page * page) continue;
        while (atomic_flag_test_and_set(&said)) pause(); /* another thread met it first, and ends the process */
        say(guard_program);
        say(": ");
        say(atomic_load(&guarded[i].path));
        say(": the file was truncated or became unreadable while in use (--no-mmap reads it whole first)\n");
        qn_sink_remove_all();
        _exit(1);
    }
    signal(number, SIG_DFL); /* the faulting instruction runs again and ends the process as usual */
}

void qn_map_guard_install(const char *program)
{
    struct sigaction action;

    memset(&action, 0, sizeof action);
    guard_program = program;
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, NULL);
}

static qonnx_status fail_errno(qonnx_error *err, const char *path, const char *what, int number)
{
    char buffer[128];

    if (number == ENOMEM) return qn_fail_nomem(err);
    return qn_fail(err, QONNX_E_IO, "%s: %s: %s", path, what, strerror_r(number, buffer, sizeof buffer));
}

static qonnx_status read_whole(struct qn_map *map, int fd, const char *path, qonnx_error *err)
{
    uint8_t *bytes = malloc(map->size);
    size_t   done = 0;

    if (!bytes) return qn_fail(err, QONNX_E_NOMEM, "%s: out of memory for %zu bytes", path, map->size);
    while (done < map->size) {
        ssize_t got = read(fd, bytes + done, map->size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            int number = errno;
            free(bytes);
            if (got < 0) return fail_errno(err, path, "cannot read", number);
            return qn_fail(err, QONNX_E_IO, "%s: the file became shorter while it was read", path);
        }
        done += (size_t)got;
    }
    map->data = bytes;
    map->owned = true;
    return QONNX_OK;
}

static qonnx_status map_descriptor(struct qn_map *map, int fd, const char *path, bool copy, qonnx_error *err)
{
    struct stat info;
    void       *bytes;

    if (fstat(fd, &info) != 0) return fail_errno(err, path, "cannot read", errno);
    if (S_ISDIR(info.st_mode)) return qn_fail(err, QONNX_E_IO, "%s: is a directory", path);
    if (!S_ISREG(info.st_mode)) return qn_fail(err, QONNX_E_IO, "%s: is not a regular file", path);
    map->device = info.st_dev;
    map->inode = info.st_ino;
    map->size = (size_t)info.st_size;
    map->data = nothing;
    if (!map->size) return QONNX_OK;
    bytes = copy ? MAP_FAILED : mmap(NULL, map->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED) return read_whole(map, fd, path, err);
    map->data = bytes;
    map->mapped = true;
    guard_add(map, path);
    return QONNX_OK;
}

qonnx_status qn_map_open(struct qn_map *map, const char *path, bool copy, qonnx_error *err)
{
    int          fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe must not block us */
    qonnx_status status;

    memset(map, 0, sizeof *map);
    if (fd < 0) return fail_errno(err, path, "cannot open", errno);
    status = map_descriptor(map, fd, path, copy, err);
    close(fd);
    if (status != QONNX_OK) memset(map, 0, sizeof *map);
    return status;
}

void qn_map_borrow(struct qn_map *map, const void *bytes, size_t size)
{
    memset(map, 0, sizeof *map);
    map->data = size ? bytes : nothing;
    map->size = size;
}

void qn_map_release(struct qn_map *map)
{
    if (map->mapped) {
        guard_remove(map);
        munmap((void *)(uintptr_t)map->data, map->size);
    } else if (map->owned) {
        free((void *)(uintptr_t)map->data);
    }
    memset(map, 0, sizeof *map);
}

bool qn_map_contains(const struct qn_map *map, const void *p)
{
    return (uintptr_t)p >= (uintptr_t)map->data && (uintptr_t)p - (uintptr_t)map->data < map->size;
}

void qn_map_drop(const struct qn_map *map, const void *start, size_t size)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = (uintptr_t)start / page * page, to;

    if (!map->mapped || !qn_map_contains(map, start)) return;
    to = (uintptr_t)start + size;
    to = to >= (uintptr_t)map->data + map->size ? (uintptr_t)map->data + map->size : to / page * page;
    if (to > from) madvise((void *)from, to - from, MADV_DONTNEED);
}

/* True when `inside` is a path below the folder `root`; both are resolved. */
static bool is_below(const char *root, const char *inside)
{
    size_t length = strlen(root);

    if (strncmp(root, inside, length) != 0) return false;
    return (length && root[length - 1] == '/') || inside[length] == '/';
}

/* "a/../../b" leaves its folder; "a/../b" does not. */
static bool climbs_out(const char *name)
{
    long depth = 0;

    while (*name) {
        size_t length = strcspn(name, "/");
        if (length == 2 && name[0] == '.' && name[1] == '.') {
            if (--depth < 0) return true;
        } else if (length && !(length == 1 && name[0] == '.')) {
            depth++;
        }
        name += length;
        name += *name == '/';
    }
    return false;
}

/* Cuts a path down to its folder; "." where it names none. */
static char *folder_of(struct qn_arena *arena, const char *path)
{
    const char *slash = strrchr(path, '/');

    if (!slash) return qn_arena_strdup(arena, ".");
    return qn_arena_printf(arena, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* realpath into the arena; NULL with errno set on failure. */
static char *resolve(struct qn_arena *arena, const char *path)
{
    char *real = realpath(path, NULL), *copy;

    if (!real) return NULL;
    copy = qn_arena_strdup(arena, real);
    free(real);
    if (!copy) errno = ENOMEM;
    return copy;
}

qonnx_status qn_path_inside(char **result, struct qn_arena *arena, const char *path, const char *name, qonnx_error *err)
{
    char *folder = folder_of(arena, path), *joined, *root, *real, *target;

    if (!*name) return qn_fail(err, QONNX_E_FORMAT, "an empty file name");
    if (*name == '/')
        return qn_fail(err, QONNX_E_FORMAT, "'%s' is an absolute path; only files in the model's folder are read",
                       name);
    if (climbs_out(name)) return qn_fail(err, QONNX_E_FORMAT, "'%s' leaves the model's folder", name);
    joined = folder ? qn_arena_printf(arena, "%s/%s", folder, name) : NULL;
    if (!joined) return qn_fail_nomem(err);
    real = resolve(arena, joined);
    if (!real) return fail_errno(err, joined, "cannot open", errno);
    root = resolve(arena, folder);
    if (!root) return fail_errno(err, folder, "cannot open", errno);
    if (!is_below(root, real)) {
        target = resolve(arena, path);
        root = target ? folder_of(arena, target) : NULL;
        if (qn_arena_failed(arena)) return qn_fail_nomem(err);
        if (!root || !is_below(root, real))
            return qn_fail(err, QONNX_E_FORMAT, "'%s' leaves the model's folder through a symbolic link", name);
    }
    *result = real;
    return QONNX_OK;
}
