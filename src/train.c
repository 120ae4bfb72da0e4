/* SPDX-License-Identifier: Apache-2.0
 *
 * While a quantizer collects, each batch is quantized with its own range, so batches do not depend on each other and
 * may run in any order. Once it has all it wants, its range is frozen, which those that collect longer do see: the
 * samples are gone through in rounds, each up to where the next quantizer freezes. */
#include "train.h"

#include <stdlib.h>
#include <string.h>

#include "emit/lib/training.h"
#include "job.h"
#include "onnx/dtype.h"
#include "run/passes.h"

struct round {
    struct qn_plan    *plan;
    struct qn_session *session;
    struct qn_site   **sites; /* that collect, in the order of the observed values */
    const char       **names;
    size_t             count;
    size_t             first, end; /* samples of this round */
    struct worker {
        struct round *round;
        size_t        sample;
    } * workers;
};

bool qn_train_needs_data(const struct qn_plan *plan)
{
    for (size_t i = 0; i < plan->recipe->site_count; i++)
        if (qn_site_collects(plan->recipe->sites[i])) return true;
    return false;
}

/* ---- one sample ---- */

static qonnx_status take(struct qn_site *site, size_t sample, const struct qn_view *view, qonnx_error *err)
{
    struct qn_layout layout = QN_LAYOUT_FLAT(qn_view_count(view));

    if (view->dtype != QN_FLOAT)
        return qn_fail(err, QONNX_E_UNSUPPORTED, "'%.200s' is %s; only float values have quantizers", view->name,
                       qn_dtype_name(view->dtype));
    if (site->axis >= 0) {
        QN_TRY(qn_layout_init(&layout, view->dims, (size_t)view->rank, site->axis, err));
        if (layout.channels != site->channels)
            return qn_fail(err, QONNX_E_DATA, "'%.200s' has %zu channels, the model says %zu", view->name,
                           layout.channels, site->channels);
    }
    qn_batch_stat_take(&site->quantizer, view->data, layout, &site->batches[sample]);
    return QONNX_OK;
}

static qonnx_status observe(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct worker *worker = context;
    struct round  *round = worker->round;

    if (index >= round->count) return qn_fail(err, QONNX_E_INTERNAL, "an observer nobody asked for");
    for (size_t i = 0; i < round->count; i++) /* several may quantize the same value */
        if (round->names[index] == round->sites[i]->observed) QN_TRY(take(round->sites[i], worker->sample, view, err));
    return QONNX_OK;
}

static qonnx_status run_sample(void *context, int number, struct qn_sample *sample, qonnx_error *err)
{
    struct round  *round = context;
    struct worker *worker = &round->workers[number];
    struct qn_run  run = { sample->views, NULL, worker };

    if (sample->index < round->first || sample->index >= round->end) return QONNX_OK;
    worker->sample = sample->index;
    return round->session->runtime->run(round->session, &run, err);
}

/* ---- one round ---- */

static qonnx_status list_sites(struct round *round, struct qn_arena *arena, qonnx_error *err)
{
    const struct qn_explicit *recipe = round->plan->recipe;

    round->sites = qn_arena_array(arena, recipe->site_count, sizeof(struct qn_site *));
    round->names = qn_arena_array(arena, recipe->site_count, sizeof(char *));
    if (!round->sites || !round->names) return qn_fail_nomem(err);
    for (size_t i = 0; i < recipe->site_count; i++)
        if (qn_site_collects(recipe->sites[i])) round->sites[round->count++] = recipe->sites[i];
    return QONNX_OK;
}

/* Each observed value once; equal names become the same pointer. */
static size_t list_names(struct round *round)
{
    size_t count = 0;

    for (size_t i = 0; i < round->count; i++) {
        bool known = false;
        for (size_t k = 0; k < count && !known; k++)
            if (strcmp(round->names[k], round->sites[i]->observed) == 0) {
                round->sites[i]->observed = round->names[k];
                known = true;
            }
        if (!known) round->names[count++] = round->sites[i]->observed;
    }
    return count;
}

static qonnx_status run_samples(struct round *round, struct qn_feed *feed, int threads, qonnx_error *err)
{
    struct qn_pass pass = { .feed = feed, .threads = threads, .work = run_sample, .context = round };
    qonnx_status   status;

    if (!(round->workers = calloc((size_t)threads, sizeof *round->workers))) return qn_fail_nomem(err);
    for (int i = 0; i < threads; i++) round->workers[i].round = round;
    status = qn_feed_rewind(feed, err);
    if (status == QONNX_OK) status = qn_feed_pass(&pass, err);
    free(round->workers);
    return status;
}

static qonnx_status run_round(struct round *round, struct qn_model *model, struct qn_runtime *runtime,
                              struct qn_feed *feed, int threads, qonnx_error *err)
{
    Onnx__GraphProto         *kept = model->pb->graph;
    struct qn_session_options options = { .observer = observe };
    struct qn_graph           graph = { 0 };
    qonnx_status              status = qn_fork_graph(&graph, model, err);

    if (status == QONNX_OK) status = qn_training_write(round->plan, &graph, err);
    if (status == QONNX_OK) {
        options.observe = round->names;
        options.observe_count = list_names(round);
        status = runtime->open(runtime, model, &options, &round->session, err);
    }
    if (status == QONNX_OK) {
        status = run_samples(round, feed, threads, err);
        runtime->close(round->session);
    }
    qn_graph_release(&graph);
    model->pb->graph = kept;
    return status;
}

/* ---- all ---- */

/* Where the first of the collecting quantizers freezes. */
static size_t next_end(const struct round *round, size_t available)
{
    size_t end = available;

    for (size_t i = 0; i < round->count; i++)
        if ((uint64_t)round->sites[i]->quantizer.collect_steps < end)
            end = (size_t)round->sites[i]->quantizer.collect_steps;
    return end;
}

static qonnx_status make_room(struct qn_plan *plan, size_t available, qonnx_error *err)
{
    for (size_t i = 0; i < plan->recipe->site_count; i++) {
        struct qn_site *site = plan->recipe->sites[i];
        size_t          count = available;
        if (!qn_site_collects(site)) continue;
        if ((uint64_t)site->quantizer.collect_steps < count) count = (size_t)site->quantizer.collect_steps;
        if (!(site->batches = qn_arena_array(&plan->arena, count, sizeof *site->batches))) return qn_fail_nomem(err);
        for (size_t k = 0; k < count; k++)
            QN_TRY(qn_batch_stat_init(&site->batches[k], &site->quantizer, site->channels, &plan->arena, err));
    }
    return QONNX_OK;
}

static qonnx_status finish_round(struct round *round, qonnx_error *err)
{
    for (size_t i = 0; i < round->count; i++) {
        struct qn_site *site = round->sites[i];
        site->batch_count = round->end;
        for (size_t k = round->first; k < round->end; k++)
            if (site->batches[k].nan)
                return qn_fail(err, QONNX_E_DATA, "'%.200s': NaN was seen in sample %zu; no range can be taken from it",
                               round->plan->graph->values[site->value].name, k);
        if ((uint64_t)site->quantizer.collect_steps == round->end) QN_TRY(qn_site_solve(round->plan, site, err));
    }
    return QONNX_OK;
}

qonnx_status qn_train(struct qn_plan *plan, struct qn_model *model, struct qn_runtime *runtime, struct qn_feed *feed,
                      int threads, size_t *samples, qonnx_error *err)
{
    size_t          available = qn_feed_info(feed)->count, done = 0;
    struct qn_arena arena = { 0 };
    qonnx_status    status = make_room(plan, available, err);

    while (status == QONNX_OK && done < available && qn_train_needs_data(plan)) {
        struct round round = { .plan = plan, .first = done };
        status = list_sites(&round, &arena, err);
        if (status != QONNX_OK) break;
        round.end = next_end(&round, available);
        status = run_round(&round, model, runtime, feed, threads < 1 ? 1 : threads, err);
        if (status == QONNX_OK) status = finish_round(&round, err);
        done = round.end;
    }
    qn_arena_release(&arena);
    *samples = done;
    return status;
}
