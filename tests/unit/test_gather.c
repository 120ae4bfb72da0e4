/* SPDX-License-Identifier: Apache-2.0 */
#include "run/gather.h"

#include "fake_runtime.h"
#include "npy_files.h"

enum { SAMPLES = 37, COLUMNS = 5 };

static const int64_t dims[] = { 1, COLUMNS };

struct fixture {
    struct scratch        scratch;
    struct qn_model       model;
    struct fake_runtime   fake;
    const struct qn_port *inputs;
    size_t                input_count;
    struct qn_feed       *feed;
    float                 data[SAMPLES][COLUMNS];
};

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    scratch_open(&f->scratch);
    model_init(&f->model);
    fake_init(&f->fake);
    model_input(&f->model, "x", QN_FLOAT, 2, dims, NULL);
    model_output(&f->model, "y", QN_FLOAT);
    assert_int_equal(qn_model_inputs(&f->model, &f->model.arena, &f->inputs, &f->input_count, NULL), QONNX_OK);
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < COLUMNS; i++) f->data[s][i] = (float)((s * 31 + i * 7) % 19 - 9);
    npz_write(&f->scratch, "a.npz",
              (struct npz_member[]){ { "x.npy", npy_make("<f4", "(37, 1, 5)", f->data, sizeof f->data) } }, 1);
    assert_int_equal(qn_feed_open(&f->feed, scratch_path(&f->scratch, "a.npz"), f->inputs, 1,
                                  &(struct qn_feed_options){ 0 }, NULL),
                     QONNX_OK);
}

static void tear_down(struct fixture *f)
{
    assert_int_equal(f->fake.opened, f->fake.closed);
    qn_feed_close(f->feed);
    qn_model_release(&f->model);
    scratch_close(&f->scratch);
}

static void make(struct qn_gram *gram, float absmax)
{
    const struct qn_window window = { .groups = 1, .channels = COLUMNS };
    assert_int_equal(qn_gram_init(gram, &window, absmax, 1, NULL), QONNX_OK);
}

/* The fake's value k is the input times k + 1. */
static void each_matrix_is_of_its_own_value_whatever_the_threads(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    for (int threads = 1; threads <= 4; threads += 3) {
        struct qn_gram           grams[3];
        const struct qn_gathered list[] = { { "a", &grams[0] }, { "a", &grams[1] }, { "b", &grams[2] } };
        struct qn_gather_options options = { .threads = threads };
        make(&grams[0], QN_GRAM_STEPS);
        make(&grams[1], QN_GRAM_STEPS);
        make(&grams[2], QN_GRAM_STEPS);
        assert_int_equal(qn_gather(&f.fake.base, &f.model, list, 3, f.feed, &options, NULL), QONNX_OK);
        for (int g = 0; g < 3; g++) {
            const int64_t factor = g == 2 ? 2 : 1;
            assert_int_equal(grams[g].rows, SAMPLES);
            for (size_t i = 0; i < COLUMNS; i++)
                for (size_t j = 0; j <= i; j++) {
                    int64_t sum = 0;
                    for (int s = 0; s < SAMPLES; s++) sum += (int64_t)f.data[s][i] * (int64_t)f.data[s][j];
                    assert_true(grams[g].sums[i * grams[g].padded + j] == sum * factor * factor);
                }
            qn_gram_release(&grams[g]);
        }
    }
    tear_down(&f);
}

static bool is_one_of_the_first(const void *count, size_t sample) { return sample < *(const size_t *)count; }

static void samples_to_judge_by_are_held_out(void **state)
{
    struct fixture           f;
    struct qn_gram           gram;
    struct qn_gathered       list = { "a", &gram };
    const size_t             first = 5;
    struct qn_gather_options options = { .threads = 2, .held_out = is_one_of_the_first, .held_out_context = &first };
    int64_t                  total = 0;

    (void)state;
    set_up(&f);
    make(&gram, QN_GRAM_STEPS);
    assert_int_equal(qn_gather(&f.fake.base, &f.model, &list, 1, f.feed, &options, NULL), QONNX_OK);
    for (int s = 5; s < SAMPLES; s++) total += (int64_t)f.data[s][1];
    assert_int_equal(f.fake.runs, SAMPLES);
    assert_int_equal(gram.rows, SAMPLES - 5);
    assert_true(gram.totals[1] == total);
    qn_gram_release(&gram);
    tear_down(&f);
}

static void a_run_that_fails_is_the_result(void **state)
{
    struct fixture     f;
    struct qn_gram     gram;
    struct qn_gathered list = { "a", &gram };
    qonnx_error        err = { 0 };

    (void)state;
    set_up(&f);
    f.fake.fail_from = 9;
    make(&gram, 1);
    assert_int_equal(qn_gather(&f.fake.base, &f.model, &list, 1, f.feed, &(struct qn_gather_options){ 2 }, &err),
                     QONNX_E_RUNTIME);
    assert_non_null(strstr(err.message, "too much"));
    qn_gram_release(&gram);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_matrix_is_of_its_own_value_whatever_the_threads),
        cmocka_unit_test(samples_to_judge_by_are_held_out),
        cmocka_unit_test(a_run_that_fails_is_the_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
