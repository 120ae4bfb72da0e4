/* SPDX-License-Identifier: Apache-2.0
 * Whole tensors between float, codes and packed bytes, with one scale or one per channel.
 *
 * Large tensors are cut into pieces for several threads; each piece writes only its own part, so the bytes do not
 * depend on the number of threads, nor on the instruction set. */
#ifndef QN_QUANT_PACK_H
#define QN_QUANT_PACK_H

#include "quant/qparams.h"

/* A dense tensor seen as [outer][channels][inner], channels being the axis of the scales. */
struct qn_layout {
    size_t outer, channels, inner;
};
#define QN_LAYOUT_FLAT(n) ((struct qn_layout){ 1, 1, (n) })

/* The layout for an axis (negative counts from the end); QN_NO_AXIS gives one channel. E_FORMAT for a bad axis or
 * negative dims, E_LIMIT on overflow. */
#define QN_NO_AXIS INT32_MIN
QONNX_MUST_CHECK qonnx_status qn_layout_init(struct qn_layout *layout, const int64_t *dims, size_t rank, int axis,
                                             qonnx_error *err);
/* Elements in all. */
size_t                        qn_layout_count(struct qn_layout layout);

/* The codes of x: int8_t, uint8_t, int16_t, uint16_t or int32_t by qp->type (4- and 2-bit codes one a byte).
 * qp->count is 1 or layout.channels, else E_INTERNAL. NaN gives the lowest code, infinities saturate. */
QONNX_MUST_CHECK qonnx_status qn_quantize(const float *x, struct qn_layout layout, const struct qn_qparams *qp,
                                          enum qn_rounding rounding, void *codes, int threads, qonnx_error *err);
/* The codes of `count` elements that follow the first `first` of such a tensor, on this thread. */
QONNX_MUST_CHECK qonnx_status qn_quantize_part(const float *x, size_t first, size_t count, struct qn_layout layout,
                                               const struct qn_qparams *qp, enum qn_rounding rounding, void *codes,
                                               qonnx_error *err);
/* (code - zero_point) * scale. */
QONNX_MUST_CHECK qonnx_status qn_dequantize(const void *codes, struct qn_layout layout, const struct qn_qparams *qp,
                                            float *x, int threads, qonnx_error *err);

/* 4- and 2-bit codes to bytes, first code in the low bits, the tail padded with zeros, and back; plain copies for wider
 * types (little-endian machines only, as everywhere). `bytes` holds qn_qtype_bytes(type, count). */
void qn_pack(const struct qn_qtype *type, const void *codes, size_t count, void *bytes);
void qn_unpack(const struct qn_qtype *type, const void *bytes, size_t count, void *codes);

/* Range and largest magnitude of each channel. NaN is passed over, infinities count; a channel with nothing to see has
 * QN_RANGE_EMPTY or 0. `out` has layout.channels entries. */
QONNX_MUST_CHECK qonnx_status qn_channel_ranges(const float *x, struct qn_layout layout, struct qn_range *out,
                                                int threads, qonnx_error *err);
/* Extends the ranges, which start as INFINITY … -INFINITY, by elements that follow the first `first` of such a tensor. */
void qn_channel_ranges_part(const float *x, size_t first, size_t count, struct qn_layout layout, float *min, float *max);
QONNX_MUST_CHECK qonnx_status qn_channel_absmax(const float *x, struct qn_layout layout, float *out, int threads,
                                                qonnx_error *err);

/* Sum of x^2 and of (x - dequantized)^2 over the tensor, for the signal-to-noise ratio of a quantized weight. `codes` are
 * those of qn_quantize, NULL: the nearest ones. */
struct qn_error_sums {
    double signal, noise;
};
QONNX_MUST_CHECK qonnx_status qn_quantization_error(const float *x, struct qn_layout layout,
                                                    const struct qn_qparams *qp, const void *codes,
                                                    struct qn_error_sums *sums, int threads, qonnx_error *err);

/* Of the elements that follow the first `first` of such a tensor, and their codes, on this thread. */
QONNX_MUST_CHECK qonnx_status qn_quantization_error_part(const float *x, size_t first, size_t count,
                                                         struct qn_layout layout, const struct qn_qparams *qp,
                                                         const void *codes, struct qn_error_sums *sums, qonnx_error *err);

/* 10 log10(signal / noise), within ±QN_SQNR_MAX; no noise gives QN_SQNR_MAX. */
#define QN_SQNR_MAX 200.0
double qn_sqnr_db(struct qn_error_sums sums);

#endif
