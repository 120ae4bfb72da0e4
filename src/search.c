/* SPDX-License-Identifier: Apache-2.0
 *
 * What is left in float, and which methods are used. The statistics of single tensors propose, whole models decide: a
 * candidate is run on a few calibration samples, because errors add up, cancel and grow in ways that no tensor tells.
 *
 *     floor     units that keep too little by themselves are left in float
 *     trials    methods that the preset has on trial stay if the outputs keep more with them
 *     part      while an output keeps less than asked for, stretches of the graph are quantized one at a time to see
 *               what noise they make; the noisiest are halved, and the quietest that go together are taken */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "plan/presets.h"
#include "plan/units.h"
#include "sensitivity.h"

enum {
    UNCHOSEN_DB = 1, /* may be missing from what is sure where little was chosen */
    WISH_DB = 1,    /* more than that: so far goes what is cheap */
    STRETCHES = 8,  /* to begin with */
    ROUNDS = 4,     /* candidates kept back for the end; twice as many may run while the result keeps too much */
    STEPS = 40,     /* of the limit that they are chosen by; most choose what was run before */
    LOOSE_DB = 3    /* that is too much */
};
#define RATE_DB 60.0 /* what all of the work is worth */
#define LEAST_WORK 1e-3
#define STEP 1.26  /* 1 dB of noise: less is not tried */
#define CLOSE 1.3  /* limits: nothing is to be found between them */
#define LEAP 4.0   /* where the noise does not tell how far to go */

/* Quantizable nodes that follow each other, and what they do to the outputs when they alone are quantized. With all
 * else in float there is little noise, and little noise adds up; much of it hides what it consists of. */
struct stretch {
    size_t begin, end; /* in search.nodes */
    double noise, work;
    bool   quantized, before; /* in the choice that is tried; in the one tried before */
};

/* Of the chosen stretches. */
struct choice {
    double noise, work;
    bool   all;
};

struct search {
    struct qn_job     *job;
    struct qn_arena    arena;
    struct qn_verdict *given, *best; /* by node: verdicts that stand whatever is tried; of the best candidate */
    qn_node_id        *nodes;        /* quantizable ones, and their shares of the work */
    double            *work;
    bool              *slower; /* by node: it does not pay, whatever is quantized around it */
    size_t             count, stretch_count;
    struct stretch    *stretches;
    size_t             left;        /* candidates that may still be run */
    bool               lifted;      /* what the floor left in float is up for decision again */
    bool               parted; /* some of many choices was the best, by the luck of few samples, too */
    bool               stale;       /* the plan is not that of the verdicts and settings as they are */
    double             least, wish; /* dB asked for; dB beyond which nothing goes to float any more */
    double             aim;         /* dB to begin with */
};

/* ---- floor ---- */

/* By statistics alone, until all that is left keeps the floor: with fewer nodes quantized, others are read and made. */
static qonnx_status raise_floor(struct search *s)
{
    struct qn_job *job = s->job;
    bool           again = true;

    while (again) {
        struct qn_unit *units;
        size_t          count;

        again = false;
        QN_TRY(qn_job_solve(job));
        QN_TRY(qn_plan_units(&job->plan, job->stats, &s->arena, &units, &count, job->err));
        for (size_t i = 0; i < count; i++)
            again |= units[i].db < (double)job->settings.node_sqnr && qn_unit_condemn(&units[i], job->verdicts);
    }
    return QONNX_OK;
}

/* ---- candidates ---- */

static const struct qn_judge_terms on_all = { .most = SIZE_MAX };

/* The model of the solved plan. */
static qonnx_status judge(struct search *s, struct qn_judge_terms terms, struct qn_judgement *judged_as)
{
    if (s->left) s->left--;
    return qn_job_judge(s->job, terms, judged_as);
}

/* The model as the verdicts and settings ask for. Leaves its plan solved. */
static qonnx_status measure(struct search *s, struct qn_judge_terms terms, struct qn_judgement *judged_as)
{
    s->stale = false;
    QN_TRY(qn_job_solve(s->job));
    return judge(s, terms, judged_as);
}

/* ---- trials ---- */

static bool is_first(const struct qn_option_value *trials, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (strcmp(trials[k].option, trials[i].option) == 0) return false;
    return true;
}

qonnx_status qn_job_begin_trials(struct qn_job *job)
{
    struct qn_settings           *settings = &job->settings;
    const struct qn_option_value *trials = settings->preset_row->trials;

    for (size_t i = 0; trials[i].option; i++)
        if (is_first(trials, i) && qn_settings_on_trial(settings, trials[i].option))
            QN_TRY(qn_settings_try(settings, trials[i].option, trials[i].value, job->err));
    return QONNX_OK;
}

static qonnx_status try_methods(struct search *s)
{
    struct qn_settings           *settings = &s->job->settings;
    const struct qn_option_value *trials = settings->preset_row->trials;

    for (size_t i = 0; trials[i].option && s->job->judged.sqnr < QN_JUDGE_ENOUGH && s->left; i++) {
        struct qn_judgement now;
        const char         *before = qn_settings_value(settings, trials[i].option);

        if (is_first(trials, i) || !qn_settings_on_trial(settings, trials[i].option)) continue;
        QN_TRY(qn_settings_try(settings, trials[i].option, trials[i].value, s->job->err));
        QN_TRY(measure(s, (struct qn_judge_terms){ .most = QN_JUDGE_MOST, .rival = &s->job->judged }, &now));
        if (qn_judgement_is_better(&now, &s->job->judged)) {
            s->job->judged = now;
            continue;
        }
        QN_TRY(qn_settings_try(settings, trials[i].option, before, s->job->err));
        s->stale = true;
    }
    return QONNX_OK;
}

/* ---- what is asked for ---- */

/* dB that count: what those samples keep that were judged, if others nearly surely keep not much less; where parts were
 * chosen by them, what others surely do. */
static double kept(const struct search *s, struct qn_judgement judged) { return s->parted ? judged.sure : fmin(judged.sqnr, judged.sure + UNCHOSEN_DB); }

static bool is_enough(const struct search *s, struct qn_judgement judged)
{
    return kept(s, judged) >= s->least && judged.drop <= s->job->settings.max_drop;
}

static bool counts_choices(const struct search *s) { return s->job->settings.max_drop < QN_DROP_ANY; }

/* A few samples choose the methods; a demand on choices asks all. */
static qonnx_status confirm(struct search *s)
{
    if (s->stale) return measure(s, on_all, &s->job->judged);
    return judge(s, on_all, &s->job->judged);
}

static qonnx_status check_choices(const struct search *s)
{
    if (!counts_choices(s) || s->job->judged.drop >= 0) return QONNX_OK;
    return qn_fail(s->job->err, QONNX_E_USAGE,
                   "--max-drop: no float output has rows of several values to choose from; use --min-sqnr");
}

/* ---- what stays in float ---- */

static double noise_of(double db) { return pow(10, -db / 10); }

/* The verdicts as they stand, and float for all nodes that are in no quantized stretch. */
static void apply(struct search *s)
{
    struct qn_verdict *verdicts = s->job->verdicts;

    memcpy(verdicts, s->given, s->job->graph.node_count * sizeof *s->given);
    for (size_t i = 0; i < s->stretch_count; i++)
        for (size_t k = s->stretches[i].begin; k < s->stretches[i].end && !s->stretches[i].quantized; k++)
            verdicts[s->nodes[k]] =
                (struct qn_verdict){ QN_REASON_QUANTIZATION_ERROR, -10 * log10(s->stretches[i].noise) };
}

static qonnx_status measure_stretches(struct search *s, struct qn_judgement *judgement)
{
    apply(s);
    return measure(s, (struct qn_judge_terms){ .most = SIZE_MAX, .least = s->least }, judgement);
}

/* The plan in which it alone is quantized, whether that pays or not: between others it may. */
static qonnx_status solve_alone(struct search *s, struct stretch *stretch)
{
    bool        *only_faster = &s->job->settings.only_faster;
    const bool   asked = *only_faster;
    qonnx_status status;

    stretch->quantized = true;
    apply(s);
    for (qn_node_id n = 0; n < s->job->graph.node_count; n++)
        if (s->slower[n] && s->job->verdicts[n].reason == QN_REASON_QUANTIZED)
            s->job->verdicts[n] = (struct qn_verdict){ QN_REASON_SLOWER_ON_TARGET, NAN };
    *only_faster = false;
    status = qn_job_solve(s->job);
    *only_faster = asked;
    stretch->quantized = false;
    s->stale = true;
    return status;
}

/* The noise of a stretch that alone is quantized. */
static qonnx_status weigh(struct search *s, struct stretch *stretch)
{
    struct qn_judgement alone = { .mean = INFINITY };

    stretch->work = 0;
    for (size_t i = stretch->begin; i < stretch->end; i++) stretch->work += s->work[i];
    QN_TRY(solve_alone(s, stretch));
    if (qn_plan_count(&s->job->plan).quantized) QN_TRY(judge(s, (struct qn_judge_terms){ .most = qn_judge_few(&s->job->judge) }, &alone));
    stretch->noise = noise_of(alone.mean);
    return QONNX_OK;
}

static qonnx_status halve(struct search *s, struct stretch *whole)
{
    struct stretch *rest = &s->stretches[s->stretch_count++];

    *rest = *whole;
    whole->end = rest->begin = whole->begin + (whole->end - whole->begin) / 2;
    QN_TRY(weigh(s, whole));
    return weigh(s, rest);
}

/* Those that do much work with little noise first. */
static int by_price(const void *a, const void *b)
{
    const struct stretch *x = a, *y = b;
    double                p = x->noise / (x->work + LEAST_WORK), q = y->noise / (y->work + LEAST_WORK);

    if (p != q) return p < q ? -1 : 1;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Beyond what is asked for, dB have a price in work: stretches that bring more than they cost go to float. */
static void buy(struct search *s, double total)
{
    while (total > noise_of(s->wish)) {
        struct stretch *best = NULL;
        double          best_rate = RATE_DB;

        for (size_t i = 0; i < s->stretch_count; i++) {
            struct stretch *stretch = &s->stretches[i];
            double          rate =
                10 * log10(total / fmax(total - stretch->noise, noise_of(s->wish))) / (stretch->work + LEAST_WORK);
            if (!stretch->quantized || rate < best_rate) continue;
            best = stretch;
            best_rate = rate;
        }
        if (!best) break;
        best->quantized = false;
        total -= best->noise;
    }
}

/* The cheapest stretches that together stay below `limit`. True when they are others than before. */
static bool choose(struct search *s, double limit)
{
    double total = 0;
    bool   changed = false;

    qsort(s->stretches, s->stretch_count, sizeof *s->stretches, by_price);
    for (size_t i = 0; i < s->stretch_count; i++) {
        struct stretch *stretch = &s->stretches[i];
        stretch->before = stretch->quantized;
        stretch->quantized = total + stretch->noise <= limit;
        if (stretch->quantized) total += stretch->noise;
    }
    buy(s, total);
    for (size_t i = 0; i < s->stretch_count; i++) changed |= s->stretches[i].quantized != s->stretches[i].before;
    return changed;
}

static qonnx_status list_nodes(struct search *s)
{
    const struct qn_plan *plan = &s->job->plan;
    double                all = 0;

    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        if (s->job->verdicts[n].reason != QN_REASON_QUANTIZATION_ERROR) continue;
        s->job->verdicts[n].reason = QN_REASON_QUANTIZED; /* the floor's; runs decide better */
        s->lifted = true;
    }
    QN_TRY(qn_job_solve(s->job));
    s->count = 0;
    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        s->slower[n] = plan->nodes[n].reason == QN_REASON_SLOWER_ON_TARGET;
        if (plan->nodes[n].reason != QN_REASON_QUANTIZED && plan->nodes[n].reason != QN_REASON_MOVES_CODES) continue;
        s->nodes[s->count] = n;
        all += s->work[s->count++] = qn_plan_work(plan, s->job->stats, n);
    }
    for (size_t i = 0; all > 0 && i < s->count; i++) s->work[i] /= all;
    memcpy(s->given, s->job->verdicts, s->job->graph.node_count * sizeof *s->given);
    return QONNX_OK;
}

/* The noisiest stretch that can be halved and is too noisy to be quantized as a whole. */
static struct stretch *noisiest(struct search *s, double limit)
{
    struct stretch *worst = NULL;

    for (size_t i = 0; i < s->stretch_count; i++) {
        struct stretch *stretch = &s->stretches[i];
        if (stretch->end - stretch->begin > 1 && stretch->noise > limit / 4 &&
            (!worst || stretch->noise > worst->noise))
            worst = stretch;
    }
    return worst;
}

static struct choice sum_up(const struct search *s)
{
    struct choice sum = { .all = true };

    for (size_t i = 0; i < s->stretch_count; i++) {
        sum.all &= s->stretches[i].quantized;
        if (!s->stretches[i].quantized) continue;
        sum.noise += s->stretches[i].noise;
        sum.work += s->stretches[i].work;
    }
    return sum;
}

static qonnx_status leave_all_in_float(struct search *s)
{
    for (size_t i = 0; i < s->stretch_count; i++) s->stretches[i].quantized = false;
    return measure_stretches(s, &s->job->judged);
}

/* The best so far keeps so much more than it has to that some more runs may find a faster one. */
static bool is_loose(const struct search *s) { return kept(s, s->job->judged) > s->least + LOOSE_DB; }

/* Noise does not quite add up: how much of it may be added is found by measuring, from both sides. */
static qonnx_status settle(struct search *s)
{
    const double        wanted = noise_of(s->aim);
    double              limit = wanted, good = 0, bad = INFINITY, most = -1;
    struct qn_judgement now;
    int                 runs = 0;

    for (int step = 0; most < 0 || (step < STEPS && bad > good * CLOSE && runs < (is_loose(s) ? 2 : 1) * ROUNDS);
         step++) {
        const bool          changed = choose(s, limit);
        const struct choice chosen = sum_up(s);

        if (!step && chosen.all && !s->lifted) {
            now = s->job->judged; /* that is what was not good enough */
        } else if (changed || !step) {
            QN_TRY(measure_stretches(s, &now));
            runs++;
        }
        if (is_enough(s, now)) {
            good = limit;
            if (chosen.work > most) {
                most = chosen.work;
                s->job->judged = now;
                memcpy(s->best, s->job->verdicts, s->job->graph.node_count * sizeof *s->best);
            }
            if (chosen.all) break;
        } else if (most < 0 && !(chosen.noise > 0)) {
            return leave_all_in_float(s); /* each alone makes no noise, so that no limit takes them apart */
        } else {
            bad = limit;
        }
        if (good > 0 && isfinite(bad))
            limit = sqrt(good * bad);
        else
            limit *= good > 0 ? fmin(fmax(wanted / noise_of(kept(s, now)), STEP), LEAP)
                              : fmin(wanted / noise_of(kept(s, now)), kept(s, now) < s->least ? 1 / STEP : 1 / LEAP);
    }
    memcpy(s->job->verdicts, s->best, s->job->graph.node_count * sizeof *s->best);
    s->stale = true;
    return QONNX_OK;
}

/* For the report: what each stretch does alone, and what became of it. */
static qonnx_status keep_sensitivities(struct search *s)
{
    struct qn_sensitivity *parts = qn_arena_array(&s->arena, s->stretch_count, sizeof *parts);

    if (!parts) return qn_fail_nomem(s->job->err);
    for (size_t i = 0; i < s->stretch_count; i++) {
        const struct stretch *stretch = &s->stretches[i];
        const qn_node_id      first = s->nodes[stretch->begin];
        parts[i] =
            (struct qn_sensitivity){ .first = first,
                                     .last = s->nodes[stretch->end - 1],
                                     .nodes = stretch->end - stretch->begin,
                                     .work = stretch->work,
                                     .sqnr = -10 * log10(stretch->noise),
                                     .measured = true,
                                     .quantized = s->job->verdicts[first].reason != QN_REASON_QUANTIZATION_ERROR };
    }
    return qn_sensitivity_keep(s->job, parts, s->stretch_count);
}

/* Finds which nodes to leave in float so that the outputs keep what is asked for. */
static qonnx_status part(struct search *s)
{
    double          limit;
    struct stretch *worst;

    s->parted = true;
    s->wish = s->least + WISH_DB;
    s->aim = fmax(s->least, kept(s, s->job->judged)); /* when it is choices that too many change of */
    limit = noise_of(fmax(s->aim, fmin(s->wish, kept(s, s->job->judged) + 6)));
    QN_TRY(list_nodes(s));
    s->stretch_count = 0;
    for (size_t i = 0; i < STRETCHES; i++) {
        struct stretch *stretch = &s->stretches[s->stretch_count];
        *stretch =
            (struct stretch){ .begin = s->count * i / STRETCHES, .end = s->count * (i + 1) / STRETCHES, .noise = 1 };
        s->stretch_count += stretch->begin < stretch->end;
    }
    for (size_t i = 0; i < s->stretch_count; i++) QN_TRY(weigh(s, &s->stretches[i]));
    while (s->left > ROUNDS && (worst = noisiest(s, limit))) QN_TRY(halve(s, worst));
    QN_TRY(settle(s));
    return keep_sensitivities(s);
}

/* ---- the list ---- */

static qonnx_status search(struct search *s)
{
    struct qn_job *job = s->job;

    job->judged = (struct qn_judgement){ .sqnr = INFINITY, .mean = INFINITY, .sure = INFINITY, .drop = -1 };
    QN_TRY(raise_floor(s));
    if (!job->runtime || strcmp(job->settings.verify, "off") == 0)
        return counts_choices(s)
                   ? qn_fail(job->err, QONNX_E_USAGE,
                             "--max-drop needs the outputs compared: with --calib, and not with -o verify=off")
                   : QONNX_OK;
    QN_TRY(judge(s, (struct qn_judge_terms){ .most = QN_JUDGE_MOST }, &job->judged)); /* the floor has left it solved */
    qn_judge_worst_first(&job->judge, &job->judged);
    QN_TRY(try_methods(s));
    if (is_enough(s, job->judged) && job->judged.samples < qn_judge_count(&job->judge)) QN_TRY(confirm(s));
    QN_TRY(check_choices(s));
    if (!is_enough(s, job->judged)) QN_TRY(part(s));
    if (s->stale) QN_TRY(qn_job_solve(job));
    return qn_sensitivity_estimate(job);
}

qonnx_status qn_job_search(struct qn_job *job)
{
    struct search s = {
        .job = job,
        .left = (size_t)job->settings.candidates,
        .least = job->settings.min_sqnr ? (double)job->settings.min_sqnr : -INFINITY,
    };
    qonnx_status status = QONNX_OK;

    s.given = qn_arena_array(&s.arena, job->graph.node_count, sizeof *s.given);
    s.best = qn_arena_array(&s.arena, job->graph.node_count, sizeof *s.best);
    s.nodes = qn_arena_array(&s.arena, job->graph.node_count, sizeof *s.nodes);
    s.slower = qn_arena_array(&s.arena, job->graph.node_count, sizeof *s.slower);
    s.work = qn_arena_array(&s.arena, job->graph.node_count, sizeof *s.work);
    s.stretches = qn_arena_array(&s.arena, job->graph.node_count + STRETCHES, sizeof *s.stretches);
    status = qn_arena_failed(&s.arena) ? qn_fail_nomem(job->err) : search(&s);
    qn_arena_release(&s.arena);
    return status;
}
