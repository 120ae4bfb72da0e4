/* SPDX-License-Identifier: Apache-2.0 */
#include "emit/emit.h"

#include <string.h>

#include "emit/lib/tally.h"
#include "onnx/deferred.h"
#include "onnx/tensor.h"
#include "quant/pack.h"
#include "quant/small_float.h"

enum {
    DEFERRED = 1 << 20, /* bytes of codes from which on they are made when they are written, */
    UNIT = 512 * 1024,  /* in units that fit a core's cache */
};

#define QN_EMITTER(name) extern const struct qn_emitter qn_emit_##name;
#include "emit.def"
#undef QN_EMITTER

static const struct qn_emitter *const emitters[] = {
#define QN_EMITTER(name) &qn_emit_##name,
#include "emit.def"
#undef QN_EMITTER
};

const struct qn_emitter *qn_emitter_at(size_t i) { return i < sizeof emitters / sizeof *emitters ? emitters[i] : NULL; }

const struct qn_emitter *qn_emitter_find(const char *name)
{
    for (size_t i = 0; i < sizeof emitters / sizeof *emitters; i++)
        if (strcmp(emitters[i]->name, name) == 0) return emitters[i];
    return NULL;
}

qonnx_status qn_emit(const struct qn_emitter *emitter, const struct qn_plan *plan, struct qn_graph *graph, qonnx_error *err)
{
    struct qn_edit *edit;
    qonnx_status    status;

    for (int step = 0; step < (emitter->fold ? 2 : 1); step++) {
        QN_TRY(qn_edit_begin(&edit, graph, err));
        status = step ? emitter->fold(graph, edit, err) : emitter->emit(plan, edit, err);
        if (status == QONNX_OK) {
            QN_TRY(qn_edit_commit(edit, NULL, err));
            continue;
        }
        qn_edit_cancel(edit);
        return status;
    }
    return QONNX_OK;
}

struct qn_param_names qn_emit_params(struct qn_edit *edit, const struct qn_qparams *params, const char *base)
{
    struct qn_arena      *arena = qn_edit_arena(edit);
    struct qn_param_names names = { qn_edit_name(edit, base, "_scale"), qn_edit_name(edit, base, "_zero_point") };
    size_t                rank = params->axis < 0 ? 0 : 1, code = params->type->code_size;
    int64_t               dim = (int64_t)params->count;
    uint8_t              *zeros = qn_arena_array(arena, params->count, code);

    for (size_t i = 0; zeros && i < params->count; i++) memcpy(zeros + i * code, &params->zero_point[i], code); /* little-endian */
    qn_edit_add_initializer(edit, qn_tensor_new(arena, names.scale, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, rank, &dim,
                                                qn_arena_memdup(arena, params->scale, params->count * sizeof(float)), params->count * sizeof(float)));
    qn_edit_add_initializer(edit, zeros ? qn_emit_codes(edit, names.zero_point, params->type, rank, &dim, zeros, params->count) : NULL);
    return names;
}

Onnx__TensorProto *qn_emit_codes(struct qn_edit *edit, const char *name, const struct qn_qtype *type, size_t rank, const int64_t *dims, const void *codes, size_t count)
{
    struct qn_arena *arena = qn_edit_arena(edit);
    size_t           size = qn_qtype_bytes(type, count);
    void            *bytes;

    if (type->per_byte <= 1) return qn_tensor_new(arena, name, type->onnx_type, rank, dims, codes, size);
    if (!(bytes = qn_arena_alloc_raw(arena, size))) return NULL;
    qn_pack(type, codes, count, bytes);
    return qn_tensor_new(arena, name, type->onnx_type, rank, dims, bytes, size);
}

/* A weight whose codes are made as they are written. */
struct weight {
    const Onnx__TensorProto *tensor;
    struct qn_layout         layout;
    const struct qn_qparams *params;
    enum qn_rounding         rounding;
    struct qn_tally         *tally; /* by unit; NULL: what the codes lose is known */
};

/* n elements from `from` on. */
static qonnx_status make_part(const struct weight *w, const float *x, size_t from, size_t n, void *codes, struct qn_error_sums *lost, qonnx_error *err)
{
    struct qn_error_sums part;

    if (w->params->type->floating) {
        qn_small_floats(w->params->type->floating, x, from, n, w->layout, w->params->scale, codes, NULL, NULL);
        return QONNX_OK;
    }
    QN_TRY(qn_quantize_part(x, from, n, w->layout, w->params, w->rounding, codes, err));
    if (!w->tally) return QONNX_OK;
    QN_TRY(qn_quantization_error_part(x, from, n, w->layout, w->params, codes, &part, err));
    lost->signal += part.signal;
    lost->noise += part.noise;
    return QONNX_OK;
}

static qonnx_status make_codes(const void *context, struct qn_piece piece, uint8_t *bytes, qonnx_error *err)
{
    enum { PART = 8192 };
    const struct weight   *w = context;
    const struct qn_qtype *type = w->params->type;
    const size_t           per = type->per_byte > 1 ? (size_t)type->per_byte : 1, total = qn_layout_count(w->layout);
    const size_t           first = piece.offset / type->code_size * per, limit = first + piece.size / type->code_size * per, end = limit < total ? limit : total;
    struct qn_error_sums   lost = { 0, 0 };
    float                  x[PART];
    uint8_t                codes[PART * sizeof(int32_t)];

    for (size_t at = first, n; at < end; at += n) {
        n = end - at < PART ? end - at : PART;
        if (!qn_tensor_float_part(w->tensor, at, n, x)) return qn_fail(err, QONNX_E_UNSUPPORTED, "'%s' cannot be read as float", w->tensor->name);
        QN_TRY(make_part(w, x, at, n, codes, &lost, err));
        qn_pack(type, codes, n, bytes);
        bytes += qn_qtype_bytes(type, n);
    }
    if (w->tally) qn_tally_add(w->tally, piece.offset / UNIT, lost);
    return QONNX_OK;
}

qonnx_status qn_emit_weight(Onnx__TensorProto **codes, struct qn_edit *edit, const struct qn_plan *plan, qn_node_id node, size_t slot, qonnx_error *err)
{
    struct qn_arena         *arena = qn_edit_arena(edit);
    const Onnx__TensorProto *weight = qn_node_constant(plan->graph, node, slot);
    const struct qn_qparams *params = qn_plan_weight(&plan->nodes[node], slot);
    const char              *name = qn_edit_name(edit, weight->name, "_quantized");
    struct weight           *w = qn_arena_alloc(arena, sizeof *w);
    struct qn_deferred       deferred = { .unit = UNIT, .make = make_codes, .context = w, .source = weight->has_raw_data ? weight->raw_data.data : NULL, .source_size = weight->raw_data.len };
    size_t                   count;
    void                    *bytes = params == plan->nodes[node].weight ? plan->nodes[node].weight_codes : NULL;

    QN_TRY(qn_tensor_check(weight, err));
    QN_TRY(qn_tensor_count(weight, &count, err));
    if (!w) return qn_fail_nomem(err);
    if (bytes) {
        *codes = qn_emit_codes(edit, name, params->type, weight->n_dims, weight->dims, bytes, count);
        return *codes ? QONNX_OK : qn_fail_nomem(err);
    }
    *w = (struct weight){ weight, { 0 }, params, plan->rounding, NULL };
    QN_TRY(qn_layout_init(&w->layout, weight->dims, weight->n_dims, params->axis < 0 ? QN_NO_AXIS : params->axis, err));
    deferred.size = qn_qtype_bytes(params->type, count);
    if (plan->nodes[node].lost && !(w->tally = qn_tally_new(arena, deferred.size < DEFERRED ? 1 : (deferred.size + UNIT - 1) / UNIT, plan->nodes[node].lost))) return qn_fail_nomem(err);
    if (deferred.size >= DEFERRED)
        bytes = qn_model_defer(plan->graph->model, &deferred);
    else if ((bytes = qn_arena_alloc_raw(arena, deferred.size)))
        QN_TRY(make_codes(w, (struct qn_piece){ 0, deferred.size, 0 }, bytes, err));
    *codes = bytes ? qn_tensor_new(arena, name, params->type->onnx_type, weight->n_dims, weight->dims, bytes, deferred.size) : NULL;
    return *codes ? QONNX_OK : qn_fail_nomem(err);
}
