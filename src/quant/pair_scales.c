/* SPDX-License-Identifier: Apache-2.0
 *
 * The scale of an output follows from a convex function of it: rounding costs v s^2 / 12 for each weight of importance v,
 * and a pair whose sum B = x1 |w1| + x2 |w2| in its worse corner x is beyond what s allows costs
 * (B - LIMIT s)^2 / (x1^2/v1 + x2^2/v2) when its excess is split at least cost. Its minimum is found in a few steps from the
 * left, for each step of Newton's method only leaves out pairs.
 *
 * Weights are copied out pair by pair, first members and second members apart, so that all loops run over arrays. */
#include "quant/pair_safe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "quant/simd.h"

enum { LANES = 64, TILE = 16, ROOM = 1 << 19, WORTH_THREADS = 1 << 18, STEPS = 40 };
enum { LIMIT = INT16_MAX, TOP = 255 };

#define UPPER(a, b) ((a) > (b) ? (a) : (b))
#define POSITIVE(x) ((x) > 0 ? (x) : 0.0f)

/* For each pair of a group of channels, padded with zeros to whole lanes: by corner the inputs, and what the square of an
 * excess costs there. */
struct pairs {
    float *first[2], *second[2], *cost[2];
};
enum { TABLES = 6 };

struct job {
    const struct qn_pair_task *task;
    size_t                     positions, padded, row; /* of one output: weights; pairs, filled up; floats */
    size_t                     tile;
    float                      reach; /* the largest sum of a pair's inputs */
    struct pairs              *groups;
    double                    *rounding;        /* by group: cost of a scale of 1 */
    float                     *room, **scratch; /* by worker */
    int                        workers;
    /* One scale for all: what each output adds to its equation. */
    float                     *worst;
    double                    *sums;
    bool                       summing;
};

static size_t group_of(const struct job *job, size_t output)
{
    return output / (job->task->products.outputs / job->task->products.groups);
}

/* ---- copying out ---- */

/* `count` outputs from `first` on; each takes 2 * padded floats, first members before second members. */
static void copy_out(const struct job *job, size_t first, size_t count, float *out)
{
    const struct qn_products *p = &job->task->products;
    const float              *w = job->task->w + first * p->out_stride;
    size_t                    position = 0;

    for (size_t t = 0; t < p->taps; t++) {
        for (size_t c = 0; c < p->channels; c++, position++) {
            const float *from = w + t * p->tap_stride + c * p->in_stride;
            float       *to = out + position % 2 * job->padded + position / 2;
            for (size_t r = 0; r < count; r++) to[r * job->row] = from[r * p->out_stride];
        }
    }
}

/* ---- loops over an output's pairs ---- */

/* The largest sum of products of either sign. */
QN_CLONES static float find_worst(const float *restrict first, const float *restrict second, size_t n,
                                  const float *restrict m1, const float *restrict m2)
{
    float worst[LANES] = { 0 }, most = 0;

    for (size_t i = 0; i < n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            const float a = first[i + j], b = second[i + j];
            const float up = m1[i + j] * POSITIVE(a) + m2[i + j] * POSITIVE(b);
            const float down = m1[i + j] * POSITIVE(-a) + m2[i + j] * POSITIVE(-b);
            const float larger = UPPER(up, down);
            worst[j] = UPPER(larger, worst[j]);
        }
    }
    for (int j = 0; j < LANES; j++) most = UPPER(worst[j], most);
    return most;
}

static float worst_of(const struct job *job, const struct pairs *p, const float *first, const float *second)
{
    const float one = find_worst(first, second, job->padded, p->first[0], p->second[0]);
    const float other = find_worst(first, second, job->padded, p->first[1], p->second[1]);
    return UPPER(one, other);
}

/* Over the sums that exceed `limit`, each in its worse corner: cost times sum, and cost. */
QN_CLONES static void add_excess(const float *restrict first, const float *restrict second, size_t n,
                                 const struct pairs *pairs, float sign, float limit, double *sums)
{
    const float *restrict a1 = pairs->first[0], *restrict a2 = pairs->second[0], *restrict a_cost = pairs->cost[0];
    const float *restrict b1 = pairs->first[1], *restrict b2 = pairs->second[1], *restrict b_cost = pairs->cost[1];
    float weighed[LANES] = { 0 }, costs[LANES] = { 0 };

    for (size_t i = 0; i < n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            const float x = sign * first[i + j], y = sign * second[i + j];
            const float a = a1[i + j] * POSITIVE(x) + a2[i + j] * POSITIVE(y);
            const float b = b1[i + j] * POSITIVE(x) + b2[i + j] * POSITIVE(y);
            const float worse = UPPER(a, b), cost = a > b ? a_cost[i + j] : b_cost[i + j];
            const float counted = worse > limit ? cost : 0.0f;
            weighed[j] += worse * counted;
            costs[j] += counted;
        }
    }
    for (int j = 0; j < LANES; j++) {
        sums[0] += (double)weighed[j];
        sums[1] += (double)costs[j];
    }
}

static void add_excesses(const struct job *job, const struct pairs *pairs, const float *first, const float *second,
                         float limit, double *sums)
{
    sums[0] = sums[1] = 0;
    add_excess(first, second, job->padded, pairs, 1, limit, sums);
    add_excess(first, second, job->padded, pairs, -1, limit, sums);
}

/* ---- scales ---- */

/* The next step's scale: the minimum when all pairs that exceed now go on doing so. */
static double next_scale(double rounding, const double *sums)
{
    return LIMIT * sums[0] / (rounding + (double)LIMIT * LIMIT * sums[1]);
}

static void solve_output(const struct job *job, size_t output, const float *first, const float *second)
{
    const struct qn_pair_task *task = job->task;
    const struct pairs        *pairs = &job->groups[group_of(job, output)];
    const float                worst = worst_of(job, pairs, first, second);
    float                      scale = task->scale[output];

    for (int step = 0; worst > LIMIT * scale && step < STEPS; step++) {
        double sums[2];
        float  next;
        add_excesses(job, pairs, first, second, LIMIT * scale, sums);
        next = (float)next_scale(job->rounding[group_of(job, output)], sums);
        if (!(next > scale)) break;
        scale = next;
    }
    task->scale[output] = scale;
    task->tight[output] = worst > (LIMIT - TOP) * scale; /* rounding adds half a code to each */
}

static qonnx_status do_tile(void *context, size_t index, int worker, qonnx_error *err)
{
    const struct job *job = context;
    const size_t      outputs = job->task->products.outputs, begin = index * job->tile;
    const size_t      count = outputs - begin < job->tile ? outputs - begin : job->tile;
    float            *room = job->scratch[worker];

    (void)err;
    copy_out(job, begin, count, room);
    for (size_t r = 0; r < count; r++) {
        const float        *first = room + r * job->row, *second = first + job->padded;
        const size_t        output = begin + r;
        const struct pairs *pairs = &job->groups[group_of(job, output)];
        if (!job->worst)
            solve_output(job, output, first, second);
        else if (!job->summing)
            job->worst[output] = worst_of(job, pairs, first, second);
        else
            add_excesses(job, pairs, first, second, LIMIT * *job->task->scale, &job->sums[2 * output]);
    }
    return QONNX_OK;
}

static qonnx_status do_tiles(struct job *job, qonnx_error *err)
{
    return qn_parallel_for((job->task->products.outputs + job->tile - 1) / job->tile, job->workers, do_tile, job, err);
}

/* One scale for all outputs. */
static qonnx_status solve_together(struct job *job, qonnx_error *err)
{
    const struct qn_pair_task *task = job->task;
    const size_t               outputs = task->products.outputs;
    double                     rounding = 0;
    float                      worst = 0;

    QN_TRY(do_tiles(job, err));
    for (size_t o = 0; o < outputs; o++) {
        worst = UPPER(job->worst[o], worst);
        rounding += job->rounding[group_of(job, o)];
    }
    job->summing = true;
    for (int step = 0; worst > LIMIT * *task->scale && step < STEPS; step++) {
        double sums[2] = { 0, 0 };
        float  next;
        QN_TRY(do_tiles(job, err));
        for (size_t o = 0; o < outputs; o++) {
            sums[0] += job->sums[2 * o];
            sums[1] += job->sums[2 * o + 1];
        }
        next = (float)next_scale(rounding, sums);
        if (!(next > *task->scale)) break;
        *task->scale = next;
    }
    for (size_t o = 0; o < outputs; o++) task->tight[o] = job->worst[o] > (LIMIT - TOP) * *task->scale;
    return QONNX_OK;
}

/* ---- tables ---- */

/* 1 / (first^2 / v1 + second^2 / v2): what the square of an excess costs when it is split well. */
static float cost_of(float first, float second, float v1, float v2)
{
    const float sum = first * first / v1 + second * second / v2;
    return sum > 0 ? 1 / sum : 0;
}

static void fill_group(struct job *job, size_t group)
{
    const struct qn_pair_task *task = job->task;
    const size_t               channels = task->products.channels, from = group * channels;
    struct pairs              *pairs = &job->groups[group];
    double                     rounding = 0;

    for (size_t k = 0; k < job->positions; k++) rounding += (double)task->importance[from + k % channels] / 12;
    for (size_t i = 0; 2 * i + 1 < job->positions; i++) { /* a last one without a neighbour cannot saturate */
        const size_t           k = 2 * i, a = from + k % channels, b = from + (k + 1) % channels;
        struct qn_pair_corners corners = qn_pair_corners(&task->inputs, a, b, k / channels == (k + 1) / channels);
        for (int c = 0; c < 2; c++) {
            const float first = (float)corners.first[c], second = (float)corners.second[c];
            pairs->first[c][i] = first;
            pairs->second[c][i] = second;
            job->reach = UPPER(first + second, job->reach);
            pairs->cost[c][i] = cost_of(first, second, task->importance[a], task->importance[b]);
        }
    }
    job->rounding[group] = rounding;
}

/* One after the other in one block of memory. */
static qonnx_status make_tables(struct job *job, qonnx_error *err)
{
    const size_t groups = job->task->products.groups, outputs = job->task->products.outputs;
    const size_t tables = groups * TABLES * job->padded, rooms = (size_t)job->workers * job->tile * job->row;

    job->room = calloc(tables + rooms, sizeof *job->room);
    job->scratch = calloc((size_t)job->workers, sizeof(float *));
    job->groups = calloc(groups, sizeof *job->groups);
    job->rounding = calloc(groups, sizeof *job->rounding);
    if (!job->room || !job->scratch || !job->groups || !job->rounding) return qn_fail_nomem(err);
    for (size_t g = 0; g < groups; g++) {
        for (int c = 0; c < 2; c++) {
            float *at = job->room + (g * TABLES + (size_t)c * TABLES / 2) * job->padded;
            job->groups[g].first[c] = at;
            job->groups[g].second[c] = at + job->padded;
            job->groups[g].cost[c] = at + 2 * job->padded;
        }
        fill_group(job, g);
    }
    for (int i = 0; i < job->workers; i++) job->scratch[i] = job->room + tables + (size_t)i * job->tile * job->row;
    if (job->task->scale_count != 1 || outputs == 1) return QONNX_OK;
    job->worst = calloc(outputs, sizeof *job->worst);
    job->sums = calloc(2 * outputs, sizeof *job->sums);
    return job->worst && job->sums ? QONNX_OK : qn_fail_nomem(err);
}

static struct job start(const struct qn_pair_task *task, int threads)
{
    struct job   job = { .task = task, .positions = task->products.taps * task->products.channels };
    const size_t outputs = task->products.outputs;

    job.padded = ((job.positions + 1) / 2 + LANES - 1) / LANES * LANES;
    job.row = 2 * job.padded + LANES / 4; /* not a power of two: rows would share cache lines' places */
    job.tile = ROOM / job.padded < 1 ? 1 : ROOM / job.padded < TILE ? ROOM / job.padded : TILE;
    job.workers = outputs * job.positions < WORTH_THREADS || threads < 1 ? 1 : threads;
    if ((size_t)job.workers > outputs) job.workers = (int)outputs;
    return job;
}

qonnx_status qn_pair_scales(const struct qn_pair_task *task, size_t *raised, size_t *tight, int threads,
                            qonnx_error *err)
{
    struct job   job = start(task, threads);
    float       *before = malloc((task->scale_count + 1) * sizeof *before);
    qonnx_status status;

    if (!before) return qn_fail_nomem(err);
    memcpy(before, task->scale, task->scale_count * sizeof *before);
    status = make_tables(&job, err);
    if (status == QONNX_OK && job.reach * (float)task->hi <= LIMIT)
        memset(task->tight, 0, task->products.outputs * sizeof *task->tight); /* whatever the weights */
    else if (status == QONNX_OK)
        status = job.worst ? solve_together(&job, err) : do_tiles(&job, err);
    *raised = *tight = 0;
    for (size_t i = 0; i < task->scale_count; i++) *raised += task->scale[i] != before[i];
    for (size_t o = 0; o < task->products.outputs && status == QONNX_OK; o++) *tight += task->tight[o];
    free(before);
    free(job.room);
    free(job.scratch);
    free(job.groups);
    free(job.rounding);
    free(job.worst);
    free(job.sums);
    return status;
}
