/* SPDX-License-Identifier: Apache-2.0
 * Hostile files: each is refused with the words hostile.tsv has for it, nothing is written and an existing output stays.
 * `test_hostile --print` prints the table anew. */
#include <dirent.h>

#include "cmocka_all.h"
#include "onnx/check.h"
#include "onnx/graph.h"
#include "onnx/save.h"
#include "protobytes.h"
#include "scratch.h"

#define CORPUS QN_SOURCE_DIR "/tests/fuzz/corpus/fuzz_load"

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

/* Open, index, check, save: what a copy does. */
static qonnx_status copy(const char *in, const char *out, qonnx_error *err)
{
    struct qn_model model;
    struct qn_graph graph;
    qonnx_status    status = qn_model_open(&model, in, false, err);

    if (status != QONNX_OK) return status;
    status = qn_graph_build(&graph, &model, err);
    if (status == QONNX_OK) {
        status = qn_check(&graph, err);
        qn_graph_release(&graph);
    }
    if (status == QONNX_OK) status = qn_model_save(&model, out, &(struct qn_save_options){ .sha256 = 0 }, NULL, err);
    qn_model_release(&model);
    return status;
}

static int is_input(const struct dirent *entry) { return strncmp(entry->d_name, "bad_", 4) == 0; }

/* "NAME<tab>STATUS<tab>text" for each bad_ file, sorted. */
static void describe(struct qn_strbuf *table, const char *out)
{
    struct dirent **entries;
    int             count = scandir(CORPUS, &entries, is_input, alphasort);

    for (int i = 0; i < count; i++) {
        char         path[600];
        qonnx_error  err = { 0 };
        qonnx_status status;

        snprintf(path, sizeof path, "%s/%s", CORPUS, entries[i]->d_name);
        status = copy(path, out, &err);
        /* the folder of the source is not part of the promise */
        qn_strbuf_printf(table, "%s\t%s\t%s\n", entries[i]->d_name, qonnx_status_name(status),
                         strncmp(err.message, path, strlen(path)) == 0 ? err.message + strlen(path) + 2 : err.message);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

static void each_hostile_file_is_refused_in_its_own_words(void **state)
{
    const char      *out = scratch_write(&dir, "out.onnx", "old", 3);
    char            *expected = scratch_read(QN_SOURCE_DIR "/tests/fault/hostile.tsv", NULL);
    struct qn_strbuf table;

    (void)state;
    qn_strbuf_init(&table);
    describe(&table, out);
    assert_string_equal(table.text, expected);
    assert_null(strstr(table.text, "\tOK\t"));
    assert_true(table.length > 2000);
    assert_file_is(out, "old", 3);
    assert_int_equal(scratch_count(&dir), 1);
    qn_strbuf_release(&table);
    free(expected);
}

/* Both real and made models; the outcome at every cut is a refusal, as the graph is never complete. */
static void a_model_cut_anywhere_is_refused(void **state)
{
    static const char *const sources[] = { QN_SOURCE_DIR "/models/mnist_resnet/model.onnx",
                                           CORPUS "/good_convolution.onnx", CORPUS "/good_attributes.onnx" };
    const char              *out = scratch_path(&dir, "out.onnx");
    size_t                   refused = 0;

    (void)state;
    for (size_t s = 0; s < sizeof sources / sizeof *sources; s++) {
        size_t size;
        char  *bytes = scratch_read(sources[s], &size);

        for (size_t cut = 0; cut < size; cut += 64) {
            qonnx_error  err = { 0 };
            const char  *in = scratch_write(&dir, "in.onnx", bytes, cut);
            qonnx_status status = copy(in, out, &err);

            assert_int_equal(status, QONNX_E_FORMAT);
            assert_int_equal(err.status, status);
            assert_memory_equal(err.message, in, strlen(in));
            refused++;
        }
        free(bytes);
    }
    assert_true(refused > 2000);
    assert_int_equal(scratch_count(&dir), 1);
}

/* 5,000 graphs within each other: 30 KB that would run stock protobuf-c out of stack. */
static void five_thousand_nested_graphs_are_refused(void **state)
{
    static const uint32_t through[] = { 6, 5, 1 }; /* attribute.g, node.attribute, graph.node */
    struct qn_strbuf      inner, outer;
    qonnx_error           err = { 0 };

    (void)state;
    qn_strbuf_init(&inner);
    pb_text(&inner, 2, "innermost");
    for (int i = 0; i < 5000 * 3; i++) {
        qn_strbuf_init(&outer);
        pb_message(&outer, through[i % 3], &inner);
        inner = outer;
    }
    qn_strbuf_init(&outer);
    pb_message(&outer, 7, &inner);
    assert_int_equal(copy(scratch_write(&dir, "in.onnx", outer.text, outer.length), scratch_path(&dir, "out.onnx"),
                          &err),
                     QONNX_E_LIMIT);
    assert_non_null(strstr(err.message, "messages are nested more than 100 deep"));
    assert_int_equal(scratch_count(&dir), 1);
    qn_strbuf_release(&outer);
}

/* Work that grows with the square of a count: refused by the count, at once. */
static void masses_of_attributes_and_imports_are_refused(void **state)
{
    for (int imports = 0; imports < 2; imports++) {
        struct qn_strbuf item, node, graph, model;
        char             name[16];
        qonnx_error      err = { 0 };

        (void)state;
        qn_strbuf_init(&node);
        qn_strbuf_init(&graph);
        qn_strbuf_init(&model);
        for (int i = 0; i < 100000; i++) {
            qn_strbuf_init(&item);
            snprintf(name, sizeof name, "n%d", i);
            pb_text(&item, 1, name);
            pb_number(&item, imports ? 2 : 3, 1);
            pb_message(imports ? &model : &node, imports ? 8 : 5, &item);
        }
        pb_text(&node, 4, "Relu");
        if (!imports) pb_bytes(&model, 8, "\x10\x11", 2);
        pb_message(&graph, 1, &node);
        pb_message(&model, 7, &graph);
        assert_int_equal(copy(scratch_write(&dir, "in.onnx", model.text, model.length), scratch_path(&dir, "out.onnx"),
                              &err),
                         QONNX_E_LIMIT);
        assert_non_null(strstr(err.message, imports ? "imports 100000 operator sets" : "has 100000 attributes"));
        assert_int_equal(scratch_count(&dir), 1);
        qn_strbuf_release(&model);
    }
}

static int print_table(void)
{
    struct qn_strbuf table;

    qn_strbuf_init(&table);
    describe(&table, "/dev/null");
    fputs(table.text, stdout);
    qn_strbuf_release(&table);
    return 0;
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(each_hostile_file_is_refused_in_its_own_words),
        T(a_model_cut_anywhere_is_refused),
        T(five_thousand_nested_graphs_are_refused),
        T(masses_of_attributes_and_imports_are_refused),
    };

    if (argc == 2 && strcmp(argv[1], "--print") == 0) return print_table();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
