/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/given.h"

#include <math.h>

static bool same(struct qn_given a, struct qn_given b)
{
    if (a.as != b.as || a.range.min < b.range.min || a.range.min > b.range.min || a.range.max < b.range.max ||
        a.range.max > b.range.max)
        return false;
    return a.as != QN_GIVEN_CODES ||
           (a.bits == b.bits && a.offset == b.offset && !(a.scale < b.scale) && !(a.scale > b.scale));
}

struct qn_given qn_given_join(struct qn_given a, struct qn_given b)
{
    if (a.as == QN_GIVEN_NOTHING || a.as == QN_GIVEN_CHANNELS) return b.as == QN_GIVEN_NOTHING ? a : b;
    if (b.as == QN_GIVEN_NOTHING || b.as == QN_GIVEN_CHANNELS || same(a, b)) return a;
    return (struct qn_given){ .as = QN_GIVEN_RANGE,
                              .range = { fminf(a.range.min, b.range.min), fmaxf(a.range.max, b.range.max) } };
}

/* The codes as they are, if the tensor can have them. */
static bool take_codes(const struct qn_given *given, const struct qn_observe_goal *goal, struct qn_qparams *params)
{
    const int64_t lowest = params->is_signed ? -(INT64_C(1) << (params->bits - 1)) : 0;
    int64_t       zero_point;
    float         low, high;

    if (given->as != QN_GIVEN_CODES || given->bits != params->bits || given->offset < -(INT64_C(1) << params->bits) ||
        given->offset > 0)
        return false;
    zero_point = lowest - given->offset;
    if (zero_point < goal->lo || zero_point > goal->hi || (goal->symmetric && zero_point)) return false;
    if (qn_scale_clamp(given->scale) < given->scale || qn_scale_clamp(given->scale) > given->scale) return false;
    low = (float)(goal->lo - zero_point) * given->scale;
    high = (float)(goal->hi - zero_point) * given->scale;
    if (!goal->symmetric && (low < goal->bounds.min || high > goal->bounds.max)) return false;
    params->scale[0] = given->scale;
    params->zero_point[0] = (int32_t)zero_point;
    return true;
}

struct qn_range qn_given_params(const struct qn_given *given, const struct qn_observe_goal *goal, float least_range,
                                struct qn_qparams *params)
{
    struct qn_range range;

    if (take_codes(given, goal, params)) return qn_qparams_range(params, 0);
    range = qn_observe_cut(given->range, goal);
    if (range.max - range.min < least_range) range.max = range.min + least_range;
    qn_observe_params(goal, range, params->scale, params->zero_point);
    return range;
}
