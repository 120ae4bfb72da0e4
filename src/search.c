/* SPDX-License-Identifier: Apache-2.0
 *
 * What is left in float, and which methods are used. The statistics of single tensors propose, whole models decide: a
 * candidate is run on a few calibration samples, because errors add up, cancel and grow in ways that no tensor tells.
 *
 *     floor     units that keep too little by themselves are left in float
 *     trials    methods that the preset has on trial stay if the outputs keep more with them
 *     widen     while an output keeps less than asked for, the worst units go to float: 1, 2, 4, 8 …
 *     narrow    those of them that turn out not to be needed come back */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "plan/presets.h"
#include "plan/rank.h"

enum { ENOUGH_DB = 45 }; /* about what 8 bits keep: nothing is tried beyond */
#define GAIN_DB 0.1      /* less is chance */

struct search {
    struct qn_job     *job;
    struct qn_arena    arena;
    struct qn_verdict *given;       /* verdicts that stand whatever is tried; by node */
    struct qn_unit    *units;       /* worst first */
    size_t             count, left; /* units; candidates that may still be run */
    double             least;       /* dB asked for */
};

/* ---- floor ---- */

/* By statistics alone, until all that is left keeps the floor: with fewer nodes quantized, others are read and made. */
static qonnx_status raise_floor(struct search *s)
{
    bool again = true;

    while (again) {
        again = false;
        QN_TRY(qn_job_solve(s->job));
        QN_TRY(qn_plan_rank(&s->job->plan, &s->arena, &s->units, &s->count, s->job->err));
        for (size_t i = 0; i < s->count && s->units[i].db < (double)s->job->settings.node_sqnr; i++)
            again |= qn_unit_condemn(&s->units[i], s->job->verdicts);
    }
    return QONNX_OK;
}

/* ---- candidates ---- */

/* The model as the verdicts and settings ask for is made, run and dropped again. Leaves its plan solved. */
static qonnx_status measure(struct search *s, double *db)
{
    struct qn_job           *job = s->job;
    const struct qn_emitter *judged = job->emitter->foreign ? qn_emitter_find("qcdq") : job->emitter;

    QN_TRY(qn_job_solve(job));
    QN_TRY(qn_job_emit(job, judged));
    qn_job_tell(job, "judging", job->report.candidates, 0);
    QN_TRY(qn_judge_run(&job->judge, job->runtime, &job->model, job->feed, db, job->err));
    qn_job_back_to_float(job);
    job->report.candidates++;
    if (s->left) s->left--;
    return QONNX_OK;
}

/* ---- trials ---- */

static qonnx_status try_methods(struct search *s)
{
    const struct qn_option_value *trials = s->job->settings.preset_row->trials;

    for (size_t i = 0; trials[i].option && s->job->sqnr < ENOUGH_DB && s->left; i++) {
        struct qn_settings *settings = &s->job->settings;
        double              db;
        const char         *before = qn_settings_value(settings, trials[i].option);

        if (!qn_settings_on_trial(settings, trials[i].option)) continue;
        QN_TRY(qn_settings_try(settings, trials[i].option, trials[i].value, s->job->err));
        QN_TRY(measure(s, &db));
        if (db > s->job->sqnr + GAIN_DB)
            s->job->sqnr = db;
        else
            QN_TRY(qn_settings_try(settings, trials[i].option, before, s->job->err));
    }
    return QONNX_OK;
}

/* ---- widen and narrow ---- */

/* Marks as they are become verdicts. */
static void apply_marks(struct search *s)
{
    memcpy(s->job->verdicts, s->given, s->job->graph.node_count * sizeof *s->given);
    for (size_t i = 0; i < s->count; i++)
        if (s->units[i].in_float) qn_unit_condemn(&s->units[i], s->job->verdicts);
}

/* The worst units go to float, ever more of them, until the outputs keep what is asked for. */
static qonnx_status widen(struct search *s)
{
    QN_TRY(qn_job_solve(s->job));
    QN_TRY(qn_plan_rank(&s->job->plan, &s->arena, &s->units, &s->count, s->job->err));
    memcpy(s->given, s->job->verdicts, s->job->graph.node_count * sizeof *s->given);
    for (size_t k = 1, marked = 0; s->job->sqnr < s->least && marked < s->count; k *= 2) {
        for (; marked < k && marked < s->count; marked++) s->units[marked].in_float = true;
        apply_marks(s);
        QN_TRY(measure(s, &s->job->sqnr));
    }
    return QONNX_OK;
}

/* Tries without the marks from `begin` to `end`; they come back where they turn out to be needed. */
static qonnx_status try_without(struct search *s, size_t begin, size_t end)
{
    size_t any = 0;
    double db;

    for (size_t i = begin; i < end; i++) {
        any += s->units[i].in_float;
        s->units[i].on_trial = s->units[i].in_float;
        s->units[i].in_float = false;
    }
    if (!any) return QONNX_OK;
    apply_marks(s);
    QN_TRY(measure(s, &db));
    if (db >= s->least)
        s->job->sqnr = db;
    else
        for (size_t i = begin; i < end; i++) s->units[i].in_float = s->units[i].on_trial;
    return QONNX_OK;
}

/* Units come back from float, in ever smaller runs of neighbours in the ranking, the least bad ones first. */
static qonnx_status narrow(struct search *s)
{
    size_t marked = 0;

    while (marked < s->count && s->units[marked].in_float) marked++;
    for (size_t size = marked / 2; size && s->left; size = size == 1 ? 0 : (size + 1) / 2)
        for (size_t end = marked; end && s->left; end -= size < end ? size : end)
            QN_TRY(try_without(s, end > size ? end - size : 0, end));
    apply_marks(s);
    return QONNX_OK;
}

/* ---- the list ---- */

static qonnx_status search(struct search *s)
{
    struct qn_job *job = s->job;

    job->sqnr = INFINITY;
    QN_TRY(raise_floor(s));
    if (!job->runtime || strcmp(job->settings.verify, "off") == 0) return QONNX_OK;
    QN_TRY(measure(s, &job->sqnr));
    QN_TRY(try_methods(s));
    if (job->sqnr < s->least) {
        QN_TRY(widen(s));
        QN_TRY(narrow(s));
    }
    return qn_job_solve(job);
}

qonnx_status qn_job_search(struct qn_job *job)
{
    struct search s = { .job = job, .left = (size_t)job->settings.candidates, .least = (double)job->settings.min_sqnr };
    qonnx_status  status = QONNX_OK;

    s.given = qn_arena_array(&s.arena, job->graph.node_count, sizeof *s.given);
    status = s.given ? search(&s) : qn_fail_nomem(job->err);
    qn_arena_release(&s.arena);
    return status;
}
