/* SPDX-License-Identifier: Apache-2.0
 * The plan and its numbers. */
#include "job.h"
#include "plan/explicit.h"

qonnx_status qn_job_plan(struct qn_job *job)
{
    if (job->settings.recipe) return qn_explicit_plan(&job->plan, &job->graph, &job->settings, job->err);
    job->verdicts = qn_arena_array(&job->arena, job->graph.node_count, sizeof *job->verdicts);
    job->ranging = qn_arena_array(&job->arena, job->graph.value_count, sizeof *job->ranging);
    if (!job->verdicts || !job->ranging) return qn_fail_nomem(job->err);
    return qn_plan_make(&job->plan, &job->graph, &job->settings, job->verdicts, job->err);
}

qonnx_status qn_job_solve(struct qn_job *job)
{
    bool again = true;

    qn_job_tell(job, "quantizing", 0, 0);
    while (again) {
        qn_plan_release(&job->plan);
        QN_TRY(qn_plan_make(&job->plan, &job->graph, &job->settings, job->verdicts, job->err));
        QN_TRY(qn_solve(&job->plan, job->stats, job->ranging, job->verdicts, &again, job->err));
    }
    return QONNX_OK;
}
