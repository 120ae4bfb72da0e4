/* SPDX-License-Identifier: Apache-2.0
 * Output files: whole or not at all. */
#include <errno.h>
#include <sys/stat.h>

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

static struct qn_sink *open_sink(const char *path)
{
    struct qn_sink *sink = NULL;
    qonnx_error     err = { 0 };

    if (qn_sink_open(&sink, path, &err) != QONNX_OK) fail_msg("%s", err.message);
    return sink;
}

static mode_t mode_of(const char *path)
{
    struct stat info;

    assert_int_equal(stat(path, &info), 0);
    return info.st_mode & 07777;
}

static void a_committed_sink_is_the_file(void **state)
{
    const char     *path = scratch_path(&dir, "out");
    size_t          size = 300000;
    char           *bytes = malloc(size);
    struct qn_sink *sink = open_sink(path);

    (void)state;
    for (size_t i = 0; i < size; i++) bytes[i] = (char)(i * 31 >> 3);
    qn_sink_write(sink, bytes, 10);
    qn_sink_write(sink, bytes + 10, 70000);
    qn_sink_write(sink, bytes, 0);
    for (size_t at = 70010; at < size; at += 7) qn_sink_write(sink, bytes + at, size - at < 7 ? size - at : 7);
    assert_int_not_equal(access(path, F_OK), 0); /* nothing at the target before the commit */
    assert_int_equal(qn_sink_commit(sink, NULL), QONNX_OK);
    assert_file_is(path, bytes, size);
    assert_int_equal(scratch_count(&dir), 1);
    free(bytes);
}

static void a_discarded_sink_leaves_the_old_file(void **state)
{
    const char     *path = scratch_write(&dir, "out", "old", 3);
    struct qn_sink *sink = open_sink(path);

    (void)state;
    qn_sink_write(sink, "new", 3);
    assert_int_equal(scratch_count(&dir), 2);
    qn_sink_discard(sink);
    qn_sink_discard(NULL);
    assert_int_equal(scratch_count(&dir), 1);
    assert_file_is(path, "old", 3);
}

static void removing_all_leaves_no_temporary(void **state)
{
    struct qn_sink *first = open_sink(scratch_path(&dir, "a")), *second = open_sink(scratch_path(&dir, "b"));
    qonnx_error     err = { 0 };

    (void)state;
    qn_sink_write(first, "x", 1);
    assert_int_equal(scratch_count(&dir), 2);
    errno = 12;
    qn_sink_remove_all();
    assert_int_equal(errno, 12);
    assert_int_equal(scratch_count(&dir), 0);
    assert_int_equal(qn_sink_commit(first, &err), QONNX_E_IO); /* there is nothing left to rename */
    qn_sink_discard(second);
    assert_int_equal(scratch_count(&dir), 0);
}

static void temporaries_are_private_and_results_follow_the_umask(void **state)
{
    mode_t          before = umask(027);
    const char     *path = scratch_path(&dir, "sub/out");
    struct qn_sink *sink;
    DIR            *folder;

    (void)state;
    assert_int_equal(mkdir(scratch_path(&dir, "sub"), 0700), 0);
    sink = open_sink(path);
    folder = opendir(scratch_path(&dir, "sub"));
    for (const struct dirent *entry; (entry = readdir(folder));) {
        char name[600];
        if (entry->d_name[0] == '.' && strlen(entry->d_name) < 3) continue;
        snprintf(name, sizeof name, "%s/sub/%s", dir.folder, entry->d_name);
        assert_int_equal(mode_of(name), 0600);
    }
    closedir(folder);
    assert_int_equal(qn_sink_commit(sink, NULL), QONNX_OK);
    assert_int_equal(mode_of(path), 0640);
    umask(before);
}

static void a_replaced_file_keeps_its_permissions(void **state)
{
    const char     *path = scratch_write(&dir, "out", "old", 3);
    struct qn_sink *sink;

    (void)state;
    assert_int_equal(chmod(path, 0604), 0);
    sink = open_sink(path);
    qn_sink_write(sink, "new!", 4);
    assert_int_equal(qn_sink_commit(sink, NULL), QONNX_OK);
    assert_int_equal(mode_of(path), 0604);
    assert_file_is(path, "new!", 4);
}

static void a_link_stays_and_what_it_points_to_is_replaced(void **state)
{
    const char     *link = scratch_path(&dir, "link"), *real;
    struct qn_sink *sink;
    struct stat     info;

    (void)state;
    assert_int_equal(mkdir(scratch_path(&dir, "sub"), 0700), 0);
    real = scratch_write(&dir, "sub/real", "old", 3);
    assert_int_equal(symlink("sub/real", link), 0);
    sink = open_sink(link);
    qn_sink_write(sink, "new", 3);
    assert_int_equal(qn_sink_commit(sink, NULL), QONNX_OK);
    assert_int_equal(lstat(link, &info), 0);
    assert_true(S_ISLNK(info.st_mode));
    assert_file_is(real, "new", 3);
    assert_int_equal(scratch_count(&dir), 2);
}

static void assert_refused(const char *path, const char *why)
{
    struct qn_sink *sink = NULL;
    qonnx_error     err = { 0 };

    assert_int_equal(qn_sink_open(&sink, path, &err), QONNX_E_IO);
    assert_null(sink);
    assert_text_has(err.message, why);
}

static void targets_that_are_no_files_are_refused(void **state)
{
    const char *fifo = scratch_path(&dir, "fifo"), *link = scratch_path(&dir, "link");

    (void)state;
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(symlink("nowhere", link), 0);
    assert_refused(dir.folder, "is a directory");
    assert_refused(fifo, "is not a regular file");
    assert_refused("/dev/null", "is not a regular file");
    assert_refused(link, "is a symbolic link to nothing");
    assert_refused(scratch_path(&dir, "none/out"), "No such file or directory");
    assert_refused("", "empty");
    assert_int_equal(scratch_count(&dir), 2);
}

static void there_is_a_limit_to_open_sinks(void **state)
{
    enum { LIMIT = 256 };
    struct qn_sink *sinks[LIMIT], *refused;
    qonnx_error     err = { 0 };

    (void)state;
    for (int i = 0; i < LIMIT; i++) sinks[i] = open_sink(scratch_path(&dir, "out"));
    assert_int_equal(qn_sink_open(&refused, scratch_path(&dir, "out"), &err), QONNX_E_LIMIT);
    assert_int_equal(scratch_count(&dir), LIMIT);
    for (int i = 0; i < LIMIT; i++) qn_sink_discard(sinks[i]);
    assert_int_equal(scratch_count(&dir), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_committed_sink_is_the_file),          T(a_discarded_sink_leaves_the_old_file),
        T(removing_all_leaves_no_temporary),      T(temporaries_are_private_and_results_follow_the_umask),
        T(a_replaced_file_keeps_its_permissions), T(a_link_stays_and_what_it_points_to_is_replaced),
        T(targets_that_are_no_files_are_refused), T(there_is_a_limit_to_open_sinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
