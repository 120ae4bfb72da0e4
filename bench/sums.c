/* SPDX-License-Identifier: Apache-2.0
 * For saturation.py: products of matrices of 8-bit codes, exactly, and how many sums of two neighbouring products do not
 * fit 16 bits. cc -O3 -march=native -shared -fPIC */
#include <stdint.h>
#include <string.h>

/* x [rows][k] by w [k][columns], k even; sums, and what is made of them where those of two are cut off: [rows][columns]. */
int64_t pair_sums(const uint8_t *x, const int16_t *w, int64_t rows, int64_t k, int64_t columns, int32_t *sums,
                  int32_t *cut)
{
    int64_t saturated = 0;

    for (int64_t r = 0; r < rows; r++) {
        int32_t *restrict to = sums + r * columns, *restrict other = cut + r * columns;
        memset(to, 0, (size_t)columns * sizeof *to);
        memset(other, 0, (size_t)columns * sizeof *other);
        for (int64_t i = 0; i < k; i += 2) {
            const int32_t  a = x[r * k + i], b = x[r * k + i + 1];
            const int16_t *one = w + i * columns, *two = one + columns;
            int32_t        over = 0;
            if (!a && !b) continue;
            for (int64_t c = 0; c < columns; c++) {
                const int32_t sum = a * one[c] + b * two[c], low = sum > INT16_MAX ? INT16_MAX : sum,
                              fits = low < INT16_MIN ? INT16_MIN : low;
                to[c] += sum;
                other[c] += fits;
                over += sum != fits;
            }
            saturated += over;
        }
    }
    return saturated;
}
