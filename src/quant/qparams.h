/* SPDX-License-Identifier: Apache-2.0
 * Quantization parameters and how they follow from ranges: value = (code - zero_point) * scale.
 *
 * One written rule for each kind of bad range; with them a scale is never 0, subnormal, NaN or infinite:
 *   - no information (NaN at either end, or min > max as in statistics that saw nothing): as if always zero
 *   - always zero: the range [-1, 1], cut to the bounds (so [0, 1] behind a Relu). A state that is zero in calibration
 *     then still has usable steps at run time.
 *   - tiny: a scale below QN_SCALE_MIN becomes QN_SCALE_MIN, which covers the range
 *   - huge or infinite: a scale above QN_SCALE_MAX becomes QN_SCALE_MAX; what lies beyond saturates
 * The limits are 2^-63 and 2^63 so that the product of two scales (the bias scale) is a normal float too. */
#ifndef QN_QUANT_QPARAMS_H
#define QN_QUANT_QPARAMS_H

#include <math.h>

#include "base/arena.h"
#include "quant/qtype.h"

#define QN_SCALE_MIN 0x1p-63f
#define QN_SCALE_MAX 0x1p63f

/* A float range; min > max says "nothing known". */
struct qn_range {
    float min, max;
};
#define QN_RANGE_EMPTY ((struct qn_range){ INFINITY, -INFINITY })

/* What the operator before guarantees, as the same pair: Relu [0, inf], Relu6 [0, 6], nothing [-inf, inf]. */
#define QN_UNBOUNDED ((struct qn_range){ -INFINITY, INFINITY })

/* Which arithmetic turns x into a code: ONNX rounds x / scale and adds the zero point; Brevitas and QONNX add it before
 * rounding, which differs at ties when it is odd. Both clamp last. */
enum qn_rounding { QN_ROUND_THEN_SHIFT, QN_SHIFT_THEN_ROUND };

struct qn_qparams {
    const struct qn_qtype *type; /* of storage */
    int                    bits; /* of the codes: may be fewer than the storage's */
    bool                   is_signed, narrow;
    int32_t                lo, hi; /* the range codes are clamped to */
    int                    axis;   /* -1: one scale for the tensor */
    size_t                 count;  /* of scales and zero points: 1, or the channels on the axis */
    float                 *scale;  /* in the arena */
    int32_t               *zero_point;
};

/* Fills *qp for `bits`-wide codes stored in `type`; scales start as 1 and zero points as 0. E_USAGE when the bits do
 * not fit the type. Signedness is the type's. */
QONNX_MUST_CHECK qonnx_status qn_qparams_init(struct qn_qparams *qp, struct qn_arena *arena,
                                              const struct qn_qtype *type, int bits, bool narrow, int axis,
                                              size_t count, qonnx_error *err);

/* The scale kept within the limits; NaN and values <= 0 become QN_SCALE_MIN. */
float qn_scale_clamp(float scale);

/* Asymmetric parameters for codes lo … hi. The range is cut to the bounds, then widened to include 0, so that zero maps
 * exactly to the zero point. With bounds, and as long as the scale limits allow it, in float32
 *     bounds.min <= (lo - zero_point) * scale   and   (hi - zero_point) * scale <= bounds.max
 * and the zero point is exactly lo for a lower bound of 0: ONNX Runtime absorbs a Relu or Clip only then. A bound on
 * the wrong side of 0 counts as 0; when both are 0 there is nothing to keep within them and they are ignored. */
void qn_affine_params(struct qn_range range, struct qn_range bounds, int32_t lo, int32_t hi, float *scale,
                      int32_t *zero_point);

/* Symmetric scale: float32 of absmax / steps; steps is 127 for narrow int8, 128 for a range that reaches -128. An
 * absmax that is 0 or NaN counts as 1. */
float qn_symmetric_scale(float absmax, int32_t steps);

/* The same into slot i of *qp. Symmetric: steps = qp->hi covers absmax on both sides; Brevitas divides a plain signed
 * range by -lo, so that absmax itself saturates. */
void qn_qparams_set_affine(struct qn_qparams *qp, size_t i, struct qn_range range, struct qn_range bounds);
void qn_qparams_set_symmetric(struct qn_qparams *qp, size_t i, float absmax, int32_t steps);

/* The values that the lowest and the highest code of slot i stand for. */
struct qn_range qn_qparams_range(const struct qn_qparams *qp, size_t i);

/* ---- bias ---- */

/* float32 of input scale x weight scale: integer kernels know no other. */
float qn_bias_scale(float input_scale, float weight_scale);

/* The largest |code| a bias may have so that it plus k products of codes of these magnitudes stays within int32:
 * 2^31 - 1 - k * input_max * weight_max. Never below 2^24, for layers whose products alone might overflow. */
int32_t qn_bias_code_limit(uint64_t k, int32_t input_max, int32_t weight_max);

/* The smallest weight scale with which rne(bias / bias scale) stays within +-limit for |bias| <= bias_absmax and the
 * bias scale is a normal float. A channel whose weight scale is smaller gets this one and is quantized anew. */
float qn_bias_min_weight_scale(float input_scale, float bias_absmax, int32_t limit);

/* codes[i] = rne(bias[i] / scale[i]), clamped to +-limit; scale_count is 1 or count. The division is done in double:
 * codes may need more than float's 24 bits. Returns how many were clamped (NaN counts and gives 0). */
size_t qn_bias_codes(const float *bias, size_t count, const float *scale, size_t scale_count, int32_t limit,
                     int32_t *codes);

/* Bits of the widest sum a layer can form from n products, as Brevitas counts them: unsigned maxima of both operands,
 * float32 logarithm; a bias of bias_bits (0: none) makes it max(sum, bias) + 1. n is K for MatMul and Gemm, channels
 * per group x kernel for Conv, output channels per group x sum over dims of max(ceil(kernel/stride), 1) for
 * ConvTranspose. */
int qn_accumulator_bits(int input_bits, int weight_bits, uint64_t n, int bias_bits);

#endif
