/* SPDX-License-Identifier: Apache-2.0
 *
 * The scale of an output follows from a convex function of it: rounding costs v s^2 / 12 for each weight of importance v,
 * and a pair whose sum B = m1 |w1| + m2 |w2| is beyond what s allows costs (B - LIMIT s)^2 / (m1^2/v1 + m2^2/v2) when its
 * excess is split at least cost. It has one minimum, found in a few steps from the left, for each step of Newton's method
 * can only leave out pairs.
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

/* For each pair of a group of channels, padded with zeros to whole lanes. */
struct pairs {
    float *first_most, *second_most; /* largest input codes */
    float *cost;                     /* of the square of an excess */
};

struct job {
    const struct qn_pair_task *task;
    size_t                     positions, pairs, padded; /* of one output */
    size_t                     tile;
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
    const size_t              row = 2 * job->padded;
    const float              *w = job->task->w + first * p->out_stride;
    size_t                    position = 0;

    for (size_t t = 0; t < p->taps; t++) {
        for (size_t c = 0; c < p->channels; c++, position++) {
            const float *from = w + t * p->tap_stride + c * p->in_stride;
            float       *to = out + position % 2 * job->padded + position / 2;
            for (size_t r = 0; r < count; r++) to[r * row] = from[r * p->out_stride];
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

/* Over the sums that exceed `limit`: cost times sum, and cost. */
QN_CLONES static void add_excess(const float *restrict first, const float *restrict second, size_t n,
                                 const struct pairs *pairs, float limit, double *sums)
{
    const float *restrict m1 = pairs->first_most, *restrict m2 = pairs->second_most, *restrict cost = pairs->cost;
    float weighed[LANES] = { 0 }, costs[LANES] = { 0 };

    for (size_t i = 0; i < n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            const float a = first[i + j], b = second[i + j];
            const float up = m1[i + j] * POSITIVE(a) + m2[i + j] * POSITIVE(b);
            const float down = m1[i + j] * POSITIVE(-a) + m2[i + j] * POSITIVE(-b);
            const float up_cost = up > limit ? cost[i + j] : 0.0f, down_cost = down > limit ? cost[i + j] : 0.0f;
            weighed[j] += up * up_cost + down * down_cost;
            costs[j] += up_cost + down_cost;
        }
    }
    for (int j = 0; j < LANES; j++) {
        sums[0] += (double)weighed[j];
        sums[1] += (double)costs[j];
    }
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
    const float                worst = find_worst(first, second, job->padded, pairs->first_most, pairs->second_most);
    float                      scale = task->scale[output];

    for (int step = 0; worst > LIMIT * scale && step < STEPS; step++) {
        double sums[2] = { 0, 0 };
        float  next;
        add_excess(first, second, job->padded, pairs, LIMIT * scale, sums);
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
        const float        *first = room + r * 2 * job->padded, *second = first + job->padded;
        const size_t        output = begin + r;
        const struct pairs *pairs = &job->groups[group_of(job, output)];
        if (!job->worst) {
            solve_output(job, output, first, second);
        } else if (!job->summing) {
            job->worst[output] = find_worst(first, second, job->padded, pairs->first_most, pairs->second_most);
        } else {
            job->sums[2 * output] = job->sums[2 * output + 1] = 0;
            add_excess(first, second, job->padded, pairs, LIMIT * *job->task->scale, &job->sums[2 * output]);
        }
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

static void fill_group(struct job *job, size_t group)
{
    const struct qn_products *p = &job->task->products;
    struct pairs             *pairs = &job->groups[group];
    double                    rounding = 0;

    for (size_t k = 0; k < job->positions; k++) {
        const size_t c = group * p->channels + k % p->channels;
        const float  most = (float)job->task->most[c], v = job->task->importance[c];
        (k % 2 ? pairs->second_most : pairs->first_most)[k / 2] = most;
        pairs->cost[k / 2] += most * most / v;
        rounding += (double)v / 12;
    }
    for (size_t i = 0; i < job->pairs; i++) pairs->cost[i] = pairs->cost[i] > 0 ? 1 / pairs->cost[i] : 0;
    job->rounding[group] = rounding;
}

/* One after the other in one block of memory. */
static qonnx_status make_tables(struct job *job, qonnx_error *err)
{
    const size_t groups = job->task->products.groups, outputs = job->task->products.outputs;
    const size_t tables = groups * 3 * job->padded, rooms = (size_t)job->workers * job->tile * 2 * job->padded;

    job->room = calloc(tables + rooms, sizeof *job->room);
    job->scratch = calloc((size_t)job->workers, sizeof(float *));
    job->groups = calloc(groups, sizeof *job->groups);
    job->rounding = calloc(groups, sizeof *job->rounding);
    if (!job->room || !job->scratch || !job->groups || !job->rounding) return qn_fail_nomem(err);
    for (size_t g = 0; g < groups; g++) {
        float *at = job->room + g * 3 * job->padded;
        job->groups[g] = (struct pairs){ at, at + job->padded, at + 2 * job->padded };
        fill_group(job, g);
    }
    for (int i = 0; i < job->workers; i++)
        job->scratch[i] = job->room + tables + (size_t)i * job->tile * 2 * job->padded;
    if (job->task->scale_count != 1 || outputs == 1) return QONNX_OK;
    job->worst = calloc(outputs, sizeof *job->worst);
    job->sums = calloc(2 * outputs, sizeof *job->sums);
    return job->worst && job->sums ? QONNX_OK : qn_fail_nomem(err);
}

static struct job start(const struct qn_pair_task *task, int threads)
{
    struct job   job = { .task = task, .positions = task->products.taps * task->products.channels };
    const size_t outputs = task->products.outputs;

    job.pairs = (job.positions + 1) / 2;
    job.padded = (job.pairs + LANES - 1) / LANES * LANES;
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
    if (status == QONNX_OK) status = job.worst ? solve_together(&job, err) : do_tiles(&job, err);
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
