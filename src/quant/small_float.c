/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/small_float.h"

#include <math.h>
#include <string.h>

#include "quant/simd.h"

enum { LANES = 64 };

const struct qn_small_float qn_float16 = { 16, 10, 112, 0x7bff, false };
const struct qn_small_float qn_bfloat16 = { 16, 7, 0, 0x7f7f, false };
const struct qn_small_float qn_float8e4m3fn = { 8, 3, 120, 0x7e, true };

bool qn_qtype_scaled(const struct qn_qtype *type) { return !type->floating || type->floating->scaled; }

static inline float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The least normal number, and what one step is below it. */
static float least_normal(const struct qn_small_float *type) { return from_bits((type->rebias + 1) << 23); }
static float step_below(const struct qn_small_float *type) { return ldexpf(least_normal(type), -type->mantissa); }

float qn_small_float_value(const struct qn_small_float *type, uint32_t code)
{
    if (code >> type->mantissa == 0) return (float)code * step_below(type);
    return from_bits((code + (type->rebias << type->mantissa)) << (23 - type->mantissa));
}

/* Codes with their sign at bit `sign`, for values divided by the scales. */
QN_CLONES static void encode(const struct qn_small_float *restrict type, const float *restrict x,
                             const float *restrict scale, uint32_t *restrict codes, float *restrict back,
                             uint32_t *restrict clamped)
{
    const uint32_t drop = 23 - (uint32_t)type->mantissa, half = (1u << (drop - 1)) - 1,
                   rebias = type->rebias << type->mantissa;
    const uint32_t largest = type->largest, sign = (uint32_t)type->bits - 1;
    const float    least = least_normal(type), step = step_below(type);

    for (size_t j = 0; j < LANES; j++) {
        const float    value = x[j] / scale[j], size = fabsf(value);
        const uint32_t bits = to_bits(size), normal = ((bits + half + (bits >> drop & 1)) >> drop) - rebias;
        const uint32_t small = (uint32_t)(int32_t)rintf((size < least ? size : 0) / step);
        const uint32_t code = size < least ? small : normal, cut = code > largest ? largest : code;
        const float    below = (float)(int32_t)cut * step, above = from_bits((cut + rebias) << drop);
        clamped[j] += code > largest ? 1u : 0u;
        codes[j] = cut | to_bits(value) >> 31 << sign;
        back[j] = (cut < 1u << type->mantissa ? below : above) * scale[j];
    }
}

void qn_small_floats(const struct qn_small_float *type, const float *x, size_t first, size_t count,
                     struct qn_layout layout, const float *scale, void *codes, struct qn_error_sums *sums,
                     size_t *clamped)
{
    float    values[LANES] = { 0 }, scales[LANES], back[LANES];
    uint32_t made[LANES], over[LANES] = { 0 };

    for (size_t j = 0; j < LANES; j++) scales[j] = 1;
    for (size_t at = 0; at < count; at += LANES) {
        const size_t some = count - at < LANES ? count - at : LANES;
        memcpy(values, x + at, some * sizeof *values);
        memset(values + some, 0, (LANES - some) * sizeof *values);
        for (size_t j = 0; scale && j < some; j++)
            scales[j] = scale[layout.channels > 1 ? (first + at + j) / layout.inner % layout.channels : 0];
        encode(type, values, scales, made, back, over);
        for (size_t j = 0; j < some && type->bits == 16; j++) ((uint16_t *)codes)[at + j] = (uint16_t)made[j];
        for (size_t j = 0; j < some && type->bits == 8; j++) ((uint8_t *)codes)[at + j] = (uint8_t)made[j];
        for (size_t j = 0; sums && j < some; j++) {
            const double value = (double)values[j],
                         error = value - (double)back[j] * ((to_bits(values[j]) >> 31) ? -1 : 1);
            sums->signal += value * value;
            sums->noise += error * error;
        }
    }
    for (size_t j = 0; clamped && j < LANES; j++) *clamped += over[j];
}
