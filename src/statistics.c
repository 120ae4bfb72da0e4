/* SPDX-License-Identifier: Apache-2.0
 * Statistics as files: gathered by `calibrate`, put together by `merge`, used with --stats. */
#include "run/statistics.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "job.h"
#include "protect.h"

enum { DROP = 8 << 20 };

/* ---- what they are of ---- */

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static qonnx_status digest_model(struct qn_job *job, const char **digest)
{
    const struct qn_map *map = &job->model.map;
    struct qn_hasher    *hasher = qn_hasher_new(false);
    struct qn_digest     made;

    if (!hasher) return qn_fail_nomem(job->err);
    for (size_t at = 0, some; at < map->size; at += some) {
        some = map->size - at < DROP ? map->size - at : DROP;
        qn_hasher_add(hasher, map->data + at, some);
        qn_map_drop(map, map->data + at, some);
    }
    qn_hasher_finish(hasher, &made);
    *digest = qn_arena_strdup(&job->arena, made.xxh3_128);
    return *digest ? QONNX_OK : qn_fail_nomem(job->err);
}

/* The options that decide what is seen, and how; which values is in the file itself. */
static const char *how(struct qn_job *job, const struct qn_calibrate_options *options)
{
    const struct qn_settings *s = &job->settings;
    struct qn_strbuf          text;
    const char               *kept;

    qn_strbuf_init(&text);
    qn_strbuf_printf(&text, "histogram %zu, sums %zu, ranges %d, samples %lld, shuffle %d, seed %lld",
                     options->histogram_most, options->sum_every, options->keep_ranges, (long long)s->samples,
                     s->shuffle, s->shuffle ? (long long)s->seed : 0);
    for (size_t i = 0; i < s->state.count; i++) qn_strbuf_printf(&text, ", state %s", s->state.items[i]);
    if (s->state.count) qn_strbuf_printf(&text, ", state reset %lld", (long long)s->state_reset);
    kept = text.failed ? NULL : qn_arena_strdup(&job->arena, text.text);
    qn_strbuf_release(&text);
    return kept;
}

static qonnx_status describe(struct qn_job *job, const struct qn_watch *watch, struct qn_statistics *statistics)
{
    QN_TRY(digest_model(job, &statistics->model));
    statistics->how = how(job, &watch->options);
    statistics->source = base_of(job->settings.calib);
    statistics->runtime = job->runtime->version;
    statistics->cpu = qn_cpu_name();
    statistics->notes = qn_feed_info(job->feed)->notes;
    return statistics->how ? QONNX_OK : qn_fail_nomem(job->err);
}

/* ---- calibrate ---- */

static const char *partial_path(struct qn_job *job) { return qn_arena_printf(&job->arena, "%s.partial", job->output); }

/* What a killed run left. Nothing there is nothing done. */
static qonnx_status resume(struct qn_job *job, const char *path, struct qn_statistics *done, bool *found)
{
    *found = job->settings.resume && access(path, F_OK) == 0;
    return *found ? qn_statistics_read(done, path, job->err) : QONNX_OK;
}

static qonnx_status parse_shard(struct qn_job *job, struct qn_feed_options *feed)
{
    const char        *text = job->settings.shard;
    unsigned long long k, n;
    int                end = 0;

    if (!text) return QONNX_OK;
    if (strspn(text, "0123456789/") != strlen(text) || /* scanf takes signs and blanks */
        sscanf(text, "%9llu/%9llu%n", &k, &n, &end) != 2 || text[end] || !k || k > n)
        return qn_fail(job->err, QONNX_E_USAGE, "--shard: '%s' is not K/N with K from 1 to N", text);
    if (job->settings.state.count && n > 1)
        return qn_fail(job->err, QONNX_E_USAGE, "--shard takes samples out of their order, which --state is about");
    feed->shard = (size_t)k;
    feed->shards = (size_t)n;
    return QONNX_OK;
}

/* What has been gathered in this run. */
struct gone {
    size_t   samples;
    uint64_t nan_count, inf_count;
};

/* Adds a go to what there is. */
static qonnx_status add(struct qn_job *job, const struct qn_watch *watch, struct qn_statistics *all, bool *any,
                        struct qn_calibration *part, struct gone *gone)
{
    const struct qn_feed_info *info = qn_feed_info(job->feed);
    struct qn_statistics       next;
    qonnx_status               status = qn_statistics_take(&next, part, info, gone->samples, job->err);

    next.nan_count = info->nan_count - gone->nan_count;
    next.inf_count = info->inf_count - gone->inf_count;
    *gone = (struct gone){ gone->samples + next.fed_count, info->nan_count, info->inf_count };
    if (status == QONNX_OK) status = describe(job, watch, &next);
    if (status != QONNX_OK) {
        qn_statistics_release(&next);
        return status;
    }
    if (!*any) {
        *all = next;
        *any = true;
        return QONNX_OK;
    }
    status = qn_statistics_merge(all, &next, job->err);
    qn_statistics_release(&next);
    return status;
}

static qonnx_status gather(struct qn_job *job, const struct qn_watch *watch, struct qn_statistics *all, bool any,
                           const char *partial)
{
    struct qn_calibrator *calibrator = NULL;
    struct gone           gone = { 0 };
    bool                  ended = false;
    qonnx_status status = qn_calibrator_open(&calibrator, job->runtime, &job->model, watch->names, watch->count,
                                             job->feed, &watch->options, job->err);

    if (status != QONNX_OK) return qn_wrap(job->err, status, "%s", job->input);
    while (status == QONNX_OK && !ended) {
        struct qn_calibration part;
        status = qn_calibrator_run(calibrator, (size_t)job->settings.checkpoint, &part, &ended, job->err);
        if (status != QONNX_OK) break;
        status = add(job, watch, all, &any, &part, &gone);
        if (status == QONNX_OK && !ended) status = qn_statistics_write(all, partial, job->err);
    }
    qn_calibrator_close(calibrator);
    return status;
}

static qonnx_status report_gathered(const struct qn_statistics *all, qonnx_result **result, qonnx_error *err)
{
    struct qn_strbuf text;
    qonnx_status     status;

    if (!result) return QONNX_OK;
    qn_strbuf_init(&text);
    qn_strbuf_printf(&text, "statistics of %zu values over %zu of %llu samples\n", all->calibration.value_count,
                     all->fed_count, (unsigned long long)all->selected);
    status = qn_result_new(result, &text, NULL, err);
    qn_strbuf_release(&text);
    return status;
}

/* Gathers what *all does not have yet. */
static qonnx_status complete(struct qn_job *job, const struct qn_watch *watch, struct qn_statistics *all, bool resumed,
                             struct qn_feed_options *feed, const char *partial)
{
    uint64_t    *done = qn_arena_array(&job->arena, all->fed_count, sizeof *done);
    qonnx_status status;

    if (!done) return qn_fail_nomem(job->err);
    for (size_t i = 0; i < all->fed_count; i++) done[i] = all->fed[i].position;
    feed->done = done;
    feed->done_count = all->fed_count;
    QN_TRY(qn_job_open_data(job, feed));
    status = gather(job, watch, all, resumed, partial);
    if (status != QONNX_OK)
        return resumed && status == QONNX_E_DATA ? qn_wrap(job->err, status, "%s", partial) : status;
    if (!all->nan_count) return QONNX_OK;
    return qn_fail(job->err, QONNX_E_DATA, "%s: the samples hold %llu NaN values", job->settings.calib,
                   (unsigned long long)all->nan_count);
}

/* What the solved plan has for parameters with all that was gathered (--encodings). */
static qonnx_status encode(struct qn_job *job, const struct qn_statistics *all)
{
    qonnx_status status;

    if (!job->extra_count) return QONNX_OK;
    job->calibration = all->calibration; /* lent */
    status = qn_job_take_stats(job);
    if (status == QONNX_OK) status = qn_job_solve(job);
    if (status == QONNX_OK) status = qn_job_encode(job);
    memset(&job->calibration, 0, sizeof job->calibration);
    return status;
}

static qonnx_status calibrate(struct qn_job *job, qonnx_result **result)
{
    struct qn_statistics   all = { 0 };
    struct qn_feed_options feed = { 0 };
    struct qn_watch        watch;
    const char            *partial = partial_path(job);
    bool                   resumed;
    qonnx_status           status;

    if (!partial) return qn_fail_nomem(job->err);
    if (!job->settings.calib) return qn_fail(job->err, QONNX_E_USAGE, "calibrate needs samples: --calib PATH");
    if (job->settings.recipe)
        return qn_fail(job->err, QONNX_E_USAGE,
                       "quantizers of recipes follow the samples one by one and have no statistics that add up");
    QN_TRY(parse_shard(job, &feed));
    if (feed.shards > 1 && job->settings.encodings.count)
        return qn_fail(job->err, QONNX_E_USAGE, "--encodings: a shard does not see all samples; write them with --stats of the merged file");
    if (qn_same_file(job->output, job->input)) return qn_fail(job->err, QONNX_E_USAGE, "'%s' is the model, which the statistics would replace", job->output);
    QN_TRY(qn_protect_files(job->input, job->settings.calib, job->output, NULL, job->err));
    QN_TRY(qn_job_name_extras(job));
    QN_TRY(qn_job_protect_from_extras(job, partial, "statistics until they are whole"));
    job->watch_all = qn_job_encodes_all(job);
    QN_TRY(qn_job_open(job));
    QN_TRY(qn_job_protect_weights(job, job->output));
    if (!(job->emitter = qn_emitter_find(job->settings.format)))
        return qn_fail(job->err, QONNX_E_USAGE, "--format %s goes with convert only", job->settings.format);
    QN_TRY(qn_job_run_passes(job));
    QN_TRY(qn_job_plan(job));
    QN_TRY(qn_job_watch(job, &watch));
    QN_TRY(qn_job_open_extras(job)); /* trouble shows before all is run */
    QN_TRY(resume(job, partial, &all, &resumed));
    status = complete(job, &watch, &all, resumed, &feed, partial);
    if (status == QONNX_OK) status = encode(job, &all);
    if (status == QONNX_OK) status = qn_statistics_write(&all, job->output, job->err);
    if (status == QONNX_OK) status = qn_job_write_extras(job);
    if (status == QONNX_OK) {
        unlink(partial);
        status = report_gathered(&all, result, job->err);
    }
    qn_statistics_release(&all);
    return status;
}

qonnx_status qonnx_calibrate(const char *input, const char *output, const qonnx_options *options,
                             const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err)
{
    struct qn_job job = { .input = input, .output = output, .callbacks = callbacks, .err = err };

    return qn_job_perform(&job, options, result, calibrate);
}

/* ---- merge ---- */

static void warn_of_mixture(const struct qonnx_callbacks *callbacks, struct qn_arena *arena, const char *what,
                            const char *text)
{
    struct qn_warnings warnings = { .callbacks = callbacks, .arena = arena };

    if (text && strchr(text, ','))
        qn_warn(&warnings,
                "the statistics come from different %s (%.150s): the last bits may differ from those of one machine",
                what, text);
}

static qonnx_status merge(struct qn_statistics *all, const char *const *inputs, size_t count, qonnx_error *err)
{
    QN_TRY(qn_statistics_read(all, inputs[0], err));
    for (size_t i = 1; i < count; i++) {
        struct qn_statistics next;
        qonnx_status         status;
        QN_TRY(qn_statistics_read(&next, inputs[i], err));
        status =
            qn_wrap(err, qn_statistics_merge(all, &next, err), "%s and %s do not go together", inputs[0], inputs[i]);
        qn_statistics_release(&next);
        QN_TRY(status);
    }
    return QONNX_OK;
}

qonnx_status qonnx_merge(const char *output, const char *const *inputs, size_t count, const qonnx_callbacks *callbacks,
                         qonnx_result **result, qonnx_error *err)
{
    qonnx_error          own = { 0 };
    struct qn_statistics all = { 0 };
    struct qn_arena      arena = { 0 };
    qonnx_status         status;

    if (!err) err = &own;
    if (result) *result = NULL;
    if (!count) return qn_fail(err, QONNX_E_USAGE, "there is nothing to merge");
    status = merge(&all, inputs, count, err);
    if (status == QONNX_OK) {
        warn_of_mixture(callbacks, &arena, "versions of ONNX Runtime", all.runtime);
        warn_of_mixture(callbacks, &arena, "instruction sets", all.cpu);
        status = qn_statistics_write(&all, output, err);
    }
    if (status == QONNX_OK) status = report_gathered(&all, result, err);
    qn_statistics_release(&all);
    qn_arena_release(&arena);
    return status;
}

/* ---- --stats ---- */

static qonnx_status check_values(struct qn_job *job, const struct qn_watch *watch, const struct qn_calibration *c)
{
    for (size_t i = 0; i < watch->count; i++) {
        const struct qn_observed *seen = qn_calibration_find(c, watch->names[i]);
        if (!seen || (watch->options.histogram_most && !seen->stats.histogram) ||
            (watch->options.keep_ranges && !seen->stats.ranges) ||
            (watch->channels[i].channels &&
             (!seen->stats.channels || seen->stats.channels->channels != watch->channels[i].channels)))
            return qn_fail(job->err, QONNX_E_DATA,
                           "%s: nothing, or too little, is known of '%.100s': gather statistics with the same preset, "
                           "target and options",
                           job->settings.stats, watch->names[i]);
    }
    return QONNX_OK;
}

void qn_job_warn_of_no_runs(struct qn_job *job)
{
    qn_warn(&job->warnings, "no --calib: nothing is run, so no method is chosen and no layer left in float by the model's outputs");
}

static void warn_of_origin(struct qn_job *job, const struct qn_statistics *statistics)
{
    if (strcmp(statistics->cpu, qn_cpu_name()) != 0)
        qn_warn(&job->warnings, "%s: gathered on %.50s, this is %.50s", job->settings.stats, statistics->cpu,
                qn_cpu_name());
    if (statistics->fed_count < statistics->selected)
        qn_warn(&job->warnings, "%s holds %zu of %llu samples: merge in the other shards", job->settings.stats,
                statistics->fed_count, (unsigned long long)statistics->selected);
    if (!job->settings.calib) qn_job_warn_of_no_runs(job);
}

qonnx_status qn_job_use_statistics(struct qn_job *job, const struct qn_watch *watch)
{
    struct qn_statistics statistics;
    const char          *model;
    qonnx_status         status;

    QN_TRY(qn_job_protect_input(job, job->settings.stats, "statistics"));
    QN_TRY(qn_statistics_read(&statistics, job->settings.stats, job->err));
    status = digest_model(job, &model);
    if (status == QONNX_OK && strcmp(model, statistics.model) != 0)
        status = qn_fail(job->err, QONNX_E_DATA, "%s: statistics of another model", job->settings.stats);
    if (status == QONNX_OK) status = check_values(job, watch, &statistics.calibration);
    if (status == QONNX_OK) {
        warn_of_origin(job, &statistics);
        job->stats_source = qn_arena_strdup(&job->arena, statistics.source);
        job->stats_runtime = qn_arena_strdup(&job->arena, statistics.runtime);
        job->stats_info.notes = qn_arena_strdup(&job->arena, statistics.notes);
        job->stats_info.count = statistics.fed_count;
        job->stats_info.inf_count = statistics.inf_count;
        qn_fed_digest(statistics.fed, statistics.fed_count, job->stats_info.digest);
        job->calibration = statistics.calibration;
        job->stats_arena = statistics.arena;
        memset(&statistics, 0, sizeof statistics);
        return qn_arena_failed(&job->arena) ? qn_fail_nomem(job->err) : QONNX_OK;
    }
    qn_statistics_release(&statistics);
    return status;
}
