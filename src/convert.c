/* SPDX-License-Identifier: Apache-2.0
 *
 * qonnx_convert: from one format of quantized models to another. No code, scale or zero point changes:
 *
 *     open → constants → LIFT → shapes → emit → check → save
 */
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "lift/lift.h"
#include "pass/pass.h"
#include "shapes.h"
#include "to_float.h"

struct conversion {
    struct qn_job  job; /* its plan is the lift's */
    struct qn_lift lift;
};

/* ---- lift ---- */

static qonnx_status run_pass(struct qn_job *job, const char *name)
{
    qonnx_status status = qn_pass_run(qn_pass_find(name), &job->graph, job->err);
    return status == QONNX_OK ? status : qn_wrap(job->err, status, "%s: pass %s", job->input, name);
}

static qonnx_status lift(struct conversion *c)
{
    struct qn_job *job = &c->job;
    qonnx_status   status;

    qn_job_tell(job, "reading quantizers", 0, 0);
    QN_TRY(run_pass(job, "open_scopes"));
    QN_TRY(run_pass(job, "lift_constants"));
    if (qn_model_opset(&job->model, "") < job->emitter->min_opset || qn_lift_wants_opset_13(&job->graph))
        QN_TRY(run_pass(job, "raise_opset"));
    status = qn_lift(&c->lift, &job->graph, &job->settings, job->err);
    if (status != QONNX_OK) return qn_wrap(job->err, status, "%s", job->input);
    if (job->emitter->fold) QN_TRY(qn_lift_spread(&c->lift, job->err));
    job->plan = c->lift.plan;
    for (size_t i = 0; i < c->lift.note_count; i++)
        qn_warn(&job->warnings, "%s stays as it is: %s", c->lift.notes[i].node, c->lift.notes[i].reason);
    if (!c->lift.qdq && !c->lift.qonnx && !c->lift.qoperator)
        qn_warn(&job->warnings, "no quantizer was found in the model");
    return QONNX_OK;
}

/* ---- what a format cannot say ---- */

static qonnx_status check_tensor(const struct qn_job *job, qn_value_id v)
{
    const struct qn_qparams *params = job->plan.tensors[v].params;
    const char              *name = job->graph.values[v].name;

    if (!job->plan.tensors[v].quantized || job->emitter == &qn_to_float) return QONNX_OK;
    if (job->emitter->shapes)
        return params->axis >= 0 && job->graph.values[v].rank < 0
                   ? qn_fail(job->err, QONNX_E_UNSUPPORTED,
                             "tensor '%.200s': a scale per channel needs a rank in %s, and none is declared", name,
                             job->emitter->name)
                   : QONNX_OK;
    if (params->type->code_size == 4 && !job->plan.tensors[v].codes)
        return qn_fail(job->err, QONNX_E_UNSUPPORTED,
                       "tensor '%.200s': there is no QuantizeLinear for its %d-bit codes", name, params->bits);
    if (params->type->min_opset > qn_model_opset(&job->model, ""))
        return qn_fail(job->err, QONNX_E_UNSUPPORTED,
                       "tensor '%.200s': its %d-bit codes need opset %d, the model has %lld", name, params->bits,
                       params->type->min_opset, (long long)qn_model_opset(&job->model, ""));
    return QONNX_OK;
}

static qonnx_status check_plan(const struct qn_job *job)
{
    qonnx_status status = QONNX_OK;

    for (qn_value_id v = 0; v < job->graph.value_count && status == QONNX_OK; v++) status = check_tensor(job, v);
    return status == QONNX_OK ? status : qn_wrap(job->err, status, "%s", job->input);
}

static const char *reason_of(const struct conversion *c, const Onnx__NodeProto *node)
{
    for (size_t i = 0; i < c->lift.note_count; i++)
        if (node->n_output && strcmp(c->lift.notes[i].output, node->output[0]) == 0) return c->lift.notes[i].reason;
    return "it was not understood";
}

/* QONNX's nodes run nowhere else. */
static qonnx_status check_rest(const struct conversion *c)
{
    const struct qn_job   *job = &c->job;
    const struct qn_graph *g = &job->graph;

    if (job->emitter->foreign) return QONNX_OK;
    for (qn_node_id n = 0; n < g->node_count; n++)
        if (qn_job_is_qonnx(g->pb->node[n]))
            return qn_fail(job->err, QONNX_E_UNSUPPORTED, "%s: %s cannot be written as %s: %s", job->input,
                           qn_node_label(g, n), job->settings.format, reason_of(c, g->pb->node[n]));
    return QONNX_OK;
}

/* ---- emit, save ---- */

static bool is_imported_for_nothing(const Onnx__ModelProto *pb, const char *domain)
{
    static const char *const quantizers[] = { "qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas",
                                              "com.microsoft" };
    bool                     ours = false;

    for (size_t i = 0; i < sizeof quantizers / sizeof *quantizers; i++) ours |= strcmp(domain, quantizers[i]) == 0;
    for (size_t n = 0; ours && n < pb->graph->n_node; n++) {
        const Onnx__NodeProto *node = pb->graph->node[n];
        ours = !qn_node_has_body(node) && strcmp(node->domain ? node->domain : "", domain) != 0;
    }
    return ours && !pb->n_functions;
}

/* The operator sets of nodes that are gone. */
static void drop_imports(struct qn_job *job)
{
    Onnx__ModelProto *pb = job->model.pb;
    size_t            kept = 0;

    for (size_t i = 0; i < pb->n_opset_import; i++)
        if (!pb->opset_import[i]->domain || !is_imported_for_nothing(pb, pb->opset_import[i]->domain))
            pb->opset_import[kept++] = pb->opset_import[i];
    pb->n_opset_import = kept;
}

static qonnx_status emit(struct qn_job *job)
{
    qonnx_status status;

    qn_job_tell(job, "converting", 0, 0);
    status = qn_job_emit(job, job->emitter);
    if (status == QONNX_OK && job->emitter != &qn_to_float)
        status = qn_pass_run(qn_pass_find("cancel_requantize"), &job->quantized, job->err);
    if (status == QONNX_OK && job->emitter != &qn_to_float) status = qn_job_warn_of_limits(job);
    if (status == QONNX_OK && job->emitter != &qn_to_float) status = qn_job_integer_ends(job);
    if (status != QONNX_OK) return qn_wrap(job->err, status, "%s", job->input);
    drop_imports(job);
    return QONNX_OK;
}

static void put_read(const struct qn_lift *lift, struct qn_strbuf *text)
{
    size_t nodes = lift->qdq + lift->clips + lift->qonnx + lift->qoperator;

    qn_strbuf_printf(text, "read:      %s, %zu quantized node%s", qn_lift_format(lift), nodes, nodes == 1 ? "" : "s");
    if (lift->note_count) qn_strbuf_printf(text, ", %zu more stay as they are", lift->note_count);
    qn_strbuf_puts(text, "\n");
}

static qonnx_status report(struct conversion *c, qonnx_result **result)
{
    struct qn_job   *job = &c->job;
    struct qn_strbuf text;
    char            *whole = NULL;

    job->report.command = 'v';
    job->judged.sqnr = 0;
    QN_TRY(qn_job_report(job, result));
    qn_strbuf_init(&text);
    put_read(&c->lift, &text);
    qn_strbuf_puts(&text, job->emitter == &qn_to_float
                              ? "written:   float, constants as the values that their codes stand for\n"
                              : (*result)->text);
    if (!text.failed) whole = strdup(text.text);
    qn_strbuf_release(&text);
    if (!whole) {
        qonnx_result_free(*result);
        *result = NULL;
        return qn_fail_nomem(job->err);
    }
    free((*result)->text);
    (*result)->text = whole;
    return QONNX_OK;
}

static qonnx_status run(struct conversion *c, qonnx_result **result)
{
    struct qn_job *job = &c->job;

    job->emitter = strcmp(job->settings.format, "float") == 0 ? &qn_to_float : qn_emitter_find(job->settings.format);
    if (!job->emitter) return qn_fail(job->err, QONNX_E_USAGE, "--format: unknown format '%s'", job->settings.format);
    QN_TRY(qn_job_name_sidecar(job));
    QN_TRY(qn_job_open(job));
    QN_TRY(lift(c));
    QN_TRY(check_rest(c));
    if (job->emitter->shapes) QN_TRY(qn_job_find_shapes(job));
    QN_TRY(check_plan(job));
    QN_TRY(emit(job));
    QN_TRY(qn_job_save(job));
    return report(c, result);
}

static void release(struct conversion *c)
{
    struct qn_job *job = &c->job;

    if (job->sidecar_sink) qn_sink_discard(job->sidecar_sink);
    if (job->runtime) job->runtime->release(job->runtime);
    qn_lift_release(&c->lift);
    qn_graph_release(&job->graph);
    qn_graph_release(&job->quantized);
    if (job->model.pb) qn_model_release(&job->model);
    qn_settings_release(&job->settings);
    qn_arena_release(&job->arena);
}

qonnx_status qonnx_convert(const char *input, const char *output, const qonnx_options *options,
                           const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err)
{
    qonnx_error       own = { 0 };
    struct conversion c = { .job = {
                                .input = input, .output = output, .callbacks = callbacks, .err = err ? err : &own } };
    qonnx_status      status;

    *result = NULL;
    c.job.warnings = (struct qn_warnings){ .callbacks = callbacks, .arena = &c.job.arena };
    status = qn_settings_resolve(&c.job.settings, options, c.job.err);
    if (status == QONNX_OK) status = run(&c, result);
    release(&c);
    return status;
}
