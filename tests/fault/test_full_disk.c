/* SPDX-License-Identifier: Apache-2.0
 * A disk that is really full: a small tmpfs where this process may mount one, else a limit on file sizes. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "cmocka_all.h"
#include "onnx/save.h"
#include "protobytes.h"
#include "scratch.h"

static struct scratch dir;

static void write_model(size_t size)
{
    struct qn_strbuf tensor, graph, bytes;
    char            *raw = calloc(1, size);

    qn_strbuf_init(&tensor);
    qn_strbuf_init(&graph);
    qn_strbuf_init(&bytes);
    pb_bytes(&tensor, 9, raw, size);
    pb_message(&graph, 5, &tensor);
    pb_message(&bytes, 7, &graph);
    scratch_write(&dir, "in.onnx", bytes.text, bytes.length);
    qn_strbuf_release(&bytes);
    free(raw);
}

/* Makes FOLDER/disk hold less than a megabyte; the text of the error that is then due. */
static const char *shrink_disk(const char *disk)
{
    struct rlimit limit = { 300000, 300000 };

    if ((geteuid() == 0 ? unshare(CLONE_NEWNS) : unshare(CLONE_NEWNS | CLONE_NEWUSER)) == 0 &&
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 && mount("small", disk, "tmpfs", 0, "size=512k") == 0)
        return "No space left on device";
    signal(SIGXFSZ, SIG_IGN); /* as the program does */
    return setrlimit(RLIMIT_FSIZE, &limit) == 0 ? "File too large" : NULL;
}

/* Runs in a child, as the limits stay with the process; exit status 0 when all is well. */
static int save_on_full_disk(void)
{
    const char *disk = scratch_path(&dir, "disk"), *out = scratch_path(&dir, "disk/out.onnx"),
               *reason = shrink_disk(disk);
    struct qn_model model;
    qonnx_error     err = { 0 };
    struct stat     info;

    if (!reason) return 2;
    scratch_write(&dir, "disk/out.onnx", "old", 3);
    if (qn_model_open(&model, scratch_path(&dir, "in.onnx"), false, &err) != QONNX_OK) return 3;
    if (qn_model_save(&model, out, &(struct qn_save_options){ .sha256 = -1 }, NULL, &err) != QONNX_E_IO) return 4;
    if (!strstr(err.message, "disk/out.onnx: cannot write: ") || !strstr(err.message, reason)) return 5;
    assert_file_is(out, "old", 3);
    memcpy(dir.folder + strlen(dir.folder), "/disk", 6);
    if (scratch_count(&dir) != 1) return 6;
    qn_model_release(&model);
    return stat(out, &info) == 0 && info.st_size == 3 ? 0 : 7;
}

static void a_full_disk_leaves_the_old_file_and_no_temporary(void **state)
{
    int   status;
    pid_t child;

    (void)state;
    scratch_open(&dir);
    assert_int_equal(mkdir(scratch_path(&dir, "disk"), 0700), 0);
    write_model(1 << 20);
    child = fork();
    if (child == 0) _exit(save_on_full_disk());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    scratch_close(&dir);
}

static int save_with_size_limit(void)
{
    struct rlimit   limit = { 300000, 300000 };
    struct qn_model model;
    qonnx_error     err = { 0 };

    signal(SIGXFSZ, SIG_IGN);
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    if (qn_model_open(&model, scratch_path(&dir, "in.onnx"), false, &err) != QONNX_OK) return 3;
    if (qn_model_save(&model, scratch_path(&dir, "out.onnx"), &(struct qn_save_options){ .sha256 = -1 }, NULL, &err) != QONNX_E_IO) return 4;
    if (!strstr(err.message, "out.onnx: cannot write: File too large")) return 5;
    if (scratch_count(&dir) != 1) return 6;
    qn_model_release(&model);
    return 0;
}

static void a_limit_on_file_sizes_leaves_no_output(void **state)
{
    int   status;
    pid_t child;

    (void)state;
    scratch_open(&dir);
    write_model(1 << 20);
    child = fork();
    if (child == 0) _exit(save_with_size_limit());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    scratch_close(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_disk_leaves_the_old_file_and_no_temporary),
        cmocka_unit_test(a_limit_on_file_sizes_leaves_no_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
