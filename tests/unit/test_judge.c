/* SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include <math.h>

#include "fake_runtime.h"
#include "npy_files.h"

enum { SAMPLES = 10, ELEMENTS = 3 };

struct fixture {
    struct scratch        scratch;
    struct qn_model       model;
    struct fake_runtime   fake;
    struct qn_judge       judge;
    struct qn_feed       *feed;
    const struct qn_port *inputs;
    size_t                input_count;
};

static const int64_t dims[] = { 1, ELEMENTS };

/* A model whose outputs are its input, and its input plus 1; samples of 1, 2, 3 times (1, -2, 3). */
static void set_up(struct fixture *f)
{
    float data[SAMPLES][ELEMENTS];

    memset(f, 0, sizeof *f);
    scratch_open(&f->scratch);
    model_init(&f->model);
    fake_init(&f->fake);
    model_input(&f->model, "x", QN_FLOAT, 2, dims, NULL);
    model_output(&f->model, "y", QN_FLOAT);
    model_output(&f->model, "z", QN_FLOAT);
    f->model.pb->model_version = 1000;
    assert_int_equal(qn_model_inputs(&f->model, &f->model.arena, &f->inputs, &f->input_count, NULL), QONNX_OK);
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < ELEMENTS; i++) data[s][i] = (float)(s + 1) * (float)(i == 1 ? -2 : i + 1);
    assert_int_equal(qn_feed_open(&f->feed, npy_write(&f->scratch, "a.npy", "<f4", "(10, 1, 3)", data, sizeof data), f->inputs, 1, &(struct qn_feed_options){ 0 }, NULL),
                     QONNX_OK);
    assert_int_equal(qn_judge_begin(&f->judge, 2, 240, NULL), QONNX_OK);
}

static void tear_down(struct fixture *f)
{
    assert_int_equal(f->fake.opened, f->fake.closed);
    qn_judge_release(&f->judge);
    qn_feed_close(f->feed);
    qn_model_release(&f->model);
    scratch_close(&f->scratch);
}

static void keep(struct fixture *f, size_t sample, size_t output, int32_t dtype, const float *values, size_t count)
{
    struct qn_view view = { "y", dtype, 2, dims, values, count * sizeof *values };
    assert_int_equal(qn_judge_keep(&f->judge, sample, output, &view, NULL), QONNX_OK);
}

/* What the float model gave: the samples themselves. */
static void keep_all(struct fixture *f)
{
    for (size_t s = 0; s < SAMPLES; s++) {
        float y[ELEMENTS], z[ELEMENTS];
        for (int i = 0; i < ELEMENTS; i++) {
            y[i] = (float)(s + 1) * (float)(i == 1 ? -2 : i + 1);
            z[i] = y[i] + 1;
        }
        keep(f, s, 0, QN_FLOAT, y, ELEMENTS);
        keep(f, s, 1, QN_FLOAT, z, ELEMENTS);
    }
}

static double judged(struct fixture *f)
{
    struct qn_judgement judgement = { NAN, NAN };
    assert_int_equal(qn_judge_run(&f->judge, &f->fake.base, &f->model, f->feed, &judgement, NULL), QONNX_OK);
    return judgement.sqnr;
}

static void equal_outputs_have_no_noise(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    keep_all(&f);
    assert_true(judged(&f) == INFINITY);
    assert_int_equal(f.fake.runs, QN_JUDGE_SAMPLES); /* few samples are enough */
    assert_int_equal(f.fake.opened, 1);
    tear_down(&f);
}

static void a_share_of_the_samples_is_judged(void **state)
{
    static const struct { size_t samples, judged; } cases[] = { { 1, 1 }, { 15, 1 }, { 24, 3 }, { 48, 4 }, { 100000, 4 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qn_judge judge = { 0 };
        assert_int_equal(qn_judge_begin(&judge, 1, cases[i].samples, NULL), QONNX_OK);
        assert_int_equal(judge.samples, cases[i].judged);
        qn_judge_release(&judge);
    }
}

static void the_worst_output_counts(void **state)
{
    struct fixture f;

    (void)state; /* y is off by 1 %, z by less of its own size */
    set_up(&f);
    keep_all(&f);
    f.model.pb->model_version = 1010;
    assert_true(fabs(judged(&f) - 40) < 0.01);
    f.model.pb->model_version = 1100;
    assert_true(fabs(judged(&f) - 20) < 0.01); /* and once more from the first sample on */
    tear_down(&f);
}

static void what_is_not_finite_in_float_is_not_the_quantizations_fault(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    keep(&f, 0, 0, QN_FLOAT, (float[]){ 1, NAN, 3 }, 3); /* the second model gives -2 there */
    assert_true(judged(&f) == INFINITY);
    tear_down(&f);
}

static void what_becomes_not_finite_is_noise(void **state)
{
    struct fixture f;
    const float    large[ELEMENTS] = { 1, 3e38f, 1 };

    (void)state; /* one value in three: its own size is taken for the noise */
    set_up(&f);
    qn_feed_close(f.feed);
    assert_int_equal(qn_feed_open(&f.feed, npy_write(&f.scratch, "b.npy", "<f4", "(1, 1, 3)", large, sizeof large), f.inputs, 1, &(struct qn_feed_options){ 0 }, NULL),
                     QONNX_OK);
    keep(&f, 0, 0, QN_FLOAT, (float[]){ 2, 10, 2 }, 3);
    f.model.pb->model_version = 2000; /* 2, infinity, 2 */
    assert_true(fabs(judged(&f) - 10 * log10(108.0 / 101)) < 0.01);
    tear_down(&f);
}

static void other_types_shapes_and_outputs_are_passed_over(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    keep(&f, 0, 0, QN_INT32, (float[]){ 9, 9, 9 }, 3);   /* not float */
    keep(&f, 0, 1, QN_FLOAT, (float[]){ 9, 9 }, 2);      /* another size than the result has */
    keep(&f, 0, 7, QN_FLOAT, (float[]){ 9, 9, 9 }, 3);   /* no such output */
    keep(&f, 999, 0, QN_FLOAT, (float[]){ 9, 9, 9 }, 3); /* a sample that is not judged */
    assert_true(judged(&f) == INFINITY);
    tear_down(&f);
}

static void large_outputs_are_not_kept(void **state)
{
    struct fixture f;
    struct qn_view view = { "y", QN_FLOAT, 2, dims, NULL, (size_t)QN_JUDGE_BYTES + 4 };

    (void)state; /* data is never read */
    set_up(&f);
    assert_int_equal(qn_judge_keep(&f.judge, 0, 0, &view, NULL), QONNX_OK);
    assert_true(judged(&f) == INFINITY);
    tear_down(&f);
}

static void failures_of_the_runtime_are_told(void **state)
{
    struct fixture f;
    qonnx_error    err = { 0 };
    struct qn_judgement judgement;

    (void)state;
    set_up(&f);
    keep_all(&f);
    f.fake.fail_from = 0.5f;
    assert_int_equal(qn_judge_run(&f.judge, &f.fake.base, &f.model, f.feed, &judgement, &err), QONNX_E_RUNTIME);
    assert_non_null(strstr(err.message, "too much"));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_outputs_have_no_noise),
        cmocka_unit_test(a_share_of_the_samples_is_judged),
        cmocka_unit_test(the_worst_output_counts),
        cmocka_unit_test(what_is_not_finite_in_float_is_not_the_quantizations_fault),
        cmocka_unit_test(what_becomes_not_finite_is_noise),
        cmocka_unit_test(other_types_shapes_and_outputs_are_passed_over),
        cmocka_unit_test(large_outputs_are_not_kept),
        cmocka_unit_test(failures_of_the_runtime_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
