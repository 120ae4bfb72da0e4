/* SPDX-License-Identifier: Apache-2.0 */
#include "run/synthetic.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "run/npy.h"
#include "run/random.h"

/* ---- integers that select rows ---- */

/* Operators behind which the same integers come out. */
static bool passes_values_on(const struct qn_graph *graph, qn_node_id node, uint16_t slot)
{
    static const char *const names[] = { "Cast",  "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Transpose",
                                         "Slice", "Expand",   "Tile",    "Split",     "Concat",  "Clip",    "Where" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (qn_node_is(graph, node, names[i]))
            return slot == 0 ? strcmp(names[i], "Where") != 0
                             : strcmp(names[i], "Concat") == 0 || strcmp(names[i], "Where") == 0;
    return false;
}

/* A one-hot coding spelt out: comparison with the constants 0, 1 ... */
static uint64_t codes_compared(const struct qn_graph *graph, qn_node_id node, uint16_t slot)
{
    const Onnx__TensorProto *codes = qn_node_constant(graph, node, slot ? 0 : 1);
    struct qn_arena          arena = { 0 };
    const int64_t           *values;
    size_t                   count = 0;

    if (!codes || qn_tensor_ints(codes, &arena, &values, &count, NULL) != QONNX_OK || count < 2) count = 0;
    for (size_t i = 0; i < count; i++)
        if (values[i] != (int64_t)i) count = 0;
    qn_arena_release(&arena);
    return count;
}

/* The number of rows that slot of a node selects from, 0 when it does not select. */
static uint64_t rows_selected(const struct qn_graph *graph, qn_node_id node, uint16_t slot)
{
    const Onnx__TensorProto *table;
    int64_t                  axis;

    if (qn_node_is(graph, node, "Gather") && slot == 1) {
        if (!(table = qn_node_constant(graph, node, 0))) return 0;
        axis = qn_attr_int(graph->pb->node[node], "axis", 0);
        if (axis < 0) axis += (int64_t)table->n_dims;
        return axis >= 0 && (size_t)axis < table->n_dims && table->dims[axis] > 0 ? (uint64_t)table->dims[axis] : 0;
    }
    if (qn_node_is(graph, node, "OneHot") && slot == 0 && (table = qn_node_constant(graph, node, 1))) {
        struct qn_arena arena = { 0 };
        const int64_t  *depth;
        size_t          count;
        uint64_t        rows = 0;
        if (qn_tensor_ints(table, &arena, &depth, &count, NULL) == QONNX_OK && count == 1 && depth[0] > 0)
            rows = (uint64_t)depth[0];
        qn_arena_release(&arena);
        return rows;
    }
    return qn_node_is(graph, node, "Equal") ? codes_compared(graph, node, slot) : 0;
}

static void smaller(uint64_t *limit, uint64_t rows)
{
    if (rows && (!*limit || rows < *limit)) *limit = rows;
}

/* Nodes stand in topological order, so one sweep over them follows every path. */
uint64_t qn_index_limit(const struct qn_graph *graph, qn_value_id value)
{
    bool    *reached = calloc(graph->value_count, sizeof *reached);
    uint64_t limit = 0;

    if (!reached || value >= graph->value_count) {
        free(reached);
        return 0;
    }
    reached[value] = true;
    for (qn_node_id node = 0; node < graph->node_count; node++) {
        const Onnx__NodeProto *pb = graph->pb->node[node];
        bool                   on = false;
        for (size_t slot = 0; slot < pb->n_input && slot < QN_SLOT_CAPTURED; slot++) {
            qn_value_id input = qn_node_input(graph, node, slot);
            if (input == QN_NONE || !reached[input]) continue;
            smaller(&limit, rows_selected(graph, node, (uint16_t)slot));
            on |= passes_values_on(graph, node, (uint16_t)slot);
        }
        for (size_t slot = 0; on && slot < pb->n_output; slot++) {
            qn_value_id output = qn_node_output(graph, node, slot);
            if (output != QN_NONE) reached[output] = true;
        }
    }
    free(reached);
    return limit;
}

/* ---- values ---- */

/* Close to the standard normal distribution, by integer arithmetic alone: the sum of 12 uniform numbers. */
static float normal(struct qn_random *random)
{
    int64_t sum = 0;

    for (int i = 0; i < 3; i++) {
        uint64_t bits = qn_random_next(random);
        for (int k = 0; k < 4; k++, bits >>= 16) sum += (int64_t)(bits & 0xffff);
    }
    return (float)((double)(2 * sum - 12 * 65535) / 131072.0);
}

static void fill(void *to, const struct qn_recipe *recipe, size_t count, struct qn_random *random)
{
    const struct qn_dtype *dtype = qn_dtype_find(recipe->dtype);
    size_t                 item = (size_t)dtype->bits / 8, at;

    for (size_t i = 0; i < count; i++) {
        char *place = (char *)to + i * item;
        if (dtype->is_float) {
            float value = normal(random);
            qn_elements_convert(place, recipe->dtype, &value, QN_FLOAT, 1, &at);
        } else if (dtype->bits == 8 && recipe->dtype != QN_BOOL && !recipe->limit) {
            *(uint8_t *)place = (uint8_t)qn_random_next(random);
        } else {
            int64_t value = recipe->limit ? (int64_t)qn_random_below(random, recipe->limit) : 1;
            qn_elements_convert(place, recipe->dtype, &value, QN_INT64, 1, &at);
        }
    }
}

qonnx_status qn_generate(struct qn_sample *sample, const struct qn_recipe *recipes, size_t count, uint64_t seed,
                         uint64_t index, qonnx_error *err)
{
    for (size_t i = 0; i < count; i++) {
        struct qn_random random;
        void            *data;
        QN_TRY(qn_sample_place(sample, count, i, recipes[i].port->name, recipes[i].dtype, recipes[i].rank,
                               recipes[i].dims, &data, err));
        qn_random_seed(&random, seed);
        qn_random_seed(&random, qn_random_next(&random) + index);
        qn_random_seed(&random, qn_random_next(&random) + i);
        fill(data, &recipes[i], qn_view_count(&sample->views[i]), &random);
    }
    return QONNX_OK;
}

/* ---- the source ---- */

struct synthetic {
    struct qn_source  base;
    struct qn_recipe *recipes;
    size_t            input_count;
    uint64_t          seed, next;
};

static qonnx_status synthetic_next(struct qn_source *source, struct qn_sample *sample, qonnx_error *err)
{
    struct synthetic *synthetic = (struct synthetic *)source;
    uint64_t          index = synthetic->next++;

    return sample ? qn_generate(sample, synthetic->recipes, synthetic->input_count, synthetic->seed, index, err)
                  : QONNX_OK;
}

static qonnx_status synthetic_rewind(struct qn_source *source, qonnx_error *err)
{
    (void)err;
    ((struct synthetic *)source)->next = 0;
    return QONNX_OK;
}

static void synthetic_close(struct qn_source *source)
{
    free(((struct synthetic *)source)->recipes);
    free(source);
}

/* ---- trial runs ---- */

struct trial {
    struct qn_session *session;
    struct qn_sample   sample;
};

/* Zeros will do: only shapes are on trial, and 0 is a row of every table. */
static bool trial_run(void *context, const struct qn_recipe *recipes, size_t count)
{
    struct trial *trial = context;
    struct qn_run run = { 0 };

    for (size_t i = 0; i < count; i++) {
        const struct qn_recipe *r = &recipes[i];
        void                   *data;
        if (qn_sample_place(&trial->sample, count, i, r->port->name, r->dtype, r->rank, r->dims, &data, NULL) !=
            QONNX_OK)
            return false;
        memset(data, 0, trial->sample.views[i].size);
    }
    run.inputs = trial->sample.views;
    return trial->session->runtime->run(trial->session, &run, NULL) == QONNX_OK;
}

static bool sizes_missing(const struct qn_recipe *recipes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int d = 1; d < recipes[i].rank; d++)
            if (recipes[i].dims[d] < 0) return true;
    return false;
}

static qonnx_status resolve(struct synthetic *synthetic, const struct qn_graph *graph,
                            const struct qn_dim_options *dims, struct qn_runtime *runtime, struct qn_strbuf *notes,
                            qonnx_error *err)
{
    struct qn_session_options plain = { 0 };
    struct trial              trial = { 0 };
    struct qn_trial           hook = { trial_run, &trial };
    qonnx_status              status;

    if (runtime && sizes_missing(synthetic->recipes, synthetic->input_count))
        QN_TRY(runtime->open(runtime, graph->model, &plain, &trial.session, err));
    status =
        qn_resolve_shapes(synthetic->recipes, synthetic->input_count, dims, trial.session ? &hook : NULL, notes, err);
    if (trial.session) runtime->close(trial.session);
    qn_sample_release(&trial.sample);
    return status;
}

static qonnx_status make_recipes(struct synthetic *synthetic, const struct qn_graph *graph,
                                 const struct qn_port *inputs, qonnx_error *err)
{
    for (size_t i = 0; i < synthetic->input_count; i++) {
        struct qn_recipe      *recipe = &synthetic->recipes[i];
        const struct qn_dtype *dtype = qn_dtype_find(inputs[i].dtype);
        *recipe = (struct qn_recipe){ .port = &inputs[i], .dtype = inputs[i].dtype, .rank = inputs[i].rank };
        if (!dtype)
            return qn_fail(err, QONNX_E_UNSUPPORTED, "input '%s' is a sequence, an optional or no tensor at all; such inputs cannot be fed",
                           inputs[i].name);
        if (!qn_elements_convertible(inputs[i].dtype, inputs[i].dtype))
            return qn_fail(err, QONNX_E_UNSUPPORTED, "input '%s' takes %s, for which no data can be generated",
                           inputs[i].name, qn_dtype_name(inputs[i].dtype));
        if (inputs[i].rank > 0) memcpy(recipe->dims, inputs[i].dims, (size_t)inputs[i].rank * sizeof *recipe->dims);
        if (!dtype->is_float && inputs[i].dtype != QN_BOOL)
            recipe->limit = qn_index_limit(graph, qn_graph_find(graph, inputs[i].name));
        /* Rows beyond what the type can number are out of reach. */
        if (dtype->bits < 64 && recipe->limit > UINT64_C(1) << (dtype->bits - 1))
            recipe->limit = UINT64_C(1) << (dtype->bits - 1);
    }
    return QONNX_OK;
}

qonnx_status qn_feed_synthetic(struct qn_feed **feed, const struct qn_graph *graph, const struct qn_port *inputs,
                               size_t input_count, size_t samples, uint64_t seed, const struct qn_dim_options *dims,
                               struct qn_runtime *runtime, qonnx_error *err)
{
    struct synthetic *synthetic = calloc(1, sizeof *synthetic);
    struct qn_strbuf  notes;
    qonnx_status      status;

    if (!synthetic || !(synthetic->recipes = calloc(input_count + 1, sizeof *synthetic->recipes))) {
        free(synthetic);
        return qn_fail_nomem(err);
    }
    qn_strbuf_init(&notes);
    synthetic->base =
        (struct qn_source){ samples ? samples : 1, synthetic_next, synthetic_rewind, synthetic_close, true };
    synthetic->input_count = input_count;
    synthetic->seed = seed;
    status = make_recipes(synthetic, graph, inputs, err);
    if (status == QONNX_OK) status = resolve(synthetic, graph, dims, runtime, &notes, err);
    if (status == QONNX_OK) return qn_feed_new(feed, &synthetic->base, &(struct qn_feed_options){ 0 }, &notes, err);
    qn_strbuf_release(&notes);
    synthetic_close(&synthetic->base);
    return status;
}
