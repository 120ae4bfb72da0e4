/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/kernels.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "quant/simd.h"

/* Every lane is a sum of its own; how many an instruction handles at once makes no difference to it. There are so many
 * of them that the loop over lanes stays a loop, which compilers vectorize reliably (fewer are unrolled and go astray).
 * A block bounds the 32-bit counters and how much is looked at twice when something odd is in it. */
enum { LANES = 64, BLOCK = QN_SCAN_BLOCK };

struct lanes {
    float    min[LANES], max[LANES];
    uint32_t odd[LANES], zeros[LANES];
    double   sum[LANES], sum2[LANES];
};

static void lanes_init(struct lanes *lanes)
{
    memset(lanes, 0, sizeof *lanes);
    for (int j = 0; j < LANES; j++) {
        lanes->min[j] = INFINITY;
        lanes->max[j] = -INFINITY;
    }
}

/* The kernels take n as a multiple of LANES. NaN fails the comparison and so counts as odd. */
QN_CLONES static void scan_ends(const float *restrict x, size_t n, struct lanes *restrict l)
{
    for (size_t i = 0; i < n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            const float value = x[i + j];
            const int   fine = fabsf(value) < QN_MASKED_FROM;
            const float low = fine ? value : INFINITY, high = fine ? value : -INFINITY;
            l->min[j] = low < l->min[j] ? low : l->min[j];
            l->max[j] = high > l->max[j] ? high : l->max[j];
            l->odd[j] += fine ? 0u : 1u;
        }
    }
}

/* Two loops: compilers vectorize float comparisons and double sums, but not both in one. */
QN_CLONES static void scan_sums(const float *restrict x, size_t n, struct lanes *restrict l)
{
    float clean[LANES];

    for (size_t i = 0; i < n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            const float value = x[i + j];
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

static void classify(const float *x, size_t n, struct qn_scan *out)
{
    for (size_t i = 0; i < n; i++) {
        if (isnan(x[i]))
            out->nan++;
        else if (isinf(x[i]))
            out->inf++;
        else if (!(fabsf(x[i]) < QN_MASKED_FROM))
            out->masked++;
    }
}

/* Empties the counters of a block into *out. */
static void take_counts(struct lanes *lanes, const float *x, size_t n, bool summed, struct qn_scan *out)
{
    uint32_t odd = 0;

    for (int j = 0; j < LANES; j++) {
        odd += lanes->odd[j];
        out->zeros += lanes->zeros[j];
        lanes->odd[j] = lanes->zeros[j] = 0;
    }
    if (odd) classify(x, n, out);
    if (summed) out->summed += n - odd;
}

/* n <= BLOCK values; `rest` of them do not fill all lanes and go through a copy, padded with what changes nothing. */
static void scan_block(const float *x, size_t n, bool summed, struct lanes *lanes, struct qn_scan *out)
{
    const size_t rest = n % LANES, whole = n - rest;

    scan_ends(x, whole, lanes);
    if (summed) scan_sums(x, whole, lanes);
    take_counts(lanes, x, whole, summed, out);
    if (rest) {
        float last[LANES];
        for (size_t j = 0; j < LANES; j++) last[j] = j < rest ? x[whole + j] : NAN;
        scan_ends(last, LANES, lanes);
        if (summed) scan_sums(last, LANES, lanes);
        lanes->odd[0] -= (uint32_t)(LANES - rest);
        take_counts(lanes, last, rest, summed, out);
    }
}

void qn_scan(const float *x, size_t n, size_t every, struct qn_scan *out)
{
    struct lanes lanes;
    size_t       block = 0;

    memset(out, 0, sizeof *out);
    lanes_init(&lanes);
    for (size_t at = 0; at < n; at += BLOCK, block++) {
        const size_t some = n - at < BLOCK ? n - at : BLOCK;
        scan_block(x + at, some, every && block % every == 0, &lanes, out);
    }
    out->min = INFINITY;
    out->max = -INFINITY;
    for (int j = 0; j < LANES; j++) {
        out->min = lanes.min[j] < out->min ? lanes.min[j] : out->min;
        out->max = lanes.max[j] > out->max ? lanes.max[j] : out->max;
        out->sum += lanes.sum[j];
        out->sum2 += lanes.sum2[j];
    }
    out->min += 0.0f; /* -0 to +0: which of the two came first must not show */
    out->max += 0.0f;
}
