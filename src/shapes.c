/* SPDX-License-Identifier: Apache-2.0 */
#include "shapes.h"

#include <string.h>

struct finder {
    struct qn_job *job;
    qn_value_id   *ids; /* inputs and results of nodes */
    const char   **names;
    size_t         count;
    bool           fixed;
    qonnx_error    why;
};

static bool is_known(const struct qn_value *value)
{
    bool known = value->dtype && value->rank >= 0;
    for (int32_t i = 0; known && i < value->rank; i++) known = value->dims[i] >= 0;
    return known;
}

static qonnx_status list(struct finder *f, size_t *unknown)
{
    const struct qn_graph *g = &f->job->graph;

    f->ids = qn_arena_array(&f->job->arena, g->value_count, sizeof *f->ids);
    f->names = qn_arena_array(&f->job->arena, g->value_count, sizeof *f->names);
    if (!f->ids || !f->names) return qn_fail_nomem(f->job->err);
    f->fixed = true;
    for (qn_value_id v = 0; v < g->value_count; v++) {
        if (g->values[v].producer == QN_NONE && !(g->values[v].flags & QN_INPUT)) continue;
        f->ids[f->count] = v;
        f->names[f->count++] = g->values[v].name;
        *unknown += !is_known(&g->values[v]);
        if (g->values[v].flags & QN_INPUT && !is_known(&g->values[v])) f->fixed = false;
    }
    f->fixed |= f->job->settings.dim.count || f->job->settings.input_shape.count;
    return QONNX_OK;
}

/* ---- running ---- */

static qonnx_status run_with(struct finder *f, const struct qn_dim_options *sizes, struct qn_calibration *seen)
{
    struct qn_job              *job = f->job;
    struct qn_calibrate_options options = { .threads = 1 };
    const struct qn_port       *inputs;
    struct qn_feed             *feed = NULL;
    size_t                      count;
    qonnx_status                status;

    QN_TRY(qn_model_inputs(&job->model, &job->arena, &inputs, &count, &f->why));
    QN_TRY(qn_feed_synthetic(&feed, &job->graph, inputs, count, 1, (uint64_t)job->settings.seed, sizes, job->runtime,
                             &f->why));
    status = qn_calibrate(seen, job->runtime, &job->model, f->names, f->count, feed, &options, &f->why);
    qn_feed_close(feed);
    return status;
}

/* Inputs of twice the sizes that are open. */
static const char **doubled(struct finder *f, const struct qn_calibration *seen, size_t *count)
{
    const struct qn_graph *g = &f->job->graph;
    const char           **texts = qn_arena_array(&f->job->arena, f->count, sizeof *texts);

    *count = 0;
    for (size_t i = 0; texts && i < f->count; i++) {
        const struct qn_value    *value = &g->values[f->ids[i]];
        const struct qn_observed *o = &seen->values[i];
        const char               *text = qn_arena_printf(&f->job->arena, "%s=", value->name);
        if (!(value->flags & QN_INPUT) || is_known(value)) continue;
        for (int k = 0; text && k < o->rank; k++) {
            bool open = value->rank != o->rank || value->dims[k] < 0;
            text =
                qn_arena_printf(&f->job->arena, "%s%s%lld", text, k ? "," : "", (long long)o->dims[k] * (open ? 2 : 1));
        }
        texts[(*count)++] = text;
    }
    return qn_arena_failed(&f->job->arena) ? NULL : texts;
}

/* ---- learning ---- */

/* What two runs saw alike holds always; without a second one only ranks do. */
static void learn(struct finder *f, size_t i, const struct qn_observed *a, const struct qn_observed *b)
{
    struct qn_value *v = &f->job->graph.values[f->ids[i]];
    int64_t         *dims;

    if (!v->dtype) v->dtype = a->dtype;
    if (a->rank < 0 || (b && b->rank != a->rank) ||
        !(dims = qn_arena_array(&f->job->arena, (size_t)a->rank, sizeof *dims)))
        return;
    for (int k = 0; k < a->rank; k++) {
        bool declared = v->rank == a->rank && v->dims[k] >= 0;
        dims[k] = f->fixed || (b && a->dims[k] == b->dims[k]) ? a->dims[k] : declared ? v->dims[k] : -1;
    }
    v->rank = a->rank;
    v->dims = dims;
}

static qonnx_status find(struct finder *f)
{
    const struct qn_settings *s = &f->job->settings;
    struct qn_dim_options     sizes = { s->dim.items, s->dim.count, s->input_shape.items, s->input_shape.count };
    struct qn_calibration     first = { 0 }, second = { 0 };
    bool                      twice = false;

    QN_TRY(qn_ort_load(&f->job->runtime, s->ort, &f->why));
    QN_TRY(run_with(f, &sizes, &first));
    if (!f->fixed) {
        sizes.shapes = doubled(f, &first, &sizes.shape_count);
        twice = sizes.shapes && run_with(f, &sizes, &second) == QONNX_OK;
    }
    for (size_t i = 0; i < f->count; i++) learn(f, i, &first.values[i], twice ? &second.values[i] : NULL);
    qn_calibration_release(&first);
    if (twice) qn_calibration_release(&second);
    return qn_arena_failed(&f->job->arena) ? qn_fail_nomem(&f->why) : QONNX_OK;
}

/* ---- inputs and outputs ---- */

static void fix_dims(struct qn_arena *arena, Onnx__ValueInfoProto *port, const struct qn_value *value)
{
    Onnx__TensorShapeProto *shape =
        port->type && port->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE && port->type->tensor_type
            ? port->type->tensor_type->shape
            : NULL;

    if (!shape || !is_known(value) || shape->n_dim != (size_t)value->rank) return;
    for (size_t i = 0; i < shape->n_dim; i++) {
        Onnx__TensorShapeProto__Dimension *dim = qn_arena_alloc(arena, sizeof *dim);
        if (!dim) return;
        onnx__tensor_shape_proto__dimension__init(dim);
        dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        dim->dim_value = value->dims[i];
        shape->dim[i] = dim;
    }
}

static void fix_ports(struct qn_job *job)
{
    Onnx__GraphProto *pb = job->model.pb->graph;

    for (size_t i = 0; i < pb->n_input + pb->n_output; i++) {
        Onnx__ValueInfoProto *port = i < pb->n_input ? pb->input[i] : pb->output[i - pb->n_input];
        qn_value_id           v = qn_graph_find(&job->graph, port->name);
        if (v != QN_NONE && !job->graph.values[v].init) fix_dims(&job->model.arena, port, &job->graph.values[v]);
    }
}

/* ---- all ---- */

static size_t count_unknown(const struct finder *f)
{
    size_t unknown = 0;
    for (size_t i = 0; i < f->count; i++) unknown += !is_known(&f->job->graph.values[f->ids[i]]);
    return unknown;
}

qonnx_status qn_job_find_shapes(struct qn_job *job)
{
    struct finder f = { .job = job };
    size_t        unknown = 0;
    qonnx_status  status;

    QN_TRY(list(&f, &unknown));
    if (!unknown) return QONNX_OK;
    qn_job_tell(job, "finding shapes", 0, 0);
    status = find(&f);
    if (status == QONNX_E_NOMEM) return qn_fail_nomem(job->err);
    if (status == QONNX_E_USAGE) return qn_fail(job->err, status, "%s", f.why.message); /* --dim, --input-shape */
    if (status != QONNX_OK)
        qn_warn(
            &job->warnings,
            "%zu values have no declared shape, which readers of %s want, and running the model did not show them: %s",
            unknown, job->emitter->name, f.why.message);
    else if ((unknown = count_unknown(&f)) > 0)
        qn_warn(&job->warnings,
                "the sizes of %zu values depend on the inputs', but readers of %s want fixed ones: see --dim and "
                "--input-shape",
                unknown, job->emitter->name);
    if (status == QONNX_OK && f.fixed) fix_ports(job);
    return QONNX_OK;
}
