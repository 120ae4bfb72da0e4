/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/kernels.h"

#include <math.h>
#include <string.h>

#include "quant/simd.h"

/* Every lane is a sum of its own; how many an instruction handles at once makes no difference to it. There are so many
 * of them that the loop over lanes stays a loop, which compilers vectorize reliably (fewer are unrolled and go astray).
 * A block bounds the 32-bit counters. */
enum { LANES = QN_LANES, BLOCK = QN_SCAN_BLOCK };

static bool ordinary(float x) { return fabsf(x) < QN_MASKED_FROM; } /* false for NaN */

static uint32_t magnitude(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits & UINT32_C(0x7fffffff);
}

/* ---- squares ---- */

QN_CLONES static void add_squares(const float *restrict x, size_t steps, float *restrict sum)
{
    for (size_t i = 0; i < steps; i++, x += LANES)
        for (size_t j = 0; j < LANES; j++) sum[j] += x[j] * x[j];
}

float qn_sum_squares(const float *x, size_t n)
{
    float sum[LANES] = { 0 }, last[LANES] = { 0 }, all = 0;

    add_squares(x, n / LANES, sum);
    memcpy(last, x + n - n % LANES, n % LANES * sizeof *last);
    add_squares(last, 1, sum);
    for (size_t j = 0; j < LANES; j++) all += sum[j];
    return all;
}

/* ---- ends ---- */

QN_CLONES void qn_ends_init(struct qn_ends *ends)
{
    for (int j = 0; j < LANES; j++) {
        ends->min[j] = INFINITY;
        ends->max[j] = -INFINITY;
        ends->top[j] = 0;
    }
    for (int j = 0; j < LANES / 2; j++) ends->pair[j] = -INFINITY;
}

/* NaN fails both comparisons, but is greater than any other magnitude: one maximum of bits finds all that is odd. */
QN_CLONES void qn_ends_scan(const float *restrict x, size_t stride, size_t steps, struct qn_ends *restrict e)
{
    for (size_t i = 0; i < steps; i++, x += stride) {
        for (size_t j = 0; j < LANES; j++) {
            const float value = x[j];
            uint32_t    bits;
            memcpy(&bits, &value, sizeof bits);
            bits &= UINT32_C(0x7fffffff);
            e->min[j] = value < e->min[j] ? value : e->min[j];
            e->max[j] = value > e->max[j] ? value : e->max[j];
            e->top[j] = bits > e->top[j] ? bits : e->top[j];
        }
    }
}

QN_CLONES void qn_ends_pairs(const float *restrict x, size_t stride, size_t steps, struct qn_ends *restrict e)
{
    for (size_t i = 0; i < steps; i++, x += stride) {
        for (size_t j = 0; j < LANES / 2; j++) {
            const float value = x[2 * j] + x[2 * j + 1];
            e->pair[j] = value > e->pair[j] ? value : e->pair[j];
        }
    }
}

bool qn_ends_odd(const struct qn_ends *ends)
{
    uint32_t top = 0;

    for (int j = 0; j < LANES; j++) top = ends->top[j] > top ? ends->top[j] : top;
    return top >= magnitude(QN_MASKED_FROM);
}

QN_CLONES void qn_take_lower(float *restrict into, const float *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++) into[i] = from[i] < into[i] ? from[i] : into[i];
}

QN_CLONES void qn_take_upper(float *restrict into, const float *restrict from, size_t n)
{
    for (size_t i = 0; i < n; i++) into[i] = from[i] > into[i] ? from[i] : into[i];
}

/* The upper half into the lower one, again and again: one lane after the other would wait for each other. */
void qn_ends_fold(struct qn_ends *ends, size_t width, size_t count)
{
    for (size_t half; count > 1; count = half) {
        half = (count + 1) / 2;
        qn_take_lower(ends->min, ends->min + half * width, (count - half) * width);
        qn_take_upper(ends->max, ends->max + half * width, (count - half) * width);
        if (width % 2 == 0) qn_take_upper(ends->pair, ends->pair + half * width / 2, (count - half) * width / 2);
    }
}

/* ---- sums of two ---- */

QN_CLONES static void add(const float *restrict a, const float *restrict b, size_t n, float *restrict y)
{
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

/* NaN stays. */
QN_CLONES static void add_cut(const float *restrict a, const float *restrict b, size_t n, float *restrict y)
{
    for (size_t i = 0; i < n; i++) {
        const float value = a[i] + b[i];
        y[i] = value < 0 ? 0 : value;
    }
}

void qn_add(const float *a, const float *b, size_t n, bool cut, float *y) { (cut ? add_cut : add)(a, b, n, y); }

/* ---- all of a tensor ---- */

struct sums {
    uint32_t zeros[LANES];
    double   sum[LANES], sum2[LANES];
};

/* Two loops: compilers vectorize float comparisons and double sums, but not both in one. */
QN_CLONES static void scan_sums(const float *restrict x, size_t steps, struct sums *restrict l)
{
    float clean[LANES];

    for (size_t i = 0; i < steps; i++, x += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            const float value = x[j];
            clean[j] = fabsf(value) < QN_MASKED_FROM ? value : 0.0f;
            l->zeros[j] += value == 0 ? 1u : 0u;
        }
        for (size_t j = 0; j < LANES; j++) {
            const double value = clean[j];
            l->sum[j] += value;
            l->sum2[j] += value * value;
        }
    }
}

static void sum_block(const float *x, size_t n, struct sums *sums, struct qn_scan *out)
{
    const size_t rest = n % LANES;

    scan_sums(x, n / LANES, sums);
    for (size_t j = 0; j < rest; j++) {
        const double value = ordinary(x[n - rest + j]) ? (double)x[n - rest + j] : 0.0;
        sums->zeros[j] += x[n - rest + j] == 0 ? 1u : 0u;
        sums->sum[j] += value;
        sums->sum2[j] += value * value;
    }
    for (int j = 0; j < LANES; j++) {
        out->zeros += sums->zeros[j];
        sums->zeros[j] = 0;
    }
    out->summed += n;
}

/* What does not fill all lanes; a value seen twice does no harm. */
static void scan_rest(const float *x, size_t n, struct qn_ends *ends)
{
    const size_t rest = n % LANES;
    float        last[LANES];

    if (!rest) return;
    for (size_t j = 0; j < LANES; j++) last[j] = x[n - rest + j % rest];
    qn_ends_scan(last, LANES, 1, ends);
}

/* For the few tensors that hold anything but ordinary values. */
static void scan_odd(const float *x, size_t n, size_t every, struct qn_scan *out)
{
    for (size_t i = 0; i < n; i++) {
        if (ordinary(x[i])) {
            out->min = x[i] < out->min ? x[i] : out->min;
            out->max = x[i] > out->max ? x[i] : out->max;
            continue;
        }
        ++*(isnan(x[i]) ? &out->nan : isinf(x[i]) ? &out->inf : &out->masked);
        out->summed -= every && i / BLOCK % every == 0;
    }
}

void qn_scan(const float *x, size_t n, size_t every, struct qn_scan *out)
{
    const size_t   blocks = (n + BLOCK - 1) / BLOCK;
    struct sums    sums;
    struct qn_ends ends;

    memset(out, 0, sizeof *out);
    memset(&sums, 0, sizeof sums);
    out->min = INFINITY;
    out->max = -INFINITY;
    qn_ends_init(&ends);
    for (size_t b = blocks; b-- > 0;) /* what was written last is still near, and what is read next then is, too */
        qn_ends_scan(x + b * BLOCK, LANES, (b + 1 < blocks ? BLOCK : n - b * BLOCK) / LANES, &ends);
    for (size_t b = 0; every && b < blocks; b += every) sum_block(x + b * BLOCK, b + 1 < blocks ? BLOCK : n - b * BLOCK, &sums, out);
    scan_rest(x, n, &ends);
    qn_ends_fold(&ends, 1, LANES);
    if (qn_ends_odd(&ends)) {
        scan_odd(x, n, every, out);
    } else {
        out->min = ends.min[0];
        out->max = ends.max[0];
    }
    for (int j = 0; j < LANES; j++) {
        out->sum += sums.sum[j];
        out->sum2 += sums.sum2[j];
    }
    out->min += 0.0f; /* -0 to +0: which of the two came first must not show */
    out->max += 0.0f;
}
