/* SPDX-License-Identifier: Apache-2.0
 * Candidates: solved plans, and what the model's outputs keep with each. */
#include "job.h"
#include "plan/digest.h"

struct qn_tried {
    struct qn_plan_digest digest;
    struct qn_judgement   judgement;
    struct qn_tried      *before;
};

/* It tells as much as a new run would. */
static bool tells(const struct qn_tried *tried, struct qn_judge_terms terms, size_t samples)
{
    const size_t wanted = terms.most < samples ? terms.most : samples;
    return tried->judgement.samples >= wanted || (terms.least != 0 && tried->judgement.sqnr < terms.least);
}

static qonnx_status try(struct qn_job *job, struct qn_judge_terms terms, struct qn_judgement *judged_as)
{
    const struct qn_emitter *judged = job->emitter->foreign ? qn_emitter_find("qcdq") : job->emitter;
    struct qn_session       *session;

    qn_job_tell(job, "opening a candidate", 0, 0);
    QN_TRY(qn_job_emit(job, judged));
    QN_TRY(qn_judge_open(&job->judge, job->runtime, &job->model, &session, job->err));
    qn_job_tell(job, "judging", 0, 0);
    QN_TRY(qn_judge_run(&job->judge, terms, session, judged_as, job->err));
    qn_job_back_to_float(job);
    job->report.candidates++;
    return QONNX_OK;
}

qonnx_status qn_job_judge(struct qn_job *job, struct qn_judge_terms terms, struct qn_judgement *judged_as)
{
    const size_t          samples = qn_judge_count(&job->judge);
    struct qn_plan_digest digest;
    struct qn_tried      *tried = job->tried;

    QN_TRY(qn_plan_digest(&job->plan, &digest, job->err));
    while (tried && (tried->digest.low != digest.low || tried->digest.high != digest.high || !tells(tried, terms, samples))) tried = tried->before;
    if (!tried) {
        if (!(tried = qn_arena_alloc(&job->arena, sizeof *tried))) return qn_fail_nomem(job->err);
        QN_TRY(try(job, terms, &tried->judgement));
        tried->digest = digest;
        tried->before = job->tried;
        job->tried = tried;
    }
    *judged_as = tried->judgement;
    return QONNX_OK;
}
