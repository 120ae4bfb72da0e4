/* SPDX-License-Identifier: Apache-2.0
 * A strip is as many channels as there are lanes, or fewer that lie closely side by side: then a step through memory
 * takes in several places at once. Sums are formed in an order that all layouts share: over groups of places, a place
 * of the group at a time in float, these then in double. */
#include "quant/channel_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/simd.h"

/* Of a channel's places in one sample about MOST_SUMMED enter the sums, evenly spread in groups of GROUP neighbours. */
enum { LANES = QN_LANES, CHUNK = 32 /* steps */, GROUP = 4, MOST_SUMMED = 128, WIDEST = 16 };

#define LOWER(a, b) ((a) < (b) ? (a) : (b))
#define UPPER(a, b) ((a) > (b) ? (a) : (b))
/* False for NaN. */
#define ORDINARY(x) (fabsf(x) < QN_MASKED_FROM ? (x) : 0.0f)

qonnx_status qn_channel_stats_init(struct qn_channel_stats *stats, size_t channels, qonnx_error *err)
{
    memset(stats, 0, sizeof *stats);
    if (channels > QN_CHANNELS_MAX) return qn_fail(err, QONNX_E_LIMIT, "%zu channels are too many to follow", channels);
    stats->channels = channels;
    stats->ends = calloc(3 * channels + 1, sizeof *stats->ends);
    stats->sums = calloc(2 * channels + 1, sizeof *stats->sums);
    if (!stats->ends || !stats->sums) {
        qn_channel_stats_release(stats);
        return qn_fail_nomem(err);
    }
    stats->min = stats->ends;
    stats->max = stats->min + channels;
    stats->pair = stats->max + channels;
    stats->sum = stats->sums;
    stats->sum2 = stats->sum + channels;
    for (size_t c = 0; c < channels; c++) {
        stats->min[c] = INFINITY;
        stats->max[c] = stats->pair[c] = -INFINITY;
    }
    return QONNX_OK;
}

void qn_channel_stats_release(struct qn_channel_stats *stats)
{
    free(stats->ends);
    free(stats->sums);
    memset(stats, 0, sizeof *stats);
}

/* ---- strips ---- */

/* Values of neighbouring channels from `first` on: place p of the c-th is x[p * pitch + c]. Places are `width` apart or,
 * when there are LANES channels, more. */
struct strip {
    const float *x;
    size_t       pitch, places, width, first, group;
};

/* What one sample adds to. */
struct sample {
    struct qn_channel_stats *stats;
    struct qn_scan          *scan; /* of all channels */
    struct qn_ends           ends; /* the same */
    size_t                   half;
    bool                     odd;
};

static size_t strip_length(const struct strip *s) { return (s->places - 1) * s->pitch + s->width; }

/* Of a strip, folded to its channels. */
static void take_ends(struct sample *sample, const struct strip *s, struct qn_ends *ends)
{
    struct qn_channel_stats *stats = sample->stats;

    for (size_t c = 0; c < s->width; c++) { /* -0 to +0: which came first must not show */
        ends->min[c] += 0.0f;
        ends->max[c] += 0.0f;
    }
    qn_take_lower(sample->ends.min, ends->min, s->width);
    qn_take_upper(sample->ends.max, ends->max, s->width);
    qn_take_lower(stats->min + s->first, ends->min, s->width);
    qn_take_upper(stats->max + s->first, ends->max, s->width);
    for (size_t c = 0; c + 1 < s->width; c += 2) {
        float *pair = &stats->pair[s->first + c + sample->half];
        *pair = UPPER(ends->pair[c / 2] + 0.0f, *pair);
    }
}

/* What is not ordinary counts as 0. */
static void careful_ends(struct sample *sample, const struct strip *s, struct qn_ends *ends)
{
    float clean[LANES];

    sample->odd = true;
    qn_ends_init(ends);
    for (size_t p = 0; p < s->places; p++) {
        for (size_t j = 0; j < LANES; j++) clean[j] = j < s->width ? ORDINARY(s->x[p * s->pitch + j]) : 0;
        qn_ends_scan(clean, LANES, 1, ends);
        qn_ends_pairs(clean, LANES, 1, ends);
    }
}

static void scan_steps(const float *x, size_t stride, size_t steps, bool paired, struct qn_ends *ends)
{
    qn_ends_scan(x, stride, steps, ends);
    if (paired) qn_ends_pairs(x, stride, steps, ends); /* it is near by now */
}

/* Backwards: what was written last is still near. */
static void scan_strip(const struct strip *s, size_t abreast, struct qn_ends *ends)
{
    const size_t stride = abreast * s->pitch, length = strip_length(s);
    const size_t steps = length < LANES ? 0 : (length - LANES) / stride + 1;
    const bool   paired = s->width > 1;
    float        copy[LANES];

    for (size_t p = steps * abreast; p < s->places; p += abreast) {
        const size_t left = s->places - p < abreast ? s->places - p : abreast;
        for (size_t j = 0; j < LANES; j++) copy[j] = s->x[p * s->pitch + j % (left * s->width)];
        scan_steps(copy, LANES, 1, paired, ends);
    }
    for (size_t end = steps, n; end; end -= n) {
        n = end < CHUNK ? end : CHUNK;
        scan_steps(s->x + (end - n) * stride, stride, n, paired, ends);
    }
}

static void add_ends(struct sample *sample, const struct strip *s)
{
    const bool     close = s->pitch == s->width && (s->width == 1 || s->width % 2 == 0);
    const size_t   abreast = close ? LANES / s->width : 1;
    struct qn_ends ends;

    qn_ends_init(&ends);
    scan_strip(s, abreast, &ends);
    if (qn_ends_odd(&ends))
        careful_ends(sample, s, &ends);
    else
        qn_ends_fold(&ends, s->width, abreast);
    take_ends(sample, s, &ends);
}

/* ---- sums ---- */

struct sums {
    float    sum[LANES], sum2[LANES];
    uint32_t zeros[LANES];
};

QN_CLONES static void scan_sums(const float *restrict x, size_t stride, size_t steps, struct sums *restrict l)
{
    for (size_t i = 0; i < steps; i++, x += stride)
        for (size_t j = 0; j < LANES; j++) {
            const float value = ORDINARY(x[j]);
            l->sum[j] += value;
            l->sum2[j] += value * value;
            l->zeros[j] += x[j] == 0 ? 1u : 0u;
        }
}

QN_CLONES static void fold_sums(const struct sums *restrict l, size_t group, size_t width, double *restrict sum,
                                double *restrict sum2)
{
    for (size_t c = 0; c < width; c++) sum[c] = sum2[c] = 0;
    for (size_t j = 0; j < group * width; j += width)
        for (size_t c = 0; c < width; c++) {
            sum[c] += (double)l->sum[j + c];
            sum2[c] += (double)l->sum2[j + c];
        }
}

/* One group in so many is summed. Odd, so that it is not the same columns of an image again and again. */
static size_t sum_every(size_t places, size_t group)
{
    const size_t groups = (places + group - 1) / group, most = MOST_SUMMED / group;
    return groups <= most ? 1 : (groups + most - 1) / most | 1;
}

static size_t summed_groups(size_t places, size_t group)
{
    const size_t every = sum_every(places, group);
    return ((places + group - 1) / group + every - 1) / every;
}

/* Of a channel's places those that are summed up. */
static size_t summed_places(size_t places, size_t group)
{
    const size_t groups = summed_groups(places, group), last = (groups - 1) * sum_every(places, group) * group;
    return (groups - 1) * group + (places - last < group ? places - last : group);
}

/* Steps that would reach beyond the end read from a copy with NaN behind it, which adds nothing and is no zero. */
static void add_sums(struct sample *sample, const struct strip *s)
{
    const size_t stride = sum_every(s->places, s->group) * s->group * s->pitch, length = strip_length(s);
    const size_t steps = summed_groups(s->places, s->group), fit = length < LANES ? 0 : (length - LANES) / stride + 1;
    const size_t full = fit < steps ? fit : steps;
    struct sums  l = { 0 };
    double       sum[LANES], sum2[LANES];
    float        copy[2 * LANES];

    scan_sums(s->x, stride, full, &l);
    if (full < steps) {
        for (size_t j = 0; j < 2 * LANES; j++) copy[j] = full * stride + j < length ? s->x[full * stride + j] : NAN;
        scan_sums(copy, stride, steps - full, &l);
    }
    fold_sums(&l, s->group, s->width, sum, sum2);
    for (size_t c = 0; c < s->width; c++) {
        __builtin_prefetch(&sample->stats->sum[s->first + c + WIDEST], 1);
        __builtin_prefetch(&sample->stats->sum2[s->first + c + WIDEST], 1);
        qn_fixed_sum_add(&sample->stats->sum[s->first + c], sum[c]);
        qn_fixed_sum_add(&sample->stats->sum2[s->first + c], sum2[c]);
        sample->scan->sum += sum[c];
        sample->scan->sum2 += sum2[c];
    }
    for (size_t j = 0; j < s->group * s->width; j++) sample->scan->zeros += l.zeros[j];
}

/* ---- samples ---- */

QN_CLONES static void add_up(const float *restrict x, const float *restrict y, size_t n, float *restrict sums)
{
    for (size_t i = 0; i < n; i++) sums[i] = ORDINARY(x[i]) + ORDINARY(y[i]);
}

/* Two channels that each lie on their own. */
static void add_pair(struct sample *sample, const float *x, size_t inner, size_t first)
{
    enum { MOST = CHUNK * LANES };
    float *pair = &sample->stats->pair[first + sample->half], sums[MOST];

    for (size_t at = 0, n; at < inner; at += n) {
        struct strip   strip = { sums, 1, n = inner - at < MOST ? inner - at : MOST, 1, 0, 0 };
        struct qn_ends ends;
        add_up(x + at, x + at + inner, n, sums);
        qn_ends_init(&ends);
        scan_strip(&strip, LANES, &ends);
        qn_ends_fold(&ends, 1, LANES);
        *pair = UPPER(ends.max[0] + 0.0f, *pair);
    }
}

static void add_planes(struct sample *sample, const float *x, size_t inner, size_t width)
{
    const size_t channels = sample->stats->channels;
    struct strip s = { x, width, inner, width, 0, GROUP };

    for (size_t end = channels; end; end -= width) { /* see scan_strip */
        s.first = end - width;
        s.x = x + s.first * inner;
        add_ends(sample, &s);
    }
    for (; s.first < channels; s.first += width, s.x += width * inner) add_sums(sample, &s);
    for (size_t first = 0; width == 1 && first + 1 < channels; first += 2)
        add_pair(sample, x + first * inner, inner, first);
}

static void add_rows(struct sample *sample, const float *x, size_t rows)
{
    const size_t channels = sample->stats->channels;

    for (size_t first = 0; first < channels; first += LANES) {
        const size_t       width = channels - first < LANES ? channels - first : LANES;
        const struct strip strip = { x + first, channels, rows, width, first, 1 };
        add_ends(sample, &strip);
        add_sums(sample, &strip);
    }
}

static size_t summed_of(struct qn_layout layout)
{
    return layout.inner == 1 ? summed_places(layout.outer, 1) : layout.outer * summed_places(layout.inner, GROUP);
}

bool qn_channel_stats_add(struct qn_channel_stats *stats, const struct qn_channel_view *view, struct qn_scan *scan)
{
    const struct qn_layout layout = view->layout;
    const size_t           width = view->block;
    struct sample          sample = { .stats = stats, .scan = scan, .half = view->half };

    *scan = (struct qn_scan){ .min = INFINITY, .max = -INFINITY };
    if (layout.channels != stats->channels || width > WIDEST || layout.channels % width) {
        stats->mismatch = true;
        return false;
    }
    if (!qn_layout_count(layout)) return true;
    stats->count += (uint64_t)layout.outer * layout.inner;
    stats->summed += summed_of(layout);
    scan->summed = layout.channels * summed_of(layout);
    qn_ends_init(&sample.ends);
    if (layout.inner == 1)
        add_rows(&sample, view->x, layout.outer);
    else
        for (size_t o = 0; o < layout.outer; o++)
            add_planes(&sample, view->x + o * layout.channels * layout.inner, layout.inner, width);
    qn_ends_fold(&sample.ends, 1, LANES);
    scan->min = sample.ends.min[0];
    scan->max = sample.ends.max[0];
    return !sample.odd;
}

void qn_channel_stats_merge(struct qn_channel_stats *stats, const struct qn_channel_stats *other)
{
    stats->mismatch |= other->mismatch || stats->channels != other->channels;
    if (stats->channels != other->channels) return;
    stats->count += other->count;
    stats->summed += other->summed;
    for (size_t c = 0; c < stats->channels; c++) {
        stats->min[c] = LOWER(other->min[c], stats->min[c]);
        stats->max[c] = UPPER(other->max[c], stats->max[c]);
        stats->pair[c] = UPPER(other->pair[c], stats->pair[c]);
        qn_fixed_sum_merge(&stats->sum[c], &other->sum[c]);
        qn_fixed_sum_merge(&stats->sum2[c], &other->sum2[c]);
    }
}

bool qn_channel_stats_usable(const struct qn_channel_stats *stats) { return stats->summed && !stats->mismatch; }

struct qn_range qn_channel_range(const struct qn_channel_stats *stats, size_t channel)
{
    return (struct qn_range){ stats->min[channel], stats->max[channel] };
}

double qn_channel_mean(const struct qn_channel_stats *stats, size_t channel)
{
    return qn_fixed_sum_value(&stats->sum[channel]) / (double)stats->summed;
}

double qn_channel_mean_square(const struct qn_channel_stats *stats, size_t channel)
{
    return qn_fixed_sum_value(&stats->sum2[channel]) / (double)stats->summed;
}

void qn_channel_stats_assume_pairs(struct qn_channel_stats *stats)
{
    for (size_t c = 0; c + 1 < stats->channels; c += 2)
        stats->pair[c] = stats->pair[c + 1] = stats->max[c] + stats->max[c + 1];
}
