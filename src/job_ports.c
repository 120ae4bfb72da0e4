/* SPDX-License-Identifier: Apache-2.0
 * A model in float16 or bfloat16 is quantized as one in float32. Its inputs and outputs keep their types all the same,
 * with a Cast between, and so do constants that stay float, for they would be twice as large: runtimes cast them once. */
#include <string.h>

#include "job.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "pass/lib/half.h"

/* The half type that a tensor is declared with, 0 for others. */
static int32_t half_of(const Onnx__ValueInfoProto *info)
{
    if (!info->type || info->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !info->type->tensor_type) return 0;
    return qn_dtype_is_half(info->type->tensor_type->elem_type) ? info->type->tensor_type->elem_type : 0;
}

qonnx_status qn_job_note_ports(struct qn_job *job)
{
    const Onnx__GraphProto *pb = job->model.pb->graph;

    job->halves = qn_arena_array(&job->arena, pb->n_input + pb->n_output, sizeof(Onnx__ValueInfoProto *));
    if (!job->halves) return qn_fail_nomem(job->err);
    for (size_t i = 0; i < pb->n_input; i++)
        if (half_of(pb->input[i])) job->halves[job->half_count++] = pb->input[i];
    for (size_t i = 0; i < pb->n_output; i++)
        if (half_of(pb->output[i])) job->halves[job->half_count++] = pb->output[i];
    return QONNX_OK;
}

static bool put_back(Onnx__ValueInfoProto **list, size_t count, Onnx__ValueInfoProto *declared)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(list[i]->name, declared->name) != 0 || half_of(list[i])) continue;
        list[i] = declared;
        return true;
    }
    return false;
}

static void cast(struct qn_edit *edit, const struct qn_value *v, qn_value_id id, int32_t half)
{
    struct qn_arena *arena = qn_edit_arena(edit);
    bool             made = v->producer != QN_NONE;
    const char      *wide = qn_edit_name(edit, v->name, "_float"), *from = made ? wide : v->name, *to = made ? v->name : wide;
    Onnx__NodeProto *node = qn_node_new(arena, "Cast", qn_edit_name(edit, v->name, "_Cast"), 1, &from, 1, &to);

    if (node) qn_attr_set_int(arena, node, "to", made ? half : QN_FLOAT);
    if (made) qn_edit_set_output(edit, v->producer, v->producer_slot, wide);
    qn_edit_redirect(edit, id, wide);
    qn_edit_add_value_info(edit, wide, QN_FLOAT, v->rank, v->dims);
    if (made)
        qn_edit_insert_after(edit, v->producer, node);
    else
        qn_edit_insert_before(edit, QN_NONE, node);
}

/* Kernels look for constants at their parameters, not for what a Cast makes. */
static bool may_be_narrow(const struct qn_graph *g, const struct qn_value *v)
{
    enum { SMALL = 256 };
    size_t count;

    if (!v->init || v->init->data_type != QN_FLOAT || v->flags & QN_OUTPUT || qn_tensor_count(v->init, &count, NULL) != QONNX_OK || count < SMALL) return false;
    for (uint32_t u = 0; u < v->use_count; u++) {
        const Onnx__NodeProto *reader = g->pb->node[g->uses[v->use_at + u].node];
        if (reader->domain && *reader->domain) return false;
        if (strcmp(reader->op_type, "QuantizeLinear") == 0 || strcmp(reader->op_type, "DequantizeLinear") == 0 || strncmp(reader->op_type, "QLinear", 7) == 0) return false;
    }
    return v->use_count > 0;
}

/* One that callers may override is declared as an input too. */
static void declare_narrow(const struct qn_job *job, const struct qn_graph *graph, const char *name)
{
    for (size_t i = 0; i < job->half_count; i++)
        if (strcmp(job->halves[i]->name, name) == 0 && put_back(graph->pb->input, graph->pb->n_input, job->halves[i])) return;
}

static void narrow_constants(const struct qn_job *job, const struct qn_graph *graph, struct qn_edit *edit)
{
    for (qn_value_id id = 0; id < graph->value_count; id++) {
        const struct qn_value *v = &graph->values[id];
        Onnx__TensorProto     *narrow = may_be_narrow(graph, v) ? qn_tensor_narrowed(v->init, job->half, qn_edit_arena(edit)) : NULL;

        if (!narrow) continue;
        qn_edit_replace_initializer(edit, id, narrow);
        declare_narrow(job, graph, v->name);
        cast(edit, v, id, job->half);
    }
}

/* A constant that is declared as an input or output is what it became: it holds the same values. */
static qonnx_status restore(struct qn_job *job, struct qn_graph *graph, struct qn_edit *edit)
{
    Onnx__GraphProto *pb = graph->pb;
    bool             *done = qn_arena_array(&job->arena, graph->value_count, sizeof *done);

    pb->output = (Onnx__ValueInfoProto **)(void *)qn_arena_memdup(qn_edit_arena(edit), pb->output, pb->n_output * sizeof *pb->output);
    if (!done || (!pb->output && pb->n_output)) return qn_fail_nomem(job->err);
    for (size_t i = 0; i < job->half_count; i++) {
        Onnx__ValueInfoProto *declared = job->halves[i];
        qn_value_id           id = qn_graph_find(graph, declared->name);
        bool                  input, output;

        if (id == QN_NONE || graph->values[id].init) continue;
        input = put_back(pb->input, pb->n_input, declared);
        output = !input && put_back(pb->output, pb->n_output, declared);
        if (!(input || output) || done[id]) continue;
        done[id] = true;
        cast(edit, &graph->values[id], id, half_of(declared));
    }
    return QONNX_OK;
}

qonnx_status qn_job_restore_ports(struct qn_job *job)
{
    struct qn_edit *edit;
    qonnx_status    status;

    if (!job->half || qn_halves(&job->model, NULL) != QN_HALVES_NONE) return QONNX_OK; /* not widened */
    QN_TRY(qn_edit_begin(&edit, &job->quantized, job->err));
    status = restore(job, &job->quantized, edit);
    narrow_constants(job, &job->quantized, edit);
    if (status == QONNX_OK) return qn_edit_commit(edit, NULL, job->err);
    qn_edit_cancel(edit);
    return status;
}
