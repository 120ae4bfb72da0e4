/* SPDX-License-Identifier: Apache-2.0
 * How much noise given parameters add to a tensor of which only statistics are left. */
#include <math.h>

#include "quant/observe.h"

/* A uniform quantizer with step 1 between the values bottom and top, in steps. */
struct grid {
    double bottom, top;
};

/* Integral of the squared rounding error from 0 to t: 1/12 for each whole step, a cubic for the rest. */
static double rounding_integral(double t)
{
    const double whole = rint(t), rest = t - whole;
    return whole / 12 + rest * rest * rest / 3;
}

static double cube(double x) { return x * x * x; }

/* Mean squared error, in steps, of values spread evenly from a to b; the value at a when they coincide. */
static double mean_error(struct grid grid, double a, double b)
{
    double total = 0;

    if (!(b > a)) {
        const double code = fmin(fmax(rint(a), grid.bottom), grid.top);
        return (a - code) * (a - code);
    }
    /* Between the outermost codes the error is a saw-tooth; beyond them it is the distance. */
    if (a < grid.bottom) total += (cube(fmin(b, grid.bottom) - grid.bottom) - cube(a - grid.bottom)) / 3;
    if (b > grid.top) total += (cube(b - grid.top) - cube(fmax(a, grid.top) - grid.top)) / 3;
    if (b > grid.bottom && a < grid.top)
        total += rounding_integral(fmin(b, grid.top)) - rounding_integral(fmax(a, grid.bottom));
    return total / (b - a);
}

static double histogram_noise(const struct qn_stats *stats, struct grid grid, double scale)
{
    const struct qn_histogram *h = stats->histogram;
    const uint64_t             total = qn_histogram_total(h);
    double                     sum = 0;

    if (!total) return 0;
    for (size_t i = 0; i < QN_HISTOGRAM_BINS; i++) {
        double low, high;
        if (!h->bins[i]) continue;
        low = fmax(qn_histogram_edge(h, i), stats->min);
        high = fmin(qn_histogram_edge(h, i + 1), stats->max);
        sum += (double)h->bins[i] * mean_error(grid, low / scale, high / scale);
    }
    return sum / (double)total;
}

/* Rounding noise of the textbook, and of clipping the one thing that is known: the two extremes. */
static double model_noise(const struct qn_stats *stats, struct grid grid, double scale)
{
    const double ordinary = (double)qn_stats_ordinary(stats), summed = (double)stats->summed;
    const double clipped_low = fmax(grid.bottom - stats->min / scale, 0);
    const double clipped_high = fmax(stats->max / scale - grid.top, 0);

    return (summed - (double)stats->zeros) / summed / 12 +
           (clipped_low * clipped_low + clipped_high * clipped_high) / ordinary;
}

struct qn_error_sums qn_stats_noise(const struct qn_stats *stats, const struct qn_qparams *qp)
{
    const double      summed = (double)stats->summed, scale = qp->scale[0];
    const struct grid grid = { (double)qp->lo - qp->zero_point[0], (double)qp->hi - qp->zero_point[0] };
    double            steps;

    if (!(summed > 0)) return (struct qn_error_sums){ 0, 0 };
    steps = stats->histogram ? histogram_noise(stats, grid, scale) : model_noise(stats, grid, scale);
    return (struct qn_error_sums){ qn_exact_sum_value(&stats->sum2) / summed, steps * scale * scale };
}
