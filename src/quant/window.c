/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/window.h"

bool qn_window_same(const struct qn_window *a, const struct qn_window *b)
{
    if (a->first != b->first || a->width != b->width || a->dims != b->dims || a->groups != b->groups || a->channels != b->channels || a->pad != b->pad) return false;
    for (int i = 0; i < a->dims; i++)
        if (a->kernel[i] != b->kernel[i] || a->stride[i] != b->stride[i] || a->dilation[i] != b->dilation[i] ||
            a->before[i] != b->before[i] || a->after[i] != b->after[i])
            return false;
    return true;
}

size_t qn_window_taps(const struct qn_window *window)
{
    size_t taps = 1;

    for (int i = 0; i < window->dims; i++)
        if (window->kernel[i] < 1 || __builtin_mul_overflow(taps, (size_t)window->kernel[i], &taps)) return 0;
    return taps;
}

size_t qn_window_columns(const struct qn_window *window)
{
    size_t columns;
    return __builtin_mul_overflow(window->channels, qn_window_taps(window), &columns) ? 0 : columns;
}

/* Output positions along one axis, and the padding before it; false when there are none or the numbers are absurd. */
static bool measure_axis(const struct qn_window *w, int i, int64_t in, int64_t *out, int64_t *before)
{
    enum { LARGEST = 1 << 30 };
    int64_t span, pads;

    if (in < 1 || in > LARGEST || w->kernel[i] < 1 || w->kernel[i] > LARGEST || w->stride[i] < 1 ||
        w->stride[i] > LARGEST || w->dilation[i] < 1 || w->dilation[i] > LARGEST || w->before[i] < 0 ||
        w->before[i] > LARGEST || w->after[i] < 0 || w->after[i] > LARGEST)
        return false;
    span = (w->kernel[i] - 1) * w->dilation[i] + 1;
    *before = w->before[i];
    pads = w->before[i] + w->after[i];
    if (w->pad != QN_PAD_GIVEN) {
        *out = (in + w->stride[i] - 1) / w->stride[i];
        pads = (*out - 1) * w->stride[i] + span - in;
        if (pads < 0) pads = 0;
        *before = w->pad == QN_PAD_SAME_UPPER ? pads / 2 : pads - pads / 2;
        return true;
    }
    if (in + pads < span) return false;
    *out = (in + pads - span) / w->stride[i] + 1;
    return true;
}

bool qn_window_over(const struct qn_window *window, int rank, const int64_t *dims, struct qn_positions *positions)
{
    size_t spatial = 1, rows = 1, channels;

    *positions = (struct qn_positions){ .window = window };
    if (!window->dims) {
        const size_t width = window->width ? window->width : window->channels;
        if (rank < 1 || dims[rank - 1] < 0 || (size_t)dims[rank - 1] != width) return false;
        for (int i = 0; i < rank - 1; i++) rows *= (size_t)dims[i]; /* of a tensor that exists */
        positions->rows = rows;
        positions->channel_stride = 1;
        positions->batch_stride = width;
        return true;
    }
    if (rank != window->dims + 2 || __builtin_mul_overflow(window->groups, window->channels, &channels) ||
        dims[1] < 0 || (size_t)dims[1] != channels)
        return false;
    for (int i = 0; i < window->dims; i++) {
        positions->in[i] = dims[i + 2];
        if (!measure_axis(window, i, dims[i + 2], &positions->out[i], &positions->before[i])) return false;
        spatial *= (size_t)dims[i + 2];
        if (__builtin_mul_overflow(rows, (size_t)positions->out[i], &rows)) return false;
    }
    positions->channel_stride = spatial;
    positions->batch_stride = spatial * channels;
    return !__builtin_mul_overflow(rows, (size_t)dims[0], &positions->rows);
}

void qn_window_places(const struct qn_positions *positions, size_t row, int64_t *places, size_t apart)
{
    const struct qn_window *w = positions->window;
    int64_t                 at[QN_WINDOW_DIMS], tap[QN_WINDOW_DIMS] = { 0 };
    size_t                  batch = row;

    for (int i = w->dims; i-- > 0;) {
        at[i] = (int64_t)(batch % (size_t)positions->out[i]) * w->stride[i] - positions->before[i];
        batch /= (size_t)positions->out[i];
    }
    for (size_t taps = qn_window_taps(w), t = 0; t < taps; t++) {
        int64_t place = 0;
        for (int i = 0; i < w->dims && place >= 0; i++) {
            const int64_t x = at[i] + tap[i] * w->dilation[i];
            place = x < 0 || x >= positions->in[i] ? -1 : place * positions->in[i] + x;
        }
        places[t * apart] = place < 0 ? -1 : place + (int64_t)(batch * positions->batch_stride);
        for (int i = w->dims; i-- > 0 && ++tap[i] == w->kernel[i];) tap[i] = 0;
    }
}
