/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/tensor.h"

#include <math.h>
#include <string.h>

#include "onnx/dtype.h"

qonnx_status qn_tensor_count(const Onnx__TensorProto *tensor, size_t *count, qonnx_error *err)
{
    size_t product = 1;

    for (size_t i = 0; i < tensor->n_dims; i++) {
        if (tensor->dims[i] < 0) return qn_fail(err, QONNX_E_FORMAT, "dimension %zu is negative (%lld)", i, (long long)tensor->dims[i]);
        if (__builtin_mul_overflow(product, (size_t)tensor->dims[i], &product) || product > SIZE_MAX / 16)
            return qn_fail(err, QONNX_E_LIMIT, "the product of its dimensions overflows");
    }
    *count = product;
    return QONNX_OK;
}

/* How many elements the typed fields would hold for this type; SIZE_MAX for types that never use them. */
static size_t typed_count(const Onnx__TensorProto *t)
{
    switch (t->data_type) {
    case QN_FLOAT: return t->n_float_data;
    case ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX64: return t->n_float_data / 2;
    case QN_DOUBLE: return t->n_double_data;
    case ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX128: return t->n_double_data / 2;
    case QN_INT64: return t->n_int64_data;
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT32:
    case ONNX__TENSOR_PROTO__DATA_TYPE__UINT64: return t->n_uint64_data;
    case ONNX__TENSOR_PROTO__DATA_TYPE__STRING: return t->n_string_data;
    default: return t->n_int32_data;
    }
}

qonnx_status qn_tensor_check(const Onnx__TensorProto *tensor, qonnx_error *err)
{
    const struct qn_dtype *dtype = qn_dtype_find(tensor->data_type);
    size_t                 count = 0, bits, wanted, packed;

    if (!dtype) return qn_fail(err, QONNX_E_UNSUPPORTED, "element type %d is not known", (int)tensor->data_type);
    QN_TRY(qn_tensor_count(tensor, &count, err));
    if (tensor->has_data_location && tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL) return QONNX_OK;
    if (tensor->segment) return qn_fail(err, QONNX_E_UNSUPPORTED, "segmented tensors are not supported");
    if (tensor->has_raw_data) {
        if (!dtype->bits) return qn_fail(err, QONNX_E_FORMAT, "strings may not be raw_data");
        if (__builtin_mul_overflow(count, (size_t)dtype->bits, &bits)) return qn_fail(err, QONNX_E_LIMIT, "its size overflows");
        wanted = bits / 8 + (bits % 8 != 0);
        if (tensor->raw_data.len == wanted) return QONNX_OK;
        return qn_fail(err, QONNX_E_FORMAT, "raw_data holds %zu bytes, its %s shape of %zu elements needs %zu", tensor->raw_data.len, dtype->name, count, wanted);
    }
    packed = dtype->bits && dtype->bits < 8 ? (size_t)(8 / dtype->bits) : 1;
    wanted = count / packed + (count % packed != 0);
    if (typed_count(tensor) == wanted) return QONNX_OK;
    return qn_fail(err, QONNX_E_FORMAT, "its data field holds %zu values, its %s shape of %zu elements needs %zu", typed_count(tensor), dtype->name, count, wanted);
}

/* The fields moved to their places in a float; what is left is the exponents' offset of 112. */
static float half_to_float(uint16_t h)
{
    uint32_t bits = (uint32_t)(h & 0x7fff) << 13;
    float    value;

    memcpy(&value, &bits, sizeof value);
    value = (h & 0x7c00) == 0x7c00 ? (h & 0x3ff ? NAN : INFINITY) : value * 0x1p112f;
    return h & 0x8000 ? -value : value;
}

static float bfloat_to_float(uint16_t b)
{
    uint32_t bits = (uint32_t)b << 16;
    float    value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* raw_data has no alignment, so elements are copied out. */
#define LOADER(type)                                            \
    static type load_##type(const uint8_t *raw, size_t i)       \
    {                                                           \
        type value;                                             \
        memcpy(&value, raw + i * sizeof value, sizeof value);   \
        return value;                                           \
    }
LOADER(float)
LOADER(double)
LOADER(uint16_t)
LOADER(int8_t)
LOADER(int32_t)
LOADER(int64_t)

/* Element i of raw data as a float; false for types that do not convert. */
static bool raw_to_float(int32_t type, const uint8_t *raw, size_t i, float *value)
{
    switch (type) {
    case QN_FLOAT: *value = load_float(raw, i); return true;
    case QN_DOUBLE: *value = (float)load_double(raw, i); return true;
    case QN_FLOAT16: *value = half_to_float(load_uint16_t(raw, i)); return true;
    case ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16: *value = bfloat_to_float(load_uint16_t(raw, i)); return true;
    case QN_UINT8: *value = raw[i]; return true;
    case QN_INT8: *value = load_int8_t(raw, i); return true;
    case QN_INT32: *value = (float)load_int32_t(raw, i); return true;
    case QN_INT64: *value = (float)load_int64_t(raw, i); return true;
    default: return false;
    }
}

static bool typed_to_float(const Onnx__TensorProto *t, size_t i, float *value)
{
    switch (t->data_type) {
    case QN_FLOAT: *value = t->float_data[i]; return true;
    case QN_DOUBLE: *value = (float)t->double_data[i]; return true;
    case QN_FLOAT16: *value = half_to_float((uint16_t)t->int32_data[i]); return true;
    case ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16: *value = bfloat_to_float((uint16_t)t->int32_data[i]); return true;
    case QN_INT64: *value = (float)t->int64_data[i]; return true;
    case QN_UINT8:
    case QN_INT8:
    case QN_INT32: *value = (float)t->int32_data[i]; return true;
    default: return false;
    }
}

bool qn_tensor_float_part(const Onnx__TensorProto *tensor, size_t first, size_t count, float *values)
{
    if (tensor->data_type == QN_FLOAT && tensor->has_raw_data) {
        memcpy(values, tensor->raw_data.data + first * sizeof *values, count * sizeof *values);
        return true;
    }
    for (size_t i = 0; i < count; i++)
        if (!(tensor->has_raw_data ? raw_to_float(tensor->data_type, tensor->raw_data.data, first + i, &values[i]) : typed_to_float(tensor, first + i, &values[i])))
            return false;
    return true;
}

qonnx_status qn_tensor_floats(const Onnx__TensorProto *tensor, struct qn_arena *arena, const float **values, size_t *count, qonnx_error *err)
{
    float *copy;

    QN_TRY(qn_tensor_check(tensor, err));
    QN_TRY(qn_tensor_count(tensor, count, err));
    if (tensor->data_type == QN_FLOAT && !tensor->has_raw_data) {
        *values = *count ? tensor->float_data : (const float *)qn_arena_alloc(arena, sizeof **values);
        return QONNX_OK;
    }
    if (tensor->data_type == QN_FLOAT && tensor->has_raw_data && (uintptr_t)tensor->raw_data.data % sizeof(float) == 0 && *count) {
        *values = (const float *)(const void *)tensor->raw_data.data;
        return QONNX_OK;
    }
    copy = qn_arena_alloc_raw(arena, *count * sizeof *copy); /* count < SIZE_MAX / 16: checked */
    if (!copy) return qn_fail_nomem(err);
    if (!qn_tensor_float_part(tensor, 0, *count, copy))
        return qn_fail(err, QONNX_E_UNSUPPORTED, "%s values cannot be read as float", qn_dtype_name(tensor->data_type));
    *values = copy;
    return QONNX_OK;
}

/* The float16 or bfloat16 with the same value if there is one, else another. */
static uint16_t narrowed(float x, int32_t half)
{
    float    size = fabsf(x);
    uint32_t bits;
    uint16_t sign = signbit(x) ? 0x8000 : 0;

    if (half == QN_FLOAT16 && !isinf(size)) size *= 0x1p-112f;
    memcpy(&bits, &size, sizeof bits);
    if (half != QN_FLOAT16) return (uint16_t)(sign | bits >> 16);
    return (uint16_t)(sign | (isinf(size) ? 0x7c00 : bits >> 13));
}

Onnx__TensorProto *qn_tensor_narrowed(const Onnx__TensorProto *tensor, int32_t half, struct qn_arena *arena)
{
    struct qn_arena scratch = { 0 };
    const float    *x;
    uint16_t       *codes;
    size_t          count, same = 0;

    if (qn_tensor_floats(tensor, &scratch, &x, &count, NULL) != QONNX_OK || !(codes = qn_arena_alloc_raw(arena, count * sizeof *codes))) count = 0;
    for (; same < count; same++) {
        float back;
        codes[same] = narrowed(x[same], half);
        back = half == QN_FLOAT16 ? half_to_float(codes[same]) : bfloat_to_float(codes[same]);
        if (back != x[same] || isnan(x[same])) break;
    }
    qn_arena_release(&scratch);
    return count && same == count ? qn_tensor_new(arena, tensor->name, half, tensor->n_dims, tensor->dims, codes, count * sizeof *codes) : NULL;
}

static bool element_to_int(const Onnx__TensorProto *t, size_t i, int64_t *value)
{
    const uint8_t *raw = t->has_raw_data ? t->raw_data.data : NULL;

    switch (t->data_type) {
    case QN_INT64: *value = raw ? load_int64_t(raw, i) : t->int64_data[i]; return true;
    case QN_INT32: *value = raw ? load_int32_t(raw, i) : t->int32_data[i]; return true;
    case QN_INT8: *value = raw ? load_int8_t(raw, i) : t->int32_data[i]; return true;
    case QN_UINT8:
    case QN_BOOL: *value = raw ? raw[i] : t->int32_data[i]; return true;
    default: return false;
    }
}

qonnx_status qn_tensor_ints(const Onnx__TensorProto *tensor, struct qn_arena *arena, const int64_t **values, size_t *count, qonnx_error *err)
{
    int64_t *copy;

    QN_TRY(qn_tensor_check(tensor, err));
    QN_TRY(qn_tensor_count(tensor, count, err));
    copy = qn_arena_array(arena, *count, sizeof *copy);
    if (!copy) return qn_fail_nomem(err);
    for (size_t i = 0; i < *count; i++)
        if (!element_to_int(tensor, i, &copy[i]))
            return qn_fail(err, QONNX_E_UNSUPPORTED, "%s values cannot be read as integers", qn_dtype_name(tensor->data_type));
    *values = copy;
    return QONNX_OK;
}

Onnx__TensorProto *qn_tensor_new(struct qn_arena *arena, const char *name, int32_t type, size_t rank, const int64_t *dims, const void *bytes, size_t size)
{
    Onnx__TensorProto *tensor = qn_arena_alloc(arena, sizeof *tensor);

    if (!tensor) return NULL;
    onnx__tensor_proto__init(tensor);
    tensor->name = qn_arena_strdup(arena, name);
    tensor->n_dims = rank;
    tensor->dims = (int64_t *)(void *)qn_arena_memdup(arena, dims, rank * sizeof *dims);
    tensor->has_data_type = true;
    tensor->data_type = type;
    tensor->has_raw_data = true;
    tensor->raw_data.data = (uint8_t *)(uintptr_t)bytes;
    tensor->raw_data.len = size;
    return qn_arena_failed(arena) ? NULL : tensor;
}

Onnx__TensorProto *qn_tensor_float_scalar(struct qn_arena *arena, const char *name, float value)
{
    return qn_tensor_new(arena, name, QN_FLOAT, 0, NULL, qn_arena_memdup(arena, &value, sizeof value), sizeof value);
}

Onnx__TensorProto *qn_tensor_int64_vector(struct qn_arena *arena, const char *name, size_t count, const int64_t *values)
{
    int64_t dim = (int64_t)count;
    return qn_tensor_new(arena, name, QN_INT64, 1, &dim, qn_arena_memdup(arena, values, count * sizeof *values), count * sizeof *values);
}
