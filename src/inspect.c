/* SPDX-License-Identifier: Apache-2.0
 * qonnx_inspect: the quantizers of a model of any format, and what follows from them for every other tensor. */
#include "inspect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "pass/pass.h"
#include "plan/presets.h"
#include "plan/solved.h"

struct inspector {
    struct qn_job        job, trial; /* the second plans to quantize the model, as far as that goes without data */
    struct qn_lift       lift;
    struct qn_plan_meta  meta;
    struct qn_inspected *tensors;
    size_t               room;
    struct qn_inspection found;
};

/* ---- the list ---- */

static void push(struct inspector *in, struct qn_inspected tensor)
{
    struct qn_inspected *grown = qn_arena_grow(&in->job.arena, in->tensors, in->found.count, &in->room, sizeof *grown);

    if (!grown) return;
    in->found.tensors = in->tensors = grown;
    grown[in->found.count++] = tensor;
}

static const char *node_name(const struct inspector *in, qn_node_id n)
{
    const char *name = n == QN_NONE ? NULL : in->job.graph.pb->node[n]->name;
    return name ? name : "";
}

static void remark(struct inspector *in, const char *text) { qn_warn(&in->job.warnings, "%s", text); }

/* ---- the affine invariant ---- */

/* value / scale + zero_point is an integer within the range for every value that the codes stand for. */
static qonnx_status check_codes(struct inspector *in, struct qn_inspected *t, const void *codes,
                                const Onnx__TensorProto *tensor)
{
    struct qn_layout layout;
    size_t           count;
    float           *values;

    QN_TRY(qn_tensor_count(tensor, &count, in->job.err));
    QN_TRY(qn_layout_init(&layout, tensor->dims, tensor->n_dims, t->params->axis < 0 ? QN_NO_AXIS : t->params->axis,
                          in->job.err));
    if (!(values = malloc((count ? count : 1) * sizeof *values))) return qn_fail_nomem(in->job.err);
    if (qn_dequantize(codes, layout, t->params, values, qn_job_threads(&in->job), in->job.err) == QONNX_OK)
        t->broken = !qn_metadata_is_valid(&t->meta, values, layout);
    free(values);
    in->found.checked_count++;
    in->found.broken_count += t->broken;
    return QONNX_OK;
}

/* Codes that the file does not hold are made as its quantizer would make them. */
static qonnx_status check_constant(struct inspector *in, struct qn_inspected *t, const void *codes,
                                   const Onnx__TensorProto *tensor)
{
    struct qn_arena  scratch = { 0 };
    struct qn_layout layout;
    const float     *values;
    size_t           count;
    void            *made = NULL;
    qonnx_status     status = QONNX_OK;

    if (!in->job.settings.check) return QONNX_OK;
    if (!codes) {
        status = qn_tensor_floats(tensor, &scratch, &values, &count, in->job.err);
        if (status == QONNX_OK)
            status = qn_layout_init(&layout, tensor->dims, tensor->n_dims,
                                    t->params->axis < 0 ? QN_NO_AXIS : t->params->axis, in->job.err);
        if (status == QONNX_OK && !(made = qn_arena_array(&scratch, count, t->params->type->code_size)))
            status = qn_fail_nomem(in->job.err);
        if (status == QONNX_OK)
            status = qn_quantize(values, layout, t->params, in->lift.plan.rounding, made, qn_job_threads(&in->job),
                                 in->job.err);
        codes = made;
    }
    if (status == QONNX_OK) status = check_codes(in, t, codes, tensor);
    qn_arena_release(&scratch);
    return status;
}

/* Integer kernels take the bias' scale for the product of the others, whatever the file says. */
static void check_bias_scale(struct inspector *in, qn_node_id n, const struct qn_metadata *input)
{
    const struct qn_node_plan *row = &in->lift.plan.nodes[n];
    double                     worst = 0;

    if (!in->job.settings.check || !input->known || input->scale_count != 1 ||
        (row->bias->count != 1 && row->bias->count != row->weight->count))
        return;
    for (size_t i = 0; i < row->weight->count; i++) {
        double product = (double)input->scale[0] * (double)row->weight->scale[i],
               own = (double)row->bias->scale[row->bias->count == 1 ? 0 : i];
        worst = fmax(worst, fabs(own / product - 1));
    }
    if (worst > 0.01)
        remark(in, qn_arena_printf(&in->job.arena,
                                   "%s: the scale of its bias is %.3g %% off input scale x weight scale, so integer "
                                   "kernels would compute something else",
                                   qn_node_label(&in->job.graph, n), 100 * worst));
}

/* ---- tensors ---- */

/* A plan has bias codes as int32, whatever stores them. */
static qonnx_status check_bias(struct inspector *in, struct qn_inspected *b, const struct qn_node_plan *row,
                               const Onnx__TensorProto *tensor)
{
    size_t       size = row->bias->type->code_size;
    uint8_t     *codes = malloc(row->bias_count * size + 1);
    qonnx_status status;

    if (!codes) return qn_fail_nomem(in->job.err);
    for (size_t i = 0; i < row->bias_count; i++)
        memcpy(codes + i * size, &row->bias_codes[i], size); /* little-endian */
    status = check_codes(in, b, codes, tensor);
    free(codes);
    return status;
}

static qonnx_status add_weights(struct inspector *in, qn_node_id n)
{
    const struct qn_graph     *g = &in->job.graph;
    const struct qn_node_plan *row = &in->lift.plan.nodes[n];
    struct qn_inspected        w = { .role = "weight", .node = node_name(in, n), .params = row->weight },
                        b = { .role = "bias", .node = w.node, .params = row->bias };
    const Onnx__TensorProto *tensor = qn_node_constant(g, n, 1), *bias = qn_node_constant(g, n, 2);
    qn_value_id              x = qn_node_input(g, n, 0);
    struct qn_metadata       input = { .axis = -1 };

    if (!row->weight || !tensor) return QONNX_OK;
    w.name = tensor->name;
    QN_TRY(qn_metadata_of_params(row->weight, &in->job.arena, &w.meta, in->job.err));
    QN_TRY(check_constant(in, &w, row->weight_codes, tensor));
    push(in, w);
    if (!row->bias || !bias) return QONNX_OK;
    b.name = bias->name;
    QN_TRY(qn_metadata_of_params(row->bias, &in->job.arena, &b.meta, in->job.err));
    if (x != QN_NONE) input = row->reads[0] ? in->meta.seen[x] : in->meta.made[x];
    check_bias_scale(in, n, &input);
    if (in->job.settings.check) QN_TRY(check_bias(in, &b, row, bias));
    push(in, b);
    return QONNX_OK;
}

static qonnx_status add_value(struct inspector *in, qn_value_id v)
{
    const struct qn_value       *value = &in->job.graph.values[v];
    const struct qn_tensor_plan *t = &in->lift.plan.tensors[v];
    struct qn_inspected          entry = { .name = value->name,
                                           .node = node_name(in, value->producer),
                                           .meta = in->meta.seen[v] };

    if (value->dtype && value->dtype != QN_FLOAT) return QONNX_OK;
    if (value->producer == QN_NONE && !t->quantized && !(value->flags & QN_INPUT))
        return QONNX_OK; /* constants in float */
    entry.params = t->quantized ? t->params : NULL;
    entry.role = value->init                ? "constant"
                 : value->flags & QN_INPUT  ? "input"
                 : value->flags & QN_OUTPUT ? "output"
                                            : "activation";
    if (value->init && t->quantized) QN_TRY(check_constant(in, &entry, t->codes, value->init));
    push(in, entry);
    return QONNX_OK;
}

/* In the order of the graph: inputs, then each node's constants and results. */
static qonnx_status list(struct inspector *in)
{
    const struct qn_graph *g = &in->job.graph;

    for (qn_value_id v = 0; v < g->value_count; v++)
        if (g->values[v].producer == QN_NONE) QN_TRY(add_value(in, v));
    for (qn_node_id n = 0; n < g->node_count; n++) {
        QN_TRY(add_weights(in, n));
        for (size_t slot = 0; slot < g->pb->node[n]->n_output; slot++) {
            qn_value_id out = qn_node_output(g, n, slot);
            if (out != QN_NONE) QN_TRY(add_value(in, out));
        }
    }
    return qn_arena_failed(&in->job.arena) ? qn_fail_nomem(in->job.err) : QONNX_OK;
}

/* ---- all ---- */

static qonnx_status read_model(struct inspector *in)
{
    struct qn_job *job = &in->job;
    qonnx_status   status;

    QN_TRY(qn_job_open(job));
    in->found.opset = qn_model_opset(&job->model, "");
    in->found.ir = job->model.pb->ir_version;
    QN_TRY(qn_wrap(job->err, qn_model_facts(&in->found.facts, &job->model, &job->arena, job->err), "%s", job->input));
    status = qn_pass_run(qn_pass_find("open_scopes"), &job->graph, job->err);
    if (status == QONNX_OK) status = qn_pass_run(qn_pass_find("lift_constants"), &job->graph, job->err);
    if (status == QONNX_OK && qn_lift_wants_opset_13(&job->graph))
        status = qn_pass_run(qn_pass_find("raise_opset"), &job->graph, job->err);
    if (status == QONNX_OK) status = qn_lift(&in->lift, &job->graph, &job->settings, job->err);
    if (status == QONNX_OK) status = qn_plan_metadata(&in->lift.plan, &job->arena, &in->meta, job->err);
    return status == QONNX_OK ? status : qn_wrap(job->err, status, "%s", job->input);
}

static qonnx_status render(struct inspector *in, qonnx_result **result)
{
    struct qn_strbuf text, json;
    qonnx_status     status;

    in->found.path = in->job.input;
    in->found.lift = &in->lift;
    in->found.graph = &in->job.graph;
    in->found.checked = in->job.settings.check;
    in->found.settings = &in->job.settings;
    in->found.remarks = in->job.warnings.texts;
    in->found.remark_count = in->job.warnings.count;
    qn_strbuf_init(&text);
    qn_strbuf_init(&json);
    status = qn_inspection_text(&in->found, &text, in->job.err);
    if (status == QONNX_OK) status = qn_inspection_json(&in->found, &json, in->job.err);
    if (status == QONNX_OK) status = qn_result_new(result, &text, &json, in->job.err);
    qn_strbuf_release(&text);
    qn_strbuf_release(&json);
    return status;
}

static qonnx_status plan_to_quantize(struct inspector *in, const qonnx_options *options)
{
    struct qn_job *trial = &in->trial;

    if (!in->job.settings.dry_run) return QONNX_OK;
    *trial = (struct qn_job){ .input = in->job.input, .output = "", .err = in->job.err };
    trial->warnings = (struct qn_warnings){ .arena = &trial->arena };
    QN_TRY(qn_settings_resolve(&trial->settings, options, trial->err));
    QN_TRY(qn_job_open(trial));
    QN_TRY(qn_job_foresee(trial));
    in->found.would = &trial->plan;
    return qn_forecast(trial, &in->found.forecast);
}

static void release_trial(struct qn_job *trial)
{
    qn_plan_release(&trial->plan);
    qn_solved_release(trial->solved);
    qn_graph_release(&trial->graph);
    qn_graph_release(&trial->quantized);
    if (trial->model.pb) qn_model_release(&trial->model);
    qn_settings_release(&trial->settings);
    qn_arena_release(&trial->arena);
}

static qonnx_status run(struct inspector *in, const qonnx_options *options, qonnx_result **result)
{
    QN_TRY(read_model(in));
    QN_TRY(plan_to_quantize(in, options));
    QN_TRY(list(in));
    QN_TRY(render(in, result));
    if (!in->found.broken_count) return QONNX_OK;
    return qn_fail(in->job.err, QONNX_E_QUALITY,
                   "%s: %zu of %zu constants do not keep value / scale + zero_point on integers of their bit width",
                   in->job.input, in->found.broken_count, in->found.checked_count);
}

qonnx_status qonnx_inspect(const char *input, const qonnx_options *options, const qonnx_callbacks *callbacks,
                           qonnx_result **result, qonnx_error *err)
{
    qonnx_error      own = { 0 };
    struct inspector in = { .job = { .input = input, .output = "", .callbacks = callbacks, .err = err ? err : &own } };
    qonnx_status     status;

    *result = NULL;
    in.job.warnings = (struct qn_warnings){ .arena = &in.job.arena }; /* remarks are in the result, not told besides */
    status = qn_settings_resolve(&in.job.settings, options, in.job.err);
    if (status == QONNX_OK) status = run(&in, options, result);
    release_trial(&in.trial);
    qn_lift_release(&in.lift);
    qn_graph_release(&in.job.graph);
    if (in.job.model.pb) qn_model_release(&in.job.model);
    qn_settings_release(&in.job.settings);
    qn_arena_release(&in.job.arena);
    return status;
}
