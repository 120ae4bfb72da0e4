/* SPDX-License-Identifier: Apache-2.0
 * The plan and its numbers. */
#include "job.h"
#include "plan/explicit.h"

qonnx_status qn_job_plan(struct qn_job *job)
{
    if (job->settings.recipe) return qn_explicit_plan(&job->plan, &job->graph, &job->settings, job->err);
    job->verdicts = qn_arena_array(&job->arena, job->graph.node_count, sizeof *job->verdicts);
    job->ranging = qn_arena_array(&job->arena, job->graph.value_count, sizeof *job->ranging);
    job->rounded = qn_arena_array(&job->arena, job->graph.node_count, sizeof *job->rounded);
    if (!job->verdicts || !job->ranging || !job->rounded) return qn_fail_nomem(job->err);
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
        QN_TRY(qn_solve(&job->plan, job->stats, job->ranging, job->verdicts, &again, job->err));
    }
    return QONNX_OK;
}

qonnx_status qn_job_solve(struct qn_job *job)
{
    bool rounded;

    QN_TRY(solve(job));
    QN_TRY(qn_job_round(job, &rounded));
    return rounded ? solve(job) : QONNX_OK;
}

qonnx_status qn_job_judge(struct qn_job *job, struct qn_judge_terms terms, struct qn_judgement *judged_as)
{
    const struct qn_emitter *judged = job->emitter->foreign ? qn_emitter_find("qcdq") : job->emitter;

    QN_TRY(qn_job_emit(job, judged));
    qn_job_tell(job, "judging", 0, 0);
    QN_TRY(qn_judge_run(&job->judge, terms, job->runtime, &job->model, job->feed, judged_as, job->err));
    qn_job_back_to_float(job);
    job->report.candidates++;
    return QONNX_OK;
}
