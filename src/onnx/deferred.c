/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/deferred.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/pool.h"

enum { UNIT = 512 * 1024 /* fits a core's cache */ };

uint8_t *qn_model_defer(struct qn_model *model, const struct qn_deferred *deferred)
{
    struct qn_deferred *grown =
        qn_arena_grow(&model->arena, model->deferred, model->deferred_count, &model->deferred_capacity, sizeof *grown);
    void *at;

    if (!grown) return NULL;
    model->deferred = grown;
    at = mmap(NULL, deferred->size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return NULL;
    grown[model->deferred_count] = *deferred;
    grown[model->deferred_count].at = at;
    return grown[model->deferred_count++].at;
}

const struct qn_deferred *qn_model_deferred(const struct qn_model *model, const void *address)
{
    for (size_t i = 0; i < model->deferred_count; i++)
        if (model->deferred[i].at == address) return &model->deferred[i];
    return NULL;
}

void qn_model_forget_deferred(struct qn_model *model)
{
    for (size_t i = 0; i < model->deferred_count; i++) munmap(model->deferred[i].at, model->deferred[i].size);
    model->deferred = NULL;
    model->deferred_count = model->deferred_capacity = 0;
}

/* ---- making ---- */

struct work {
    const struct qn_deferred *deferred;
    size_t                    unit;
    qn_take_fn                take; /* NULL: the bytes go where the tensor is */
    void                     *taker;
    uint8_t                  *buffers; /* one a worker */
    pthread_mutex_t           lock;
    pthread_cond_t            turned;
    size_t                    turn; /* the unit to be taken next */
    bool                      failed;
};

/* Waits until all units before this one are taken; false: one of them failed. */
static bool wait_for_turn(struct work *work, size_t index)
{
    bool failed;

    pthread_mutex_lock(&work->lock);
    while (work->turn != index && !work->failed) pthread_cond_wait(&work->turned, &work->lock);
    failed = work->failed;
    pthread_mutex_unlock(&work->lock);
    return !failed;
}

static void end_turn(struct work *work, qonnx_status status)
{
    pthread_mutex_lock(&work->lock);
    work->turn++;
    if (status != QONNX_OK) work->failed = true;
    pthread_cond_broadcast(&work->turned);
    pthread_mutex_unlock(&work->lock);
}

static qonnx_status make_unit(void *context, size_t index, int worker, qonnx_error *err)
{
    struct work              *work = context;
    const struct qn_deferred *d = work->deferred;
    const size_t from = index * work->unit, size = d->size - from < work->unit ? d->size - from : work->unit;
    const double part = (double)(from + size) / (double)d->size;
    uint8_t     *bytes = work->take ? work->buffers + (size_t)worker * work->unit : d->at + from;
    qonnx_status status = d->make(d->context, from, size, bytes, err);

    if (!work->take) return status;
    if (!wait_for_turn(work, index)) return status; /* the failure that counts is that of the unit before */
    if (status == QONNX_OK)
        status = work->take(work->taker, bytes, size,
                            from + size == d->size ? d->source_size : (size_t)((double)d->source_size * part), err);
    end_turn(work, status);
    return status;
}

qonnx_status qn_deferred_make(const struct qn_deferred *deferred, int threads, qn_take_fn take, void *taker,
                              qonnx_error *err)
{
    struct work work = {
        .deferred = deferred, .unit = deferred->unit ? deferred->unit : UNIT, .take = take, .taker = taker
    };
    const size_t units = deferred->size / work.unit + (deferred->size % work.unit != 0);
    qonnx_status status;

    if (threads < 1) threads = 1;
    if (take && !(work.buffers = malloc((size_t)threads * work.unit))) return qn_fail_nomem(err);
    pthread_mutex_init(&work.lock, NULL);
    pthread_cond_init(&work.turned, NULL);
    status = qn_parallel_for(units, threads, make_unit, &work, err);
    pthread_cond_destroy(&work.turned);
    pthread_mutex_destroy(&work.lock);
    free(work.buffers);
    return status;
}

qonnx_status qn_model_make_deferred(const struct qn_model *model, qonnx_error *err)
{
    for (size_t i = 0; i < model->deferred_count; i++) {
        struct qn_deferred *d = &model->deferred[i];
        if (d->made) continue;
        if (mprotect(d->at, d->size, PROT_READ | PROT_WRITE) != 0) return qn_fail_nomem(err);
        QN_TRY(qn_deferred_make(d, qn_cpu_count(), NULL, NULL, err));
        d->made = true;
    }
    return QONNX_OK;
}
