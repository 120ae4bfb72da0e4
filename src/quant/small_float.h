/* SPDX-License-Identifier: Apache-2.0
 * Floats of 16 and 8 bits, as types that weights are stored in. Rounded half to even; what is too large becomes the largest
 * finite value. */
#ifndef QN_QUANT_SMALL_FLOAT_H
#define QN_QUANT_SMALL_FLOAT_H

#include "quant/pack.h"

struct qn_small_float {
    int      bits, mantissa;
    uint32_t rebias;  /* float32's exponent bias less this type's */
    uint32_t largest; /* code of the largest finite value */
    bool     scaled;  /* its range is so narrow that weights need scales */
};
extern const struct qn_small_float qn_float16, qn_bfloat16, qn_float8e4m3fn;

/* False for codes that are floats in their own right and need but a cast. */
bool  qn_qtype_scaled(const struct qn_qtype *type);
/* The value of a code without a sign. */
float qn_small_float_value(const struct qn_small_float *type, uint32_t code);

/* `count` elements that follow the first `first` of a tensor of that layout; scale has one element or one for each channel,
 * NULL: 1. Codes of type->bits each. *sums and *clamped (how many were too large) are added to; both may be NULL. Finite
 * values only. */
void qn_small_floats(const struct qn_small_float *type, const float *x, size_t first, size_t count,
                     struct qn_layout layout, const float *scale, void *codes, struct qn_error_sums *sums,
                     size_t *clamped);

#endif
