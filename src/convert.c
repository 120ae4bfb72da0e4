/* SPDX-License-Identifier: Apache-2.0
 *
 * qonnx_convert: from one format of quantized models to another. No code and no scale changes:
 *
 *     open → graph → constants → LIFT → shapes → emit → check → save
 */
#include <stdlib.h>
#include <string.h>

#include "emit/emit.h"
#include "lift/lift.h"
#include "onnx/check.h"
#include "onnx/fork.h"
#include "pass/pass.h"
#include "report.h"

struct job {
    const char              *input, *output;
    const qonnx_callbacks   *callbacks;
    qonnx_error             *err;
    struct qn_settings       settings;
    const struct qn_emitter *emitter; /* NULL: float */
    struct qn_model          model;
    struct qn_graph          graph, written;
    struct qn_lift           lift;
    struct qn_arena          arena;
    struct qn_warnings       warnings;
    struct qn_save_result    saved;
};

static void tell(const struct job *job, const char *stage)
{
    if (job->callbacks && job->callbacks->progress) job->callbacks->progress(job->callbacks->context, stage, 0, 0);
}

static qonnx_status open_model(struct job *job)
{
    qonnx_status status;

    tell(job, "reading");
    QN_TRY(qn_model_open(&job->model, job->input, job->settings.no_mmap, job->err));
    status = qn_graph_build(&job->graph, &job->model, job->err);
    if (status == QONNX_OK) status = qn_check(&job->graph, job->err);
    return status == QONNX_OK ? status : qn_wrap(job->err, status, "%s", job->input);
}

static qonnx_status run_pass(struct job *job, const char *name)
{
    qonnx_status status = qn_pass_run(qn_pass_find(name), &job->graph, job->err);
    return status == QONNX_OK ? status : qn_wrap(job->err, status, "%s: pass %s", job->input, name);
}

static qonnx_status lift(struct job *job)
{
    qonnx_status status;

    tell(job, "lifting");
    QN_TRY(run_pass(job, "lift_constants"));
    if (job->emitter && qn_model_opset(&job->model, "") < job->emitter->min_opset) QN_TRY(run_pass(job, "raise_opset"));
    status = qn_lift(&job->lift, &job->graph, &job->settings, job->err);
    if (status != QONNX_OK) return qn_wrap(job->err, status, "%s", job->input);
    for (size_t i = 0; i < job->lift.note_count; i++) qn_warn(&job->warnings, "%s stays as it is: %s", job->lift.notes[i].node, job->lift.notes[i].reason);
    return QONNX_OK;
}

static qonnx_status emit(struct job *job)
{
    if (!job->emitter) return QONNX_OK;
    tell(job, "writing");
    QN_TRY(qn_graph_fork(&job->written, &job->model, job->err));
    return qn_emit(job->emitter, &job->lift.plan, &job->written, job->err);
}

static qonnx_status save(struct job *job)
{
    int sha256 = strcmp(job->settings.digest, "xxh3") == 0 ? 0 : strcmp(job->settings.digest, "sha256") == 0 ? 1 : -1;
    return qn_model_save(&job->model, job->output, sha256, &job->saved, job->err);
}

static qonnx_status run(struct job *job, qonnx_result **result)
{
    if (strcmp(job->settings.format, "float") != 0 && !(job->emitter = qn_emitter_find(job->settings.format)))
        return qn_fail(job->err, QONNX_E_USAGE, "--format: unknown format '%s'", job->settings.format);
    QN_TRY(open_model(job));
    QN_TRY(lift(job));
    QN_TRY(emit(job));
    QN_TRY(save(job));
    *result = calloc(1, sizeof **result);
    return *result ? QONNX_OK : qn_fail_nomem(job->err);
}

static void release(struct job *job)
{
    qn_lift_release(&job->lift);
    qn_graph_release(&job->graph);
    qn_graph_release(&job->written);
    if (job->model.pb) qn_model_release(&job->model);
    qn_settings_release(&job->settings);
    qn_arena_release(&job->arena);
}

qonnx_status qonnx_convert(const char *input, const char *output, const qonnx_options *options,
                           const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err)
{
    qonnx_error  own = { 0 };
    struct job   job = { .input = input, .output = output, .callbacks = callbacks, .err = err ? err : &own };
    qonnx_status status;

    *result = NULL;
    job.warnings = (struct qn_warnings){ .callbacks = callbacks, .arena = &job.arena };
    status = qn_settings_resolve(&job.settings, options, job.err);
    if (status == QONNX_OK) status = run(&job, result);
    release(&job);
    return status;
}
