/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "pass/lib/fold.h"

enum { MAX_RANK = 32 };

/* ---- arithmetic ---- */

/* The shape that two operands broadcast to, and how far apart their elements lie along each axis. */
struct broadcast {
    size_t  rank, count;
    int64_t dims[MAX_RANK];
    size_t  strides[2][MAX_RANK];
};

static bool broadcast(struct broadcast *b, const Onnx__TensorProto *const *x)
{
    size_t stride[2] = { 1, 1 };

    b->rank = x[0]->n_dims > x[1]->n_dims ? x[0]->n_dims : x[1]->n_dims;
    b->count = 1;
    for (size_t axis = b->rank; axis-- > 0;) {
        int64_t size[2];
        for (int i = 0; i < 2; i++) size[i] = axis + x[i]->n_dims >= b->rank ? x[i]->dims[axis + x[i]->n_dims - b->rank] : 1;
        if (size[0] != size[1] && size[0] != 1 && size[1] != 1) return false;
        b->dims[axis] = size[0] == 1 ? size[1] : size[0];
        for (int i = 0; i < 2; i++) {
            b->strides[i][axis] = size[i] == 1 ? 0 : stride[i];
            stride[i] *= (size_t)size[i];
        }
        if (__builtin_mul_overflow(b->count, (size_t)b->dims[axis], &b->count)) return false;
    }
    return true;
}

static float apply(char op, float a, float b)
{
    switch (op) {
    case '+': return a + b;
    case '-': return a - b;
    case '*': return a * b;
    default: return a / b;
    }
}

static Onnx__TensorProto *fold_binary(char op, const Onnx__NodeProto *node, const Onnx__TensorProto *const *x, struct qn_arena *arena)
{
    struct broadcast b;
    const float     *from[2];
    size_t           counts[2], at[2] = { 0, 0 };
    int64_t          index[MAX_RANK] = { 0 };
    float           *to;

    if (node->n_input != 2 || node->n_attribute || !x[1] || x[0]->data_type != QN_FLOAT || x[1]->data_type != QN_FLOAT || !broadcast(&b, x)) return NULL;
    for (int i = 0; i < 2; i++)
        if (qn_tensor_floats(x[i], arena, &from[i], &counts[i], NULL) != QONNX_OK) return NULL;
    if (b.count > counts[0] && b.count > counts[1]) return NULL; /* as two operands it takes less room */
    if (!(to = qn_arena_alloc_raw(arena, b.count * sizeof *to))) return NULL;
    for (size_t i = 0; i < b.count; i++) {
        to[i] = apply(op, from[0][at[0]], from[1][at[1]]);
        for (size_t axis = b.rank; axis-- > 0;) {
            at[0] += b.strides[0][axis];
            at[1] += b.strides[1][axis];
            if (++index[axis] < b.dims[axis]) break;
            for (int k = 0; k < 2; k++) at[k] -= b.strides[k][axis] * (size_t)b.dims[axis];
            index[axis] = 0;
        }
    }
    return qn_tensor_new(arena, node->output[0], QN_FLOAT, b.rank, b.dims, to, b.count * sizeof *to);
}

static Onnx__TensorProto *fold_unary(char op, const Onnx__NodeProto *node, const Onnx__TensorProto *x, struct qn_arena *arena)
{
    const float *from;
    size_t       count;
    float       *to;

    if (x->data_type != QN_FLOAT || qn_tensor_floats(x, arena, &from, &count, NULL) != QONNX_OK) return NULL;
    if (!(to = qn_arena_alloc_raw(arena, count * sizeof *to))) return NULL;
    for (size_t i = 0; i < count; i++) to[i] = op == '~' ? -from[i] : op == '1' ? 1.0f / from[i] : sqrtf(from[i]);
    return qn_tensor_new(arena, node->output[0], QN_FLOAT, x->n_dims, x->dims, to, count * sizeof *to);
}

/* ---- parts ---- */

/* Elements before and behind an axis. */
static size_t product(const int64_t *dims, size_t from, size_t to)
{
    size_t n = 1;
    for (size_t i = from; i < to; i++) n *= (size_t)dims[i]; /* a part of the tensor's own count */
    return n;
}

static Onnx__TensorProto *fold_concat(const Onnx__NodeProto *node, const Onnx__TensorProto *const *x, struct qn_arena *arena)
{
    const Onnx__AttributeProto *given = qn_attr_find(node, "axis");
    size_t                      rank = x[0]->n_dims, width, widths, outer, at = 0, total = 0;
    int64_t                     axis = qn_attr_int(node, "axis", 0), dims[MAX_RANK];
    uint8_t                    *to;

    if (axis < 0) axis += (int64_t)rank;
    if (!given || axis < 0 || axis >= (int64_t)rank || !qn_fold_bytes(x[0], &width)) return NULL;
    memcpy(dims, x[0]->dims, rank * sizeof *dims);
    dims[axis] = 0;
    for (size_t i = 0; i < node->n_input; i++) {
        size_t count;
        if (!x[i] || x[i]->data_type != x[0]->data_type || x[i]->n_dims != rank || !qn_fold_bytes(x[i], &widths)) return NULL;
        for (size_t k = 0; k < rank; k++)
            if (k != (size_t)axis && x[i]->dims[k] != dims[k]) return NULL;
        if (qn_tensor_count(x[i], &count, NULL) != QONNX_OK || !count || __builtin_add_overflow(total, count, &total)) return NULL;
        dims[axis] += x[i]->dims[axis]; /* no larger than the total count */
    }
    outer = product(dims, 0, (size_t)axis);
    if (!(to = qn_arena_array(arena, total, width))) return NULL;
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < node->n_input; i++) {
            size_t block = product(x[i]->dims, (size_t)axis, rank) * width;
            memcpy(to + at, qn_fold_bytes(x[i], &widths) + o * block, block);
            at += block;
        }
    return qn_tensor_new(arena, node->output[0], x[0]->data_type, rank, dims, to, total * width);
}

/* Start and size of a slice with step 1 along one axis. */
static bool one_slice(const Onnx__NodeProto *node, const Onnx__TensorProto *const *x, struct qn_arena *scratch, int64_t *axis, int64_t *start, int64_t *size)
{
    int64_t rank = (int64_t)x[0]->n_dims, end = 0, dim;

    *axis = 0;
    if (node->n_input < 3) return false;
    for (size_t slot = 1; slot < node->n_input; slot++) { /* start, end, axis, step: one of each */
        const int64_t *value;
        size_t         count;
        if (!*node->input[slot]) continue;
        if (slot > 4 || !x[slot] || qn_tensor_ints(x[slot], scratch, &value, &count, NULL) != QONNX_OK || count != 1) return false;
        if (slot == 1) *start = *value;
        if (slot == 2) end = *value;
        if (slot == 3) *axis = *value;
        if (slot == 4 && *value != 1) return false;
    }
    if (!x[1] || !x[2]) return false;
    if (*axis < 0) *axis += rank;
    if (*axis < 0 || *axis >= rank) return false;
    dim = x[0]->dims[*axis];
    if (*start < 0) *start = *start < -dim ? 0 : *start + dim;
    if (end < 0) end = end < -dim ? 0 : end + dim;
    if (end > dim) end = dim;
    *size = end - *start;
    return *start < dim && *size > 0;
}

static Onnx__TensorProto *fold_slice(const Onnx__NodeProto *node, const Onnx__TensorProto *const *x, struct qn_arena *arena)
{
    int64_t        axis, start = 0, size, dims[MAX_RANK];
    size_t         width, outer, inner, block;
    const uint8_t *from = qn_fold_bytes(x[0], &width);
    uint8_t       *to;

    if (!from || !one_slice(node, x, arena, &axis, &start, &size)) return NULL;
    memcpy(dims, x[0]->dims, x[0]->n_dims * sizeof *dims);
    outer = product(dims, 0, (size_t)axis);
    inner = product(dims, (size_t)axis + 1, x[0]->n_dims) * width;
    block = (size_t)size * inner;
    if (!(to = qn_arena_array(arena, outer, block))) return NULL;
    for (size_t o = 0; o < outer; o++) memcpy(to + o * block, from + (o * (size_t)dims[axis] + (size_t)start) * inner, block);
    dims[axis] = size;
    return qn_tensor_new(arena, node->output[0], x[0]->data_type, x[0]->n_dims, dims, to, outer * block);
}

/* ---- all ---- */

Onnx__TensorProto *qn_fold_values(const Onnx__NodeProto *node, const Onnx__TensorProto *const *inputs, struct qn_arena *arena)
{
    static const struct {
        const char *op;
        char        how;
    } arithmetic[] = { { "Add", '+' }, { "Sub", '-' }, { "Mul", '*' }, { "Div", '/' }, { "Neg", '~' }, { "Reciprocal", '1' }, { "Sqrt", 'q' } };

    if (node->n_output != 1 || !node->n_input || !inputs[0]) return NULL;
    for (size_t i = 0; i < node->n_input; i++)
        if (inputs[i] && (inputs[i]->n_dims > MAX_RANK || qn_tensor_check(inputs[i], NULL) != QONNX_OK)) return NULL;
    if (strcmp(node->op_type, "Concat") == 0) return fold_concat(node, inputs, arena);
    if (strcmp(node->op_type, "Slice") == 0) return fold_slice(node, inputs, arena);
    for (size_t i = 0; i < sizeof arithmetic / sizeof *arithmetic; i++)
        if (strcmp(node->op_type, arithmetic[i].op) == 0)
            return i < 4 ? fold_binary(arithmetic[i].how, node, inputs, arena) : fold_unary(arithmetic[i].how, node, inputs[0], arena);
    return qn_fold(node, inputs, arena);
}
