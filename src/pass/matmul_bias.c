/* SPDX-License-Identifier: Apache-2.0
 * MatMul by a constant matrix followed by the Add of a constant row becomes Gemm, which has a bias to quantize. Only
 * where the left operand is known to be a matrix: Gemm takes nothing else. */
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "pass/lib/facts.h"
#include "pass/pass.h"

/* The constant row of `columns` values that the Add puts on, or NULL; *slot is where. */
static Onnx__TensorProto *bias_of(const struct qn_graph *graph, qn_node_id add, qn_value_id product, int64_t columns,
                                  size_t *slot)
{
    Onnx__TensorProto *bias;
    size_t             count;

    if (!qn_node_is(graph, add, "Add") || graph->pb->node[add]->n_input != 2 || graph->pb->node[add]->n_output != 1)
        return NULL;
    *slot = qn_node_input(graph, add, 0) == product;
    bias = qn_node_constant(graph, add, *slot);
    if (!bias || bias->data_type != QN_FLOAT || bias->n_dims < 1 || bias->n_dims > 2 ||
        bias->dims[bias->n_dims - 1] != columns)
        return NULL;
    return qn_tensor_count(bias, &count, NULL) == QONNX_OK && (int64_t)count == columns ? bias : NULL;
}

/* A row of rank 2 gets rank 1, so that it is a bias like any other; its data are shared. */
static const char *as_vector(struct qn_edit *edit, const Onnx__TensorProto *bias)
{
    Onnx__TensorProto *copy;

    if (bias->n_dims == 1) return bias->name;
    copy = (Onnx__TensorProto *)(void *)qn_arena_memdup(qn_edit_arena(edit), bias, sizeof *bias);
    if (copy) {
        copy->name = (char *)(uintptr_t)qn_edit_name(edit, bias->name, "_vector");
        copy->dims = bias->dims + 1;
        copy->n_dims = 1;
    }
    qn_edit_add_initializer(edit, copy);
    return copy ? copy->name : "";
}

static void visit(const struct qn_graph *graph, struct qn_edit *edit, const struct qn_fact *facts, qn_node_id n)
{
    const Onnx__NodeProto   *node = graph->pb->node[n];
    const Onnx__TensorProto *b = qn_node_constant(graph, n, 1), *bias;
    qn_value_id              a = qn_node_input(graph, n, 0), product = qn_node_output(graph, n, 0);
    qn_node_id               add;
    Onnx__NodeProto         *gemm;
    const char              *inputs[3], *outputs[1];
    size_t                   slot;

    if (!qn_node_is(graph, n, "MatMul") || node->n_output != 1 || product == QN_NONE || a == QN_NONE ||
        facts[a].rank != 2)
        return;
    if (!b || b->data_type != QN_FLOAT || b->n_dims != 2 || (add = qn_value_only_user(graph, product)) == QN_NONE)
        return;
    if (!(bias = bias_of(graph, add, product, b->dims[1], &slot))) return;
    inputs[0] = node->input[0];
    inputs[1] = node->input[1];
    inputs[2] = as_vector(edit, bias);
    outputs[0] = graph->pb->node[add]->output[0];
    gemm = qn_node_new(qn_edit_arena(edit), "Gemm", node->name ? node->name : "", 3, inputs, 1, outputs);
    qn_edit_replace_node(edit, n, gemm);
    qn_edit_remove_node(edit, add);
    qn_edit_drop_value_info(edit, graph->values[product].name);
    qn_edit_drop_unused(edit);
}

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    struct qn_arena scratch = { 0 };
    struct qn_fact *facts;

    (void)again;
    if (qn_model_opset(graph->model, "") < 7) return QONNX_OK; /* Gemm had to be told to broadcast */
    facts = qn_facts(graph, &scratch);
    for (qn_node_id n = 0; facts && n < graph->node_count; n++) visit(graph, edit, facts, n);
    qn_arena_release(&scratch);
    return facts ? QONNX_OK : qn_fail_nomem(err);
}

const struct qn_pass qn_pass_matmul_bias = { "matmul_bias",
                                             "MatMul of a matrix by a constant plus a constant row becomes Gemm", run };
