/* SPDX-License-Identifier: Apache-2.0
 * How much noise given parameters add to a tensor of which only statistics are left. */
#include <math.h>

#include "quant/moments.h"

/* Rounding noise of the textbook, and of clipping the one thing that is known: the two extremes. */
static double model_noise(const struct qn_stats *stats, struct qn_range useful, double scale, double bottom, double top)
{
    const double ordinary = (double)qn_stats_ordinary(stats), summed = (double)stats->summed;
    const double clipped_low = fmax(bottom * scale - fmax(stats->min, useful.min), 0);
    const double clipped_high = fmax(fmin(stats->max, useful.max) - top * scale, 0);

    return (summed - (double)stats->zeros) / summed * scale * scale / 12 +
           (clipped_low * clipped_low + clipped_high * clipped_high) / ordinary;
}

static double square(double x) { return x * x; }

struct qn_error_sums qn_stats_noise(const struct qn_stats *stats, const struct qn_qparams *qp, struct qn_range useful)
{
    const double         summed = (double)stats->summed, scale = qp->scale[0];
    const double         bottom = (double)qp->lo - qp->zero_point[0], top = (double)qp->hi - qp->zero_point[0];
    struct qn_error_sums sums;
    struct qn_moments    m;

    if (!(summed > 0)) return (struct qn_error_sums){ 0, 0 };
    sums = (struct qn_error_sums){ qn_exact_sum_value(&stats->sum2) / summed, 0 };
    if (!stats->histogram || !qn_histogram_total(stats->histogram)) {
        sums.noise = model_noise(stats, useful, scale, bottom, top);
        return sums;
    }
    qn_moments_init(&m, stats, useful);
    sums.noise = qn_moments_noise(&m, scale, bottom, top);
    /* What lies outside is as good as the nearest value inside. */
    if (m.beneath > 0 || m.beyond > 0)
        sums.signal = (qn_moments_all(&m).sum2 + (m.beneath > 0 ? m.beneath * square(useful.min) : 0) +
                       (m.beyond > 0 ? m.beyond * square(useful.max) : 0)) /
                      m.total;
    return sums;
}
