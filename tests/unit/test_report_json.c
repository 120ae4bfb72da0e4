/* SPDX-License-Identifier: Apache-2.0
 * The sidecar. tests/sidecar/example.json is the golden one, which the schema is checked with as well;
 * QONNX_UPDATE_GOLDEN=1 writes it anew. */
#include <jansson.h>
#include <stdio.h>

#include <qonnx/version.h>

#include "report_fixture.h"

#define GOLDEN QN_SOURCE_DIR "/tests/sidecar/example.json"

static char *json_of(const struct fixture *f)
{
    struct qn_strbuf text;
    char            *copy;

    qn_strbuf_init(&text);
    assert_int_equal(qn_report_json(&f->report, &text, NULL), QONNX_OK);
    copy = strdup(text.text);
    qn_strbuf_release(&text);
    return copy;
}

static json_t *parsed(const struct fixture *f)
{
    char   *text = json_of(f);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    free(text);
    return root;
}

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* What changes with a release or a new option is not for the golden file. */
static void settle(const char *json, struct qn_strbuf *out)
{
    static const char own[] = "\"version\": \"" QONNX_VERSION "\"", close[] = "\n  },\n";
    const char       *version = strstr(json, own), *options, *end;

    assert_non_null(version);
    assert_non_null(options = strstr(version, "\"options\": {\n"));
    assert_non_null(end = strstr(options, close));
    qn_strbuf_add(out, json, (size_t)(version - json));
    qn_strbuf_puts(out, "\"version\": \"0.0.0\"");
    qn_strbuf_add(out, version + strlen(own), (size_t)(options - version) - strlen(own));
    qn_strbuf_puts(out, "\"options\": {},\n");
    qn_strbuf_puts(out, end + strlen(close));
}

static void sidecar_is_the_golden_one(void **state)
{
    const struct qn_sensitivity parts[] = {
        { .first = 3, .last = 4, .nodes = 2, .work = 0.25, .sqnr = 6.789, .measured = true },
        { .last = 1, .nodes = 1, .work = 0.5, .sqnr = INFINITY, .quantized = true },
    };
    struct fixture   f;
    struct qn_strbuf settled;
    char            *json, *golden;
    FILE            *file;
    size_t           size;

    (void)state;
    OPEN_USUAL(&f);
    qn_strbuf_init(&settled);
    qn_warn(&f.warnings, "a warning about '%s'", "x");
    f.report.judged_drop = 1.25;
    f.report.sensitivities = parts;
    f.report.sensitivity_count = 2;
    json = json_of(&f);
    settle(json, &settled);
    if (getenv("QONNX_UPDATE_GOLDEN")) {
        assert_non_null(file = fopen(GOLDEN, "wb"));
        assert_int_equal(fwrite(settled.text, 1, settled.length, file), settled.length);
        assert_int_equal(fclose(file), 0);
    }
    assert_non_null(file = fopen(GOLDEN, "rb"));
    golden = malloc(100000);
    size = fread(golden, 1, 99999, file);
    golden[size] = 0;
    fclose(file);
    assert_string_equal(settled.text, golden);
    free(golden);
    qn_strbuf_release(&settled);
    free(json);
    close_fixture(&f);
}

static void sidecar_does_not_depend_on_folders_and_threads(void **state)
{
    static const char *const other[][2] = {
        { "threads", "7" },      { "exclude", "op:Foo" }, { "calib", "else/where/calib.npz" },
        { "sidecar", "/tmp/s" }, { "exclude", "a*" },     { "ort", "/opt/libonnxruntime.so" },
        { "no-mmap", "" }
    };
    struct fixture f, g;
    char          *one, *two;

    (void)state;
    OPEN_USUAL(&f);
    open_fixture(&g, other, sizeof other / sizeof *other);
    g.report.input_path = "/elsewhere/float.onnx";
    g.report.output_path = "other_name.onnx";
    one = json_of(&f);
    two = json_of(&g);
    assert_string_equal(one, two);
    free(one);
    free(two);
    close_fixture(&f);
    close_fixture(&g);
}

static void sidecar_options_can_be_given_again(void **state)
{
    struct fixture f;
    json_t        *root, *options, *exclude;

    (void)state;
    OPEN_USUAL(&f);
    root = parsed(&f);
    options = json_object_get(root, "options");
    exclude = json_object_get(options, "exclude");
    assert_string_equal(text_at(options, "preset"), "int8");
    assert_string_equal(text_at(options, "per-channel"), "on");
    assert_string_equal(text_at(options, "samples"), "0");
    assert_int_equal(json_array_size(exclude), 2);
    assert_string_equal(json_string_value(json_array_get(exclude, 1)), "a*");
    assert_string_equal(text_at(options, "verify"), "run");
    assert_null(json_object_get(options, "calib"));
    assert_null(json_object_get(options, "labels"));
    assert_string_equal(text_at(json_object_get(root, "calibration"), "source"), "calib.npz");
    json_decref(root);
    close_fixture(&f);
}

static void sidecar_scales_come_back_bit_for_bit(void **state)
{
    struct fixture f;
    json_t        *root, *tensors, *scales;
    float          got;

    (void)state;
    OPEN_USUAL(&f);
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t bits = 0x20000000u + i * 0x000ca7d3u;
        memcpy(f.plan.nodes[0].weight->scale, &bits, 4);
        root = parsed(&f);
        tensors = json_object_get(root, "tensors");
        scales = json_object_get(json_array_get(tensors, 3), "y_scale");
        got = (float)json_real_value(json_array_get(scales, 0));
        assert_memory_equal(&got, &bits, 4);
        json_decref(root);
    }
    close_fixture(&f);
}

static void sidecar_is_json_whatever_the_names_and_numbers_are(void **state)
{
    static const char *const hostile[] = { "\xc0\x80",
                                           "\xed\xa0\x80",
                                           "\xf5\x80\x80\x80",
                                           "cut \xe2\x82",
                                           "\xe2",
                                           "\\u0000\"\n\t\x01",
                                           "ok \xe2\x82\xac \xf0\x9f\x98\x80",
                                           "\xf4\x90\x80\x80",
                                           "\xe0\x9f\xbf",
                                           "\x80" };
    static const char *const clean[] = { "��",     "���",  "����", "cut ��", "�", "\\u0000\"\n\t\x01",
                                         "ok € 😀", "����", "���",  "�" };
    struct fixture           f;

    (void)state;
    OPEN_USUAL(&f);
    f.plan.tensors[qn_graph_find(&f.graph, "x")].range = (struct qn_range){ NAN, INFINITY };
    f.plan.nodes[0].weight_sqnr = INFINITY;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        json_t *root, *tensor;
        f.graph.pb->node[0]->name = (char *)(uintptr_t)hostile[i];
        root = parsed(&f);
        tensor = json_array_get(json_object_get(root, "tensors"), 0);
        assert_true(json_is_null(json_object_get(tensor, "float_min")));
        assert_true(json_is_null(json_object_get(tensor, "float_max")));
        assert_string_equal(text_at(json_array_get(json_object_get(root, "nodes"), 0), "name"), clean[i]);
        json_decref(root);
    }
    close_fixture(&f);
}

static void sidecar_counts_what_lies_in_external_files(void **state)
{
    struct fixture f;
    json_t        *root;

    (void)state;
    OPEN_USUAL(&f);
    f.report.input_external = 2500000000;
    root = parsed(&f);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "input"), "external_bytes")), 2500000000);
    json_decref(root);
    close_fixture(&f);
}

static void sidecar_of_a_copy_has_no_plan(void **state)
{
    static const char *const copy[][2] = { { "preset", "copy" } };
    struct fixture           f;
    json_t                  *root, *model;

    (void)state;
    open_fixture(&f, copy, 1);
    f.report.plan = NULL;
    f.report.data = NULL;
    f.report.pass_count = 0;
    root = parsed(&f);
    model = json_object_get(root, "model");
    assert_true(json_is_null(json_object_get(root, "calibration")));
    assert_true(json_is_false(json_object_get(model, "identical")));
    assert_true(json_is_null(json_object_get(model, "first_difference")));
    assert_null(json_object_get(model, "nodes"));
    assert_int_equal(json_array_size(json_object_get(root, "nodes")), 0);
    assert_int_equal(json_array_size(json_object_get(root, "tensors")), 0);
    json_decref(root);
    close_fixture(&f);
}

/* ---- out of memory ---- */

static size_t allocations_left;

static void *failing_malloc(size_t size)
{
    if (!allocations_left) return NULL;
    allocations_left--;
    return malloc(size);
}

static void every_failed_allocation_is_reported(void **state)
{
    struct fixture f;
    qonnx_status   status = QONNX_E_INTERNAL;
    size_t         n;

    (void)state;
    OPEN_USUAL(&f);
    json_set_alloc_funcs(failing_malloc, free);
    for (n = 0; n < 100000 && status != QONNX_OK; n++) {
        struct qn_strbuf text;
        qonnx_error      err = { 0 };
        qn_strbuf_init(&text);
        allocations_left = n;
        status = qn_report_json(&f.report, &text, &err);
        if (status != QONNX_OK) assert_int_equal(status, QONNX_E_NOMEM);
        qn_strbuf_release(&text);
    }
    json_set_alloc_funcs(malloc, free);
    assert_in_range(n, 300, 99999);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sidecar_is_the_golden_one),
        cmocka_unit_test(sidecar_does_not_depend_on_folders_and_threads),
        cmocka_unit_test(sidecar_options_can_be_given_again),
        cmocka_unit_test(sidecar_scales_come_back_bit_for_bit),
        cmocka_unit_test(sidecar_is_json_whatever_the_names_and_numbers_are),
        cmocka_unit_test(sidecar_counts_what_lies_in_external_files),
        cmocka_unit_test(sidecar_of_a_copy_has_no_plan),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
