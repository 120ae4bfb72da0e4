/* SPDX-License-Identifier: Apache-2.0
 * Tensors whose data are in files beside the model. */
#include <sys/stat.h>

#include "base/strbuf.h"
#include "cmocka_all.h"
#include "model_files.h"
#include "onnx/save.h"
#include "protobytes.h"

static void save(const char *path)
{
    qonnx_error err = { 0 };

    if (qn_model_save(&model, path, &(struct qn_save_options){ .sha256 = 0 }, NULL, &err) != QONNX_OK) fail_msg("%s", err.message);
}

static void add_entry(struct qn_strbuf *tensor, const char *key, const char *value)
{
    struct qn_strbuf entry;

    if (!value) return;
    qn_strbuf_init(&entry);
    pb_text(&entry, 1, key);
    pb_text(&entry, 2, value);
    pb_message(tensor, 13, &entry);
}

/* A uint8 tensor of four elements, outside. */
static void external_tensor(struct qn_strbuf *tensor, const char *location, const char *offset, const char *length)
{
    qn_strbuf_init(tensor);
    pb_number(tensor, 1, 4);
    pb_number(tensor, 2, 2);
    pb_text(tensor, 8, "outer");
    add_entry(tensor, "location", location);
    add_entry(tensor, "offset", offset);
    add_entry(tensor, "length", length);
    add_entry(tensor, "checksum", "0123");
    pb_number(tensor, 14, 1);
}

static const char *write_external(const char *location, const char *offset, const char *length)
{
    struct qn_strbuf tensor, graph, bytes;
    const char      *path;

    qn_strbuf_init(&graph);
    qn_strbuf_init(&bytes);
    external_tensor(&tensor, location, offset, length);
    pb_message(&graph, 5, &tensor);
    pb_message(&bytes, 7, &graph);
    path = scratch_write(&dir, "m.onnx", bytes.text, bytes.length);
    qn_strbuf_release(&bytes);
    return path;
}

static void external_data_are_attached_and_become_part_of_the_output(void **state)
{
    const Onnx__TensorProto *tensor;
    const char              *out = scratch_path(&dir, "out.onnx");

    (void)state;
    scratch_write(&dir, "data", "..abcd..", 8);
    for (int no_mmap = 0; no_mmap < 2; no_mmap++) {
        open_model(write_external("data", "2", "4"), no_mmap);
        tensor = model.pb->graph->initializer[0];
        assert_int_equal(tensor->raw_data.len, 4);
        assert_memory_equal(tensor->raw_data.data, "abcd", 4);
        assert_false(tensor->has_data_location);
        assert_int_equal(tensor->n_external_data, 0);
        assert_int_equal(model.external_count, 1);
        assert_true(qn_model_owns(&model, tensor->raw_data.data, NULL));
        save(out);
    }
    assert_int_equal(unlink(scratch_path(&dir, "data")), 0);
    open_model(out, false);
    assert_memory_equal(model.pb->graph->initializer[0]->raw_data.data, "abcd", 4);
}

static void without_a_length_the_shape_decides(void **state)
{
    (void)state;
    scratch_write(&dir, "data", "..abcd..", 8);
    open_model(write_external("data", "2", NULL), false);
    assert_int_equal(model.pb->graph->initializer[0]->raw_data.len, 4);
    open_model(write_external("data", NULL, NULL), false);
    assert_memory_equal(model.pb->graph->initializer[0]->raw_data.data, "..ab", 4);
    open_fails(write_external("data", "5", NULL), QONNX_E_FORMAT, "4 bytes at offset 5 of 'data', which holds 8 bytes");
}

static void bad_external_data_name_the_tensor(void **state)
{
    static const struct {
        const char  *location, *offset, *length;
        qonnx_status status;
        const char  *text;
    } bad[] = {
        { "data", "0", "9", QONNX_E_FORMAT, "9 bytes at offset 0 of 'data', which holds 8 bytes" },
        { "data", "9", "0", QONNX_E_FORMAT, "0 bytes at offset 9 of 'data', which holds 8 bytes" },
        { "data", "18446744073709551615", "2", QONNX_E_FORMAT, "which holds 8 bytes" },
        { "data", "18446744073709551616", "2", QONNX_E_FORMAT, "offset '18446744073709551616' is not a number" },
        { "data", "-1", "2", QONNX_E_FORMAT, "offset '-1' is not a number" },
        { "data", "", "2", QONNX_E_FORMAT, "offset '' is not a number" },
        { "data", "0", "4 ", QONNX_E_FORMAT, "length '4 ' is not a number" },
        { "data", "0x1", "1", QONNX_E_FORMAT, "offset '0x1' is not a number" },
        { "none", "0", "4", QONNX_E_IO, "none: cannot open: No such file" },
        { "../data", "0", "4", QONNX_E_FORMAT, "'../data' leaves the model's folder" },
        { "/etc/passwd", "0", "4", QONNX_E_FORMAT, "'/etc/passwd' is an absolute path" },
        { "", "0", "4", QONNX_E_FORMAT, "empty file name" },
        { NULL, "0", "4", QONNX_E_FORMAT, "external data without a location" },
        { "sub", "0", "4", QONNX_E_IO, "is a directory" },
    };

    (void)state;
    scratch_write(&dir, "data", "..abcd..", 8);
    assert_int_equal(mkdir(scratch_path(&dir, "sub"), 0700), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *path = write_external(bad[i].location, bad[i].offset, bad[i].length);
        open_fails(path, bad[i].status, bad[i].text);
        open_fails(path, bad[i].status, "m.onnx: tensor 'outer': ");
    }
}

static void a_tensor_has_its_data_in_one_place(void **state)
{
    struct qn_strbuf tensor, graph, bytes;

    (void)state;
    scratch_write(&dir, "data", "..abcd..", 8);
    qn_strbuf_init(&graph);
    qn_strbuf_init(&bytes);
    external_tensor(&tensor, "data", "0", "4");
    pb_bytes(&tensor, 9, "1234", 4);
    pb_message(&graph, 5, &tensor);
    pb_message(&bytes, 7, &graph);
    open_fails(scratch_write(&dir, "m.onnx", bytes.text, bytes.length), QONNX_E_FORMAT,
               "both raw_data and external data");
    qn_strbuf_release(&bytes);
}

static void in_memory_models_have_no_external_data(void **state)
{
    size_t      size;
    char       *bytes = scratch_read(write_external("data", "0", "4"), &size);
    qonnx_error err = { 0 };

    (void)state;
    assert_int_equal(qn_model_parse(&model, bytes, size, &err), QONNX_E_UNSUPPORTED);
    assert_string_equal(err.message, "tensor 'outer': external data in a model that is not a file");
    free(bytes);
}

/* Initializer, sparse initializer, attribute, nested graph, function: one file, mapped once. */
static void tensors_anywhere_are_attached(void **state)
{
    struct qn_strbuf tensor, sparse, attribute, node, inner, graph, function, bytes;

    (void)state;
    scratch_write(&dir, "data", "abcdefgh", 8);
    qn_strbuf_init(&graph);
    external_tensor(&tensor, "data", "0", "4");
    pb_message(&graph, 5, &tensor);
    qn_strbuf_init(&sparse);
    external_tensor(&tensor, "data", "1", "4");
    pb_message(&sparse, 2, &tensor);
    pb_message(&graph, 15, &sparse);
    qn_strbuf_init(&inner);
    external_tensor(&tensor, "./data", "2", "4");
    pb_message(&inner, 5, &tensor);
    qn_strbuf_init(&attribute);
    pb_message(&attribute, 6, &inner);
    qn_strbuf_init(&node);
    pb_message(&node, 5, &attribute);
    pb_message(&graph, 1, &node);
    qn_strbuf_init(&attribute);
    external_tensor(&tensor, "data", "3", "4");
    pb_message(&attribute, 10, &tensor);
    qn_strbuf_init(&node);
    pb_message(&node, 5, &attribute);
    qn_strbuf_init(&function);
    pb_message(&function, 7, &node);
    qn_strbuf_init(&bytes);
    pb_message(&bytes, 7, &graph);
    pb_message(&bytes, 25, &function);
    open_model(scratch_write(&dir, "m.onnx", bytes.text, bytes.length), false);
    qn_strbuf_release(&bytes);
    assert_int_equal(model.external_count, 1);
    assert_int_equal(model.pb->graph->initializer[0]->raw_data.data[0], 'a');
    assert_int_equal(model.pb->graph->sparse_initializer[0]->indices->raw_data.data[0], 'b');
    assert_int_equal(model.pb->graph->node[0]->attribute[0]->g->initializer[0]->raw_data.data[0], 'c');
    assert_int_equal(model.pb->functions[0]->node[0]->attribute[0]->tensors[0]->raw_data.data[0], 'd');
}

/* A field is only absent where nothing marks it external: what DEFAULT tensors carry stays. */
static void entries_of_tensors_that_are_not_external_stay(void **state)
{
    struct qn_strbuf tensor, graph, bytes;

    (void)state;
    qn_strbuf_init(&tensor);
    qn_strbuf_init(&graph);
    qn_strbuf_init(&bytes);
    pb_bytes(&tensor, 9, "1234", 4);
    add_entry(&tensor, "location", "nowhere");
    pb_number(&tensor, 14, 0);
    pb_message(&graph, 5, &tensor);
    pb_message(&bytes, 7, &graph);
    open_model(scratch_write(&dir, "m.onnx", bytes.text, bytes.length), false);
    assert_int_equal(model.pb->graph->initializer[0]->n_external_data, 1);
    save(scratch_path(&dir, "out.onnx"));
    assert_file_is(scratch_path(&dir, "out.onnx"), bytes.text, bytes.length);
    qn_strbuf_release(&bytes);
}

static void every_failing_allocation_is_out_of_memory_and_leaves_nothing(void **state)
{
    size_t failures = 0;

    (void)state;
    scratch_write(&dir, "data", "abcdefgh", 8);
    write_external("data", "0", "4");
    for (int sticky = 0; sticky < 2; sticky++) {
        for (size_t nth = 1;; nth++) {
            struct qn_model opened;
            struct qn_arena arena = { 0 };
            uint8_t        *bytes = NULL;
            size_t          size;
            qonnx_error     err = { 0 };
            qonnx_status    status;

            qn_arena_inject_failure(nth, sticky);
            status = qn_model_open(&opened, scratch_path(&dir, "m.onnx"), false, &err);
            if (status == QONNX_OK) {
                status = qn_model_pack(&opened, &arena, &bytes, &size, &err);
                qn_model_release(&opened);
            }
            qn_arena_inject_failure(0, false);
            qn_arena_release(&arena);
            if (status == QONNX_OK) break;
            assert_int_equal(status, QONNX_E_NOMEM);
            assert_non_null(strstr(err.message, "out of memory"));
            failures++;
        }
    }
    assert_true(failures > 20);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(external_data_are_attached_and_become_part_of_the_output),
        T(without_a_length_the_shape_decides),
        T(bad_external_data_name_the_tensor),
        T(a_tensor_has_its_data_in_one_place),
        T(in_memory_models_have_no_external_data),
        T(tensors_anywhere_are_attached),
        T(entries_of_tensors_that_are_not_external_stay),
        T(every_failing_allocation_is_out_of_memory_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
