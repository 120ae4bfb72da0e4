/* SPDX-License-Identifier: Apache-2.0
 * The table of quantizers, and what may be asked of them. */
#include "quant/quantizer.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* clang-format off */
#define WEIGHT QN_FOR_WEIGHT
#define ACT    QN_FOR_ACTIVATION
#define BIAS   QN_FOR_BIAS
enum { U = 0, S = 1, FULL = 0, NARROW = 1, TENSOR = 0, CHANNEL = 1, CENTRED = 0, SHIFTED = 1 };

/* name, summary, role, range, bits, signed, narrow, per channel, zero point */
static const struct qn_quantizer_row rows[] = {
    { "Int8WeightPerTensorFloat", "signed weights without the lowest code, scale from the largest magnitude",
      WEIGHT, QN_STAT_ABS_MAX, 8, S, NARROW, TENSOR, CENTRED },
    { "Int8WeightPerChannelFloat", "the same with a scale for each output channel",
      WEIGHT, QN_STAT_ABS_MAX, 8, S, NARROW, CHANNEL, CENTRED },
    { "ShiftedUint8WeightPerTensorFloat", "unsigned weights, scale and zero point from minimum and maximum",
      WEIGHT, QN_STAT_MIN_MAX, 8, U, FULL, TENSOR, SHIFTED },
    { "ShiftedUint8WeightPerChannelFloat", "the same with a scale and zero point for each output channel",
      WEIGHT, QN_STAT_MIN_MAX, 8, U, FULL, CHANNEL, SHIFTED },
    { "Int8ActPerTensorFloat", "signed activations, scale from a percentile of the magnitudes, averaged over batches",
      ACT, QN_STAT_ABS_PERCENTILE, 8, S, FULL, TENSOR, CENTRED },
    { "Uint8ActPerTensorFloat", "unsigned activations, for what is never negative; range as of the signed ones",
      ACT, QN_STAT_ABS_PERCENTILE, 8, U, FULL, TENSOR, CENTRED },
    { "ShiftedUint8ActPerTensorFloat", "unsigned activations, scale and zero point from two percentiles",
      ACT, QN_STAT_PERCENTILE_INTERVAL, 8, U, FULL, TENSOR, SHIFTED },
    { "Int8ActPerTensorFloatMinMaxInit", "signed activations, range given by min_val and max_val, no data",
      ACT, QN_STAT_GIVEN, 8, S, FULL, TENSOR, CENTRED },
    { "Uint8ActPerTensorFloatMaxInit", "unsigned activations, range given by max_val, no data",
      ACT, QN_STAT_GIVEN, 8, U, FULL, TENSOR, CENTRED },
    { "IntBias", "bias with scale input scale x weight scale; its bit width must be given",
      BIAS, QN_STAT_SCALE_PRODUCT, 0, S, FULL, TENSOR, CENTRED },
    { "Int8Bias", "8-bit bias with scale input scale x weight scale; saturates with most layers",
      BIAS, QN_STAT_SCALE_PRODUCT, 8, S, FULL, TENSOR, CENTRED },
    { "Int16Bias", "16-bit bias with scale input scale x weight scale",
      BIAS, QN_STAT_SCALE_PRODUCT, 16, S, FULL, TENSOR, CENTRED },
    { "Int24Bias", "24-bit bias with scale input scale x weight scale",
      BIAS, QN_STAT_SCALE_PRODUCT, 24, S, FULL, TENSOR, CENTRED },
    { "Int32Bias", "32-bit bias with scale input scale x weight scale, what integer kernels add",
      BIAS, QN_STAT_SCALE_PRODUCT, 32, S, FULL, TENSOR, CENTRED },
    { "Int8BiasPerTensorFloatInternalScaling", "8-bit bias with a scale of its own from its largest magnitude",
      BIAS, QN_STAT_ABS_MAX, 8, S, FULL, TENSOR, CENTRED },
};
/* clang-format on */

enum { ROW_COUNT = sizeof rows / sizeof rows[0], MIN_BITS = 2, MAX_BITS = 8, MAX_BIAS_BITS = 32, BYTE = 8 };

const struct qn_quantizer_row *qn_quantizer_row_at(size_t i) { return i < ROW_COUNT ? &rows[i] : NULL; }

const struct qn_quantizer_row *qn_quantizer_row_find(const char *name)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (!strcmp(rows[i].name, name)) return &rows[i];
    return NULL;
}

void qn_quantizer_init(struct qn_quantizer *q, const struct qn_quantizer_row *row)
{
    *q = (struct qn_quantizer){ .row = row,
                                .bits = row->bits,
                                .is_signed = row->is_signed,
                                .narrow = row->narrow,
                                .per_channel = row->per_channel,
                                .min_val = NAN,
                                .max_val = NAN,
                                .collect_steps = 30,
                                .momentum = 0.1,
                                .low_percentile = 0.001,
                                .high_percentile = 99.999 };
}

/* ---- what may be asked ---- */

static qonnx_status check_bits(const struct qn_quantizer *q, qonnx_error *err)
{
    const char *name = q->row->name;
    const int   most = q->row->role == QN_FOR_BIAS ? MAX_BIAS_BITS : MAX_BITS;

    if (!q->bits)
        return qn_fail(err, QONNX_E_USAGE,
                       "'%s' needs a bit width: '%s' can not resolve attribute 'bit_width' while building "
                       "'bit_width_impl'",
                       name, name);
    if (q->bits < MIN_BITS || q->bits > most)
        return qn_fail(err, QONNX_E_USAGE, "'%s': a bit width of %d is not between %d and %d", name, q->bits, MIN_BITS,
                       most);
    if (!q->is_signed && q->bits == MAX_BIAS_BITS)
        return qn_fail(err, QONNX_E_USAGE, "'%s': unsigned codes of %d bits have no type to store them", name, q->bits);
    return QONNX_OK;
}

static qonnx_status check_limit(const struct qn_quantizer *q, const char *key, double value, qonnx_error *err)
{
    if (isnan(value) || fabs(value) <= FLT_MAX) return QONNX_OK;
    return qn_fail(err, QONNX_E_USAGE, "'%s': %s %g is not a finite float", q->row->name, key, value);
}

/* Brevitas' own words for what is missing are kept, so that they can be searched for. */
static qonnx_status check_limits(const struct qn_quantizer *q, qonnx_error *err)
{
    const char *name = q->row->name;

    QN_TRY(check_limit(q, "min_val", q->min_val, err));
    QN_TRY(check_limit(q, "max_val", q->max_val, err));
    if (q->min_val > q->max_val)
        return qn_fail(err, QONNX_E_USAGE, "'%s': min_val %g is greater than max_val %g", name, q->min_val, q->max_val);
    if (q->row->statistic != QN_STAT_GIVEN)
        return QONNX_OK; /* as in Brevitas, its range comes from data all the same */
    if (isnan(q->max_val))
        return qn_fail(err, QONNX_E_USAGE,
                       "'%s' needs max_val%s: '%s' can not resolve attribute 'max_val' while building "
                       "'scaling_init_impl'",
                       name, q->row->is_signed && isnan(q->min_val) ? " and min_val" : "", name);
    if (isnan(q->min_val) && q->row->is_signed)
        return qn_fail(err, QONNX_E_USAGE,
                       "'%s' needs min_val: float() argument must be a string or a real number, not 'NoneType'", name);
    if (!((float)fabs(q->max_val) > 0) && !((float)fabs(q->min_val) > 0))
        return qn_fail(err, QONNX_E_USAGE, "'%s': min_val and max_val leave no range but 0", name);
    return QONNX_OK;
}

static qonnx_status check_running(const struct qn_quantizer *q, qonnx_error *err)
{
    const char *name = q->row->name;

    if (q->collect_steps < 1)
        return qn_fail(err, QONNX_E_USAGE, "'%s': collect_stats_steps is %lld: Steps should be more than 0", name,
                       (long long)q->collect_steps);
    if (!isnan(q->momentum) && !(q->momentum >= 0 && q->momentum <= 1))
        return qn_fail(err, QONNX_E_USAGE, "'%s': a momentum of %g is not between 0 and 1", name, q->momentum);
    if (!(q->low_percentile >= 0 && q->low_percentile < q->high_percentile && q->high_percentile <= 100))
        return qn_fail(err, QONNX_E_USAGE, "'%s': percentiles %g and %g are not 0 <= low < high <= 100", name,
                       q->low_percentile, q->high_percentile);
    return QONNX_OK;
}

qonnx_status qn_quantizer_check(const struct qn_quantizer *q, qonnx_error *err)
{
    QN_TRY(check_bits(q, err));
    QN_TRY(check_limits(q, err));
    QN_TRY(check_running(q, err));
    if (q->per_channel && q->row->statistic == QN_STAT_SCALE_PRODUCT)
        return qn_fail(err, QONNX_E_USAGE,
                       "'%s' cannot be set to per channel: it has a scale for each channel if the weight does",
                       q->row->name);
    return QONNX_OK;
}

/* ---- what follows from it ---- */

void qn_quantizer_codes(const struct qn_quantizer *q, int32_t *lo, int32_t *hi)
{
    *lo = *hi = 0;
    (void)qn_int_range(q->bits, q->is_signed, q->narrow, lo, hi); /* checked bits have one */
}

/* Codes of a bias wider than a byte are stored in 32 bits, as integer kernels add them. */
const struct qn_qtype *qn_quantizer_type(const struct qn_quantizer *q)
{
    if (q->bits > BYTE) return qn_qtype_find("int32");
    return qn_qtype_find(q->is_signed ? "int8" : "uint8");
}

float qn_quantizer_steps(const struct qn_quantizer *q)
{
    int32_t lo, hi;

    qn_quantizer_codes(q, &lo, &hi);
    return q->is_signed ? -(float)lo : (float)hi;
}

bool qn_quantizer_is_running(const struct qn_quantizer *q)
{
    return q->row->statistic == QN_STAT_ABS_PERCENTILE || q->row->statistic == QN_STAT_PERCENTILE_INTERVAL;
}

float qn_quantizer_scale(const struct qn_quantizer *q, float range)
{
    if (q->row->statistic != QN_STAT_GIVEN && !(range > QN_RANGE_FLOOR)) range = QN_RANGE_FLOOR;
    return qn_scale_clamp(range / qn_quantizer_steps(q));
}

int32_t qn_quantizer_zero_point(const struct qn_quantizer *q, float min, float scale)
{
    int32_t lo, hi;
    float   code;

    if (!q->row->shifted) return 0;
    qn_quantizer_codes(q, &lo, &hi);
    code = rintf(fabsf(min) / scale + (float)lo);
    if (!(code > (float)lo)) return lo;
    return code < (float)hi ? (int32_t)code : hi;
}
