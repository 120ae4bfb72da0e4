/* SPDX-License-Identifier: Apache-2.0
 * What is known of a tensor besides its values, as Brevitas' QuantTensor carries it: scale, zero point, bit width and
 * sign, and how the output of a layer gets them from its operands. */
#ifndef QN_QUANT_METADATA_H
#define QN_QUANT_METADATA_H

#include "quant/pack.h"

struct qn_metadata {
    bool         known; /* false: a float tensor, the rest is 0 */
    bool         is_signed;
    int          bits;
    int          axis;                    /* of scales and zero points if there are several, else -1 */
    size_t       scale_count, zero_count; /* each 1 or the number of channels */
    const float *scale;
    const float *zero_point; /* of a layer's output it may be any number */
};

/* What a quantizer with these parameters puts out. Scales are shared, zero points are in the arena. */
QONNX_MUST_CHECK qonnx_status qn_metadata_of_params(const struct qn_qparams *qp, struct qn_arena *arena,
                                                    struct qn_metadata *meta, qonnx_error *err);

/* Whether the scale of a bias equals that of the layer's output decides if the output's zero point is 0. */
enum qn_scale_compare {
    QN_COMPARE_AS_BREVITAS_0_13, /* default. A convolution with a scale per channel compares each bias scale with the
                                  * scale of every channel (0.12 and later), so its zero point is -bias / scale nearly
                                  * always, even when the bias has exactly the output's scales */
    QN_COMPARE_CHANNELS          /* each with its own channel's, as up to 0.10 */
};

/* A layer that multiplies and adds: Conv, ConvTranspose, MatMul, Gemm. */
struct qn_layer {
    const struct qn_metadata *input, *weight; /* NULL or not known: float */
    bool                      convolution;
    uint64_t                  terms;       /* products in a sum, see qn_layer_terms */
    int                       output_axis; /* of the channels in the output */
    const float              *bias;        /* float or dequantized; NULL: none */
    size_t                    bias_count;
    const struct qn_qparams  *bias_params; /* NULL: a float bias */
    enum qn_scale_compare     compare;
};

/* Of the output without an output quantizer. Not known when an operand is float or has a zero point that is not 0. */
QONNX_MUST_CHECK qonnx_status qn_metadata_of_layer(const struct qn_layer *layer, struct qn_arena *arena,
                                                   struct qn_metadata *meta, qonnx_error *err);

/* Products that add up to one output value, as Brevitas counts them, from the weight's dims: MatMul and Gemm as
 * [outputs][inputs], convolutions as ONNX has them. `strides` (rank - 2 of them) is used by transposed ones: output
 * channels per group x sum over dims of max(ceil(kernel / stride), 1). E_FORMAT for bad dims, E_LIMIT on overflow. */
QONNX_MUST_CHECK qonnx_status qn_layer_terms(bool transposed, const int64_t *dims, size_t rank, const int64_t *strides,
                                             uint64_t *terms, qonnx_error *err);

/* Do the values lie on the grid: value / scale + zero_point within 0.2 of an integer of the full range of bits and
 * sign? False when the metadata are not known. The layout is that of meta->axis. */
bool qn_metadata_is_valid(const struct qn_metadata *meta, const float *x, struct qn_layout layout);
/* The integers; E_DATA "QuantTensor not valid." when the values are not on the grid. */
QONNX_MUST_CHECK qonnx_status qn_metadata_integers(const struct qn_metadata *meta, const float *x,
                                                   struct qn_layout layout, int64_t *integers, qonnx_error *err);

/* For a caller who demands metadata of an output: E_USAGE "QuantLayer is not correctly configured" when not known. */
QONNX_MUST_CHECK qonnx_status qn_metadata_require(const struct qn_metadata *meta, qonnx_error *err);

#endif
