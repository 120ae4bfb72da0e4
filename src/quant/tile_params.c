/* SPDX-License-Identifier: Apache-2.0
 * Scales and zero points of blocks, and codes by them. Loops are over many lanes, and over several rows in each, so that
 * compilers vectorize them and sums stay in registers for a while; rows behind a tile's weights are zeros, which have no
 * error and add nothing. */
#include <math.h>

#include "quant/simd.h"
#include "quant/tile.h"

enum { LANES = QN_TILE_LANES, ROWS = 4 };
enum { TRIALS = 12, ALTERNATIONS = 3, HALF_QUADRATIC = 20 };
#define TRIAL_STEP 0.03f

#define INLINE static inline __attribute__((always_inline))
#define CLAMP(v, least, most) ((v) > (least) ? (v) < (most) ? (v) : (most) : (least)) /* NaN is the least */

/* Half to even for all that is not clamped afterwards: larger numbers stay large. Every instruction set has it. */
INLINE float nearest(float x)
{
    const float shift = 12582912.0f; /* 1.5 * 2^23 */
    return (x + shift) - shift;
}

/* The codes without the zero point that these parameters give, and what they stand for. Searching multiplies, which is
 * faster than to divide; the codes that are kept are divided for. */
struct grid {
    float per[LANES], least[LANES], most[LANES];
};

INLINE void set_grid(struct grid *g, const struct qn_lanes *l, float most)
{
    for (size_t j = 0; j < LANES; j++) {
        g->per[j] = 1 / l->scale[j];
        g->least[j] = -l->zero[j];
        g->most[j] = most - l->zero[j];
    }
}

INLINE float step_of(const struct grid *g, size_t j, float x)
{
    const float step = nearest(x * g->per[j]);
    return CLAMP(step, g->least[j], g->most[j]);
}

QN_CLONES static void find_ends(const struct qn_tile *restrict t, float *restrict low, float *restrict high)
{
    for (size_t j = 0; j < LANES; j++) low[j] = high[j] = 0;
    for (size_t k = 0; k < t->deep; k += ROWS) {
        for (size_t j = 0; j < LANES; j++) {
            float least = low[j], most = high[j];
            for (size_t i = 0; i < ROWS; i++) {
                const float x = t->x[k + i][j];
                least = x < least ? x : least;
                most = x > most ? x : most;
            }
            low[j] = least;
            high[j] = most;
        }
    }
}

INLINE void sum_errors(const struct qn_tile *restrict t, struct qn_lanes *restrict l, bool weighted)
{
    struct grid g;

    set_grid(&g, l, (float)t->most);
    for (size_t j = 0; j < LANES; j++) l->error[j] = 0;
    for (size_t k = 0; k < t->deep; k += ROWS) {
        for (size_t j = 0; j < LANES; j++) {
            float sum = l->error[j];
            for (size_t i = 0; i < ROWS; i++) {
                const float x = t->x[k + i][j], error = x - step_of(&g, j, x) * l->scale[j];
                sum += weighted ? t->weight[k + i] * (error * error) : error * error;
            }
            l->error[j] = sum;
        }
    }
}

/* What the parameters lose, by lane. */
QN_CLONES static void find_errors(const struct qn_tile *restrict t, struct qn_lanes *restrict l)
{
    if (t->weight)
        sum_errors(t, l, true);
    else
        sum_errors(t, l, false);
}

INLINE void sum_steps(const struct qn_tile *restrict t, const struct grid *restrict g, float *restrict with,
                      float *restrict square, bool weighted)
{
    for (size_t k = 0; k < t->deep; k += ROWS) {
        for (size_t j = 0; j < LANES; j++) {
            float w = with[j], s = square[j];
            for (size_t i = 0; i < ROWS; i++) {
                const float x = t->x[k + i][j], step = step_of(g, j, x);
                w += weighted ? t->weight[k + i] * (x * step) : x * step;
                s += weighted ? t->weight[k + i] * (step * step) : step * step;
            }
            with[j] = w;
            square[j] = s;
        }
    }
}

/* A scale that says nothing, or that float32 cannot divide by, becomes one that does. */
INLINE float usable(float scale)
{
    const float size = fabsf(scale), more = size > QN_SCALE_MIN ? size : QN_SCALE_MIN,
                less = more < QN_SCALE_MAX ? more : QN_SCALE_MAX;
    return size > 0 ? copysignf(less, scale) : 1.0f;
}

/* The best scale for the codes that these parameters give, where there is one. */
QN_CLONES static void fit_scales(const struct qn_tile *restrict t, struct qn_lanes *restrict l)
{
    float       with[LANES] = { 0 }, square[LANES] = { 0 };
    struct grid g;

    set_grid(&g, l, (float)t->most);
    if (t->weight)
        sum_steps(t, &g, with, square, true);
    else
        sum_steps(t, &g, with, square, false);
    for (size_t j = 0; j < LANES; j++) {
        const float fit = with[j] / square[j];
        l->scale[j] = usable(square[j] > 0 ? fit : l->scale[j]);
    }
}

/* ---- parameters ---- */

QN_CLONES static void set_symmetric(const struct qn_tile *restrict t, const float *restrict low,
                                    const float *restrict high, float share, struct qn_lanes *restrict l)
{
    for (size_t j = 0; j < LANES; j++) {
        const float largest = high[j] >= -low[j] ? high[j] : low[j];
        l->scale[j] = usable(largest * share / (float)-t->half);
        l->zero[j] = (float)t->half;
    }
}

QN_CLONES static void set_affine(const struct qn_tile *restrict t, const float *restrict low,
                                 const float *restrict high, float share, struct qn_lanes *restrict l)
{
    for (size_t j = 0; j < LANES; j++) {
        const float scale = usable((high[j] - low[j]) * share / (float)t->most),
                    zero = nearest(-low[j] * share / scale);
        l->scale[j] = scale;
        l->zero[j] = CLAMP(zero, 0.0f, (float)t->most);
    }
}

/* Takes the lanes of `other` that lose less; tells whether there were any. */
QN_CLONES static bool keep_better(struct qn_lanes *restrict best, const struct qn_lanes *restrict other)
{
    int any = 0;

    for (size_t j = 0; j < LANES; j++) {
        const bool better = other->error[j] < best->error[j];
        any |= better;
        best->scale[j] = better ? other->scale[j] : best->scale[j];
        best->zero[j] = better ? other->zero[j] : best->zero[j];
        best->error[j] = better ? other->error[j] : best->error[j];
    }
    return any;
}

/* The same codes with the scale that suits them, and with the zero point a step to either side, as long as that is of use. */
static void alternate(const struct qn_tile *t, bool symmetric, struct qn_lanes *best)
{
    const float most = (float)t->most;
    bool        better = true;

    for (int round = 0; round < ALTERNATIONS && better; round++) {
        better = false;
        for (int shift = symmetric ? 0 : -1; shift <= (symmetric ? 0 : 1); shift++) {
            struct qn_lanes other = *best;
            for (size_t j = 0; j < LANES; j++) {
                const float zero = best->zero[j] + (float)shift;
                other.zero[j] = CLAMP(zero, 0.0f, most);
            }
            fit_scales(t, &other);
            find_errors(t, &other);
            better |= keep_better(best, &other);
        }
    }
}

/* Least squared error: ranges cut off step by step, then what suits the codes. */
static void by_trial(const struct qn_tile *t, bool symmetric, const float *low, const float *high,
                     struct qn_lanes *best)
{
    struct qn_lanes other;

    find_errors(t, best);
    for (int i = symmetric ? -2 : 1; i < TRIALS; i++) {
        (symmetric ? set_symmetric : set_affine)(t, low, high, 1 - (float)i * TRIAL_STEP, &other);
        find_errors(t, &other);
        keep_better(best, &other);
    }
    alternate(t, symmetric, best);
}

/* Half-quadratic: large errors are set aside as if they were sparse, and the zero point is the mean of what is left
 * (Badri and Shaji 2023, for the exponent 1/2, whose power is a square root: exact on every machine). */
QN_CLONES static void settle_zeros(const struct qn_tile *restrict t, struct qn_lanes *restrict l, float beta)
{
    const float most = (float)t->most;
    float       sum[LANES] = { 0 }, per[LANES];

    for (size_t j = 0; j < LANES; j++) per[j] = 1 / l->scale[j];
    for (size_t k = 0; k < t->deep; k++) {
        for (size_t j = 0; j < LANES; j++) {
            const float x = t->x[k][j], code = nearest(x * per[j] + l->zero[j]), cut = CLAMP(code, 0.0f, most);
            const float error = x - (cut - l->zero[j]) * l->scale[j], size = fabsf(error) + 1e-12f;
            const float left = size - 1 / (sqrtf(size) * beta), sparse = left > 0 ? left : 0;
            sum[j] += cut - (x - (error < 0 ? -sparse : sparse)) * per[j];
        }
    }
    for (size_t j = 0; j < LANES; j++) l->zero[j] = sum[j] / (float)t->deep;
}

/* The last zero point is rounded, for codes it is; the scale then suits the codes. */
static void by_half_quadratic(const struct qn_tile *t, struct qn_lanes *best)
{
    struct qn_lanes l;
    float           beta = 10;

    find_errors(t, best);
    l = *best;
    for (int round = 0; round < HALF_QUADRATIC; round++, beta *= 1.01f) settle_zeros(t, &l, beta);
    for (int j = 0; j < LANES; j++) {
        const float zero = nearest(l.zero[j]);
        l.zero[j] = CLAMP(zero, 0.0f, (float)t->most);
    }
    fit_scales(t, &l);
    find_errors(t, &l);
    keep_better(best, &l);
}

void qn_tile_params(const struct qn_tile *tile, const struct qn_block_form *form, struct qn_lanes *lanes)
{
    float low[LANES], high[LANES];

    find_ends(tile, low, high);
    (form->symmetric ? set_symmetric : set_affine)(tile, low, high, 1, lanes);
    if (form->how == QN_WEIGHT_MSE) by_trial(tile, form->symmetric, low, high, lanes);
    if (form->how == QN_WEIGHT_HQQ) by_half_quadratic(tile, lanes);
}

/* ---- codes ---- */

QN_CLONES static void make_codes(const struct qn_tile *restrict t, const struct qn_lanes *restrict l,
                                 uint8_t (*restrict codes)[QN_TILE_LANES], float *restrict power, float *restrict lost)
{
    const float most = (float)t->most;

    for (size_t k = 0; k < t->block; k++) {
        for (size_t j = 0; j < LANES; j++) {
            const float x = t->x[k][j], nearest_code = nearest(x / l->scale[j]) + l->zero[j];
            const float code = CLAMP(nearest_code, 0.0f, most), error = x - (code - l->zero[j]) * l->scale[j];
            codes[k][j] = (uint8_t)(int32_t)code;
            power[j] += x * x;
            lost[j] += error * error;
        }
    }
}

/* Halves are added, again and again. */
QN_CLONES static double sum_lanes(const float *lanes)
{
    double sum[LANES];

    for (size_t j = 0; j < LANES; j++) sum[j] = (double)lanes[j];
    for (size_t half = LANES / 2; half; half /= 2)
        for (size_t j = 0; j < half; j++) sum[j] += sum[j + half];
    return sum[0];
}

void qn_tile_codes(const struct qn_tile *tile, const struct qn_lanes *lanes, uint8_t (*codes)[QN_TILE_LANES],
                   struct qn_error_sums *sums)
{
    float power[LANES] = { 0 }, lost[LANES] = { 0 };

    make_codes(tile, lanes, codes, power, lost);
    sums->signal += sum_lanes(power);
    sums->noise += sum_lanes(lost);
}
