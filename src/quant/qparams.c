/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/qparams.h"

#include <float.h>
#include <stdlib.h>

/* Narrow unsigned ranges lose their top code, so for float -> code the limits are qp's own, never the type's. */
/* NOLINTNEXTLINE(readability-function-size): one value a field */
qonnx_status qn_qparams_init(struct qn_qparams *qp, struct qn_arena *arena, const struct qn_qtype *type, int bits,
                             bool narrow, int axis, size_t count, qonnx_error *err)
{
    struct qn_qparams made = {
        .type = type, .bits = bits, .is_signed = type->is_signed, .narrow = narrow, .axis = axis, .count = count
    };

    if (bits > type->bits || !qn_int_range(bits, type->is_signed, narrow, &made.lo, &made.hi))
        return qn_fail(err, QONNX_E_USAGE, "%d bits%s cannot be stored as %s", bits, narrow ? " (narrow)" : "",
                       type->name);
    made.scale = qn_arena_array(arena, count, sizeof *made.scale);
    made.zero_point = qn_arena_array(arena, count, sizeof *made.zero_point);
    if (!made.scale || !made.zero_point) return qn_fail_nomem(err);
    for (size_t i = 0; i < count; i++) made.scale[i] = 1.0f;
    *qp = made;
    return QONNX_OK;
}

float qn_scale_clamp(float scale)
{
    if (!(scale > QN_SCALE_MIN)) return QN_SCALE_MIN; /* NaN too */
    return scale < QN_SCALE_MAX ? scale : QN_SCALE_MAX;
}

/* Keeps the part of the range inside the bounds, together with 0, and applies the rules for bad ranges. */
static struct qn_range usable_range(struct qn_range range, struct qn_range bounds)
{
    if (!(range.min <= range.max)) range.min = range.max = 0; /* NaN, or nothing seen */
    range.min = fminf(fmaxf(range.min, bounds.min), 0);
    range.max = fmaxf(fminf(range.max, bounds.max), 0);
    if (range.min == 0 && range.max == 0) {
        range.min = fmaxf(-1, bounds.min);
        range.max = fminf(1, bounds.max);
    }
    range.min = fmaxf(range.min, -FLT_MAX);
    range.max = fminf(range.max, FLT_MAX);
    return range;
}

static struct qn_range usable_bounds(struct qn_range bounds)
{
    if (isnan(bounds.min)) bounds.min = -INFINITY;
    if (isnan(bounds.max)) bounds.max = INFINITY;
    bounds.min = fminf(bounds.min, 0);
    bounds.max = fmaxf(bounds.max, 0);
    if (!(bounds.min < bounds.max)) return QN_UNBOUNDED;
    return bounds;
}

/* The largest scale, at most `scale`, with steps * scale <= bound as float32 sees it. */
static float fit(float scale, int64_t steps, float bound)
{
    float limit;

    if (steps <= 0 || isinf(bound)) return scale;
    limit = (float)((double)bound / (double)steps);
    if (scale > limit) scale = limit;
    while (scale > 0 && (float)steps * scale > bound) scale = nextafterf(scale, 0);
    return scale;
}

static float fit_both(float scale, int32_t zero_point, int32_t lo, int32_t hi, struct qn_range bounds)
{
    scale = fit(scale, (int64_t)hi - zero_point, bounds.max);
    return fit(scale, (int64_t)zero_point - lo, -bounds.min);
}

static int32_t clamp_to(double value, int32_t lo, int32_t hi)
{
    if (!(value > lo)) return lo;
    return value < hi ? (int32_t)value : hi;
}

void qn_affine_params(struct qn_range range, struct qn_range bounds, int32_t lo, int32_t hi, float *scale,
                      int32_t *zero_point)
{
    float   full, best;
    int32_t nearest, chosen;

    bounds = usable_bounds(bounds);
    range = usable_range(range, bounds);
    full = qn_scale_clamp((float)(((double)range.max - range.min) / ((double)hi - lo)));
    nearest = chosen = clamp_to(rint(lo - (double)range.min / full), lo, hi);
    best = fit_both(full, nearest, lo, hi, bounds);
    /* Where the rounded zero point pushes an end past its bound, a neighbour may cost less range. */
    for (int side = -1; side <= 1 && best < full; side += 2) {
        const int32_t other = clamp_to((double)nearest + side, lo, hi);
        const float   fitted = fit_both(full, other, lo, hi, bounds);
        if (fitted > best) {
            best = fitted;
            chosen = other;
        }
    }
    *scale = qn_scale_clamp(best);
    *zero_point = chosen;
}

float qn_symmetric_scale(float absmax, int32_t steps)
{
    absmax = fabsf(absmax);
    if (!(absmax > 0)) absmax = 1;
    if (absmax > FLT_MAX) absmax = FLT_MAX;
    return qn_scale_clamp((float)((double)absmax / steps));
}

void qn_qparams_set_affine(struct qn_qparams *qp, size_t i, struct qn_range range, struct qn_range bounds)
{
    qn_affine_params(range, bounds, qp->lo, qp->hi, &qp->scale[i], &qp->zero_point[i]);
}

void qn_qparams_set_symmetric(struct qn_qparams *qp, size_t i, float absmax, int32_t steps)
{
    qp->scale[i] = qn_symmetric_scale(absmax, steps);
    qp->zero_point[i] = 0;
}

struct qn_range qn_qparams_range(const struct qn_qparams *qp, size_t i)
{
    const double zero_point = qp->zero_point[i];
    return (struct qn_range){ (float)(qp->lo - zero_point) * qp->scale[i],
                              (float)(qp->hi - zero_point) * qp->scale[i] };
}

float qn_bias_scale(float input_scale, float weight_scale) { return input_scale * weight_scale; }

int32_t qn_bias_code_limit(uint64_t k, int32_t input_max, int32_t weight_max)
{
    const uint64_t room = INT32_MAX, least = UINT64_C(1) << 24;
    uint64_t       products;

    if (__builtin_mul_overflow(k, (uint64_t)llabs((long long)input_max), &products) ||
        __builtin_mul_overflow(products, (uint64_t)llabs((long long)weight_max), &products) || products > room - least)
        return (int32_t)least;
    return (int32_t)(room - products);
}

float qn_bias_min_weight_scale(float input_scale, float bias_absmax, int32_t limit)
{
    double needed = fabs((double)bias_absmax) / limit, exact;
    float  scale;

    if (!(input_scale > 0) || isinf(input_scale)) return QN_SCALE_MIN; /* no weight scale could help */
    if (!(needed > FLT_MIN)) needed = FLT_MIN;
    exact = needed / input_scale;
    if (exact >= QN_SCALE_MAX) return QN_SCALE_MAX;
    scale = (float)exact;
    /* Rounding of the quotient and of the product can each lose a unit in the last place. */
    for (int i = 0; i < 8 && (double)(input_scale * scale) < needed; i++) scale = nextafterf(scale, INFINITY);
    return qn_scale_clamp(scale);
}

size_t qn_bias_codes(const float *bias, size_t count, const float *scale, size_t scale_count, int32_t limit,
                     int32_t *codes)
{
    size_t clamped = 0;

    for (size_t i = 0; i < count; i++) {
        const double code = rint((double)bias[i] / scale[scale_count == 1 ? 0 : i]);
        if (code >= -limit && code <= limit) {
            codes[i] = (int32_t)code;
            continue;
        }
        clamped++;
        codes[i] = isnan(code) ? 0 : code > 0 ? limit : -limit;
    }
    return clamped;
}

int qn_accumulator_bits(int input_bits, int weight_bits, uint64_t n, int bias_bits)
{
    const double largest = (exp2(input_bits) - 1) * (exp2(weight_bits) - 1) * (double)n;
    const int    bits = largest >= 1 ? (int)ceilf(log2f((float)largest)) : 0;

    if (!bias_bits) return bits;
    return (bits > bias_bits ? bits : bias_bits) + 1;
}
