/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/strbuf.h"
#include "cmocka_all.h"
#include "model_files.h"
#include "onnx/save.h"
#include "protobytes.h"

static void save(const char *path, int sha256, struct qn_save_result *result)
{
    qonnx_error err = { 0 };

    if (qn_model_save(&model, path, &(struct qn_save_options){ .sha256 = sha256 }, result, &err) != QONNX_OK) fail_msg("%s", err.message);
}

static struct qn_digest digest_of(const char *path, bool sha256)
{
    struct qn_hasher *hasher = qn_hasher_new(sha256);
    struct qn_digest  digest;
    size_t            size;
    char             *bytes = scratch_read(path, &size);

    qn_hasher_add(hasher, bytes, size);
    qn_hasher_finish(hasher, &digest);
    free(bytes);
    return digest;
}

static void assert_same_digest(const struct qn_digest *a, const struct qn_digest *b)
{
    assert_string_equal(a->xxh3_128, b->xxh3_128);
    assert_string_equal(a->sha256, b->sha256);
}

/* A model with one initializer of `size` bytes, all `fill`; its own bytes in file order are: opset, graph. */
static void build_model(struct qn_strbuf *out, size_t size, int fill, uint64_t opset)
{
    struct qn_strbuf import, tensor, graph;
    char            *raw = malloc(size + 1);

    memset(raw, fill, size);
    qn_strbuf_init(out);
    qn_strbuf_init(&import);
    qn_strbuf_init(&tensor);
    qn_strbuf_init(&graph);
    pb_number(&tensor, 1, size);
    pb_number(&tensor, 2, 2); /* uint8 */
    pb_text(&tensor, 8, "w");
    pb_bytes(&tensor, 9, raw, size);
    pb_text(&graph, 2, "g");
    pb_message(&graph, 5, &tensor);
    pb_number(&import, 2, opset);
    pb_number(out, 1, 3);
    pb_message(out, 7, &graph);
    pb_message(out, 8, &import);
    free(raw);
}

static const char *write_model(const char *name, size_t size, int fill)
{
    struct qn_strbuf bytes;
    const char      *path;

    build_model(&bytes, size, fill, 9);
    path = scratch_write(&dir, name, bytes.text, bytes.length);
    qn_strbuf_release(&bytes);
    return path;
}

/* ------------------------------------------------------------------------------------------------ reading, writing */

static const char *const real_models[] = { QN_SOURCE_DIR "/models/mnist_resnet/model.onnx",
                                           QN_SOURCE_DIR "/models/chargpt/model.onnx" };

static void real_models_are_saved_byte_for_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        for (int no_mmap = 0; no_mmap < 2; no_mmap++) {
            struct qn_save_result result;
            struct qn_arena       arena = { 0 };
            const char           *out = scratch_path(&dir, "out.onnx");
            size_t                size;
            char                 *bytes = scratch_read(real_models[i], &size);
            uint8_t              *packed;
            struct qn_digest      expected = digest_of(real_models[i], true);

            open_model(real_models[i], no_mmap);
            assert_int_equal(qn_model_packed_size(&model), size);
            save(out, -1, &result);
            assert_file_is(out, bytes, size);
            assert_int_equal(result.size, size);
            assert_same_digest(&result.input, &expected);
            assert_same_digest(&result.output, &expected);
            assert_int_equal(qn_model_pack(&model, &arena, &packed, &size, NULL), QONNX_OK);
            assert_memory_equal(packed, bytes, size);
            qn_arena_release(&arena);
            free(bytes);
        }
    }
}

/* The digests of a changed model are those of the two files, wherever the change is. */
static void digests_are_those_of_the_files(void **state)
{
    const char *in = scratch_path(&dir, "in.onnx"), *out = scratch_path(&dir, "out.onnx");

    (void)state;
    write_model("in.onnx", 900000, 7);
    for (int change = 0; change < 6; change++) {
        struct qn_save_result result;
        struct qn_digest      input, output;
        Onnx__TensorProto    *tensor;

        open_model(in, false);
        tensor = model.pb->graph->initializer[0];
        if (change == 1) model.pb->ir_version = 12;              /* at the front */
        if (change == 2) model.pb->opset_import[0]->version = 1; /* at the end */
        if (change == 3) model.pb->n_opset_import = 0;           /* shorter, but a prefix */
        if (change == 4) tensor->raw_data.len = 300000;          /* in the middle; leaves a gap */
        if (change == 5) {                                       /* out of order: the input's span comes late */
            tensor->name = qn_arena_alloc(&model.arena, 40000);
            memset(tensor->name, 'n', 39999);
            tensor->raw_data.data += 500000;
            tensor->raw_data.len = 400000;
        }
        save(out, change % 2, &result);
        input = digest_of(in, change % 2);
        output = digest_of(out, change % 2);
        assert_same_digest(&result.input, &input);
        assert_same_digest(&result.output, &output);
        assert_true((strcmp(input.xxh3_128, output.xxh3_128) == 0) == (change == 0));
    }
}

static void sha256_is_the_default_up_to_64_mib(void **state)
{
    struct qn_save_result result;
    const char           *out = scratch_path(&dir, "out.onnx");

    (void)state;
    open_model(write_model("small.onnx", 1000, 1), false);
    save(out, -1, &result);
    assert_int_equal(strlen(result.output.sha256), 64);
    save(out, 0, &result);
    assert_string_equal(result.output.sha256, "");
    open_model(write_model("big.onnx", 64 << 20, 1), false);
    save(out, -1, &result);
    assert_string_equal(result.output.sha256, "");
    assert_string_equal(result.input.sha256, "");
    assert_int_equal(strlen(result.output.xxh3_128), 32);
}

static void a_model_may_be_saved_onto_itself(void **state)
{
    const char           *path = write_model("m.onnx", 700000, 5);
    struct qn_digest      before = digest_of(path, true);
    struct qn_save_result result;
    size_t                size;
    char                 *bytes;

    (void)state;
    open_model(path, false);
    model.pb->producer_name = qn_arena_strdup(&model.arena, "longer than before");
    save(path, 1, &result);
    assert_same_digest(&result.input, &before);
    bytes = scratch_read(path, &size);
    assert_int_equal(size, result.size);
    free(bytes);
    assert_int_equal(model.map.data[0], 8); /* the old file is still there for us */
    assert_int_equal(scratch_count(&dir), 1);
    open_model(path, false);
    assert_string_equal(model.pb->producer_name, "longer than before");
    assert_int_equal(model.pb->graph->initializer[0]->raw_data.data[699999], 5);
}

static void an_output_of_two_gib_is_refused_before_anything_is_written(void **state)
{
    const char        *out = scratch_write(&dir, "out.onnx", "old", 3);
    struct qn_arena    arena = { 0 };
    uint8_t           *bytes;
    size_t             size;
    qonnx_error        err = { 0 };
    Onnx__TensorProto *tensor;

    (void)state;
    open_model(write_model("m.onnx", 10, 5), false);
    tensor = model.pb->graph->initializer[0];
    for (size_t length = (size_t)1 << 31; length <= (size_t)1 << 36; length <<= 5) {
        tensor->raw_data.len = length; /* never read */
        assert_int_equal(qn_model_save(&model, out, &(struct qn_save_options){ .external = QN_EXTERNAL_NEVER }, NULL, &err), QONNX_E_LIMIT);
        assert_non_null(strstr(err.message, "2 GiB"));
        assert_int_equal(qn_model_pack(&model, &arena, &bytes, &size, NULL), QONNX_E_LIMIT);
    }
    assert_file_is(out, "old", 3);
    assert_int_equal(scratch_count(&dir), 2);
}

static void a_folder_that_is_missing_is_one_clear_error(void **state)
{
    qonnx_error err = { 0 };

    (void)state;
    open_model(write_model("m.onnx", 10, 5), false);
    assert_int_equal(qn_model_save(&model, scratch_path(&dir, "none/out.onnx"), &(struct qn_save_options){ .sha256 = 0 }, NULL, &err), QONNX_E_IO);
    assert_non_null(strstr(err.message, "none/out.onnx: cannot write: No such file or directory"));
}

static void what_is_no_model_is_refused(void **state)
{
    (void)state;
    open_fails(scratch_path(&dir, "none.onnx"), QONNX_E_IO, "none.onnx: cannot open: No such file");
    open_fails(dir.folder, QONNX_E_IO, ": is a directory");
    open_fails(scratch_write(&dir, "e.onnx", "", 0), QONNX_E_FORMAT, "e.onnx: the file is empty");
    open_fails(scratch_write(&dir, "n.onnx", "\x08\x08", 2), QONNX_E_FORMAT,
               "n.onnx: not an ONNX model: it has no graph");
    open_fails(scratch_write(&dir, "t.onnx", "hello world", 11), QONNX_E_FORMAT, "t.onnx: not an ONNX model, or a damaged one: byte ");
}

static void a_model_in_memory_is_not_copied(void **state)
{
    struct qn_strbuf bytes;

    (void)state;
    build_model(&bytes, 5000, 3, 13);
    assert_int_equal(qn_model_parse(&model, bytes.text, bytes.length, NULL), QONNX_OK);
    assert_string_equal(model.path, "<memory>");
    assert_true(qn_model_owns(&model, model.pb->graph->initializer[0]->raw_data.data, NULL));
    assert_ptr_equal(model.map.data, bytes.text);
    qn_model_release(&model);
    qn_strbuf_release(&bytes);
}

/* ------------------------------------------------------------------------------------------------ operator sets */

static void an_operator_set_raises_the_ir_version(void **state)
{
    static const struct {
        int64_t opset, ir;
    } table[] = { { 7, 4 },  { 8, 4 },  { 9, 4 },  { 10, 5 },  { 11, 6 },  { 12, 7 },  { 13, 7 },  { 14, 7 }, { 15, 8 },
                  { 18, 8 }, { 19, 9 }, { 20, 9 }, { 21, 10 }, { 22, 10 }, { 23, 11 }, { 24, 12 }, { 25, 13 } };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        open_model(write_model("m.onnx", 1, 1), false);
        qn_model_set_opset(&model, "", table[i].opset);
        assert_int_equal(qn_model_opset(&model, ""), table[i].opset);
        assert_int_equal(qn_model_opset(&model, "ai.onnx"), table[i].opset);
        assert_int_equal(model.pb->ir_version, table[i].ir);
        assert_int_equal(model.pb->n_opset_import, 1);
    }
}

static void an_ir_version_is_never_lowered(void **state)
{
    (void)state;
    open_model(write_model("m.onnx", 1, 1), false);
    model.pb->ir_version = 10;
    qn_model_set_opset(&model, "", 13);
    assert_int_equal(model.pb->ir_version, 10);
    qn_model_set_opset(&model, "com.microsoft", 1);
    assert_int_equal(model.pb->ir_version, 10);
}

static void a_new_domain_is_added_once(void **state)
{
    (void)state;
    open_model(write_model("m.onnx", 1, 1), false);
    assert_int_equal(qn_model_opset(&model, "com.microsoft"), 0);
    qn_model_set_opset(&model, "com.microsoft", 1);
    qn_model_set_opset(&model, "com.microsoft", 2);
    assert_int_equal(qn_model_opset(&model, "com.microsoft"), 2);
    assert_int_equal(qn_model_opset(&model, ""), 9);
    assert_int_equal(model.pb->n_opset_import, 2);
    assert_int_equal(model.pb->ir_version, 4); /* initializers need not be inputs */
}

static void out_of_memory_while_adding_a_domain_is_sticky(void **state)
{
    (void)state;
    for (size_t nth = 1; nth <= 3; nth++) {
        open_model(write_model("m.onnx", 1, 1), false);
        qn_arena_inject_failure(nth, false);
        qn_model_set_opset(&model, "com.microsoft", 1);
        assert_true(qn_arena_failed(&model.arena));
        assert_int_equal(model.pb->n_opset_import, 1);
    }
}

/* ------------------------------------------------------------------------------------------------ memory */

static long peak_kilobytes(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char  line[256];
    long  peak = -1;

    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %ld", &peak) == 1) break;
    if (status) fclose(status);
    return peak;
}

/* Opens and saves 96 MB in a child and compares the peak of its resident memory before and after. */
static void a_large_model_passes_through_little_memory(void **state)
{
    const char *in = write_model("big.onnx", 96 << 20, 1), *out = scratch_path(&dir, "out.onnx");
    int         status;
    pid_t       child = fork();

    (void)state;
    if (child == 0) {
        FILE *clear = fopen("/proc/self/clear_refs", "we"); /* "5" resets the peak to the present size */
        long  before;
        if (!clear || fputs("5", clear) < 0 || fclose(clear) != 0) _exit(3);
        before = peak_kilobytes();
        if (qn_model_open(&model, in, false, NULL) != QONNX_OK) _exit(4);
        if (qn_model_save(&model, out, &(struct qn_save_options){ .sha256 = 0 }, NULL, NULL) != QONNX_OK) _exit(5);
        _exit(before > 0 && peak_kilobytes() - before < 24 << 10 ? 0 : 6);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void touch_and_save(void)
{
    qonnx_error err = { 0 };
    const char *in = scratch_path(&dir, "in.onnx"), *out = scratch_path(&dir, "out.onnx");

    qn_map_guard_install("prog");
    if (qn_model_open(&model, in, false, &err) != QONNX_OK) _exit(3);
    if (truncate(in, 5000) != 0) _exit(4);
    if (qn_model_save(&model, out, &(struct qn_save_options){ .sha256 = 0 }, NULL, &err) != QONNX_OK) _exit(5);
    _exit(0);
}

static void an_input_truncated_while_it_is_saved_leaves_the_old_output(void **state)
{
    const char *out = scratch_write(&dir, "out.onnx", "old", 3);
    int         status;
    pid_t       child;

    (void)state;
    write_model("in.onnx", 3 << 20, 1);
    child = fork();
    if (child == 0) {
        int fd = open("/dev/null", O_WRONLY);
        dup2(fd, STDERR_FILENO);
        touch_and_save();
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    assert_file_is(out, "old", 3);
    assert_int_equal(scratch_count(&dir), 2);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(real_models_are_saved_byte_for_byte),
        T(digests_are_those_of_the_files),
        T(sha256_is_the_default_up_to_64_mib),
        T(a_model_may_be_saved_onto_itself),
        T(an_output_of_two_gib_is_refused_before_anything_is_written),
        T(a_folder_that_is_missing_is_one_clear_error),
        T(what_is_no_model_is_refused),
        T(a_model_in_memory_is_not_copied),
        T(an_operator_set_raises_the_ir_version),
        T(an_ir_version_is_never_lowered),
        T(a_new_domain_is_added_once),
        T(out_of_memory_while_adding_a_domain_is_sticky),
        T(a_large_model_passes_through_little_memory),
        T(an_input_truncated_while_it_is_saved_leaves_the_old_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
