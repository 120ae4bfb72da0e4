/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/deferred.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/pool.h"

enum { UNIT = 512 * 1024 /* fits a core's cache */ };

/* Fewer faults. Only a hint. */
static void in_large_pages(void *bytes, size_t size)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)bytes + page - 1) / page * page;
    const uintptr_t to = ((uintptr_t)bytes + size) / page * page;

    if (to > from) madvise((void *)from, to - from, MADV_HUGEPAGE);
}

uint8_t *qn_model_defer(struct qn_model *model, const struct qn_deferred *deferred)
{
    const int           access = deferred->along ? PROT_READ | PROT_WRITE : PROT_NONE;
    struct qn_deferred *grown =
        qn_arena_grow(&model->arena, model->deferred, model->deferred_count, &model->deferred_capacity, sizeof *grown);
    void *at;

    if (!grown) return NULL;
    model->deferred = grown;
    at = mmap(NULL, deferred->size, access, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return NULL;
    if (deferred->along) in_large_pages(at, deferred->size);
    grown[model->deferred_count] = *deferred;
    grown[model->deferred_count].at = at;
    return grown[model->deferred_count++].at;
}

struct qn_deferred *qn_model_deferred(const struct qn_model *model, const void *address)
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

/* Pieces are handed out, and taken, in the order of units and their parts. A unit is made in one of a ring of buffers, which
 * it gets when the unit that had it is taken. */
struct work {
    struct qn_deferred *deferred;
    size_t              unit, parts, ring;
    qn_take_fn          take; /* NULL: the bytes go where the tensor is */
    void               *taker;
    uint8_t            *buffers;
    pthread_mutex_t     lock;
    pthread_cond_t      turned;
    size_t              turn; /* the piece to be taken next */
    bool                failed;
};

/* Waits until all pieces before this one are taken; false: one of them failed. */
static bool wait_for_turn(struct work *work, size_t index)
{
    bool failed;

    pthread_mutex_lock(&work->lock);
    while (work->turn < index && !work->failed) pthread_cond_wait(&work->turned, &work->lock);
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

/* How much of the source was read when the piece and all before it are made. */
static size_t read_by(const struct work *work, struct qn_piece piece)
{
    const struct qn_deferred *d = work->deferred;
    const size_t              end = piece.offset + piece.size;

    if (work->parts == 1)
        return end == d->size ? d->source_size : (size_t)((double)d->source_size * ((double)end / (double)d->size));
    return piece.part + 1 == work->parts ? d->source_size : d->source_size / work->parts * (piece.part + 1);
}

/* A failure before this piece is the one that counts: nothing more is done, or said. */
static qonnx_status make_piece(void *context, size_t index, int worker, qonnx_error *err)
{
    struct work        *work = context;
    struct qn_deferred *d = work->deferred;
    const size_t        number = index / work->parts, from = number * work->unit;
    struct qn_piece piece = { from, d->size - from < work->unit ? d->size - from : work->unit, index % work->parts };
    uint8_t        *bytes;
    qonnx_status    status;

    (void)worker;
    if (!work->take) return d->make(d->context, piece, d->at + from, err);
    if (number >= work->ring && !wait_for_turn(work, (number - work->ring + 1) * work->parts)) return QONNX_OK;
    bytes = work->buffers + number % work->ring * work->unit;
    status = d->make(d->context, piece, bytes, err);
    if (!wait_for_turn(work, index)) return status;
    if (status == QONNX_OK) {
        const bool last = piece.part + 1 == work->parts;
        status = work->take(work->taker, last ? bytes : NULL, last ? piece.size : 0, read_by(work, piece), err);
    }
    end_turn(work, status);
    return status;
}

qonnx_status qn_deferred_make(struct qn_deferred *deferred, int threads, qn_take_fn take, void *taker, qonnx_error *err)
{
    struct work  work = { .deferred = deferred,
                          .unit = deferred->unit ? deferred->unit : UNIT,
                          .parts = deferred->parts ? deferred->parts : 1,
                          .take = take,
                          .taker = taker };
    const size_t units = deferred->size / work.unit + (deferred->size % work.unit != 0);
    qonnx_status status;

    if (threads < 1) threads = 1;
    work.ring = work.parts > 1 ? 2 : (size_t)threads;
    if (work.ring > units) work.ring = units;
    if (take && !(work.buffers = malloc(work.ring * work.unit))) return qn_fail_nomem(err);
    if (work.buffers) in_large_pages(work.buffers, work.ring * work.unit);
    pthread_mutex_init(&work.lock, NULL);
    pthread_cond_init(&work.turned, NULL);
    status = qn_parallel_for(units * work.parts, threads, make_piece, &work, err);
    pthread_cond_destroy(&work.turned);
    pthread_mutex_destroy(&work.lock);
    free(work.buffers);
    deferred->times += status == QONNX_OK;
    return status;
}

/* ---- made along ---- */

static qonnx_status ignore(void *taker, const uint8_t *bytes, size_t size, size_t done, qonnx_error *err)
{
    (void)taker, (void)bytes, (void)size, (void)done, (void)err;
    return QONNX_OK;
}

qonnx_status qn_deferred_fill(const struct qn_model *model, const struct qn_deferred *along, int threads,
                              qonnx_error *err)
{
    struct qn_deferred *with = qn_model_deferred(model, along->along);
    return with->times != along->given ? QONNX_OK : qn_deferred_make(with, threads, ignore, NULL, err);
}

void qn_deferred_drop(const struct qn_model *model, struct qn_deferred *along)
{
    along->given = qn_model_deferred(model, along->along)->times;
    madvise(along->at, along->size, MADV_DONTNEED);
}

qonnx_status qn_model_make_deferred(const struct qn_model *model, qonnx_error *err)
{
    for (size_t i = 0; i < model->deferred_count; i++) {
        struct qn_deferred *d = &model->deferred[i];
        if (d->made) continue;
        if (d->along) {
            QN_TRY(qn_deferred_fill(model, d, qn_cpu_count(), err));
        } else {
            if (mprotect(d->at, d->size, PROT_READ | PROT_WRITE) != 0) return qn_fail_nomem(err);
            QN_TRY(qn_deferred_make(d, qn_cpu_count(), NULL, NULL, err));
        }
        d->made = true;
    }
    return QONNX_OK;
}
