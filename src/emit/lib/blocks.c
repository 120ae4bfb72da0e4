/* SPDX-License-Identifier: Apache-2.0
 * Weights in blocks: as operands of MatMulNBits, or dequantized before the layer. */
#include <string.h>

#include "emit/lib/around.h"
#include "emit/lib/tally.h"
#include "onnx/attr.h"
#include "onnx/deferred.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/block_weight.h"
#include "plan/round.h"

enum { ACCURACY_INT8 = 4 }; /* the kernel may round activations to 8 bits, by blocks: several times faster on CPUs */

/* Initializers of codes and parameters, before they are named. */
struct made {
    uint8_t *codes, *zero; /* zero points packed; NULL: none are wanted */
    float   *scale;
    size_t   code_bytes, blocks, zero_bytes;
};

/* Codes and parameters that are made when they are written. */
struct later {
    struct qn_matrix          matrix;
    struct qn_block_form      form;
    struct qn_block_place     place;
    struct qn_block_params_to to;
    struct qn_block_cut       cut;
    struct qn_tally          *tally;
    uint8_t                   flip;
};

static qonnx_status make_piece(const void *context, struct qn_piece piece, uint8_t *bytes, qonnx_error *err)
{
    const struct later  *later = context;
    const size_t         unit = piece.offset / later->cut.unit;
    struct qn_error_sums lost = { 0, 0 };

    QN_TRY(qn_block_make(&later->matrix, &later->form, later->place, later->flip, unit, piece.part, bytes, later->to, &lost, err));
    qn_tally_add(later->tally, unit * later->cut.parts + piece.part, lost);
    return QONNX_OK;
}

/* Of a small matrix. */
static qonnx_status make_now(const struct later *later, uint8_t *codes, qonnx_error *err)
{
    for (size_t i = 0; i < later->cut.pieces; i++) {
        struct qn_piece piece = { i / later->cut.parts * later->cut.unit, 0, i % later->cut.parts };
        QN_TRY(make_piece(later, piece, codes + piece.offset, err));
    }
    return QONNX_OK;
}

static qonnx_status make_later(struct qn_around *w, struct later *later, struct made *made)
{
    struct qn_model   *model = w->plan->graph->model;
    struct qn_deferred along = { .size = made->blocks * sizeof(float) };
    struct qn_deferred codes = { .size = made->code_bytes, .unit = later->cut.unit, .parts = later->cut.parts, .make = make_piece, .context = later };

    codes.source = later->matrix.w;
    codes.source_size = later->matrix.outputs * later->matrix.depth * sizeof(float);
    if (!(made->codes = qn_model_defer(model, &codes))) return qn_fail_nomem(w->err);
    along.along = made->codes;
    if (!(made->scale = later->to.scale = (float *)(void *)qn_model_defer(model, &along))) return qn_fail_nomem(w->err);
    along.size = made->zero_bytes;
    if (along.size && !(made->zero = qn_model_defer(model, &along))) return qn_fail_nomem(w->err);
    return QONNX_OK;
}

/* `codes` of them are packed; zero points of an output take `zero_row` bytes, or follow those of the one before. */
static qonnx_status make(struct qn_around *w, qn_node_id n, const struct qn_matrix *m, struct qn_block_place place, size_t codes, size_t zero_row, uint8_t flip, struct made *made)
{
    enum { DEFERRED = 4096 /* blocks */ };
    const struct qn_block_form *form = &w->plan->nodes[n].blocks->form;
    const size_t                per = (size_t)(8 / form->bits);
    struct later               *later = qn_arena_alloc(w->arena, sizeof *later);

    if (!later) return qn_fail_nomem(w->err);
    *later = (struct later){ *m, *form, place, { NULL, NULL, form->bits, zero_row }, qn_block_cut(m, form, place), NULL, flip };
    if (!(later->tally = qn_tally_new(w->arena, later->cut.pieces, m->found.codes ? NULL : w->plan->nodes[n].lost))) return qn_fail_nomem(w->err);
    made->blocks = m->outputs * qn_block_count(m, form);
    made->code_bytes = codes / per + (codes % per != 0);
    made->zero_bytes = zero_row ? m->outputs * zero_row : made->blocks / per + (made->blocks % per != 0);
    if (form->symmetric && zero_row) made->zero_bytes = 0;
    made->zero = NULL;
    if (made->blocks >= DEFERRED) {
        QN_TRY(make_later(w, later, made));
    } else {
        made->codes = qn_arena_alloc_raw(w->arena, made->code_bytes);
        made->scale = qn_arena_array(w->arena, made->blocks, sizeof *made->scale);
        made->zero = qn_arena_array(w->arena, made->zero_bytes, 1);
        if (qn_arena_failed(w->arena)) return qn_fail_nomem(w->err);
        later->to.scale = made->scale;
    }
    later->to.zero = form->symmetric ? NULL : made->zero;
    return made->blocks >= DEFERRED ? QONNX_OK : make_now(later, made->codes, w->err);
}

/* The weight, and what is known of it. */
static qonnx_status find_matrix(struct qn_around *w, qn_node_id n, struct qn_matrix *m)
{
    const struct qn_node_plan     *row = &w->plan->nodes[n];
    const struct qn_block_rounded *found = row->rounded ? row->rounded->blocks : NULL;

    QN_TRY(qn_block_weight_matrix(w->plan->graph, n, w->arena, m, w->err));
    m->importance = row->blocks->importance;
    if (found) m->found = (struct qn_block_found){ found->scale, found->zero, found->codes };
    return QONNX_OK;
}

/* ---- MatMulNBits ---- */

static const char *add(struct qn_around *w, const char *base, const char *suffix, int32_t type, size_t rank, const int64_t *dims, const void *bytes, size_t size)
{
    const char *name = qn_edit_name(w->edit, base, suffix);

    qn_edit_add_initializer(w->edit, qn_tensor_new(w->arena, name, type, rank, dims, bytes, size));
    return name;
}

/* The operands made of the constant in `slot`: codes, scales, zero points if there are any. An output's codes end with its
 * last block, [outputs][blocks][bytes of one], or with the depth, [outputs][bytes]. */
static qonnx_status operands(struct qn_around *w, qn_node_id n, const struct qn_matrix *m, size_t slot, bool whole_blocks, const char **inputs)
{
    const struct qn_block_form *form = &w->plan->nodes[n].blocks->form;
    const char                 *base = qn_node_constant(w->plan->graph, n, slot)->name;
    const size_t                blocks = qn_block_count(m, form), row = whole_blocks ? blocks * form->block : m->depth;
    const int64_t               outputs = (int64_t)m->outputs, last = (int64_t)(whole_blocks ? form->block : row) * form->bits / 8;
    const int64_t               cut[3] = { outputs, (int64_t)blocks, last }, rows[2] = { outputs, last };
    const size_t                zeros = (blocks * (size_t)form->bits + 7) / 8; /* those of an output begin at a whole byte */
    struct made                 made;

    QN_TRY(make(w, n, m, (struct qn_block_place){ row, 1, blocks, 1, whole_blocks }, m->outputs * row, zeros, 0, &made));
    inputs[0] = add(w, base, "_quantized", QN_UINT8, whole_blocks ? 3 : 2, whole_blocks ? cut : rows, made.codes, made.code_bytes);
    inputs[1] = add(w, base, "_scales", QN_FLOAT, 2, cut, made.scale, made.blocks * sizeof(float));
    inputs[2] = NULL;
    if (form->symmetric) return QONNX_OK;
    inputs[2] = add(w, base, "_zero_points", QN_UINT8, 2, (const int64_t[]){ outputs, (int64_t)zeros }, made.zero, made.zero_bytes);
    return QONNX_OK;
}

/* What a Gemm adds is added behind. */
static void write_sum(struct qn_around *w, qn_node_id n, const char *product, const char *bias)
{
    const Onnx__NodeProto *pb = w->plan->graph->pb->node[n];
    const char            *inputs[] = { product, bias };

    qn_edit_insert_after(w->edit, n, qn_node_new(w->arena, "Add", qn_edit_name(w->edit, pb->output[0], "_Add"), 2, inputs, 1, (const char *const *)pb->output));
}

qonnx_status qn_nbits_layer(struct qn_around *w, qn_node_id n)
{
    const Onnx__NodeProto      *pb = w->plan->graph->pb->node[n];
    const struct qn_block_form *form = &w->plan->nodes[n].blocks->form;
    const bool                  adds = pb->n_input > 2 && *pb->input[2];
    const char                 *inputs[4] = { pb->input[0] }, *out = adds ? qn_edit_name(w->edit, pb->output[0], "_product") : pb->output[0];
    struct qn_written          *written = qn_around_find_blocks(w, n);
    const char                 *bias = adds ? pb->input[2] : NULL;
    const float                *moved;
    struct qn_use               at;
    Onnx__NodeProto            *node;
    struct qn_matrix            m;

    QN_TRY(find_matrix(w, n, &m));
    QN_TRY(qn_around_bias(w, n, &at, &moved));
    if (moved) bias = qn_around_new_bias(w, at, moved);
    if (moved && !adds) qn_edit_set_input(w->edit, at.node, at.slot, bias);
    if (!written) {
        if (!(written = qn_around_new_blocks(w, n))) return qn_fail_nomem(w->err);
        QN_TRY(operands(w, n, &m, 1, true, written->names));
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
    if (adds) write_sum(w, n, out, bias);
    qn_edit_set_opset(w->edit, "com.microsoft", 1);
    return QONNX_OK;
}

/* ---- GatherBlockQuantized ---- */

qonnx_status qn_nbits_table(struct qn_around *w, qn_node_id n)
{
    const Onnx__NodeProto      *pb = w->plan->graph->pb->node[n];
    const struct qn_block_form *form = &w->plan->nodes[n].blocks->form;
    struct qn_written          *written = qn_around_find_blocks(w, n);
    const char                 *inputs[4];
    Onnx__NodeProto            *node;
    struct qn_matrix            m;

    QN_TRY(find_matrix(w, n, &m));
    if (!written) {
        if (!(written = qn_around_new_blocks(w, n))) return qn_fail_nomem(w->err);
        QN_TRY(operands(w, n, &m, 0, false, written->names));
    }
    inputs[0] = written->names[0];
    inputs[1] = pb->input[1];
    inputs[2] = written->names[1];
    inputs[3] = written->names[2];
    node = qn_node_new(w->arena, "GatherBlockQuantized", pb->name ? pb->name : "", inputs[3] ? 4 : 3, inputs, 1, (const char *const *)pb->output);
    if (!node) return qn_fail_nomem(w->err);
    node->domain = qn_arena_strdup(w->arena, "com.microsoft");
    qn_attr_set_int(w->arena, node, "bits", form->bits);
    qn_attr_set_int(w->arena, node, "block_size", (int64_t)form->block);
    qn_attr_set_int(w->arena, node, "gather_axis", 0);
    qn_attr_set_int(w->arena, node, "quantize_axis", 1);
    qn_edit_replace_node(w->edit, n, node);
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
    const int                   axis = qn_block_axis(w->plan->graph, n);
    struct qn_block_place       place;
    size_t                      blocks;
    int64_t                     dims[2];
    const char                 *inputs[3];
    Onnx__NodeProto            *node;

    QN_TRY(find_matrix(w, n, &m));
    blocks = qn_block_count(&m, form);
    dims[axis] = (int64_t)blocks;
    dims[!axis] = (int64_t)m.outputs;
    place = m.outputs == 1 ? (struct qn_block_place){ m.depth, 1, blocks, 1, false }
                           : (struct qn_block_place){ m.out_stride, m.depth_stride, axis ? blocks : 1, axis ? 1 : m.outputs, false };
    QN_TRY(make(w, n, &m, place, m.outputs * m.depth, 0,
                (uint8_t)(form->symmetric ? 1 << (form->bits - 1) : 0), &made));
    inputs[0] = add(w, t->name, "_quantized", type->onnx_type, t->n_dims, t->dims, made.codes, made.code_bytes);
    inputs[1] = add(w, t->name, "_scale", QN_FLOAT, 2, dims, made.scale, made.blocks * sizeof(float));
    inputs[2] = add(w, t->name, "_zero_point", type->onnx_type, 2, dims, made.zero, made.zero_bytes);
    *out = qn_edit_name(w->edit, t->name, "_dequantized");
    node = qn_around_node(w, (struct qn_place){ n, true }, "DequantizeLinear", t->name, 3, inputs, *out);
    qn_attr_set_int(w->arena, node, "axis", axis);
    qn_attr_set_int(w->arena, node, "block_size", (int64_t)form->block);
    return QONNX_OK;
}
