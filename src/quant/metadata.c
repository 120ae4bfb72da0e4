/* SPDX-License-Identifier: Apache-2.0
 * Single precision and the order of operations are Brevitas' own throughout. */
#include "quant/metadata.h"

#include <math.h>

qonnx_status qn_metadata_of_params(const struct qn_qparams *qp, struct qn_arena *arena, struct qn_metadata *meta,
                                   qonnx_error *err)
{
    float *zero_point = qn_arena_array(arena, qp->count, sizeof *zero_point);

    if (!zero_point) return qn_fail_nomem(err);
    for (size_t i = 0; i < qp->count; i++) zero_point[i] = (float)qp->zero_point[i];
    *meta = (struct qn_metadata){ .known = true,
                                  .is_signed = qp->is_signed,
                                  .bits = qp->bits,
                                  .axis = qp->axis,
                                  .scale_count = qp->count,
                                  .zero_count = qp->count,
                                  .scale = qp->scale,
                                  .zero_point = zero_point };
    return QONNX_OK;
}

/* ---- the output of a layer ---- */

static bool is_centred(const struct qn_metadata *meta)
{
    if (!meta || !meta->known) return false;
    for (size_t i = 0; i < meta->zero_count; i++)
        if (meta->zero_point[i] != 0) return false;
    return true;
}

/* As torch.allclose with its defaults. */
static bool is_close(float a, float b)
{
    const float allowed = 1e-8f + fabsf(1e-5f * b);
    return a == b || fabsf(a - b) <= allowed;
}

static bool scales_agree(const struct qn_layer *layer, const struct qn_metadata *out)
{
    const struct qn_qparams *bias = layer->bias_params;
    const bool               spread = layer->convolution && layer->compare == QN_COMPARE_AS_BREVITAS_0_13;

    if (bias->count == out->scale_count && !spread) {
        for (size_t i = 0; i < bias->count; i++)
            if (!is_close(bias->scale[i], out->scale[i])) return false;
        return true;
    }
    /* Each with each. Of the bias scales only the two ends matter. */
    float low = INFINITY, high = 0;
    for (size_t i = 0; i < bias->count; i++) {
        low = fminf(low, bias->scale[i]);
        high = fmaxf(high, bias->scale[i]);
    }
    for (size_t i = 0; i < out->scale_count; i++)
        if (!is_close(low, out->scale[i]) || !is_close(high, out->scale[i])) return false;
    return true;
}

static qonnx_status scale_of_layer(const struct qn_layer *layer, struct qn_arena *arena, struct qn_metadata *out,
                                   qonnx_error *err)
{
    const size_t ni = layer->input->scale_count, nw = layer->weight->scale_count, n = ni > nw ? ni : nw;
    float       *scale;

    if ((ni != 1 && ni != n) || (nw != 1 && nw != n))
        return qn_fail(err, QONNX_E_UNSUPPORTED, "%zu input scales do not fit %zu weight scales", ni, nw);
    if (!(scale = qn_arena_array(arena, n, sizeof *scale))) return qn_fail_nomem(err);
    for (size_t i = 0; i < n; i++)
        scale[i] = layer->weight->scale[nw == 1 ? 0 : i] * layer->input->scale[ni == 1 ? 0 : i];
    out->scale = scale;
    out->scale_count = n;
    return QONNX_OK;
}

static qonnx_status zero_point_of_layer(const struct qn_layer *layer, struct qn_arena *arena, struct qn_metadata *out,
                                        qonnx_error *err)
{
    const bool   zero = !layer->bias || !layer->bias_count || (layer->bias_params && scales_agree(layer, out));
    const size_t nb = layer->bias_count, ns = out->scale_count, n = zero ? 1 : nb > ns ? nb : ns;
    float       *zero_point;

    if (!zero && ((nb != 1 && nb != n) || (ns != 1 && ns != n)))
        return qn_fail(err, QONNX_E_UNSUPPORTED, "a bias of %zu does not fit %zu output scales", nb, ns);
    if (!(zero_point = qn_arena_array(arena, n, sizeof *zero_point))) return qn_fail_nomem(err);
    for (size_t i = 0; i < n && !zero; i++)
        zero_point[i] = -layer->bias[nb == 1 ? 0 : i] / out->scale[ns == 1 ? 0 : i] + 0.0f; /* no -0 */
    out->zero_point = zero_point;
    out->zero_count = n;
    return QONNX_OK;
}

qonnx_status qn_metadata_of_layer(const struct qn_layer *layer, struct qn_arena *arena, struct qn_metadata *meta,
                                  qonnx_error *err)
{
    struct qn_metadata out = { .known = true, .axis = -1 };

    if (!is_centred(layer->input) || !is_centred(layer->weight)) {
        *meta = (struct qn_metadata){ .axis = -1 };
        return QONNX_OK;
    }
    out.is_signed = layer->input->is_signed || layer->weight->is_signed;
    out.bits = qn_accumulator_bits(layer->input->bits, layer->weight->bits, layer->terms,
                                   layer->bias && layer->bias_params ? layer->bias_params->bits : 0);
    QN_TRY(scale_of_layer(layer, arena, &out, err));
    QN_TRY(zero_point_of_layer(layer, arena, &out, err));
    if (out.scale_count > 1 || out.zero_count > 1) out.axis = layer->output_axis;
    *meta = out;
    return QONNX_OK;
}

qonnx_status qn_layer_terms(bool transposed, const int64_t *dims, size_t rank, const int64_t *strides, uint64_t *terms,
                            qonnx_error *err)
{
    uint64_t kernel = transposed ? 0 : 1, all;
    bool     overflow = false;

    if (rank < 2) return qn_fail(err, QONNX_E_FORMAT, "a weight of rank %zu has no input channels", rank);
    for (size_t i = 1; i < rank; i++)
        if (dims[i] < 0) return qn_fail(err, QONNX_E_FORMAT, "dimension %lld is negative", (long long)dims[i]);
    for (size_t i = 2; i < rank; i++) {
        const uint64_t size = (uint64_t)dims[i];
        if (transposed) {
            const uint64_t stride = strides[i - 2] > 0 ? (uint64_t)strides[i - 2] : 1;
            const uint64_t steps = size / stride + (size % stride != 0);
            overflow |= __builtin_add_overflow(kernel, steps, &kernel);
        } else {
            overflow |= __builtin_mul_overflow(kernel, size, &kernel);
        }
    }
    overflow |= __builtin_mul_overflow((uint64_t)dims[1], kernel, &all);
    if (overflow) return qn_fail(err, QONNX_E_LIMIT, "the weight's dimensions are too large");
    *terms = all;
    return QONNX_OK;
}

/* ---- values on the grid ---- */

/* The slot of element i of a tensor. */
static size_t slot(size_t count, struct qn_layout layout, size_t i)
{
    return count == 1 ? 0 : i / layout.inner % layout.channels;
}

static float steps_of(const struct qn_metadata *meta, struct qn_layout layout, const float *x, size_t i)
{
    const float steps = x[i] / meta->scale[slot(meta->scale_count, layout, i)];
    return steps + meta->zero_point[slot(meta->zero_count, layout, i)];
}

static bool fits(const struct qn_metadata *meta, struct qn_layout layout)
{
    return (meta->scale_count == 1 || meta->scale_count == layout.channels) &&
           (meta->zero_count == 1 || meta->zero_count == layout.channels);
}

bool qn_metadata_is_valid(const struct qn_metadata *meta, const float *x, struct qn_layout layout)
{
    const size_t total = qn_layout_count(layout);
    const float  top = meta->is_signed ? exp2f((float)(meta->bits - 1)) : exp2f((float)meta->bits);
    const float  lo = meta->is_signed ? -top : 0, hi = top - 1;

    if (!meta->known || !fits(meta, layout)) return false;
    for (size_t i = 0; i < total; i++) {
        const float steps = steps_of(meta, layout, x, i), nearest = rintf(steps);
        /* so many steps are no longer told apart by a float: neither by 0.2 nor by 1 */
        const float blur = fabsf(steps) < 0x1p21f ? 0 : fabsf(steps) * 0x1p-22f;
        if (!(fabsf(steps - nearest) < 0.2f + blur) || nearest < lo - blur || nearest > hi + blur) return false;
    }
    return true;
}

qonnx_status qn_metadata_integers(const struct qn_metadata *meta, const float *x, struct qn_layout layout,
                                  int64_t *integers, qonnx_error *err)
{
    const size_t total = qn_layout_count(layout);
    const float  limit = 0x1p62f; /* far beyond what a float tells apart */

    if (!qn_metadata_is_valid(meta, x, layout)) return qn_fail(err, QONNX_E_DATA, "QuantTensor not valid.");
    for (size_t i = 0; i < total; i++) {
        const float nearest = rintf(steps_of(meta, layout, x, i));
        integers[i] = (int64_t)fminf(fmaxf(nearest, -limit), limit);
    }
    return QONNX_OK;
}

qonnx_status qn_metadata_require(const struct qn_metadata *meta, qonnx_error *err)
{
    if (meta && meta->known) return QONNX_OK;
    return qn_fail(err, QONNX_E_USAGE,
                   "QuantLayer is not correctly configured, check if warnings were raised: the output can carry scale "
                   "and zero point only if input and weight are quantized with zero point 0, or the output is");
}
