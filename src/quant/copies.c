/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/copies.h"

#include <math.h>

/* Copies beyond the first that all channels need to stay within the limit; more than the budget counts as one more. */
static size_t needed(const float *absmax, size_t n, double limit, size_t budget, uint32_t *copies)
{
    size_t more = 0;

    for (size_t i = 0; i < n; i++) {
        const double wanted = limit > 0 ? ceil((double)absmax[i] / limit) : 1;
        if (wanted > (double)(budget - more) + 1) return budget + 1;
        copies[i] = wanted > 1 ? (uint32_t)wanted : 1;
        more += copies[i] - 1;
    }
    return more;
}

float qn_copies_choose(const float *absmax, size_t n, size_t budget, uint32_t *copies)
{
    double low = 0, high = 0;
    float  largest = 0;

    for (size_t i = 0; i < n; i++) high = fmax(high, (double)absmax[i]);
    if (budget > UINT32_MAX / 2) budget = UINT32_MAX / 2;
    for (int round = 0; round < 40; round++) {
        const double middle = (low + high) / 2;
        *(needed(absmax, n, middle, budget, copies) <= budget && middle > 0 ? &high : &low) = middle;
    }
    (void)needed(absmax, n, high, budget, copies);
    for (size_t i = 0; i < n; i++) largest = fmaxf(largest, absmax[i] / (float)copies[i]);
    return largest;
}
