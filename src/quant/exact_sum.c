/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/exact_sum.h"

#include <math.h>
#include <string.h>

enum { DIGIT_BITS = 32, LOWEST = -1088, SPECIAL_INF = 1, SPECIAL_NEG_INF = 2, SPECIAL_NAN = 4 };
/* An addition changes a digit by less than 2^33, so this many keep it within 63 bits. */
enum { MAX_PENDING = 1 << 28 };

static const int64_t digit_mask = INT64_C(0xffffffff);

void qn_exact_sum_normalize(struct qn_exact_sum *sum)
{
    int64_t carry = 0;

    for (int i = 0; i < QN_EXACT_DIGITS - 1; i++) {
        const int64_t value = sum->digit[i] + carry, low = value & digit_mask;
        carry = (value - low) / (digit_mask + 1);
        sum->digit[i] = low;
    }
    sum->digit[QN_EXACT_DIGITS - 1] += carry;
    sum->pending = 0;
}

void qn_exact_sum_add(struct qn_exact_sum *sum, double value)
{
    uint64_t bits, mantissa, low, high;
    int      exponent, place, shift;
    int64_t *digit, sign;

    memcpy(&bits, &value, sizeof bits);
    exponent = (int)(bits >> 52 & 0x7ff);
    mantissa = bits & ((UINT64_C(1) << 52) - 1);
    if (exponent == 0x7ff) {
        sum->special |= mantissa ? SPECIAL_NAN : bits >> 63 ? SPECIAL_NEG_INF : SPECIAL_INF;
        return;
    }
    if (exponent)
        mantissa |= UINT64_C(1) << 52;
    else
        exponent = 1;
    if (!mantissa) return;

    place = exponent - 1075 - LOWEST;
    shift = place % DIGIT_BITS;
    digit = &sum->digit[place / DIGIT_BITS];
    low = (mantissa & (uint64_t)digit_mask) << shift;
    high = mantissa >> DIGIT_BITS << shift;
    sign = bits >> 63 ? -1 : 1;
    digit[0] += sign * (int64_t)(low & (uint64_t)digit_mask);
    digit[1] += sign * (int64_t)((low >> DIGIT_BITS) + (high & (uint64_t)digit_mask));
    digit[2] += sign * (int64_t)(high >> DIGIT_BITS);
    if (++sum->pending >= MAX_PENDING) qn_exact_sum_normalize(sum);
}

void qn_exact_sum_merge(struct qn_exact_sum *sum, const struct qn_exact_sum *other)
{
    struct qn_exact_sum copy = *other;

    qn_exact_sum_normalize(&copy);
    qn_exact_sum_normalize(sum);
    for (int i = 0; i < QN_EXACT_DIGITS; i++) sum->digit[i] += copy.digit[i];
    sum->special |= copy.special;
    qn_exact_sum_normalize(sum);
}

static double special_value(uint32_t special)
{
    if (special == SPECIAL_INF) return INFINITY;
    return special == SPECIAL_NEG_INF ? -INFINITY : NAN;
}

double qn_exact_sum_value(const struct qn_exact_sum *sum)
{
    struct qn_exact_sum copy = *sum;
    uint64_t            top, below;
    bool                negative;
    int                 last = QN_EXACT_DIGITS - 1, zeros;
    double              value;

    if (sum->special) return special_value(sum->special);
    qn_exact_sum_normalize(&copy);
    negative = copy.digit[last] < 0;
    if (negative) {
        for (int i = 0; i < QN_EXACT_DIGITS; i++) copy.digit[i] = -copy.digit[i];
        qn_exact_sum_normalize(&copy);
    }
    while (last > 1 && !copy.digit[last]) last--;

    /* The 64 leading bits, the lowest of them set when anything follows: the conversion to double then rounds once. */
    top = (uint64_t)copy.digit[last] << DIGIT_BITS | (uint64_t)copy.digit[last - 1];
    if (!top) return 0;
    zeros = __builtin_clzll(top);
    below = last >= 2 ? (uint64_t)copy.digit[last - 2] : 0;
    if (zeros && zeros < DIGIT_BITS) {
        top = top << zeros | below >> (DIGIT_BITS - zeros);
        below = below << zeros & (uint64_t)digit_mask;
    } else {
        top <<= zeros; /* 32 or more only when nothing lies below */
    }
    for (int i = last - 3; i >= 0 && !below; i--) below = (uint64_t)copy.digit[i];
    if (below) top |= 1;
    value = ldexp((double)top, (last - 1) * DIGIT_BITS + LOWEST - zeros);
    return negative ? -value : value;
}
