/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/fixed_sum.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { LIMBS = 4, LOWEST = -112 };
#define LARGEST 0x1p78

/* a + b + *carry; what goes over is the next limb's carry. */
static inline uint64_t add_limb(uint64_t a, uint64_t b, uint64_t *carry)
{
    const uint64_t once = a + b, twice = once + *carry;

    *carry = (uint64_t)(once < a) + (uint64_t)(twice < once);
    return twice;
}

/* Adds the number or, in two's complement, takes it away. Without branches, for those would be guessed wrong. */
static inline void add_signed(struct qn_fixed_sum *sum, const uint64_t *magnitude, bool negative)
{
    const uint64_t flip = 0 - (uint64_t)negative;
    uint64_t       carry = negative;

    for (int i = 0; i < LIMBS; i++) sum->limb[i] = add_limb(sum->limb[i], magnitude[i] ^ flip, &carry);
}

void qn_fixed_sum_merge(struct qn_fixed_sum *sum, const struct qn_fixed_sum *other)
{
    add_signed(sum, other->limb, false);
}

void qn_fixed_sum_add(struct qn_fixed_sum *sum, double value)
{
    const uint64_t flip = 0 - (uint64_t)(value < 0);
    uint64_t       bits, mantissa, low, high, carry = value < 0;
    int            shift, at;

    if (!(fabs(value) > 0x1p-112)) return; /* subnormal numbers and NaN too */
    if (!(fabs(value) < LARGEST)) value = value < 0 ? -LARGEST : LARGEST;
    memcpy(&bits, &value, sizeof bits);
    mantissa = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    shift = (int)(bits >> 52 & 0x7ff) - 1075 - LOWEST;
    at = shift < 0 ? 0 : shift / 64;
    low = shift < 0 ? mantissa >> -shift : mantissa << shift % 64;
    high = shift < 0 ? 0 : mantissa >> 1 >> (63 - shift % 64);
    sum->limb[at] = add_limb(sum->limb[at], low ^ flip, &carry);
    sum->limb[at + 1] = add_limb(sum->limb[at + 1], high ^ flip, &carry);
    for (int i = at + 2; i < LIMBS && flip + carry; i++) sum->limb[i] = add_limb(sum->limb[i], flip, &carry);
}

double qn_fixed_sum_value(const struct qn_fixed_sum *sum)
{
    struct qn_fixed_sum magnitude = { { 0 } };
    const bool          negative = sum->limb[LIMBS - 1] >> 63;
    double              value = 0;

    add_signed(&magnitude, sum->limb, negative);
    for (int i = LIMBS; i-- > 0;) value = value * 0x1p64 + (double)magnitude.limb[i];
    value = ldexp(value, LOWEST);
    return negative ? -value : value;
}
