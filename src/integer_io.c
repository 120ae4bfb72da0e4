/* SPDX-License-Identifier: Apache-2.0
 *
 * --io-type: who runs the model passes and gets codes, so the quantizers at its ends go. What the codes stand for is in
 * the sidecar, at the tensor of the same name. */
#include <string.h>

#include "job.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

struct ends {
    struct qn_job         *job;
    const struct qn_graph *graph;
    struct qn_edit        *edit;
    int32_t                type;
};

/* The type of the codes of a quantizer whose numbers are constants of all values alike; 0: something else. */
static int32_t codes_of(const struct qn_graph *g, qn_node_id n, const char *op)
{
    const Onnx__TensorProto *scale = qn_node_constant(g, n, 1), *zero = qn_node_constant(g, n, 2);
    size_t                   count;

    if (!qn_node_is(g, n, op) || !scale || !zero || qn_tensor_count(scale, &count, NULL) != QONNX_OK || count != 1)
        return 0;
    return zero->data_type;
}

static qonnx_status other_type(const struct ends *e, const char *name, int32_t type)
{
    return qn_fail(e->job->err, QONNX_E_USAGE, "--io-type %s: '%.200s' is quantized as %s (see -o act-type)",
                   e->job->settings.io_type, name, qn_dtype_name(type));
}

/* The port with another type; the float model keeps its own. */
static Onnx__ValueInfoProto *retyped(struct ends *e, const Onnx__ValueInfoProto *port)
{
    struct qn_arena         *arena = &e->job->model.arena;
    Onnx__ValueInfoProto    *copy = (Onnx__ValueInfoProto *)(void *)qn_arena_memdup(arena, port, sizeof *port);
    Onnx__TypeProto         *type;
    Onnx__TypeProto__Tensor *tensor;

    if (!copy) return NULL;
    if (!(type = (Onnx__TypeProto *)(void *)qn_arena_memdup(arena, port->type, sizeof *type))) return NULL;
    tensor = (Onnx__TypeProto__Tensor *)(void *)qn_arena_memdup(arena, port->type->tensor_type, sizeof *tensor);
    if (!tensor) return NULL;
    copy->type = type;
    type->tensor_type = tensor;
    tensor->elem_type = e->type;
    return copy;
}

static bool is_float_port(const Onnx__ValueInfoProto *port)
{
    return port->type && port->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE &&
           port->type->tensor_type->elem_type == QN_FLOAT;
}

static qonnx_status do_input(struct ends *e, Onnx__ValueInfoProto **port)
{
    const char            *name = (*port)->name;
    qn_value_id            v = qn_graph_find(e->graph, name);
    const struct qn_value *value = v == QN_NONE ? NULL : &e->graph->values[v];

    if (!value || value->init || !is_float_port(*port)) return QONNX_OK;
    for (uint32_t u = 0; u < value->use_count; u++) {
        const struct qn_use *use = &e->graph->uses[value->use_at + u];
        int32_t              type = use->slot ? 0 : codes_of(e->graph, use->node, "QuantizeLinear");
        qn_value_id          out = qn_node_output(e->graph, use->node, 0);
        if (type && type != e->type) return other_type(e, name, type);
        if (!type || u || out == QN_NONE || e->graph->values[out].flags & (QN_OUTPUT | QN_CAPTURED)) {
            qn_warn(&e->job->warnings, "input '%s' stays float: %s reads it so", name,
                    qn_node_label(e->graph, use->node));
            return QONNX_OK;
        }
    }
    if (value->flags & (QN_OUTPUT | QN_CAPTURED) || !value->use_count) {
        qn_warn(&e->job->warnings, "input '%s' stays float: no quantizer reads it", name);
        return QONNX_OK;
    }
    qn_edit_redirect(e->edit, qn_node_output(e->graph, e->graph->uses[value->use_at].node, 0), name);
    qn_edit_drop_value_info(e->edit,
                            e->graph->values[qn_node_output(e->graph, e->graph->uses[value->use_at].node, 0)].name);
    qn_edit_remove_node(e->edit, e->graph->uses[value->use_at].node);
    return (*port = retyped(e, *port)) ? QONNX_OK : qn_fail_nomem(e->job->err);
}

static qonnx_status do_output(struct ends *e, Onnx__ValueInfoProto **port)
{
    const char            *name = (*port)->name;
    qn_value_id            v = qn_graph_find(e->graph, name), c;
    const struct qn_value *value = v == QN_NONE ? NULL : &e->graph->values[v], *codes;
    int32_t                type;

    if (!value || !is_float_port(*port)) return QONNX_OK;
    type = value->producer == QN_NONE ? 0 : codes_of(e->graph, value->producer, "DequantizeLinear");
    if (type && type != e->type) return other_type(e, name, type);
    c = type ? qn_node_input(e->graph, value->producer, 0) : QN_NONE;
    codes = c == QN_NONE ? NULL : &e->graph->values[c];
    if (!codes || codes->producer == QN_NONE || codes->flags & (QN_OUTPUT | QN_CAPTURED) || value->use_count ||
        value->flags & QN_CAPTURED) {
        qn_warn(&e->job->warnings, "output '%s' stays float: %s", name,
                codes ? "it is also read within the model" : "it is not quantized");
        return QONNX_OK;
    }
    qn_edit_set_output(e->edit, codes->producer, codes->producer_slot, name);
    qn_edit_redirect(e->edit, c, name);
    qn_edit_drop_value_info(e->edit, codes->name);
    qn_edit_remove_node(e->edit, value->producer);
    return (*port = retyped(e, *port)) ? QONNX_OK : qn_fail_nomem(e->job->err);
}

static qonnx_status do_ends(struct ends *e)
{
    Onnx__GraphProto *pb = e->job->quantized.pb;
    struct qn_arena  *arena = &e->job->model.arena;

    pb->output = (Onnx__ValueInfoProto **)(void *)qn_arena_memdup(arena, pb->output, pb->n_output * sizeof *pb->output);
    if (pb->n_output && !pb->output) return qn_fail_nomem(e->job->err);
    for (size_t i = 0; i < pb->n_input; i++) QN_TRY(do_input(e, &pb->input[i]));
    for (size_t i = 0; i < pb->n_output; i++) QN_TRY(do_output(e, &pb->output[i]));
    qn_edit_drop_unused(e->edit);
    return QONNX_OK;
}

qonnx_status qn_job_integer_ends(struct qn_job *job)
{
    struct ends  e = { .job = job, .graph = &job->quantized };
    qonnx_status status;

    if (strcmp(job->settings.io_type, "float") == 0) return QONNX_OK;
    if (job->emitter->foreign)
        return qn_fail(job->err, QONNX_E_USAGE, "--io-type %s: the format '%s' has no integers", job->settings.io_type,
                       job->emitter->name);
    e.type = strcmp(job->settings.io_type, "int8") == 0 ? QN_INT8 : QN_UINT8;
    QN_TRY(qn_edit_begin(&e.edit, &job->quantized, job->err));
    status = do_ends(&e);
    if (status == QONNX_OK) return qn_edit_commit(e.edit, NULL, job->err);
    qn_edit_cancel(e.edit);
    return status;
}
