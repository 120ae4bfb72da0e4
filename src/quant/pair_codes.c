/* SPDX-License-Identifier: Apache-2.0
 * The codes of pairs that do not fit. */
#include <math.h>
#include <stdlib.h>

#include "base/pool.h"
#include "quant/pair_safe.h"

enum { TILE = 16, WORTH_THREADS = 1 << 18 };

#define LOWER(a, b) ((a) < (b) ? (a) : (b))
#define UPPER(a, b) ((a) > (b) ? (a) : (b))

struct job {
    const struct qn_pair_task *task;
    size_t                     positions; /* of one output */
    int8_t                    *codes;
    size_t                    *moved; /* by output, as is the next */
    double                    *cost;
};

struct qn_pair_corners qn_pair_corners(const struct qn_pair_inputs *inputs, size_t first, size_t second, bool together)
{
    const int32_t m1 = inputs->most[first], m2 = inputs->most[second], all = m1 + m2;
    int32_t       sum = all;

    if (inputs->both && together && first % 2 == 0 && inputs->both[first] < all) sum = inputs->both[first];
    return (struct qn_pair_corners){ { m1, sum > m2 ? sum - m2 : 0 }, { sum > m1 ? sum - m1 : 0, m2 } };
}

/* A pair's members: weight in steps and importance. */
struct member {
    double  x, cost;
    int32_t code;
};

/* The most that the second code may be beside the first, both positive. */
static int32_t room_beside(const struct qn_pair_corners *c, int32_t first, int32_t limit)
{
    int32_t room = INT8_MAX;

    for (int i = 0; i < 2; i++) {
        const int32_t left = limit - c->first[i] * first;
        if (c->second[i] && left / c->second[i] < room) room = left / c->second[i];
    }
    return room;
}

/* With both weights positive: of all codes that fit those that cost least. Neither is ever more than its nearest. */
static void choose(struct member *a, struct member *b, const struct qn_pair_corners *corners, int32_t limit)
{
    const int32_t nearest_a = a->code, nearest_b = b->code;
    double        least = INFINITY;

    for (int32_t q = nearest_a; q >= 0; q--) {
        const double  da = a->x - q, alone = a->cost * da * da;
        const int32_t room = room_beside(corners, q, limit), r = room < nearest_b ? room : nearest_b;
        const double  db = b->x - r, cost = alone + b->cost * db * db;
        if (alone >= least) break;
        if (cost >= least) continue;
        least = cost;
        a->code = q;
        b->code = r;
    }
}

static bool fits(const struct qn_pair_corners *c, int32_t q1, int32_t q2)
{
    for (int i = 0; i < 2; i++) {
        const int32_t up = c->first[i] * (q1 > 0 ? q1 : 0) + c->second[i] * (q2 > 0 ? q2 : 0);
        const int32_t down = c->first[i] * (q1 < 0 ? q1 : 0) + c->second[i] * (q2 < 0 ? q2 : 0);
        if (up > INT16_MAX || down < INT16_MIN) return false;
    }
    return true;
}

/* Where in an output's weights a position is. */
struct cursor {
    size_t tap, channel;
};

static void advance(struct cursor *at, const struct qn_products *p)
{
    if (++at->channel < p->channels) return;
    at->channel = 0;
    at->tap++;
}

/* One product is at most 255 * 127 and fits, so codes that do not are of one sign. */
static void move(const struct qn_pair_task *task, const struct qn_pair_corners *corners, size_t output,
                 const size_t *at, const size_t *channel, int8_t *codes)
{
    const double  scale = (double)task->scale[task->scale_count == 1 ? 0 : output];
    const int32_t sign = codes[at[0]] > 0 ? 1 : -1;
    struct member member[2];

    for (int i = 0; i < 2; i++) {
        const double x = sign * (double)task->w[at[i]] / scale;
        member[i] = (struct member){ x, (double)task->importance[channel[i]], sign * codes[at[i]] };
    }
    choose(&member[0], &member[1], corners, sign > 0 ? INT16_MAX : -INT16_MIN);
    for (int i = 0; i < 2; i++) codes[at[i]] = (int8_t)(sign * member[i].code);
}

static double cost_of(const struct qn_pair_task *task, size_t output, size_t at, size_t channel, int8_t code)
{
    const double scale = (double)task->scale[task->scale_count == 1 ? 0 : output];
    const double error = (double)task->w[at] - (double)code * scale;
    return (double)task->importance[channel] * error * error;
}

/* A pair of positions in the weights of any output; its corners are those of the outputs' group. */
struct pair {
    size_t                 offset[2], channel[2]; /* from the output's first weight, and from its first channel */
    struct qn_pair_corners corners;
};

static void fix_pair(const struct job *job, size_t output, size_t first, const struct pair *pair)
{
    const struct qn_pair_task *task = job->task;
    const size_t               start = output * task->products.out_stride;
    const size_t               at[2] = { start + pair->offset[0], start + pair->offset[1] };
    const size_t               channel[2] = { first + pair->channel[0], first + pair->channel[1] };
    const int8_t               before[2] = { job->codes[at[0]], job->codes[at[1]] };

    if (fits(&pair->corners, before[0], before[1])) return;
    move(task, &pair->corners, output, at, channel, job->codes);
    for (int i = 0; i < 2; i++) {
        job->moved[output] += job->codes[at[i]] != before[i];
        job->cost[output] += cost_of(task, output, at[i], channel[i], job->codes[at[i]]) -
                             cost_of(task, output, at[i], channel[i], before[i]);
    }
}

static void take_place(struct pair *pair, int i, const struct cursor *at, const struct qn_products *p)
{
    pair->offset[i] = at->tap * p->tap_stride + at->channel * p->in_stride;
    pair->channel[i] = at->channel;
}

/* Outputs side by side, whose codes may be neighbours in memory. */
static qonnx_status fix_tile(void *context, size_t index, int worker, qonnx_error *err)
{
    const struct job         *job = context;
    const struct qn_products *p = &job->task->products;
    const size_t              begin = index * TILE, end = p->outputs - begin < TILE ? p->outputs : begin + TILE;
    size_t                    tight[TILE], first[TILE], count = 0;
    struct cursor             at = { 0, 0 };

    (void)worker, (void)err;
    for (size_t o = begin; o < end; o++) {
        if (!job->task->tight[o]) continue;
        first[count] = qn_products_first_channel(p, o);
        tight[count++] = o;
    }
    for (size_t k = 0; count && k + 1 < job->positions; k += 2) {
        const struct cursor before = at;
        struct pair         pair;
        take_place(&pair, 0, &at, p);
        advance(&at, p);
        take_place(&pair, 1, &at, p);
        for (size_t i = 0; i < count; i++) {
            if (!i || first[i] != first[i - 1])
                pair.corners = qn_pair_corners(&job->task->inputs, first[i] + pair.channel[0],
                                               first[i] + pair.channel[1], before.tap == at.tap);
            fix_pair(job, tight[i], first[i], &pair);
        }
        advance(&at, p);
    }
    return QONNX_OK;
}

qonnx_status qn_pair_codes(const struct qn_pair_task *task, int8_t *codes, size_t *moved, double *cost, int threads,
                           qonnx_error *err)
{
    const size_t outputs = task->products.outputs, positions = task->products.taps * task->products.channels;
    struct job   job = { .task = task, .positions = positions };
    qonnx_status status;

    job.codes = codes;
    if (outputs * positions < WORTH_THREADS) threads = 1;
    job.moved = calloc(outputs, sizeof *job.moved);
    job.cost = calloc(outputs, sizeof *job.cost);
    status = job.moved && job.cost ? qn_parallel_for((outputs + TILE - 1) / TILE, threads, fix_tile, &job, err)
                                   : qn_fail_nomem(err);
    *moved = 0;
    *cost = 0;
    for (size_t o = 0; status == QONNX_OK && o < outputs; o++) {
        *moved += job.moved[o];
        *cost += job.cost[o];
    }
    free(job.moved);
    free(job.cost);
    return status;
}

void qn_pair_code_range(const void *limits, size_t row, size_t i, const int32_t *codes, int32_t *lo, int32_t *hi)
{
    const struct qn_pair_limits *l = limits;
    const size_t                 position = i % l->taps * l->channels + i / l->taps, other = position ^ 1;
    const size_t                 a = position < other ? position : other, b = a + 1;
    struct qn_pair_corners       c;
    int32_t                      q;

    (void)row;
    if (other >= l->taps * l->channels) return;
    q = codes[other % l->channels * l->taps + other / l->channels];
    c = qn_pair_corners(&l->inputs, a % l->channels, b % l->channels, a / l->channels == b / l->channels);
    for (int k = 0; k < 2; k++) {
        const int32_t own = position == a ? c.first[k] : c.second[k], its = position == a ? c.second[k] : c.first[k];
        if (!own) continue;
        *hi = LOWER(*hi, (INT16_MAX - its * (q > 0 ? q : 0)) / own);
        *lo = UPPER(*lo, (INT16_MIN - its * (q < 0 ? q : 0)) / own);
    }
}
