/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/fork.h"

#include "onnx/attr.h"

qonnx_status qn_graph_fork(struct qn_graph *fork, struct qn_model *model, qonnx_error *err)
{
    struct qn_arena        *arena = &model->arena;
    const Onnx__GraphProto *pb = model->pb->graph;
    Onnx__GraphProto       *copy = (Onnx__GraphProto *)(void *)qn_arena_memdup(arena, pb, sizeof *pb);

    if (!copy) return qn_fail_nomem(err);
    copy->node = qn_arena_array(arena, pb->n_node, sizeof(Onnx__NodeProto *));
    copy->input = (Onnx__ValueInfoProto **)(void *)qn_arena_memdup(arena, (void *)pb->input, pb->n_input * sizeof(void *));
    for (size_t n = 0; copy->node && n < pb->n_node; n++) copy->node[n] = qn_node_copy(arena, pb->node[n]);
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    model->pb->graph = copy;
    return qn_graph_build(fork, model, err);
}
