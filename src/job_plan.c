/* SPDX-License-Identifier: Apache-2.0
 * The plan and its numbers. */
#include "forecast.h"
#include "job.h"
#include "plan/explicit.h"
#include "plan/presets.h"
#include "plan/solved.h"

qonnx_status qn_job_plan(struct qn_job *job)
{
    if (job->settings.recipe) return qn_explicit_plan(&job->plan, &job->graph, &job->settings, job->err);
    job->verdicts = qn_arena_array(&job->arena, job->graph.node_count, sizeof *job->verdicts);
    job->ranging = qn_arena_array(&job->arena, job->graph.value_count, sizeof *job->ranging);
    job->rounded = qn_arena_array(&job->arena, job->graph.node_count, sizeof *job->rounded);
    if (!job->verdicts || !job->ranging || !job->rounded) return qn_fail_nomem(job->err);
    qn_job_give_ranges(job);
    if (!job->solved) QN_TRY(qn_solved_new(&job->solved, &job->graph, job->err));
    return qn_plan_make(&job->plan, &job->graph, &job->settings, job->verdicts, job->err);
}

static qonnx_status solve(struct qn_job *job)
{
    bool again = true;

    qn_job_tell(job, "quantizing", 0, 0);
    while (again) {
        qn_plan_release(&job->plan);
        QN_TRY(qn_plan_make(&job->plan, &job->graph, &job->settings, job->verdicts, job->err));
        job->plan.rounded = job->rounded;
        job->plan.solved = job->solved;
        QN_TRY(qn_solve(&job->plan, job->stats, job->ranging, job->verdicts, &again, job->err));
    }
    return QONNX_OK;
}

/* With the quickest way to find scales: sizes do not depend on them. */
qonnx_status qn_job_weigh(struct qn_job *job, uint64_t *files, uint64_t *constants)
{
    struct qn_forecast forecast;
    const bool         dry_run = job->settings.dry_run;
    qonnx_status       status;

    job->settings.dry_run = true;
    status = solve(job);
    if (status == QONNX_OK) status = qn_job_emit(job, job->emitter);
    if (status == QONNX_OK) {
        status = qn_forecast(job, &forecast);
        qn_job_back_to_float(job);
        *files = forecast.file_after;
        *constants = forecast.constants_after;
    }
    job->settings.dry_run = dry_run;
    return status;
}

qonnx_status qn_job_solve(struct qn_job *job)
{
    bool rounded;

    QN_TRY(solve(job));
    QN_TRY(qn_job_round(job, &rounded));
    return rounded ? solve(job) : QONNX_OK;
}

/* ---- without data ---- */

/* Any range will do, and the quickest way to find scales: sizes do not depend on them. */
static const float anything[] = { -1, 1 };

static qonnx_status suppose(struct qn_job *job)
{
    struct qn_stats *stats = qn_arena_alloc(&job->arena, sizeof *stats);

    job->stats = qn_arena_array(&job->arena, job->graph.value_count, sizeof *job->stats);
    if (!stats || !job->stats) return qn_fail_nomem(job->err);
    QN_TRY(qn_stats_init(stats, 0, job->err));
    (void)qn_stats_add(stats, anything, 2);
    for (qn_value_id v = 0; v < job->graph.value_count; v++) job->stats[v] = stats;
    job->settings.pair_safe = "off";
    QN_TRY(qn_job_plan(job));
    QN_TRY(qn_job_meet_budget(job));
    return solve(job);
}

static qonnx_status suppose_recipe(struct qn_job *job)
{
    struct qn_plan *plan = &job->plan;

    QN_TRY(qn_job_plan(job));
    QN_TRY(qn_explicit_weights(plan, job->err));
    for (size_t i = 0; i < plan->recipe->site_count; i++) {
        struct qn_site *site = plan->recipe->sites[i];
        if (!qn_site_collects(site)) continue;
        if (!(site->batches = qn_arena_alloc(&plan->arena, sizeof *site->batches))) return qn_fail_nomem(job->err);
        QN_TRY(qn_batch_stat_init(site->batches, &site->quantizer, site->channels, &plan->arena, job->err));
        for (size_t c = 0; c < site->channels; c++) site->batches->u[c] = 1;
        site->batch_count = 1;
    }
    return qn_explicit_solve(plan, job->err);
}

qonnx_status qn_job_foresee(struct qn_job *job)
{
    if (job->settings.preset_row->copy) return qn_fail(job->err, QONNX_E_USAGE, "--dry-run: --preset %s quantizes nothing", job->settings.preset);
    if (!(job->emitter = qn_emitter_find(job->settings.format))) return qn_fail(job->err, QONNX_E_USAGE, "--format %s goes with convert only", job->settings.format);
    QN_TRY(qn_job_run_passes(job));
    QN_TRY(job->settings.recipe ? suppose_recipe(job) : suppose(job));
    QN_TRY(qn_job_emit(job, job->emitter));
    QN_TRY(qn_job_restore_ports(job));
    return qn_job_integer_ends(job);
}
