/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/pool.h"
#include "cmocka_all.h"

enum { ITEMS = 1000 };

struct board {
    atomic_int done[ITEMS];
    atomic_int workers[64];
    size_t     bad[3];
};

static qonnx_status mark(void *context, size_t index, int worker, qonnx_error *err)
{
    struct board *board = context;

    atomic_fetch_add(&board->done[index], 1);
    atomic_fetch_add(&board->workers[worker], 1);
    for (size_t i = 0; i < 3; i++)
        if (board->bad[i] && board->bad[i] == index) return qn_fail(err, QONNX_E_DATA, "item %zu", index);
    return QONNX_OK;
}

static void every_item_is_done_once_for_any_number_of_threads(void **state)
{
    static const int threads[] = { -3, 0, 1, 2, 7, 16 };

    (void)state;
    for (size_t t = 0; t < 6; t++) {
        struct board board;
        memset(&board, 0, sizeof board);
        assert_int_equal(qn_parallel_for(ITEMS, threads[t], mark, &board, NULL), QONNX_OK);
        for (size_t i = 0; i < ITEMS; i++) assert_int_equal(board.done[i], 1);
        for (int w = threads[t] < 1 ? 1 : threads[t]; w < 64; w++) assert_int_equal(board.workers[w], 0);
    }
}

static void nothing_to_do_is_done(void **state)
{
    struct board board;

    (void)state;
    memset(&board, 0, sizeof board);
    assert_int_equal(qn_parallel_for(0, 4, mark, &board, NULL), QONNX_OK);
    assert_int_equal(board.done[0], 0);
}

static void of_several_failures_the_lowest_is_reported(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        struct board board;
        qonnx_error  err = { 0 };

        memset(&board, 0, sizeof board);
        board.bad[0] = 5;
        board.bad[1] = 6;
        board.bad[2] = 7;
        assert_int_equal(qn_parallel_for(ITEMS, 8, mark, &board, &err), QONNX_E_DATA);
        assert_string_equal(err.message, "item 5");
    }
}

static void after_a_failure_no_new_item_starts(void **state)
{
    struct board board;

    (void)state;
    memset(&board, 0, sizeof board);
    board.bad[0] = 5;
    assert_int_equal(qn_parallel_for(ITEMS, 1, mark, &board, NULL), QONNX_E_DATA);
    assert_int_equal(board.done[5], 1);
    assert_int_equal(board.done[6], 0);
}

static qonnx_status wait_for_all(void *context, size_t index, int worker, qonnx_error *err)
{
    int outcome = pthread_barrier_wait(context);

    (void)index, (void)worker, (void)err;
    return outcome == 0 || outcome == PTHREAD_BARRIER_SERIAL_THREAD ? QONNX_OK : QONNX_E_INTERNAL;
}

/* Would hang if the items were not worked on at the same time. */
static void threads_work_at_the_same_time(void **state)
{
    pthread_barrier_t barrier;

    (void)state;
    pthread_barrier_init(&barrier, NULL, 4);
    assert_int_equal(qn_parallel_for(4, 4, wait_for_all, &barrier, NULL), QONNX_OK);
    pthread_barrier_destroy(&barrier);
}

static void there_is_at_least_one_processor(void **state)
{
    (void)state;
    assert_true(qn_cpu_count() >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_done_once_for_any_number_of_threads),
        cmocka_unit_test(nothing_to_do_is_done),
        cmocka_unit_test(of_several_failures_the_lowest_is_reported),
        cmocka_unit_test(after_a_failure_no_new_item_starts),
        cmocka_unit_test(threads_work_at_the_same_time),
        cmocka_unit_test(there_is_at_least_one_processor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
