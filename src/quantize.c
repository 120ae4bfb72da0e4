/* SPDX-License-Identifier: Apache-2.0
 *
 * The pipeline. Everything before the plan decides, everything after it only obeys:
 *
 *     open → graph → float passes → PLAN → observe → solve → emit → verify → save
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/pool.h"
#include "emit/emit.h"
#include "onnx/attr.h"
#include "onnx/check.h"
#include "onnx/wire.h"
#include "judge.h"
#include "pass/pass.h"
#include "plan/presets.h"
#include "plan/solve.h"
#include "report.h"
#include "run/calibrate.h"

enum { SYNTHETIC_SAMPLES = 8, SUM_EVERY = 8 /* the noise estimate needs no more */ };

struct job {
    const char              *input, *output;
    const qonnx_callbacks   *callbacks;
    qonnx_error             *err;
    struct qn_settings       settings;
    const struct qn_emitter *emitter;
    struct qn_model          model;
    struct qn_graph          graph, quantized; /* the float graph lives on beside the quantized one, for the report */
    struct qn_plan           plan;
    struct qn_calibration    calibration;
    const struct qn_stats  **stats; /* by value id */
    struct qn_verdict       *verdicts;
    struct qn_judge          judge;
    double                   sqnr; /* of the judged samples */
    struct qn_runtime       *runtime;
    struct qn_feed          *feed;
    struct qn_arena          arena;
    struct qn_warnings       warnings;
    struct qn_save_result    saved;
    struct qn_report         report;
    const char              *sidecar;
    struct qn_sink          *sidecar_sink;
};

static void tell(const struct job *job, const char *stage, size_t done, size_t total)
{
    if (job->callbacks && job->callbacks->progress) job->callbacks->progress(job->callbacks->context, stage, done, total);
}

static int threads(const struct job *job) { return job->settings.threads ? (int)job->settings.threads : qn_cpu_count(); }

/* ---- open ---- */

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* The sidecar must not replace anything that is read. */
static qonnx_status name_sidecar(struct job *job)
{
    const char *given = job->settings.sidecar;
    size_t      stem = strlen(job->output);

    if (given && strcmp(given, "none") == 0) return QONNX_OK;
    if (stem > 5 && strcmp(job->output + stem - 5, ".onnx") == 0) stem -= 5;
    job->sidecar = given ? given : qn_arena_printf(&job->arena, "%.*s.quant.json", (int)stem, job->output);
    if (!job->sidecar) return qn_fail_nomem(job->err);
    if (same_file(job->sidecar, job->input) || same_file(job->sidecar, job->output) || strcmp(job->sidecar, job->output) == 0 ||
        (job->settings.calib && same_file(job->sidecar, job->settings.calib)))
        return qn_fail(job->err, QONNX_E_USAGE, "--sidecar: '%s' is the model or the data", job->sidecar);
    return QONNX_OK;
}

static qonnx_status open_model(struct job *job)
{
    qonnx_status status;

    tell(job, "reading", 0, 0);
    QN_TRY(qn_model_open(&job->model, job->input, job->settings.no_mmap, job->err));
    status = qn_graph_build(&job->graph, &job->model, job->err);
    if (status == QONNX_OK) status = qn_check(&job->graph, job->err);
    job->report.input_size = job->model.map.size;
    for (size_t i = 0; i < job->model.external_count; i++) job->report.input_external += job->model.externals[i].size;
    job->report.input_opset = qn_model_opset(&job->model, "");
    job->report.input_ir = job->model.pb->ir_version;
    return status == QONNX_OK ? status : qn_wrap(job->err, status, "%s", job->input);
}

/* ---- float passes ---- */

static const char *const default_passes[] = { "lift_constants", "remove_identity", "raise_opset", "fold_affine", "matmul_bias" };

static qonnx_status run_passes(struct job *job)
{
    const struct qn_list *chosen = &job->settings.pass;
    const char *const    *names = chosen->count ? chosen->items : default_passes;
    size_t                count = chosen->count ? chosen->count : sizeof default_passes / sizeof *default_passes;

    tell(job, "rewriting", 0, 0);
    for (size_t i = 0; i < count; i++) {
        const struct qn_pass *pass = qn_pass_find(names[i]);
        qonnx_status          status;
        if (!pass) return qn_fail(job->err, QONNX_E_USAGE, "--pass: unknown pass '%s'", names[i]);
        if ((status = qn_pass_run(pass, &job->graph, job->err)) != QONNX_OK) return qn_wrap(job->err, status, "%s: pass %s", job->input, pass->name);
    }
    job->report.passes = names;
    job->report.pass_count = count;
    return QONNX_OK;
}

/* ---- observe ---- */

static qonnx_status open_feed(struct job *job, struct qn_arena *arena)
{
    const struct qn_settings *s = &job->settings;
    struct qn_feed_options    options = { .samples = (size_t)s->samples, .shuffle = s->shuffle, .seed = (uint64_t)s->seed };
    struct qn_dim_options     dims = { s->dim.items, s->dim.count, s->input_shape.items, s->input_shape.count };
    const struct qn_port     *inputs;
    size_t                    count;

    QN_TRY(qn_model_inputs(&job->model, arena, &inputs, &count, job->err));
    if (s->calib) return qn_feed_open(&job->feed, s->calib, inputs, count, &options, job->err);
    qn_warn(&job->warnings, "no --calib: ranges come from synthetic inputs, so accuracy is a matter of luck; pass --calib PATH with samples of real inputs");
    return qn_feed_synthetic(&job->feed, &job->graph, inputs, count, s->samples ? (size_t)s->samples : SYNTHETIC_SAMPLES, (uint64_t)s->seed, &dims, job->runtime, job->err);
}

static void on_progress(void *context, size_t done, size_t total) { tell(context, "calibrating", done, total); }

/* What the runs showed fills gaps in the declared shapes: ranks always, sizes (which may be those of the samples only)
 * where the format asks for them. */
static void learn(struct job *job, qn_value_id id, const struct qn_observed *seen)
{
    struct qn_value *v = &job->graph.values[id];
    int64_t         *dims;

    job->stats[id] = &seen->stats;
    if (!v->dtype) v->dtype = seen->dtype;
    if (seen->rank < 0 || (v->rank >= 0 && !job->emitter->shapes) || !(dims = qn_arena_array(&job->arena, (size_t)seen->rank, sizeof *dims))) return;
    for (int i = 0; i < seen->rank; i++) dims[i] = job->emitter->shapes ? seen->dims[i] : -1;
    v->rank = seen->rank;
    v->dims = dims;
}

/* The values to look at: those whose ranges the plan asks for, or all when the format asks for shapes. */
static qonnx_status choose_observed(struct job *job, const qn_value_id **ids, size_t *count)
{
    qn_value_id *all;

    if (!job->emitter->shapes) return qn_plan_observed(&job->plan, ids, count, job->err);
    if (!(all = qn_arena_array(&job->arena, job->graph.value_count, sizeof *all))) return qn_fail_nomem(job->err);
    *count = 0;
    for (qn_value_id v = 0; v < job->graph.value_count; v++)
        if (job->graph.values[v].producer != QN_NONE || job->graph.values[v].flags & QN_INPUT) all[(*count)++] = v;
    *ids = all;
    return QONNX_OK;
}

static qonnx_status observe(struct job *job)
{
    struct qn_calibrate_options options = { .threads = threads(job), .histogram_stride = job->settings.observer_row->needs_histogram ? 1 : 0, .sum_every = SUM_EVERY, .on_progress = on_progress, .progress_context = job,
                                            .on_output = qn_judge_keep, .output_context = &job->judge };
    const qn_value_id          *ids;
    const char                **names;
    size_t                      count;
    const struct qn_feed_info  *info;

    QN_TRY(choose_observed(job, &ids, &count));
    job->stats = qn_arena_array(&job->arena, job->graph.value_count, sizeof(struct qn_stats *));
    names = qn_arena_array(&job->arena, count, sizeof *names);
    if (!job->stats || !names) return qn_fail_nomem(job->err);
    if (!count) return QONNX_OK;
    for (size_t i = 0; i < count; i++) names[i] = job->graph.values[ids[i]].name;
    QN_TRY(qn_ort_load(&job->runtime, job->settings.ort, job->err));
    QN_TRY(open_feed(job, &job->arena));
    QN_TRY(qn_judge_begin(&job->judge, job->model.pb->graph->n_output, job->err));
    QN_TRY(qn_calibrate(&job->calibration, job->runtime, &job->model, names, count, job->feed, &options, job->err));
    for (size_t i = 0; i < count; i++) learn(job, ids[i], &job->calibration.values[i]);
    info = qn_feed_info(job->feed);
    if (info->nan_count || info->inf_count)
        qn_warn(&job->warnings, "the calibration data hold %llu NaN and %llu infinite values", (unsigned long long)info->nan_count, (unsigned long long)info->inf_count);
    return QONNX_OK;
}

/* ---- plan and solve ---- */

static qonnx_status plan(struct job *job)
{
    job->verdicts = qn_arena_array(&job->arena, job->graph.node_count, sizeof *job->verdicts);
    if (!job->verdicts) return qn_fail_nomem(job->err);
    return qn_plan_make(&job->plan, &job->graph, &job->settings, job->verdicts, job->err);
}

static qonnx_status solve(struct job *job)
{
    bool again = true;

    tell(job, "quantizing", 0, 0);
    while (again) {
        QN_TRY(qn_solve(&job->plan, job->stats, job->verdicts, &again, job->err));
        if (!again) break;
        qn_plan_release(&job->plan);
        QN_TRY(qn_plan_make(&job->plan, &job->graph, &job->settings, job->verdicts, job->err));
    }
    return QONNX_OK;
}

static qonnx_status check_strict(struct job *job)
{
    struct qn_plan_counts counts = qn_plan_count(&job->plan);

    if (!counts.layers_quantized)
        qn_warn(&job->warnings, "no layer was quantized: %s", counts.layers ? "see the reasons in the report" : "the model has no Conv, Gemm or MatMul with constant weights");
    if (!job->settings.strict || counts.layers == counts.layers_quantized) return QONNX_OK;
    for (qn_node_id n = 0; n < job->graph.node_count; n++) {
        const struct qn_node_plan *row = &job->plan.nodes[n];
        if (row->rule && row->rule->kind == QN_KIND_LAYER && row->rule->in[1] == QN_ROLE_WEIGHT && !qn_reason_is_quantized(row->reason))
            return qn_fail(job->err, QONNX_E_STRICT, "%s: %zu of %zu layers stay in float, the first is %s: %s", job->input,
                           counts.layers - counts.layers_quantized, counts.layers, qn_node_label(&job->graph, n), qn_reason_text(row->reason));
    }
    return QONNX_OK;
}

/* ---- emit, verify, save ---- */

/* From here on the model's graph is a copy that gets edited; the plan and the report go on reading the float one. */
static qonnx_status split_graph(struct job *job)
{
    struct qn_arena  *arena = &job->model.arena;
    Onnx__GraphProto *pb = job->model.pb->graph, *copy = (Onnx__GraphProto *)(void *)qn_arena_memdup(arena, pb, sizeof *pb);

    if (!copy) return qn_fail_nomem(job->err);
    copy->node = qn_arena_array(arena, pb->n_node, sizeof(Onnx__NodeProto *));
    copy->input = (Onnx__ValueInfoProto **)(void *)qn_arena_memdup(arena, pb->input, pb->n_input * sizeof *pb->input);
    for (size_t n = 0; copy->node && n < pb->n_node; n++) copy->node[n] = qn_node_copy(arena, pb->node[n]);
    if (qn_arena_failed(arena)) return qn_fail_nomem(job->err);
    job->model.pb->graph = copy;
    return qn_graph_build(&job->quantized, &job->model, job->err);
}

static qonnx_status emit(struct job *job, const struct qn_emitter *emitter)
{
    QN_TRY(split_graph(job));
    return qn_emit(emitter, &job->plan, &job->quantized, job->err); /* ids are the same as in the plan's graph */
}

static void back_to_float(struct job *job)
{
    job->model.pb->graph = job->graph.pb;
    qn_graph_release(&job->quantized);
}

/* Quantizes, and while the result is worse than asked for, leaves more nodes in float: each round asks more of the
 * tensors that they read and write. Ends, at the latest with a float model. */
static qonnx_status quantize(struct job *job)
{
    enum { STEP = 4 };
    const struct qn_emitter *judged = job->emitter->foreign ? qn_emitter_find("qcdq") : job->emitter;
    bool                     blind = !job->runtime || strcmp(job->settings.verify, "off") == 0;

    job->sqnr = INFINITY;
    for (;;) {
        QN_TRY(solve(job));
        if (blind) return emit(job, job->emitter);
        QN_TRY(emit(job, judged));
        tell(job, "judging", 0, 0);
        QN_TRY(qn_judge_run(&job->judge, job->runtime, &job->model, job->feed, &job->sqnr, job->err));
        if (job->sqnr >= (double)job->settings.min_sqnr || !qn_plan_count(&job->plan).quantized) break;
        job->settings.node_sqnr += STEP;
        back_to_float(job);
    }
    if (judged == job->emitter) return QONNX_OK;
    back_to_float(job);
    return emit(job, job->emitter);
}

static qonnx_status verify(struct job *job)
{
    struct qn_session_options options = { .optimize = true };
    struct qn_session        *session;
    qonnx_status              status;

    if (!job->runtime || job->emitter->foreign || strcmp(job->settings.verify, "off") == 0) return QONNX_OK;
    tell(job, "verifying", 0, 0);
    status = job->runtime->open(job->runtime, &job->model, &options, &session, job->err);
    if (status != QONNX_OK) return qn_wrap(job->err, status, "the quantized model does not open");
    job->runtime->close(session);
    return QONNX_OK;
}

/* For preset copy: where a file that is not in protobuf's canonical form comes out differently. */
static qonnx_status explain_difference(struct job *job)
{
    struct qn_map    written = { 0 };
    struct qn_strbuf path;
    size_t           at = 0, least;

    if (strcmp(job->saved.input.xxh3_128, job->saved.output.xxh3_128) == 0) return QONNX_OK;
    QN_TRY(qn_map_open(&written, job->output, job->settings.no_mmap, job->err));
    least = written.size < job->model.map.size ? written.size : job->model.map.size;
    while (at < least && written.data[at] == job->model.map.data[at]) at++;
    qn_map_release(&written);
    qn_strbuf_init(&path);
    qn_wire_path_at(&path, &onnx__model_proto__descriptor, job->model.map.data, job->model.map.size, at);
    job->report.first_difference = qn_arena_printf(&job->arena, "%s (byte %zu)", path.text, at);
    qn_strbuf_release(&path);
    return job->report.first_difference ? QONNX_OK : qn_fail_nomem(job->err);
}

static qonnx_status save(struct job *job)
{
    int sha256 = strcmp(job->settings.digest, "xxh3") == 0 ? 0 : strcmp(job->settings.digest, "sha256") == 0 ? 1 : -1;

    tell(job, "writing", 0, 0);
    if (job->sidecar) QN_TRY(qn_sink_open(&job->sidecar_sink, job->sidecar, job->err)); /* trouble shows before the model is replaced */
    QN_TRY(qn_model_save(&job->model, job->output, sha256, &job->saved, job->err));
    return job->settings.preset_row->copy ? explain_difference(job) : QONNX_OK;
}

/* ---- report ---- */

static qonnx_status report(struct job *job, qonnx_result **result)
{
    struct qn_report *r = &job->report;
    struct qn_strbuf  text, json;
    qonnx_status      status;

    r->input_path = job->input;
    r->output_path = job->output;
    r->settings = &job->settings;
    r->saved = &job->saved;
    r->output_opset = qn_model_opset(&job->model, "");
    r->output_ir = job->model.pb->ir_version;
    r->plan = job->settings.preset_row->copy ? NULL : &job->plan;
    r->runtime = job->runtime ? job->runtime->version : NULL;
    r->data = job->feed ? qn_feed_info(job->feed) : NULL;
    r->samples = job->calibration.samples;
    r->judged_samples = strcmp(job->settings.verify, "off") == 0 ? 0 : job->judge.samples < r->samples ? job->judge.samples : r->samples;
    r->judged_sqnr = job->sqnr;
    r->stats = (const struct qn_stats *const *)job->stats;
    r->warnings = &job->warnings;
    qn_strbuf_init(&text);
    qn_strbuf_init(&json);
    status = qn_report_text(r, &text, job->err);
    if (status == QONNX_OK) status = qn_report_json(r, &json, job->err);
    if (status == QONNX_OK && job->sidecar_sink) {
        qn_sink_write(job->sidecar_sink, json.text, json.length);
        status = qn_sink_commit(job->sidecar_sink, job->err);
        job->sidecar_sink = NULL;
    }
    if (status == QONNX_OK && result) {
        *result = calloc(1, sizeof **result);
        if (!*result || !((*result)->text = strdup(text.text)) || !((*result)->json = strdup(json.text))) {
            qonnx_result_free(*result);
            *result = NULL;
            status = qn_fail_nomem(job->err);
        }
    }
    qn_strbuf_release(&text);
    qn_strbuf_release(&json);
    return status;
}

/* ---- the list ---- */

static qonnx_status run(struct job *job, qonnx_result **result)
{
    QN_TRY(name_sidecar(job));
    QN_TRY(open_model(job));
    if (!job->settings.preset_row->copy) {
        if (!(job->emitter = qn_emitter_find(job->settings.format))) return qn_fail(job->err, QONNX_E_USAGE, "--format: unknown format '%s'", job->settings.format);
        QN_TRY(run_passes(job));
        QN_TRY(plan(job));
        QN_TRY(observe(job));
        QN_TRY(quantize(job));
        QN_TRY(check_strict(job));
        QN_TRY(verify(job));
    }
    QN_TRY(save(job));
    return report(job, result);
}

static void release(struct job *job)
{
    if (job->sidecar_sink) qn_sink_discard(job->sidecar_sink);
    qn_judge_release(&job->judge);
    qn_feed_close(job->feed);
    qn_calibration_release(&job->calibration);
    if (job->runtime) job->runtime->release(job->runtime);
    qn_plan_release(&job->plan);
    qn_graph_release(&job->graph);
    qn_graph_release(&job->quantized);
    if (job->model.pb) qn_model_release(&job->model);
    qn_settings_release(&job->settings);
    qn_arena_release(&job->arena);
}

qonnx_status qonnx_quantize(const char *input, const char *output, const qonnx_options *options, const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err)
{
    qonnx_error  own = { 0 };
    struct job   job = { .input = input, .output = output, .callbacks = callbacks, .err = err ? err : &own };
    qonnx_status status;

    if (result) *result = NULL;
    job.warnings = (struct qn_warnings){ .callbacks = callbacks, .arena = &job.arena };
    status = qn_settings_resolve(&job.settings, options, job.err);
    if (status == QONNX_OK) status = run(&job, result);
    release(&job);
    return status;
}

qonnx_status qonnx_dump(const char *input, const char *what, const qonnx_options *options, qonnx_result **result, qonnx_error *err)
{
    qonnx_error      own = { 0 };
    struct job       job = { .input = input, .output = "", .err = err ? err : &own };
    struct qn_strbuf text;
    qonnx_status     status;

    *result = NULL;
    qn_strbuf_init(&text);
    job.warnings = (struct qn_warnings){ .arena = &job.arena };
    if (strcmp(what, "graph") != 0 && strcmp(what, "plan") != 0) return qn_fail(job.err, QONNX_E_USAGE, "--dump: unknown view '%s'; it is 'graph' or 'plan'", what);
    status = qn_settings_resolve(&job.settings, options, job.err);
    if (status == QONNX_OK) status = open_model(&job);
    if (status == QONNX_OK && !job.settings.preset_row->copy) status = run_passes(&job);
    if (status == QONNX_OK && strcmp(what, "plan") == 0) status = plan(&job);
    if (status == QONNX_OK) {
        if (strcmp(what, "plan") == 0)
            qn_plan_dump(&job.plan, &text);
        else
            qn_graph_dump(&job.graph, &text);
        *result = calloc(1, sizeof **result);
        if (text.failed || !*result || !((*result)->text = strdup(text.text))) {
            qonnx_result_free(*result);
            *result = NULL;
            status = qn_fail_nomem(job.err);
        }
    }
    qn_strbuf_release(&text);
    release(&job);
    return status;
}
