/* SPDX-License-Identifier: Apache-2.0
 * A runtime that needs none: output k of a model is its first input times the model's `gain`, plus k; observed value k
 * is the first input times k + 1. */
#ifndef QN_TESTS_FAKE_RUNTIME_H
#define QN_TESTS_FAKE_RUNTIME_H

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "run/runner.h"

/* ---- models made of nothing ---- */

static inline void model_init(struct qn_model *model)
{
    memset(model, 0, sizeof *model);
    model->pb = qn_arena_alloc(&model->arena, sizeof *model->pb);
    onnx__model_proto__init(model->pb);
    model->pb->graph = qn_arena_alloc(&model->arena, sizeof *model->pb->graph);
    onnx__graph_proto__init(model->pb->graph);
    model->pb->graph->name = qn_arena_strdup(&model->arena, "g");
    model->path = qn_arena_strdup(&model->arena, "<test>");
    qn_model_set_opset(model, "", 13);
}

static inline void *model_append(struct qn_model *model, void *list, size_t count, void *item)
{
    void **grown = qn_arena_array(&model->arena, count + 1, sizeof *grown);

    assert_non_null(grown);
    assert_non_null(item);
    if (count) memcpy(grown, list, count * sizeof *grown);
    grown[count] = item;
    return grown;
}

/* dims: -1 with names[i] for an unknown size; rank -1 for no shape. */
static inline Onnx__ValueInfoProto *model_value(struct qn_model *model, const char *name, int32_t dtype, int rank,
                                                const int64_t *dims, const char *const *names)
{
    struct qn_arena      *arena = &model->arena;
    Onnx__ValueInfoProto *info = qn_arena_alloc(arena, sizeof *info);

    onnx__value_info_proto__init(info);
    info->name = qn_arena_strdup(arena, name);
    info->type = qn_arena_alloc(arena, sizeof *info->type);
    onnx__type_proto__init(info->type);
    info->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    info->type->tensor_type = qn_arena_alloc(arena, sizeof *info->type->tensor_type);
    onnx__type_proto__tensor__init(info->type->tensor_type);
    info->type->tensor_type->has_elem_type = true;
    info->type->tensor_type->elem_type = dtype;
    if (rank < 0) return info;
    info->type->tensor_type->shape = qn_arena_alloc(arena, sizeof *info->type->tensor_type->shape);
    onnx__tensor_shape_proto__init(info->type->tensor_type->shape);
    for (int i = 0; i < rank; i++) {
        Onnx__TensorShapeProto            *shape = info->type->tensor_type->shape;
        Onnx__TensorShapeProto__Dimension *dim = qn_arena_alloc(arena, sizeof *dim);
        onnx__tensor_shape_proto__dimension__init(dim);
        if (dims[i] >= 0) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = dims[i];
        } else if (names && names[i]) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
            dim->dim_param = qn_arena_strdup(arena, names[i]);
        }
        shape->dim = model_append(model, shape->dim, shape->n_dim, dim);
        shape->n_dim++;
    }
    return info;
}

static inline void model_input(struct qn_model *model, const char *name, int32_t dtype, int rank, const int64_t *dims,
                               const char *const *names)
{
    Onnx__GraphProto *graph = model->pb->graph;
    graph->input =
        model_append(model, graph->input, graph->n_input, model_value(model, name, dtype, rank, dims, names));
    graph->n_input++;
}

static inline void model_output(struct qn_model *model, const char *name, int32_t dtype)
{
    Onnx__GraphProto *graph = model->pb->graph;
    graph->output =
        model_append(model, graph->output, graph->n_output, model_value(model, name, dtype, -1, NULL, NULL));
    graph->n_output++;
}

/* The bytes are not copied. */
static inline void model_constant(struct qn_model *model, const char *name, int32_t dtype, size_t rank,
                                  const int64_t *dims, const void *bytes, size_t size)
{
    Onnx__GraphProto *graph = model->pb->graph;
    graph->initializer = model_append(model, graph->initializer, graph->n_initializer,
                                      qn_tensor_new(&model->arena, name, dtype, rank, dims, bytes, size));
    graph->n_initializer++;
}

/* One output; inputs end with NULL. */
static inline Onnx__NodeProto *model_node(struct qn_model *model, const char *op, const char *output,
                                          const char *const *inputs)
{
    Onnx__GraphProto *graph = model->pb->graph;
    const char       *made = qn_arena_strdup(&model->arena, output), *read[8];
    Onnx__NodeProto  *node;
    size_t            count = 0;

    for (; inputs[count]; count++) read[count] = qn_arena_strdup(&model->arena, inputs[count]);
    node = qn_node_new(&model->arena, op, output, count, read, 1, &made);
    graph->node = model_append(model, graph->node, graph->n_node, node);
    graph->n_node++;
    return node;
}
#define INPUTS(...)                                                                                                    \
    (const char *const[]) { __VA_ARGS__, NULL }

/* ---- the runtime ---- */

struct fake_runtime {
    struct qn_runtime base;
    float             fail_from;   /* runs whose input starts with at least this fail; 0: none */
    int64_t           only_size;   /* runs fail unless the first input has this many elements; 0: any */
    int32_t           output_type; /* 0: float */
    atomic_int        opened, closed, runs;
};

struct fake_session {
    struct qn_session         base;
    struct qn_session_options options;
    double                    gain;
    struct qn_arena           arena;
};

static inline qonnx_status fake_open(struct qn_runtime *runtime, const struct qn_model *model,
                                     const struct qn_session_options *options, struct qn_session **result,
                                     qonnx_error *err)
{
    struct fake_session *session = calloc(1, sizeof *session);

    session->base.runtime = runtime;
    session->options = *options;
    session->gain = (double)model->pb->model_version / 1000;
    assert_int_equal(qn_model_inputs(model, &session->arena, &session->base.inputs, &session->base.input_count, err),
                     QONNX_OK);
    assert_int_equal(qn_model_outputs(model, &session->arena, &session->base.outputs, &session->base.output_count, err),
                     QONNX_OK);
    ((struct fake_runtime *)runtime)->opened++;
    *result = &session->base;
    return QONNX_OK;
}

static inline qonnx_status fake_give(qn_view_fn fn, void *context, size_t index, const char *name, int32_t type,
                                     const struct qn_view *like, double factor, double offset, qonnx_error *err)
{
    size_t         count = qn_view_count(like), item = type == QN_INT64 ? 8 : 4;
    char          *data = malloc(count * item + 1);
    struct qn_view view = { name, type, like->rank, like->dims, data, count * item };
    qonnx_status   status;

    for (size_t i = 0; i < count; i++) {
        double x = like->dtype == QN_FLOAT ? (double)((const float *)like->data)[i] : 0;
        if (type == QN_INT64)
            ((int64_t *)(void *)data)[i] = (int64_t)(x * factor + offset);
        else
            ((float *)(void *)data)[i] = (float)(x * factor + offset);
    }
    status = fn(context, index, &view, err);
    free(data);
    return status;
}

static inline qonnx_status fake_run(struct qn_session *base, const struct qn_run *run, qonnx_error *err)
{
    struct fake_session *session = (struct fake_session *)base;
    struct fake_runtime *fake = (struct fake_runtime *)base->runtime;
    const float         *x = run->inputs[0].data;
    int32_t              type = fake->output_type ? fake->output_type : QN_FLOAT;

    fake->runs++;
    if (fake->only_size && (int64_t)qn_view_count(&run->inputs[0]) != fake->only_size)
        return qn_fail(err, QONNX_E_RUNTIME, "fake: wrong size");
    if (fake->fail_from != 0 && x[0] >= fake->fail_from)
        return qn_fail(err, QONNX_E_RUNTIME, "fake: %g is too much", (double)x[0]);
    for (size_t i = 0; i < session->options.observe_count; i++)
        QN_TRY(fake_give(session->options.observer, run->context, i, session->options.observe[i], QN_FLOAT,
                         &run->inputs[0], (double)i + 1, 0, err));
    for (size_t i = 0; run->on_output && i < base->output_count; i++)
        QN_TRY(fake_give(run->on_output, run->context, i, base->outputs[i].name, type, &run->inputs[0], session->gain,
                         (double)i, err));
    return QONNX_OK;
}

static inline void fake_close(struct qn_session *base)
{
    struct fake_session *session = (struct fake_session *)base;

    if (!session) return;
    ((struct fake_runtime *)base->runtime)->closed++;
    qn_arena_release(&session->arena);
    free(session);
}

static inline void fake_init(struct fake_runtime *fake)
{
    memset(fake, 0, sizeof *fake);
    fake->base = (struct qn_runtime){ "fake 1", fake_open, fake_run, fake_close, NULL };
}

#endif
