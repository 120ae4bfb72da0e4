/* SPDX-License-Identifier: Apache-2.0
 * How many channels make a block in the runtime's own layout depends on the processor, and no interface tells: it is
 * seen from where a tiny model moves a value to. */
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/edit.h"
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
    graph->input[0] = qn_value_info_new(arena, x, QN_FLOAT, -1, NULL);
    graph->output[0] = qn_value_info_new(arena, y, QN_FLOAT, -1, NULL);
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
