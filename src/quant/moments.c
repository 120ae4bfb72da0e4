/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/moments.h"

#include <math.h>

enum { BINS = QN_HISTOGRAM_BINS };

static struct qn_moment less(struct qn_moment a, struct qn_moment b)
{
    return (struct qn_moment){ a.count - b.count, a.sum - b.sum, a.sum2 - b.sum2 };
}

static struct qn_moment more(struct qn_moment a, struct qn_moment b)
{
    return (struct qn_moment){ a.count + b.count, a.sum + b.sum, a.sum2 + b.sum2 };
}

/* Of `count` values spread evenly from a to b. */
static struct qn_moment spread(double count, double a, double b)
{
    return (struct qn_moment){ count, count * (a + b) / 2, count * (a * a + a * b + b * b) / 3 };
}

/* Where the values of bin i lie: the outermost bins are not filled to their edges. */
static double bin_low(const struct qn_moments *m, size_t i) { return fmax((m->first + (double)i) * m->width, m->low); }

static double bin_high(const struct qn_moments *m, size_t i)
{
    return fmin((m->first + (double)i + 1) * m->width, m->high);
}

/* The share of bin i's values that lie within low … high. */
static double share(const struct qn_moments *m, const struct qn_stats *stats, size_t i)
{
    const double from = fmax((m->first + (double)i) * m->width, stats->min);
    const double to = fmin((m->first + (double)i + 1) * m->width, stats->max);
    const double low = fmax(from, m->low), high = fmin(to, m->high);

    if (!(low <= high)) return 0;
    return to > from ? (high - low) / (to - from) : 1;
}

void qn_moments_init(struct qn_moments *m, const struct qn_stats *stats, struct qn_range useful)
{
    const struct qn_histogram *h = stats->histogram;
    struct qn_moment           sum = { 0 };

    m->width = qn_histogram_width(h);
    m->inverse = 1 / m->width;
    m->first = (int)(qn_histogram_edge(h, 0) / m->width);
    m->total = (double)qn_histogram_total(h);
    m->low = fmax(stats->min, useful.min);
    m->high = fmin(stats->max, useful.max);
    m->beneath = m->beyond = 0;
    m->useful = useful;
    for (size_t i = 0; i < BINS; i++) {
        const double count = (double)h->bins[i], inside = count > 0 ? count * share(m, stats, i) : 0;
        m->below[i] = sum;
        if (!(count > 0)) continue;
        *(qn_histogram_edge(h, i) < useful.min ? &m->beneath : &m->beyond) += count - inside;
        if (inside > 0) sum = more(sum, spread(inside, bin_low(m, i), bin_high(m, i)));
    }
    m->below[BINS] = sum;
    if (!(sum.count > 0)) {
        m->low = INFINITY;
        m->high = -INFINITY;
    }
}

struct qn_moment qn_moments_all(const struct qn_moments *m) { return m->below[BINS]; }

/* As fmin and fmax, which are calls, for what is no NaN. */
static double smaller(double a, double b) { return a < b ? a : b; }
static double larger(double a, double b) { return a > b ? a : b; }

struct qn_moment qn_moments_below(const struct qn_moments *m, double x)
{
    const double place = x * m->inverse - m->first;
    size_t       i;
    double       low, high;

    if (!(place >= 0)) return m->below[0];
    if (place >= BINS) return m->below[BINS];
    i = (size_t)place;
    low = larger((m->first + (double)i) * m->width, m->low);
    high = smaller((m->first + (double)i + 1) * m->width, m->high);
    if (!(x > low)) return m->below[i];
    if (!(x < high)) return m->below[i + 1];
    return more(m->below[i], spread((m->below[i + 1].count - m->below[i].count) * (x - low) / (high - low), low, x));
}

/* Inside of bin i. */
static double where(const struct qn_moments *m, size_t i, double count)
{
    const double inside = (count - m->below[i].count) / (m->below[i + 1].count - m->below[i].count);
    return bin_low(m, i) + inside * (bin_high(m, i) - bin_low(m, i));
}

double qn_moments_first(const struct qn_moments *m, double count)
{
    size_t from = 0, to = BINS; /* below[from] < count <= below[to] */

    if (!(count > 0)) return m->low;
    if (!(count < m->below[BINS].count)) return m->high;
    while (to - from > 1) {
        const size_t middle = from + (to - from) / 2;
        *(m->below[middle].count < count ? &from : &to) = middle;
    }
    return where(m, from, count);
}

double qn_moments_last(const struct qn_moments *m, double count)
{
    size_t from = 0, to = BINS; /* below[from] <= count < below[to] */

    if (!(count > 0)) return m->low;
    if (!(count < m->below[BINS].count)) return m->high;
    while (to - from > 1) {
        const size_t middle = from + (to - from) / 2;
        *(m->below[middle].count <= count ? &from : &to) = middle;
    }
    return where(m, from, count);
}

/* Sum of the squared distances to a point. */
static double distance(struct qn_moment of, double point)
{
    return larger(of.sum2 - 2 * point * of.sum + point * point * of.count, 0);
}

/* Codes finer than bins: rounding errors are even. */
static double fine_noise(const struct qn_moments *m, double scale, double bottom, double top)
{
    const struct qn_moment beneath = qn_moments_below(m, bottom * scale), within = qn_moments_below(m, top * scale);

    return distance(beneath, bottom * scale) + distance(less(qn_moments_all(m), within), top * scale) +
           less(within, beneath).count * scale * scale / 12;
}

/* Of the values outside of what is useful: none, unless they are clipped to something inside. */
static double outer_noise(const struct qn_moments *m, double bottom, double top)
{
    const double low = fmax(bottom - m->useful.min, 0), high = fmax(m->useful.max - top, 0);
    return (m->beneath > 0 ? m->beneath * low * low : 0) + (m->beyond > 0 ? m->beyond * high * high : 0);
}

double qn_moments_noise(const struct qn_moments *m, double scale, double bottom, double top)
{
    return qn_moments_noise_below(m, scale, bottom, top, INFINITY);
}

double qn_moments_noise_below(const struct qn_moments *m, double scale, double bottom, double top, double limit)
{
    const double first = fmin(fmax(rint(m->low / scale), bottom), top), last = fmin(fmax(rint(m->high / scale), bottom), top), most = limit * m->total;
    struct qn_moment before = { 0 }, upto;
    double           sum = outer_noise(m, bottom * scale, top * scale);

    if (!(m->low <= m->high)) return sum / m->total;
    if (last - first > 2 * BINS) return (sum + fine_noise(m, scale, bottom, top)) / m->total;
    upto = qn_moments_below(m, (last - 0.5) * scale);
    if (last > first) sum += distance(less(qn_moments_all(m), upto), last * scale); /* what is cut off tells most */
    for (double k = first; k < last && sum <= most; k++) {
        upto = qn_moments_below(m, (k + 0.5) * scale);
        sum += distance(less(upto, before), k * scale);
        before = upto;
    }
    if (last <= first) sum += distance(qn_moments_all(m), last * scale);
    return sum / m->total;
}
