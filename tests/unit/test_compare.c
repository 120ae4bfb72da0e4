/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "fake_runtime.h"
#include "npy_files.h"
#include "run/compare.h"

enum { SAMPLES = 8, CLASSES = 4 };

struct fixture {
    struct scratch        scratch;
    struct qn_model       a, b;
    struct fake_runtime   fake;
    const struct qn_port *inputs;
    struct qn_feed       *feed;
    float                 data[SAMPLES][1][CLASSES];
};

static void make_model(struct qn_model *model, int64_t gain)
{
    static const int64_t dims[] = { 1, CLASSES };

    model_init(model);
    model_input(model, "x", QN_FLOAT, 2, dims, NULL);
    model_output(model, "y", QN_FLOAT);
    model->pb->model_version = gain;
}

/* Output y of model a is the input, that of b gain / 1000 times it. Class i % 4 of sample i is largest. */
static void set_up(struct fixture *f, int64_t gain)
{
    size_t count;

    memset(f, 0, sizeof *f);
    scratch_open(&f->scratch);
    fake_init(&f->fake);
    make_model(&f->a, 1000);
    make_model(&f->b, gain);
    for (int s = 0; s < SAMPLES; s++)
        for (int c = 0; c < CLASSES; c++) f->data[s][0][c] = (float)(c == s % CLASSES ? 3 + s : c - 2);
    npy_write(&f->scratch, "a.npy", "<f4", "(8, 1, 4)", f->data, sizeof f->data);
    assert_int_equal(qn_model_inputs(&f->a, &f->a.arena, &f->inputs, &count, NULL), QONNX_OK);
    assert_int_equal(qn_feed_open(&f->feed, scratch_path(&f->scratch, "a.npy"), f->inputs, 1,
                                  &(struct qn_feed_options){ 0 }, NULL),
                     QONNX_OK);
}

static void tear_down(struct fixture *f)
{
    assert_int_equal(f->fake.opened, f->fake.closed);
    qn_feed_close(f->feed);
    qn_model_release(&f->a);
    qn_model_release(&f->b);
    scratch_close(&f->scratch);
}

static void figures_follow_their_definitions(void **state)
{
    struct fixture       f;
    struct qn_comparison r;
    double               signal = 0, noise = 0, error = 0, max = 0;

    (void)state;
    set_up(&f, 900);
    assert_int_equal(qn_compare(&r, &f.fake.base, &f.a, &f.b, f.feed, &(struct qn_compare_options){ .threads = 2 },
                                NULL),
                     QONNX_OK);
    for (int s = 0; s < SAMPLES; s++)
        for (int c = 0; c < CLASSES; c++) {
            double x = (double)f.data[s][0][c], e = x - (double)(float)(x * 0.9);
            signal += x * x;
            noise += e * e;
            error += fabs(e);
            max = fmax(max, fabs(e));
        }
    assert_int_equal(r.samples, SAMPLES);
    assert_int_equal(r.output_count, 1);
    assert_string_equal(r.outputs[0].name, "y");
    assert_true(r.outputs[0].is_float);
    assert_int_equal(r.outputs[0].elements, SAMPLES * CLASSES);
    assert_true(fabs(r.outputs[0].sqnr - 10 * log10(signal / noise)) < 1e-9);
    assert_true(fabs(r.outputs[0].sqnr - 20) < 1e-4 && fabs(r.outputs[0].sqnr_min - 20) < 1e-4);
    assert_true(fabs(r.outputs[0].cosine - 1) < 1e-12);
    assert_true(r.outputs[0].max_error == max);
    assert_true(fabs(r.outputs[0].mean_error - error / (SAMPLES * CLASSES)) < 1e-12);
    assert_int_equal(r.outputs[0].top1_count, SAMPLES);
    assert_int_equal(r.outputs[0].top1_agree, SAMPLES);
    assert_true(r.cpu_seconds[0] == 0 && r.cpu_seconds[1] == 0);
    qn_comparison_release(&r);
    tear_down(&f);
}

static void equal_outputs_have_infinite_sqnr(void **state)
{
    struct fixture       f;
    struct qn_comparison r;

    (void)state;
    set_up(&f, 1000);
    assert_int_equal(qn_compare(&r, &f.fake.base, &f.a, &f.b, f.feed, &(struct qn_compare_options){ 0 }, NULL),
                     QONNX_OK);
    assert_true(isinf(r.outputs[0].sqnr) && r.outputs[0].sqnr > 0);
    assert_int_equal(r.outputs[0].unequal, 0);
    assert_true(r.outputs[0].cosine == 1 && r.outputs[0].max_error == 0);
    qn_comparison_release(&r);
    tear_down(&f);
}

static void a_turned_sign_agrees_on_nothing(void **state)
{
    struct fixture       f;
    struct qn_comparison r;

    (void)state;
    set_up(&f, -1000);
    assert_int_equal(qn_compare(&r, &f.fake.base, &f.a, &f.b, f.feed, &(struct qn_compare_options){ 0 }, NULL),
                     QONNX_OK);
    assert_true(fabs(r.outputs[0].cosine + 1) < 1e-12);
    assert_int_equal(r.outputs[0].top1_agree, 0);
    qn_comparison_release(&r);
    tear_down(&f);
}

static void figures_are_the_same_for_any_number_of_threads(void **state)
{
    struct fixture       f;
    struct qn_comparison one, many;

    (void)state;
    set_up(&f, 873);
    assert_int_equal(qn_compare(&one, &f.fake.base, &f.a, &f.b, f.feed, &(struct qn_compare_options){ .threads = 1 },
                                NULL),
                     QONNX_OK);
    for (int threads = 2; threads < 9; threads++) {
        assert_int_equal(qn_feed_rewind(f.feed, NULL), QONNX_OK);
        assert_int_equal(qn_compare(&many, &f.fake.base, &f.a, &f.b, f.feed,
                                    &(struct qn_compare_options){ .threads = threads }, NULL),
                         QONNX_OK);
        assert_memory_equal(&one.outputs[0].dtype, &many.outputs[0].dtype,
                            sizeof one.outputs[0] - offsetof(struct qn_output_comparison, dtype));
        qn_comparison_release(&many);
    }
    qn_comparison_release(&one);
    tear_down(&f);
}

static void one_label_a_sample_is_its_class(void **state)
{
    struct fixture       f;
    struct qn_comparison r;
    const int64_t        labels[SAMPLES] = { 0, 1, 2, 3, 0, 1, 2, 0 }; /* the last is wrong */
    const char          *path;

    (void)state;
    set_up(&f, -1000);
    path = npy_write(&f.scratch, "labels.npy", "<i8", "(8,)", labels, sizeof labels);
    assert_int_equal(qn_compare(&r, &f.fake.base, &f.a, &f.b, f.feed,
                                &(struct qn_compare_options){ .threads = 3, .labels = path }, NULL),
                     QONNX_OK);
    assert_int_equal(r.label_kind, QN_LABELS_CLASS);
    assert_int_equal(r.label_output, 0);
    assert_int_equal(r.label_count, 8);
    assert_int_equal(r.label_right[0], 7);
    assert_true(r.label_right[1] < 7);
    qn_comparison_release(&r);
    tear_down(&f);
}

static void several_classes_may_be_right_and_padding_counts_for_nothing(void **state)
{
    struct fixture       f;
    struct qn_comparison r;
    int32_t              labels[SAMPLES][3];
    const char          *path;

    (void)state;
    set_up(&f, 1000);
    for (int s = 0; s < SAMPLES; s++) {
        labels[s][0] = s == 5 ? -1 : 3;
        labels[s][1] = s == 5 ? -1 : 2;
        labels[s][2] = -1;
    }
    path = npy_write(&f.scratch, "labels.npy", "<i4", "(8, 3)", labels, sizeof labels);
    assert_int_equal(qn_compare(&r, &f.fake.base, &f.a, &f.b, f.feed, &(struct qn_compare_options){ .labels = path },
                                NULL),
                     QONNX_OK);
    assert_int_equal(r.label_count, 7);    /* sample 5 has no right class */
    assert_int_equal(r.label_right[0], 4); /* classes 2 and 3 are largest in samples 2, 3, 6, 7 */
    qn_comparison_release(&r);
    tear_down(&f);
}

static void one_label_an_element_is_a_yes_or_no(void **state)
{
    struct fixture       f;
    struct qn_comparison r;
    uint8_t              labels[SAMPLES][CLASSES];
    const char          *path;

    (void)state;
    set_up(&f, 0);
    for (int s = 0; s < SAMPLES; s++)
        for (int c = 0; c < CLASSES; c++) labels[s][c] = f.data[s][0][c] > 0.5f ? 255 : 0;
    path = npy_write(&f.scratch, "labels.npy", "|u1", "(8, 4)", labels, sizeof labels);
    assert_int_equal(qn_compare(&r, &f.fake.base, &f.a, &f.b, f.feed, &(struct qn_compare_options){ .labels = path },
                                NULL),
                     QONNX_OK);
    assert_int_equal(r.label_kind, QN_LABELS_BINARY);
    assert_int_equal(r.label_count, SAMPLES * CLASSES);
    assert_int_equal(r.label_right[0], SAMPLES * CLASSES);
    assert_true(r.label_right[1] < SAMPLES * CLASSES);
    qn_comparison_release(&r);
    tear_down(&f);
}

/* A subset's samples keep the labels of their place in all of the data. */
static void labels_follow_chosen_samples(void **state)
{
    struct fixture         f;
    struct qn_comparison   r;
    struct qn_feed        *feed = NULL;
    struct qn_feed_options some = { .samples = 5, .shuffle = true, .seed = 3 };
    const int64_t          labels[SAMPLES] = { 0, 1, 2, 3, 0, 1, 2, 3 };
    const char            *path;

    (void)state;
    set_up(&f, 1000);
    path = npy_write(&f.scratch, "labels.npy", "<i8", "(8,)", labels, sizeof labels);
    assert_int_equal(qn_feed_open(&feed, scratch_path(&f.scratch, "a.npy"), f.inputs, 1, &some, NULL), QONNX_OK);
    assert_int_equal(qn_compare(&r, &f.fake.base, &f.a, &f.b, feed, &(struct qn_compare_options){ .labels = path },
                                NULL),
                     QONNX_OK);
    assert_int_equal(r.label_count, 5);
    assert_int_equal(r.label_right[0], 5);
    qn_comparison_release(&r);
    qn_feed_close(feed);
    tear_down(&f);
}

static void refuses(struct fixture *f, struct qn_compare_options options, qonnx_status status, const char *text)
{
    struct qn_comparison r;
    qonnx_error          err = { 0 };

    assert_int_equal(qn_feed_rewind(f->feed, NULL), QONNX_OK);
    assert_int_equal(qn_compare(&r, &f->fake.base, &f->a, &f->b, f->feed, &options, &err), status);
    if (!strstr(err.message, text)) fail_msg("'%s' lacks '%s'", err.message, text);
}

static void what_does_not_fit_is_refused(void **state)
{
    struct fixture f;
    const int64_t  labels[24] = { 0 };

    (void)state;
    set_up(&f, 1000);
    npy_write(&f.scratch, "nine.npy", "<i8", "(9,)", labels, 72);
    npy_write(&f.scratch, "none.npy", "<i8", "(8, 0)", labels, 0);
    npy_write(&f.scratch, "real.npy", "<f8", "(8,)", labels, 64);
    refuses(&f, (struct qn_compare_options){ .labels = scratch_path(&f.scratch, "nine.npy") }, QONNX_E_DATA,
            "9 samples, the data have 8");
    refuses(&f, (struct qn_compare_options){ .labels = scratch_path(&f.scratch, "none.npy") }, QONNX_E_DATA,
            "no labels");
    refuses(&f, (struct qn_compare_options){ .labels = scratch_path(&f.scratch, "real.npy") }, QONNX_E_DATA,
            "labels are integers");
    refuses(&f, (struct qn_compare_options){ .labels = scratch_path(&f.scratch, "gone.npy") }, QONNX_E_IO, "gone.npy");
    refuses(&f, (struct qn_compare_options){ .label_output = "z" }, QONNX_E_USAGE, "no output 'z'");
    f.b.pb->graph->output[0]->name = qn_arena_strdup(&f.b.arena, "other");
    refuses(&f, (struct qn_compare_options){ 0 }, QONNX_E_DATA, "no output of the same name");
    f.b.pb->graph->input[0]->name = qn_arena_strdup(&f.b.arena, "other");
    refuses(&f, (struct qn_compare_options){ 0 }, QONNX_E_DATA, "same inputs");
    tear_down(&f);
}

static void outputs_that_are_not_float_are_compared_for_equality(void **state)
{
    struct fixture       f;
    struct qn_comparison r;

    (void)state;
    set_up(&f, 2000);
    f.fake.output_type = QN_INT64;
    assert_int_equal(qn_compare(&r, &f.fake.base, &f.a, &f.b, f.feed, &(struct qn_compare_options){ 0 }, NULL),
                     QONNX_OK);
    assert_false(r.outputs[0].is_float);
    assert_int_equal(r.outputs[0].dtype, QN_INT64);
    assert_int_equal(r.outputs[0].elements, SAMPLES * CLASSES);
    assert_true(r.outputs[0].unequal > 0 && r.outputs[0].unequal < SAMPLES * CLASSES); /* zeros are the same */
    assert_int_equal(r.outputs[0].top1_count, 0);
    qn_comparison_release(&r);
    tear_down(&f);
}

static void run_times_are_measured_when_asked_for(void **state)
{
    struct fixture       f;
    struct qn_comparison r;

    (void)state;
    set_up(&f, 1000);
    assert_int_equal(qn_compare(&r, &f.fake.base, &f.a, &f.b, f.feed,
                                &(struct qn_compare_options){ .time = true, .threads = 4 }, NULL),
                     QONNX_OK);
    assert_true(r.cpu_seconds[0] > 0 && r.cpu_seconds[0] < 1);
    assert_true(r.cpu_seconds[1] > 0 && r.cpu_seconds[1] < 1);
    qn_comparison_release(&r);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_follow_their_definitions),
        cmocka_unit_test(equal_outputs_have_infinite_sqnr),
        cmocka_unit_test(a_turned_sign_agrees_on_nothing),
        cmocka_unit_test(figures_are_the_same_for_any_number_of_threads),
        cmocka_unit_test(one_label_a_sample_is_its_class),
        cmocka_unit_test(several_classes_may_be_right_and_padding_counts_for_nothing),
        cmocka_unit_test(one_label_an_element_is_a_yes_or_no),
        cmocka_unit_test(labels_follow_chosen_samples),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(outputs_that_are_not_float_are_compared_for_equality),
        cmocka_unit_test(run_times_are_measured_when_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
