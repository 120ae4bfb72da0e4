/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

struct job {
    qn_work_fn    fn;
    void         *context;
    size_t        count;
    atomic_size_t next;
    atomic_bool   stop;
    pthread_mutex_t lock;
    size_t        failed_index;
    qonnx_status  status;
    qonnx_error  *err;
};

struct worker {
    struct job *job;
    int         number;
};

static void record_failure(struct job *job, size_t index, qonnx_status status, const qonnx_error *err)
{
    pthread_mutex_lock(&job->lock);
    if (job->status == QONNX_OK || index < job->failed_index) {
        job->status = status;
        job->failed_index = index;
        if (job->err) *job->err = *err;
    }
    pthread_mutex_unlock(&job->lock);
    atomic_store(&job->stop, true);
}

static void *run(void *argument)
{
    struct worker *worker = argument;
    struct job    *job = worker->job;

    while (!atomic_load(&job->stop)) {
        qonnx_error  err = { 0 };
        qonnx_status status;
        size_t       index = atomic_fetch_add(&job->next, 1);

        if (index >= job->count) break;
        status = job->fn(job->context, index, worker->number, &err);
        if (status != QONNX_OK) record_failure(job, index, status, &err);
    }
    return NULL;
}

/* Small pieces of larger work are done on one thread, many thousands of times: nothing is set up for them. */
static qonnx_status run_here(size_t count, qn_work_fn fn, void *context, qonnx_error *err)
{
    for (size_t i = 0; i < count; i++) QN_TRY(fn(context, i, 0, err));
    return QONNX_OK;
}

qonnx_status qn_parallel_for(size_t count, int threads, qn_work_fn fn, void *context, qonnx_error *err)
{
    struct job     job = { .fn = fn, .context = context, .count = count, .err = err };
    struct worker *workers;
    pthread_t     *ids;
    int            started = 0;

    if (threads <= 1 || count <= 1) return run_here(count, fn, context, err);
    if ((size_t)threads > count) threads = (int)count;
    workers = calloc((size_t)threads, sizeof *workers);
    ids = calloc((size_t)threads, sizeof *ids);
    if (!workers || !ids) {
        free(workers);
        free(ids);
        return qn_fail_nomem(err);
    }
    pthread_mutex_init(&job.lock, NULL);
    for (int i = 0; i < threads; i++) workers[i] = (struct worker){ &job, i };
    for (int i = 1; i < threads; i++) { /* fewer threads than asked for is slower, not wrong */
        if (pthread_create(&ids[i], NULL, run, &workers[i]) != 0) break;
        started = i;
    }
    run(&workers[0]);
    for (int i = 1; i <= started; i++) pthread_join(ids[i], NULL);
    pthread_mutex_destroy(&job.lock);
    free(workers);
    free(ids);
    return job.status;
}

int qn_cpu_count(void)
{
    cpu_set_t set;
    int       count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? count : 1;
}
