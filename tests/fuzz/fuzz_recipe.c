/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a recipe: refused with a clear error that names the file, or obeyed on a small model of every kind of layer,
 * where a rule that does not suit is a clear error too. */
#include "fuzz.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/graph.h"
#include "onnx/tensor.h"
#include "plan/explicit.h"

static struct qn_model model;
static struct qn_graph graph;

static Onnx__ValueInfoProto *value(const char *name)
{
    static const int64_t  dims[] = { 1, 2, 3, 3 };
    Onnx__ValueInfoProto *info = qn_arena_alloc(&model.arena, sizeof *info);

    onnx__value_info_proto__init(info);
    info->name = qn_arena_strdup(&model.arena, name);
    info->type = qn_arena_alloc(&model.arena, sizeof *info->type);
    onnx__type_proto__init(info->type);
    info->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    info->type->tensor_type = qn_arena_alloc(&model.arena, sizeof *info->type->tensor_type);
    onnx__type_proto__tensor__init(info->type->tensor_type);
    info->type->tensor_type->has_elem_type = true;
    info->type->tensor_type->elem_type = QN_FLOAT;
    info->type->tensor_type->shape = qn_arena_alloc(&model.arena, sizeof *info->type->tensor_type->shape);
    onnx__tensor_shape_proto__init(info->type->tensor_type->shape);
    info->type->tensor_type->shape->n_dim = 4;
    info->type->tensor_type->shape->dim = qn_arena_array(&model.arena, 4, sizeof(void *));
    for (size_t i = 0; i < 4; i++) {
        Onnx__TensorShapeProto__Dimension *dim = qn_arena_alloc(&model.arena, sizeof *dim);
        onnx__tensor_shape_proto__dimension__init(dim);
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = dims[i];
        info->type->tensor_type->shape->dim[i] = dim;
    }
    return info;
}

static void constant(const char *name, size_t rank, const int64_t *dims)
{
    static const float values[8] = { 1, -0.5f, 0.25f, 0, 3, -2, 1e-3f, 7 };
    size_t             count = 1;
    Onnx__GraphProto  *g = model.pb->graph;

    for (size_t i = 0; i < rank; i++) count *= (size_t)dims[i];
    g->initializer[g->n_initializer++] =
        qn_tensor_new(&model.arena, name, QN_FLOAT, rank, dims, values, count * sizeof *values);
}

static void node(const char *op, const char *x, const char *w, const char *b, const char *name)
{
    const char *inputs[] = { x, w, b };
    size_t      count = b ? 3 : w ? 2 : 1;

    model.pb->graph->node[model.pb->graph->n_node++] = qn_node_new(&model.arena, op, name, count, inputs, 1, &name);
}

static void set_up(void)
{
    Onnx__GraphProto *g;

    model.pb = qn_arena_alloc(&model.arena, sizeof *model.pb);
    onnx__model_proto__init(model.pb);
    g = model.pb->graph = qn_arena_alloc(&model.arena, sizeof *g);
    onnx__graph_proto__init(g);
    qn_model_set_opset(&model, "", 13);
    g->initializer = qn_arena_array(&model.arena, 8, sizeof(void *));
    g->node = qn_arena_array(&model.arena, 16, sizeof(void *));
    g->input = qn_arena_array(&model.arena, 1, sizeof(void *));
    g->output = qn_arena_array(&model.arena, 1, sizeof(void *));
    g->input[g->n_input++] = value("x");
    constant("w", 4, (const int64_t[]){ 2, 2, 1, 1 });
    constant("b", 1, (const int64_t[]){ 2 });
    constant("m", 2, (const int64_t[]){ 2, 2 });
    node("Conv", "x", "w", "b", "conv");
    node("Relu", "conv", NULL, NULL, "relu");
    node("ConvTranspose", "relu", "w", "b", "up");
    node("Identity", "up", NULL, NULL, "same");
    node("Clip", "same", NULL, NULL, "clip");
    node("MatMul", "clip", "m", NULL, "product");
    node("Add", "product", "b", NULL, "sum");
    node("Gemm", "sum", "m", "b", "fc");
    node("MaxPool", "fc", NULL, NULL, "pool");
    node("Add", "pool", "relu", NULL, "y");
    g->output[g->n_output++] = value("y");
    PROMISE(!qn_arena_failed(&model.arena) && qn_graph_build(&graph, &model, NULL) == QONNX_OK);
}

static void obey(const struct qn_recipe *recipe)
{
    struct qn_settings settings;
    struct qn_plan     plan;
    qonnx_error        err = { 0 };
    qonnx_status       status;

    PROMISE(qn_settings_resolve(&settings, NULL, NULL) == QONNX_OK);
    settings.recipe = recipe;
    settings.threads = 1;
    status = qn_explicit_plan(&plan, &graph, &settings, &err);
    if (status == QONNX_OK) {
        status = qn_explicit_weights(&plan, &err);
        if (status == QONNX_OK) status = qn_explicit_solve(&plan, &err);
        qn_plan_release(&plan);
    }
    qn_settings_release(&settings);
    if (status != QONNX_OK) promise_clear_error(status, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qn_recipe recipe = { 0 };
    struct qn_arena  arena = { 0 };
    qonnx_error      err = { 0 };
    qonnx_status     status;

    if (!model.pb) set_up();
    status = qn_recipe_parse(&recipe, "r.json", (const char *)data, size, &arena, &err);
    if (status == QONNX_OK) {
        obey(&recipe);
    } else {
        promise_clear_error(status, &err);
        PROMISE(strncmp(err.message, "r.json:", 7) == 0);
    }
    qn_arena_release(&arena);
    return 0;
}
