/* SPDX-License-Identifier: Apache-2.0
 * Which of two sessions is faster. */
#include "run/pace.h"

#include <time.h>

#include "fake_runtime.h"

static void the_median_and_its_interval_do_not_mind_outliers(void **state)
{
    double         ratios[21];
    struct qn_pace pace;

    (void)state;
    for (int i = 0; i < 21; i++) ratios[i] = 1 + 0.01 * ((i * 8) % 21); /* 1.00 to 1.20, out of order */
    ratios[3] = 50;
    pace = qn_pace_of(ratios, 21);
    assert_int_equal(pace.pairs, 21);
    assert_true(pace.low > 1.02 && pace.low < pace.median && pace.median < pace.high && pace.high < 1.18);
}

static void one_pair_has_an_interval_too(void **state)
{
    double         ratio = 2;
    struct qn_pace pace = qn_pace_of(&ratio, 1);

    (void)state;
    assert_true(pace.low == 2 && pace.median == 2 && pace.high == 2);
}

static int    order[1000];
static size_t order_count;

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Burns 20 ms of CPU time, or 60 ms: more than one measurement needs, so that each is one run. */
static qonnx_status run_slowly(struct qn_session *session, const struct qn_run *run, qonnx_error *err)
{
    int    which = (int)session->input_count;
    double start = cpu_now();

    (void)err;
    assert_non_null(run->inputs);
    while (cpu_now() - start < (which ? 0.06 : 0.02)) {}
    if (order_count < 1000) order[order_count++] = which;
    return QONNX_OK;
}

static void sessions_take_turns_in_going_first_and_the_slower_one_is_found(void **state)
{
    struct qn_runtime runtime = { .version = "fake", .run = run_slowly };
    struct qn_session first = { .runtime = &runtime, .input_count = 0 },
                      second = { .runtime = &runtime, .input_count = 1 };
    struct qn_view view = { .name = "x" };
    struct qn_pace pace = { 0 };
    qonnx_error    err = { 0 };

    (void)state;
    assert_int_equal(qn_pace_measure(&pace, (struct qn_session *const[]){ &first, &second }, &view, &err), QONNX_OK);
    assert_true(pace.pairs >= 7);
    assert_int_equal(order_count, 4 + 2 * pace.pairs);
    for (size_t i = 0; i < pace.pairs; i++) {
        assert_int_equal(order[4 + 2 * i], i % 2);
        assert_int_equal(order[5 + 2 * i], 1 - i % 2);
    }
    assert_true(pace.median > 0.2 && pace.median < 0.6 && pace.low <= pace.median && pace.median <= pace.high);
}

static qonnx_status run_fails(struct qn_session *session, const struct qn_run *run, qonnx_error *err)
{
    (void)session, (void)run;
    return qn_fail(err, QONNX_E_RUNTIME, "no");
}

static void a_run_that_fails_ends_it(void **state)
{
    struct qn_runtime runtime = { .version = "fake", .run = run_fails };
    struct qn_session session = { .runtime = &runtime };
    struct qn_pace    pace = { 0 };
    qonnx_error       err = { 0 };

    (void)state;
    assert_int_equal(qn_pace_measure(&pace, (struct qn_session *const[]){ &session, &session }, NULL, &err),
                     QONNX_E_RUNTIME);
    assert_int_equal(pace.pairs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_median_and_its_interval_do_not_mind_outliers),
        cmocka_unit_test(one_pair_has_an_interval_too),
        cmocka_unit_test(sessions_take_turns_in_going_first_and_the_slower_one_is_found),
        cmocka_unit_test(a_run_that_fails_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
