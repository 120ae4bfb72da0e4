/* SPDX-License-Identifier: Apache-2.0
 * Watching a model's values while it runs over data. */
#ifndef QN_RUN_CALIBRATE_H
#define QN_RUN_CALIBRATE_H

#include "base/names.h"
#include "quant/observe.h"
#include "run/feed.h"
#include "run/runner.h"

/* A value whose channels are to be followed: so many on this axis (-1: the last); channels 0 for no such wish. */
struct qn_channel_wish {
    size_t channels;
    int    axis;
};

struct qn_observed {
    const char     *name;  /* as asked for */
    int32_t         dtype; /* 0: the value was never made */
    int             rank;  /* -1: it varied, or was never made */
    const int64_t  *dims;  /* as seen; -1 where a dimension varied */
    struct qn_stats stats; /* of float values only; other types leave it empty */
};

struct qn_calibration {
    struct qn_observed  *values; /* in the order of the names */
    size_t               value_count;
    size_t               samples; /* runs done */
    struct qn_names      index;   /* of names, for qn_calibration_find */
    struct qn_observed **by_name;
    struct qn_arena      arena;
};

struct qn_calibrate_options {
    int    threads;          /* runs at once; below 1 means 1. The result's bytes do not depend on it */
    size_t histogram_most;   /* as for qn_stats_init; 0: no histograms */
    bool   keep_ranges;      /* of each sample, in struct qn_stats */
    size_t sum_every;        /* as in struct qn_stats; 0 means 1 */
    const struct qn_channel_wish *channels; /* one for each name; NULL: no wishes */
    void (*on_progress)(void *context, size_t done, size_t total); /* may be NULL; called by one thread at a time */
    void *progress_context;
    /* May be NULL. Receives each run's graph outputs, from several threads at once. */
    qonnx_status (*on_output)(void *context, size_t sample, size_t output, const struct qn_view *view,
                              qonnx_error *err);
    /* May be NULL. Receives each sample behind its run, from several threads at once, and may take its buffers: what is
     * left is zero but for the index. */
    void (*on_sample)(void *output_context, struct qn_sample *sample);
    void *output_context;
    /* May be NULL. Samples that are not wanted are read, but not run. */
    bool (*wants)(const void *output_context, size_t sample);
};

/* Runs the model over the feed (from where it stands to its end) and returns what was seen of the named values: graph
 * inputs and node outputs of the main graph. On failure nothing needs releasing. */
QONNX_MUST_CHECK qonnx_status qn_calibrate(struct qn_calibration *result, struct qn_runtime *runtime,
                                           const struct qn_model *model, const char *const *names, size_t name_count,
                                           struct qn_feed *feed, const struct qn_calibrate_options *options,
                                           qonnx_error *err);
/* The same in several goes with one session: each result is of the samples that the last one left, at most `most` of them (0:
 * all that are left). *ended: the feed has no more. */
struct qn_calibrator;
QONNX_MUST_CHECK qonnx_status qn_calibrator_open(struct qn_calibrator **calibrator, struct qn_runtime *runtime,
                                                 const struct qn_model *model, const char *const *names,
                                                 size_t name_count, struct qn_feed *feed,
                                                 const struct qn_calibrate_options *options, qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_calibrator_run(struct qn_calibrator *calibrator, size_t most,
                                                struct qn_calibration *result, bool *ended, qonnx_error *err);
void                          qn_calibrator_close(struct qn_calibrator *calibrator);
void                          qn_calibration_release(struct qn_calibration *calibration);
/* The entry of a name, or NULL. */
const struct qn_observed     *qn_calibration_find(const struct qn_calibration *calibration, const char *name);

#endif
