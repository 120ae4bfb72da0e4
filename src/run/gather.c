/* SPDX-License-Identifier: Apache-2.0 */
#include "run/gather.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"
#include "run/passes.h"

struct worker {
    struct gathering   *gathering;
    struct qn_gram_room room;
    size_t              sample;
};

struct gathering {
    const struct qn_gathered       *list;
    size_t                         *first; /* by observed value; one more at the end */
    const char                    **names;
    size_t                          value_count;
    const struct qn_gather_options *options;
    struct qn_session              *session;
    struct worker                  *workers;
    int                             worker_count;
};

static qonnx_status observe(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct worker                  *worker = context;
    const struct gathering         *gathering = worker->gathering;
    const struct qn_gather_options *options = gathering->options;

    if (index >= gathering->value_count) return qn_fail(err, QONNX_E_INTERNAL, "an observer nobody asked for");
    if (view->dtype != QN_FLOAT || (options->held_out && options->held_out(options->held_out_context, worker->sample)))
        return QONNX_OK;
    for (size_t i = gathering->first[index]; i < gathering->first[index + 1]; i++)
        QN_TRY(qn_gram_add(gathering->list[i].gram, &worker->room, view->data, view->rank, view->dims, worker->sample,
                           err));
    return QONNX_OK;
}

static qonnx_status run_sample(void *context, int number, struct qn_sample *sample, qonnx_error *err)
{
    struct gathering *gathering = context;
    struct worker    *worker = &gathering->workers[number];
    struct qn_run     run = { sample->views, NULL, worker };

    worker->sample = sample->index;
    return gathering->session->runtime->run(gathering->session, &run, err);
}

static qonnx_status prepare(struct gathering *gathering, size_t count, qonnx_error *err)
{
    gathering->first = calloc(count + 1, sizeof *gathering->first);
    gathering->names = calloc(count + 1, sizeof *gathering->names);
    gathering->workers = calloc((size_t)gathering->worker_count, sizeof *gathering->workers);
    if (!gathering->first || !gathering->names || !gathering->workers) return qn_fail_nomem(err);
    for (int w = 0; w < gathering->worker_count; w++) gathering->workers[w].gathering = gathering;
    for (size_t i = 0; i < count; i++) {
        const char *name = gathering->list[i].name;
        if (i && !strcmp(name, gathering->list[i - 1].name)) continue;
        gathering->names[gathering->value_count] = name;
        gathering->first[gathering->value_count++] = i;
    }
    gathering->first[gathering->value_count] = count;
    return QONNX_OK;
}

static void release(struct gathering *gathering)
{
    for (int w = 0; gathering->workers && w < gathering->worker_count; w++)
        qn_gram_room_release(&gathering->workers[w].room);
    free(gathering->workers);
    free((void *)gathering->names);
    free(gathering->first);
}

static qonnx_status run_all(struct gathering *gathering, struct qn_feed *feed, const struct qn_gather_options *options,
                            qonnx_error *err)
{
    struct qn_pass pass = { .feed = feed, .threads = gathering->worker_count };

    pass.work = run_sample;
    pass.context = gathering;
    pass.on_progress = options->on_progress;
    pass.progress_context = options->progress_context;
    QN_TRY(qn_feed_rewind(feed, err));
    return qn_feed_pass(&pass, err);
}

qonnx_status qn_gather(struct qn_runtime *runtime, const struct qn_model *model, const struct qn_gathered *list,
                       size_t count, struct qn_feed *feed, const struct qn_gather_options *options, qonnx_error *err)
{
    struct gathering          gathering = { .list = list, .options = options };
    struct qn_session_options wanted = { .optimize = true };
    qonnx_status              status;

    gathering.worker_count = options->threads < 1 ? 1 : options->threads;
    status = prepare(&gathering, count, err);
    wanted.observe = gathering.names;
    wanted.observe_count = gathering.value_count;
    wanted.observer = observe;
    if (status == QONNX_OK) status = runtime->open(runtime, model, &wanted, &gathering.session, err);
    if (status == QONNX_OK) {
        status = run_all(&gathering, feed, options, err);
        runtime->close(gathering.session);
    }
    release(&gathering);
    return status;
}
