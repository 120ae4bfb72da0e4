/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/block_weight.h"

#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/layer_shape.h"

/* An operator on codes in blocks multiplies and no more. */
static bool multiplies_only(const Onnx__NodeProto *pb)
{
    return !qn_attr_int(pb, "transA", 0) && qn_attr_float(pb, "alpha", 1) == 1.0f &&
           qn_attr_float(pb, "beta", 1) == 1.0f;
}

/* ONNX Runtime 1.31 makes a MatMulNBits of the dequantized weight, too, and turns 2-bit codes of such matrices wrong. */
static bool turned_wrong(const struct qn_weight_form *form, const struct qn_layer_shape *shape)
{
    return form->bits == 2 && shape->weight.out_stride == 1 && shape->weight.outputs % 4;
}

int qn_table_bits(const char *embeddings)
{
    return strcmp(embeddings, "int4-blocks") == 0 ? 4 : strcmp(embeddings, "int8-blocks") == 0 ? 8 : 0;
}

static bool is_table(const struct qn_plan *plan, qn_node_id node)
{
    return plan->nodes[node].rule->kind == QN_KIND_TABLE;
}

bool qn_block_weight_wanted(const struct qn_plan *plan, qn_node_id node)
{
    const struct qn_weight_form *form = &plan->nodes[node].form;
    struct qn_layer_shape        shape;

    if (is_table(plan, node))
        return qn_table_bits(form->embeddings) &&
               qn_node_constant(plan->graph, node, 0)->dims[1] % 8 * qn_table_bits(form->embeddings) % 8 == 0;

    if (!form->block || !plan->nodes[node].rule->blocks || !qn_layer_shape(plan->graph, node, &shape))
        return false;
    return strcmp(plan->settings->format, "qoperator") == 0 ? multiplies_only(plan->graph->pb->node[node])
                                                            : !turned_wrong(form, &shape);
}

struct qn_block_form qn_block_form_of(const struct qn_plan *plan, qn_node_id node)
{
    enum { USUAL = 32 };
    const struct qn_weight_form *form = &plan->nodes[node].form;
    struct qn_block_form         blocks = { form->bits, form->symmetric, form->block, form->range };

    if (is_table(plan, node)) blocks.bits = qn_table_bits(form->embeddings);
    if (!blocks.block) blocks.block = USUAL;
    return blocks;
}

int qn_block_axis(const struct qn_graph *graph, qn_node_id node)
{
    struct qn_layer_shape shape;

    if (qn_node_is(graph, node, "Gather")) return 1;
    if (!qn_layer_shape(graph, node, &shape) || shape.weight.in_stride != 1) return 0;
    return shape.weight.outputs > 1 || shape.weight.out_stride > 1; /* a matrix of one column has this stride, too */
}

/* All but the values. */
static bool find_matrix(const struct qn_graph *graph, qn_node_id node, struct qn_matrix *matrix)
{
    struct qn_layer_shape shape;

    if (qn_node_is(graph, node, "Gather")) {
        const int64_t *dims = qn_node_constant(graph, node, 0)->dims;
        *matrix = (struct qn_matrix){ .outputs = (size_t)dims[0],
                                      .depth = (size_t)dims[1],
                                      .out_stride = (size_t)dims[1],
                                      .depth_stride = 1 };
        return true;
    }
    if (!qn_layer_shape(graph, node, &shape)) return false;
    *matrix = (struct qn_matrix){ .outputs = shape.weight.outputs,
                                  .depth = shape.weight.channels,
                                  .out_stride = shape.weight.out_stride,
                                  .depth_stride = shape.weight.in_stride };
    return true;
}

uint64_t qn_block_weight_bytes(const struct qn_plan *plan, qn_node_id node, const struct qn_block_form *form)
{
    const unsigned   bits = (unsigned)form->bits;
    struct qn_matrix m;
    uint64_t         codes, row, blocks;

    if (!find_matrix(plan->graph, node, &m)) return 0;
    codes = (uint64_t)m.outputs * m.depth;
    row = qn_block_count(&m, form);
    blocks = row * m.outputs;
    if (is_table(plan, node) || strcmp(plan->settings->format, "qoperator") == 0) {
        if (!is_table(plan, node)) codes = blocks * form->block; /* the last one of an output is filled up */
        return codes * bits / 8 + blocks * sizeof(float) + (form->symmetric ? 0 : m.outputs * ((row * bits + 7) / 8));
    }
    return (codes * bits + 7) / 8 + blocks * sizeof(float) + (blocks * bits + 7) / 8;
}

qonnx_status qn_block_weight_matrix(const struct qn_graph *graph, qn_node_id node, struct qn_arena *arena,
                                    struct qn_matrix *matrix, qonnx_error *err)
{
    const Onnx__TensorProto *t = qn_node_constant(graph, node, qn_node_is(graph, node, "Gather") ? 0 : 1);
    const float             *values;
    size_t                   count;

    if (!find_matrix(graph, node, matrix)) return qn_fail(err, QONNX_E_INTERNAL, "a weight in blocks is no matrix");
    QN_TRY(qn_tensor_check(t, err));
    matrix->w = t->raw_data.data;
    if (t->has_raw_data && t->data_type == QN_FLOAT) return QONNX_OK; /* aligned or not */
    QN_TRY(qn_tensor_floats(t, arena, &values, &count, err));
    matrix->w = values;
    return QONNX_OK;
}
