/* SPDX-License-Identifier: Apache-2.0 */
#include "layer_errors.h"

#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/transplant.h"

enum { SIGNAL, ALONE, TOGETHER, SUMS };

struct tracer {
    struct qn_job   *job;
    struct qn_arena  scratch;
    struct qn_graph  merged;
    struct qn_edit  *edit;
    struct qn_names  taken;
    qn_node_id      *nodes; /* whose results are compared */
    qn_value_id     *results;
    size_t           count;
    const char    *(*sums)[SUMS]; /* the names of their sums */
    double         (*totals)[SUMS];
    size_t           runs;
    bool            *kept; /* by node of the quantized graph */
};

static Onnx__GraphProto *quantized_pb(const struct tracer *t) { return t->job->quantized.pb; }

/* ---- what is compared ---- */

static qonnx_status list_results(struct tracer *t)
{
    const struct qn_job *job = t->job;

    t->nodes = qn_arena_array(&t->scratch, job->graph.node_count, sizeof *t->nodes);
    t->results = qn_arena_array(&t->scratch, job->graph.node_count, sizeof *t->results);
    if (!t->nodes || !t->results) return qn_fail_nomem(job->err);
    for (qn_node_id n = 0; n < job->graph.node_count; n++) {
        const struct qn_node_plan *row = &job->plan.nodes[n];
        qn_value_id                v = qn_node_output(&job->graph, n, 0), there;
        if (row->reason != QN_REASON_QUANTIZED || !row->rule) continue;
        if (row->result != QN_NONE && row->rule->own_output) v = row->result;
        if (v == QN_NONE || (job->graph.values[v].dtype && job->graph.values[v].dtype != QN_FLOAT)) continue;
        there = qn_graph_find(&job->quantized, job->graph.values[v].name);
        if (there == QN_NONE || job->quantized.values[there].producer == QN_NONE) continue;
        t->nodes[t->count] = n;
        t->results[t->count++] = v;
    }
    return QONNX_OK;
}

/* Values that the copy of single nodes reads from the float graph: all that is not made and read inside one kernel. */
static bool reads_float(const struct tracer *t, const char *name)
{
    const struct qn_graph *g = &t->job->graph;
    qn_value_id            v = qn_graph_find(g, name);
    qn_node_id             maker = v == QN_NONE ? QN_NONE : g->values[v].producer;
    enum qn_reason         reason = maker == QN_NONE ? QN_REASON_COUNT : t->job->plan.nodes[maker].reason;

    if (v == QN_NONE) return false;
    return t->job->plan.tensors[v].quantized || (reason != QN_REASON_QUANTIZED && reason != QN_REASON_FUSED);
}

/* The nodes of the quantized graph that make the results out of values of the float graph. */
static qonnx_status keep_nodes(struct tracer *t)
{
    const struct qn_graph *q = &t->job->quantized;
    bool                  *needed = qn_arena_array(&t->scratch, q->value_count, sizeof *needed);

    t->kept = qn_arena_array(&t->scratch, q->node_count, sizeof *t->kept);
    if (!needed || !t->kept) return qn_fail_nomem(t->job->err);
    for (size_t i = 0; i < t->count; i++) needed[qn_graph_find(q, t->job->graph.values[t->results[i]].name)] = true;
    for (qn_node_id n = (qn_node_id)q->node_count; n-- > 0;) {
        for (size_t i = 0; i < q->pb->node[n]->n_output; i++) {
            qn_value_id v = qn_node_output(q, n, i);
            t->kept[n] |= v != QN_NONE && needed[v];
        }
        for (size_t i = 0; t->kept[n] && i < q->pb->node[n]->n_input; i++) {
            qn_value_id v = qn_node_input(q, n, i);
            if (v != QN_NONE && !reads_float(t, q->values[v].name)) needed[v] = true;
        }
    }
    return QONNX_OK;
}

/* ---- the model ---- */

/* Constants of the quantized graph beside those of the float one; where it has others under the same name, under new ones. */
static void put_constants(struct tracer *t, struct qn_transplant *copies, bool add)
{
    const Onnx__GraphProto *pb = quantized_pb(t);

    for (size_t i = 0; i < pb->n_initializer; i++) {
        Onnx__TensorProto *tensor = pb->initializer[i];
        qn_value_id        v = tensor->name ? qn_graph_find(&t->merged, tensor->name) : QN_NONE;
        if (!tensor->name || (v != QN_NONE && t->merged.values[v].init == tensor)) continue;
        if (v != QN_NONE) qn_transplant_map(copies, tensor->name, qn_arena_printf(qn_edit_arena(t->edit), "codes/%s", tensor->name));
        if (add) qn_edit_add_initializer(t->edit, v == QN_NONE ? tensor : qn_transplant_tensor(copies, tensor));
    }
}

/* All of the quantized graph's nodes under new names, or the kept ones, reading the float graph. */
static void put_copies(struct tracer *t, struct qn_transplant *copies, int what)
{
    const Onnx__GraphProto *pb = quantized_pb(t);

    qn_transplant_init(copies, t->edit, &t->scratch, &t->taken);
    copies->prefix = what == ALONE ? "alone" : "together";
    put_constants(t, copies, what == ALONE);
    for (size_t n = 0; n < pb->n_node; n++)
        for (size_t i = 0; (what == TOGETHER || t->kept[n]) && i < pb->node[n]->n_output; i++)
            qn_transplant_define(copies, pb->node[n]->output[i]);
    for (size_t n = 0; n < pb->n_node; n++) {
        Onnx__NodeProto *copy = what == TOGETHER || t->kept[n] ? qn_transplant_node(copies, pb->node[n]) : NULL;
        if (!copy) continue;
        for (size_t i = 0; what == ALONE && i < copy->n_input; i++)
            if (reads_float(t, pb->node[n]->input[i])) copy->input[i] = pb->node[n]->input[i];
        qn_edit_insert_after(t->edit, QN_NONE, copy);
    }
}

static const char *put_node(struct tracer *t, const char *op, size_t inputs, const char *const *input, const char *base, const char *suffix)
{
    struct qn_arena *arena = qn_edit_arena(t->edit);
    const char      *output = qn_edit_name(t->edit, base, suffix);
    Onnx__NodeProto *node = qn_node_new(arena, op, output, inputs, input, 1, &output);

    if (!node) return "";
    if (inputs == 1) qn_attr_set_int(arena, node, "keepdims", 0);
    qn_edit_insert_after(t->edit, QN_NONE, node);
    return output;
}

static const char *put_square(struct tracer *t, const char *value, const char *suffix)
{
    return put_node(t, "ReduceSumSquare", 1, &value, value, suffix);
}

static void put_sums(struct tracer *t, const struct qn_transplant *alone, const struct qn_transplant *together)
{
    for (size_t i = 0; i < t->count; i++) {
        const char *name = t->job->graph.values[t->results[i]].name;
        const char *pairs[SUMS][2] = { { 0 }, { name, qn_transplant_name(alone, name) }, { name, qn_transplant_name(together, name) } };
        t->sums[i][SIGNAL] = put_square(t, name, "_signal");
        for (int k = ALONE; k < SUMS; k++) t->sums[i][k] = put_square(t, put_node(t, "Sub", 2, pairs[k], pairs[k][1], "_error"), "_noise");
    }
}

/* The sums instead of the model's own outputs. */
static qonnx_status set_outputs(struct tracer *t)
{
    Onnx__GraphProto *pb = t->merged.pb;
    struct qn_arena  *arena = &t->job->model.arena;

    pb->n_output = t->count * SUMS;
    pb->output = qn_arena_array(arena, pb->n_output, sizeof *pb->output);
    for (size_t i = 0; pb->output && i < pb->n_output; i++)
        pb->output[i] = qn_value_info_new(arena, t->sums[i / SUMS][i % SUMS], QN_FLOAT, -1, NULL);
    return qn_arena_failed(arena) ? qn_fail_nomem(t->job->err) : QONNX_OK;
}

/* Beside the float graph, whose nodes and names stay. */
static qonnx_status merge(struct tracer *t)
{
    struct qn_job       *job = t->job;
    struct qn_transplant alone, together;

    QN_TRY(list_results(t));
    t->sums = qn_arena_array(&t->scratch, t->count, sizeof *t->sums);
    t->totals = qn_arena_array(&t->scratch, t->count, sizeof *t->totals);
    if (!t->sums || !t->totals) return qn_fail_nomem(job->err);
    QN_TRY(keep_nodes(t));
    job->model.pb->graph = job->float_pb.graph;
    QN_TRY(qn_fork_graph(&t->merged, &job->model, job->err));
    QN_TRY(qn_edit_begin(&t->edit, &t->merged, job->err));
    qn_names_init(&t->taken, &t->scratch);
    put_copies(t, &alone, ALONE);
    put_copies(t, &together, TOGETHER);
    put_sums(t, &alone, &together);
    if (qn_arena_failed(&t->scratch)) {
        qn_edit_cancel(t->edit);
        return qn_fail_nomem(job->err);
    }
    QN_TRY(qn_edit_commit(t->edit, NULL, job->err));
    return set_outputs(t);
}

/* ---- running it ---- */

static qonnx_status add_sum(void *context, size_t output, const struct qn_view *view, qonnx_error *err)
{
    struct tracer *t = context;

    (void)err;
    if (output < t->count * SUMS && view->dtype == QN_FLOAT && view->size == sizeof(float))
        t->totals[output / SUMS][output % SUMS] += (double)*(const float *)view->data;
    return QONNX_OK;
}

static qonnx_status run(struct tracer *t)
{
    const struct qn_session_options options = qn_judge_options();
    struct qn_job                  *job = t->job;
    struct qn_session              *session;
    struct qn_sample                sample = { 0 };
    const size_t                    samples = job->judge.samples < QN_JUDGE_LEAST ? job->judge.samples : QN_JUDGE_LEAST;
    bool                            done = false;
    qonnx_status                    status = job->runtime->open(job->runtime, &job->model, &options, &session, job->err);

    if (status != QONNX_OK) return qn_wrap(job->err, status, "the model that compares layers does not open");
    status = qn_feed_rewind(job->feed, job->err);
    for (size_t i = 0; status == QONNX_OK && !done && i < samples; i++) {
        struct qn_run once = { .on_output = add_sum, .context = t };
        qn_job_tell(job, "comparing layers", i, samples);
        status = qn_feed_next(job->feed, &sample, &done, job->err);
        if (status != QONNX_OK || done) break;
        once.inputs = sample.views;
        status = session->runtime->run(session, &once, job->err);
        t->runs++;
    }
    qn_sample_release(&sample);
    job->runtime->close(session);
    return status;
}

static double decibels(const double *sums, int noise)
{
    if (!isfinite(sums[SIGNAL]) || !isfinite(sums[noise])) return NAN;
    return sums[noise] > 0 ? 10 * (log10(sums[SIGNAL]) - log10(sums[noise])) : INFINITY;
}

static qonnx_status measure(struct tracer *t, struct qn_layer_error *errors)
{
    QN_TRY(merge(t));
    if (!t->count) return QONNX_OK;
    QN_TRY(run(t));
    for (size_t i = 0; i < t->count; i++)
        errors[t->nodes[i]] = (struct qn_layer_error){ decibels(t->totals[i], ALONE), decibels(t->totals[i], TOGETHER) };
    return QONNX_OK;
}

/* The form that has a float value wherever the float model has one. */
static const struct qn_emitter *traced_as(const struct qn_emitter *emitter)
{
    if (emitter->foreign) return qn_emitter_find("qcdq");
    return emitter->fold ? qn_emitter_find("qdq") : emitter;
}

static const char *obstacle(const struct qn_job *job)
{
    if (!job->runtime || !job->feed) return "no model was run";
    if (!job->judge.samples) return "there are no samples to compare on";
    for (qn_node_id n = 0; n < job->graph.node_count; n++)
        if (job->graph.scopes[n] != QN_NONE) return "the model has bodies of If, Loop or Scan";
    return NULL;
}

qonnx_status qn_layer_errors(struct qn_job *job, const struct qn_layer_error **errors, size_t *samples, const char **why)
{
    struct tracer          t = { .job = job };
    struct qn_layer_error *list;
    qonnx_status           status;

    *errors = NULL;
    if ((*why = obstacle(job)) != NULL) return QONNX_OK;
    if (!(list = qn_arena_array(&job->arena, job->graph.node_count, sizeof *list))) return qn_fail_nomem(job->err);
    for (size_t n = 0; n < job->graph.node_count; n++) list[n] = (struct qn_layer_error){ NAN, NAN };
    QN_TRY(qn_job_emit(job, traced_as(job->emitter)));
    status = measure(&t, list);
    qn_graph_release(&t.merged);
    qn_job_back_to_float(job);
    qn_arena_release(&t.scratch);
    *errors = list;
    *samples = t.runs;
    return status;
}
