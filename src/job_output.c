/* SPDX-License-Identifier: Apache-2.0
 * The stages after the plan is solved: emit, verify, save, report. */
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "onnx/attr.h"
#include "onnx/deferred.h"
#include "onnx/scopes.h"
#include "onnx/wire.h"
#include "plan/limits.h"
#include "plan/presets.h"

/* ---- emit, verify, save ---- */

qonnx_status qn_fork_graph(struct qn_graph *fork, struct qn_model *model, qonnx_error *err)
{
    struct qn_arena  *arena = &model->arena;
    Onnx__GraphProto *pb = model->pb->graph, *copy = (Onnx__GraphProto *)(void *)qn_arena_memdup(arena, pb, sizeof *pb);

    if (!copy) return qn_fail_nomem(err);
    copy->node = qn_arena_array(arena, pb->n_node, sizeof(Onnx__NodeProto *));
    copy->input = (Onnx__ValueInfoProto **)(void *)qn_arena_memdup(arena, pb->input, pb->n_input * sizeof *pb->input);
    for (size_t n = 0; copy->node && n < pb->n_node; n++) copy->node[n] = qn_node_copy(arena, pb->node[n]);
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    model->pb->graph = copy;
    return qn_graph_build(fork, model, err);
}

qonnx_status qn_job_warn_of_limits(struct qn_job *job)
{
    struct qn_strbuf lines;
    qonnx_status     status;

    qn_strbuf_init(&lines);
    status = qn_plan_limits(&job->plan, &lines, job->err);
    if (status == QONNX_OK) qn_warn_lines(&job->warnings, lines.text);
    qn_strbuf_release(&lines);
    return status;
}

qonnx_status qn_job_emit(struct qn_job *job, const struct qn_emitter *emitter)
{
    job->before_emit = qn_arena_mark(&job->model.arena);
    job->float_pb = *job->model.pb;
    QN_TRY(qn_fork_graph(&job->quantized, &job->model, job->err)); /* the plan and the report go on reading the float one */
    return qn_emit(emitter, &job->plan, &job->quantized, job->err); /* ids are the same as in the plan's graph */
}

void qn_job_back_to_float(struct qn_job *job)
{
    *job->model.pb = job->float_pb;
    qn_graph_release(&job->quantized);
    qn_model_forget_deferred(&job->model);
    qn_arena_rewind(&job->model.arena, job->before_emit);
}

qonnx_status qn_job_verify(struct qn_job *job)
{
    struct qn_model before;
    qonnx_status    status;
    bool            time = strcmp(job->settings.verify, "time") == 0;

    if (!job->runtime || job->emitter->foreign || (!time && strcmp(job->settings.verify, "full") != 0)) return QONNX_OK;
    qn_job_tell(job, "verifying", 0, 0);
    QN_TRY(qn_kernels_find(&job->kernels, &job->plan, &job->quantized, job->runtime, &job->arena, job->err));
    if (!job->feed || !time) return QONNX_OK;
    qn_job_tell(job, "timing", 0, 0);
    QN_TRY(qn_model_open(&before, job->input, job->settings.no_mmap, job->err));
    status = qn_verify_pace(&job->pace, &before, &job->model, job->runtime, job->feed, job->err);
    qn_model_release(&before);
    return status;
}

/* For preset copy: where a file that is not in protobuf's canonical form comes out differently. */
static qonnx_status explain_difference(struct qn_job *job)
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

struct qn_save_options qn_job_save_options(const struct qn_job *job)
{
    const struct qn_settings *s = &job->settings;
    struct qn_save_options    options = { .sha256 = strcmp(s->digest, "xxh3") == 0 ? 0 : strcmp(s->digest, "sha256") == 0 ? 1 : -1, .threads = qn_job_threads(job) };

    options.external = strcmp(s->external_data, "always") == 0 ? QN_EXTERNAL_ALWAYS : strcmp(s->external_data, "never") == 0 ? QN_EXTERNAL_NEVER : QN_EXTERNAL_AUTO;
    options.shard_size = (uint64_t)s->shard_size << 20;
    return options;
}

qonnx_status qn_job_save(struct qn_job *job)
{
    const struct qn_save_options options = qn_job_save_options(job);

    qn_job_tell(job, "writing", 0, 0);
    if (job->sidecar) QN_TRY(qn_sink_open(&job->sidecar_sink, job->sidecar, job->err)); /* trouble shows before the model is replaced */
    QN_TRY(qn_job_open_extras(job));
    QN_TRY(qn_scopes_close(&job->model.pb->graph, &job->model, job->model.pb->graph, false, &job->model.arena, job->err));
    QN_TRY(qn_model_save(&job->model, job->output, &options, &job->saved, job->err));
    return job->settings.preset_row->copy ? explain_difference(job) : QONNX_OK;
}

/* ---- report ---- */

qonnx_status qn_job_report(struct qn_job *job, qonnx_result **result)
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
    r->runtime = job->settings.stats ? job->stats_runtime : job->runtime ? job->runtime->version : NULL;
    r->data = qn_job_data(job);
    r->ranges = qn_job_ranges_source(job);
    r->source = job->settings.stats ? job->stats_source : job->settings.calib;
    r->samples = job->calibration.samples;
    r->judged_samples = job->judged.samples;
    r->judged_sqnr = job->judged.sqnr;
    r->judged_drop = job->judged.drop;
    r->stats = (const struct qn_stats *const *)job->stats;
    r->kernels = job->kernels.nodes ? &job->kernels : NULL;
    r->pace = job->pace;
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
    if (status == QONNX_OK) status = qn_job_write_extras(job);
    if (status == QONNX_OK && result) status = qn_result_new(result, &text, &json, job->err);
    qn_strbuf_release(&text);
    qn_strbuf_release(&json);
    return status;
}
