/* SPDX-License-Identifier: Apache-2.0
 * A channel's values are added up in an order that all layouts can afford: by their place in the channel modulo LANES,
 * in float over a chunk, the chunks in double. A block of channels then is LANES times as many lanes, one for each
 * place and channel, and lies in memory as the lanes do. */
#include "quant/channel_stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/simd.h"

enum { LANES = 8, CHUNK = 512, SUM_EVERY = 4, STRIP = 256, NARROW = 8, WIDEST = 16 };

#define LOWER(a, b) ((a) < (b) ? (a) : (b))
#define UPPER(a, b) ((a) > (b) ? (a) : (b))
/* False for NaN. */
#define ORDINARY(x) (fabsf(x) < QN_MASKED_FROM ? (x) : 0.0f)

qonnx_status qn_channel_stats_init(struct qn_channel_stats *stats, size_t channels, qonnx_error *err)
{
    memset(stats, 0, sizeof *stats);
    if (channels > QN_CHANNELS_MAX) return qn_fail(err, QONNX_E_LIMIT, "%zu channels are too many to follow", channels);
    stats->channels = channels;
    stats->ends = calloc(5 * channels + 1, sizeof *stats->ends);
    stats->sums = calloc(2 * channels + 1, sizeof *stats->sums);
    stats->sample_sums = calloc(2 * channels + 1, sizeof *stats->sample_sums);
    if (!stats->ends || !stats->sums || !stats->sample_sums) {
        qn_channel_stats_release(stats);
        return qn_fail_nomem(err);
    }
    stats->min = stats->ends;
    stats->max = stats->min + channels;
    stats->sample_min = stats->max + channels;
    stats->sample_max = stats->sample_min + channels;
    stats->pair = stats->sample_max + channels;
    stats->sum = stats->sums;
    stats->sum2 = stats->sum + channels;
    stats->sample_sum = stats->sample_sums;
    stats->sample_sum2 = stats->sample_sum + channels;
    for (size_t c = 0; c < channels; c++) {
        stats->min[c] = stats->sample_min[c] = INFINITY;
        stats->max[c] = stats->sample_max[c] = stats->pair[c] = -INFINITY;
    }
    return QONNX_OK;
}

void qn_channel_stats_release(struct qn_channel_stats *stats)
{
    free(stats->ends);
    free(stats->sums);
    free(stats->sample_sums);
    memset(stats, 0, sizeof *stats);
}

/* ---- channels side by side in memory, or brought there ---- */

/* Lane `place * width + channel` of a block. */
struct lanes {
    float    min[LANES * WIDEST], max[LANES * WIDEST], sum[LANES * WIDEST], sum2[LANES * WIDEST];
    float    pair[LANES * WIDEST]; /* sums with the lane behind: of use for even ones */
    uint32_t odd[LANES * WIDEST], zeros[LANES * WIDEST];
};

/* For each width a loop of its own, whose count of lanes the compiler knows; see kernels.c. */
#define SCAN(width)                                                                                                    \
    QN_CLONES static void scan_ends_##width(const float *restrict x, size_t steps, struct lanes *restrict l)           \
    {                                                                                                                  \
        for (size_t i = 0; i < steps; i++, x += LANES * width)                                                         \
            for (size_t j = 0; j < LANES * width; j++) {                                                               \
                const float value = ORDINARY(x[j]);                                                                    \
                l->min[j] = LOWER(value, l->min[j]);                                                                   \
                l->max[j] = UPPER(value, l->max[j]);                                                                   \
                l->odd[j] += fabsf(x[j]) < QN_MASKED_FROM ? 0u : 1u;                                                   \
            }                                                                                                          \
    }                                                                                                                  \
    /* Reads one value more. */                                                                                        \
    QN_CLONES static void scan_pairs_##width(const float *restrict x, size_t steps, struct lanes *restrict l)          \
    {                                                                                                                  \
        for (size_t i = 0; i < steps; i++, x += LANES * width)                                                         \
            for (size_t j = 0; j < LANES * width; j++) {                                                               \
                const float value = x[j] + x[j + 1];                                                                   \
                l->pair[j] = UPPER(value, l->pair[j]);                                                                 \
            }                                                                                                          \
    }                                                                                                                  \
    QN_CLONES static void scan_sums_##width(const float *restrict x, size_t steps, struct lanes *restrict l)           \
    {                                                                                                                  \
        for (size_t i = 0; i < steps; i++, x += LANES * width)                                                         \
            for (size_t j = 0; j < LANES * width; j++) {                                                               \
                const float value = ORDINARY(x[j]);                                                                    \
                l->sum[j] += value;                                                                                    \
                l->sum2[j] += value * value;                                                                           \
                l->zeros[j] += value == 0 ? 1u : 0u;                                                                   \
            }                                                                                                          \
    }
SCAN(8)
SCAN(16)

static void start(struct lanes *l, size_t count)
{
    for (size_t j = 0; j < count; j++) {
        l->min[j] = INFINITY;
        l->max[j] = l->pair[j] = -INFINITY;
        l->sum[j] = l->sum2[j] = 0;
        l->odd[j] = l->zeros[j] = 0;
    }
}

/* Values of a few more places, which do not fill all lanes. */
static void scan_rest(const float *x, size_t n, struct lanes *l)
{
    for (size_t j = 0; j < n; j++) {
        const float value = ORDINARY(x[j]);
        l->min[j] = LOWER(value, l->min[j]);
        l->max[j] = UPPER(value, l->max[j]);
        l->sum[j] += value;
        l->sum2[j] += value * value;
        l->zeros[j] += value == 0 ? 1u : 0u;
        l->odd[j] += fabsf(x[j]) < QN_MASKED_FROM ? 0u : 1u;
    }
    for (size_t j = 0; j < n; j += 2) {
        const float value = x[j] + x[j + 1];
        l->pair[j] = UPPER(value, l->pair[j]);
    }
}

/* The lanes of a block, of which `count` channels from `first` on are asked for, into the sample's figures. */
QN_CLONES static void finish_ends(struct qn_channel_stats *stats, const struct lanes *l, size_t width, size_t first,
                                  size_t count)
{
    float    min[WIDEST], max[WIDEST], pair[WIDEST];
    uint32_t odd = 0;

    for (size_t c = 0; c < WIDEST; c++) {
        min[c] = INFINITY;
        max[c] = pair[c] = -INFINITY;
    }
    for (size_t j = 0; j < LANES * width; j += width)
        for (size_t c = 0; c < width; c++) {
            min[c] = LOWER(l->min[j + c], min[c]);
            max[c] = UPPER(l->max[j + c], max[c]);
            pair[c] = UPPER(l->pair[j + c], pair[c]);
            odd |= l->odd[j + c];
        }
    for (size_t c = 0; c < count; c++) {
        stats->sample_min[first + c] = LOWER(min[c], stats->sample_min[first + c]);
        stats->sample_max[first + c] = UPPER(max[c], stats->sample_max[first + c]);
        stats->pair[first + c] = UPPER(pair[c], stats->pair[first + c]);
    }
    stats->sample_odd |= odd != 0;
}

QN_CLONES static void finish_sums(struct qn_channel_stats *stats, const struct lanes *l, size_t width, size_t first,
                                  size_t count)
{
    double   sum[WIDEST] = { 0 }, sum2[WIDEST] = { 0 };
    uint32_t zeros[WIDEST] = { 0 };

    for (size_t j = 0; j < LANES * width; j += width)
        for (size_t c = 0; c < width; c++) {
            sum[c] += (double)l->sum[j + c];
            sum2[c] += (double)l->sum2[j + c];
            zeros[c] += l->zeros[j + c];
        }
    for (size_t c = 0; c < count; c++) {
        stats->sample_zeros += zeros[c];
        stats->sample_sum[first + c] += sum[c];
        stats->sample_sum2[first + c] += sum2[c];
    }
}

/* One chunk of a block of channels. */
static void add_block(struct qn_channel_stats *stats, const float *x, size_t places, size_t width, size_t first,
                      size_t count, bool summed)
{
    const size_t steps = places / LANES, step = LANES * width;
    struct lanes lanes;
    float        last[LANES * WIDEST + 1];

    start(&lanes, step);
    (width == NARROW ? scan_ends_8 : scan_ends_16)(x, steps, &lanes);
    if (summed) (width == NARROW ? scan_sums_8 : scan_sums_16)(x, steps, &lanes);
    if (steps) { /* the last value of all has none behind it */
        memcpy(last, x + (steps - 1) * step, step * sizeof *last);
        last[step] = 0;
        (width == NARROW ? scan_pairs_8 : scan_pairs_16)(x, steps - 1, &lanes);
        (width == NARROW ? scan_pairs_8 : scan_pairs_16)(last, 1, &lanes);
    }
    scan_rest(x + steps * step, places % LANES * width, &lanes);
    finish_ends(stats, &lanes, width, first, count);
    if (summed) finish_sums(stats, &lanes, width, first, count);
}

/* A chunk of up to NARROW channels, each with its values side by side, as such a block. */
static void gather(const float *x, size_t stride, size_t places, size_t count, float *block)
{
    for (size_t c = 0; c < count; c++, x += stride)
        for (size_t p = 0; p < places; p++) block[p * NARROW + c] = x[p];
}

static void add_planes(struct qn_channel_stats *stats, const float *x, size_t inner, size_t width)
{
    const size_t step = width == 1 ? NARROW : width, channels = stats->channels;
    float        block[CHUNK * NARROW] = { 0 };

    for (size_t first = 0; first < channels; first += step, x += step * inner) {
        const size_t count = channels - first < step ? channels - first : step;
        for (size_t at = 0, n; at < inner; at += n) {
            n = inner - at < CHUNK ? inner - at : CHUNK;
            if (width == 1) gather(x + at, inner, n, count, block);
            add_block(stats, width == 1 ? block : x + at * width, n, step, first, count, at / CHUNK % SUM_EVERY == 0);
        }
    }
}

/* ---- rows of channels ---- */

/* Two loops: compilers vectorize float comparisons and double sums, but not both in one. */
QN_CLONES static uint32_t scan_row(const float *restrict x, size_t n, float *restrict min, float *restrict max,
                                   float *restrict clean)
{
    uint32_t odd = 0;

    for (size_t i = 0; i < n; i++) {
        const float value = ORDINARY(x[i]);
        clean[i] = value;
        min[i] = LOWER(value, min[i]);
        max[i] = UPPER(value, max[i]);
        odd += fabsf(x[i]) < QN_MASKED_FROM ? 0u : 1u;
    }
    return odd;
}

QN_CLONES static void pair_row(const float *restrict x, size_t n, float *restrict pair)
{
    for (size_t i = 0; i + 1 < n; i++) {
        const float value = x[i] + x[i + 1];
        pair[i] = UPPER(value, pair[i]);
    }
}

QN_CLONES static uint32_t sum_row(const float *restrict clean, size_t n, double *restrict sum, double *restrict sum2)
{
    uint32_t zeros = 0;

    for (size_t i = 0; i < n; i++) zeros += clean[i] == 0 ? 1u : 0u;
    for (size_t i = 0; i < n; i++) {
        const double value = clean[i];
        sum[i] += value;
        sum2[i] += value * value;
    }
    return zeros;
}

static void add_rows(struct qn_channel_stats *stats, const float *x, size_t rows)
{
    const size_t channels = stats->channels;
    float        clean[STRIP];

    for (size_t first = 0, n; first < channels; first += n) {
        n = channels - first < STRIP ? channels - first : STRIP;
        for (size_t r = 0; r < rows; r++) {
            stats->sample_odd |=
                scan_row(x + r * channels + first, n, stats->sample_min + first, stats->sample_max + first, clean) != 0;
            pair_row(x + r * channels + first, n, stats->pair + first);
            stats->sample_zeros += sum_row(clean, n, stats->sample_sum + first, stats->sample_sum2 + first);
        }
    }
}

/* ---- both ---- */

/* Of a channel's places those that are summed up. */
static size_t summed_places(size_t inner)
{
    const size_t rest = inner % (CHUNK * SUM_EVERY);
    return inner / (CHUNK * SUM_EVERY) * CHUNK + (rest < CHUNK ? rest : CHUNK);
}

static struct qn_scan close_sample(struct qn_channel_stats *stats, struct qn_layout layout)
{
    struct qn_scan scan = { .min = INFINITY,
                            .max = -INFINITY,
                            .zeros = stats->sample_zeros,
                            .summed = layout.outer * layout.channels * summed_places(layout.inner) };

    for (size_t c = 0; c < layout.channels; c++) {
        scan.sum += stats->sample_sum[c];
        scan.sum2 += stats->sample_sum2[c];
        scan.min = LOWER(stats->sample_min[c], scan.min);
        scan.max = UPPER(stats->sample_max[c], scan.max);
        qn_fixed_sum_add(&stats->sum[c], stats->sample_sum[c]);
        qn_fixed_sum_add(&stats->sum2[c], stats->sample_sum2[c]);
        stats->min[c] =
            LOWER(stats->sample_min[c], stats->min[c]) + 0.0f; /* -0 to +0: which came first must not show */
        stats->max[c] = UPPER(stats->sample_max[c], stats->max[c]) + 0.0f;
        stats->sample_sum[c] = stats->sample_sum2[c] = 0;
        stats->sample_min[c] = INFINITY;
        stats->sample_max[c] = -INFINITY;
    }
    scan.min += 0.0f;
    scan.max += 0.0f;
    stats->sample_zeros = 0;
    return scan;
}

bool qn_channel_stats_add(struct qn_channel_stats *stats, const struct qn_channel_view *view, struct qn_scan *scan)
{
    const struct qn_layout layout = view->layout;
    const size_t           width = view->block;

    if (layout.channels != stats->channels || (width != 1 && width != NARROW && width != WIDEST) ||
        layout.channels % width) {
        stats->mismatch = true;
        return false;
    }
    stats->sample_odd = false;
    stats->count += (uint64_t)layout.outer * layout.inner;
    stats->summed += (uint64_t)layout.outer * summed_places(layout.inner);
    if (layout.inner == 1)
        add_rows(stats, view->x, layout.outer);
    else
        for (size_t o = 0; o < layout.outer; o++)
            add_planes(stats, view->x + o * layout.channels * layout.inner, layout.inner, width);
    *scan = close_sample(stats, layout);
    return !stats->sample_odd;
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
    for (size_t c = 0; c + 1 < stats->channels; c++) stats->pair[c] = stats->max[c] + stats->max[c + 1];
}
