/* SPDX-License-Identifier: Apache-2.0 */
#include "run/calibrate.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"
#include "run/passes.h"

/* What one worker has seen of one value. */
struct seen {
    int32_t         dtype;
    int             rank;
    int64_t         dims[QN_MAX_RANK];
    struct qn_stats stats;
};

struct worker {
    struct qn_calibrator *calibration;
    struct seen        *values; /* in the order of the names */
    size_t              sample, half;
};

struct qn_calibrator {
    const struct qn_calibrate_options *options;
    struct qn_session                 *session;
    struct worker                     *workers;
    int                                worker_count;
    size_t                             value_count;
    struct qn_range                   *ranges; /* of each value, one for each sample; NULL unless asked for */
    size_t                             sample_count, first; /* samples of this go */
    const char *const                 *names;
    struct qn_feed                    *feed;
};

/* Which axes vary does not depend on the order in which shapes are seen. */
static void merge_shape(struct seen *seen, int32_t dtype, int rank, const int64_t *dims)
{
    if (!dtype) return;
    if (!seen->dtype) {
        seen->dtype = dtype;
        seen->rank = rank;
        for (int i = 0; i < rank; i++) seen->dims[i] = dims[i];
    } else if (seen->rank != rank) {
        seen->rank = -1;
    } else {
        for (int i = 0; i < rank; i++)
            if (seen->dims[i] != dims[i]) seen->dims[i] = -1;
    }
}

/* The values as [outer][channels][inner], if that is their shape. */
static bool channel_view(const struct qn_view *view, struct qn_channel_wish wish, size_t half, struct qn_channel_view *out)
{
    const int   axis = wish.axis < 0 ? view->rank - 1 : wish.axis;
    qonnx_error ignored = { 0 };

    if (axis < 0 || axis >= view->rank || (view->block && axis != 1)) return false;
    out->x = view->data;
    out->block = view->block ? view->block : 1;
    out->half = half;
    return qn_layout_init(&out->layout, view->dims, (size_t)view->rank, axis, &ignored) == QONNX_OK;
}

static qonnx_status observe(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct worker         *worker = context;
    struct qn_calibrator    *calibration = worker->calibration;
    struct seen           *seen = &worker->values[index];
    struct qn_channel_view channels;
    struct qn_range        range;

    if (index >= calibration->value_count) return qn_fail(err, QONNX_E_INTERNAL, "an observer nobody asked for");
    merge_shape(seen, view->dtype, view->rank, view->dims);
    if (view->dtype != QN_FLOAT) return QONNX_OK;
    if (seen->stats.channels && channel_view(view, calibration->options->channels[index], worker->half, &channels)) {
        range = qn_stats_add_channels(&seen->stats, &channels);
    } else {
        if (seen->stats.channels) seen->stats.channels->mismatch = true;
        range = qn_stats_add(&seen->stats, view->data, view->size / sizeof(float));
    }
    if (worker->sample - calibration->first < calibration->sample_count) /* each run has its own: no lock */
        calibration->ranges[index * calibration->sample_count + worker->sample - calibration->first] = range;
    return QONNX_OK;
}

static qonnx_status pass_output(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct worker                     *worker = context;
    const struct qn_calibrate_options *options = worker->calibration->options;

    return options->on_output(options->output_context, worker->sample, index, view, err);
}

static qonnx_status run_sample(void *context, int number, struct qn_sample *sample, qonnx_error *err)
{
    struct qn_calibrator *calibration = context;
    struct worker      *worker = &calibration->workers[number];
    struct qn_run       run = { sample->views, calibration->options->on_output ? pass_output : NULL, worker };

    if (calibration->options->wants && !calibration->options->wants(calibration->options->output_context, sample->index)) return QONNX_OK;
    worker->sample = sample->index;
    worker->half = sample->half;
    QN_TRY(calibration->session->runtime->run(calibration->session, &run, err));
    if (calibration->options->on_sample) calibration->options->on_sample(calibration->options->output_context, sample);
    return QONNX_OK;
}

static void free_workers(struct qn_calibrator *calibration)
{
    for (int w = 0; calibration->workers && w < calibration->worker_count; w++) {
        struct worker *worker = &calibration->workers[w];
        for (size_t i = 0; worker->values && i < calibration->value_count; i++)
            qn_stats_release(&worker->values[i].stats);
        free(worker->values);
    }
    free(calibration->workers);
}

static qonnx_status make_workers(struct qn_calibrator *calibration, qonnx_error *err)
{
    calibration->workers = calloc((size_t)calibration->worker_count, sizeof *calibration->workers);
    if (!calibration->workers) return qn_fail_nomem(err);
    for (int w = 0; w < calibration->worker_count; w++) {
        struct worker *worker = &calibration->workers[w];
        worker->calibration = calibration;
        worker->values = calloc(calibration->value_count + 1, sizeof *worker->values);
        if (!worker->values) return qn_fail_nomem(err);
        for (size_t i = 0; i < calibration->value_count; i++) {
            QN_TRY(qn_stats_init(&worker->values[i].stats, calibration->options->histogram_most, err));
            if (calibration->options->sum_every) worker->values[i].stats.sum_every = calibration->options->sum_every;
            if (calibration->options->channels)
                QN_TRY(qn_stats_follow_channels(&worker->values[i].stats, calibration->options->channels[i].channels, err));
        }
    }
    return QONNX_OK;
}

static qonnx_status make_ranges(struct qn_calibrator *calibration, struct qn_calibration *result, size_t samples,
                                qonnx_error *err)
{
    size_t count;

    if (!calibration->options->keep_ranges) return QONNX_OK;
    if (__builtin_mul_overflow(calibration->value_count, samples, &count)) return qn_fail_nomem(err);
    calibration->ranges = qn_arena_array(&result->arena, count, sizeof *calibration->ranges);
    if (!calibration->ranges) return qn_fail_nomem(err);
    for (size_t i = 0; i < count; i++) calibration->ranges[i] = QN_RANGE_EMPTY;
    calibration->sample_count = samples;
    return QONNX_OK;
}

/* Merges all workers into the result. */
static qonnx_status collect(struct qn_calibration *result, struct qn_calibrator *calibration, const char *const *names,
                            qonnx_error *err)
{
    struct qn_observed *values = qn_arena_array(&result->arena, calibration->value_count, sizeof *values);

    result->by_name = qn_arena_array(&result->arena, calibration->value_count, sizeof *result->by_name);
    qn_names_init(&result->index, &result->arena);
    if (!values || !result->by_name) return qn_fail_nomem(err);
    result->values = values;
    for (size_t i = 0; i < calibration->value_count; i++) {
        struct seen *seen = &calibration->workers[0].values[i];
        int64_t     *dims;
        uint32_t     id;
        for (int w = 1; w < calibration->worker_count; w++) {
            struct seen *other = &calibration->workers[w].values[i];
            merge_shape(seen, other->dtype, other->rank, other->dims);
            QN_TRY(qn_stats_merge(&seen->stats, &other->stats, err));
        }
        /* One form for equal numbers, so that equal statistics are equal bytes. */
        qn_exact_sum_normalize(&seen->stats.sum);
        qn_exact_sum_normalize(&seen->stats.sum2);
        seen->stats.min += 0.0f;
        seen->stats.max += 0.0f;
        dims = qn_arena_array(&result->arena, QN_MAX_RANK, sizeof *dims);
        values[i].name = qn_arena_strdup(&result->arena, names[i]);
        if (!dims || !values[i].name || (id = qn_names_intern(&result->index, values[i].name)) == QN_NONE)
            return qn_fail_nomem(err);
        result->by_name[id] = &values[i];
        values[i].dtype = seen->dtype;
        values[i].rank = seen->dtype ? seen->rank : -1;
        for (int d = 0; d < values[i].rank; d++) dims[d] = seen->dims[d];
        values[i].dims = dims;
        values[i].stats = seen->stats; /* taken over, histogram included */
        if (calibration->ranges) values[i].stats.ranges = calibration->ranges + i * calibration->sample_count;
        values[i].stats.range_count = calibration->sample_count;
        memset(&seen->stats, 0, sizeof seen->stats);
        result->value_count = i + 1;
    }
    return QONNX_OK;
}

static qonnx_status run_go(struct qn_calibrator *calibration, size_t most, struct qn_calibration *result, bool *ended, qonnx_error *err)
{
    const struct qn_calibrate_options *options = calibration->options;
    const size_t                       left = qn_feed_info(calibration->feed)->count - calibration->first;
    struct qn_pass                     pass = { .feed = calibration->feed, .threads = calibration->worker_count, .most = most, .before = calibration->first };

    pass.work = run_sample;
    pass.context = calibration;
    pass.on_progress = options->on_progress;
    pass.progress_context = options->progress_context;
    QN_TRY(make_workers(calibration, err));
    QN_TRY(make_ranges(calibration, result, most && most < left ? most : left, err));
    QN_TRY(qn_feed_pass(&pass, err));
    result->samples = pass.done;
    calibration->first += pass.done;
    *ended = pass.ended;
    return collect(result, calibration, calibration->names, err);
}

qonnx_status qn_calibrator_run(struct qn_calibrator *calibrator, size_t most, struct qn_calibration *result, bool *ended, qonnx_error *err)
{
    qonnx_status status;

    memset(result, 0, sizeof *result);
    calibrator->sample_count = 0;
    calibrator->ranges = NULL;
    status = run_go(calibrator, most, result, ended, err);
    free_workers(calibrator);
    calibrator->workers = NULL;
    if (status != QONNX_OK) qn_calibration_release(result);
    return status;
}

qonnx_status qn_calibrator_open(struct qn_calibrator **result, struct qn_runtime *runtime, const struct qn_model *model, const char *const *names, size_t name_count, struct qn_feed *feed, const struct qn_calibrate_options *options,
                                qonnx_error *err)
{
    struct qn_session_options wanted = { .optimize = true, .any_order = true };
    struct qn_calibrator     *calibrator = calloc(1, sizeof *calibrator);
    qonnx_status              status;

    if (!calibrator) return qn_fail_nomem(err);
    *calibrator = (struct qn_calibrator){ .options = options, .value_count = name_count, .names = names, .feed = feed, .worker_count = options->threads < 1 ? 1 : options->threads };
    wanted.observe = names;
    wanted.observe_count = name_count;
    wanted.observer = observe;
    wanted.sizes = qn_feed_shapes(feed);
    status = runtime->open(runtime, model, &wanted, &calibrator->session, err);
    if (status != QONNX_OK)
        free(calibrator);
    else
        *result = calibrator;
    return status;
}

void qn_calibrator_close(struct qn_calibrator *calibrator)
{
    if (!calibrator) return;
    calibrator->session->runtime->close(calibrator->session);
    free(calibrator);
}

qonnx_status qn_calibrate(struct qn_calibration *result, struct qn_runtime *runtime, const struct qn_model *model, const char *const *names, size_t name_count, struct qn_feed *feed, const struct qn_calibrate_options *options, qonnx_error *err)
{
    struct qn_calibrator *calibrator = NULL;
    qonnx_status          status;
    bool                  ended;

    memset(result, 0, sizeof *result);
    QN_TRY(qn_calibrator_open(&calibrator, runtime, model, names, name_count, feed, options, err));
    status = qn_calibrator_run(calibrator, 0, result, &ended, err);
    qn_calibrator_close(calibrator);
    return status;
}

void qn_calibration_release(struct qn_calibration *calibration)
{
    for (size_t i = 0; i < calibration->value_count; i++) qn_stats_release(&calibration->values[i].stats);
    qn_arena_release(&calibration->arena); /* also the index */
    memset(calibration, 0, sizeof *calibration);
}

const struct qn_observed *qn_calibration_find(const struct qn_calibration *calibration, const char *name)
{
    uint32_t id = qn_names_find(&calibration->index, name);
    return id == QN_NONE ? NULL : calibration->by_name[id];
}
