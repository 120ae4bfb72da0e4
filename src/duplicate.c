/* SPDX-License-Identifier: Apache-2.0
 *
 * Transformers have channels with values tens of times those of all others, and one scale for all leaves the others few
 * codes. Where a layer multiplies such a tensor by a constant matrix, the worst channels are spread over several copies of
 * themselves: a few more columns for a fraction of the step. Statistics of the wider tensors follow from those of the
 * channels. Kept if the model's outputs then keep more. */
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "onnx/attr.h"
#include "pass/lib/duplicate.h"
#include "plan/solved.h"
#include "quant/copies.h"

enum { SHARE = 32 /* one more column in so many */, LEAST_CHANNELS = 32 };
#define GAIN 0.7f   /* of the largest magnitude: what is not cut to this share of it is not worth the columns */

struct spread {
    qn_value_id            value;
    qn_node_id            *layers;
    size_t                 layer_count;
    const struct qn_stats *stats;
    uint32_t              *copies;
    size_t                 extra;
    const char            *tensor; /* its name, and those of what it becomes */
    struct qn_duplicated   names;
};

struct duplication {
    struct qn_job  *job;
    struct qn_arena arena;
    struct spread  *spreads;
    size_t          count;
};

/* ---- which ---- */

/* All quantized readers are matrix layers of so many rows. Lists them. */
static bool find_layers(const struct duplication *d, struct spread *s, size_t channels)
{
    const struct qn_graph *g = &d->job->graph;
    const struct qn_value *v = &g->values[s->value];

    if (!(s->layers = qn_arena_array((struct qn_arena *)&d->arena, v->use_count, sizeof *s->layers))) return false;
    for (uint32_t u = 0; u < v->use_count; u++) {
        const struct qn_use        use = g->uses[v->use_at + u];
        const Onnx__TensorProto   *weight;
        const struct qn_node_plan *row;
        if (use.node == QN_NONE) continue;
        row = &d->job->plan.nodes[use.node];
        if (!qn_plan_reads_codes(&d->job->plan, use.node, use.slot)) continue;
        weight = qn_node_constant(g, use.node, 1);
        if (row->reason != QN_REASON_QUANTIZED || use.slot != 0 || !weight || weight->n_dims != 2) return false;
        if (!qn_node_is(g, use.node, "MatMul") && !qn_node_is(g, use.node, "Gemm")) return false;
        if (weight->dims[qn_attr_int(g->pb->node[use.node], "transB", 0) ? 1 : 0] != (int64_t)channels) return false;
        s->layers[s->layer_count++] = use.node;
    }
    return s->layer_count > 0;
}

static qonnx_status consider(struct duplication *d, qn_value_id v)
{
    const struct qn_job         *job = d->job;
    const struct qn_tensor_plan *t = &job->plan.tensors[v];
    const struct qn_stats       *stats = job->stats[v];
    struct spread                s = { .value = v, .stats = stats, .tensor = job->graph.values[v].name };
    float                       *absmax, largest = 0, least;
    size_t                       channels;

    if (!t->quantized || t->at_producer || t->group != v || job->graph.values[v].init) return QONNX_OK;
    if (!stats || !stats->channels || t->channel_axis >= 0 || !qn_channel_stats_usable(stats->channels))
        return QONNX_OK;
    channels = stats->channels->channels;
    if (channels < LEAST_CHANNELS || stats->nan || stats->inf || !find_layers(d, &s, channels)) return QONNX_OK;
    absmax = qn_arena_array(&d->arena, channels, sizeof *absmax);
    s.copies = qn_arena_array(&d->arena, channels, sizeof *s.copies);
    if (!absmax || !s.copies) return qn_fail_nomem(job->err);
    for (size_t c = 0; c < channels; c++) {
        const struct qn_range range = qn_channel_range(stats->channels, c);
        absmax[c] = range.min <= range.max ? fmaxf(-range.min, range.max) : 0;
        largest = fmaxf(largest, absmax[c]);
    }
    least = qn_copies_choose(absmax, channels, channels / SHARE, s.copies);
    if (!(least < GAIN * largest)) return QONNX_OK;
    for (size_t c = 0; c < channels; c++) s.extra += s.copies[c] - 1;
    d->spreads[d->count++] = s;
    return QONNX_OK;
}

/* ---- statistics of the wider tensor ---- */

static void add_channel(struct qn_stats *made, size_t to, const struct qn_channel_stats *from, size_t c, float share)
{
    struct qn_channel_stats *channels = made->channels;
    const struct qn_range    range = qn_channel_range(from, c);
    const double             summed = (double)from->summed;

    if (range.min <= range.max) {
        channels->min[to] = range.min * share;
        channels->max[to] = range.max * share;
        made->min = fminf(made->min, channels->min[to]);
        made->max = fmaxf(made->max, channels->max[to]);
    }
    qn_fixed_sum_add(&channels->sum[to], qn_channel_mean(from, c) * summed * (double)share);
    qn_fixed_sum_add(&channels->sum2[to], qn_channel_mean_square(from, c) * summed * (double)share * (double)share);
    made->summed += from->summed;
    qn_exact_sum_add(&made->sum, qn_channel_mean(from, c) * summed * (double)share);
    qn_exact_sum_add(&made->sum2, qn_channel_mean_square(from, c) * summed * (double)share * (double)share);
}

/* Of two neighbours that are there as before, but for shares a and b of them: a (x + y) + (b - a) y, for one. */
static void keep_pair(struct qn_channel_stats *made, const struct qn_channel_stats *from, size_t c, float a, float b)
{
    const float least = fminf(a, b), rest = (fmaxf(a, b) - least) * from->max[a < b ? c + 1 : c];

    for (size_t h = 0; h < 2; h++) made->pair[c + h] = fminf(made->pair[c + h], least * from->pair[c + h] + rest);
}

static qonnx_status widen_stats(struct qn_stats *made, const struct spread *s, qonnx_error *err)
{
    const struct qn_channel_stats *from = s->stats->channels;
    const size_t                   channels = from->channels;

    QN_TRY(qn_stats_init(made, 0, err));
    QN_TRY(qn_stats_follow_channels(made, channels + s->extra, err));
    for (size_t c = 0, to = channels; c < channels; c++) {
        const float share = 1.0f / (float)s->copies[c];
        add_channel(made, c, from, c, share);
        for (uint32_t k = 1; k < s->copies[c]; k++) add_channel(made, to++, from, c, share);
    }
    qn_channel_stats_assume_pairs(made->channels);
    for (size_t c = 0; c + 1 < channels; c += 2)
        keep_pair(made->channels, from, c, 1.0f / (float)s->copies[c], 1.0f / (float)s->copies[c + 1]);
    made->channels->count = from->count;
    made->channels->summed = from->summed;
    made->samples = s->stats->samples;
    made->count = s->stats->count / channels * (channels + s->extra);
    made->masked = s->stats->masked;
    made->zeros =
        s->stats->summed ? (uint64_t)((double)s->stats->zeros / (double)s->stats->summed * (double)made->summed) : 0;
    made->sum_every = s->stats->sum_every;
    return QONNX_OK;
}

/* ---- rewriting ---- */

static qonnx_status rewrite(struct duplication *d)
{
    struct qn_job  *job = d->job;
    struct qn_edit *edit;

    qn_graph_release(&job->graph);
    QN_TRY(qn_fork_graph(&job->graph, &job->model, job->err));
    QN_TRY(qn_edit_begin(&edit, &job->graph, job->err));
    for (size_t i = 0; i < d->count; i++) {
        struct spread      *s = &d->spreads[i];
        struct qn_duplicate what = { s->value, s->layers, s->layer_count, s->stats->channels->channels, s->copies };
        qonnx_status        status = qn_pass_duplicate(&job->graph, edit, &what, &s->names, job->err);
        if (status != QONNX_OK) {
            qn_edit_cancel(edit);
            return status;
        }
    }
    return qn_edit_commit(edit, NULL, job->err);
}

/* Shapes are those of the tensor itself, but for the last axis. */
static qonnx_status shape(struct qn_job *job, const char *name, const char *like, size_t channels)
{
    const qn_value_id v = qn_graph_find(&job->graph, name), x = qn_graph_find(&job->graph, like);
    struct qn_value  *value, *from;
    int64_t          *dims;

    if (v == QN_NONE || x == QN_NONE) return qn_fail(job->err, QONNX_E_INTERNAL, "a repeated channel is nowhere");
    value = &job->graph.values[v];
    from = &job->graph.values[x];
    value->dtype = from->dtype;
    if (from->rank < 1) return QONNX_OK;
    if (!(dims = qn_arena_array(&job->arena, (size_t)from->rank, sizeof *dims))) return qn_fail_nomem(job->err);
    memcpy(dims, from->dims, (size_t)from->rank * sizeof *dims);
    dims[from->rank - 1] = (int64_t)channels;
    value->rank = from->rank;
    value->dims = dims;
    return QONNX_OK;
}

/* The plan of the graph as it is. The copies are made in float: integer kernels for that would cost more than they gain. */
static qonnx_status plan_anew(struct duplication *d)
{
    struct qn_job *job = d->job;

    QN_TRY(qn_job_take_stats(job));
    qn_plan_release(&job->plan);
    for (size_t i = 0; i < job->wider_count; i++) {
        const struct spread *s = &d->spreads[i];
        const size_t         channels = s->stats->channels->channels;
        QN_TRY(shape(job, s->names.shared, s->tensor, channels));
        QN_TRY(shape(job, s->names.repeats, s->tensor, s->extra));
        QN_TRY(shape(job, s->names.all, s->tensor, channels + s->extra));
        job->stats[qn_graph_find(&job->graph, s->names.all)] = &job->wider[i];
    }
    QN_TRY(qn_job_plan(job));
    for (size_t i = 0; i < job->wider_count; i++) {
        const qn_value_id all = qn_graph_find(&job->graph, d->spreads[i].names.all);
        job->verdicts[job->graph.values[all].producer] = (struct qn_verdict){ QN_REASON_REPEATS_CHANNELS, NAN };
    }
    return QONNX_OK;
}

/* For another graph. */
static void forget_solved(struct qn_job *job)
{
    qn_solved_release(job->solved);
    job->solved = NULL;
}

static qonnx_status duplicate(struct duplication *d)
{
    struct qn_job       *job = d->job;
    Onnx__ModelProto     before = *job->model.pb;
    struct qn_arena_mark mark = qn_arena_mark(&job->model.arena);
    const bool           judged = strcmp(job->settings.duplicate, "auto") == 0;
    struct qn_judgement  without, with;

    if (!(d->spreads = qn_arena_array(&d->arena, job->graph.value_count, sizeof *d->spreads)))
        return qn_fail_nomem(job->err);
    for (qn_value_id v = 0; v < job->graph.value_count; v++) QN_TRY(consider(d, v));
    if (!d->count) return QONNX_OK;
    if (!(job->wider = calloc(d->count, sizeof *job->wider))) return qn_fail_nomem(job->err);
    job->wider_count = d->count;
    for (size_t i = 0; i < d->count; i++) QN_TRY(widen_stats(&job->wider[i], &d->spreads[i], job->err));
    if (judged) {
        QN_TRY(qn_job_solve(job));
        QN_TRY(qn_job_judge(job, (struct qn_judge_terms){ .most = qn_judge_few(&job->judge) }, &without));
        if (without.mean > QN_JUDGE_ENOUGH) {
            qn_job_release_wider(job);
            return plan_anew(d);
        }
    }
    QN_TRY(rewrite(d));
    forget_solved(job);
    QN_TRY(plan_anew(d));
    if (!judged) return QONNX_OK;
    QN_TRY(qn_job_solve(job));
    QN_TRY(qn_job_judge(job, (struct qn_judge_terms){ .most = QN_JUDGE_MOST, .rival = &without }, &with));
    if (qn_judgement_is_better(&with, &without)) return plan_anew(d); /* without the verdicts of that trial */
    qn_job_release_wider(job);
    *job->model.pb = before;
    qn_graph_release(&job->graph);
    qn_arena_rewind(&job->model.arena, mark);
    QN_TRY(qn_graph_build(&job->graph, &job->model, job->err));
    forget_solved(job);
    return plan_anew(d);
}

void qn_job_release_wider(struct qn_job *job)
{
    for (size_t i = 0; i < job->wider_count; i++) qn_stats_release(&job->wider[i]);
    free(job->wider);
    job->wider = NULL;
    job->wider_count = 0;
}

qonnx_status qn_job_duplicate(struct qn_job *job)
{
    struct duplication d = { .job = job };
    qonnx_status       status;

    if (strcmp(job->settings.duplicate, "off") == 0 || !job->runtime) return QONNX_OK;
    if (strcmp(job->settings.duplicate, "auto") == 0 && strcmp(job->settings.verify, "off") == 0) return QONNX_OK;
    status = duplicate(&d);
    qn_arena_release(&d.arena);
    return status;
}
