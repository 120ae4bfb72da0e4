/* SPDX-License-Identifier: Apache-2.0
 * Random graphs that are well-formed and mostly nonsense: attributes of wrong types, missing inputs, wrong ranks, empty
 * tensors, infinities, nested graphs; among them enough that fits together for passes to find something to do. */
#ifndef QN_TESTS_RANDOM_GRAPH_H
#define QN_TESTS_RANDOM_GRAPH_H

#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/model.h"
#include "onnx/tensor.h"

enum { MAX_VALUES = 96 };

struct maker {
    struct qn_model  model;
    struct qn_arena *arena;
    uint64_t         random;
    unsigned         names;
    const char      *constants[MAX_VALUES], *values[MAX_VALUES];
    size_t           constant_count, value_count;
    bool             after_layer; /* the last node was a layer: likely something follows that folds */
};

static inline unsigned below(struct maker *m, unsigned limit)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (unsigned)(m->random >> 33) % limit;
}

static inline bool        chance(struct maker *m, unsigned percent) { return below(m, 100) < percent; }
static inline const char *new_name(struct maker *m) { return qn_arena_printf(m->arena, "v%u", m->names++); }

/* ---- tensors ---- */

static inline float number(struct maker *m)
{
    static const float odd[] = { 0.0f, -0.0f, INFINITY, -INFINITY, NAN, 3e38f, 1e-45f };
    return chance(m, 6) ? odd[below(m, 7)] : (float)below(m, 2000) / 250.0f - 4.0f;
}

static inline Onnx__TensorProto *random_tensor(struct maker *m, const char *name, size_t most_axes)
{
    static const int32_t types[] = { QN_FLOAT, QN_FLOAT, QN_FLOAT,  QN_FLOAT,   QN_INT64, QN_INT64,
                                     QN_INT32, QN_BOOL,  QN_DOUBLE, QN_FLOAT16, QN_UINT8, QN_INT8 };
    int32_t              type = types[below(m, 12)];
    size_t   rank = below(m, (unsigned)most_axes + 1), count = 1, width = (size_t)qn_dtype_find(type)->bits / 8;
    int64_t  dims[8];
    uint8_t *bytes;
    Onnx__TensorProto *tensor;

    for (size_t i = 0; i < rank; i++) count *= (size_t)(dims[i] = chance(m, 4) ? 0 : 1 + below(m, 3));
    bytes = qn_arena_alloc(m->arena, count * width + 1);
    for (size_t i = 0; i < count; i++) {
        float   f = number(m);
        int64_t n = (int64_t)below(m, 7) - 2;
        memcpy(bytes + i * width, type == QN_FLOAT ? (const void *)&f : (const void *)&n, width < 8 ? width : 8);
    }
    tensor = qn_tensor_new(m->arena, name, type, rank, dims, bytes, count * width);
    if (type == QN_FLOAT && chance(m, 30)) { /* the other way to store them */
        tensor->has_raw_data = false;
        tensor->n_float_data = count;
        tensor->float_data = (float *)(void *)bytes;
    } else if (type == QN_INT64 && chance(m, 30)) {
        tensor->has_raw_data = false;
        tensor->n_int64_data = count;
        tensor->int64_data = (int64_t *)(void *)bytes;
    }
    return tensor;
}

static inline Onnx__ValueInfoProto *random_info(struct maker *m, const char *name)
{
    Onnx__ValueInfoProto *info = qn_arena_alloc(m->arena, sizeof *info);

    onnx__value_info_proto__init(info);
    info->name = (char *)(uintptr_t)name;
    if (chance(m, 15)) return info;
    info->type = qn_arena_alloc(m->arena, sizeof *info->type);
    onnx__type_proto__init(info->type);
    if (chance(m, 10)) return info;
    info->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    info->type->tensor_type = qn_arena_alloc(m->arena, sizeof *info->type->tensor_type);
    onnx__type_proto__tensor__init(info->type->tensor_type);
    info->type->tensor_type->has_elem_type = true;
    info->type->tensor_type->elem_type = chance(m, 80) ? QN_FLOAT : (int32_t)below(m, 40) - 5;
    if (chance(m, 30)) return info;
    info->type->tensor_type->shape = qn_arena_alloc(m->arena, sizeof *info->type->tensor_type->shape);
    onnx__tensor_shape_proto__init(info->type->tensor_type->shape);
    info->type->tensor_type->shape->n_dim = below(m, 5);
    info->type->tensor_type->shape->dim = qn_arena_array(m->arena, 8, sizeof(void *));
    for (size_t i = 0; i < 8; i++) {
        Onnx__TensorShapeProto__Dimension *dim = qn_arena_alloc(m->arena, sizeof *dim);
        onnx__tensor_shape_proto__dimension__init(dim);
        if (chance(m, 70)) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = chance(m, 5) ? -7 : (int64_t)below(m, 4);
        }
        info->type->tensor_type->shape->dim[i] = dim;
    }
    return info;
}

/* ---- attributes ---- */

static inline Onnx__GraphProto *random_body(struct maker *m, int depth);

static inline Onnx__AttributeProto *random_attribute(struct maker *m, const char *name, int depth)
{
    static const int64_t  extreme[] = { INT64_MIN, INT64_MAX, INT32_MAX, -1000 };
    Onnx__AttributeProto *attr = qn_arena_alloc(m->arena, sizeof *attr);

    onnx__attribute_proto__init(attr);
    attr->name = (char *)(uintptr_t)name;
    attr->has_type = chance(m, 95);
    switch (strcmp(name, "value") == 0 && chance(m, 80) ? 4 : below(m, depth < 3 ? 8 : 7)) {
    case 0: attr->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT, attr->has_f = true, attr->f = number(m); break;
    case 1:
    case 2:
        attr->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT, attr->has_i = chance(m, 95);
        attr->i = chance(m, 10) ? extreme[below(m, 4)] : (int64_t)below(m, 9) - 2;
        break;
    case 3:
        attr->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING, attr->has_s = true;
        attr->s.data = (uint8_t *)qn_arena_strdup(m->arena, chance(m, 50) ? "nearest" : "linear");
        attr->s.len = strlen((const char *)attr->s.data);
        break;
    case 4: attr->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR, attr->t = random_tensor(m, "", 4); break;
    case 5:
        attr->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS, attr->n_ints = below(m, 5);
        attr->ints = qn_arena_array(m->arena, 8, sizeof *attr->ints);
        for (size_t i = 0; i < attr->n_ints; i++)
            attr->ints[i] = chance(m, 5) ? extreme[below(m, 4)] : (int64_t)below(m, 6) - 2;
        break;
    case 6:
        attr->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS, attr->n_floats = below(m, 5);
        attr->floats = qn_arena_array(m->arena, 8, sizeof *attr->floats);
        for (size_t i = 0; i < attr->n_floats; i++) attr->floats[i] = number(m);
        break;
    default: attr->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH, attr->g = random_body(m, depth + 1);
    }
    return attr;
}

static inline void add_attributes(struct maker *m, Onnx__NodeProto *node, int depth)
{
    static const char *const names[] = { "axis",          "axes",     "perm",       "to",       "value",  "min",
                                         "max",           "pads",     "group",      "transB",   "alpha",  "beta",
                                         "split",         "k",        "mode",       "body",     "ratio",  "scales",
                                         "value_float",   "keepdims", "ends",       "axis",     "starts", "spatial",
                                         "training_mode", "epsilon",  "value_ints", "allowzero" };
    size_t                   count = chance(m, 40) ? 0 : below(m, 5);
    Onnx__AttributeProto   **list = qn_arena_array(m->arena, 8, sizeof(void *));

    for (size_t i = 0; i < node->n_attribute; i++) list[i] = node->attribute[i];
    node->attribute = list;
    for (size_t i = 0; i < count; i++) {
        const char *name =
            strcmp(node->op_type, "Constant") == 0 ? "value" : names[below(m, sizeof names / sizeof *names)];
        if (!qn_attr_find(node, name)) node->attribute[node->n_attribute++] = random_attribute(m, name, depth);
    }
}

/* ---- nodes ---- */

/* Mostly what such an operator would have: `kind` is the row of sensible constants. */
static inline const char *random_input(struct maker *m, size_t slot, int kind)
{
    if (chance(m, 3)) return "";
    if (slot && kind >= 0 && chance(m, 80)) return m->constants[kind * 4 + (int)below(m, 4)];
    if (slot && chance(m, 75)) return m->constants[below(m, (unsigned)m->constant_count)];
    if (chance(m, 15)) return m->values[0];
    if (chance(m, 75)) return m->values[m->value_count - 1];
    return m->values[below(m, (unsigned)m->value_count)];
}

/* Constants that fit together, four a row: vectors, scalars, matrices, filters, axes. */
static inline Onnx__TensorProto *sensible_tensor(struct maker *m, const char *name, int row)
{
    static const int64_t twos[] = { 2, 2, 1, 1 }, ones[] = { 1, 1, 1, 1 };
    static const size_t  ranks[] = { 1, 0, 2, 4, 1 };
    size_t  rank = row == 1 ? below(m, 3) : ranks[row], count = row == 1 || row == 4 ? 1 : row == 0 ? 2 : 4;
    float  *floats = qn_arena_array(m->arena, 4, sizeof *floats);
    int64_t axis = below(m, 3);

    if (row == 4) return qn_tensor_int64_vector(m->arena, name, 1, &axis);
    for (size_t i = 0; i < count; i++) floats[i] = (float)(1 + below(m, 9)) / 4.0f;
    return qn_tensor_new(m->arena, name, QN_FLOAT, rank, row == 1 ? ones : twos, floats, count * sizeof *floats);
}

/* Operators that passes look at; for the first of them the row of sensible constants and how many inputs they have. */
static const char *const ops[] = { "Conv",
                                   "Conv",
                                   "ConvTranspose",
                                   "Gemm",
                                   "Gemm",
                                   "MatMul",
                                   "MatMul",
                                   "BatchNormalization",
                                   "BatchNormalization",
                                   "Mul",
                                   "Mul",
                                   "Add",
                                   "Add",
                                   "Sub",
                                   "Div",
                                   "Constant",
                                   "Constant",
                                   "Identity",
                                   "Dropout",
                                   "Cast",
                                   "Reshape",
                                   "Transpose",
                                   "Squeeze",
                                   "Unsqueeze",
                                   "Flatten",
                                   "Concat",
                                   "Max",
                                   "Softmax",
                                   "Hardmax",
                                   "Clip",
                                   "Pad",
                                   "Slice",
                                   "Split",
                                   "TopK",
                                   "Upsample",
                                   "Resize",
                                   "ReduceSum",
                                   "Scatter",
                                   "Scan",
                                   "If",
                                   "Relu",
                                   "Shape",
                                   "Gather",
                                   "LSTM",
                                   "OneHot",
                                   "Expand",
                                   "ConstantOfShape",
                                   "ScaledTanh",
                                   "Einsum",
                                   "Call" };
static const int         kinds[] = { 3, 3, 3, 2, 2, 2, 2, 0, 0, 1, 0, 0, 1, 1, 1 };
static const unsigned    inputs_of[] = { 2, 3, 2, 3, 2, 2, 2, 5, 5, 2, 2, 2, 2, 2, 2, 0, 0, 1 };

/* What makes these operators worth looking at. */
static inline void add_meaning(struct maker *m, Onnx__NodeProto *node, int depth)
{
    static const char *const equations[] = { "ij,jk->ik", "ij,kj", "...a,ab->...b", "i,ij", "ab,bc->abc", "ii,ij->j", "a" };

    if (strcmp(node->op_type, "Einsum") == 0) qn_attr_set_string(m->arena, node, "equation", equations[below(m, 7)]);
    if (strcmp(node->op_type, "Call") == 0 && chance(m, 90)) node->domain = qn_arena_strdup(m->arena, "my");
    if (strcmp(node->op_type, "If") != 0 || depth > 1) return;
    if (node->n_input && chance(m, 60)) node->input[0] = (char *)(uintptr_t)m->constants[16 + below(m, 4)]; /* an axis */
    for (int i = 0; i < 2; i++) {
        qn_attr_set_int(m->arena, node, i ? "then_branch" : "else_branch", 0);
        node->attribute[node->n_attribute - 1]->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
        node->attribute[node->n_attribute - 1]->g = random_body(m, depth + 1);
    }
}

static inline Onnx__NodeProto *random_node(struct maker *m, int depth)
{
    unsigned op = m->after_layer && chance(m, 60) ? 7 + below(m, 8) : below(m, sizeof ops / sizeof *ops);
    size_t   inputs = op < 18 && chance(m, 90) ? inputs_of[op] : 1 + below(m, 3),
           outputs = chance(m, 90) ? 1 : below(m, 4);
    const char      *in[5], *out[4];
    Onnx__NodeProto *node;

    if (depth == 0) m->after_layer = op < 7;
    for (size_t i = 0; i < inputs; i++) in[i] = random_input(m, i, op < 15 ? (i == 2 && op < 5 ? 0 : kinds[op]) : -1);
    for (size_t i = 0; i < outputs; i++) out[i] = chance(m, 95) ? new_name(m) : "";
    node = qn_node_new(m->arena, ops[op], chance(m, 50) ? "" : new_name(m), inputs, in, outputs, out);
    if (chance(m, 4)) node->domain = qn_arena_strdup(m->arena, "my");
    if (chance(m, 4)) node->name = NULL;
    add_meaning(m, node, depth);
    if (chance(m, strcmp(ops[op], "Constant") == 0 ? 95 : op < 15 ? 10 : 50)) add_attributes(m, node, depth);
    for (size_t i = 0; depth == 0 && i < outputs && m->value_count < MAX_VALUES; i++)
        if (*out[i]) m->values[m->value_count++] = out[i];
    return node;
}

/* A nested graph reads outer values and its own. */
static inline Onnx__GraphProto *random_body(struct maker *m, int depth)
{
    Onnx__GraphProto *body = qn_arena_alloc(m->arena, sizeof *body);
    const char       *last = NULL;

    onnx__graph_proto__init(body);
    body->node = qn_arena_array(m->arena, 4, sizeof(void *));
    body->n_node = below(m, 4);
    for (size_t n = 0; n < body->n_node; n++) {
        body->node[n] = random_node(m, depth);
        if (last && body->node[n]->n_input && chance(m, 60)) body->node[n]->input[0] = (char *)(uintptr_t)last;
        last = body->node[n]->n_output && *body->node[n]->output[0] ? body->node[n]->output[0] : last;
    }
    body->output = qn_arena_array(m->arena, 1, sizeof(void *));
    body->output[0] = random_info(m, last ? last : m->values[0]);
    body->n_output = 1;
    return body;
}

/* ---- models ---- */

/* my.Call (a, b) => (c, a): a Neg and an Add, or a call of itself. */
static inline void add_function(struct maker *m)
{
    static const char *const names[] = { "a", "b", "t", "c" };
    Onnx__FunctionProto     *f = qn_arena_alloc(m->arena, sizeof *f);

    onnx__function_proto__init(f);
    f->name = qn_arena_strdup(m->arena, "Call");
    f->domain = qn_arena_strdup(m->arena, "my");
    f->n_input = f->n_output = f->n_node = 2;
    f->input = (char **)(void *)qn_arena_memdup(m->arena, names, 2 * sizeof *names);
    f->output = qn_arena_array(m->arena, 2, sizeof(char *));
    f->output[0] = (char *)(uintptr_t)names[3];
    f->output[1] = (char *)(uintptr_t)names[0];
    f->node = qn_arena_array(m->arena, 2, sizeof(void *));
    f->node[0] = qn_node_new(m->arena, chance(m, 10) ? "Call" : "Neg", "n", 1, &names[0], 1, &names[2]);
    f->node[1] = qn_node_new(m->arena, "Add", "", 2, &names[1], 1, &names[3]);
    if (strcmp(f->node[0]->op_type, "Call") == 0) f->node[0]->domain = f->domain;
    m->model.pb->functions = qn_arena_array(m->arena, 1, sizeof(void *));
    m->model.pb->functions[0] = f;
    m->model.pb->n_functions = 1;
}

static inline void make_graph(struct maker *m, Onnx__GraphProto *graph)
{
    size_t nodes = 1 + below(m, 14);

    graph->input = qn_arena_array(m->arena, 32, sizeof(void *));
    graph->initializer = qn_arena_array(m->arena, 32, sizeof(void *));
    graph->node = qn_arena_array(m->arena, nodes, sizeof(void *));
    graph->output = qn_arena_array(m->arena, 4, sizeof(void *));
    for (size_t i = 0; i < 2; i++) {
        m->values[m->value_count++] = new_name(m);
        graph->input[graph->n_input++] = random_info(m, m->values[i]);
        if (!i && graph->input[0]->type && graph->input[0]->type->tensor_type &&
            graph->input[0]->type->tensor_type->shape)
            graph->input[0]->type->tensor_type->shape->n_dim = 2;
    }
    for (size_t i = 0; i < 26; i++) {
        m->constants[m->constant_count++] = new_name(m);
        graph->initializer[graph->n_initializer++] =
            i < 20 ? sensible_tensor(m, m->constants[i], (int)i / 4) : random_tensor(m, m->constants[i], 4);
        if (chance(m, 10)) graph->input[graph->n_input++] = random_info(m, m->constants[i]);
    }
    for (size_t n = 0; n < nodes; n++) graph->node[graph->n_node++] = random_node(m, 0);
    for (size_t i = 0; i < 1 + below(m, 3); i++) {
        const char *name =
            chance(m, 50) ? m->values[m->value_count - 1] : m->values[below(m, (unsigned)m->value_count)];
        bool known = false;
        for (size_t k = 0; k < graph->n_output; k++) known = known || strcmp(graph->output[k]->name, name) == 0;
        if (!known) graph->output[graph->n_output++] = random_info(m, name);
    }
}

static inline void make_model(struct maker *m, uint64_t seed)
{
    static const int64_t      opsets[] = { 6, 7, 8, 9, 9, 10, 11, 12, 13, 13, 15, 17 };
    Onnx__OperatorSetIdProto *import;

    memset(m, 0, sizeof *m);
    m->arena = &m->model.arena;
    m->random = seed * 0x9e3779b97f4a7c15u + 1;
    m->model.pb = qn_arena_alloc(m->arena, sizeof *m->model.pb);
    onnx__model_proto__init(m->model.pb);
    m->model.pb->has_ir_version = true;
    m->model.pb->ir_version = 3 + below(m, 6);
    m->model.pb->opset_import = qn_arena_array(m->arena, 1, sizeof(void *));
    m->model.pb->opset_import[0] = import = qn_arena_alloc(m->arena, sizeof *import);
    m->model.pb->n_opset_import = 1;
    onnx__operator_set_id_proto__init(import);
    import->has_version = true;
    import->version = opsets[below(m, 12)];
    m->model.pb->graph = qn_arena_alloc(m->arena, sizeof *m->model.pb->graph);
    onnx__graph_proto__init(m->model.pb->graph);
    make_graph(m, m->model.pb->graph);
    if (chance(m, 40)) add_function(m);
}

#endif
