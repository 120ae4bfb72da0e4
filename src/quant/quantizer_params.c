/* SPDX-License-Identifier: Apache-2.0
 * From a quantizer to the parameters of a weight, a bias or an activation. */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "quant/quantizer.h"
#include "quant/running.h"

static qonnx_status init_params(const struct qn_quantizer *q, struct qn_qparams *qp, struct qn_arena *arena, int axis,
                                size_t count, qonnx_error *err)
{
    const struct qn_qtype *type = qn_quantizer_type(q);
    const int              bits = type->is_signed == q->is_signed ? q->bits : type->bits;

    QN_TRY(qn_qparams_init(qp, arena, type, bits, q->narrow, axis, count, err));
    /* Unsigned codes of a wide bias live in a signed type. */
    qp->bits = q->bits;
    qp->is_signed = q->is_signed;
    qn_quantizer_codes(q, &qp->lo, &qp->hi);
    return QONNX_OK;
}

/* ---- weights ---- */

qonnx_status qn_quantizer_weight_axis(const struct qn_quantizer *q, bool transposed, int64_t groups, int *axis,
                                      qonnx_error *err)
{
    if (!q->per_channel) {
        *axis = -1;
        return QONNX_OK;
    }
    if (transposed && groups > 1)
        return qn_fail(err, QONNX_E_UNSUPPORTED,
                       "'%s': a transposed convolution with %lld groups cannot have a scale for each output channel, "
                       "its weight holds those of all groups on one axis",
                       q->row->name, (long long)groups);
    *axis = transposed;
    return QONNX_OK;
}

static qonnx_status from_min_max(const struct qn_quantizer *q, const float *x, struct qn_layout layout, int threads,
                                 struct qn_qparams *qp, qonnx_error *err)
{
    struct qn_range *ranges = calloc(layout.channels + 1, sizeof *ranges);
    qonnx_status     status;

    if (!ranges) return qn_fail_nomem(err);
    status = qn_channel_ranges(x, layout, ranges, threads, err);
    for (size_t i = 0; i < qp->count && status == QONNX_OK; i++) {
        const bool  seen = ranges[i].min <= ranges[i].max;
        const float min = seen ? fminf(ranges[i].min, 0) : 0, max = seen ? ranges[i].max : 0;
        qp->scale[i] = qn_quantizer_scale(q, fabsf(max - min));
        qp->zero_point[i] = qn_quantizer_zero_point(q, min, qp->scale[i]);
    }
    free(ranges);
    return status;
}

static qonnx_status from_absmax(const struct qn_quantizer *q, const float *x, struct qn_layout layout, int threads,
                                struct qn_qparams *qp, qonnx_error *err)
{
    QN_TRY(qn_channel_absmax(x, layout, qp->scale, threads, err));
    for (size_t i = 0; i < qp->count; i++) qp->scale[i] = qn_quantizer_scale(q, qp->scale[i]);
    return QONNX_OK;
}

/* NOLINTNEXTLINE(readability-function-size): what a weight is, and where its parameters go */
qonnx_status qn_quantizer_weight(const struct qn_quantizer *q, const float *weight, struct qn_layout layout, int axis,
                                 struct qn_arena *arena, int threads, struct qn_qparams *qp, qonnx_error *err)
{
    if (!q->per_channel) layout = QN_LAYOUT_FLAT(qn_layout_count(layout));
    QN_TRY(init_params(q, qp, arena, q->per_channel ? axis : -1, layout.channels, err));
    if (q->row->statistic == QN_STAT_MIN_MAX) return from_min_max(q, weight, layout, threads, qp, err);
    return from_absmax(q, weight, layout, threads, qp, err);
}

/* ---- biases ---- */

static qonnx_status from_product(const struct qn_metadata *input, const struct qn_metadata *weight, size_t n,
                                 struct qn_qparams *qp, qonnx_error *err)
{
    const size_t ni = input->scale_count, nw = weight->scale_count;

    if ((ni != 1 && ni != n) || (nw != 1 && nw != n))
        return qn_fail(err, QONNX_E_UNSUPPORTED, "%zu input scales and %zu weight scales do not fit a bias of %zu", ni,
                       nw, n);
    for (size_t i = 0; i < qp->count; i++) {
        const float scale = weight->scale[nw == 1 ? 0 : i] * input->scale[ni == 1 ? 0 : i];
        /* Exactly the product, whatever its size: kernels know no other. Only what no float can divide by is moved. */
        qp->scale[i] = scale > FLT_MIN ? fminf(scale, FLT_MAX) : FLT_MIN;
    }
    return QONNX_OK;
}

/* NOLINTNEXTLINE(readability-function-size): the bias, its two operands, and where its parameters go */
qonnx_status qn_quantizer_bias(const struct qn_quantizer *q, const float *bias, size_t n,
                               const struct qn_metadata *input, const struct qn_metadata *weight,
                               struct qn_arena *arena, struct qn_qparams *qp, qonnx_error *err)
{
    const bool known = input && input->known && weight && weight->known;
    const bool product = q->row->statistic == QN_STAT_SCALE_PRODUCT;
    size_t     count = q->per_channel ? n : 1;

    if (product) {
        if (!known)
            return qn_fail(err, QONNX_E_USAGE,
                           "Input scale required: '%s' takes its scale from the layer's input and weight, and the %s "
                           "is not quantized",
                           q->row->name, input && input->known ? "weight" : "input");
        if (input->scale_count > 1 || weight->scale_count > 1) count = n;
    }
    QN_TRY(init_params(q, qp, arena, count > 1 ? 0 : -1, count, err));
    if (product) return from_product(input, weight, n, qp, err);
    return from_absmax(q, bias, (struct qn_layout){ 1, count, count ? n / count : 0 }, 1, qp, err);
}

/* ---- activations ---- */

qonnx_status qn_quantizer_activation(const struct qn_quantizer *q, const struct qn_running *state, size_t channels,
                                     int axis, struct qn_arena *arena, struct qn_qparams *qp, qonnx_error *err)
{
    const bool running = qn_quantizer_is_running(q);

    if (!q->per_channel) channels = 1;
    if (running && (!state || state->channels != channels))
        return qn_fail(err, QONNX_E_INTERNAL, "'%s': statistics of %zu channels for %zu", q->row->name,
                       state ? state->channels : 0, channels);
    QN_TRY(init_params(q, qp, arena, q->per_channel ? axis : -1, channels, err));
    if (running) {
        qn_running_eval_params(state, qp->scale, qp->zero_point);
        return QONNX_OK;
    }
    for (size_t i = 0; i < channels; i++)
        qp->scale[i] = qn_quantizer_scale(q, (float)fmax(fabs(q->min_val), fabs(q->max_val)));
    return QONNX_OK;
}

qonnx_status qn_quantizer_check_input(const struct qn_metadata *input, bool depthwise, qonnx_error *err)
{
    if (!input || !input->known || (input->scale_count == 1 && input->zero_count == 1) || depthwise) return QONNX_OK;
    return qn_fail(err, QONNX_E_UNSUPPORTED,
                   "the input has a scale for each channel, and a sum over channels of integers with different scales "
                   "means nothing: only a depthwise convolution can take it");
}
