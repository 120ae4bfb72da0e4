/* SPDX-License-Identifier: Apache-2.0
 * The quantizers that can be asked for by Brevitas' names, with Brevitas' arithmetic to the last bit.
 *
 * A row of the table is a name and its defaults; a struct qn_quantizer is a row with what the user changed. All float
 * arithmetic here is single precision with one rounding an operation, in the order written down. Codes come from
 * qn_quantize(…, QN_SHIFT_THEN_ROUND, …) with the parameters made here.
 *
 * Bad data: a range below QN_RANGE_FLOOR counts as QN_RANGE_FLOOR, and no scale passes QN_SCALE_MAX. NaN sets no range;
 * in activations infinite and masked values (|x| >= QN_MASKED_FROM, see kernels.h) don't either, the only case in which
 * a finite value gives another scale than in Brevitas. So a scale is never 0, subnormal, NaN or infinite. */
#ifndef QN_QUANT_QUANTIZER_H
#define QN_QUANT_QUANTIZER_H

#include "quant/metadata.h"
#include "quant/pack.h"

#define QN_RANGE_FLOOR 1e-10f

enum qn_quantizer_role { QN_FOR_WEIGHT, QN_FOR_ACTIVATION, QN_FOR_BIAS };

/* Where the range comes from that is divided by the number of steps. */
enum qn_statistic {
    QN_STAT_ABS_MAX,
    QN_STAT_MIN_MAX,             /* max - min(min, 0) */
    QN_STAT_ABS_PERCENTILE,      /* order statistic of |x|, averaged over batches: running.h */
    QN_STAT_PERCENTILE_INTERVAL, /* x_high - min(x_low, 0), averaged over batches */
    QN_STAT_GIVEN,               /* max(|min_val|, |max_val|), no data; an unsigned quantizer needs no min_val */
    QN_STAT_SCALE_PRODUCT        /* of a bias: no range, scale = input scale x weight scale */
};

struct qn_quantizer_row {
    const char            *name, *summary;
    enum qn_quantizer_role role;
    enum qn_statistic      statistic;
    int                    bits; /* 0: there is no default */
    bool                   is_signed, narrow, per_channel;
    bool                   shifted; /* zero point from the minimum; else 0 */
};

/* The i-th row, NULL behind the last; the row of that name or NULL. */
const struct qn_quantizer_row *qn_quantizer_row_at(size_t i);
const struct qn_quantizer_row *qn_quantizer_row_find(const char *name);

struct qn_quantizer {
    const struct qn_quantizer_row *row;
    int                            bits;
    bool                           is_signed, narrow, per_channel;
    double                         min_val, max_val;                /* NAN: not given */
    int64_t                        collect_steps;                   /* batches that are averaged */
    double                         momentum;                        /* NAN: the mean of all batches */
    double                         low_percentile, high_percentile; /* 0 … 100 */
};

/* The row's defaults; 30 steps, momentum 0.1, percentiles 0.001 and 99.999. */
void                          qn_quantizer_init(struct qn_quantizer *q, const struct qn_quantizer_row *row);
/* E_USAGE with one clear text when the settings contradict each other, are out of range or leave something out. All
 * functions below expect a quantizer that passed. */
QONNX_MUST_CHECK qonnx_status qn_quantizer_check(const struct qn_quantizer *q, qonnx_error *err);

/* The codes, the type that stores them, and how many steps the range is divided by: -lo if signed, else hi. */
void                   qn_quantizer_codes(const struct qn_quantizer *q, int32_t *lo, int32_t *hi);
const struct qn_qtype *qn_quantizer_type(const struct qn_quantizer *q);
float                  qn_quantizer_steps(const struct qn_quantizer *q);
/* Does it need calibration data? */
bool                   qn_quantizer_is_running(const struct qn_quantizer *q);

/* float32 of max(range, QN_RANGE_FLOOR) / steps. */
float   qn_quantizer_scale(const struct qn_quantizer *q, float range);
/* The code of 0 when `min` (only its magnitude counts) is the lowest value; 0 for quantizers that do not shift. */
int32_t qn_quantizer_zero_point(const struct qn_quantizer *q, float min, float scale);

/* ---- weights ---- */

/* The axis of the scales: -1 for one scale, else that of the output channels, 1 in a transposed convolution and 0
 * otherwise. E_UNSUPPORTED for a scale per channel in a transposed convolution with groups. */
QONNX_MUST_CHECK qonnx_status qn_quantizer_weight_axis(const struct qn_quantizer *q, bool transposed, int64_t groups,
                                                       int *axis, qonnx_error *err);
/* Parameters of a weight. The layout is that of the axis (QN_NO_AXIS for -1), which goes into *qp. */
QONNX_MUST_CHECK qonnx_status qn_quantizer_weight(const struct qn_quantizer *q, const float *weight,
                                                  struct qn_layout layout, int axis, struct qn_arena *arena,
                                                  int threads, struct qn_qparams *qp, qonnx_error *err);

/* ---- biases ---- */

/* Parameters of a bias of n values: one scale or n (axis 0). `input` and `weight` are what the layer's operands carry,
 * NULL or not known for float ones: then a quantizer that needs their scales gives E_USAGE "Input scale required". */
QONNX_MUST_CHECK qonnx_status qn_quantizer_bias(const struct qn_quantizer *q, const float *bias, size_t n,
                                                const struct qn_metadata *input, const struct qn_metadata *weight,
                                                struct qn_arena *arena, struct qn_qparams *qp, qonnx_error *err);

/* ---- activations ---- */

struct qn_running;
/* Parameters for inference, from what the batches left in `state` (NULL is fine when qn_quantizer_is_running is false:
 * then `channels` scales, all the same). `axis` is the channel axis, used if the quantizer is per channel. */
QONNX_MUST_CHECK qonnx_status qn_quantizer_activation(const struct qn_quantizer *q, const struct qn_running *state,
                                                      size_t channels, int axis, struct qn_arena *arena,
                                                      struct qn_qparams *qp, qonnx_error *err);
/* A layer that sums over its input channels cannot take a scale for each of them out of the sum: E_UNSUPPORTED unless
 * there is one scale or the convolution is depthwise. */
QONNX_MUST_CHECK qonnx_status qn_quantizer_check_input(const struct qn_metadata *input, bool depthwise,
                                                       qonnx_error *err);

#endif
