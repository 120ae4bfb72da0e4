/* SPDX-License-Identifier: Apache-2.0
 * Weights in blocks: as operands of MatMulNBits, or dequantized before the layer. */
#include <stdatomic.h>
#include <string.h>

#include "emit/lib/around.h"
#include "onnx/attr.h"
#include "onnx/deferred.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/block_weight.h"
#include "plan/round.h"

enum { ACCURACY_INT8 = 4 }; /* the kernel may round activations to 8 bits, by blocks: several times faster on CPUs */

/* Initializers of codes and parameters, before they are named. */
struct made {
    uint8_t *codes, *zero;
    float   *scale;
    size_t   code_bytes, blocks, zero_bytes;
};

/* Codes that are made when they are written. */
struct later {
    struct qn_matrix        matrix;
    struct qn_block_form    form;
    struct qn_block_place   place;
    const float            *scale;
    const uint8_t          *zero;
    const struct qn_map    *map; /* that holds the weights, or NULL */
    atomic_size_t          *left; /* bytes to be made; units read all over the weights, which are given back behind the last */
    size_t                  size;
    uint8_t                 flip;
};

static void drop_weights(const struct later *later)
{
    if (later->map) qn_map_drop(later->map, later->matrix.w, later->matrix.outputs * later->matrix.depth * sizeof(float));
}

static qonnx_status make_codes(const void *context, size_t offset, size_t size, uint8_t *bytes, qonnx_error *err)
{
    const struct later *later = context;
    qonnx_status        status = qn_block_codes(&later->matrix, &later->form, later->place, later->flip, later->scale, later->zero, offset, size, bytes, err);

    if (atomic_fetch_sub(later->left, size) == size) {
        atomic_store(later->left, later->size);
        drop_weights(later);
    }
    return status;
}

/* Parameters that were found before. */
static void take_params(const struct qn_block_rounded *found, const struct qn_matrix *m, const struct qn_block_form *form, struct qn_block_place place, struct made *made)
{
    const size_t blocks = qn_block_count(m, form);

    for (size_t i = 0; i < m->outputs; i++)
        for (size_t b = 0; b < blocks; b++) {
            const size_t at = i * place.param_out_stride + b * place.param_block_stride;
            made->scale[at] = found->scale[i * blocks + b];
            if (made->zero) made->zero[at] = found->zero[i * blocks + b];
        }
}

static qonnx_status make_params(struct qn_around *w, qn_node_id n, const struct qn_matrix *m, struct qn_block_place place, struct made *made)
{
    const struct qn_node_plan *row = &w->plan->nodes[n];
    struct qn_error_sums       lost = { 0, 0 };

    if (row->rounded) {
        take_params(row->rounded->blocks, m, &row->blocks->form, place, made);
        return QONNX_OK;
    }
    QN_TRY(qn_block_params(m, &row->blocks->form, place, made->scale, made->zero, &lost, qn_settings_threads(w->plan->settings), w->err));
    *row->blocks->lost = lost;
    return QONNX_OK;
}

static qonnx_status make(struct qn_around *w, qn_node_id n, const struct qn_matrix *m, struct qn_block_place place, size_t codes, uint8_t flip, struct made *made)
{
    enum { DEFERRED = 1 << 20 };
    const struct qn_block_plan *blocks = w->plan->nodes[n].blocks;
    const size_t                per = (size_t)(8 / blocks->form.bits);
    struct later               *later = qn_arena_alloc(w->arena, sizeof *later);
    atomic_size_t              *left = qn_arena_array(w->arena, 1, sizeof *left);
    struct qn_deferred          deferred = { .unit = qn_block_unit(m, &blocks->form, place), .make = make_codes, .context = later };

    made->blocks = m->outputs * qn_block_count(m, &blocks->form);
    made->code_bytes = deferred.size = codes / per + (codes % per != 0);
    made->scale = qn_arena_array(w->arena, made->blocks, sizeof *made->scale);
    made->zero = blocks->form.symmetric ? NULL : qn_arena_alloc_raw(w->arena, made->blocks);
    made->codes = made->code_bytes < DEFERRED ? qn_arena_alloc_raw(w->arena, made->code_bytes) : NULL;
    if (qn_arena_failed(w->arena)) return qn_fail_nomem(w->err);
    *later = (struct later){ *m, blocks->form, place, made->scale, made->zero, NULL, left, made->code_bytes, flip };
    atomic_init(left, made->code_bytes);
    qn_model_owns(w->plan->graph->model, m->w, &later->map);
    QN_TRY(make_params(w, n, m, place, made));
    if (made->codes) return make_codes(later, 0, made->code_bytes, made->codes, w->err);
    drop_weights(later);
    made->codes = qn_model_defer(w->plan->graph->model, &deferred);
    return made->codes ? QONNX_OK : qn_fail_nomem(w->err);
}

/* The weight, and what is known of it. */
static qonnx_status find_matrix(struct qn_around *w, qn_node_id n, struct qn_matrix *m)
{
    const struct qn_node_plan *row = &w->plan->nodes[n];

    QN_TRY(qn_block_weight_matrix(w->plan->graph, n, w->arena, m, w->err));
    m->importance = row->blocks->importance;
    m->codes = row->rounded ? row->rounded->blocks->codes : NULL;
    return QONNX_OK;
}

/* ---- MatMulNBits ---- */

static const char *add(struct qn_around *w, const char *base, const char *suffix, int32_t type, size_t rank, const int64_t *dims, const void *bytes, size_t size)
{
    const char *name = qn_edit_name(w->edit, base, suffix);

    qn_edit_add_initializer(w->edit, qn_tensor_new(w->arena, name, type, rank, dims, bytes, size));
    return name;
}

/* Zero points of an output begin at a whole byte. */
static uint8_t *pack_zeros(struct qn_around *w, const struct made *made, const struct qn_matrix *m, int bits, size_t *row)
{
    const size_t blocks = made->blocks / m->outputs, per = (size_t)(8 / bits);
    uint8_t     *packed = qn_arena_array(w->arena, m->outputs, *row = blocks / per + (blocks % per != 0));

    for (size_t i = 0; packed && i < m->outputs; i++) qn_block_pack_bytes(bits, made->zero + i * blocks, blocks, 0, packed + i * *row);
    return packed;
}

/* The operands that follow the first: codes, scales, zero points if there are any. */
static qonnx_status operands(struct qn_around *w, qn_node_id n, const struct qn_matrix *m, const char **inputs)
{
    const struct qn_block_form *form = &w->plan->nodes[n].blocks->form;
    const char                 *base = qn_node_constant(w->plan->graph, n, 1)->name;
    const size_t                blocks = qn_block_count(m, form), row = blocks * form->block;
    const int64_t               shape[3] = { (int64_t)m->outputs, (int64_t)blocks, (int64_t)form->block * form->bits / 8 };
    struct made                 made;
    size_t                      zeros;

    QN_TRY(make(w, n, m, (struct qn_block_place){ row, 1, blocks, 1, true }, m->outputs * row, 0, &made));
    inputs[0] = add(w, base, "_quantized", QN_UINT8, 3, shape, made.codes, made.code_bytes);
    inputs[1] = add(w, base, "_scales", QN_FLOAT, 2, shape, made.scale, made.blocks * sizeof(float));
    inputs[2] = NULL;
    if (form->symmetric) return QONNX_OK;
    made.zero = pack_zeros(w, &made, m, form->bits, &zeros);
    inputs[2] = add(w, base, "_zero_points", QN_UINT8, 2, (const int64_t[]){ (int64_t)m->outputs, (int64_t)zeros }, made.zero, m->outputs * zeros);
    return QONNX_OK;
}

/* What a Gemm adds is added behind. */
static void write_sum(struct qn_around *w, qn_node_id n, const char *product)
{
    const Onnx__NodeProto *pb = w->plan->graph->pb->node[n];
    const char            *inputs[] = { product, pb->input[2] };

    qn_edit_insert_after(w->edit, n, qn_node_new(w->arena, "Add", qn_edit_name(w->edit, pb->output[0], "_Add"), 2, inputs, 1, (const char *const *)pb->output));
}

qonnx_status qn_nbits_layer(struct qn_around *w, qn_node_id n)
{
    const Onnx__NodeProto      *pb = w->plan->graph->pb->node[n];
    const struct qn_block_form *form = &w->plan->nodes[n].blocks->form;
    const bool                  adds = pb->n_input > 2 && *pb->input[2];
    const char                 *inputs[4] = { pb->input[0] }, *out = adds ? qn_edit_name(w->edit, pb->output[0], "_product") : pb->output[0];
    struct qn_written          *written = qn_around_find_blocks(w, n);
    Onnx__NodeProto            *node;
    struct qn_matrix            m;

    QN_TRY(find_matrix(w, n, &m));
    if (!written) {
        if (!(written = qn_around_new_blocks(w, n))) return qn_fail_nomem(w->err);
        QN_TRY(operands(w, n, &m, written->names));
    }
    memcpy(inputs + 1, written->names, sizeof written->names);
    node = qn_node_new(w->arena, "MatMulNBits", pb->name ? pb->name : "", inputs[3] ? 4 : 3, inputs, 1, &out);
    if (!node) return qn_fail_nomem(w->err);
    node->domain = qn_arena_strdup(w->arena, "com.microsoft");
    qn_attr_set_int(w->arena, node, "K", (int64_t)m.depth);
    qn_attr_set_int(w->arena, node, "N", (int64_t)m.outputs);
    qn_attr_set_int(w->arena, node, "bits", form->bits);
    qn_attr_set_int(w->arena, node, "block_size", (int64_t)form->block);
    if (form->bits < 8) qn_attr_set_int(w->arena, node, "accuracy_level", ACCURACY_INT8);
    qn_edit_replace_node(w->edit, n, node);
    if (adds) write_sum(w, n, out);
    qn_edit_set_opset(w->edit, "com.microsoft", 1);
    return QONNX_OK;
}

/* ---- dequantized ---- */

/* The tensor keeps its shape, and so do scales and zero points but for the blocked axis. */
qonnx_status qn_qdq_blocks(struct qn_around *w, qn_node_id n, const char **out)
{
    const struct qn_block_form *form = &w->plan->nodes[n].blocks->form;
    const Onnx__TensorProto    *t = qn_node_constant(w->plan->graph, n, 1);
    const struct qn_qtype      *type = qn_qtype_for(form->bits, form->symmetric, form->bits);
    struct qn_matrix            m;
    struct made                 made;
    size_t                      blocks, zeros;
    int64_t                     dims[2];
    const char                 *inputs[3];
    uint8_t                    *packed;
    Onnx__NodeProto            *node;

    QN_TRY(find_matrix(w, n, &m));
    blocks = qn_block_count(&m, form);
    dims[0] = (int64_t)(m.depth_stride == 1 ? m.outputs : blocks);
    dims[1] = (int64_t)(m.depth_stride == 1 ? blocks : m.outputs);
    QN_TRY(make(w, n, &m, (struct qn_block_place){ m.out_stride, m.depth_stride, m.depth_stride == 1 ? blocks : 1, m.depth_stride == 1 ? 1 : m.outputs, false }, m.outputs * m.depth,
                (uint8_t)(form->symmetric ? 1 << (form->bits - 1) : 0), &made));
    zeros = qn_qtype_bytes(type, made.blocks);
    if (!(packed = qn_arena_array(w->arena, zeros, 1))) return qn_fail_nomem(w->err);
    if (made.zero) qn_block_pack_bytes(form->bits, made.zero, made.blocks, 0, packed);
    inputs[0] = add(w, t->name, "_quantized", type->onnx_type, t->n_dims, t->dims, made.codes, made.code_bytes);
    inputs[1] = add(w, t->name, "_scale", QN_FLOAT, 2, dims, made.scale, made.blocks * sizeof(float));
    inputs[2] = add(w, t->name, "_zero_point", type->onnx_type, 2, dims, packed, zeros);
    *out = qn_edit_name(w->edit, t->name, "_dequantized");
    node = qn_around_node(w, (struct qn_place){ n, true }, "DequantizeLinear", t->name, 3, inputs, *out);
    qn_attr_set_int(w->arena, node, "axis", m.depth_stride == 1 ? 1 : 0);
    qn_attr_set_int(w->arena, node, "block_size", (int64_t)form->block);
    return QONNX_OK;
}
