/* SPDX-License-Identifier: Apache-2.0
 * A tensor's histogram as cumulative sums: how many values lie below any point, their sum and the sum of their squares,
 * each in a few operations. A bin's values count as spread evenly between its edges. What a quantizer makes of the
 * tensor follows at the price of one look-up a code, whatever the number of bins. */
#ifndef QN_QUANT_MOMENTS_H
#define QN_QUANT_MOMENTS_H

#include "quant/observe.h"

struct qn_moment {
    double count, sum, sum2;
};

struct qn_moments {
    double           low, high; /* all values but zeros lie between these; low > high: there are none */
    double           total;     /* values counted, with zeros and those outside of what is useful: */
    double           beneath, beyond;
    struct qn_range  useful;
    double           width, inverse;               /* of a bin, a power of two; 1 / width */
    int              first;                        /* bin i starts at (first + i) * width */
    struct qn_moment below[QN_HISTOGRAM_BINS + 1]; /* of the values in the bins before i, zeros left out */
};

/* The statistics need a histogram. Values outside `useful` are as good as its nearer end: they are left out of the sums
 * and only counted. */
void qn_moments_init(struct qn_moments *m, const struct qn_stats *stats, struct qn_range useful);

struct qn_moment qn_moments_all(const struct qn_moments *m);
struct qn_moment qn_moments_below(const struct qn_moments *m, double x);
/* The point that `count` values lie below: where there are no values about it the first such point or the last. */
double           qn_moments_first(const struct qn_moments *m, double count);
double           qn_moments_last(const struct qn_moments *m, double count);

/* Mean squared error of a value when each goes to the nearest of the points k * scale, k from bottom to top. */
double qn_moments_noise(const struct qn_moments *m, double scale, double bottom, double top);
/* The same where only less than `limit` is of interest; else any value that is not less. */
double qn_moments_noise_below(const struct qn_moments *m, double scale, double bottom, double top, double limit);

#endif
