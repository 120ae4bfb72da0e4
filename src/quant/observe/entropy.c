/* SPDX-License-Identifier: Apache-2.0
 * The range after whose quantization the histogram tells most of what it told before: of all windows |x| <= t that end on
 * a bin's edge and have a bin for each code at least, the one with the least Kullback-Leibler divergence between the
 * values clipped to it and the values spread evenly over the bins of each code.
 *
 * With N values, M of them inside the window, the divergence is
 *     (sum c log c - sum c log q) / N - log N + log M
 * over the bins' counts c, those clipped added to the outermost bins, q being the mean of a code's bins that are not
 * empty. Cumulative sums make that one step a code. Zeros are exact and do not take part. */
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
static double divergence(const struct qn_histogram *h, const struct sums *s, int from, int to, int codes)
{
    const double beneath = s->count[from], beyond = s->count[BINS] - s->count[to];
    const double inside = s->count[to] - s->count[from], first = (double)h->bins[from], last = (double)h->bins[to - 1];
    double       sum = s->information[to] - s->information[from];

    if (!(inside > 0)) return INFINITY;
    sum += information(first + beneath) - information(first) + information(last + beyond) - information(last);
    for (int k = 0, start = from; k < codes; k++) {
        const int    end = from + (int)((int64_t)(to - from) * (k + 1) / codes);
        const double count = s->count[end] - s->count[start];
        const double clipped = (k == 0 ? beneath : 0) + (k == codes - 1 ? beyond : 0);
        int          filled = s->filled[end] - s->filled[start];

        if (k == 0 && beneath > 0 && !(first > 0)) filled++;
        if (k == codes - 1 && beyond > 0 && !(last > 0)) filled++;
        start = end;
        if (!(count + clipped > 0)) continue;
        if (!(count > 0)) return INFINITY; /* values where the quantized histogram has none */
        sum -= (count + clipped) * log(count / filled);
    }
    return sum / s->count[BINS] - log(s->count[BINS]) + log(inside);
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
        found = divergence(h, &sums, from, to, (int)codes);
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
