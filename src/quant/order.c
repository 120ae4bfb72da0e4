/* SPDX-License-Identifier: Apache-2.0
 * Percentiles near 100 ask for one of the few largest values: those are kept in a short list while scanning, and most
 * blocks hold nothing larger than its last. Other ranks are found by radix. */
#include "quant/order.h"

#include <math.h>
#include <string.h>

#include "quant/kernels.h"
#include "quant/simd.h"

/* ---- few from the end ---- */

enum { FEW = 128, BLOCK = 256 };
enum side { LARGEST, SMALLEST, LARGEST_MAGNITUDE };

struct few {
    enum side side;
    size_t    count;
    float     values[FEW]; /* the largest so far, ascending; of the negatives for SMALLEST */
};

/* Does a block hold an ordinary value above the threshold? */
QN_CLONES static bool any_above(const float *x, size_t n, float threshold)
{
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) found |= (x[i] > threshold) & (x[i] < QN_MASKED_FROM);
    return found;
}

QN_CLONES static bool any_below(const float *x, size_t n, float threshold)
{
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) found |= (x[i] < threshold) & (x[i] > -QN_MASKED_FROM);
    return found;
}

QN_CLONES static bool any_beyond(const float *x, size_t n, float threshold)
{
    uint32_t found = 0;
    for (size_t i = 0; i < n; i++) found |= (fabsf(x[i]) > threshold) & (fabsf(x[i]) < QN_MASKED_FROM);
    return found;
}

static void insert(struct few *few, float value)
{
    size_t at = 0;

    if (!(value > few->values[0] && fabsf(value) < QN_MASKED_FROM)) return;
    for (; at + 1 < few->count && few->values[at + 1] < value; at++) few->values[at] = few->values[at + 1];
    few->values[at] = value;
}

static void insert_run(struct few *few, const float *x, size_t n)
{
    for (size_t at = 0, some; at < n; at += some) {
        const float *block = x + at, last = few->values[0];
        some = n - at < BLOCK ? n - at : BLOCK;
        if (few->side == LARGEST && !any_above(block, some, last)) continue;
        if (few->side == SMALLEST && !any_below(block, some, -last)) continue;
        if (few->side == LARGEST_MAGNITUDE && !any_beyond(block, some, last)) continue;
        for (size_t i = 0; i < some; i++)
            insert(few, few->side == LARGEST ? block[i] : few->side == SMALLEST ? -block[i] : fabsf(block[i]));
    }
}

/* The count-th from that side, at most FEW. */
static float find_few(const float *x, struct qn_layout layout, size_t channel, enum side side, uint64_t count)
{
    struct few few = { .side = side, .count = (size_t)count };

    for (size_t i = 0; i < few.count; i++) few.values[i] = -INFINITY;
    for (size_t o = 0; o < layout.outer; o++)
        insert_run(&few, x + (o * layout.channels + channel) * layout.inner, layout.inner);
    return (side == SMALLEST ? -few.values[0] : few.values[0]) + 0.0f; /* -0 to 0 */
}

/* ---- any rank: floats become integers in the same order, and each pass fixes the next digit of the one wanted ---- */

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

static float find_any(const float *x, struct qn_layout layout, size_t channel, bool magnitude, uint64_t k)
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

float qn_order_statistic(const float *x, struct qn_layout layout, size_t channel, bool magnitude, uint64_t k,
                         uint64_t n)
{
    if (n - k < FEW) return find_few(x, layout, channel, magnitude ? LARGEST_MAGNITUDE : LARGEST, n - k + 1);
    if (k <= FEW && !magnitude) return find_few(x, layout, channel, SMALLEST, k);
    return find_any(x, layout, channel, magnitude, k);
}
