/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/histogram.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "quant/kernels.h"
#include "quant/simd.h"

enum { BINS = QN_HISTOGRAM_BINS, HALF = BINS / 2, BOTH = QN_SIDE_NEGATIVE | QN_SIDE_POSITIVE };
/* Where the k-th bin from zero lies: at from_zero + k for positive values, below_zero - k for negative ones. */
struct bin_map {
    int from_zero, below_zero;
};
/* Slots behind the bins, so that sorting values into bins needs no branch. */
enum { ZERO_SLOT = BINS, REST_SLOT, SLOTS };
/* Consecutive values often share a bin; separate tables keep an increment from waiting for the one before. */
enum { TABLES = 2, CHUNK = 512, MANY = 8192 };

static struct bin_map map_of(unsigned sides)
{
    return sides == BOTH ? (struct bin_map){ HALF, HALF - 1 } : (struct bin_map){ 0, BINS - 1 };
}

static int width_exponent(int exponent, unsigned sides) { return exponent - (sides == BOTH ? 11 : 12); }

void qn_histogram_init(struct qn_histogram *h)
{
    memset(h, 0, sizeof *h);
    h->exponent = QN_HISTOGRAM_MIN_EXPONENT;
}

/* Moves every bin to where it belongs for the new exponent and sides; both only grow, so bins only merge. */
static void widen(struct qn_histogram *h, int exponent, unsigned sides)
{
    const struct bin_map from = map_of(h->sides), to = map_of(sides);
    const int            shift = width_exponent(exponent, sides) - width_exponent(h->exponent, h->sides);
    const int            count = h->sides == BOTH ? HALF : BINS;
    uint64_t             old[BINS];

    if (exponent == h->exponent && sides == h->sides) return;
    if (h->sides) {
        memcpy(old, h->bins, sizeof old);
        memset(h->bins, 0, sizeof h->bins);
        for (int k = 0; k < count; k++) {
            const int moved = shift > 12 ? 0 : k >> shift;
            if (h->sides & QN_SIDE_POSITIVE) h->bins[to.from_zero + moved] += old[from.from_zero + k];
            if (h->sides & QN_SIDE_NEGATIVE) h->bins[to.below_zero - moved] += old[from.below_zero - k];
        }
    }
    h->exponent = exponent;
    h->sides = sides;
}

static int exponent_of(float value)
{
    int exponent = 0;

    if (value == 0) return QN_HISTOGRAM_MIN_EXPONENT;
    (void)frexpf(value, &exponent);
    return exponent > QN_HISTOGRAM_MIN_EXPONENT ? exponent : QN_HISTOGRAM_MIN_EXPONENT;
}

void qn_histogram_cover(struct qn_histogram *h, float min, float max)
{
    const int low = exponent_of(min), high = exponent_of(max);
    int       exponent = low > high ? low : high;
    unsigned  sides = h->sides;

    if (min < 0) sides |= QN_SIDE_NEGATIVE;
    if (max > 0) sides |= QN_SIDE_POSITIVE;
    if (exponent < h->exponent) exponent = h->exponent;
    widen(h, exponent, sides);
}

/* slot[i] for n <= CHUNK values. Scaling by a power of two is exact, or underflows to bin 0, where it belongs. */
QN_CLONES static void find_slots(const float *x, size_t n, float inverse, int from_zero, int below_zero, int32_t *slot)
{
    for (size_t i = 0; i < n; i++) {
        const float   value = x[i], magnitude = fabsf(value);
        const float   scaled = magnitude < QN_MASKED_FROM ? magnitude * inverse : 0.0f;
        const float   kept = scaled < (float)(BINS - 1) ? scaled : (float)(BINS - 1);
        const int32_t k = (int32_t)kept;
        int32_t       s = value < 0 ? below_zero - k : from_zero + k;
        s = magnitude > 0 ? s : ZERO_SLOT;
        slot[i] = magnitude < QN_MASKED_FROM ? s : REST_SLOT;
    }
}

/* The values that stand for groups first … first + n - 1 of 2^shift neighbours each; n <= CHUNK. */
static const float *pick(const float *x, size_t count, size_t first, size_t n, unsigned shift, float *picked)
{
    if (!shift) return x + first;
    for (size_t i = 0; i < n; i++) {
        uint32_t mixed = (uint32_t)(first + i) * UINT32_C(2654435769); /* as good as random */
        size_t   at;
        mixed = (mixed ^ mixed >> 15) * UINT32_C(2246822519);
        at = ((first + i) << shift) + ((mixed ^ mixed >> 13) >> (32 - shift));
        picked[i] = x[at < count ? at : count - 1];
    }
    return picked;
}

struct filler {
    struct qn_histogram *h;
    const float         *x;
    size_t               count; /* of values */
    unsigned             shift;
    float                inverse;
    struct bin_map       map;
};

static void slots_of(const struct filler *f, size_t first, size_t n, int32_t *slot)
{
    float picked[CHUNK];
    find_slots(pick(f->x, f->count, first, n, f->shift, picked), n, f->inverse, f->map.from_zero, f->map.below_zero,
               slot);
}

static void add_few(const struct filler *f, size_t first, size_t n)
{
    const uint64_t weight = UINT64_C(1) << f->shift;
    int32_t        slot[CHUNK];

    slots_of(f, first, n, slot);
    for (size_t i = 0; i < n; i++) {
        if (slot[i] < BINS)
            f->h->bins[slot[i]] += weight;
        else if (slot[i] == ZERO_SLOT)
            f->h->zeros += weight;
    }
}

static void add_many(const struct filler *f, size_t first, size_t n)
{
    uint32_t table[TABLES][SLOTS];
    int32_t  slot[CHUNK];

    memset(table, 0, sizeof table);
    for (size_t done = 0; done < n; done += CHUNK) {
        const size_t some = n - done < CHUNK ? n - done : CHUNK;
        size_t       i = 0;
        slots_of(f, first + done, some, slot);
        for (; i + TABLES <= some; i += TABLES) {
            table[0][slot[i]]++;
            table[1][slot[i + 1]]++;
        }
        for (; i < some; i++) table[0][slot[i]]++;
    }
    for (int t = 0; t < TABLES; t++) {
        for (int i = 0; i < BINS; i++) f->h->bins[i] += (uint64_t)table[t][i] << f->shift;
        f->h->zeros += (uint64_t)table[t][ZERO_SLOT] << f->shift;
    }
}

void qn_histogram_add(struct qn_histogram *h, const float *x, size_t n, unsigned shift)
{
    const struct filler f = { h, x, n, shift, ldexpf(1, -width_exponent(h->exponent, h->sides)), map_of(h->sides) };
    const size_t        block = (size_t)1 << 30; /* so that 32-bit counters suffice */
    const size_t        groups = (n >> shift) + ((n & (((size_t)1 << shift) - 1)) != 0);
    size_t              done = 0;

    while (groups - done >= MANY) {
        const size_t some = groups - done < block ? groups - done : block;
        add_many(&f, done, some);
        done += some;
    }
    for (size_t some; done < groups; done += some) {
        some = groups - done < CHUNK ? groups - done : CHUNK;
        add_few(&f, done, some);
    }
}

void qn_histogram_merge(struct qn_histogram *h, const struct qn_histogram *other)
{
    struct qn_histogram copy = *other;
    const int           exponent = h->exponent > other->exponent ? h->exponent : other->exponent;
    const unsigned      sides = h->sides | other->sides;

    widen(h, exponent, sides);
    widen(&copy, exponent, sides);
    h->zeros += copy.zeros;
    for (int i = 0; i < BINS; i++) h->bins[i] += copy.bins[i];
}

double qn_histogram_width(const struct qn_histogram *h) { return ldexp(1, width_exponent(h->exponent, h->sides)); }

double qn_histogram_edge(const struct qn_histogram *h, size_t i)
{
    const int first = h->sides == BOTH ? -HALF : h->sides == QN_SIDE_NEGATIVE ? -BINS : 0;
    return ldexp((double)i + first, width_exponent(h->exponent, h->sides));
}

uint64_t qn_histogram_total(const struct qn_histogram *h)
{
    uint64_t total = h->zeros;
    for (int i = 0; i < BINS; i++) total += h->bins[i];
    return total;
}
