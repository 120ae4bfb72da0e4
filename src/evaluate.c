/* SPDX-License-Identifier: Apache-2.0
 * qonnx_compare: two models over the same data. */
#include "evaluate.h"

#include <stdlib.h>
#include <string.h>

#include "data.h"
#include "report.h"
#include "run/state.h"

struct job {
    const qonnx_callbacks *callbacks;
    struct qn_settings     settings;
    struct qn_model        models[2];
    struct qn_runtime     *runtime;
    struct qn_feed        *feed;
    struct qn_dim_options  dims;
    struct qn_state_options states;
    struct qn_comparison   comparison;
    struct qn_demand      *demands;
    size_t                 demand_count;
    struct qn_arena        arena;
    struct qn_warnings     warnings;
};

static qonnx_status check_usage(struct job *job, qonnx_error *err)
{
    const struct qn_settings *s = &job->settings;

    if (!s->calib) return qn_fail(err, QONNX_E_USAGE, "compare needs --calib PATH: the data to run both models on");
    if (s->label_output && !s->labels) return qn_fail(err, QONNX_E_USAGE, "--label-output needs --labels FILE.npy");
    return qn_demands_parse(&s->fail_below, s->labels != NULL, &job->arena, &job->demands, &job->demand_count, err);
}

/* "1,5" */
static qonnx_status read_top(const char *text, struct qn_compare_options *options, qonnx_error *err)
{
    const char *at = text;

    for (bool more = true; more; at++) {
        char *end;
        long  k = *at >= '0' && *at <= '9' ? strtol(at, &end, 10) : 0;
        if (k < 1 || k > 100000 || options->top_count == QN_TOP_MOST || (*end && *end != ','))
            return qn_fail(err, QONNX_E_USAGE, "--top-k %s: up to %d numbers from 1 on with commas between are wanted, as in 1,5", text, QN_TOP_MOST);
        options->top[options->top_count++] = (size_t)k;
        more = *end == ',';
        at = end;
    }
    return QONNX_OK;
}

static qonnx_status open_feed(struct job *job, qonnx_error *err)
{
    const struct qn_settings *s = &job->settings;
    struct qn_feed_options    options = qn_data_options(s);
    const struct qn_port     *inputs;
    size_t                    count;

    QN_TRY(qn_state_wrap(&job->runtime, &job->models[0], &job->states, err));
    QN_TRY(qn_model_inputs(&job->models[0], &job->arena, &inputs, &count, err));
    return qn_state_feed(&job->feed, job->runtime, s->calib, inputs, count, &options, &job->states, &job->arena, err);
}

static void on_progress(void *context, size_t done, size_t total)
{
    const struct job *job = context;
    if (job->callbacks && job->callbacks->progress)
        job->callbacks->progress(job->callbacks->context, "comparing", done, total);
}

static qonnx_status run(struct job *job, const char *const paths[2], qonnx_error *err)
{
    const struct qn_settings *s = &job->settings;
    struct qn_compare_options options = {
        .second_exact = s->exact,
        .time = s->time,
        .threads = s->state.count ? 1 : qn_settings_threads(s), /* a state comes from the run before */
        .labels = s->labels,
        .label_output = s->label_output,
        .tensors = s->tensors,
        .on_progress = on_progress,
        .progress_context = job,
    };

    job->dims = (struct qn_dim_options){ s->dim.items, s->dim.count, s->input_shape.items, s->input_shape.count };
    job->states = (struct qn_state_options){ s->state.items, s->state.count, (size_t)s->state_reset, &job->dims };
    QN_TRY(check_usage(job, err));
    QN_TRY(read_top(s->top_k, &options, err));
    for (int k = 0; k < 2; k++) QN_TRY(qn_model_open(&job->models[k], paths[k], s->no_mmap, err));
    QN_TRY(qn_ort_load(&job->runtime, s->ort, err));
    QN_TRY(open_feed(job, err));
    qn_warn_lines(&job->warnings, qn_feed_info(job->feed)->notes);
    return qn_compare(&job->comparison, job->runtime, &job->models[0], &job->models[1], job->feed, &options, err);
}

static qonnx_status render(struct job *job, const char *const paths[2], qonnx_result **result, qonnx_error *err)
{
    struct qn_evaluation evaluation = {
        .first = paths[0],
        .second = paths[1],
        .settings = &job->settings,
        .runtime = job->runtime->version,
        .data = qn_feed_info(job->feed),
        .feed = job->feed,
        .comparison = &job->comparison,
        .demands = job->demands,
        .demand_count = job->demand_count,
    };
    struct qn_strbuf text, json;
    qonnx_status     status;

    qn_strbuf_init(&text);
    qn_strbuf_init(&json);
    status = qn_evaluation_text(&evaluation, &text, err);
    if (status == QONNX_OK) status = qn_evaluation_json(&evaluation, &json, err);
    if (status == QONNX_OK) status = qn_result_new(result, &text, &json, err);
    qn_strbuf_release(&text);
    qn_strbuf_release(&json);
    return status;
}

static void release(struct job *job)
{
    qn_comparison_release(&job->comparison);
    qn_feed_close(job->feed);
    if (job->runtime) job->runtime->release(job->runtime);
    for (int k = 0; k < 2; k++)
        if (job->models[k].pb) qn_model_release(&job->models[k]);
    qn_arena_release(&job->arena);
    qn_settings_release(&job->settings);
}

qonnx_status qonnx_compare(const char *first, const char *second, const qonnx_options *options,
                           const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err)
{
    const char *const paths[2] = { first, second };
    struct job        job = { .callbacks = callbacks };
    qonnx_result     *made = NULL;
    qonnx_error       verdict = { 0 };
    qonnx_status      status, judged;

    *result = NULL;
    job.warnings = (struct qn_warnings){ .callbacks = callbacks, .arena = &job.arena };
    status = qn_settings_resolve(&job.settings, options, err);
    if (status == QONNX_OK) status = run(&job, paths, err);
    if (status == QONNX_OK) {
        judged = qn_demands_judge(job.demands, job.demand_count, &job.comparison, &verdict);
        status = render(&job, paths, &made, err);
        if (status == QONNX_OK && judged != QONNX_OK) status = qn_fail(err, judged, "%s", verdict.message);
    }
    release(&job);
    *result = made;
    return status;
}
