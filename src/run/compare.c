/* SPDX-License-Identifier: Apache-2.0 */
#include "run/compare.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "run/compare_sums.h"
#include "run/compare_tensors.h"
#include "run/labels.h"
#include "run/passes.h"

/* The first model's output, kept until the second model's comes. */
struct kept {
    struct qn_view view;
    int64_t        dims[QN_MAX_RANK];
    void          *data;
    size_t         capacity;
};

struct worker {
    struct comparison     *comparison;
    struct qn_output_sums *sums; /* one for each matched output */
    struct kept           *kept;
    struct qn_tensor_watch watch;
    struct qn_judgement    judgement;
    size_t                 position;
    double                 callback_time;
};

struct comparison {
    const struct qn_compare_options *options;
    struct qn_session               *sessions[2];
    size_t                          *match[2]; /* output of a session -> matched output, or SIZE_MAX */
    size_t                           matched, label_output;
    struct qn_labels                 labels;
    struct qn_tensor_pairs           pairs;
    struct worker                   *workers;
    int                              worker_count;
    double                          *times[2]; /* of each run; NULL when not asked for */
};

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- runs ---- */

static qonnx_status keep(struct kept *kept, const struct qn_view *view, qonnx_error *err)
{
    if (view->size > kept->capacity || !kept->data) {
        free(kept->data);
        kept->capacity = 0;
        if (!(kept->data = malloc(view->size + 1))) return qn_fail_nomem(err);
        kept->capacity = view->size;
    }
    if (view->size) memcpy(kept->data, view->data, view->size);
    if (view->rank) memcpy(kept->dims, view->dims, (size_t)view->rank * sizeof *kept->dims);
    kept->view = *view;
    kept->view.data = kept->data;
    kept->view.dims = kept->dims;
    return QONNX_OK;
}

static qonnx_status judge(struct worker *worker, size_t output, const struct qn_view *view, int which, qonnx_error *err)
{
    const struct comparison *comparison = worker->comparison;

    if (!comparison->labels.data || output != comparison->label_output) return QONNX_OK;
    return qn_labels_judge(&comparison->labels, worker->position, view, which, &worker->judgement, err);
}

static qonnx_status take_output(struct worker *worker, size_t index, const struct qn_view *view, int which,
                                qonnx_error *err)
{
    size_t       output = worker->comparison->match[which][index];
    double       start = cpu_now();
    qonnx_status status;

    if (output == SIZE_MAX) return QONNX_OK;
    status = which == 0 ? keep(&worker->kept[output], view, err)
                        : qn_sums_add(&worker->sums[output], worker->position, &worker->kept[output].view, view, err);
    if (status == QONNX_OK) status = judge(worker, output, view, which, err);
    worker->callback_time += cpu_now() - start;
    return status;
}

static qonnx_status first_output(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    return take_output(context, index, view, 0, err);
}

static qonnx_status second_output(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    return take_output(context, index, view, 1, err);
}

static qonnx_status first_tensor(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    return qn_tensor_watch_first(&((struct worker *)context)->watch, index, view, err);
}

static qonnx_status second_tensor(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct worker *worker = context;
    return qn_tensor_watch_second(&worker->watch, worker->position, index, view, err);
}

static qonnx_status compare_sample(void *context, int number, struct qn_sample *sample, qonnx_error *err)
{
    struct comparison *comparison = context;
    struct worker     *worker = &comparison->workers[number];

    worker->position = sample->position;
    qn_tensor_watch_start(&worker->watch);
    for (int which = 0; which < 2; which++) {
        struct qn_session *session = comparison->sessions[which];
        struct qn_run      run = { sample->views, which ? second_output : first_output, worker };
        double             start = cpu_now();
        worker->callback_time = 0;
        QN_TRY(qn_wrap(err, session->runtime->run(session, &run, err), which ? "second model" : "first model"));
        if (comparison->times[which])
            comparison->times[which][sample->index] = cpu_now() - start - worker->callback_time;
    }
    return QONNX_OK;
}

/* ---- setting up ---- */

static qonnx_status same_inputs(const struct qn_session *a, const struct qn_session *b, qonnx_error *err)
{
    bool same = a->input_count == b->input_count;

    for (size_t i = 0; same && i < a->input_count; i++) same = strcmp(a->inputs[i].name, b->inputs[i].name) == 0;
    return same ? QONNX_OK : qn_fail(err, QONNX_E_DATA, "the models do not have the same inputs in the same order");
}

/* Which outputs both models have, by name. */
static qonnx_status match_outputs(struct comparison *comparison, struct qn_comparison *result, qonnx_error *err)
{
    const struct qn_session *a = comparison->sessions[0], *b = comparison->sessions[1];

    for (int which = 0; which < 2; which++) {
        size_t count = comparison->sessions[which]->output_count;
        comparison->match[which] = qn_arena_array(&result->arena, count, sizeof *comparison->match[which]);
        for (size_t i = 0; comparison->match[which] && i < count; i++) comparison->match[which][i] = SIZE_MAX;
    }
    result->outputs = qn_arena_array(&result->arena, a->output_count, sizeof *result->outputs);
    if (qn_arena_failed(&result->arena)) return qn_fail_nomem(err);
    for (size_t i = 0; i < a->output_count; i++)
        for (size_t k = 0; k < b->output_count; k++) {
            if (strcmp(a->outputs[i].name, b->outputs[k].name) != 0 || comparison->match[1][k] != SIZE_MAX) continue;
            result->outputs[comparison->matched].name = qn_arena_strdup(&result->arena, a->outputs[i].name);
            result->outputs[comparison->matched].dtype = a->outputs[i].dtype;
            comparison->match[0][i] = comparison->match[1][k] = comparison->matched++;
            break;
        }
    result->output_count = comparison->matched;
    return comparison->matched ? QONNX_OK : qn_fail(err, QONNX_E_DATA, "the models have no output of the same name");
}

static qonnx_status find_label_output(struct comparison *comparison, const struct qn_comparison *result, size_t samples,
                                      qonnx_error *err)
{
    const char *wanted = comparison->options->label_output;

    comparison->label_output = SIZE_MAX;
    for (size_t i = 0; i < result->output_count && comparison->label_output == SIZE_MAX; i++)
        if (wanted ? strcmp(wanted, result->outputs[i].name) == 0
                   : qn_is_real(result->outputs[i].dtype) || !result->outputs[i].dtype)
            comparison->label_output = i;
    if (comparison->label_output == SIZE_MAX && wanted)
        return qn_fail(err, QONNX_E_USAGE, "the models have no output '%s'", wanted);
    if (!comparison->options->labels) return QONNX_OK;
    if (comparison->label_output == SIZE_MAX)
        return qn_fail(err, QONNX_E_DATA, "the models have no float output to judge by labels");
    return qn_labels_read(&comparison->labels, comparison->options->labels, samples, err);
}

static qonnx_status make_workers(struct comparison *comparison, size_t samples, qonnx_error *err)
{
    const struct qn_compare_options *options = comparison->options;

    comparison->worker_count = options->threads < 1 || options->time ? 1 : options->threads;
    comparison->workers = calloc((size_t)comparison->worker_count, sizeof *comparison->workers);
    if (!comparison->workers) return qn_fail_nomem(err);
    for (int w = 0; w < comparison->worker_count; w++) {
        struct worker *worker = &comparison->workers[w];
        worker->comparison = comparison;
        worker->sums = calloc(comparison->matched, sizeof *worker->sums);
        worker->kept = calloc(comparison->matched, sizeof *worker->kept);
        if (!worker->sums || !worker->kept) return qn_fail_nomem(err);
        for (size_t i = 0; i < comparison->matched; i++)
            qn_sums_init(&worker->sums[i], options->top, options->top_count);
        worker->judgement.top = options->top;
        worker->judgement.top_count = options->top_count;
        QN_TRY(qn_tensor_watch_init(&worker->watch, comparison->pairs.count, err));
    }
    for (int which = 0; which < 2 && options->time; which++)
        if (!(comparison->times[which] = calloc(samples + 1, sizeof(double)))) return qn_fail_nomem(err);
    return QONNX_OK;
}

static void tear_down(struct comparison *comparison, struct qn_runtime *runtime)
{
    for (int which = 0; which < 2; which++) {
        if (comparison->sessions[which]) runtime->close(comparison->sessions[which]);
        free(comparison->times[which]);
    }
    for (int w = 0; comparison->workers && w < comparison->worker_count; w++) {
        struct worker *worker = &comparison->workers[w];
        for (size_t i = 0; worker->kept && i < comparison->matched; i++) free(worker->kept[i].data);
        free(worker->kept);
        free(worker->sums);
        qn_tensor_watch_release(&worker->watch);
    }
    free(comparison->workers);
    qn_labels_release(&comparison->labels);
}

/* ---- results ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, size_t count)
{
    if (!count) return 0;
    qsort(values, count, sizeof *values, ascending);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static qonnx_status finish_tensors(struct qn_comparison *result, struct comparison *comparison, qonnx_error *err)
{
    const struct qn_tensor_pairs *pairs = &comparison->pairs;

    if (!comparison->options->tensors) return QONNX_OK;
    result->tensors = qn_arena_array(&result->arena, pairs->count, sizeof *result->tensors);
    if (!result->tensors) return qn_fail_nomem(err);
    for (size_t i = 0; i < pairs->count; i++) {
        struct qn_output_comparison *tensor = &result->tensors[result->tensor_count];
        struct qn_output_sums       *sums = &comparison->workers[0].watch.sums[i];
        for (int w = 1; w < comparison->worker_count; w++) qn_sums_merge(sums, &comparison->workers[w].watch.sums[i]);
        if (!sums->elements) continue;
        tensor->name = pairs->names[0][i];
        qn_sums_finish(tensor, sums);
        result->tensor_count++;
    }
    return QONNX_OK;
}

static void finish(struct qn_comparison *result, struct comparison *comparison)
{
    memcpy(result->top, comparison->options->top, sizeof result->top);
    result->top_count = comparison->options->top_count;
    for (int w = 0; w < comparison->worker_count; w++) {
        const struct qn_judgement *judgement = &comparison->workers[w].judgement;
        if (judgement->kind) result->label_kind = judgement->kind;
        result->label_count += judgement->count;
        for (int which = 0; which < 2; which++) {
            result->label_right[which] += judgement->right[which];
            for (size_t k = 0; k < result->top_count; k++)
                result->label_right_top[k][which] += judgement->right_top[k][which];
        }
    }
    result->label_output = comparison->label_output == SIZE_MAX ? 0 : comparison->label_output;
    for (size_t i = 0; i < comparison->matched; i++) {
        for (int w = 1; w < comparison->worker_count; w++)
            qn_sums_merge(&comparison->workers[0].sums[i], &comparison->workers[w].sums[i]);
        qn_sums_finish(&result->outputs[i], &comparison->workers[0].sums[i]);
    }
    for (int which = 0; which < 2; which++)
        if (comparison->times[which]) result->cpu_seconds[which] = median(comparison->times[which], result->samples);
}

static qonnx_status compare(struct qn_comparison *result, struct comparison *comparison, struct qn_feed *feed,
                            qonnx_error *err)
{
    const struct qn_compare_options *options = comparison->options;
    const struct qn_feed_info       *info = qn_feed_info(feed);
    struct qn_pass                   pass = { .feed = feed, .work = compare_sample, .context = comparison };

    QN_TRY(same_inputs(comparison->sessions[0], comparison->sessions[1], err));
    QN_TRY(match_outputs(comparison, result, err));
    QN_TRY(find_label_output(comparison, result, info->available, err));
    QN_TRY(make_workers(comparison, info->count, err));
    pass.threads = comparison->worker_count;
    pass.on_progress = options->on_progress;
    pass.progress_context = options->progress_context;
    QN_TRY(qn_feed_pass(&pass, err));
    result->samples = pass.done;
    finish(result, comparison);
    return finish_tensors(result, comparison, err);
}

qonnx_status qn_compare(struct qn_comparison *result, struct qn_runtime *runtime, const struct qn_model *first,
                        const struct qn_model *second, struct qn_feed *feed, const struct qn_compare_options *options,
                        qonnx_error *err)
{
    const struct qn_model  *models[2] = { first, second };
    struct comparison       comparison = { .options = options };
    struct qn_tensor_pairs *pairs = &comparison.pairs;
    qonnx_status            status = QONNX_OK;

    memset(result, 0, sizeof *result);
    if (options->tensors) status = qn_tensor_pairs_find(pairs, first, second, &result->arena, err);
    for (int which = 0; which < 2 && status == QONNX_OK; which++) {
        struct qn_session_options how = { .optimize = !options->tensors && !(which && options->second_exact),
                                          .observe = pairs->names[which],
                                          .observe_count = pairs->count,
                                          .observer = which ? second_tensor : first_tensor };
        status = qn_wrap(err, runtime->open(runtime, models[which], &how, &comparison.sessions[which], err), "%s",
                         models[which]->path);
    }
    if (status == QONNX_OK) status = compare(result, &comparison, feed, err);
    tear_down(&comparison, runtime);
    if (status != QONNX_OK) qn_comparison_release(result);
    return status;
}

void qn_comparison_release(struct qn_comparison *comparison)
{
    qn_arena_release(&comparison->arena);
    memset(comparison, 0, sizeof *comparison);
}
