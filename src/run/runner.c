/* SPDX-License-Identifier: Apache-2.0 */
#include "run/runner.h"

#include "base/names.h"
size_t qn_view_count(const struct qn_view *view)
{
    size_t count = 1;
    for (int i = 0; i < view->rank; i++) count *= (size_t)view->dims[i];
    return count;
}

/* Type and shape as declared; what is not declared, or is not a tensor, stays unknown. */
static void read_port(struct qn_port *port, const Onnx__ValueInfoProto *info, struct qn_arena *arena)
{
    const Onnx__TensorShapeProto *shape;
    int64_t                      *dims;
    const char                  **params;

    *port = (struct qn_port){ .name = info->name, .rank = -1 };
    if (!info->type || info->type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) return;
    port->dtype = info->type->tensor_type->elem_type;
    shape = info->type->tensor_type->shape;
    if (!shape || shape->n_dim > QN_MAX_RANK) return;
    dims = qn_arena_array(arena, shape->n_dim, sizeof *dims);
    params = qn_arena_array(arena, shape->n_dim, sizeof *params);
    if (!dims || !params) return;
    for (size_t i = 0; i < shape->n_dim; i++) {
        const Onnx__TensorShapeProto__Dimension *dim = shape->dim[i];
        dims[i] = -1;
        /* Exporters write 0 and negative sizes for "unknown". */
        if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && dim->dim_value > 0)
            dims[i] = dim->dim_value;
        else if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM && dim->dim_param &&
                 *dim->dim_param)
            params[i] = dim->dim_param;
    }
    port->rank = (int)shape->n_dim;
    port->dims = dims;
    port->dim_params = params;
}

static qonnx_status read_ports(const Onnx__GraphProto *graph, bool inputs, struct qn_arena *arena,
                               const struct qn_port **ports, size_t *count, qonnx_error *err)
{
    Onnx__ValueInfoProto *const *infos = inputs ? graph->input : graph->output;
    size_t                       info_count = inputs ? graph->n_input : graph->n_output, used = 0;
    struct qn_port              *list = qn_arena_array(arena, info_count, sizeof *list);
    struct qn_names              constants;

    qn_names_init(&constants, arena);
    for (size_t i = 0; inputs && list && i < graph->n_initializer; i++)
        if (graph->initializer[i]->name) qn_names_intern(&constants, graph->initializer[i]->name);
    for (size_t i = 0; list && i < info_count; i++) {
        if (!infos[i]->name)
            return qn_fail(err, QONNX_E_FORMAT, "graph %s #%zu has no name", inputs ? "input" : "output", i);
        if (inputs && qn_names_find(&constants, infos[i]->name) != QN_NONE) continue;
        read_port(&list[used++], infos[i], arena);
    }
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    *ports = list;
    *count = used;
    return QONNX_OK;
}

qonnx_status qn_model_inputs(const struct qn_model *model, struct qn_arena *arena, const struct qn_port **ports,
                             size_t *count, qonnx_error *err)
{
    const Onnx__GraphProto *graph = model->pb->graph;
    if (!graph) return qn_fail(err, QONNX_E_FORMAT, "the model has no graph");
    return read_ports(graph, true, arena, ports, count, err);
}

qonnx_status qn_model_outputs(const struct qn_model *model, struct qn_arena *arena, const struct qn_port **ports,
                              size_t *count, qonnx_error *err)
{
    const Onnx__GraphProto *graph = model->pb->graph;
    if (!graph) return qn_fail(err, QONNX_E_FORMAT, "the model has no graph");
    return read_ports(graph, false, arena, ports, count, err);
}
