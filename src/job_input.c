/* SPDX-License-Identifier: Apache-2.0
 * The stages before the plan is solved: open, rewrite, observe. */
#include <string.h>

#include "data.h"
#include "job.h"
#include "plan/recipe.h"
#include "onnx/check.h"
#include "pass/lib/half.h"
#include "pass/pass.h"
#include "plan/match.h"
#include "plan/overrides.h"
#include "protect.h"

enum { SYNTHETIC_SAMPLES = 8, SUM_EVERY = 8 /* the noise estimate needs no more */, HISTOGRAM_MOST = 1 << 12 /* of a sample */ };

void qn_job_tell(const struct qn_job *job, const char *stage, size_t done, size_t total)
{
    if (job->callbacks && job->callbacks->progress) job->callbacks->progress(job->callbacks->context, stage, done, total);
}

int qn_job_threads(const struct qn_job *job) { return qn_settings_threads(&job->settings); }

int qn_job_run_threads(const struct qn_job *job) { return job->settings.state.count ? 1 : qn_job_threads(job); }

/* ---- open ---- */

qonnx_status qn_job_protect_input(const struct qn_job *job, const char *path, const char *what)
{
    if (qn_same_file(path, job->output) || (job->sidecar && qn_same_file(path, job->sidecar)))
        return qn_fail(job->err, QONNX_E_USAGE, "'%s' holds the %s, which the result would replace", path, what);
    return qn_job_protect_from_extras(job, path, what);
}

qonnx_status qn_job_name_sidecar(struct qn_job *job)
{
    const char *given = job->settings.sidecar;
    size_t      stem = strlen(job->output);

    if (stem > 5 && strcmp(job->output + stem - 5, ".onnx") == 0) stem -= 5;
    if (!given || strcmp(given, "none") != 0) {
        job->sidecar = given ? given : qn_arena_printf(&job->arena, "%.*s.quant.json", (int)stem, job->output);
        if (!job->sidecar) return qn_fail_nomem(job->err);
    }
    return qn_protect_files(job->input, job->settings.calib, job->output, job->sidecar, job->err);
}

static qonnx_status protect_weights(struct qn_job *job)
{
    QN_TRY(qn_job_protect_weights(job, job->output));
    QN_TRY(qn_job_protect_weights(job, job->sidecar));
    return qn_job_protect_extras(job);
}

qonnx_status qn_job_open(struct qn_job *job)
{
    qonnx_status status;

    qn_job_tell(job, "reading", 0, 0);
    QN_TRY(qn_model_open(&job->model, job->input, job->settings.no_mmap, job->err));
    QN_TRY(protect_weights(job));
    status = qn_graph_build(&job->graph, &job->model, job->err);
    if (status == QONNX_OK) status = qn_check(&job->graph, job->err);
    job->report.input_size = job->model.map.size;
    for (size_t i = 0; i < job->model.external_count; i++) job->report.input_external += job->model.externals[i].size;
    job->report.input_opset = qn_model_opset(&job->model, "");
    job->report.input_ir = job->model.pb->ir_version;
    return status == QONNX_OK ? status : qn_wrap(job->err, status, "%s", job->input);
}

/* ---- float passes ---- */

static const char *const default_passes[] = { "open_scopes", "widen_half", "fold_constants", "remove_identity", "raise_opset", "einsum_matmul", "fold_affine", "matmul_bias" };

/* A recipe speaks of the model's own nodes, and its numbers of their own weights: nothing is folded or removed. */
static const char *const recipe_passes[] = { "open_scopes", "widen_half", "lift_constants", "raise_opset" };

/* The pass that raises the model to what its codes need. */
static const char *raising_pass(const struct qn_settings *settings)
{
    const struct qn_weight_form widest = qn_overrides_widest(settings);

    if (widest.block && strcmp(settings->format, "qdq") == 0) return widest.bits < 4 ? "raise_opset_25" : "raise_opset_21";
    return widest.type->floating && widest.type->min_opset > 13 ? "raise_opset_19" : "raise_opset";
}

/* Patterns name nodes of the user's file, some of which the passes have folded into others. */
static void tell_folded(struct qn_job *job, const struct qn_list *patterns, const char *option)
{
    for (size_t i = 0; patterns->known && i < patterns->count; i++)
        if (patterns->known[i] && !qn_match_any(patterns->items[i], &job->graph))
            qn_warn(&job->warnings, "--%s %s has no effect: what it matches was folded into other nodes", option, patterns->items[i]);
}

static void tell_halves(struct qn_job *job, enum qn_halves before)
{
    if (before == QN_HALVES_NONE) return;
    if (qn_halves(&job->model, NULL) == QN_HALVES_NONE)
        qn_warn(&job->warnings, "the model is in float16 or bfloat16: what stays float is in float32 now; inputs and outputs keep their types");
    else
        qn_warn(&job->warnings, "layers in float16 or bfloat16 stay as they are: the model uses these numbers in ways that float32 cannot stand for");
}

bool qn_job_is_qonnx(const Onnx__NodeProto *node)
{
    const char *domain = node->domain ? node->domain : "";
    return strncmp(domain, "qonnx.", 6) == 0 || strncmp(domain, "finn.", 5) == 0 ||
           strcmp(domain, "onnx.brevitas") == 0;
}

/* ONNX Runtime has no kernels for them, so nothing can be observed. */
static qonnx_status check_no_qonnx(const struct qn_job *job)
{
    for (qn_node_id n = 0; n < job->graph.node_count; n++)
        if (qn_job_is_qonnx(job->graph.pb->node[n]))
            return qn_fail(job->err, QONNX_E_UNSUPPORTED,
                           "%s: %s: the model is quantized in the form of QONNX; make it QDQ first, with "
                           "qonnx-quantize convert IN OUT --format qdq",
                           job->input, qn_node_label(&job->graph, n));
    return QONNX_OK;
}

qonnx_status qn_job_run_passes(struct qn_job *job)
{
    enum qn_halves        halves = qn_halves(&job->model, &job->half);
    const struct qn_list *chosen = &job->settings.pass;
    const char *const    *names = default_passes;
    size_t                count = sizeof default_passes / sizeof *default_passes;

    if (chosen->count) {
        names = chosen->items;
        count = chosen->count;
    } else if (job->settings.recipe) {
        names = recipe_passes;
        count = job->settings.recipe->no_passes ? 0 : sizeof recipe_passes / sizeof *recipe_passes;
    }
    qn_job_tell(job, "rewriting", 0, 0);
    QN_TRY(check_no_qonnx(job));
    QN_TRY(qn_job_note_ports(job));
    if (names == default_passes) {
        if (!(names = (const char *const *)(const void *)qn_arena_memdup(&job->arena, default_passes, sizeof default_passes))) return qn_fail_nomem(job->err);
        for (size_t i = 0; i < count; i++)
            if (strcmp(names[i], "raise_opset") == 0) ((const char **)(uintptr_t)names)[i] = raising_pass(&job->settings);
    }
    for (size_t i = 0; i < count; i++) {
        const struct qn_pass *pass = qn_pass_find(names[i]);
        qonnx_status          status;
        qn_match_mark(&job->settings.include, &job->graph, &job->arena); /* nodes of functions and bodies come up on the way */
        qn_match_mark(&job->settings.exclude, &job->graph, &job->arena);
        qn_match_mark(&job->settings.overridden, &job->graph, &job->arena);
        if (!pass) return qn_fail(job->err, QONNX_E_USAGE, "--pass: unknown pass '%s'", names[i]);
        if ((status = qn_pass_run(pass, &job->graph, job->err)) != QONNX_OK) return qn_wrap(job->err, status, "%s: pass %s", job->input, pass->name);
    }
    tell_halves(job, halves);
    tell_folded(job, &job->settings.include, "include");
    tell_folded(job, &job->settings.exclude, "exclude");
    tell_folded(job, &job->settings.overridden, "override");
    job->report.passes = names;
    job->report.pass_count = count;
    return qn_job_suit_target(job);
}

/* ---- observe ---- */

qonnx_status qn_job_open_data(struct qn_job *job, const struct qn_feed_options *part)
{
    const struct qn_settings *s = &job->settings;
    struct qn_arena          *arena = &job->arena;
    struct qn_feed_options    options = qn_data_options(s);
    const struct qn_port     *inputs;
    size_t                    count;

    options.shard = part->shard;
    options.shards = part->shards;
    options.done = part->done;
    options.done_count = part->done_count;
    QN_TRY(qn_ort_load(&job->runtime, s->ort, job->err));

    if (job->most_samples && !s->shuffle && (!options.samples || options.samples > job->most_samples)) options.samples = job->most_samples;
    job->dims = (struct qn_dim_options){ s->dim.items, s->dim.count, s->input_shape.items, s->input_shape.count };
    job->states = (struct qn_state_options){ s->state.items, s->state.count, (size_t)s->state_reset, &job->dims };
    QN_TRY(qn_state_wrap(&job->runtime, &job->model, &job->states, job->err));
    QN_TRY(qn_model_inputs(&job->model, arena, &inputs, &count, job->err));
    if (s->calib) {
        QN_TRY(qn_state_feed(&job->feed, job->runtime, s->calib, inputs, count, &options, &job->states, arena, job->err));
        qn_warn_lines(&job->warnings, qn_feed_info(job->feed)->notes);
        return QONNX_OK;
    }
    qn_warn(&job->warnings, "no --calib: ranges come from synthetic inputs, so accuracy is a matter of luck; pass --calib PATH with samples of real inputs");
    QN_TRY(qn_state_other_inputs(inputs, count, &job->states, arena, &inputs, &count, job->err));
    return qn_feed_synthetic(&job->feed, &job->graph, inputs, count, s->samples ? (size_t)s->samples : SYNTHETIC_SAMPLES, (uint64_t)s->seed, &job->dims, job->runtime, job->err);
}

static void on_progress(void *context, size_t done, size_t total) { qn_job_tell(context, "calibrating", done, total); }

/* A size or rank that was never seen is wrong: exporters write down those of a trace, and tools forget to update them. */
static bool contradicts(const struct qn_value *v, const struct qn_observed *seen)
{
    if (v->rank < 0 || seen->rank < 0) return false;
    if (v->rank != seen->rank) return true;
    for (int i = 0; i < seen->rank; i++)
        if (v->dims[i] >= 0 && seen->dims[i] >= 0 && v->dims[i] != seen->dims[i]) return true;
    return false;
}

/* Runtimes stumble over such declarations where a Q and DQ carry them on. */
static qonnx_status drop_declarations(struct qn_job *job, const struct qn_names *wrong)
{
    Onnx__GraphProto *pb = job->graph.pb;
    size_t            kept = 0;

    if (qn_arena_failed(&job->arena)) return qn_fail_nomem(job->err);
    if (!wrong->count) return QONNX_OK;
    for (size_t i = 0; i < pb->n_value_info; i++)
        if (!pb->value_info[i]->name || qn_names_find(wrong, pb->value_info[i]->name) == QN_NONE) pb->value_info[kept++] = pb->value_info[i];
    if (kept < pb->n_value_info)
        qn_warn(&job->warnings, "%zu declared shape%s dropped, which the model's own values contradict: '%.100s'%s", pb->n_value_info - kept,
                pb->n_value_info - kept == 1 ? " is" : "s are", wrong->texts[0], wrong->count > 1 ? ", …" : "");
    pb->n_value_info = kept;
    return QONNX_OK;
}

/* What the runs showed fills gaps in the declared shapes: ranks always, sizes (which may be those of the samples only)
 * where the format asks for them. */
static void learn(struct qn_job *job, qn_value_id id, const struct qn_observed *seen, struct qn_names *wrong)
{
    struct qn_value *v = &job->graph.values[id];
    int64_t         *dims;

    job->stats[id] = &seen->stats;
    if (!v->dtype) v->dtype = seen->dtype;
    if (v->producer != QN_NONE && !(v->flags & QN_OUTPUT) && contradicts(v, seen)) {
        qn_names_intern(wrong, v->name);
        v->rank = -1;
    }
    if (seen->stats.samples) v->seen = seen->stats.count / seen->stats.samples;
    if (seen->rank < 0 || !(dims = (int64_t *)(void *)qn_arena_memdup(&job->arena, seen->dims, (size_t)seen->rank * sizeof *dims))) return;
    if (v->rank < 0 || v->rank == seen->rank) v->seen_dims = dims;
    if ((v->rank >= 0 && !job->emitter->shapes) || !(dims = qn_arena_array(&job->arena, (size_t)seen->rank, sizeof *dims))) return;
    for (int i = 0; i < seen->rank; i++) dims[i] = job->emitter->shapes ? seen->dims[i] : -1;
    v->rank = seen->rank;
    v->dims = dims;
}

/* The values to look at: those whose ranges the plan asks for, or all when the format asks for shapes. */
static qonnx_status choose_observed(struct qn_job *job, const qn_value_id **ids, size_t *count)
{
    qn_value_id *all;

    if (!job->emitter->shapes && !job->watch_all) return qn_plan_observed(&job->plan, ids, count, job->err);
    if (!(all = qn_arena_array(&job->arena, job->graph.value_count, sizeof *all))) return qn_fail_nomem(job->err);
    *count = 0;
    for (qn_value_id v = 0; v < job->graph.value_count; v++)
        if (job->graph.values[v].producer != QN_NONE || job->graph.values[v].flags & QN_INPUT) all[(*count)++] = v;
    *ids = all;
    return QONNX_OK;
}

qonnx_status qn_job_take_stats(struct qn_job *job)
{
    struct qn_names wrong;

    qn_names_init(&wrong, &job->arena);
    job->stats = qn_arena_array(&job->arena, job->graph.value_count, sizeof(struct qn_stats *));
    if (!job->stats) return qn_fail_nomem(job->err);
    for (size_t i = 0; i < job->calibration.value_count; i++) {
        const qn_value_id v = qn_graph_find(&job->graph, job->calibration.values[i].name);
        if (v != QN_NONE) learn(job, v, &job->calibration.values[i], &wrong);
    }
    return drop_declarations(job, &wrong);
}

qonnx_status qn_job_watch(struct qn_job *job, struct qn_watch *watch)
{
    const unsigned          needs = job->settings.observer_row->needs;
    const qn_value_id      *ids;
    struct qn_channel_wish *channels;

    *watch = (struct qn_watch){ .options = { .threads = qn_job_run_threads(job), .histogram_most = needs & QN_NEEDS_HISTOGRAM ? HISTOGRAM_MOST : 0, .keep_ranges = needs & QN_NEEDS_RANGES, .sum_every = SUM_EVERY, .on_progress = on_progress, .progress_context = job } };
    QN_TRY(choose_observed(job, &ids, &watch->count));
    watch->names = qn_arena_array(&job->arena, watch->count, sizeof *watch->names);
    watch->options.channels = watch->channels = channels = qn_arena_array(&job->arena, watch->count, sizeof *channels);
    if (!watch->names || !channels) return qn_fail_nomem(job->err);
    for (size_t i = 0; i < watch->count; i++) {
        watch->names[i] = job->graph.values[ids[i]].name;
        channels[i] = (struct qn_channel_wish){ job->plan.tensors[ids[i]].channels, job->plan.tensors[ids[i]].channel_axis };
    }
    return QONNX_OK;
}

static bool wants(const void *judge, size_t sample) { return qn_judge_wants(judge, sample); }

/* Runs the float model. With statistics given before, on the samples that are judged by only. */
static qonnx_status run_float(struct qn_job *job, struct qn_watch *watch)
{
    struct qn_calibration seen;
    qonnx_status          status;

    QN_TRY(qn_job_open_data(job, &(struct qn_feed_options){ 0 }));
    QN_TRY(qn_judge_begin(&job->judge, job->model.pb->graph->n_output, qn_feed_info(job->feed)->count, (struct qn_judge_scope){ job->settings.state.count > 0, job->settings.max_drop < QN_DROP_ANY }, job->err));
    watch->options.on_output = qn_judge_keep;
    watch->options.on_sample = qn_judge_take;
    watch->options.output_context = &job->judge;
    if (job->settings.stats && !job->settings.state.count) watch->options.wants = wants;
    qn_job_tell(job, "opening the model", 0, 0);
    status = qn_calibrate(&seen, job->runtime, &job->model, watch->names, job->settings.stats ? 0 : watch->count, job->feed, &watch->options, job->err);
    if (status == QONNX_E_RUNTIME) qn_wrap(job->err, status, "%s", job->input);
    QN_TRY(status);
    if (job->settings.stats)
        qn_calibration_release(&seen);
    else
        job->calibration = seen;
    return QONNX_OK;
}

qonnx_status qn_job_observe(struct qn_job *job)
{
    const struct qn_feed_info *info;
    struct qn_watch            watch;

    QN_TRY(qn_job_watch(job, &watch));
    if (!(job->stats = qn_arena_array(&job->arena, job->graph.value_count, sizeof(struct qn_stats *)))) return qn_fail_nomem(job->err);
    QN_TRY(qn_job_check_ranges(job));
    if (job->imported && !job->settings.calib && !job->settings.stats) {
        qn_job_warn_of_no_runs(job);
        return QONNX_OK;
    }
    if (!watch.count && !(job->settings.calib && qn_plan_count(&job->plan).quantized)) return QONNX_OK; /* else the outputs are to judge by */
    if (job->settings.stats) QN_TRY(qn_job_use_statistics(job, &watch));
    if (!job->settings.stats || job->settings.calib) QN_TRY(run_float(job, &watch));
    QN_TRY(qn_job_take_stats(job));
    info = qn_job_data(job);
    if (info->nan_count)
        return qn_fail(job->err, QONNX_E_DATA, "%s: the samples hold %llu NaN values", job->settings.calib ? job->settings.calib : "synthetic data", (unsigned long long)info->nan_count);
    if (info->inf_count) qn_warn(&job->warnings, "the samples hold %llu infinite values", (unsigned long long)info->inf_count);
    return QONNX_OK;
}
