/* SPDX-License-Identifier: Apache-2.0
 * The stages of a run that obeys a recipe: nothing is judged on the way, and nothing is left out. */
#include <math.h>
#include <string.h>

#include "job.h"
#include "train.h"

static bool shapes_are_missing(const struct qn_job *job)
{
    for (qn_value_id v = 0; v < job->graph.value_count; v++) {
        const struct qn_value *value = &job->graph.values[v];
        if (value->init || (value->producer == QN_NONE && !(value->flags & QN_INPUT))) continue;
        if (!value->dtype || value->rank < 0) return true;
        for (int i = 0; i < value->rank; i++)
            if (value->dims[i] < 0) return true;
    }
    return false;
}

/* Samples beyond what the most patient quantizer collects would not be looked at. */
static size_t most_samples(const struct qn_plan *plan)
{
    size_t most = 1; /* for shapes */

    for (size_t i = 0; i < plan->recipe->site_count; i++) {
        const struct qn_site *site = plan->recipe->sites[i];
        if (qn_site_collects(site) && (uint64_t)site->quantizer.collect_steps > most)
            most = (size_t)site->quantizer.collect_steps;
    }
    return most;
}

static qonnx_status train(struct qn_job *job)
{
    qn_job_tell(job, "calibrating", 0, 0);
    return qn_train(&job->plan, &job->model, job->runtime, job->feed, qn_job_run_threads(job), &job->calibration.samples,
                    job->err);
}

/* What the result is worth, for the report. */
static qonnx_status judge(struct qn_job *job)
{
    QN_TRY(qn_job_judge(job, (struct qn_judge_terms){ .most = SIZE_MAX }, &job->judged));
    if (job->judged.sqnr < (double)job->settings.min_sqnr)
        qn_warn(
            &job->warnings,
            "an output keeps only %.1f dB of the signal, less than --min-sqnr %lld; the recipe is obeyed all the same",
            job->judged.sqnr, (long long)job->settings.min_sqnr);
    return QONNX_OK;
}

qonnx_status qn_job_obey(struct qn_job *job)
{
    bool data;

    QN_TRY(qn_explicit_plan(&job->plan, &job->graph, &job->settings, job->err));
    QN_TRY(qn_explicit_weights(&job->plan, job->err));
    data = qn_train_needs_data(&job->plan);
    job->most_samples = most_samples(&job->plan);
    if (data || (job->emitter->shapes && shapes_are_missing(job))) QN_TRY(qn_job_observe(job));
    if (data) QN_TRY(train(job));
    qn_job_tell(job, "quantizing", 0, 0);
    QN_TRY(qn_explicit_solve(&job->plan, job->err));
    for (size_t i = 0; i < job->plan.recipe->warning_count; i++)
        qn_warn(&job->warnings, "%s", job->plan.recipe->warnings[i]);
    QN_TRY(qn_job_warn_of_limits(job));
    job->judged.sqnr = INFINITY;
    if (job->runtime && strcmp(job->settings.verify, "off") != 0) QN_TRY(judge(job));
    QN_TRY(qn_job_measure_layers(job));
    return qn_job_emit(job, job->emitter);
}
