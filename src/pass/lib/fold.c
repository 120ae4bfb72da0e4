/* SPDX-License-Identifier: Apache-2.0 */
#include "pass/lib/fold.h"

#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

enum { MAX_RANK = 32 };

/* A tensor of the same data under another name and shape. */
static Onnx__TensorProto *view(const Onnx__TensorProto *tensor, const char *name, size_t rank, const int64_t *dims,
                               struct qn_arena *arena)
{
    Onnx__TensorProto *copy = (Onnx__TensorProto *)(void *)qn_arena_memdup(arena, tensor, sizeof *tensor);

    if (!copy) return NULL;
    copy->name = (char *)(uintptr_t)name;
    copy->n_dims = rank;
    copy->dims = (int64_t *)(void *)qn_arena_memdup(arena, dims, rank * sizeof *dims);
    return copy->dims ? copy : NULL;
}

static Onnx__TensorProto *floats_constant(const Onnx__AttributeProto *attr, const char *name, size_t rank,
                                          struct qn_arena *arena)
{
    const float *values = rank ? attr->floats : &attr->f;
    size_t       count = rank ? attr->n_floats : 1;
    int64_t      dim = (int64_t)count;
    return qn_tensor_new(arena, name, QN_FLOAT, rank, &dim, qn_arena_memdup(arena, values, count * sizeof *values),
                         count * sizeof *values);
}

static Onnx__TensorProto *ints_constant(const Onnx__AttributeProto *attr, const char *name, size_t rank,
                                        struct qn_arena *arena)
{
    const int64_t *values = rank ? attr->ints : &attr->i;
    size_t         count = rank ? attr->n_ints : 1;
    int64_t        dim = (int64_t)count;
    return qn_tensor_new(arena, name, QN_INT64, rank, &dim, qn_arena_memdup(arena, values, count * sizeof *values),
                         count * sizeof *values);
}

Onnx__TensorProto *qn_fold_constant(const Onnx__NodeProto *node, struct qn_arena *arena)
{
    const Onnx__AttributeProto *attr = node->n_attribute == 1 ? node->attribute[0] : NULL;
    const char                 *name = node->n_output == 1 ? node->output[0] : "";

    if (!attr || !attr->name || !*name || node->n_input) return NULL;
    if (strcmp(attr->name, "value") == 0) {
        const Onnx__TensorProto *tensor = qn_attr_tensor(node, "value");
        if (!tensor || tensor->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__STRING ||
            qn_tensor_check(tensor, NULL) != QONNX_OK)
            return NULL;
        return view(tensor, name, tensor->n_dims, tensor->dims, arena);
    }
    if (strcmp(attr->name, "value_float") == 0 && attr->has_f) return floats_constant(attr, name, 0, arena);
    if (strcmp(attr->name, "value_floats") == 0 && attr->n_floats) return floats_constant(attr, name, 1, arena);
    if (strcmp(attr->name, "value_int") == 0 && attr->has_i) return ints_constant(attr, name, 0, arena);
    if (strcmp(attr->name, "value_ints") == 0 && attr->n_ints) return ints_constant(attr, name, 1, arena);
    return NULL;
}

/* ---- Cast ---- */

static Onnx__TensorProto *cast_to_float(const Onnx__TensorProto *x, const char *name, struct qn_arena *arena)
{
    const float *values;
    size_t       count;

    if (x->data_type == QN_BOOL || qn_tensor_floats(x, arena, &values, &count, NULL) != QONNX_OK) return NULL;
    return qn_tensor_new(arena, name, QN_FLOAT, x->n_dims, x->dims, values, count * sizeof *values);
}

/* Floats go through double, which holds every value in range exactly; outside the range nothing is defined. */
static bool integers_of(const Onnx__TensorProto *x, int64_t limit, struct qn_arena *scratch, int64_t **result,
                        size_t *count)
{
    const float   *floats;
    const int64_t *ints;
    int64_t       *values;

    if (x->data_type != QN_FLOAT) {
        if (qn_tensor_ints(x, scratch, &ints, count, NULL) != QONNX_OK) return false;
        for (size_t i = 0; i < *count; i++)
            if (ints[i] > limit || ints[i] < -limit - 1) return false;
        *result = (int64_t *)(uintptr_t)ints;
        return true;
    }
    if (qn_tensor_floats(x, scratch, &floats, count, NULL) != QONNX_OK ||
        !(values = qn_arena_array(scratch, *count, sizeof *values)))
        return false;
    for (size_t i = 0; i < *count; i++) {
        if (!(fabs((double)floats[i]) < (double)limit)) return false;
        values[i] = (int64_t)floats[i];
    }
    *result = values;
    return true;
}

static Onnx__TensorProto *cast_to_int(const Onnx__TensorProto *x, const char *name, int32_t to, struct qn_arena *arena)
{
    struct qn_arena    scratch = { 0 };
    Onnx__TensorProto *result = NULL;
    int64_t           *values;
    size_t             count, size = to == QN_INT64 ? sizeof(int64_t) : sizeof(int32_t);
    uint8_t           *bytes;

    if (integers_of(x, to == QN_INT64 ? INT64_MAX : INT32_MAX, &scratch, &values, &count) &&
        (bytes = qn_arena_alloc_raw(arena, count * size)) != NULL) {
        for (size_t i = 0; i < count; i++) {
            int32_t narrow = (int32_t)values[i];
            memcpy(bytes + i * size, to == QN_INT64 ? (const void *)&values[i] : (const void *)&narrow, size);
        }
        result = qn_tensor_new(arena, name, to, x->n_dims, x->dims, bytes, count * size);
    }
    qn_arena_release(&scratch);
    return result;
}

static Onnx__TensorProto *fold_cast(const Onnx__NodeProto *node, const Onnx__TensorProto *x, struct qn_arena *arena)
{
    int64_t to = qn_attr_int(node, "to", 0);

    if (to == x->data_type) return view(x, node->output[0], x->n_dims, x->dims, arena);
    if (to == QN_FLOAT) return cast_to_float(x, node->output[0], arena);
    if (to == QN_INT64 || to == QN_INT32) return cast_to_int(x, node->output[0], (int32_t)to, arena);
    return NULL;
}

/* ---- operators that only change the shape ---- */

/* The integers of the attribute `name`, or of the constant second input; false when there are none. */
static bool integers(const Onnx__NodeProto *node, const char *name, const Onnx__TensorProto *second,
                     struct qn_arena *arena, const int64_t **values, size_t *count)
{
    if ((*values = qn_attr_ints(node, name, count)) != NULL) return true;
    return second && second->n_dims <= 1 && qn_tensor_ints(second, arena, values, count, NULL) == QONNX_OK;
}

static bool reshape_dims(const Onnx__NodeProto *node, const Onnx__TensorProto *x, const int64_t *wanted, size_t count,
                         int64_t *dims)
{
    size_t elements, known = 1, free_axis = count;

    if (qn_tensor_count(x, &elements, NULL) != QONNX_OK || qn_attr_int(node, "allowzero", 0)) return false;
    for (size_t i = 0; i < count; i++) {
        dims[i] = wanted[i];
        if (wanted[i] == 0 && i < x->n_dims) dims[i] = x->dims[i];
        if (wanted[i] == -1 && free_axis == count)
            free_axis = i;
        else if (dims[i] <= 0 || __builtin_mul_overflow(known, (size_t)dims[i], &known))
            return false;
    }
    if (free_axis == count) return known == elements;
    dims[free_axis] = (int64_t)(elements / known);
    return elements && elements % known == 0;
}

/* Marks the axes, counted on `rank`; false for one out of range or named twice. */
static bool mark_axes(const int64_t *axes, size_t count, size_t rank, bool *marked)
{
    for (size_t i = 0; i < count; i++) {
        int64_t axis = axes[i] < 0 ? axes[i] + (int64_t)rank : axes[i];
        if (axis < 0 || axis >= (int64_t)rank || marked[axis]) return false;
        marked[axis] = true;
    }
    return true;
}

static Onnx__TensorProto *fold_squeeze(const Onnx__NodeProto *node, const Onnx__TensorProto *x,
                                       const Onnx__TensorProto *second, struct qn_arena *arena)
{
    bool           marked[MAX_RANK] = { false };
    int64_t        dims[MAX_RANK];
    const int64_t *axes;
    size_t         count, rank = 0;
    bool           given = integers(node, "axes", second, arena, &axes, &count);

    if (!given && node->n_input > 1) return NULL;
    if (given && !mark_axes(axes, count, x->n_dims, marked)) return NULL;
    for (size_t i = 0; i < x->n_dims; i++) {
        if (given && marked[i] && x->dims[i] != 1) return NULL;
        if (given ? !marked[i] : x->dims[i] != 1) dims[rank++] = x->dims[i];
    }
    return view(x, node->output[0], rank, dims, arena);
}

static Onnx__TensorProto *fold_unsqueeze(const Onnx__NodeProto *node, const Onnx__TensorProto *x,
                                         const Onnx__TensorProto *second, struct qn_arena *arena)
{
    bool           marked[MAX_RANK] = { false };
    int64_t        dims[MAX_RANK];
    const int64_t *axes;
    size_t         count, from = 0;

    if (!integers(node, "axes", second, arena, &axes, &count) || count > MAX_RANK - x->n_dims) return NULL;
    if (!mark_axes(axes, count, x->n_dims + count, marked)) return NULL;
    for (size_t i = 0; i < x->n_dims + count; i++) dims[i] = marked[i] ? 1 : x->dims[from++];
    return view(x, node->output[0], x->n_dims + count, dims, arena);
}

static Onnx__TensorProto *fold_flatten(const Onnx__NodeProto *node, const Onnx__TensorProto *x, struct qn_arena *arena)
{
    int64_t axis = qn_attr_int(node, "axis", 1), rank = (int64_t)x->n_dims, dims[2] = { 1, 1 };
    size_t  elements;

    if (axis < 0) axis += rank;
    if (axis < 0 || axis > rank || qn_tensor_count(x, &elements, NULL) != QONNX_OK || !elements) return NULL;
    for (int64_t i = 0; i < rank; i++) dims[i >= axis] *= x->dims[i]; /* cannot overflow: the whole product does not */
    return view(x, node->output[0], 2, dims, arena);
}

/* ---- Transpose ---- */

const uint8_t *qn_fold_bytes(const Onnx__TensorProto *x, size_t *width)
{
    const struct qn_dtype *dtype = qn_dtype_find(x->data_type);

    if (!dtype || dtype->bits < 8) return NULL;
    *width = (size_t)dtype->bits / 8;
    if (x->has_raw_data) return x->raw_data.data;
    switch (x->data_type) {
    case QN_FLOAT: return (const uint8_t *)x->float_data;
    case QN_DOUBLE: return (const uint8_t *)x->double_data;
    case QN_INT32: return (const uint8_t *)x->int32_data;
    case QN_INT64: return (const uint8_t *)x->int64_data;
    default: return NULL;
    }
}

static void transpose(const uint8_t *from, uint8_t *to, size_t width, size_t count, size_t rank, const int64_t *dims,
                      const size_t *strides)
{
    int64_t index[MAX_RANK] = { 0 };
    size_t  at = 0;

    for (size_t i = 0; i < count; i++) {
        memcpy(to + i * width, from + at * width, width);
        for (size_t axis = rank; axis-- > 0;) {
            at += strides[axis];
            if (++index[axis] < dims[axis]) break;
            at -= strides[axis] * (size_t)dims[axis];
            index[axis] = 0;
        }
    }
}

static Onnx__TensorProto *fold_transpose(const Onnx__NodeProto *node, const Onnx__TensorProto *x,
                                         struct qn_arena *arena)
{
    size_t         rank = x->n_dims, given, count, width = 0, stride = 1, natural[MAX_RANK], strides[MAX_RANK];
    int64_t        dims[MAX_RANK];
    bool           marked[MAX_RANK] = { false };
    const int64_t *perm = qn_attr_ints(node, "perm", &given);
    const uint8_t *from = qn_fold_bytes(x, &width);
    uint8_t       *to;

    if (!from || qn_tensor_count(x, &count, NULL) != QONNX_OK || !count) return NULL;
    if (perm && (given != rank || !mark_axes(perm, given, rank, marked))) return NULL;
    for (size_t axis = rank; axis-- > 0;) {
        natural[axis] = stride;
        stride *= (size_t)x->dims[axis];
    }
    for (size_t i = 0; i < rank; i++) {
        size_t axis = perm ? (size_t)(perm[i] < 0 ? perm[i] + (int64_t)rank : perm[i]) : rank - 1 - i;
        dims[i] = x->dims[axis];
        strides[i] = natural[axis];
    }
    if (!(to = qn_arena_alloc_raw(arena, count * width))) return NULL;
    transpose(from, to, width, count, rank, dims, strides);
    return qn_tensor_new(arena, node->output[0], x->data_type, rank, dims, to, count * width);
}

Onnx__TensorProto *qn_fold(const Onnx__NodeProto *node, const Onnx__TensorProto *const *inputs, struct qn_arena *arena)
{
    const Onnx__TensorProto *x = node->n_input ? inputs[0] : NULL, *second = node->n_input > 1 ? inputs[1] : NULL;
    int64_t                  dims[MAX_RANK];
    const int64_t           *wanted;
    size_t                   count;

    if (node->n_output != 1 || !x || x->n_dims > MAX_RANK || qn_tensor_check(x, NULL) != QONNX_OK) return NULL;
    if (x->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__STRING) return NULL;
    if (strcmp(node->op_type, "Cast") == 0) return fold_cast(node, x, arena);
    if (strcmp(node->op_type, "Squeeze") == 0) return fold_squeeze(node, x, second, arena);
    if (strcmp(node->op_type, "Unsqueeze") == 0) return fold_unsqueeze(node, x, second, arena);
    if (strcmp(node->op_type, "Flatten") == 0) return fold_flatten(node, x, arena);
    if (strcmp(node->op_type, "Transpose") == 0) return fold_transpose(node, x, arena);
    if (strcmp(node->op_type, "Reshape") != 0 || !integers(node, "", second, arena, &wanted, &count) || count > MAX_RANK) return NULL;
    return reshape_dims(node, x, wanted, count, dims) ? view(x, node->output[0], count, dims, arena) : NULL;
}
