/* SPDX-License-Identifier: Apache-2.0
 * What a comparison says, over figures made by hand, and what --fail-below makes of them. */
#include "evaluate.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qonnx/qonnx.h>

#include "cmocka_all.h"
#include "onnx/dtype.h"

static struct qn_output_comparison outputs[4];
static struct qn_comparison        comparison;
static struct qn_settings          settings;
static struct qn_feed_info         data;
static struct qn_evaluation        evaluation;

static int set_up(void **state)
{
    (void)state;
    outputs[0] = (struct qn_output_comparison){ .name = "logits",
                                                .dtype = QN_FLOAT,
                                                .elements = 2400,
                                                .unequal = 2391,
                                                .is_float = true,
                                                .sqnr = 31.6249,
                                                .sqnr_min = 27.005,
                                                .cosine = 0.99982149,
                                                .max_error = 0.123456,
                                                .mean_error = 0.0123,
                                                .relative = 0.015,
                                                .top1_count = 240,
                                                .top1_agree = 238 };
    outputs[1] = (struct qn_output_comparison){ .name = "hidden/é",
                                                .dtype = QN_FLOAT,
                                                .elements = 123456789,
                                                .is_float = true,
                                                .sqnr = INFINITY,
                                                .sqnr_min = INFINITY,
                                                .cosine = 1 };
    outputs[2] = (struct qn_output_comparison){ .name = "ids", .dtype = QN_INT64, .elements = 24, .unequal = 3 };
    outputs[3] = (struct qn_output_comparison){ .name = "odd\x1b",
                                                .dtype = QN_FLOAT,
                                                .elements = 10,
                                                .nonfinite = 2,
                                                .is_float = true,
                                                .sqnr = -INFINITY,
                                                .sqnr_min = -INFINITY,
                                                .cosine = 0,
                                                .max_error = 1e30,
                                                .relative = INFINITY,
                                                .mean_error = 1e29 };
    comparison = (struct qn_comparison){ .outputs = outputs, .output_count = 4, .samples = 24 };
    settings = (struct qn_settings){ .calib = "data/eval.npz", .labels = "/x/labels.npy" };
    data = (struct qn_feed_info){ .count = 24, .digest = "0123456789abcdef0123456789abcdef", .notes = "" };
    evaluation = (struct qn_evaluation){ .first = "float.onnx",
                                         .second = "int8.onnx",
                                         .settings = &settings,
                                         .runtime = "onnxruntime 1.31.1",
                                         .data = &data,
                                         .comparison = &comparison };
    return 0;
}

static void label(uint64_t first, uint64_t second)
{
    comparison.label_kind = QN_LABELS_CLASS;
    comparison.label_output = 0;
    comparison.label_count = 240;
    comparison.label_right[0] = first;
    comparison.label_right[1] = second;
}

static char *text_of(qonnx_status (*render)(const struct qn_evaluation *, struct qn_strbuf *, qonnx_error *))
{
    struct qn_strbuf text;
    char            *copy;

    qn_strbuf_init(&text);
    assert_int_equal(render(&evaluation, &text, NULL), QONNX_OK);
    copy = strdup(text.text);
    qn_strbuf_release(&text);
    return copy;
}

/* ---- text ---- */

static void table_is_aligned_and_says_what_it_leaves_out(void **state)
{
    char *text;

    (void)state;
    label(235, 234);
    comparison.cpu_seconds[0] = 0.01231;
    comparison.cpu_seconds[1] = 0.00502;
    text = text_of(qn_evaluation_text);
    assert_string_equal(
        text, "float.onnx -> int8.onnx, 24 samples of eval.npz\n"
              "output     elements  SQNR dB  worst sample    cosine  max error  mean error  relative  same top-1\n"
              "logits         2400    31.62         27.00  0.999821     0.1235      0.0123     1.5 %     99.17 %\n"
              "hidden/é  123456789    equal         equal  1.000000          0           0       0 %           -\n"
              "odd?             10     -inf          -inf  0.000000      1e+30       1e+29     inf %           -\n"
              "ids (int64): 3 of 24 elements differ\n"
              "odd?: 2 elements are NaN or infinite in one model only, and left out of the figures\n"
              "right by labels.npy (output logits): 97.92 % -> 97.50 %, 0.42 points lost (235 and 234 of 240)\n"
              "CPU time of a run: 12.31 ms -> 5.02 ms (2.45 times faster)\n");
    free(text);
}

static void worst_samples_and_top_k_are_told(void **state)
{
    char   *text;
    json_t *root, *first;

    (void)state;
    label(235, 234);
    comparison.top_count = 2;
    comparison.top[0] = 1;
    comparison.top[1] = 5;
    comparison.label_right_top[1][0] = comparison.label_right_top[1][1] = 239;
    outputs[0].top_agree[0] = 238;
    outputs[0].top_agree[1] = 240;
    outputs[0].worst_count = 2;
    outputs[0].worst[0] = (struct qn_worst_sample){ 17, 27.005 };
    outputs[0].worst[1] = (struct qn_worst_sample){ 3, 28 };
    text = text_of(qn_evaluation_text);
    assert_non_null(strstr(text, "worst of logits: sample 17 (27.00 dB), sample 3 (28.00 dB)\n"));
    assert_non_null(strstr(text, "logits: the first's best class is among the second's best 5 in 100.00 %\n"));
    assert_non_null(
        strstr(text, "right by labels.npy (output logits, among the best 5): 99.58 % -> 99.58 %, no change"));
    assert_null(strstr(text, "best 1"));
    free(text);
    text = text_of(qn_evaluation_json);
    assert_non_null(root = json_loads(text, JSON_REJECT_DUPLICATES, NULL));
    first = json_array_get(json_object_get(root, "outputs"), 0);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(json_object_get(first, "top_k"), 1), "agree")),
                     240);
    first = json_array_get(json_object_get(first, "worst_samples"), 0);
    assert_int_equal(json_integer_value(json_object_get(first, "position")), 17);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "sample 17");
    json_decref(root);
    free(text);
}

static void tensors_stand_in_order_of_what_they_lose(void **state)
{
    struct qn_output_comparison tensors[25] = { 0 };
    char                       *text, names[25][8];
    json_t                     *root;

    (void)state;
    for (size_t i = 0; i < 25; i++) {
        snprintf(names[i], sizeof names[i], "t%zu", i);
        tensors[i] = (struct qn_output_comparison){
            .name = names[i], .is_float = true, .elements = 4, .sqnr = i == 9 ? 3 : 20 + (double)i, .sqnr_min = 1
        };
    }
    comparison.tensors = tensors;
    comparison.tensor_count = 25;
    text = text_of(qn_evaluation_text);
    assert_null(strstr(text, "tensor")); /* nobody asked */
    free(text);
    settings.tensors = true;
    text = text_of(qn_evaluation_text);
    assert_non_null(strstr(text, "exact arithmetic"));
    assert_non_null(strstr(
        text,
        "25 tensors inside that both models name alike, those that keep least (--json has all):\ntensor  elements"));
    assert_true(strstr(text, "\nt9 ") < strstr(text, "\nt0 ") && strstr(text, "\nt0 ") < strstr(text, "\nt1 "));
    assert_null(strstr(text, "\nt20 "));
    free(text);
    text = text_of(qn_evaluation_json);
    assert_non_null(root = json_loads(text, JSON_REJECT_DUPLICATES, NULL));
    assert_int_equal(json_array_size(json_object_get(root, "tensors")), 25);
    assert_string_equal(json_string_value(json_object_get(json_array_get(json_object_get(root, "tensors"), 9), "name")),
                        "t9");
    json_decref(root);
    free(text);
    comparison.tensor_count = 0;
    text = text_of(qn_evaluation_text);
    assert_non_null(strstr(text, "0 tensors inside that both models name alike\n"));
    free(text);
    comparison.tensors = NULL;
}

static void gains_and_slower_runs_are_called_so(void **state)
{
    char *text;

    (void)state;
    label(230, 236);
    settings.exact = true;
    comparison.cpu_seconds[0] = 0.001;
    comparison.cpu_seconds[1] = 0.002;
    text = text_of(qn_evaluation_text);
    assert_non_null(strstr(text, "24 samples of eval.npz, exact arithmetic\n"));
    assert_non_null(strstr(text, "2.50 points gained"));
    assert_non_null(strstr(text, "(2.00 times slower)"));
    free(text);
    label(230, 230);
    text = text_of(qn_evaluation_text);
    assert_non_null(strstr(text, "95.83 % -> 95.83 %, no change (230 and 230 of 240)"));
    free(text);
}

static void without_float_outputs_there_is_no_table(void **state)
{
    char *text;

    (void)state;
    comparison.outputs = outputs + 2;
    comparison.output_count = 1;
    comparison.samples = 1;
    text = text_of(qn_evaluation_text);
    assert_string_equal(text, "float.onnx -> int8.onnx, 1 sample of eval.npz\nids (int64): 3 of 24 elements differ\n");
    free(text);
}

/* ---- JSON ---- */

#define assert_near(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

static void json_has_null_for_what_is_not_finite(void **state)
{
    char   *text;
    json_t *root, *list, *labels;

    (void)state;
    label(235, 234);
    text = text_of(qn_evaluation_json);
    assert_non_null(root = json_loads(text, JSON_REJECT_DUPLICATES, NULL));
    assert_string_equal(json_string_value(json_object_get(root, "schema")), "qonnx-quantize/comparison/1");
    list = json_object_get(root, "outputs");
    assert_int_equal(json_array_size(list), 4);
    assert_near(json_real_value(json_object_get(json_array_get(list, 0), "sqnr_db")), 31.6249, 1e-9);
    assert_near(json_real_value(json_object_get(json_array_get(list, 0), "agreement")), 238.0 / 240, 1e-9);
    assert_true(json_is_null(json_object_get(json_array_get(list, 1), "sqnr_db")));
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 1), "unequal")), 0);
    assert_null(json_object_get(json_array_get(list, 2), "sqnr_db"));
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 2), "dtype")), "int64");
    labels = json_object_get(root, "labels");
    assert_near(json_real_value(json_object_get(labels, "drop_points")), 100.0 / 240, 1e-6);
    assert_string_equal(json_string_value(json_object_get(labels, "source")), "labels.npy");
    assert_true(json_is_null(json_object_get(root, "cpu_seconds_per_run")));
    json_decref(root);
    free(text);
}

/* ---- demands ---- */

static qonnx_status demand(const char *text, bool labels, qonnx_error *err)
{
    struct qn_arena   arena = { 0 };
    const char       *items[] = { text };
    struct qn_list    list = { items, 1, 1 };
    struct qn_demand *demands;
    size_t            count;
    qonnx_status      status = qn_demands_parse(&list, labels, &arena, &demands, &count, err);

    if (status == QONNX_OK) {
        assert_int_equal(count, 1);
        status = qn_demands_judge(demands, count, &comparison, err);
    }
    qn_arena_release(&arena);
    return status;
}

static void expect(const char *text, bool labels, qonnx_status status, const char *message)
{
    qonnx_error err = { 0 };
    assert_int_equal(demand(text, labels, &err), status);
    assert_string_equal(err.message, message);
}

static void demands_that_make_no_sense_are_refused_with_a_hint(void **state)
{
    (void)state;
    expect("sqnr30", false, QONNX_E_USAGE, "--fail-below: 'sqnr30' is not of the form FIGURE=X, as in sqnr=30");
    expect("snr=30", false, QONNX_E_USAGE,
           "--fail-below: unknown figure 'snr'; did you mean 'sqnr'? (it is sqnr, worst-sqnr, cosine, max-error, "
           "relative, agreement or drop)");
    expect("=30", false, QONNX_E_USAGE,
           "--fail-below: unknown figure '' (it is sqnr, worst-sqnr, cosine, max-error, relative, agreement or drop)");
    expect("sqnr=", false, QONNX_E_USAGE, "--fail-below: '' in 'sqnr=' is not a number of decibels");
    expect("sqnr=3x", false, QONNX_E_USAGE, "--fail-below: '3x' in 'sqnr=3x' is not a number of decibels");
    expect("sqnr=nan", false, QONNX_E_USAGE, "--fail-below: 'nan' in 'sqnr=nan' is not a number of decibels");
    expect("sqnr=inf", false, QONNX_E_USAGE, "--fail-below: 'inf' in 'sqnr=inf' is not a number of decibels");
    expect("cosine=99", false, QONNX_E_USAGE, "--fail-below: '99' in 'cosine=99' is not a number from -1 to 1");
    expect("agreement=99", false, QONNX_E_USAGE,
           "--fail-below: '99' in 'agreement=99' is not a share from 0 to 1, or a percentage like 99%");
    expect("drop=1", false, QONNX_E_USAGE, "--fail-below drop=X needs --labels FILE.npy");
}

static void demands_are_judged_on_the_worst_output(void **state)
{
    (void)state;
    comparison.output_count = 3; /* without the one that has NaN */
    expect("sqnr=31", false, QONNX_OK, "");
    expect("sqnr=31.63", false, QONNX_E_QUALITY, "output 'logits': sqnr is 31.6249 dB, below the demanded 31.63 dB");
    expect("cosine=0.999", false, QONNX_OK, "");
    expect("cosine=0.9999", false, QONNX_E_QUALITY, "output 'logits': cosine is 0.99982149, below the demanded 0.9999");
    expect("agreement=0.99", false, QONNX_OK, "");
    expect("agreement=99%", false, QONNX_OK, "");
    expect("agreement=99.5%", false, QONNX_E_QUALITY,
           "output 'logits': agreement is 0.991666667, below the demanded 0.995");
    expect("worst-sqnr=27", false, QONNX_OK, "");
    expect("worst-sqnr=28", false, QONNX_E_QUALITY,
           "output 'logits': worst-sqnr is 27.005 dB, below the demanded 28 dB");
    expect("max-error=0.2", false, QONNX_OK, "");
    expect("max-error=0.1", false, QONNX_E_QUALITY, "output 'logits': max-error is 0.123456, above the demanded 0.1");
    expect("relative=2%", false, QONNX_OK, "");
    expect("relative=0.01", false, QONNX_E_QUALITY, "output 'logits': relative is 0.015, above the demanded 0.01");
    outputs[1].sqnr = 12;
    expect("sqnr=20", false, QONNX_E_QUALITY, "output 'hidden/é': sqnr is 12 dB, below the demanded 20 dB");
    outputs[1].sqnr = -INFINITY;
    expect("sqnr=-1000", false, QONNX_E_QUALITY, "output 'hidden/é': sqnr is -inf dB, below the demanded -1000 dB");
}

static void nan_in_one_model_passes_no_demand(void **state)
{
    (void)state;
    outputs[3].sqnr = 100;
    outputs[3].cosine = 1;
    expect("sqnr=1", false, QONNX_E_QUALITY,
           "output 'odd?' is NaN or infinite in one of the models only; sqnr of 1 dB was demanded");
    expect("cosine=-1", false, QONNX_E_QUALITY,
           "output 'odd?' is NaN or infinite in one of the models only; cosine of -1 was demanded");
    outputs[0].nonfinite = 1; /* the worse one comes first: a later output may not hide it */
    expect("sqnr=1", false, QONNX_E_QUALITY,
           "output 'logits' is NaN or infinite in one of the models only; sqnr of 1 dB was demanded");
}

static void what_cannot_be_judged_does_not_pass(void **state)
{
    (void)state;
    comparison.outputs = outputs + 2;
    comparison.output_count = 1;
    expect("sqnr=1", false, QONNX_E_QUALITY,
           "--fail-below sqnr: no output can be judged by it (none that both models have is float)");
    expect("agreement=0", false, QONNX_E_QUALITY,
           "--fail-below agreement: no output can be judged by it (none has classes on its last axis)");
}

static void drop_counts_points_of_labelled_answers(void **state)
{
    (void)state;
    label(235, 234);
    expect("drop=0.5", true, QONNX_OK, "");
    expect("drop=0.4", true, QONNX_E_QUALITY,
           "output 'logits': drop is 0.416666667 points, above the demanded 0.4 points");
    label(234, 235);
    expect("drop=0", true, QONNX_OK, "");
    expect("drop=-1", true, QONNX_E_QUALITY,
           "output 'logits': drop is -0.416666667 points, above the demanded -1 points");
}

static void with_labels_agreement_is_that_of_their_output(void **state)
{
    (void)state;
    label(235, 234);
    outputs[1].top1_count = 100;
    outputs[1].top1_agree = 50;
    expect("agreement=0.9", true, QONNX_OK, "");
    comparison.label_kind = QN_LABELS_NONE;
    expect("agreement=0.9", false, QONNX_E_QUALITY, "output 'hidden/é': agreement is 0.5, below the demanded 0.9");
}

/* ---- the public function, as far as it goes without a runtime ---- */

static void usage_is_checked_before_anything_is_opened(void **state)
{
    static const struct {
        const char *name, *value, *message;
    } cases[] = {
        { "samples", "3", "compare needs --calib PATH: the data to run both models on" },
        { "label-output", "y", "--label-output needs --labels FILE.npy" },
        { "top-k", "1,x", "--top-k 1,x: up to 4 numbers from 1 on with commas between are wanted, as in 1,5" },
        { "top-k", "0", "--top-k 0: up to 4 numbers from 1 on with commas between are wanted, as in 1,5" },
        { "top-k", "1,2,3,4,5",
          "--top-k 1,2,3,4,5: up to 4 numbers from 1 on with commas between are wanted, as in 1,5" },
        { "top-k", "5,", "--top-k 5,: up to 4 numbers from 1 on with commas between are wanted, as in 1,5" },
        { "fail-below", "sqrn=3",
          "--fail-below: unknown figure 'sqrn'; did you mean 'sqnr'? (it is sqnr, worst-sqnr, cosine, max-error, "
          "relative, agreement or drop)" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        qonnx_options *options = qonnx_options_new();
        qonnx_result  *result = (qonnx_result *)&outputs;
        qonnx_error    err = { 0 };
        assert_int_equal(qonnx_options_set(options, cases[i].name, cases[i].value, NULL), QONNX_OK);
        if (i) assert_int_equal(qonnx_options_set(options, "calib", "/nonexistent", NULL), QONNX_OK);
        assert_int_equal(qonnx_compare("/nonexistent/a", "/nonexistent/b", options, NULL, &result, &err),
                         QONNX_E_USAGE);
        assert_string_equal(err.message, cases[i].message);
        assert_null(result);
        qonnx_options_free(options);
    }
}

static void missing_models_are_named(void **state)
{
    qonnx_options *options = qonnx_options_new();
    qonnx_result  *result;
    qonnx_error    err = { 0 };

    (void)state;
    assert_int_equal(qonnx_options_set(options, "calib", "/nonexistent", NULL), QONNX_OK);
    assert_int_equal(qonnx_compare("/nonexistent/a.onnx", "/nonexistent/b.onnx", options, NULL, &result, &err),
                     QONNX_E_IO);
    assert_non_null(strstr(err.message, "/nonexistent/a.onnx"));
    assert_null(result);
    qonnx_options_free(options);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(table_is_aligned_and_says_what_it_leaves_out),
        TEST(worst_samples_and_top_k_are_told),
        TEST(tensors_stand_in_order_of_what_they_lose),
        TEST(gains_and_slower_runs_are_called_so),
        TEST(without_float_outputs_there_is_no_table),
        TEST(json_has_null_for_what_is_not_finite),
        TEST(demands_that_make_no_sense_are_refused_with_a_hint),
        TEST(demands_are_judged_on_the_worst_output),
        TEST(nan_in_one_model_passes_no_demand),
        TEST(what_cannot_be_judged_does_not_pass),
        TEST(drop_counts_points_of_labelled_answers),
        TEST(with_labels_agreement_is_that_of_their_output),
        TEST(usage_is_checked_before_anything_is_opened),
        TEST(missing_models_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
