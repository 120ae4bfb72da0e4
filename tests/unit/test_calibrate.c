/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "fake_runtime.h"
#include "npy_files.h"
#include "run/calibrate.h"

enum { SAMPLES = 37 };

static const int64_t     dims[] = { 1, -1 };
static const char *const names[] = { "x", "h1", "h2" };

struct fixture {
    struct scratch        scratch;
    struct qn_model       model;
    struct fake_runtime   fake;
    const struct qn_port *inputs;
    size_t                input_count;
};

/* Values whose sum depends on the order of adding them up in double. */
static float value(int sample, int i)
{
    return ldexpf((float)(sample * 31 % 17 - 8) + 0.37f * (float)i, sample % 13 * 4 - 20);
}

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    scratch_open(&f->scratch);
    model_init(&f->model);
    fake_init(&f->fake);
    model_input(&f->model, "x", QN_FLOAT, 2, dims, NULL);
    model_output(&f->model, "y", QN_FLOAT);
    f->model.pb->model_version = 1000;
    assert_int_equal(qn_model_inputs(&f->model, &f->model.arena, &f->inputs, &f->input_count, NULL), QONNX_OK);
}

static void tear_down(struct fixture *f)
{
    assert_int_equal(f->fake.opened, f->fake.closed);
    qn_model_release(&f->model);
    scratch_close(&f->scratch);
}

static struct qn_feed *feed_of(struct fixture *f)
{
    struct qn_feed *feed = NULL;
    float           data[SAMPLES][5];

    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < 5; i++) data[s][i] = value(s, i);
    npz_write(&f->scratch, "a.npz",
              (struct npz_member[]){ { "x.npy", npy_make("<f4", "(37, 1, 5)", data, sizeof data) } }, 1);
    assert_int_equal(qn_feed_open(&feed, scratch_path(&f->scratch, "a.npz"), f->inputs, 1,
                                  &(struct qn_feed_options){ 0 }, NULL),
                     QONNX_OK);
    return feed;
}

static void every_sample_counts_once(void **state)
{
    struct fixture        f;
    struct qn_feed       *feed;
    struct qn_calibration result;
    float                 min = INFINITY, max = -INFINITY;

    (void)state;
    set_up(&f);
    feed = feed_of(&f);
    assert_int_equal(qn_calibrate(&result, &f.fake.base, &f.model, names, 3, feed,
                                  &(struct qn_calibrate_options){ .threads = 3 }, NULL),
                     QONNX_OK);
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < 5; i++) {
            min = fminf(min, value(s, i));
            max = fmaxf(max, value(s, i));
        }
    assert_int_equal(result.samples, SAMPLES);
    assert_int_equal(result.value_count, 3);
    assert_ptr_equal(qn_calibration_find(&result, "h2"), &result.values[2]);
    assert_null(qn_calibration_find(&result, "y"));
    for (int k = 0; k < 3; k++) {
        const struct qn_observed *v = &result.values[k];
        assert_string_equal(v->name, names[k]);
        assert_int_equal(v->dtype, QN_FLOAT);
        assert_int_equal(v->rank, 2);
        assert_int_equal(v->dims[0], 1);
        assert_int_equal(v->dims[1], 5);
        assert_int_equal(v->stats.count, 5 * SAMPLES);
        assert_true(v->stats.min == (float)(k + 1) * min && v->stats.max == (float)(k + 1) * max);
    }
    qn_calibration_release(&result);
    qn_feed_close(feed);
    tear_down(&f);
}

/* Everything but addresses. */
static void same_bytes(const struct qn_calibration *a, const struct qn_calibration *b)
{
    assert_int_equal(a->value_count, b->value_count);
    for (size_t i = 0; i < a->value_count; i++) {
        struct qn_stats x = a->values[i].stats, y = b->values[i].stats;
        assert_memory_equal(x.histogram, y.histogram, sizeof *x.histogram);
        x.histogram = y.histogram = NULL;
        assert_memory_equal(&x, &y, sizeof x);
        assert_memory_equal(a->values[i].dims, b->values[i].dims, QN_MAX_RANK * sizeof(int64_t));
    }
}

static void statistics_are_the_same_bytes_for_any_number_of_threads(void **state)
{
    struct fixture        f;
    struct qn_feed       *feed;
    struct qn_calibration one, many;

    (void)state;
    set_up(&f);
    feed = feed_of(&f);
    assert_int_equal(qn_calibrate(&one, &f.fake.base, &f.model, names, 3, feed,
                                  &(struct qn_calibrate_options){ .threads = 1, .histogram_most = 2 }, NULL),
                     QONNX_OK);
    for (int threads = 2; threads <= 9; threads++) {
        assert_int_equal(qn_feed_rewind(feed, NULL), QONNX_OK);
        assert_int_equal(qn_calibrate(&many, &f.fake.base, &f.model, names, 3, feed,
                                      &(struct qn_calibrate_options){ .threads = threads, .histogram_most = 2 },
                                      NULL),
                         QONNX_OK);
        same_bytes(&one, &many);
        qn_calibration_release(&many);
    }
    qn_calibration_release(&one);
    qn_feed_close(feed);
    tear_down(&f);
}

/* Of the samples that fail the first one is named, whichever thread meets it. */
static void the_first_failing_sample_is_named_for_any_number_of_threads(void **state)
{
    struct fixture f;
    float          data[SAMPLES];

    (void)state;
    set_up(&f);
    for (int s = 0; s < SAMPLES; s++) data[s] = s < 23 ? 0 : 100.0f + (float)s;
    npy_write(&f.scratch, "a.npy", "<f4", "(37, 1, 1)", data, sizeof data);
    f.fake.fail_from = 100;
    for (int threads = 1; threads <= 9; threads++) {
        struct qn_feed       *feed = NULL;
        struct qn_calibration result;
        qonnx_error           err = { 0 };
        assert_int_equal(qn_feed_open(&feed, scratch_path(&f.scratch, "a.npy"), f.inputs, 1,
                                      &(struct qn_feed_options){ 0 }, NULL),
                         QONNX_OK);
        assert_int_equal(qn_calibrate(&result, &f.fake.base, &f.model, names, 3, feed,
                                      &(struct qn_calibrate_options){ .threads = threads }, &err),
                         QONNX_E_RUNTIME);
        assert_string_equal(err.message, "sample 23: fake: 123 is too much");
        qn_feed_close(feed);
    }
    tear_down(&f);
}

static void axes_that_vary_are_unknown(void **state)
{
    struct fixture        f;
    struct qn_feed       *feed = NULL;
    struct qn_calibration result;
    const float           data[6] = { 1, 2, 3, 4, 5, 6 };

    (void)state;
    set_up(&f);
    npy_write(&f.scratch, "1.npy", "<f4", "(1, 4)", data, 16);
    npy_write(&f.scratch, "2.npy", "<f4", "(1, 6)", data, 24);
    assert_int_equal(qn_feed_open(&feed, f.scratch.folder, f.inputs, 1, &(struct qn_feed_options){ 0 }, NULL),
                     QONNX_OK);
    assert_int_equal(qn_calibrate(&result, &f.fake.base, &f.model, names, 1, feed, &(struct qn_calibrate_options){ 0 },
                                  NULL),
                     QONNX_OK);
    assert_int_equal(result.values[0].rank, 2);
    assert_int_equal(result.values[0].dims[0], 1);
    assert_int_equal(result.values[0].dims[1], -1);
    assert_int_equal(result.values[0].stats.count, 10);
    qn_calibration_release(&result);
    qn_feed_close(feed);
    tear_down(&f);
}

struct tally {
    atomic_int outputs, progress;
    size_t     last, total;
};

static qonnx_status count_output(void *context, size_t sample, size_t output, const struct qn_view *view,
                                 qonnx_error *err)
{
    struct tally *tally = context;

    (void)err;
    assert_int_equal(output, 0);
    assert_string_equal(view->name, "y");
    assert_true(((const float *)view->data)[0] == value((int)sample, 0));
    tally->outputs++;
    return QONNX_OK;
}

static void count_progress(void *context, size_t done, size_t total)
{
    struct tally *tally = context;
    tally->progress++;
    tally->last = done;
    tally->total = total;
}

static void outputs_and_progress_are_reported_for_every_sample(void **state)
{
    struct fixture              f;
    struct qn_feed             *feed;
    struct qn_calibration       result;
    struct tally                tally = { 0 };
    struct qn_calibrate_options options = { .threads = 4,
                                            .on_progress = count_progress,
                                            .progress_context = &tally,
                                            .on_output = count_output,
                                            .output_context = &tally };

    (void)state;
    set_up(&f);
    feed = feed_of(&f);
    assert_int_equal(qn_calibrate(&result, &f.fake.base, &f.model, NULL, 0, feed, &options, NULL), QONNX_OK);
    assert_int_equal(tally.outputs, SAMPLES);
    assert_int_equal(tally.progress, SAMPLES);
    assert_int_equal(tally.last, SAMPLES);
    assert_int_equal(tally.total, SAMPLES);
    qn_calibration_release(&result);
    qn_feed_close(feed);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sample_counts_once),
        cmocka_unit_test(statistics_are_the_same_bytes_for_any_number_of_threads),
        cmocka_unit_test(the_first_failing_sample_is_named_for_any_number_of_threads),
        cmocka_unit_test(axes_that_vary_are_unknown),
        cmocka_unit_test(outputs_and_progress_are_reported_for_every_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
