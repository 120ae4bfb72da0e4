/* SPDX-License-Identifier: Apache-2.0
 * Every float operation below is one rounding of Brevitas' own, in its order; don't regroup them. */
#include "quant/running.h"

#include <math.h>
#include <string.h>

#include "quant/kernels.h"
#include "quant/order.h"

/* Shorter runs cost qn_scan more than its speed gains. */
enum { WORTH_SCAN = 256 };

size_t qn_running_channels(const struct qn_quantizer *q, struct qn_layout layout)
{
    return q->per_channel ? layout.channels : 1;
}

/* ---- one batch ---- */

qonnx_status qn_batch_stat_init(struct qn_batch_stat *batch, const struct qn_quantizer *q, size_t channels,
                                struct qn_arena *arena, qonnx_error *err)
{
    struct qn_batch_stat made = { .u = qn_arena_array(arena, channels, sizeof *made.u) };

    if (q->row->shifted) made.m = qn_arena_array(arena, channels, sizeof *made.m);
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    *batch = made;
    return QONNX_OK;
}

static void scan_short(const float *x, size_t n, struct qn_scan *scan)
{
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i])) {
            scan->nan++;
        } else if (isinf(x[i])) {
            scan->inf++;
        } else if (!(fabsf(x[i]) < QN_MASKED_FROM)) {
            scan->masked++;
        } else {
            if (x[i] < scan->min) scan->min = x[i];
            if (x[i] > scan->max) scan->max = x[i];
        }
    }
}

/* Extremes of one channel, and how many values are not ordinary. */
static struct qn_scan scan_channel(const float *x, struct qn_layout layout, size_t channel)
{
    struct qn_scan all = { .min = INFINITY, .max = -INFINITY }, run;

    for (size_t o = 0; o < layout.outer; o++) {
        const float *start = x + (o * layout.channels + channel) * layout.inner;
        if (layout.inner < WORTH_SCAN) {
            scan_short(start, layout.inner, &all);
            continue;
        }
        qn_scan(start, layout.inner, 0, &run);
        all.nan += run.nan;
        all.inf += run.inf;
        all.masked += run.masked;
        if (run.min < all.min) all.min = run.min;
        if (run.max > all.max) all.max = run.max;
    }
    return all;
}

static uint64_t clamp_rank(double k, uint64_t n)
{
    if (!(k > 1)) return 1;
    return k < (double)n ? (uint64_t)k : n;
}

static uint64_t high_rank(const struct qn_quantizer *q, uint64_t n)
{
    const double fraction = 0.01 * q->high_percentile;
    return clamp_rank(floor(fraction * (double)n + 0.5), n);
}

static uint64_t low_rank(const struct qn_quantizer *q, uint64_t n)
{
    const double fraction = 0.01 * q->low_percentile;
    return clamp_rank(ceil(fraction * (double)n), n);
}

static float floored(float range) { return range > QN_RANGE_FLOOR ? range : QN_RANGE_FLOOR; }

static void take_channel(const struct qn_quantizer *q, const float *x, struct qn_layout layout, size_t channel,
                         struct qn_batch_stat *batch)
{
    const struct qn_scan scan = scan_channel(x, layout, channel);
    const uint64_t       odd = scan.nan + scan.inf + scan.masked, n = (uint64_t)layout.outer * layout.inner - odd;
    const uint64_t       high = high_rank(q, n), low = low_rank(q, n);
    float                u = 0, m = 0;

    batch->nan += scan.nan;
    batch->inf += scan.inf;
    batch->masked += scan.masked;
    if (n && q->row->statistic == QN_STAT_ABS_PERCENTILE) {
        /* The last in order is the largest magnitude: what most tensors need, without a search. */
        u = high == n ? fmaxf(-scan.min, scan.max) : qn_order_statistic(x, layout, channel, true, high, n);
    } else if (n) {
        const float top = high == n ? scan.max : qn_order_statistic(x, layout, channel, false, high, n);
        m = fminf(low == 1 ? scan.min : qn_order_statistic(x, layout, channel, false, low, n), 0);
        u = fabsf(top - m);
    }
    batch->u[channel] = floored(u);
    if (batch->m) batch->m[channel] = m;
}

void qn_batch_stat_take(const struct qn_quantizer *q, const float *x, struct qn_layout layout,
                        struct qn_batch_stat *batch)
{
    if (!q->per_channel) layout = QN_LAYOUT_FLAT(qn_layout_count(layout));
    batch->nan = batch->inf = batch->masked = 0;
    for (size_t channel = 0; channel < layout.channels; channel++) take_channel(q, x, layout, channel, batch);
}

/* ---- their average ---- */

qonnx_status qn_running_init(struct qn_running *state, const struct qn_quantizer *q, size_t channels,
                             struct qn_arena *arena, qonnx_error *err)
{
    struct qn_running made = { .quantizer = *q, .channels = channels };

    made.buffer = qn_arena_array(arena, channels, sizeof *made.buffer);
    made.value = qn_arena_array(arena, channels, sizeof *made.value);
    if (q->row->shifted) {
        made.min_buffer = qn_arena_array(arena, channels, sizeof *made.min_buffer);
        made.min_value = qn_arena_array(arena, channels, sizeof *made.min_value);
    }
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    for (size_t i = 0; i < channels; i++) made.buffer[i] = made.value[i] = 1.0f;
    *state = made;
    return QONNX_OK;
}

/* What the average and the new statistic are multiplied with and divided by. */
struct weights {
    float keep, enter, divide;
};

static struct weights weights_of(const struct qn_running *state)
{
    const double momentum = state->quantizer.momentum;
    const double seen = (double)state->counter, with_this = seen + 1;

    if (isnan(momentum)) return (struct weights){ (float)(seen / with_this), 1, (float)with_this };
    return (struct weights){ (float)(1 - momentum), (float)momentum, 1 };
}

static void average(float *buffer, const float *batch, size_t n, struct weights weights)
{
    for (size_t i = 0; i < n; i++) {
        const float kept = buffer[i] * weights.keep;
        const float entering = weights.enter * batch[i] / weights.divide; /* one of the two is 1 */
        buffer[i] = kept + entering;
    }
}

bool qn_running_collects(const struct qn_running *state) { return state->counter < state->quantizer.collect_steps; }

void qn_running_train(struct qn_running *state, const struct qn_batch_stat *batch)
{
    const size_t bytes = state->channels * sizeof(float);

    if (state->counter > state->quantizer.collect_steps) return;
    if (!qn_running_collects(state)) {
        for (size_t i = 0; i < state->channels; i++) state->value[i] = fabsf(state->buffer[i]);
        if (state->min_value) memcpy(state->min_value, state->min_buffer, bytes);
    } else if (state->counter == 0) {
        memcpy(state->buffer, batch->u, bytes);
        if (state->min_buffer) memcpy(state->min_buffer, batch->m, bytes);
    } else {
        average(state->buffer, batch->u, state->channels, weights_of(state));
        if (state->min_buffer) average(state->min_buffer, batch->m, state->channels, weights_of(state));
    }
    state->counter++;
}

void qn_running_replay(struct qn_running *state, const struct qn_batch_stat *batches, size_t count)
{
    for (size_t i = 0; i < count && state->counter <= state->quantizer.collect_steps; i++)
        qn_running_train(state, &batches[i]);
}

/* ---- parameters ---- */

static void params_of(const struct qn_running *state, const float *range, const float *min, bool training, float *scale,
                      int32_t *zero_point)
{
    for (size_t i = 0; i < state->channels; i++) {
        scale[i] = qn_quantizer_scale(&state->quantizer, range[i]);
        /* In inference the floor is on the scale, in training on the range alone. */
        if (!training) scale[i] = floored(scale[i]);
        if (zero_point) zero_point[i] = min ? qn_quantizer_zero_point(&state->quantizer, min[i], scale[i]) : 0;
    }
}

void qn_running_train_params(const struct qn_running *state, const struct qn_batch_stat *batch, float *scale,
                             int32_t *zero_point)
{
    if (qn_running_collects(state))
        params_of(state, batch->u, batch->m, true, scale, zero_point);
    else if (state->counter == state->quantizer.collect_steps)
        params_of(state, state->buffer, state->min_buffer, true, scale, zero_point);
    else
        params_of(state, state->value, state->min_value, true, scale, zero_point);
}

void qn_running_eval_params(const struct qn_running *state, float *scale, int32_t *zero_point)
{
    if (state->counter <= state->quantizer.collect_steps)
        params_of(state, state->buffer, state->min_buffer, false, scale, zero_point);
    else
        params_of(state, state->value, state->min_value, false, scale, zero_point);
}
