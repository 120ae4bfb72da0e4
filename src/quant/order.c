/* SPDX-License-Identifier: Apache-2.0
 * Selection by radix: floats become integers in the same order, and each pass fixes the next digit of the one wanted. */
#include "quant/order.h"

#include <string.h>

#include "quant/kernels.h"

enum { DIGIT_BITS = 11, DIGITS = 3, BUCKETS = 1 << DIGIT_BITS };

/* Where each digit starts; the last one has only 10 bits. */
static const int shifts[DIGITS] = { 21, 10, 0 };

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* Negative floats grow backwards. Without its sign bit a magnitude's pattern is in order as it is. */
static uint32_t key_of(uint32_t bits) { return bits >> 31 ? ~bits : bits | UINT32_C(1) << 31; }

static float value_of(uint32_t key, bool magnitude)
{
    const uint32_t bits = magnitude ? key : key >> 31 ? key & INT32_MAX : ~key;
    float          value;
    memcpy(&value, &bits, sizeof value);
    return value + 0.0f; /* -0 to 0 */
}

struct search {
    bool     magnitude;
    uint32_t masked;  /* pattern of the first magnitude that is no ordinary value */
    int      shift;   /* of this pass' digit */
    uint32_t decided; /* mask of the digits of earlier passes */
    uint32_t key;     /* and what they are */
    uint64_t count[BUCKETS];
};

static void count_run(struct search *search, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = bits_of(x[i]), magnitude = bits & INT32_MAX;
        const uint32_t key = search->magnitude ? magnitude : key_of(bits);
        if (magnitude >= search->masked || (key & search->decided) != search->key) continue;
        search->count[key >> search->shift & (BUCKETS - 1)]++;
    }
}

float qn_order_statistic(const float *x, struct qn_layout layout, size_t channel, bool magnitude, uint64_t k)
{
    struct search search = { .magnitude = magnitude, .masked = bits_of(QN_MASKED_FROM) };

    for (int pass = 0; pass < DIGITS; pass++) {
        uint32_t digit = 0;
        search.shift = shifts[pass];
        search.decided = pass ? UINT32_MAX << shifts[pass - 1] : 0;
        memset(search.count, 0, sizeof search.count);
        for (size_t o = 0; o < layout.outer; o++)
            count_run(&search, x + (o * layout.channels + channel) * layout.inner, layout.inner);
        while (digit < BUCKETS - 1 && k > search.count[digit]) k -= search.count[digit++];
        search.key |= digit << search.shift;
    }
    return value_of(search.key, magnitude);
}
