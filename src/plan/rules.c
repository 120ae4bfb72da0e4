/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/rules.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"

static const char *const reason_ids[] = {
#define R(id, text) #id,
    QN_REASON_LIST(R)
#undef R
};
static const char *const reason_texts[] = {
#define R(id, text) text,
    QN_REASON_LIST(R)
#undef R
};

const char *qn_reason_name(enum qn_reason reason)
{
    static _Thread_local char name[40];
    size_t                    i = 0;
    for (; reason_ids[reason][i] && i + 1 < sizeof name; i++) name[i] = (char)tolower((unsigned char)reason_ids[reason][i]);
    name[i] = 0;
    return name;
}

const char *qn_reason_text(enum qn_reason reason) { return reason_texts[reason]; }
bool        qn_reason_is_quantized(enum qn_reason reason) { return reason <= QN_REASON_MOVES_CODES; }

/* ---- refinements: the few nodes whose attributes change what their row says ---- */

/* The integer kernel knows neither alpha nor beta; the pass fold_affine has folded what could be. transB moves the channels. */
static enum qn_reason gemm(const struct qn_graph *graph, qn_node_id node, struct qn_rule *rule)
{
    const Onnx__NodeProto *pb = graph->pb->node[node];
    if (qn_attr_int(pb, "transB", 0)) rule->axis = 0;
    if (qn_attr_int(pb, "transA", 0) || qn_attr_float(pb, "alpha", 1) != 1.0f || qn_attr_float(pb, "beta", 1) != 1.0f) return QN_REASON_ATTRIBUTES;
    return QN_REASON_QUANTIZED;
}

/* A constant left operand would need the roles swapped, which no integer kernel has. */
static enum qn_reason matmul(const struct qn_graph *graph, qn_node_id node, struct qn_rule *rule)
{
    const Onnx__TensorProto *left = qn_node_constant(graph, node, 0), *right = qn_node_constant(graph, node, 1);
    if (left) return QN_REASON_ATTRIBUTES;
    if (!right) rule->in[1] = QN_ROLE_ACT;
    if (right && right->n_dims != 2) return QN_REASON_WEIGHT_SHAPE;
    return QN_REASON_QUANTIZED;
}

/* Grouped transposed convolutions hold the groups' channels on two axes. */
static enum qn_reason conv_transpose(const struct qn_graph *graph, qn_node_id node, struct qn_rule *rule)
{
    (void)rule;
    return qn_attr_int(graph->pb->node[node], "group", 1) == 1 ? QN_REASON_QUANTIZED : QN_REASON_ATTRIBUTES;
}

/* Only nearest neighbours are values of the input; interpolation rounds. */
static enum qn_reason resize(const struct qn_graph *graph, qn_node_id node, struct qn_rule *rule)
{
    const Onnx__NodeProto *pb = graph->pb->node[node];
    (void)rule;
    return !qn_attr_find(pb, "mode") || qn_attr_is(pb, "mode", "nearest") ? QN_REASON_QUANTIZED : QN_REASON_ATTRIBUTES;
}

/* The second output is an index into the float input. */
static enum qn_reason max_pool(const struct qn_graph *graph, qn_node_id node, struct qn_rule *rule)
{
    const Onnx__NodeProto *pb = graph->pb->node[node];
    (void)rule;
    return pb->n_output > 1 && *pb->output[1] ? QN_REASON_ATTRIBUTES : QN_REASON_QUANTIZED;
}

/* An embedding's table is a constant whose rows are weights. Its columns differ more than its rows do, so they are what
 * gets a scale each. */
static enum qn_reason gather(const struct qn_graph *graph, qn_node_id node, struct qn_rule *rule)
{
    enum { LEAST_ROWS = 16 }; /* below it the scales are as large as what the codes save */
    const Onnx__TensorProto *table = qn_node_constant(graph, node, 0);

    if (!table) return QN_REASON_QUANTIZED;
    if (table->data_type != QN_FLOAT || table->n_dims != 2 || table->dims[0] < LEAST_ROWS || qn_attr_int(graph->pb->node[node], "axis", 0) % 2) return QN_REASON_SLOWER_ON_TARGET;
    rule->kind = QN_KIND_TABLE;
    rule->in[0] = QN_ROLE_WEIGHT;
    rule->axis = 1;
    return QN_REASON_QUANTIZED;
}

static bool gates(const Onnx__TensorProto *w, int64_t rows)
{
    if (!w || w->data_type != QN_FLOAT || w->n_dims != 3) return false;
    return w->dims[0] >= 1 && w->dims[0] <= 2 && w->dims[1] == rows && w->dims[2] >= 1;
}

/* Weights are [directions, 4 hidden, inputs]. Below some tens of thousands of them for a direction quantizing the inputs
 * of each step takes what the products save. */
static enum qn_reason lstm(const struct qn_graph *graph, qn_node_id node, struct qn_rule *rule)
{
    enum { LEAST = 1 << 15 };
    const Onnx__TensorProto *w = qn_node_constant(graph, node, 1), *r = qn_node_constant(graph, node, 2);

    (void)rule;
    if (!w || !r) return QN_REASON_WEIGHT_NOT_CONSTANT;
    if (w->data_type != QN_FLOAT || r->data_type != QN_FLOAT) return QN_REASON_WEIGHT_NOT_FLOAT;
    if (r->n_dims != 3 || r->dims[2] > INT32_MAX || !gates(r, 4 * r->dims[2]) || !gates(w, r->dims[1]) || w->dims[0] != r->dims[0]) return QN_REASON_WEIGHT_SHAPE;
    if (qn_attr_int(graph->pb->node[node], "layout", 0)) return QN_REASON_ATTRIBUTES;
    return (double)r->dims[1] * ((double)w->dims[2] + (double)r->dims[2]) < LEAST ? QN_REASON_SLOWER_ON_TARGET : QN_REASON_QUANTIZED;
}

static enum qn_reason recurrent(const struct qn_graph *graph, qn_node_id node, struct qn_rule *rule)
{
    (void)graph, (void)node, (void)rule;
    return QN_REASON_RECURRENT;
}

/* ---- the table ---- */

#define OP(name) .op = name
#define LAYER(...) .kind = QN_KIND_LAYER, .in = { __VA_ARGS__ }, .own_output = true
#define JOIN(...) .kind = QN_KIND_JOIN, .in = { __VA_ARGS__ }, .own_output = true
#define MOVE .kind = QN_KIND_MOVE, .in = { ACT }
#define POOL .kind = QN_KIND_POOL, .in = { ACT }, .own_output = true
#define POINTWISE .kind = QN_KIND_POINTWISE, .in = { ACT }
#define RECURRENT .kind = QN_KIND_RECURRENT, .in = { QN_ROLE_OTHER, WEIGHT, WEIGHT }, .axis = 1
#define REST(role) .rest = role
#define AXIS(n) .axis = n
#define SINCE(n) .since = n
#define FIXED(scale, zero) .fixed_scale = scale, .fixed_zero_point = zero
#define REFINE(fn) .refine = fn
/* Operand order of the integer form: capitals are tensors (X, Y activations, W weight, B bias), `sz` scale and zero
 * point of the tensor before, `SZ` the output's, `*` repeats what follows it; NULL: written by the operator's own code. */
#define TWIN(domain, name, inputs) .twin_domain = domain, .twin = name, .twin_inputs = inputs
#define AI ""
#define MS "com.microsoft"
#define ACT QN_ROLE_ACT
#define WEIGHT QN_ROLE_WEIGHT
#define BIAS QN_ROLE_BIAS
#define ALSO_POINTWISE .also_pointwise = true
#define CLAMP .clamp = true
#define BLOCKS .blocks = true

/* clang-format off */
/* Sorted by operator. Pointwise rows without a twin only tell the planner how far a chain reaches. */
static const struct qn_rule rules[] = {
    { OP("Abs"),                POINTWISE },
    { OP("Add"),                JOIN(ACT, ACT),             ALSO_POINTWISE,        TWIN(MS, "QLinearAdd", "XszYszSZ") },
    { OP("AveragePool"),        POOL,                                              TWIN(MS, "QLinearAveragePool", "XszSZ") },
    { OP("BatchNormalization"), POINTWISE },
    { OP("Ceil"),               POINTWISE },
    { OP("Celu"),               POINTWISE },
    { OP("Clip"),               POINTWISE, CLAMP },
    { OP("Concat"),             JOIN(ACT), REST(ACT),                              TWIN(MS, "QLinearConcat", "SZ*Xsz") },
    { OP("Conv"),               LAYER(ACT, WEIGHT, BIAS),   AXIS(0),               TWIN(AI, "QLinearConv", "XszWszSZB") },
    { OP("ConvTranspose"),      LAYER(ACT, WEIGHT, BIAS),   AXIS(1),               REFINE(conv_transpose) },
    { OP("Cos"),                POINTWISE },
    { OP("DepthToSpace"),       MOVE },
    { OP("Div"),                POINTWISE },
    { OP("Elu"),                POINTWISE },
    { OP("Erf"),                POINTWISE },
    { OP("Exp"),                POINTWISE },
    { OP("Flatten"),            MOVE },
    { OP("Floor"),              POINTWISE },
    { OP("GRU"),                RECURRENT,                                         REFINE(recurrent) },
    { OP("Gather"),             MOVE,                                              REFINE(gather) },
    { OP("Gelu"),               POINTWISE },
    { OP("Gemm"),               LAYER(ACT, WEIGHT, BIAS),   AXIS(1), BLOCKS,             TWIN(MS, "QGemm", "XszWszBSZ"), REFINE(gemm) },
    { OP("GlobalAveragePool"),  POOL,                                              TWIN(MS, "QLinearGlobalAveragePool", "XszSZ") },
    { OP("HardSigmoid"),        POINTWISE },
    { OP("HardSwish"),          POINTWISE },
    { OP("LSTM"),               RECURRENT,                                         TWIN(MS, "DynamicQuantizeLSTM", NULL), REFINE(lstm) },
    { OP("LeakyRelu"),          POINTWISE,                                         TWIN(MS, "QLinearLeakyRelu", "XszSZ") },
    { OP("Log"),                POINTWISE },
    { OP("MatMul"),             LAYER(ACT, WEIGHT),         AXIS(-1), BLOCKS,             TWIN(AI, "QLinearMatMul", "XszWszSZ"), REFINE(matmul) },
    { OP("Max"),                POINTWISE },
    { OP("MaxPool"),            MOVE,                       SINCE(12),             REFINE(max_pool) },
    { OP("Min"),                POINTWISE },
    { OP("Mish"),               POINTWISE },
    { OP("Mul"),                JOIN(ACT, ACT),             ALSO_POINTWISE,        TWIN(MS, "QLinearMul", "XszYszSZ") },
    { OP("Neg"),                POINTWISE },
    { OP("PRelu"),              POINTWISE },
    { OP("Pad"),                MOVE },
    { OP("Pow"),                POINTWISE },
    { OP("RNN"),                RECURRENT,                                         REFINE(recurrent) },
    { OP("Reciprocal"),         POINTWISE },
    { OP("Relu"),               POINTWISE, CLAMP },
    { OP("Reshape"),            MOVE },
    { OP("Resize"),             MOVE,                       SINCE(11),             REFINE(resize) },
    { OP("Round"),              POINTWISE },
    { OP("Selu"),               POINTWISE },
    { OP("Sigmoid"),            POINTWISE, FIXED(1.0f / 256, 0),                   TWIN(MS, "QLinearSigmoid", "XszSZ") },
    { OP("Sign"),               POINTWISE },
    { OP("Sin"),                POINTWISE },
    { OP("Slice"),              MOVE },
    { OP("Softplus"),           POINTWISE },
    { OP("Softsign"),           POINTWISE },
    { OP("Split"),              MOVE },
    { OP("Sqrt"),               POINTWISE },
    { OP("Squeeze"),            MOVE },
    { OP("Sub"),                POINTWISE },
    { OP("Swish"),              POINTWISE },
    { OP("Tanh"),               POINTWISE, FIXED(1.0f / 128, 128) },
    { OP("ThresholdedRelu"),    POINTWISE },
    { OP("Transpose"),          MOVE },
    { OP("Unsqueeze"),          MOVE },
};
/* clang-format on */

static int by_op(const void *key, const void *row) { return strcmp(key, ((const struct qn_rule *)row)->op); }

const struct qn_rule *qn_rule_find(const char *op) { return bsearch(op, rules, sizeof rules / sizeof *rules, sizeof *rules, by_op); }
bool                  qn_rule_is_layer(const struct qn_rule *rule) { return rule && (rule->kind == QN_KIND_LAYER || rule->kind == QN_KIND_RECURRENT) && rule->in[1] == QN_ROLE_WEIGHT; }
const struct qn_rule *qn_rule_at(size_t i) { return i < sizeof rules / sizeof *rules ? &rules[i] : NULL; }
