/* SPDX-License-Identifier: Apache-2.0 */
#include "emit/emit.h"

#include <string.h>

#include "base/pool.h"
#include "onnx/tensor.h"
#include "quant/pack.h"

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

qonnx_status qn_emit_weight(Onnx__TensorProto **codes, struct qn_edit *edit, const struct qn_plan *plan, qn_node_id node, size_t slot, qonnx_error *err)
{
    struct qn_arena          *arena = qn_edit_arena(edit);
    const struct qn_node_plan *row = &plan->nodes[node];
    const Onnx__TensorProto  *weight = qn_node_constant(plan->graph, node, slot);
    const struct qn_qparams  *params = qn_plan_weight(row, slot);
    const struct qn_settings *settings = plan->settings;
    struct qn_layout          layout;
    const float              *w;
    size_t                    count;
    void                     *bytes = params == row->weight ? row->weight_codes : NULL;

    QN_TRY(qn_tensor_count(weight, &count, err));
    if (!bytes) {
        QN_TRY(qn_tensor_floats(weight, arena, &w, &count, err));
        QN_TRY(qn_layout_init(&layout, weight->dims, weight->n_dims, params->axis < 0 ? QN_NO_AXIS : params->axis, err));
        if (!(bytes = qn_arena_alloc_raw(arena, count * params->type->code_size))) return qn_fail_nomem(err);
        QN_TRY(qn_quantize(w, layout, params, plan->rounding, bytes, settings->threads ? (int)settings->threads : qn_cpu_count(), err));
    }
    *codes = qn_emit_codes(edit, qn_edit_name(edit, weight->name, "_quantized"), params->type, weight->n_dims, weight->dims, bytes, count);
    return *codes ? QONNX_OK : qn_fail_nomem(err);
}
