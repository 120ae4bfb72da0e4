/* SPDX-License-Identifier: Apache-2.0
 * A histogram whose bins depend on nothing but the set of values seen: widths are powers of two, and when a value does
 * not fit, the range doubles and neighbouring bins are added. So it comes out the same in any order of values, samples,
 * threads or machines, and merging is exact.
 *
 * With exponent e every value has |x| < 2^e, e being the smallest such. Values on one side of zero only: 4,096 bins
 * of width 2^(e-12) from zero outwards; on both sides: 2,048 each, of width 2^(e-11). A bin holds its end nearer to
 * zero. Zeros are counted apart. */
#ifndef QN_QUANT_HISTOGRAM_H
#define QN_QUANT_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { QN_HISTOGRAM_BINS = 4096, QN_HISTOGRAM_MIN_EXPONENT = -62 };
enum { QN_SIDE_NEGATIVE = 1, QN_SIDE_POSITIVE = 2 };

struct qn_histogram {
    int      exponent;
    unsigned sides; /* which of QN_SIDE_… were seen; 0 at first */
    uint64_t zeros;
    uint64_t bins[QN_HISTOGRAM_BINS]; /* in order of value */
};

void qn_histogram_init(struct qn_histogram *h);
/* Makes room for values from min to max, as if they had been seen. Both finite. */
void qn_histogram_cover(struct qn_histogram *h, float min, float max);
/* Counts n values, or one of each 2^shift neighbours in place of all of them. Which one differs from group to group, so
 * that no period in the data (channels, columns) is seen in one phase only, but depends on nothing but its place. They
 * must lie in the covered range; NaN, infinite and masked values are left out. */
void qn_histogram_add(struct qn_histogram *h, const float *x, size_t n, unsigned shift);
void qn_histogram_merge(struct qn_histogram *h, const struct qn_histogram *other);

double   qn_histogram_width(const struct qn_histogram *h);
/* Lower end of bin i, 0 … QN_HISTOGRAM_BINS (the last one is the upper end of all). */
double   qn_histogram_edge(const struct qn_histogram *h, size_t i);
/* Values counted, zeros included. */
uint64_t qn_histogram_total(const struct qn_histogram *h);

#endif
