/* SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include <math.h>

#include "fake_runtime.h"
#include "npy_files.h"

enum { SAMPLES = 40, JUDGED = 5, ELEMENTS = 3, MANY = 400 };

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
    assert_int_equal(qn_feed_open(&f->feed, npy_write(&f->scratch, "a.npy", "<f4", "(40, 1, 3)", data, sizeof data), f->inputs, 1, &(struct qn_feed_options){ 0 }, NULL),
                     QONNX_OK);
    assert_int_equal(qn_judge_begin(&f->judge, 2, SAMPLES, (struct qn_judge_scope){ 0 }, NULL), QONNX_OK);
}

static void tear_down(struct fixture *f)
{
    assert_int_equal(f->fake.opened, f->fake.closed);
    qn_judge_release(&f->judge);
    qn_feed_close(f->feed);
    qn_model_release(&f->model);
    scratch_close(&f->scratch);
}

/* The same with outputs of many values. */
static void set_up_many(struct fixture *f)
{
    static const int64_t many[] = { 1, MANY };
    static float         data[SAMPLES][MANY];

    set_up(f);
    qn_feed_close(f->feed);
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < MANY; i++) data[s][i] = (float)(s + 1 + i % 7);
    f->inputs = qn_arena_array(&f->model.arena, 1, sizeof *f->inputs);
    *(struct qn_port *)(uintptr_t)f->inputs = (struct qn_port){ "x", QN_FLOAT, 2, many, (const char *const[]){ NULL, NULL } };
    assert_int_equal(qn_feed_open(&f->feed, npy_write(&f->scratch, "m.npy", "<f4", "(40, 1, 400)", data, sizeof data), f->inputs, 1, &(struct qn_feed_options){ 0 }, NULL),
                     QONNX_OK);
    for (int s = 0; s < SAMPLES; s++) {
        struct qn_view view = { "y", QN_FLOAT, 2, many, data[s], sizeof data[s] };
        assert_int_equal(qn_judge_keep(&f->judge, (size_t)s, 0, &view, NULL), QONNX_OK);
    }
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

/* All of the feed, as calibration goes through it. */
static void take_all(struct fixture *f)
{
    struct qn_sample sample = { 0 };
    bool             done = false;

    assert_int_equal(qn_feed_rewind(f->feed, NULL), QONNX_OK);
    for (;;) {
        assert_int_equal(qn_feed_next(f->feed, &sample, &done, NULL), QONNX_OK);
        if (done) break;
        qn_judge_take(&f->judge, &sample);
    }
    qn_sample_release(&sample);
}

static qonnx_status run(struct fixture *f, struct qn_judge_terms terms, struct qn_judgement *judgement, qonnx_error *err)
{
    struct qn_session *session;

    take_all(f);
    QN_TRY(qn_judge_open(&f->judge, &f->fake.base, &f->model, &session, err));
    return qn_judge_run(&f->judge, terms, session, judgement, err);
}

static double judged(struct fixture *f)
{
    struct qn_judgement judgement = { .sqnr = NAN };
    assert_int_equal(run(f, (struct qn_judge_terms){ .most = QN_JUDGE_MOST }, &judgement, NULL), QONNX_OK);
    return judgement.sqnr;
}

static void equal_outputs_have_no_noise(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    keep_all(&f);
    assert_true(judged(&f) == INFINITY);
    assert_int_equal(f.fake.runs, JUDGED); /* few samples are enough */
    assert_int_equal(f.fake.opened, 1);
    tear_down(&f);
}

static void a_share_of_the_samples_is_judged(void **state)
{
    static const struct { size_t samples, judged; } cases[] = { { 1, 1 }, { 3, 3 }, { 8, 4 }, { 24, 4 }, { 39, 4 }, { 48, 6 }, { 100000, QN_JUDGE_MOST } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qn_judge judge = { 0 };
        assert_int_equal(qn_judge_begin(&judge, 1, cases[i].samples, (struct qn_judge_scope){ 0 }, NULL), QONNX_OK);
        assert_int_equal(judge.samples, cases[i].judged);
        qn_judge_release(&judge);
    }
}

/* Neither the head of the data, which is often alike, nor any other part of it decides alone. */
static void judged_samples_are_spread_over_all_and_so_are_the_first_few(void **state)
{
    (void)state;
    for (size_t count = 1; count < 400; count++) {
        struct qn_judge judge = { 0 };
        assert_int_equal(qn_judge_begin(&judge, 1, count, (struct qn_judge_scope){ 0 }, NULL), QONNX_OK);
        for (size_t few = 2; few <= judge.samples; few++)
            for (size_t i = 0; i < few; i++) {
                assert_true(judge.chosen[i] < count);
                for (size_t k = 0; k < i; k++) {
                    const size_t a = judge.chosen[i], b = judge.chosen[k], apart = a > b ? a - b : b - a;
                    assert_true(apart >= 1 && (apart + 1) * few * 3 >= count);
                }
            }
        qn_judge_release(&judge);
    }
}

static void all_of_them_come_behind_the_few_that_are_always_judged(void **state)
{
    (void)state;
    for (size_t count = 1; count < 700; count += 3) {
        struct qn_judge few = { 0 }, all = { 0 };
        assert_int_equal(qn_judge_begin(&few, 1, count, (struct qn_judge_scope){ 0 }, NULL), QONNX_OK);
        assert_int_equal(qn_judge_begin(&all, 1, count, (struct qn_judge_scope){ .all = true }, NULL), QONNX_OK);
        assert_int_equal(all.samples, count < QN_JUDGE_ALL ? count : QN_JUDGE_ALL);
        for (size_t i = 0; i < all.samples; i++) {
            assert_true(all.chosen[i] < count && (i >= few.samples || all.chosen[i] == few.chosen[i]));
            for (size_t k = 0; k < i; k++) assert_int_not_equal(all.chosen[i], all.chosen[k]);
        }
        qn_judge_release(&few);
        qn_judge_release(&all);
    }
}

static void with_a_state_they_are_the_first_ones(void **state)
{
    struct qn_judge judge = { 0 };

    (void)state;
    assert_int_equal(qn_judge_begin(&judge, 1, 100, (struct qn_judge_scope){ .in_order = true }, NULL), QONNX_OK);
    for (size_t i = 0; i < judge.samples; i++) assert_int_equal(judge.chosen[i], i);
    assert_true(qn_judge_wants(&judge, judge.samples - 1) && !qn_judge_wants(&judge, judge.samples));
    qn_judge_release(&judge);
}

static void a_judgement_may_ask_for_fewer_samples(void **state)
{
    struct fixture      f;
    struct qn_judgement judgement;

    (void)state;
    set_up(&f);
    keep_all(&f);
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = 2 }, &judgement, NULL), QONNX_OK);
    assert_int_equal(judgement.samples, 2);
    assert_int_equal(f.fake.runs, 2);
    tear_down(&f);
}

/* One output, of which each sample keeps 40 dB, or every other one less. */
static struct qn_judgement judge_spread(float others)
{
    struct fixture      f;
    struct qn_judgement judgement = { .sqnr = NAN };

    set_up(&f);
    for (size_t s = 0; s < SAMPLES; s++) {
        const float share = f.judge.chosen[1] == s || f.judge.chosen[3] == s ? others : 1;
        keep(&f, s, 0, QN_FLOAT, (const float[]){ share * (float)(s + 1), share * -2 * (float)(s + 1), share * 3 * (float)(s + 1) }, ELEMENTS);
    }
    f.model.pb->model_version = 1010;
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = QN_JUDGE_MOST }, &judgement, NULL), QONNX_OK);
    tear_down(&f);
    return judgement;
}

static void other_samples_surely_keep_less_and_the_less_the_more_these_differ(void **state)
{
    const struct qn_judgement even = judge_spread(1), uneven = judge_spread(1.1f);

    (void)state;
    assert_true(fabs(even.sqnr - 40) < 0.01 && fabs(even.mean - 40) < 0.01);
    assert_true(even.sure > even.mean - 4 && even.sure < even.mean - 2);
    assert_true(uneven.mean < even.mean && uneven.mean - uneven.sure > even.mean - even.sure + 5);
    assert_true(uneven.sure <= uneven.sqnr);
}

static void what_falls_behind_on_the_first_samples_is_given_up(void **state)
{
    struct fixture      f;
    struct qn_judgement good, bad;

    (void)state;
    set_up_many(&f);
    f.model.pb->model_version = 1010;
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = QN_JUDGE_MOST }, &good, NULL), QONNX_OK);
    assert_int_equal(good.samples, JUDGED);
    assert_int_equal(qn_judge_few(&f.judge), 3); /* 400 values each */
    f.model.pb->model_version = 1100;
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = QN_JUDGE_MOST, .rival = &good }, &bad, NULL), QONNX_OK);
    assert_int_equal(bad.samples, 3);
    assert_false(qn_judgement_is_better(&bad, &good));
    f.model.pb->model_version = 1001;
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = QN_JUDGE_MOST, .rival = &good }, &bad, NULL), QONNX_OK);
    assert_int_equal(bad.samples, JUDGED);
    assert_true(qn_judgement_is_better(&bad, &good));
    tear_down(&f);
}

static void outputs_of_few_values_are_judged_on_more_samples(void **state)
{
    struct fixture      f;
    struct qn_judgement good, bad;

    (void)state;
    set_up(&f);
    keep_all(&f);
    f.model.pb->model_version = 1010;
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = QN_JUDGE_MOST }, &good, NULL), QONNX_OK);
    assert_int_equal(qn_judge_few(&f.judge), JUDGED);
    f.model.pb->model_version = 1100;
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = QN_JUDGE_MOST, .rival = &good }, &bad, NULL), QONNX_OK);
    assert_int_equal(bad.samples, JUDGED);
    tear_down(&f);
}

static void what_cannot_keep_enough_any_more_is_given_up(void **state)
{
    struct fixture      f;
    struct qn_judgement all, some;

    (void)state;
    set_up_many(&f);
    f.model.pb->model_version = 1100; /* 20 dB */
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = SIZE_MAX, .least = 19.9 }, &all, NULL), QONNX_OK);
    assert_int_equal(all.samples, JUDGED);
    assert_true(fabs(all.sqnr - 20) < 0.01);
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = SIZE_MAX, .least = 25 }, &some, NULL), QONNX_OK);
    assert_in_range(some.samples, 1, JUDGED - 1);
    assert_true(some.sqnr < 25 && some.sqnr > all.sqnr); /* no more than this */
    tear_down(&f);
}

static void the_worst_sample_goes_first(void **state)
{
    struct fixture      f;
    struct qn_judgement first, one;

    (void)state;
    set_up_many(&f);
    f.model.pb->model_version = 1010;
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = SIZE_MAX }, &first, NULL), QONNX_OK);
    first.own[3] -= 1;
    qn_judge_worst_first(&f.judge, &first);
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = 1 }, &one, NULL), QONNX_OK);
    for (size_t i = 0; i < QN_JUDGE_MOST; i++) assert_int_equal(isnan(one.own[i]), i != 3);
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = SIZE_MAX }, &one, NULL), QONNX_OK);
    assert_int_equal(one.samples, JUDGED);
    assert_true(fabs(one.mean - first.mean) < 1e-9);
    tear_down(&f);
}

/* The largest of 1, -2, 3 is the last; that of its negative is -2's. */
static void changed_choices_are_counted(void **state)
{
    struct fixture      f;
    struct qn_judgement judgement;

    (void)state;
    set_up(&f);
    keep_all(&f);
    f.model.pb->model_version = 1010;
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = QN_JUDGE_MOST }, &judgement, NULL), QONNX_OK);
    assert_true(judgement.drop == 0);
    f.model.pb->model_version = -1000;
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = QN_JUDGE_MOST }, &judgement, NULL), QONNX_OK);
    assert_true(judgement.drop == 100);
    tear_down(&f);
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
    f.judge.chosen[0] = 0;
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
    f.judge.chosen[0] = 0;
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
    keep(&f, f.judge.chosen[0], 0, QN_INT32, (float[]){ 9, 9, 9 }, 3);   /* not float */
    keep(&f, f.judge.chosen[0], 1, QN_FLOAT, (float[]){ 9, 9 }, 2);      /* another size than the result has */
    keep(&f, f.judge.chosen[0], 7, QN_FLOAT, (float[]){ 9, 9, 9 }, 3);   /* no such output */
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
    assert_int_equal(qn_judge_keep(&f.judge, f.judge.chosen[0], 0, &view, NULL), QONNX_OK);
    assert_true(judged(&f) == INFINITY);
    tear_down(&f);
}

static void inputs_that_are_too_large_are_not_kept(void **state)
{
    struct fixture   f;
    struct qn_view   view = { "x", QN_FLOAT, 2, dims, NULL, (size_t)QN_JUDGE_INPUT_BYTES / 2 };
    struct qn_sample sample = { .views = &view, .count = 1 };

    (void)state; /* data is never read */
    set_up(&f);
    for (size_t place = 2; place < JUDGED; place++) {
        sample.index = f.judge.chosen[place];
        qn_judge_take(&f.judge, &sample);
        assert_ptr_equal(sample.views, &view);
    }
    assert_int_equal(qn_judge_count(&f.judge), 0);
    take_all(&f);
    assert_int_equal(qn_judge_count(&f.judge), JUDGED);
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
    assert_int_equal(run(&f, (struct qn_judge_terms){ .most = QN_JUDGE_MOST }, &judgement, &err), QONNX_E_RUNTIME);
    assert_non_null(strstr(err.message, "too much"));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_outputs_have_no_noise),
        cmocka_unit_test(a_share_of_the_samples_is_judged),
        cmocka_unit_test(judged_samples_are_spread_over_all_and_so_are_the_first_few),
        cmocka_unit_test(with_a_state_they_are_the_first_ones),
        cmocka_unit_test(all_of_them_come_behind_the_few_that_are_always_judged),
        cmocka_unit_test(a_judgement_may_ask_for_fewer_samples),
        cmocka_unit_test(other_samples_surely_keep_less_and_the_less_the_more_these_differ),
        cmocka_unit_test(outputs_of_few_values_are_judged_on_more_samples),
        cmocka_unit_test(what_cannot_keep_enough_any_more_is_given_up),
        cmocka_unit_test(the_worst_sample_goes_first),
        cmocka_unit_test(what_falls_behind_on_the_first_samples_is_given_up),
        cmocka_unit_test(changed_choices_are_counted),
        cmocka_unit_test(the_worst_output_counts),
        cmocka_unit_test(what_is_not_finite_in_float_is_not_the_quantizations_fault),
        cmocka_unit_test(what_becomes_not_finite_is_noise),
        cmocka_unit_test(other_types_shapes_and_outputs_are_passed_over),
        cmocka_unit_test(large_outputs_are_not_kept),
        cmocka_unit_test(inputs_that_are_too_large_are_not_kept),
        cmocka_unit_test(failures_of_the_runtime_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
