/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/file.h"
#include "cmocka_all.h"
#include "scratch.h"

static struct scratch dir;

static int setup(void **state)
{
    (void)state;
    scratch_open(&dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_close(&dir);
    return 0;
}

static void assert_text_has(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("'%s' does not say '%s'", text, part);
    assert_null(strchr(text, '\n'));
}

/* ------------------------------------------------------------------------------------------------ maps */

static void a_map_holds_the_bytes_of_the_file(void **state)
{
    const char   *path = scratch_write(&dir, "f", "hello", 5);
    struct qn_map map;

    (void)state;
    for (int copy = 0; copy < 2; copy++) {
        assert_int_equal(qn_map_open(&map, path, copy, NULL), QONNX_OK);
        assert_int_equal(map.size, 5);
        assert_memory_equal(map.data, "hello", 5);
        assert_int_equal(map.mapped, !copy);
        assert_int_equal(map.owned, copy);
        assert_true(qn_map_contains(&map, map.data + 4));
        assert_false(qn_map_contains(&map, map.data + 5));
        assert_false(qn_map_contains(&map, "hello"));
        qn_map_release(&map);
        assert_null(map.data);
    }
}

static void an_empty_file_is_an_empty_map(void **state)
{
    struct qn_map map;

    (void)state;
    assert_int_equal(qn_map_open(&map, scratch_write(&dir, "f", "", 0), false, NULL), QONNX_OK);
    assert_int_equal(map.size, 0);
    assert_non_null(map.data);
    qn_map_release(&map);
}

static void what_is_no_regular_file_is_one_clear_error(void **state)
{
    struct qn_map map;
    qonnx_error   err = { 0 };
    const char   *fifo = scratch_path(&dir, "fifo");

    (void)state;
    assert_int_equal(qn_map_open(&map, dir.folder, false, &err), QONNX_E_IO);
    assert_text_has(err.message, ": is a directory");
    err = (qonnx_error){ 0 };
    assert_int_equal(qn_map_open(&map, scratch_path(&dir, "none"), false, &err), QONNX_E_IO);
    assert_text_has(err.message, "none: cannot open: No such file or directory");
    err = (qonnx_error){ 0 };
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(qn_map_open(&map, fifo, false, &err), QONNX_E_IO); /* and does not wait for a writer */
    assert_text_has(err.message, ": is not a regular file");
    assert_null(map.data);
}

static unsigned long resident_kilobytes(const struct qn_map *map)
{
    FILE         *maps = fopen("/proc/self/smaps", "re");
    char          line[512], wanted[40];
    unsigned long kilobytes = 0;
    bool          ours = false;

    assert_non_null(maps);
    snprintf(wanted, sizeof wanted, "%lx-", (unsigned long)map->data);
    while (fgets(line, sizeof line, maps)) {
        if (strncmp(line, wanted, strlen(wanted)) == 0) ours = true;
        if (ours && sscanf(line, "Rss: %lu", &kilobytes) == 1) break;
    }
    fclose(maps);
    assert_true(ours);
    return kilobytes;
}

static void dropped_spans_leave_memory_and_can_be_read_again(void **state)
{
    size_t            size = 1 << 20;
    unsigned char    *bytes = malloc(size);
    struct qn_map     map;
    volatile unsigned sum = 0;

    (void)state;
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(i * 7 + i / 4096);
    assert_int_equal(qn_map_open(&map, scratch_write(&dir, "f", bytes, size), false, NULL), QONNX_OK);
    for (size_t i = 0; i < size; i += 4096) sum = sum + map.data[i];
    assert_int_equal(resident_kilobytes(&map), size / 1024);
    for (size_t at = 0; at < size; at += 10000) /* spans that end within a page */
        qn_map_drop(&map, map.data + at, size - at < 10000 ? size - at : 10000);
    assert_int_equal(resident_kilobytes(&map), 0);
    assert_memory_equal(map.data, bytes, size);
    qn_map_drop(&map, bytes, size); /* not in the map: no effect */
    assert_int_equal(bytes[1], 7);
    qn_map_release(&map);
    free(bytes);
}

static void borrowed_memory_is_not_freed(void **state)
{
    struct qn_map map;

    (void)state;
    qn_map_borrow(&map, "abc", 3);
    assert_memory_equal(map.data, "abc", 3);
    qn_map_drop(&map, map.data, 3);
    qn_map_release(&map);
    qn_map_borrow(&map, NULL, 0);
    assert_non_null(map.data);
    qn_map_release(&map);
}

/* Runs fn in a child, with stderr in a file; returns the wait status. */
static int in_child(void (*fn)(void), const char *errors)
{
    pid_t child = fork();
    int   status;

    assert_true(child >= 0);
    if (child == 0) {
        int fd = open(errors, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(fd, STDERR_FILENO);
        fn();
        _exit(99);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static volatile unsigned touched;

static void read_truncated_file(void)
{
    struct qn_map   map;
    struct qn_sink *sink;
    const char     *path = scratch_path(&dir, "shrinks\033");

    qn_map_guard_install("prog");
    if (qn_map_open(&map, path, false, NULL) != QONNX_OK) _exit(97);
    if (qn_sink_open(&sink, scratch_path(&dir, "out"), NULL) != QONNX_OK) _exit(96);
    if (truncate(path, 0) != 0) _exit(95);
    touched = map.data[5000];
}

static void a_guarded_map_that_is_truncated_ends_with_one_line_and_no_temporary(void **state)
{
    static const char zeros[10000];
    const char       *errors = scratch_path(&dir, "errors");
    char             *text;
    int               status;

    (void)state;
    scratch_write(&dir, "shrinks\033", zeros, sizeof zeros);
    status = in_child(read_truncated_file, errors);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    text = scratch_read(errors, NULL);
    assert_memory_equal(text, "prog: ", 6);
    assert_non_null(strstr(text, "shrinks?: the file was truncated"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    free(text);
    assert_int_equal(scratch_count(&dir), 2); /* the input and the errors */
}

static void read_foreign_map(void)
{
    int   fd = open(scratch_path(&dir, "f"), O_RDWR);
    char *bytes = mmap(NULL, 10000, PROT_READ, MAP_PRIVATE, fd, 0);

    qn_map_guard_install("prog");
    if (bytes == MAP_FAILED || ftruncate(fd, 0) != 0) _exit(95);
    touched = (unsigned char)bytes[5000];
}

static void a_bus_error_elsewhere_keeps_its_default_action(void **state)
{
    static const char zeros[10000];
    int               status;

    (void)state;
    scratch_write(&dir, "f", zeros, sizeof zeros);
    status = in_child(read_foreign_map, scratch_path(&dir, "errors"));
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
}

/* ------------------------------------------------------------------------------------------------ digests */

static void digests_are_the_published_ones(void **state)
{
    struct qn_hasher *hasher = qn_hasher_new(true);
    struct qn_digest  digest;

    (void)state;
    qn_hasher_finish(hasher, &digest);
    assert_string_equal(digest.xxh3_128, "99aa06d3014798d86001c324468d497f");
    assert_string_equal(digest.sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hasher = qn_hasher_new(true);
    qn_hasher_add(hasher, "a", 1);
    qn_hasher_add(hasher, NULL, 0);
    qn_hasher_add(hasher, "bc", 2);
    qn_hasher_finish(hasher, &digest);
    assert_string_equal(digest.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_string_equal(digest.xxh3_128, "06b05ab6733a618578af5f94892f3950");
}

static void sha256_is_absent_unless_asked_for(void **state)
{
    struct qn_digest digest;

    (void)state;
    qn_hasher_finish(qn_hasher_new(false), &digest);
    assert_string_equal(digest.sha256, "");
}

static void a_clone_goes_its_own_way(void **state)
{
    for (int sha = 0; sha < 2; sha++) {
        struct qn_hasher *hasher = qn_hasher_new(sha), *clone, *whole = qn_hasher_new(sha);
        struct qn_digest  digest, other, expected;

        (void)state;
        qn_hasher_add(hasher, "ab", 2);
        clone = qn_hasher_clone(hasher);
        qn_hasher_add(hasher, "c", 1);
        qn_hasher_add(clone, "d", 1);
        qn_hasher_finish(hasher, &digest);
        qn_hasher_finish(clone, &other);
        qn_hasher_add(whole, "abd", 3);
        qn_hasher_finish(whole, &expected);
        assert_memory_equal(&other, &expected, sizeof other);
        assert_string_not_equal(digest.xxh3_128, other.xxh3_128);
    }
}

/* ------------------------------------------------------------------------------------------------ paths */

static void inside(const char *model, const char *name, const char *expected)
{
    struct qn_arena arena = { 0 };
    qonnx_error     err = { 0 };
    char           *found = NULL, real[4096];

    if (qn_path_inside(&found, &arena, model, name, &err) != QONNX_OK) fail_msg("%s", err.message);
    assert_non_null(realpath(expected, real));
    assert_string_equal(found, real);
    qn_arena_release(&arena);
}

static void outside(const char *model, const char *name, qonnx_status status, const char *why)
{
    struct qn_arena arena = { 0 };
    qonnx_error     err = { 0 };
    char           *found = NULL;

    assert_int_equal(qn_path_inside(&found, &arena, model, name, &err), status);
    assert_text_has(err.message, why);
    qn_arena_release(&arena);
}

static void files_beside_a_model_are_found_and_others_are_not(void **state)
{
    const char *model, *data, *deep;

    (void)state;
    assert_int_equal(mkdir(scratch_path(&dir, "m"), 0700), 0);
    assert_int_equal(mkdir(scratch_path(&dir, "m/sub"), 0700), 0);
    assert_int_equal(mkdir(scratch_path(&dir, "mm"), 0700), 0);
    model = scratch_write(&dir, "m/model", "", 0);
    data = scratch_write(&dir, "m/data", "", 0);
    deep = scratch_write(&dir, "m/sub/deep", "", 0);
    scratch_write(&dir, "mm/secret", "", 0);
    inside(model, "data", data);
    inside(model, "./data", data);
    inside(model, "sub/deep", deep);
    inside(model, "sub/../data", data);
    outside(model, "", QONNX_E_FORMAT, "empty");
    outside(model, "/etc/passwd", QONNX_E_FORMAT, "absolute");
    outside(model, "../mm/secret", QONNX_E_FORMAT, "leaves the model's folder");
    outside(model, "sub/../../mm/secret", QONNX_E_FORMAT, "leaves the model's folder");
    outside(model, "../m/data", QONNX_E_FORMAT, "leaves the model's folder");
    outside(model, "missing", QONNX_E_IO, "No such file");
    assert_int_equal(symlink("../mm/secret", scratch_path(&dir, "m/link")), 0);
    assert_int_equal(symlink("../mm", scratch_path(&dir, "m/sub2")), 0);
    assert_int_equal(symlink("data", scratch_path(&dir, "m/ok")), 0);
    outside(model, "link", QONNX_E_FORMAT, "symbolic link");
    outside(model, "sub2/secret", QONNX_E_FORMAT, "symbolic link");
    inside(model, "ok", data);
}

static void a_model_without_a_folder_is_in_the_current_one(void **state)
{
    char before[4096];

    (void)state;
    assert_non_null(getcwd(before, sizeof before));
    scratch_write(&dir, "data", "", 0);
    assert_int_equal(chdir(dir.folder), 0);
    inside("model.onnx", "data", "data");
    assert_int_equal(chdir(before), 0);
    inside("/model.onnx", "dev/null", "/dev/null"); /* the root folder holds everything */
}

/* As download caches keep files: SNAPSHOT/name links to BLOBS/digest. */
static void a_linked_model_may_use_the_folder_it_is_linked_to(void **state)
{
    const char *model, *blob;

    (void)state;
    assert_int_equal(mkdir(scratch_path(&dir, "blobs"), 0700), 0);
    assert_int_equal(mkdir(scratch_path(&dir, "snapshot"), 0700), 0);
    scratch_write(&dir, "blobs/aaaa", "", 0);
    blob = scratch_write(&dir, "blobs/bbbb", "", 0);
    scratch_write(&dir, "secret", "", 0);
    model = scratch_path(&dir, "snapshot/model");
    assert_int_equal(symlink("../blobs/aaaa", model), 0);
    assert_int_equal(symlink("../blobs/bbbb", scratch_path(&dir, "snapshot/data")), 0);
    assert_int_equal(symlink("../secret", scratch_path(&dir, "snapshot/other")), 0);
    inside(model, "data", blob);
    outside(model, "other", QONNX_E_FORMAT, "symbolic link");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_map_holds_the_bytes_of_the_file),
        T(an_empty_file_is_an_empty_map),
        T(what_is_no_regular_file_is_one_clear_error),
        T(dropped_spans_leave_memory_and_can_be_read_again),
        T(borrowed_memory_is_not_freed),
        T(a_guarded_map_that_is_truncated_ends_with_one_line_and_no_temporary),
        T(a_bus_error_elsewhere_keeps_its_default_action),
        T(digests_are_the_published_ones),
        T(sha256_is_absent_unless_asked_for),
        T(a_clone_goes_its_own_way),
        T(files_beside_a_model_are_found_and_others_are_not),
        T(a_model_without_a_folder_is_in_the_current_one),
        T(a_linked_model_may_use_the_folder_it_is_linked_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
