/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/gram.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/qparams.h"
#include "quant/simd.h"

/* BLOCK products of two codes fit int32: 512 * 2047^2 < 2^31. STRIP rows of codes stay in the first cache. */
enum { BLOCK = 512, TILE = 4, STRIP = 32, WHOLE = 32 /* rows: zeros fill them up, for loops without a rest */ };

/* ---- arithmetic ---- */

/* Sums of products of TILE rows of codes with TILE others; written out so that each sum has a register. */
QN_CLONES static void multiply_tile(const int16_t *restrict a, const int16_t *restrict b, size_t n,
                                    int32_t *restrict out)
{
    const int16_t *restrict a1 = a + BLOCK, *restrict a2 = a + 2 * BLOCK, *restrict a3 = a + 3 * BLOCK;
    const int16_t *restrict b1 = b + BLOCK, *restrict b2 = b + 2 * BLOCK, *restrict b3 = b + 3 * BLOCK;
    int32_t s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
    int32_t s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;

    for (size_t i = 0; i < n; i++) {
        s00 += a[i] * b[i], s01 += a[i] * b1[i], s02 += a[i] * b2[i], s03 += a[i] * b3[i];
        s10 += a1[i] * b[i], s11 += a1[i] * b1[i], s12 += a1[i] * b2[i], s13 += a1[i] * b3[i];
        s20 += a2[i] * b[i], s21 += a2[i] * b1[i], s22 += a2[i] * b2[i], s23 += a2[i] * b3[i];
        s30 += a3[i] * b[i], s31 += a3[i] * b1[i], s32 += a3[i] * b2[i], s33 += a3[i] * b3[i];
    }
    out[0] = s00, out[1] = s01, out[2] = s02, out[3] = s03;
    out[4] = s10, out[5] = s11, out[6] = s12, out[7] = s13;
    out[8] = s20, out[9] = s21, out[10] = s22, out[11] = s23;
    out[12] = s30, out[13] = s31, out[14] = s32, out[15] = s33;
}

QN_CLONES static void make_codes(const float *restrict x, size_t n, float per_step, int16_t *restrict codes)
{
    for (size_t i = 0; i < n; i++) {
        const float steps = rintf(x[i] * per_step);
        const float raised = steps > -(float)QN_GRAM_STEPS ? steps : -(float)QN_GRAM_STEPS;
        codes[i] = (int16_t)(raised < (float)QN_GRAM_STEPS ? raised : (float)QN_GRAM_STEPS);
    }
}

QN_CLONES static int64_t total_of(const int16_t *codes, size_t n)
{
    int32_t sum = 0;
    for (size_t i = 0; i < n; i++) sum += codes[i];
    return sum;
}

/* ---- memory ---- */

static bool sizes_of(const struct qn_window *window, size_t *padded, size_t *sums, size_t *totals)
{
    const size_t k = qn_window_columns(window);

    if (!k || !window->groups || k > SIZE_MAX - TILE) return false;
    *padded = (k + TILE - 1) / TILE * TILE;
    return !__builtin_mul_overflow(*padded, window->groups, totals) &&
           !__builtin_mul_overflow(*padded, *totals, sums) && *sums <= SIZE_MAX / 16;
}

size_t qn_gram_bytes(const struct qn_window *window)
{
    size_t padded, sums, totals;
    return sizes_of(window, &padded, &sums, &totals) ? (sums + totals) * sizeof(int64_t) : SIZE_MAX;
}

qonnx_status qn_gram_init(struct qn_gram *gram, const struct qn_window *window, float absmax, size_t most,
                          qonnx_error *err)
{
    size_t sums, totals;

    memset(gram, 0, sizeof *gram);
    if (!sizes_of(window, &gram->padded, &sums, &totals))
        return qn_fail(err, QONNX_E_LIMIT, "a layer's input has too many columns for their products");
    gram->window = *window;
    gram->k = qn_window_columns(window);
    gram->groups = window->groups;
    gram->step = qn_symmetric_scale(absmax, QN_GRAM_STEPS);
    gram->most = most ? most : 1;
    gram->sums = calloc(sums, sizeof *gram->sums);
    gram->totals = calloc(totals, sizeof *gram->totals);
    if (!gram->sums || !gram->totals) {
        free(gram->sums);
        free(gram->totals);
        memset(gram, 0, sizeof *gram);
        return qn_fail_nomem(err);
    }
    for (int i = 0; i < QN_GRAM_LOCKS; i++) pthread_mutex_init(&gram->locks[i], NULL);
    return QONNX_OK;
}

void qn_gram_release(struct qn_gram *gram)
{
    for (int i = 0; gram->sums && i < QN_GRAM_LOCKS; i++) pthread_mutex_destroy(&gram->locks[i]);
    free(gram->sums);
    free(gram->totals);
    memset(gram, 0, sizeof *gram);
}

void qn_gram_room_release(struct qn_gram_room *room)
{
    free(room->codes);
    free(room->places);
    memset(room, 0, sizeof *room);
}

static bool make_room(struct qn_gram_room *room, size_t codes, size_t places)
{
    if (codes > room->codes_count) {
        free(room->codes);
        room->codes = NULL;
        room->codes_count = 0;
        if (posix_memalign((void **)&room->codes, 64, codes * sizeof *room->codes)) return false;
        room->codes_count = codes;
    }
    if (places > room->places_count) {
        free(room->places);
        room->places = malloc(places * sizeof *room->places);
        room->places_count = room->places ? places : 0;
    }
    return room->places != NULL;
}

/* ---- rows ---- */

static size_t common_divisor(size_t a, size_t b)
{
    while (b) {
        const size_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* From one taken row to the next: not in step with the width of an image, lest always the same columns of it are seen. */
static size_t row_stride(const struct qn_positions *positions, size_t most)
{
    const int    dims = positions->window->dims;
    const size_t width = dims ? (size_t)positions->out[dims - 1] : 1;
    size_t       stride = positions->rows / most + (positions->rows % most != 0);

    while (stride > 1 && common_divisor(stride, width) != 1) stride++;
    return stride;
}

static size_t filled_up(size_t n) { return (n + WHOLE - 1) / WHOLE * WHOLE; }

/* The codes of n rows, as columns of room->codes: one line of BLOCK for each variable. */
static void gather(const struct qn_gram *gram, const struct qn_gram_room *room, const struct qn_positions *positions,
                   const float *x, size_t group, size_t n)
{
    const size_t taps = qn_window_taps(&gram->window), channels = gram->window.channels;
    const float  per_step = 1.0f / gram->step;
    float        line[BLOCK];

    for (size_t c = 0; c < channels; c++)
        for (size_t t = 0; t < taps; t++) {
            const float   *plane = x + (gram->window.first + group * channels + c) * positions->channel_stride;
            const int64_t *places = room->places + t * BLOCK;
            for (size_t i = 0; i < n; i++) line[i] = places[i] < 0 ? 0 : plane[places[i]];
            for (size_t i = n; i < filled_up(n); i++) line[i] = 0;
            make_codes(line, filled_up(n), per_step, room->codes + (c * taps + t) * BLOCK);
        }
}

/* A strip of columns of the lower half, from the diagonal down. */
static void add_strip(struct qn_gram *gram, const int16_t *codes, size_t group, size_t strip, size_t n)
{
    const size_t padded = gram->padded, first = strip * STRIP, end = first + STRIP < padded ? first + STRIP : padded;
    int64_t     *sums = gram->sums + group * padded * padded;
    int32_t      tile[TILE * TILE];

    for (size_t i = first; i < padded; i += TILE)
        for (size_t j = first; j < end && j <= i; j += TILE) {
            multiply_tile(codes + i * BLOCK, codes + j * BLOCK, n, tile);
            for (size_t a = 0; a < TILE; a++)
                for (size_t b = 0; b < TILE; b++) sums[(i + a) * padded + j + b] += tile[a * TILE + b];
        }
}

/* Threads begin at different strips, so that they seldom wait for each other; the sums are exact, so order is nothing. */
static void add_block(struct qn_gram *gram, const int16_t *codes, size_t group, size_t n, size_t begin)
{
    const size_t strips = (gram->padded + STRIP - 1) / STRIP;

    for (size_t s = 0; s < strips; s++) {
        const size_t     strip = (s + begin) % strips;
        pthread_mutex_t *lock = &gram->locks[strip % QN_GRAM_LOCKS];
        pthread_mutex_lock(lock);
        add_strip(gram, codes, group, strip, filled_up(n));
        if (strip == 0) {
            for (size_t i = 0; i < gram->k; i++)
                gram->totals[group * gram->padded + i] += total_of(codes + i * BLOCK, n);
            if (group == 0) gram->rows += n;
        }
        pthread_mutex_unlock(lock);
    }
}

qonnx_status qn_gram_add(struct qn_gram *gram, struct qn_gram_room *room, const float *x, int rank, const int64_t *dims,
                         size_t sample, qonnx_error *err)
{
    struct qn_positions positions;
    size_t              stride, codes, places;

    if (!qn_window_over(&gram->window, rank, dims, &positions) || !positions.rows) return QONNX_OK;
    if (__builtin_mul_overflow(gram->padded, (size_t)BLOCK, &codes) || codes > SIZE_MAX / 16 ||
        __builtin_mul_overflow(qn_window_taps(&gram->window), (size_t)BLOCK, &places) || places > SIZE_MAX / 16 ||
        !make_room(room, codes, places))
        return qn_fail_nomem(err);
    stride = row_stride(&positions, gram->most);
    memset(room->codes + gram->k * BLOCK, 0, (gram->padded - gram->k) * BLOCK * sizeof *room->codes);
    for (size_t row = sample % stride; row < positions.rows;) {
        size_t n = 0;
        for (; n < BLOCK && row < positions.rows; row += stride)
            qn_window_places(&positions, row, room->places + n++, BLOCK);
        for (size_t group = 0; group < gram->groups; group++) {
            gather(gram, room, &positions, x, group, n);
            add_block(gram, room->codes, group, n, sample);
        }
    }
    return QONNX_OK;
}

double qn_gram_at(const struct qn_gram *gram, size_t group, size_t i, size_t j)
{
    const double step = (double)gram->step;
    if (!gram->rows) return 0;
    return (double)gram->sums[(group * gram->padded + i) * gram->padded + j] / (double)gram->rows * step * step;
}

double qn_gram_mean(const struct qn_gram *gram, size_t group, size_t i)
{
    if (!gram->rows) return 0;
    return (double)gram->totals[group * gram->padded + i] / (double)gram->rows * (double)gram->step;
}
