/* SPDX-License-Identifier: Apache-2.0
 * How many channels make a block in the runtime's own layout depends on the processor, and no interface tells: it is
 * seen from where a tiny model moves a value to. */
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "run/ort_session.h"

/* Two places a channel; whatever the block, it divides the channels. In a blocked tensor the second place of channel 0
 * comes behind the first place of all channels of the block. */
enum { CHANNELS = 64, PLACES = 2, COUNT = CHANNELS * PLACES };

static qonnx_status find_second_place(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    const float *x = view->data;
    size_t      *block = context;

    if (index || view->dtype != QN_FLOAT || view->size != COUNT * sizeof *x)
        return qn_fail(err, QONNX_E_RUNTIME, "blocks of an unknown kind");
    for (size_t i = 0; i < COUNT; i++)
        if (x[i] == 1) *block = i;
    return QONNX_OK;
}

static Onnx__ValueInfoProto *float_value(struct qn_arena *arena, const char *name)
{
    Onnx__ValueInfoProto    *value = qn_arena_alloc(arena, sizeof *value);
    Onnx__TypeProto         *type = qn_arena_alloc(arena, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = qn_arena_alloc(arena, sizeof *tensor);

    if (!value || !type || !tensor) return NULL;
    onnx__value_info_proto__init(value);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    value->name = (char *)(uintptr_t)name;
    value->type = type;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    tensor->has_elem_type = true;
    tensor->elem_type = QN_FLOAT;
    return value;
}

/* ReorderInput is what brings tensors into the layout. */
static qonnx_status make_model(struct qn_model *model, Onnx__GraphProto *graph, qonnx_error *err)
{
    struct qn_arena   *arena = &model->arena;
    static const char *x = "x", *y = "y";
    Onnx__ModelProto  *pb = qn_arena_alloc(arena, sizeof *pb);

    graph->n_node = graph->n_input = graph->n_output = 1;
    graph->node = qn_arena_array(arena, 1, sizeof(Onnx__NodeProto *));
    graph->input = qn_arena_array(arena, 1, sizeof(Onnx__ValueInfoProto *));
    graph->output = qn_arena_array(arena, 1, sizeof(Onnx__ValueInfoProto *));
    if (!pb || !graph->node || !graph->input || !graph->output) return qn_fail_nomem(err);
    graph->node[0] = qn_node_new(arena, "ReorderInput", "", 1, &x, 1, &y);
    graph->input[0] = float_value(arena, x);
    graph->output[0] = float_value(arena, y);
    graph->name = (char *)(uintptr_t) "g";
    if (!graph->node[0] || !graph->input[0] || !graph->output[0]) return qn_fail_nomem(err);
    graph->node[0]->domain = (char *)(uintptr_t)QN_BLOCKED_DOMAIN;
    onnx__model_proto__init(pb);
    pb->graph = graph;
    model->pb = pb;
    model->path = (char *)(uintptr_t) "<probe>";
    qn_model_set_opset(model, "", 13);
    qn_model_set_opset(model, QN_BLOCKED_DOMAIN, 1);
    return qn_arena_failed(arena) ? qn_fail_nomem(err) : QONNX_OK;
}

static qonnx_status probe(struct qn_runtime *runtime, const struct qn_model *model, size_t *block, qonnx_error *err)
{
    static const int64_t      dims[] = { 1, CHANNELS, 1, PLACES };
    struct qn_session_options plain = { 0 };
    struct qn_session        *session;
    float                     x[COUNT];
    struct qn_view view = { .name = "x", .dtype = QN_FLOAT, .rank = 4, .dims = dims, .data = x, .size = sizeof x };
    struct qn_run  run = { &view, find_second_place, block };
    qonnx_status   status;

    for (size_t i = 0; i < COUNT; i++) x[i] = (float)i;
    QN_TRY(runtime->open(runtime, model, &plain, &session, err));
    status = runtime->run(session, &run, err);
    runtime->close(session);
    return status;
}

qonnx_status qn_ort_block_size(struct qn_runtime *runtime, size_t *block, qonnx_error *err)
{
    struct qn_model  model = { 0 };
    Onnx__GraphProto graph;
    qonnx_status     status;

    *block = 0;
    onnx__graph_proto__init(&graph);
    status = make_model(&model, &graph, err);
    if (status == QONNX_OK) status = probe(runtime, &model, block, err);
    qn_arena_release(&model.arena);
    if (status == QONNX_OK && !*block) return qn_fail(err, QONNX_E_RUNTIME, "blocks of an unknown kind");
    return status;
}
