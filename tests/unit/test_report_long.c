/* SPDX-License-Identifier: Apache-2.0
 * The files of --report. */
#include <jansson.h>

#include "report_fixture.h"

static char *made(const struct fixture *f, qonnx_status (*make)(const struct qn_report *, struct qn_strbuf *, qonnx_error *))
{
    struct qn_strbuf text;
    char            *copy;

    qn_strbuf_init(&text);
    assert_int_equal(make(&f->report, &text, NULL), QONNX_OK);
    copy = strdup(text.text);
    qn_strbuf_release(&text);
    assert_non_null(copy);
    return copy;
}

static json_t *by_name(const json_t *list, const char *key, const char *name)
{
    size_t  i;
    json_t *object;

    json_array_foreach(list, i, object) if (strcmp(json_string_value(json_object_get(object, key)), name) == 0) return object;
    return NULL;
}

/* x with a histogram of 10 values at -1, 5 zeros and one at 3.25; errors of the first two nodes. */
static void measure(struct fixture *f)
{
    static struct qn_histogram   h;
    static const float           x[] = { -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 3.25f };
    struct qn_layer_error       *errors = qn_arena_array(&f->arena, f->graph.node_count, sizeof *errors);

    qn_histogram_init(&h);
    qn_histogram_cover(&h, -1.5f, 3.25f);
    qn_histogram_add(&h, x, sizeof x / sizeof *x, 0);
    f->seen.histogram = &h;
    for (size_t n = 0; n < f->graph.node_count; n++) errors[n] = (struct qn_layer_error){ NAN, NAN };
    errors[0] = (struct qn_layer_error){ 41.256, INFINITY };
    f->report.layer_errors = errors;
    f->report.layer_error_samples = 2;
}

static void long_report_is_the_sidecar_and_more(void **state)
{
    struct fixture f;
    char          *text, *brief;
    json_t        *root, *sidecar, *node;
    const char    *key;
    json_t        *value;

    (void)state;
    OPEN_USUAL(&f);
    measure(&f);
    text = made(&f, qn_report_long_json);
    brief = made(&f, qn_report_json);
    assert_non_null(root = json_loads(text, JSON_REJECT_DUPLICATES, NULL));
    assert_non_null(sidecar = json_loads(brief, JSON_REJECT_DUPLICATES, NULL));
    json_object_foreach(sidecar, key, value)
    {
        if (strcmp(key, "schema") == 0 || strcmp(key, "nodes") == 0 || strcmp(key, "tensors") == 0) continue;
        assert_true(json_equal(value, json_object_get(root, key)));
    }
    assert_string_equal(json_string_value(json_object_get(root, "schema")), "qonnx-quantize/report/1");
    node = json_array_get(json_object_get(root, "nodes"), 0);
    assert_float_equal(json_real_value(json_object_get(node, "alone_db")), 41.26, 1e-9);
    assert_true(json_is_true(json_object_get(node, "together_equal")));
    assert_null(json_object_get(node, "together_db"));
    assert_null(json_object_get(json_array_get(json_object_get(root, "nodes"), 3), "alone_db"));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "layer_errors"), "samples")), 2);
    json_decref(root);
    json_decref(sidecar);
    free(text);
    free(brief);
    close_fixture(&f);
}

static void histograms_lose_no_value(void **state)
{
    struct fixture f;
    char          *text;
    json_t        *root, *counts, *count;
    json_int_t     total = 0;
    size_t         i;

    (void)state;
    OPEN_USUAL(&f);
    measure(&f);
    text = made(&f, qn_report_long_json);
    assert_non_null(root = json_loads(text, JSON_REJECT_DUPLICATES, NULL));
    counts = json_object_get(json_object_get(by_name(json_object_get(root, "tensors"), "name", "x"), "histogram"), "counts");
    assert_int_equal(json_array_size(counts), 64);
    json_array_foreach(counts, i, count) total += json_integer_value(count);
    assert_int_equal(total, 16);
    assert_int_equal(json_integer_value(json_array_get(counts, 63)), 1); /* the largest is in the last column */
    assert_int_equal(json_integer_value(json_array_get(counts, (size_t)(64 * 1.5 / 4.75))), 5);
    assert_null(json_object_get(by_name(json_object_get(root, "tensors"), "name", "r1"), "histogram"));
    json_decref(root);
    free(text);
    close_fixture(&f);
}

/* A browser sees what is between the tags of the script element; nothing in a model may end it. */
static void page_holds_the_long_report_whatever_names_are(void **state)
{
    static const char open[] = "<script type=\"application/json\" id=\"report\">", close[] = "</script>";
    struct fixture    f;
    char             *html, *text, *start, *end;
    json_t           *there, *wanted;

    (void)state;
    OPEN_USUAL(&f);
    measure(&f);
    qn_warn(&f.warnings, "</script><script>alert(1)</script><!--");
    f.report.input_path = "m</pre><script>.onnx";
    html = made(&f, qn_report_page);
    text = made(&f, qn_report_long_json);
    assert_non_null(start = strstr(html, open));
    start += strlen(open);
    assert_non_null(end = strstr(start, close));
    assert_non_null(there = json_loadb(start, (size_t)(end - start), JSON_REJECT_DUPLICATES, NULL));
    assert_non_null(wanted = json_loads(text, JSON_REJECT_DUPLICATES, NULL));
    assert_true(json_equal(there, wanted));
    assert_null(memchr(start, '<', (size_t)(end - start)));
    assert_null(strstr(html, "<script>alert"));
    assert_null(strstr(html, "m</pre>"));
    assert_null(strstr(html, "http:/" "/www.w3.org/1999"));
    assert_null(strstr(html, "src="));
    assert_null(strstr(html, "@TEXT@"));
    assert_null(strstr(html, "@JSON@"));
    json_decref(there);
    json_decref(wanted);
    free(html);
    free(text);
    close_fixture(&f);
}

static void text_tells_of_every_layer(void **state)
{
    struct fixture f;
    char          *text, *brief;

    (void)state;
    OPEN_USUAL(&f);
    measure(&f);
    qn_warn(&f.warnings, "be careful");
    text = made(&f, qn_report_long_text);
    brief = made(&f, qn_report_text);
    assert_memory_equal(text, brief, strlen(brief));
    assert_non_null(strstr(text, "\nwarning: be careful\n"));
    assert_non_null(strstr(text, "    41.3   equal"));
    assert_null(strchr(text, '\x1b'));
    free(text);
    free(brief);
    f.report.layer_errors = NULL;
    f.report.no_layer_errors = "no model was run";
    text = made(&f, qn_report_long_text);
    assert_non_null(strstr(text, "(errors were not measured: no model was run)"));
    free(text);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_report_is_the_sidecar_and_more),
        cmocka_unit_test(histograms_lose_no_value),
        cmocka_unit_test(page_holds_the_long_report_whatever_names_are),
        cmocka_unit_test(text_tells_of_every_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
