/* SPDX-License-Identifier: Apache-2.0
 *
 * The pipeline. Everything before the plan decides, everything after it only obeys:
 *
 *     open → graph → float passes → PLAN → observe → search (solve → emit → judge)* → emit → verify → save
 */
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "plan/presets.h"
#include "plan/solved.h"

/* All layers stay in float, and all for what the data are. */
static bool nothing_is_finite(const struct qn_job *job, const struct qn_plan_counts *counts)
{
    if (!counts->layers || counts->layers_quantized || job->settings.recipe || job->settings.acts != QN_ACTS_STATIC) return false;
    for (qn_node_id n = 0; n < job->graph.node_count; n++) {
        const struct qn_node_plan *row = &job->plan.nodes[n];
        if (row->rule && row->rule->kind == QN_KIND_LAYER && row->rule->in[1] == QN_ROLE_WEIGHT && row->reason != QN_REASON_NOT_FINITE) return false;
    }
    return true;
}

static qonnx_status check_strict(struct qn_job *job)
{
    struct qn_plan_counts counts = qn_plan_count(&job->plan);

    if (nothing_is_finite(job, &counts))
        return qn_fail(job->err, QONNX_E_DATA, "%s: nothing can be quantized: NaN or infinity was seen in what each of the %zu layers reads or writes%s",
                       job->settings.calib ? job->settings.calib : "synthetic data", counts.layers, job->feed && qn_feed_info(job->feed)->inf_count ? ", and the samples hold infinite values" : "");
    if (!counts.layers_quantized && !job->settings.recipe)
        qn_warn(&job->warnings, "no layer was quantized: %s", counts.layers ? "see the reasons in the report" : "the model has no Conv, Gemm or MatMul with constant weights");
    if (!job->settings.strict || counts.layers == counts.layers_quantized) return QONNX_OK;
    for (qn_node_id n = 0; n < job->graph.node_count; n++) {
        const struct qn_node_plan *row = &job->plan.nodes[n];
        if (qn_rule_is_layer(row->rule) && !qn_reason_is_quantized(row->reason))
            return qn_fail(job->err, QONNX_E_STRICT, "%s: %zu of %zu layers stay in float, the first is %s: %s", job->input,
                           counts.layers - counts.layers_quantized, counts.layers, qn_node_label(&job->graph, n), qn_reason_text(row->reason));
    }
    return QONNX_OK;
}

/* ---- the list ---- */

/* What it would come to (--dry-run). */
static qonnx_status foretell(struct qn_job *job, qonnx_result **result)
{
    if (!job->output) job->output = "";
    QN_TRY(qn_job_open(job));
    QN_TRY(qn_job_foresee(job));
    QN_TRY(check_strict(job));
    return qn_job_tell_forecast(job, result);
}

static qonnx_status run(struct qn_job *job, qonnx_result **result)
{
    if (job->settings.dry_run) return foretell(job, result);
    if (!job->output) return qn_fail(job->err, QONNX_E_USAGE, "no output is named, which only --dry-run does without");
    QN_TRY(qn_job_name_sidecar(job));
    QN_TRY(qn_job_name_extras(job));
    QN_TRY(qn_job_open(job));
    QN_TRY(qn_job_read_ranges(job));
    if (!job->settings.preset_row->copy) {
        if (!(job->emitter = qn_emitter_find(job->settings.format))) return qn_fail(job->err, QONNX_E_USAGE, "--format %s goes with convert only", job->settings.format);
        QN_TRY(qn_job_run_passes(job));
        if (job->settings.recipe) {
            QN_TRY(qn_job_obey(job));
        } else {
            QN_TRY(qn_job_plan(job));
            QN_TRY(qn_job_observe(job));
            QN_TRY(qn_job_begin_trials(job));
            QN_TRY(qn_job_duplicate(job));
            QN_TRY(qn_job_meet_budget(job));
            QN_TRY(qn_job_search(job));
            QN_TRY(qn_job_measure_layers(job));
            QN_TRY(qn_job_emit(job, job->emitter));
        }
        QN_TRY(qn_job_encode(job));
        QN_TRY(qn_job_restore_ports(job));
        QN_TRY(check_strict(job));
        QN_TRY(qn_job_integer_ends(job));
        QN_TRY(qn_job_verify(job));
    }
    QN_TRY(qn_job_save(job));
    return qn_job_report(job, result);
}

const struct qn_feed_info *qn_job_data(const struct qn_job *job)
{
    if (job->settings.stats) return &job->stats_info;
    return job->feed ? qn_feed_info(job->feed) : NULL;
}

static void release(struct qn_job *job)
{
    if (job->sidecar_sink) qn_sink_discard(job->sidecar_sink);
    qn_job_discard_extras(job);
    qn_judge_release(&job->judge);
    qn_feed_close(job->feed);
    qn_calibration_release(&job->calibration);
    qn_arena_release(&job->stats_arena);
    qn_job_release_wider(job);
    qn_job_release_ranges(job);
    if (job->runtime) job->runtime->release(job->runtime);
    qn_plan_release(&job->plan);
    qn_solved_release(job->solved);
    qn_graph_release(&job->graph);
    qn_graph_release(&job->quantized);
    if (job->model.pb) qn_model_release(&job->model);
    qn_settings_release(&job->settings);
    qn_arena_release(&job->arena);
}

qonnx_status qn_job_perform(struct qn_job *job, const qonnx_options *options, qonnx_result **result, qonnx_status (*work)(struct qn_job *, qonnx_result **))
{
    qonnx_error  own = { 0 };
    qonnx_status status;

    if (!job->err) job->err = &own;
    if (result) *result = NULL;
    job->warnings = (struct qn_warnings){ .callbacks = job->callbacks, .arena = &job->arena };
    status = qn_settings_resolve(&job->settings, options, job->err);
    if (status == QONNX_OK) status = work(job, result);
    release(job);
    return status;
}

qonnx_status qonnx_quantize(const char *input, const char *output, const qonnx_options *options, const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err)
{
    struct qn_job job = { .input = input, .output = output, .callbacks = callbacks, .err = err };

    return qn_job_perform(&job, options, result, run);
}

qonnx_status qonnx_dump(const char *input, const char *what, const qonnx_options *options, qonnx_result **result, qonnx_error *err)
{
    qonnx_error      own = { 0 };
    struct qn_job       job = { .input = input, .output = "", .err = err ? err : &own };
    struct qn_strbuf text;
    qonnx_status     status;

    *result = NULL;
    qn_strbuf_init(&text);
    job.warnings = (struct qn_warnings){ .arena = &job.arena };
    if (strcmp(what, "graph") != 0 && strcmp(what, "plan") != 0) return qn_fail(job.err, QONNX_E_USAGE, "--dump: unknown view '%s'; it is 'graph' or 'plan'", what);
    status = qn_settings_resolve(&job.settings, options, job.err);
    if (status == QONNX_OK) status = qn_job_open(&job);
    if (status == QONNX_OK && !job.settings.preset_row->copy) status = qn_job_run_passes(&job);
    if (status == QONNX_OK && strcmp(what, "plan") == 0) status = qn_job_plan(&job);
    if (status == QONNX_OK) {
        if (strcmp(what, "plan") == 0)
            qn_plan_dump(&job.plan, &text);
        else
            qn_graph_dump(&job.graph, &text);
        status = qn_result_new(result, &text, NULL, job.err);
    }
    qn_strbuf_release(&text);
    release(&job);
    return status;
}
