/* SPDX-License-Identifier: Apache-2.0
 * Each system call and allocation that opening and saving a model makes fails in turn: a clear error, no output, an
 * existing one untouched. The linker routes the library's calls through the doubles below (tests.cmake). */
#include <errno.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cmocka_all.h"
#include "onnx/save.h"
#include "protobytes.h"
#include "scratch.h"

enum call { NONE, ALLOCATE, WRITE, FSYNC, FCHMOD, CLOSE, RENAME, READ, MMAP, FSTAT };

/* The nth call of a kind fails with `error` (0: writes and reads are cut to one byte, or end). */
static struct {
    enum call call;
    size_t    nth, seen;
    int       error;
    bool      from_then_on, happened;
} fault;

static bool hit(enum call call)
{
    if (fault.call != call || !fault.nth) return false;
    fault.seen++;
    if (fault.seen != fault.nth && !(fault.from_then_on && fault.seen > fault.nth)) return false;
    fault.happened = true;
    errno = fault.error;
    return true;
}

#pragma GCC diagnostic ignored "-Wmissing-prototypes" /* only the linker calls them */
/* clang-format off */
void *__real_malloc(size_t); void *__wrap_malloc(size_t size) { return hit(ALLOCATE) ? NULL : __real_malloc(size); }
void *__real_calloc(size_t, size_t); void *__wrap_calloc(size_t n, size_t size) { return hit(ALLOCATE) ? NULL : __real_calloc(n, size); }
void *__real_realloc(void *, size_t); void *__wrap_realloc(void *p, size_t size) { return hit(ALLOCATE) ? NULL : __real_realloc(p, size); }
char *__real_strdup(const char *); char *__wrap_strdup(const char *s) { return hit(ALLOCATE) ? NULL : __real_strdup(s); }
char *__real_strndup(const char *, size_t); char *__wrap_strndup(const char *s, size_t n) { return hit(ALLOCATE) ? NULL : __real_strndup(s, n); }
int __real_fsync(int); int __wrap_fsync(int fd) { return hit(FSYNC) ? -1 : __real_fsync(fd); }
int __real_fchmod(int, mode_t); int __wrap_fchmod(int fd, mode_t mode) { return hit(FCHMOD) ? -1 : __real_fchmod(fd, mode); }
int __real_close(int); int __wrap_close(int fd) { int done = __real_close(fd); return hit(CLOSE) ? -1 : done; }
int __real_rename(const char *, const char *); int __wrap_rename(const char *a, const char *b) { return hit(RENAME) ? -1 : __real_rename(a, b); }
int __real_fstat64(int, struct stat *); int __wrap_fstat64(int fd, struct stat *info) { return hit(FSTAT) ? -1 : __real_fstat64(fd, info); }
/* clang-format on */

ssize_t __real_write(int, const void *, size_t);
ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    if (hit(WRITE)) return fault.error ? -1 : __real_write(fd, bytes, size > 1 ? 1 : size);
    return __real_write(fd, bytes, size);
}

ssize_t __real_read(int, void *, size_t);
ssize_t __wrap_read(int fd, void *bytes, size_t size)
{
    if (hit(READ)) return fault.error ? -1 : 0;
    return __real_read(fd, bytes, size > 1000 ? 1000 : size); /* never more than a part at once */
}

void *__real_mmap64(void *, size_t, int, int, int, off_t);
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    return hit(MMAP) ? MAP_FAILED : __real_mmap64(at, size, protection, flags, fd, offset);
}

static struct scratch dir;
static const char    *in, *out;

static int setup(void **state)
{
    struct qn_strbuf tensor, graph, bytes;
    char            *raw = calloc(1, 700000);

    (void)state;
    memset(&fault, 0, sizeof fault);
    scratch_open(&dir);
    qn_strbuf_init(&tensor);
    qn_strbuf_init(&graph);
    qn_strbuf_init(&bytes);
    pb_bytes(&tensor, 9, raw, 700000);
    pb_message(&graph, 5, &tensor);
    pb_message(&bytes, 7, &graph);
    in = scratch_write(&dir, "in.onnx", bytes.text, bytes.length);
    out = scratch_write(&dir, "out.onnx", "old", 3);
    qn_strbuf_release(&bytes);
    free(raw);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_close(&dir);
    return 0;
}

static qonnx_status copy(bool no_mmap, bool change, qonnx_error *err)
{
    struct qn_model model;
    qonnx_status    status = qn_model_open(&model, in, no_mmap, err);

    if (status != QONNX_OK) return status;
    model.pb->ir_version = 8;
    model.pb->has_ir_version = change; /* so that input and output have digests of their own */
    status = qn_model_save(&model, out, &(struct qn_save_options){ .sha256 = 1 }, NULL, err);
    qn_model_release(&model);
    return status;
}

/* Arms the fault, copies, and checks that a failure leaves everything as it was. Returns the status. */
static qonnx_status copy_with(enum call call, size_t nth, int error, bool from_then_on, bool no_mmap, qonnx_error *err)
{
    qonnx_status status;

    memset(&fault, 0, sizeof fault);
    memset(err, 0, sizeof *err);
    fault.call = call;
    fault.nth = nth;
    fault.error = error;
    fault.from_then_on = from_then_on;
    status = copy(no_mmap, nth % 2, err);
    fault.call = NONE;
    assert_int_equal(scratch_count(&dir), 2);
    if (status != QONNX_OK) {
        assert_true(fault.happened);
        assert_int_equal(err->status, status);
        assert_file_is(out, "old", 3);
    }
    return status;
}

static void restore_output(void) { out = scratch_write(&dir, "out.onnx", "old", 3); }

static void a_failing_write_is_reported_with_its_reason(void **state)
{
    static const int errors[] = { ENOSPC, EIO, EDQUOT, EFBIG };

    (void)state;
    for (size_t e = 0; e < 4; e++) {
        size_t failures = 0;
        for (size_t nth = 1;; nth++) {
            qonnx_error err;
            if (copy_with(WRITE, nth, errors[e], nth % 2, false, &err) == QONNX_OK) break;
            assert_int_equal(err.status, QONNX_E_IO);
            assert_memory_equal(err.message, out, strlen(out));
            assert_non_null(strstr(err.message, ": cannot write: "));
            assert_non_null(strstr(err.message, strerror(errors[e])));
            failures++;
        }
        assert_true(failures >= 3);
        restore_output();
    }
}

static void interrupted_and_short_writes_are_continued(void **state)
{
    size_t size;
    char  *expected;

    (void)state;
    expected = scratch_read(in, &size);
    for (size_t nth = 2; nth < 8; nth += 2) {
        qonnx_error err;
        assert_int_equal(copy_with(WRITE, nth, EINTR, false, false, &err), QONNX_OK);
        assert_file_is(out, expected, size);
        assert_int_equal(copy_with(WRITE, nth, 0, false, false, &err), QONNX_OK);
        assert_file_is(out, expected, size);
    }
    free(expected);
}

static void what_fails_at_the_commit_leaves_the_old_file(void **state)
{
    static const enum call calls[] = { FSYNC, FCHMOD, RENAME, CLOSE };
    qonnx_error            err;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(copy_with(calls[i], 1, EIO, true, false, &err), QONNX_E_IO);
        assert_non_null(strstr(err.message, "out.onnx: cannot write: Input/output error"));
    }
    /* close: the first is the input's, which may fail unseen; the output's is where some file systems report a full disk */
    assert_int_equal(copy_with(CLOSE, 2, ENOSPC, true, false, &err), QONNX_E_IO);
    assert_non_null(strstr(err.message, "No space left on device"));
}

static void an_input_that_ends_early_is_refused(void **state)
{
    qonnx_error err;

    (void)state;
    assert_int_equal(copy_with(READ, 5, 0, false, true, &err), QONNX_E_IO);
    assert_non_null(strstr(err.message, "in.onnx: the file became shorter while it was read"));
    assert_int_equal(copy_with(READ, 5, EIO, false, true, &err), QONNX_E_IO);
    assert_non_null(strstr(err.message, "in.onnx: cannot read: Input/output error"));
    assert_int_equal(copy_with(FSTAT, 1, EIO, false, false, &err), QONNX_E_IO);
    assert_int_equal(copy_with(READ, 5, EINTR, false, true, &err), QONNX_OK);
}

static void what_cannot_be_mapped_is_read(void **state)
{
    size_t      size;
    char       *expected = scratch_read(in, &size);
    qonnx_error err;

    (void)state;
    assert_int_equal(copy_with(MMAP, 2, ENODEV, true, false, &err), QONNX_OK); /* the first may be the C library's */
    assert_file_is(out, expected, size);
    assert_int_equal(copy_with(MMAP, 1, ENODEV, true, false, &err), QONNX_OK);
    free(expected);
}

static void every_failing_allocation_is_out_of_memory(void **state)
{
    size_t failures = 0;

    (void)state;
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        /* Copying a path for messages may fail without harm, so success alone does not end the loop. */
        for (size_t nth = 1;; nth++) {
            qonnx_error  err;
            qonnx_status status = copy_with(ALLOCATE, nth, ENOMEM, from_then_on, nth % 3 == 0, &err);

            if (!fault.happened) break;
            if (status == QONNX_OK) {
                restore_output();
                continue;
            }
            assert_int_equal(status, QONNX_E_NOMEM);
            assert_non_null(strstr(err.message, "out of memory"));
            failures++;
        }
        restore_output();
    }
    assert_true(failures > 15);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_failing_write_is_reported_with_its_reason),
        T(interrupted_and_short_writes_are_continued),
        T(what_fails_at_the_commit_leaves_the_old_file),
        T(an_input_that_ends_early_is_refused),
        T(what_cannot_be_mapped_is_read),
        T(every_failing_allocation_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
