/* SPDX-License-Identifier: Apache-2.0 */
#include "pass/lib/facts.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

enum { MAX_RANK = 64 }; /* larger ones count as unknown */

enum rank_rule {
    SAME,
    BROADCAST,
    SECOND,
    ONE,
    TWO,
    MATMUL,
    SHAPE_INPUT,
    FILLED,
    SQUEEZE,
    UNSQUEEZE,
    GATHER,
    REDUCE,
    MORE,
    RECURRENT,
    SCALAR
};
enum type_rule { AS_X, AS_SECOND, BOOLEAN, INT64, CAST, FILL };

struct rule {
    const char    *op;
    enum rank_rule rank;
    enum type_rule type;
};

/* Sorted by name (strcmp), for bsearch. */
static const struct rule rules[] = {
    { "Abs", SAME, AS_X },
    { "Add", BROADCAST, AS_X },
    { "And", BROADCAST, BOOLEAN },
    { "ArgMax", REDUCE, INT64 },
    { "ArgMin", REDUCE, INT64 },
    { "AveragePool", SAME, AS_X },
    { "BatchNormalization", SAME, AS_X },
    { "Cast", SAME, CAST },
    { "Ceil", SAME, AS_X },
    { "Clip", SAME, AS_X },
    { "Concat", SAME, AS_X },
    { "ConstantOfShape", FILLED, FILL },
    { "Conv", SECOND, AS_X },
    { "ConvTranspose", SECOND, AS_X },
    { "CumSum", SAME, AS_X },
    { "DepthToSpace", SAME, AS_X },
    { "DequantizeLinear", SAME, AS_SECOND },
    { "Div", BROADCAST, AS_X },
    { "Dropout", SAME, AS_X },
    { "Elu", SAME, AS_X },
    { "Equal", BROADCAST, BOOLEAN },
    { "Erf", SAME, AS_X },
    { "Exp", SAME, AS_X },
    { "Expand", SHAPE_INPUT, AS_X },
    { "Flatten", TWO, AS_X },
    { "Floor", SAME, AS_X },
    { "GRU", RECURRENT, AS_X },
    { "Gather", GATHER, AS_X },
    { "GatherElements", SECOND, AS_X },
    { "Gelu", SAME, AS_X },
    { "Gemm", TWO, AS_X },
    { "GlobalAveragePool", SAME, AS_X },
    { "GlobalMaxPool", SAME, AS_X },
    { "Greater", BROADCAST, BOOLEAN },
    { "HardSigmoid", SAME, AS_X },
    { "HardSwish", SAME, AS_X },
    { "Hardmax", SAME, AS_X },
    { "Identity", SAME, AS_X },
    { "InstanceNormalization", SAME, AS_X },
    { "LRN", SAME, AS_X },
    { "LSTM", RECURRENT, AS_X },
    { "LayerNormalization", SAME, AS_X },
    { "LeakyRelu", SAME, AS_X },
    { "Less", BROADCAST, BOOLEAN },
    { "Log", SAME, AS_X },
    { "LogSoftmax", SAME, AS_X },
    { "MatMul", MATMUL, AS_X },
    { "Max", BROADCAST, AS_X },
    { "MaxPool", SAME, AS_X },
    { "Mean", BROADCAST, AS_X },
    { "Min", BROADCAST, AS_X },
    { "Mul", BROADCAST, AS_X },
    { "Neg", SAME, AS_X },
    { "NonZero", TWO, INT64 },
    { "Not", SAME, BOOLEAN },
    { "OneHot", MORE, AS_X },
    { "Or", BROADCAST, BOOLEAN },
    { "PRelu", SAME, AS_X },
    { "Pad", SAME, AS_X },
    { "Pow", BROADCAST, AS_X },
    { "RNN", RECURRENT, AS_X },
    { "Reciprocal", SAME, AS_X },
    { "ReduceL1", REDUCE, AS_X },
    { "ReduceL2", REDUCE, AS_X },
    { "ReduceMax", REDUCE, AS_X },
    { "ReduceMean", REDUCE, AS_X },
    { "ReduceMin", REDUCE, AS_X },
    { "ReduceProd", REDUCE, AS_X },
    { "ReduceSum", REDUCE, AS_X },
    { "ReduceSumSquare", REDUCE, AS_X },
    { "Relu", SAME, AS_X },
    { "Reshape", SHAPE_INPUT, AS_X },
    { "Resize", SAME, AS_X },
    { "Round", SAME, AS_X },
    { "ScatterElements", SAME, AS_X },
    { "ScatterND", SAME, AS_X },
    { "Selu", SAME, AS_X },
    { "Shape", ONE, INT64 },
    { "Sigmoid", SAME, AS_X },
    { "Sign", SAME, AS_X },
    { "Size", SCALAR, INT64 },
    { "Slice", SAME, AS_X },
    { "Softmax", SAME, AS_X },
    { "Softplus", SAME, AS_X },
    { "Softsign", SAME, AS_X },
    { "SpaceToDepth", SAME, AS_X },
    { "Split", SAME, AS_X },
    { "Sqrt", SAME, AS_X },
    { "Squeeze", SQUEEZE, AS_X },
    { "Sub", BROADCAST, AS_X },
    { "Sum", BROADCAST, AS_X },
    { "Tanh", SAME, AS_X },
    { "ThresholdedRelu", SAME, AS_X },
    { "Tile", SAME, AS_X },
    { "Transpose", SAME, AS_X },
    { "Unsqueeze", UNSQUEEZE, AS_X },
    { "Upsample", SAME, AS_X },
    { "Where", BROADCAST, AS_SECOND },
};

static int by_name(const void *key, const void *row) { return strcmp(key, ((const struct rule *)row)->op); }

/* Everything the rules look at for one node. */
struct at {
    const struct qn_graph *graph;
    const struct qn_fact  *facts;
    qn_node_id             node;
};

static struct qn_fact input(const struct at *at, size_t slot)
{
    qn_value_id id = qn_node_input(at->graph, at->node, slot);
    return id == QN_NONE ? (struct qn_fact){ .rank = -1, .length = -1 } : at->facts[id];
}

/* How many axes the node names, in its attribute or its second input: -1 when that cannot be told, 0 when none. */
static int64_t axis_count(const struct at *at)
{
    const Onnx__NodeProto *node = at->graph->pb->node[at->node];
    size_t                 count;

    if (qn_attr_ints(node, "axes", &count)) return (int64_t)count;
    if (node->n_input < 2 || !*node->input[1]) return 0;
    return input(at, 1).length;
}

static int64_t broadcast_rank(const struct at *at)
{
    int64_t rank = -1;

    for (size_t slot = 0; slot < at->graph->pb->node[at->node]->n_input; slot++) {
        struct qn_fact fact = input(at, slot);
        if (fact.rank < 0) return -1;
        if (fact.rank > rank) rank = fact.rank;
    }
    return rank;
}

static int64_t matmul_rank(const struct qn_fact a, const struct qn_fact b)
{
    if (a.rank < 1 || b.rank < 1) return -1;
    if (a.rank == 1 || b.rank == 1) return (a.rank > b.rank ? a.rank : b.rank) - 1;
    return a.rank > b.rank ? a.rank : b.rank;
}

static int64_t reduced_rank(const struct at *at, bool one_axis)
{
    const Onnx__NodeProto *node = at->graph->pb->node[at->node];
    int64_t                rank = input(at, 0).rank, axes = one_axis ? 1 : axis_count(at);

    if (qn_attr_int(node, "keepdims", 1)) return rank;
    if (rank < 0 || axes < 0) return -1;
    return axes == 0 ? (qn_attr_int(node, "noop_with_empty_axes", 0) ? rank : 0) : rank - axes;
}

static int64_t rank_of(const struct at *at, enum rank_rule rule)
{
    struct qn_fact x = input(at, 0), y = input(at, 1);
    int64_t        axes;

    switch (rule) {
    case SAME: return x.rank;
    case SECOND: return y.rank;
    case SCALAR: return 0;
    case ONE: return 1;
    case TWO: return 2;
    case BROADCAST: return broadcast_rank(at);
    case MATMUL: return matmul_rank(x, y);
    case FILLED: return x.length;
    case GATHER: return x.rank >= 0 && y.rank >= 0 ? (int64_t)x.rank + y.rank - 1 : -1;
    case REDUCE: return reduced_rank(at, strncmp(at->graph->pb->node[at->node]->op_type, "Arg", 3) == 0);
    case MORE: return x.rank >= 0 ? (int64_t)x.rank + 1 : -1;
    case RECURRENT: return 4;
    case SHAPE_INPUT:
        if (strcmp(at->graph->pb->node[at->node]->op_type, "Reshape") == 0) return y.length;
        return x.rank >= 0 && y.length >= 0 ? (x.rank > y.length ? x.rank : y.length) : -1;
    case SQUEEZE: axes = axis_count(at); return x.rank >= 0 && axes > 0 ? x.rank - axes : -1;
    case UNSQUEEZE: axes = axis_count(at); return x.rank >= 0 && axes > 0 ? x.rank + axes : -1;
    }
    return -1;
}

static int32_t type_of(const struct at *at, enum type_rule rule)
{
    const Onnx__NodeProto   *node = at->graph->pb->node[at->node];
    const Onnx__TensorProto *fill;

    switch (rule) {
    case AS_X: return input(at, strcmp(node->op_type, "OneHot") == 0 ? 2 : 0).dtype;
    case AS_SECOND: return input(at, 1).dtype;
    case BOOLEAN: return QN_BOOL;
    case INT64: return QN_INT64;
    case CAST: return (int32_t)qn_attr_int(node, "to", 0);
    case FILL: fill = qn_attr_tensor(node, "value"); return fill ? fill->data_type : QN_FLOAT;
    }
    return 0;
}

/* The one integer of a constant input; false when it is not constant or not one. */
static bool one_integer(const struct at *at, size_t slot, int64_t *value)
{
    const Onnx__TensorProto *t = qn_node_constant(at->graph, at->node, slot);
    struct qn_arena          scratch = { 0 };
    const int64_t           *values;
    size_t                   count = 0;
    bool                     one = t && qn_tensor_ints(t, &scratch, &values, &count, NULL) == QONNX_OK && count == 1;

    if (one) *value = values[0];
    qn_arena_release(&scratch);
    return one;
}

/* Slice of a 1-D value with constant bounds and step 1. */
static int64_t sliced_length(const struct at *at)
{
    const Onnx__NodeProto *node = at->graph->pb->node[at->node];
    int64_t                length = input(at, 0).length, from, to, step = 1;

    if (length < 0 || !one_integer(at, 1, &from) || !one_integer(at, 2, &to)) return -1;
    if (node->n_input > 4 && *node->input[4] && (!one_integer(at, 4, &step) || step != 1)) return -1;
    if (from < 0) from = from < -length ? 0 : from + length;
    if (to < 0) to = to < -length ? 0 : to + length;
    if (to > length) to = length;
    return to > from ? to - from : 0;
}

/* The length of a 1-D result; what shape computations are made of. */
static int64_t length_of(const struct at *at, int64_t rank)
{
    const Onnx__NodeProto *node = at->graph->pb->node[at->node];
    int64_t                sum = 0;

    if (rank != 1) return -1;
    if (strcmp(node->op_type, "Shape") == 0 && !node->n_attribute) return input(at, 0).rank;
    if (strcmp(node->op_type, "Unsqueeze") == 0) return input(at, 0).rank == 0 ? 1 : -1;
    if (strcmp(node->op_type, "Gather") == 0) return input(at, 0).rank == 1 ? input(at, 1).length : -1;
    if (strcmp(node->op_type, "Cast") == 0 || strcmp(node->op_type, "Identity") == 0) return input(at, 0).length;
    if (strcmp(node->op_type, "Slice") == 0) return sliced_length(at);
    if (strcmp(node->op_type, "Concat") != 0) return -1;
    for (size_t slot = 0; slot < node->n_input; slot++) {
        int64_t length = input(at, slot).length;
        if (length < 0 || length > INT32_MAX || (sum += length) > INT32_MAX) return -1;
    }
    return sum;
}

/* What the operator says of its output at `slot`. */
static struct qn_fact derive(const struct at *at, const struct rule *rule, size_t slot)
{
    struct qn_fact fact = { .rank = -1, .length = -1 };
    int64_t        rank;

    if (slot && strcmp(rule->op, "Split") != 0 && rule->rank != RECURRENT) return fact;
    rank = rank_of(at, rule->rank);
    if (rule->rank == RECURRENT && slot) rank = 3;
    if (rank >= 0 && rank <= MAX_RANK) fact.rank = (int32_t)rank;
    fact.dtype = type_of(at, rule->type);
    fact.length = slot ? -1 : length_of(at, rank);
    return fact;
}

/* Constant nodes, where they have not become initializers. */
static struct qn_fact constant_fact(const Onnx__NodeProto *node)
{
    const Onnx__TensorProto *value = qn_attr_tensor(node, "value");
    struct qn_fact           fact = { .rank = -1, .length = -1 };

    if (!value || value->n_dims > MAX_RANK) return fact;
    fact.dtype = value->data_type;
    fact.rank = (int32_t)value->n_dims;
    if (value->n_dims == 1 && value->dims[0] >= 0) fact.length = value->dims[0];
    return fact;
}

static void add_declared(const struct qn_value *value, struct qn_fact *fact)
{
    if (value->dtype) fact->dtype = value->dtype;
    if (value->rank < 0 || value->rank > MAX_RANK) return;
    fact->rank = value->rank;
    if (value->rank == 1 && value->dims[0] >= 0) fact->length = value->dims[0];
}

struct qn_fact *qn_facts(const struct qn_graph *graph, struct qn_arena *arena)
{
    struct qn_fact *facts = qn_arena_array(arena, graph->value_count, sizeof *facts);

    if (!facts) return NULL;
    for (size_t v = 0; v < graph->value_count; v++) {
        facts[v] = (struct qn_fact){ .rank = -1, .length = -1 };
        add_declared(&graph->values[v], &facts[v]);
    }
    for (qn_node_id n = 0; n < graph->node_count; n++) {
        const Onnx__NodeProto *node = graph->pb->node[n];
        const struct rule *rule = bsearch(node->op_type, rules, sizeof rules / sizeof *rules, sizeof *rules, by_name);
        struct at          at = { graph, facts, n };
        bool               constant = qn_node_is(graph, n, "Constant");
        if (!constant && (!rule || !qn_node_is(graph, n, rule->op))) continue;
        for (size_t slot = 0; slot < node->n_output; slot++) {
            qn_value_id v = qn_node_output(graph, n, slot);
            if (v == QN_NONE) continue;
            facts[v] = constant ? constant_fact(node) : derive(&at, rule, slot);
            add_declared(&graph->values[v], &facts[v]);
        }
    }
    return facts;
}
