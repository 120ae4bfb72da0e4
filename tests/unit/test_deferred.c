/* SPDX-License-Identifier: Apache-2.0
 * Tensors whose bytes are made when they are written, and files of data beside a model. */
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "cmocka_all.h"
#include "model_files.h"
#include "onnx/deferred.h"
#include "onnx/save.h"
#include "onnx/tensor.h"
#include "protobytes.h"

/* A file with three tensors of bytes, the i-th of sizes[i] times the value i + 1. */
static const char *write_model(const char *name, const size_t *sizes)
{
    struct qn_strbuf graph, bytes, tensor;
    char             text[] = "a";

    qn_strbuf_init(&graph);
    for (size_t i = 0; i < 3; i++, text[0]++) {
        char *raw = malloc(sizes[i]);
        memset(raw, (int)i + 1, sizes[i]);
        qn_strbuf_init(&tensor);
        pb_number(&tensor, 1, sizes[i]);
        pb_number(&tensor, 2, 2);
        pb_text(&tensor, 8, text);
        pb_bytes(&tensor, 9, raw, sizes[i]);
        pb_message(&graph, 5, &tensor);
        free(raw);
    }
    qn_strbuf_init(&bytes);
    pb_number(&bytes, 1, 8);
    pb_message(&bytes, 7, &graph);
    scratch_write(&dir, name, bytes.text, bytes.length);
    qn_strbuf_release(&bytes);
    return scratch_path(&dir, name);
}

/* Byte i is a function of i and of nothing else. */
static uint8_t byte_at(size_t i) { return (uint8_t)(i * 2654435761u >> 13); }

struct made {
    atomic_size_t units;
    size_t        fail_at, kill_at; /* offsets; SIZE_MAX: never */
};

static qonnx_status make(const void *context, struct qn_piece piece, uint8_t *bytes, qonnx_error *err)
{
    struct made *made = (struct made *)(uintptr_t)context;
    const size_t offset = piece.offset, size = piece.size;

    atomic_fetch_add(&made->units, 1);
    if (offset + size > made->kill_at) raise(SIGKILL);
    if (offset + size > made->fail_at) return qn_fail(err, QONNX_E_UNSUPPORTED, "offset %zu", offset);
    for (size_t i = 0; i < size; i++) bytes[i] = byte_at(offset + i);
    return QONNX_OK;
}

/* Puts a deferred tensor in the place of the second one. */
static Onnx__TensorProto *defer(struct made *made, size_t size)
{
    struct qn_deferred d = { .size = size, .unit = 10000, .make = make, .context = made };
    Onnx__TensorProto *tensor = model.pb->graph->initializer[1], *source = model.pb->graph->initializer[0];

    d.source = source->raw_data.data;
    d.source_size = source->raw_data.len;
    tensor->raw_data.data = qn_model_defer(&model, &d);
    tensor->raw_data.len = size;
    tensor->dims[0] = (int64_t)size;
    assert_non_null(tensor->raw_data.data);
    assert_ptr_equal(qn_model_deferred(&model, tensor->raw_data.data)->make, make);
    assert_null(qn_model_deferred(&model, source->raw_data.data));
    return tensor;
}

static const size_t   sizes[] = { 3000000, 5, 20000 };
static const uint64_t deferred_size = 1234567;

static void check_saved(const char *path)
{
    const Onnx__TensorProto *tensor;

    open_model(path, false);
    assert_int_equal(model.pb->graph->n_initializer, 3);
    for (size_t i = 0; i < 3; i++) {
        tensor = model.pb->graph->initializer[i];
        assert_int_equal(qn_tensor_check(tensor, NULL), QONNX_OK);
        assert_int_equal(tensor->raw_data.len, i == 1 ? deferred_size : sizes[i]);
        for (size_t k = 0; k < tensor->raw_data.len; k++)
            if (tensor->raw_data.data[k] != (i == 1 ? byte_at(k) : i + 1)) fail_msg("byte %zu of %zu", k, i);
    }
}

static void assert_digest_is_of(const struct qn_digest *digest, const char *path)
{
    struct qn_hasher *hasher = qn_hasher_new(true);
    struct qn_digest  whole;
    size_t            size;
    char             *bytes = scratch_read(path, &size);

    qn_hasher_add(hasher, bytes, size);
    qn_hasher_finish(hasher, &whole);
    assert_string_equal(digest->xxh3_128, whole.xxh3_128);
    assert_string_equal(digest->sha256, whole.sha256);
    free(bytes);
}

static void what_is_deferred_is_written_as_if_it_had_been_there(void **state)
{
    const char           *in = write_model("in.onnx", sizes), *out = scratch_path(&dir, "out.onnx");
    struct qn_save_result result;
    qonnx_error           err = { 0 };

    (void)state;
    for (int threads = 1; threads <= 5; threads += 2) {
        struct made made = { .fail_at = SIZE_MAX, .kill_at = SIZE_MAX };
        open_model(in, false);
        defer(&made, deferred_size);
        assert_int_equal(qn_model_save(&model, out, &(struct qn_save_options){ .sha256 = 1, .threads = threads },
                                       &result, &err),
                         QONNX_OK);
        assert_int_equal(made.units, (deferred_size + 9999) / 10000);
        assert_digest_is_of(&result.input, in);
        assert_digest_is_of(&result.output, out);
        assert_int_equal(result.file_count, 0);
        check_saved(out);
        assert_int_equal(result.total, model.map.size);
    }
}

static void what_is_deferred_can_be_made_in_place(void **state)
{
    struct made        made = { .fail_at = SIZE_MAX, .kill_at = SIZE_MAX };
    Onnx__TensorProto *tensor;
    uint8_t           *packed;
    size_t             size;

    (void)state;
    open_model(write_model("in.onnx", sizes), false);
    tensor = defer(&made, deferred_size);
    for (int again = 0; again < 2; again++) assert_int_equal(qn_model_make_deferred(&model, NULL), QONNX_OK);
    assert_int_equal(made.units, (deferred_size + 9999) / 10000);
    for (size_t i = 0; i < deferred_size; i++) assert_int_equal(tensor->raw_data.data[i], byte_at(i));
    assert_int_equal(qn_model_pack(&model, &model.arena, &packed, &size, NULL), QONNX_OK);
    assert_int_equal(qn_model_save(&model, scratch_path(&dir, "out.onnx"), &(struct qn_save_options){ .threads = 2 },
                                   NULL, NULL),
                     QONNX_OK);
    assert_file_is(scratch_path(&dir, "out.onnx"), packed, size);
}

static void a_unit_that_cannot_be_made_ends_the_save(void **state)
{
    const char *in = write_model("in.onnx", sizes), *out = scratch_write(&dir, "out.onnx", "old", 3);

    (void)state;
    for (int threads = 1; threads <= 4; threads++) {
        struct made made = { .fail_at = 200000, .kill_at = SIZE_MAX };
        qonnx_error err = { 0 };
        open_model(in, false);
        defer(&made, deferred_size);
        assert_int_equal(qn_model_save(&model, out,
                                       &(struct qn_save_options){ .threads = threads,
                                                                  .external = threads % 2 ? QN_EXTERNAL_ALWAYS
                                                                                          : QN_EXTERNAL_AUTO },
                                       NULL, &err),
                         QONNX_E_UNSUPPORTED);
        assert_string_equal(err.message, "offset 200000");
        assert_file_is(out, "old", 3);
        assert_int_equal(scratch_count(&dir), 2);
    }
}

/* ------------------------------------------------------------------------------------------- parts, and what is along */

enum { PART_BYTES = 1000, PARTS = 10, PIECES = 124 * PARTS /* of the deferred size, in units of 10 parts */ };

struct in_parts {
    uint32_t     *along; /* by piece: its number and the time it was made */
    atomic_size_t made;
    bool          fail;
};

static qonnx_status make_part(const void *context, struct qn_piece piece, uint8_t *bytes, qonnx_error *err)
{
    struct in_parts *p = (struct in_parts *)(uintptr_t)context;
    const size_t     from = piece.part * PART_BYTES, left = piece.size > from ? piece.size - from : 0,
                 number = piece.offset / PART_BYTES + piece.part;

    if (p->fail && number == 57) return qn_fail(err, QONNX_E_UNSUPPORTED, "piece %zu", number);
    for (size_t i = 0; i < (left < PART_BYTES ? left : PART_BYTES); i++)
        bytes[from + i] = byte_at(piece.offset + from + i);
    p->along[number] = (uint32_t)number;
    atomic_fetch_add(&p->made, 1);
    return QONNX_OK;
}

/* The second tensor is made in parts, and the third along with it; or the first, so that it is written before. */
static void defer_both(struct in_parts *p, size_t along)
{
    Onnx__GraphProto  *graph = model.pb->graph;
    struct qn_deferred d = {
        .size = deferred_size, .unit = PARTS * PART_BYTES, .parts = PARTS, .make = make_part, .context = p
    };

    d.source = graph->initializer[1]->raw_data.data;
    d.source_size = graph->initializer[1]->raw_data.len;
    graph->initializer[1]->raw_data.data = qn_model_defer(&model, &d);
    graph->initializer[1]->raw_data.len = deferred_size;
    graph->initializer[1]->dims[0] = (int64_t)deferred_size;
    d = (struct qn_deferred){ .size = PIECES * sizeof *p->along, .along = graph->initializer[1]->raw_data.data };
    p->along = (uint32_t *)(void *)qn_model_defer(&model, &d);
    graph->initializer[along]->raw_data.data = (uint8_t *)p->along;
    graph->initializer[along]->raw_data.len = d.size;
    graph->initializer[along]->dims[0] = (int64_t)d.size;
}

static void check_parts(const char *path, size_t along)
{
    const Onnx__TensorProto *tensor;
    uint32_t                 number;

    open_model(path, false);
    tensor = model.pb->graph->initializer[1];
    assert_int_equal(tensor->raw_data.len, deferred_size);
    for (size_t k = 0; k < deferred_size; k++) assert_int_equal(tensor->raw_data.data[k], byte_at(k));
    tensor = model.pb->graph->initializer[along];
    assert_int_equal(tensor->raw_data.len, PIECES * sizeof number);
    for (uint32_t k = 0; k < PIECES; k++) {
        memcpy(&number, tensor->raw_data.data + k * sizeof number, sizeof number);
        assert_int_equal(number, k);
    }
}

static void parts_of_units_and_what_is_made_along_are_written_in_any_order(void **state)
{
    const char *in = write_model("in.onnx", sizes), *out = scratch_path(&dir, "out.onnx");

    (void)state;
    for (int threads = 1; threads <= 5; threads += 2)
        for (size_t along = 0; along <= 2; along += 2)
            for (int external = QN_EXTERNAL_ALWAYS; external <= QN_EXTERNAL_NEVER; external++) {
                const struct qn_save_options options = { .sha256 = 1,
                                                         .threads = threads,
                                                         .external = (enum qn_external)external };
                struct in_parts              p = { NULL };
                struct qn_save_result        result;
                for (int again = 0; again < 2; again++) { /* what was given back is made again */
                    if (!again) {
                        open_model(in, false);
                        defer_both(&p, along);
                    }
                    assert_int_equal(qn_model_save(&model, out, &options, &result, NULL), QONNX_OK);
                    assert_digest_is_of(&result.input, in);
                    assert_digest_is_of(&result.output, out);
                }
                assert_int_equal(p.made, along ? 2 * PIECES : 3 * PIECES); /* once just for it when it comes first */
                check_parts(out, along);
            }
}

static void what_is_made_along_is_there_when_all_is_made(void **state)
{
    struct in_parts p = { NULL };

    (void)state;
    open_model(write_model("in.onnx", sizes), false);
    defer_both(&p, 2);
    for (int again = 0; again < 2; again++) {
        assert_int_equal(qn_model_make_deferred(&model, NULL), QONNX_OK);
        assert_int_equal(p.made, PIECES);
        for (uint32_t i = 0; i < PIECES; i++) assert_int_equal(p.along[i], i);
    }
    assert_int_equal(qn_model_save(&model, scratch_path(&dir, "out.onnx"), &(struct qn_save_options){ .threads = 2 },
                                   NULL, NULL),
                     QONNX_OK);
    assert_int_equal(p.made, PIECES);
    assert_int_equal(p.along[7], 7); /* somebody else may read it */
    check_parts(scratch_path(&dir, "out.onnx"), 2);
}

static void a_part_that_cannot_be_made_ends_the_save(void **state)
{
    const char *in = write_model("in.onnx", sizes), *out = scratch_write(&dir, "out.onnx", "old", 3);

    (void)state;
    for (int threads = 1; threads <= 4; threads++)
        for (size_t along = 0; along <= 2; along += 2) {
            struct in_parts p = { .fail = true };
            qonnx_error     err = { 0 };
            open_model(in, false);
            defer_both(&p, along);
            assert_int_equal(qn_model_save(&model, out, &(struct qn_save_options){ .threads = threads }, NULL, &err),
                             QONNX_E_UNSUPPORTED);
            assert_string_equal(err.message, "piece 57");
            assert_file_is(out, "old", 3);
            assert_int_equal(scratch_count(&dir), 2);
        }
}

/* ------------------------------------------------------------------------------------------------ files of data */

static void data_in_a_file_are_read_back(void **state)
{
    const char                  *in = write_model("in.onnx", sizes), *out = scratch_path(&dir, "out.onnx");
    const struct qn_save_options always = { .sha256 = 1, .external = QN_EXTERNAL_ALWAYS, .threads = 2 };
    struct made                  made = { .fail_at = SIZE_MAX, .kill_at = SIZE_MAX };
    struct qn_save_result        result;
    struct stat                  info;

    (void)state;
    open_model(in, false);
    defer(&made, deferred_size);
    assert_int_equal(qn_model_save(&model, out, &always, &result, NULL), QONNX_OK);
    assert_false(model.pb->graph->initializer[0]->has_data_location); /* as it was */
    assert_int_equal(model.pb->graph->initializer[2]->raw_data.data[0], 3);
    assert_int_equal(result.file_count, 1);
    assert_string_equal(result.files[0].name, "out.onnx.data");
    assert_digest_is_of(&result.input, in);
    assert_digest_is_of(&result.output, out);
    assert_digest_is_of(&result.files[0].digest, scratch_path(&dir, "out.onnx.data"));
    assert_int_equal(stat(scratch_path(&dir, "out.onnx.data"), &info), 0);
    assert_int_equal(info.st_size, result.files[0].size);
    assert_int_equal(result.total, result.size + result.files[0].size);
    assert_int_equal(scratch_count(&dir), 3);
    check_saved(out);
    assert_int_equal(model.external_count, 1);
    for (size_t i = 0; i < 3; i++) /* a runtime can map each */
        assert_int_equal((model.pb->graph->initializer[i]->raw_data.data - model.externals[0].data) % 4096, 0);
}

static void shards_end_where_they_would_be_too_large(void **state)
{
    struct made           made = { .fail_at = SIZE_MAX, .kill_at = SIZE_MAX };
    struct qn_save_result result;

    (void)state;
    open_model(write_model("in.onnx", sizes), false);
    defer(&made, deferred_size);
    assert_int_equal(qn_model_save(&model, scratch_path(&dir, "out.onnx"),
                                   &(struct qn_save_options){ .external = QN_EXTERNAL_ALWAYS, .shard_size = 1300000 },
                                   &result, NULL),
                     QONNX_OK);
    assert_int_equal(result.file_count, 2); /* the first tensor is larger than that, the others fit one file */
    assert_string_equal(result.files[0].name, "out.onnx.data-00001-of-00002");
    assert_int_equal(result.files[0].size, sizes[0]);
    assert_string_equal(result.files[1].name, "out.onnx.data-00002-of-00002");
    assert_int_equal(result.files[1].size, 1236992 + sizes[2]);
    check_saved(scratch_path(&dir, "out.onnx"));
}

static void small_tensors_stay_in_the_model(void **state)
{
    static const size_t   small[] = { 1023, 1024, 3 };
    struct qn_save_result result;

    (void)state;
    open_model(write_model("in.onnx", small), false);
    assert_int_equal(qn_model_save(&model, scratch_path(&dir, "out.onnx"),
                                   &(struct qn_save_options){ .external = QN_EXTERNAL_ALWAYS }, &result, NULL),
                     QONNX_OK);
    assert_int_equal(result.files[0].size, 1024);
    open_model(scratch_path(&dir, "out.onnx"), false);
    assert_true(qn_map_contains(&model.map, model.pb->graph->initializer[0]->raw_data.data));
    assert_true(qn_map_contains(&model.externals[0], model.pb->graph->initializer[1]->raw_data.data));
}

static void two_gib_and_more_go_into_files_by_themselves(void **state)
{
    const struct qn_save_options automatic = { .threads = 1 };
    struct qn_spill              spill;
    Onnx__TensorProto           *tensor;

    (void)state;
    open_model(write_model("in.onnx", sizes), false);
    tensor = model.pb->graph->initializer[0];
    assert_int_equal(qn_spill_begin(&spill, &model, "out.onnx", &automatic, NULL), QONNX_OK);
    assert_int_equal(spill.file_count, 0);
    qn_spill_end(&spill);
    tensor->raw_data.len = (size_t)INT_MAX; /* never read */
    assert_int_equal(qn_spill_begin(&spill, &model, "out.onnx", &automatic, NULL), QONNX_OK);
    assert_int_equal(spill.file_count, 1);
    assert_false(tensor->has_raw_data);
    qn_spill_end(&spill);
    assert_int_equal(tensor->raw_data.len, INT_MAX);
    assert_true(tensor->has_raw_data);
}

static void weights_of_another_model_are_not_replaced(void **state)
{
    const struct qn_save_options always = { .external = QN_EXTERNAL_ALWAYS };
    const char                  *first = scratch_path(&dir, "b.onnx"), *second = scratch_path(&dir, "a.onnx");
    char                        *before, *after;
    size_t                       size;
    qonnx_error                  err = { 0 };

    (void)state;
    open_model(write_model("in.onnx", sizes), false);
    assert_int_equal(qn_model_save(&model, first, &always, NULL, NULL), QONNX_OK); /* b.onnx and b.onnx.data */
    assert_int_equal(rename(first, second), 0);
    before = scratch_read(scratch_path(&dir, "b.onnx.data"), &size);
    open_model(second, false);
    assert_int_equal(qn_model_save(&model, first, &always, NULL, &err), QONNX_E_USAGE);
    assert_non_null(strstr(err.message, "b.onnx.data' holds weights of the model"));
    after = scratch_read(scratch_path(&dir, "b.onnx.data"), &size);
    assert_memory_equal(before, after, size);
    free(before);
    free(after);
    assert_int_equal(rename(second, first), 0);
    open_model(first, false);
    assert_int_equal(qn_model_save(&model, first, &always, NULL, NULL), QONNX_OK); /* the whole model may be replaced */
    assert_int_equal(scratch_count(&dir), 3);
    open_model(first, false);
    assert_int_equal(model.pb->graph->initializer[2]->raw_data.data[19999], 3);
}

static void a_killed_save_leaves_nothing_under_the_names_of_its_files(void **state)
{
    const char *in = write_model("in.onnx", sizes), *out = scratch_path(&dir, "out.onnx");
    int         status;
    pid_t       child = fork();

    (void)state;
    if (child == 0) {
        struct made made = { .fail_at = SIZE_MAX, .kill_at = 900000 };
        open_model(in, false);
        defer(&made, deferred_size);
        _exit(qn_model_save(&model, out, &(struct qn_save_options){ .external = QN_EXTERNAL_ALWAYS, .threads = 2 },
                            NULL, NULL) == QONNX_OK);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_int_not_equal(access(out, F_OK), 0);
    assert_int_not_equal(access(scratch_path(&dir, "out.onnx.data"), F_OK), 0);
}

static void memory_that_runs_out_leaves_everything_as_it_was(void **state)
{
    bool done = false;

    (void)state;
    write_model("in.onnx", sizes);
    for (size_t nth = 1; !done; nth++) {
        struct made  made = { .fail_at = SIZE_MAX, .kill_at = SIZE_MAX };
        qonnx_status status;
        open_model(scratch_path(&dir, "in.onnx"), false);
        defer(&made, deferred_size);
        qn_arena_inject_failure(nth, false);
        status = qn_model_save(&model, scratch_path(&dir, "out.onnx"),
                               &(struct qn_save_options){ .external = QN_EXTERNAL_ALWAYS, .threads = 2 }, NULL, NULL);
        qn_arena_inject_failure(0, false);
        assert_true(status == QONNX_OK || status == QONNX_E_NOMEM);
        assert_int_equal(model.pb->graph->initializer[0]->raw_data.len, sizes[0]);
        assert_true(model.pb->graph->initializer[0]->has_raw_data);
        if (!(done = status == QONNX_OK)) assert_int_equal(scratch_count(&dir), 1);
        assert_true(nth < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_deferred_is_written_as_if_it_had_been_there, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_deferred_can_be_made_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_unit_that_cannot_be_made_ends_the_save, setup, teardown),
        cmocka_unit_test_setup_teardown(parts_of_units_and_what_is_made_along_are_written_in_any_order, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_made_along_is_there_when_all_is_made, setup, teardown),
        cmocka_unit_test_setup_teardown(a_part_that_cannot_be_made_ends_the_save, setup, teardown),
        cmocka_unit_test_setup_teardown(data_in_a_file_are_read_back, setup, teardown),
        cmocka_unit_test_setup_teardown(shards_end_where_they_would_be_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(small_tensors_stay_in_the_model, setup, teardown),
        cmocka_unit_test_setup_teardown(two_gib_and_more_go_into_files_by_themselves, setup, teardown),
        cmocka_unit_test_setup_teardown(weights_of_another_model_are_not_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(a_killed_save_leaves_nothing_under_the_names_of_its_files, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_that_runs_out_leaves_everything_as_it_was, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
