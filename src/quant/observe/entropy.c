/* SPDX-License-Identifier: Apache-2.0
 * The range after whose quantization the histogram tells most of what it told before: of all windows |x| <= t that end on
 * a bin's edge and have a bin for each code at least, the one with the least Kullback-Leibler divergence of the values
 * from what the codes tell of them. A code tells that a value is in one of its bins that are not empty. The window tells of
 * what is outside as much as if one value in all had been seen there: adding it to the outermost bin, as is often done,
 * makes it cost nothing to end at a bin that is full already.
 *
 * With N values, M of them in the window, the divergence is (sum c log c - sum c log q) / N - log N + log (M + 1) over the
 * bins' counts c; q is the mean of the code's bins that are not empty and, outside, one through the number of such bins.
 * Cumulative sums make that one step a code. Zeros are exact and do not take part. */
#include <math.h>

#include "quant/moments.h"

enum { BINS = QN_HISTOGRAM_BINS, HALF = BINS / 2 };

struct sums {
    double count[BINS + 1], information[BINS + 1]; /* of the bins before i: sum of c, and of c log c */
    int    filled[BINS + 1];                       /* and how many are not empty */
};

static double information(double count) { return count > 0 ? count * log(count) : 0; }

static void sum_up(const struct qn_histogram *h, struct sums *sums)
{
    sums->count[0] = sums->information[0] = 0;
    sums->filled[0] = 0;
    for (int i = 0; i < BINS; i++) {
        sums->count[i + 1] = sums->count[i] + (double)h->bins[i];
        sums->information[i + 1] = sums->information[i] + information((double)h->bins[i]);
        sums->filled[i + 1] = sums->filled[i] + (h->bins[i] > 0);
    }
}

/* Of the window of bins from … to - 1. */
static double divergence(const struct sums *s, int from, int to, int codes)
{
    const double all = s->count[BINS], inside = s->count[to] - s->count[from];
    const int    outside = s->filled[BINS] - (s->filled[to] - s->filled[from]);
    double       sum = s->information[BINS];

    for (int k = 0, start = from; k < codes; k++) {
        const int    end = from + (int)((int64_t)(to - from) * (k + 1) / codes);
        const double count = s->count[end] - s->count[start];
        if (count > 0) sum -= count * log(count / (s->filled[end] - s->filled[start]));
        start = end;
    }
    if (all > inside) sum += (all - inside) * log(outside);
    return sum / all - log(all) + log(inside + (all > inside ? 1 : 0));
}

static struct qn_range entropy(const struct qn_stats *stats, const struct qn_observe_goal *goal)
{
    const struct qn_range      extremes = qn_observe_extremes(stats, goal);
    const struct qn_histogram *h = stats->histogram;
    const int64_t              codes = (int64_t)goal->hi - goal->lo + 1;
    int                        first = 0, last = BINS, zero, best_from, best_to;
    double                     least = INFINITY;
    struct sums                sums;

    if (!qn_observe_has_histogram(stats)) return extremes;
    sum_up(h, &sums);
    while (!h->bins[first]) first++;
    while (!h->bins[last - 1]) last--;
    zero = h->sides == QN_SIDE_POSITIVE ? 0 : h->sides == QN_SIDE_NEGATIVE ? BINS : HALF;
    if (first > zero) first = zero;
    if (last < zero) last = zero;
    best_from = first;
    best_to = last;
    for (int reach = zero - first > last - zero ? zero - first : last - zero; reach > 0; reach--) {
        const int from = zero - reach > first ? zero - reach : first, to = zero + reach < last ? zero + reach : last;
        double    found;
        if (to - from < codes) break;
        found = divergence(&sums, from, to, (int)codes);
        if (!(found < least)) continue;
        least = found;
        best_from = from;
        best_to = to;
    }
    return (struct qn_range){ fmaxf((float)qn_histogram_edge(h, (size_t)best_from), extremes.min),
                              fminf((float)qn_histogram_edge(h, (size_t)best_to), extremes.max) };
}

const struct qn_observer qn_observer_entropy = {
    .name = "entropy",
    .summary = "the range that keeps most of the histogram's information, over all thresholds",
    .needs = QN_NEEDS_HISTOGRAM,
    .range = entropy,
};
