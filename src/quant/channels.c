/* SPDX-License-Identifier: Apache-2.0
 * Range and magnitude per channel. Minima and maxima do not depend on order, except for the sign of zero, which is
 * removed at the end. */
#include <math.h>
#include <stdlib.h>

#include "base/pool.h"
#include "quant/pack.h"
#include "quant/simd.h"

enum { LANES = 64, STRIP = 512, PIECE = 1 << 16, WORTH_THREADS = 1 << 18 };

/* Comparisons are false for NaN, so it never enters. */
#define LOWER(a, b) ((a) < (b) ? (a) : (b))
#define UPPER(a, b) ((a) > (b) ? (a) : (b))

/* n neighbouring channels at once, one element each. */
QN_CLONES static void scan_columns(const float *restrict x, size_t n, float *restrict min, float *restrict max)
{
    for (size_t i = 0; i < n; i++) {
        min[i] = LOWER(x[i], min[i]);
        max[i] = UPPER(x[i], max[i]);
    }
}

QN_CLONES static void scan_lanes(const float *restrict x, size_t n, float *restrict min, float *restrict max)
{
    for (size_t i = 0; i < n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            min[j] = LOWER(x[i + j], min[j]);
            max[j] = UPPER(x[i + j], max[j]);
        }
    }
}

/* One channel, by lanes as if they were channels: LANES is large enough for the loop to stay one, see kernels.c. */
static void scan_run(const float *x, size_t n, float *min, float *max)
{
    const size_t whole = n - n % LANES;
    float        lowest[LANES], highest[LANES];

    for (size_t i = whole; i < n; i++) {
        *min = LOWER(x[i], *min);
        *max = UPPER(x[i], *max);
    }
    if (!whole) return;
    for (int j = 0; j < LANES; j++) {
        lowest[j] = *min;
        highest[j] = *max;
    }
    scan_lanes(x, whole, lowest, highest);
    for (int j = 0; j < LANES; j++) {
        *min = LOWER(lowest[j], *min);
        *max = UPPER(highest[j], *max);
    }
}

struct job {
    const float     *x;
    struct qn_layout layout;
    struct qn_range *ranges;
    float           *absmax; /* one of the two is wanted */
};

static void store(const struct job *job, size_t channel, float min, float max)
{
    if (job->ranges) job->ranges[channel] = (struct qn_range){ min + 0.0f, max + 0.0f };
    if (job->absmax) job->absmax[channel] = min <= max ? fmaxf(fabsf(min), fabsf(max)) : 0;
}

static qonnx_status do_channel(void *context, size_t channel, int worker, qonnx_error *err)
{
    const struct job      *job = context;
    const struct qn_layout layout = job->layout;
    float                  min = INFINITY, max = -INFINITY;

    (void)worker, (void)err;
    for (size_t o = 0; o < layout.outer; o++)
        scan_run(job->x + (o * layout.channels + channel) * layout.inner, layout.inner, &min, &max);
    store(job, channel, min, max);
    return QONNX_OK;
}

static qonnx_status do_strip(void *context, size_t strip, int worker, qonnx_error *err)
{
    const struct job *job = context;
    const size_t      channels = job->layout.channels, first = strip * STRIP;
    const size_t      n = channels - first < STRIP ? channels - first : STRIP;
    float             min[STRIP], max[STRIP];

    (void)worker, (void)err;
    for (size_t i = 0; i < n; i++) {
        min[i] = INFINITY;
        max[i] = -INFINITY;
    }
    for (size_t o = 0; o < job->layout.outer; o++) scan_columns(job->x + o * channels + first, n, min, max);
    for (size_t i = 0; i < n; i++) store(job, first + i, min[i], max[i]);
    return QONNX_OK;
}

/* A single channel is cut into pieces, as if they were channels, and put together again. */
static qonnx_status do_single(struct job *job, int threads, qonnx_error *err)
{
    const size_t     total = qn_layout_count(job->layout), pieces = total / PIECE, rest = total % PIECE;
    struct qn_range *part = calloc(pieces + 1, sizeof *part);
    struct job       cut = { .x = job->x, .layout = { 1, pieces, PIECE }, .ranges = part };
    float            min = INFINITY, max = -INFINITY;
    qonnx_status     status;

    if (!part) return qn_fail_nomem(err);
    status = qn_parallel_for(pieces, total < WORTH_THREADS ? 1 : threads, do_channel, &cut, err);
    for (size_t i = 0; i < pieces; i++) {
        min = LOWER(part[i].min, min);
        max = UPPER(part[i].max, max);
    }
    free(part);
    scan_run(job->x + total - rest, rest, &min, &max);
    if (status == QONNX_OK) store(job, 0, min, max);
    return status;
}

static qonnx_status run_job(struct job *job, int threads, qonnx_error *err)
{
    const size_t channels = job->layout.channels;

    if (channels == 1) return do_single(job, threads, err);
    if (qn_layout_count(job->layout) < WORTH_THREADS) threads = 1;
    if (job->layout.inner > 1) return qn_parallel_for(channels, threads, do_channel, job, err);
    return qn_parallel_for(channels / STRIP + (channels % STRIP != 0), threads, do_strip, job, err);
}

void qn_channel_ranges_part(const float *x, size_t first, size_t count, struct qn_layout layout, float *min, float *max)
{
    for (size_t at = 0, n; at < count; at += n) {
        const size_t place = first + at, channel = place / layout.inner % layout.channels;
        n = layout.inner > 1 ? layout.inner - place % layout.inner : layout.channels - channel;
        if (n > count - at) n = count - at;
        if (layout.inner > 1)
            scan_run(x + at, n, &min[channel], &max[channel]);
        else
            scan_columns(x + at, n, min + channel, max + channel);
    }
}

qonnx_status qn_channel_ranges(const float *x, struct qn_layout layout, struct qn_range *out, int threads,
                               qonnx_error *err)
{
    struct job job = { .x = x, .layout = layout, .ranges = out };
    return run_job(&job, threads, err);
}

qonnx_status qn_channel_absmax(const float *x, struct qn_layout layout, float *out, int threads, qonnx_error *err)
{
    struct job job = { .x = x, .layout = layout, .absmax = out };
    return run_job(&job, threads, err);
}
