/* SPDX-License-Identifier: Apache-2.0 */
#include "run/passes.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/pool.h"

struct state {
    struct qn_pass *pass;
    pthread_mutex_t lock;
    atomic_bool     stop, ended;
    atomic_size_t   taken;
    size_t          failed_at;
    qonnx_status    status;
    qonnx_error     err;
};

static void record(struct state *state, size_t index, qonnx_status status, const qonnx_error *err)
{
    pthread_mutex_lock(&state->lock);
    if (status == QONNX_OK) {
        struct qn_pass *pass = state->pass;
        pass->done++;
        if (pass->on_progress) pass->on_progress(pass->progress_context, pass->before + pass->done, pass->total);
    } else if (state->status == QONNX_OK || index < state->failed_at) {
        state->status = status;
        state->failed_at = index;
        state->err = *err;
    }
    pthread_mutex_unlock(&state->lock);
    if (status != QONNX_OK) atomic_store(&state->stop, true);
}

/* One worker's share: whatever it gets until there is no more. Samples are handed out in order, so whichever fails
 * first, all before it are being worked on and get to report too. */
static qonnx_status work(void *context, size_t index, int worker, qonnx_error *unused)
{
    struct state    *state = context;
    struct qn_sample sample = { 0 };

    (void)index;
    (void)unused;
    while (!atomic_load(&state->stop)) {
        qonnx_error  err = { 0 };
        bool         done = false;
        qonnx_status status;
        if (state->pass->most && atomic_fetch_add(&state->taken, 1) >= state->pass->most) break;
        status = qn_feed_next(state->pass->feed, &sample, &done, &err);
        if (status != QONNX_OK) { /* all samples before it have been handed out */
            record(state, SIZE_MAX, status, &err);
            break;
        }
        if (done) {
            atomic_store(&state->ended, true);
            break;
        }
        status = state->pass->work(state->pass->context, worker, &sample, &err);
        if (status != QONNX_OK) qn_wrap(&err, status, "sample %zu", sample.index);
        record(state, sample.index, status, &err);
    }
    qn_sample_release(&sample);
    return QONNX_OK;
}

qonnx_status qn_feed_pass(struct qn_pass *pass, qonnx_error *err)
{
    struct state state = { .pass = pass };
    int          threads = pass->threads < 1 ? 1 : pass->threads;
    qonnx_status status;

    pass->done = 0;
    pass->total = qn_feed_info(pass->feed)->count;
    pthread_mutex_init(&state.lock, NULL);
    status = qn_parallel_for((size_t)threads, threads, work, &state, err);
    pthread_mutex_destroy(&state.lock);
    pass->ended = atomic_load(&state.ended);
    if (status == QONNX_OK && state.status != QONNX_OK) return qn_fail(err, state.status, "%s", state.err.message);
    return status;
}
