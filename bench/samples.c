/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_samples infer|calibrate|histogram MODEL.onnx DATA [THREADS]: what the benchmarks compare conversion and calibration
 * with.
 *
 *   infer      every sample through the model as it is, at full optimization, and nothing else
 *   calibrate  the float passes, the plan of preset int8, and its ranges from every sample (-o observer=minmax)
 *   histogram  the same with histograms, as the other observers want them
 *
 * Prints the number of samples. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pass/pass.h"
#include "plan/plan.h"
#include "run/calibrate.h"

static const char *const passes[] = { "lift_constants", "remove_identity", "raise_opset", "fold_affine", "matmul_bias" };

struct bench {
    struct qn_model    model;
    struct qn_graph    graph;
    struct qn_settings settings;
    struct qn_plan     plan;
    struct qn_runtime *runtime;
    struct qn_feed    *feed;
    struct qn_arena    arena;
    int                threads;
    size_t             samples, histogram_most;
};

static qonnx_status infer(struct bench *b, qonnx_error *err)
{
    struct qn_session_options options = { .optimize = true };
    struct qn_session        *session;
    struct qn_sample          sample = { 0 };
    qonnx_status              status;
    bool                      done = false;

    QN_TRY(b->runtime->open(b->runtime, &b->model, &options, &session, err));
    do {
        struct qn_run run = { 0 };
        status = qn_feed_next(b->feed, &sample, &done, err);
        if (status != QONNX_OK || done) break;
        run.inputs = sample.views;
        status = b->runtime->run(session, &run, err);
        b->samples++;
    } while (status == QONNX_OK);
    qn_sample_release(&sample);
    b->runtime->close(session);
    return status;
}

static qonnx_status calibrate(struct bench *b, qonnx_error *err)
{
    struct qn_calibrate_options options = { .threads = b->threads, .sum_every = 8, .histogram_most = b->histogram_most }; /* as the program does */
    struct qn_calibration       calibration;
    const qn_value_id          *ids;
    const char                **names;
    struct qn_channel_wish     *channels;
    size_t                      count;

    QN_TRY(qn_settings_resolve(&b->settings, NULL, err));
    QN_TRY(qn_graph_build(&b->graph, &b->model, err));
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) QN_TRY(qn_pass_run(qn_pass_find(passes[i]), &b->graph, err));
    QN_TRY(qn_plan_make(&b->plan, &b->graph, &b->settings, NULL, err));
    QN_TRY(qn_plan_observed(&b->plan, &ids, &count, err));
    names = qn_arena_array(&b->arena, count, sizeof *names);
    options.channels = channels = qn_arena_array(&b->arena, count, sizeof *channels);
    if (!names || !channels) return qn_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        names[i] = b->graph.values[ids[i]].name;
        channels[i] = (struct qn_channel_wish){ b->plan.tensors[ids[i]].channels, b->plan.tensors[ids[i]].channel_axis };
    }
    QN_TRY(qn_calibrate(&calibration, b->runtime, &b->model, names, count, b->feed, &options, err));
    b->samples = calibration.samples;
    qn_calibration_release(&calibration);
    return QONNX_OK;
}

static qonnx_status run(struct bench *b, char **argv, qonnx_error *err)
{
    struct qn_feed_options options = { 0 };
    const struct qn_port  *inputs;
    size_t                 count;

    QN_TRY(qn_model_open(&b->model, argv[2], false, err));
    QN_TRY(qn_model_inputs(&b->model, &b->arena, &inputs, &count, err));
    QN_TRY(qn_feed_open(&b->feed, argv[3], inputs, count, &options, err));
    QN_TRY(qn_ort_load(&b->runtime, NULL, err));
    b->histogram_most = strcmp(argv[1], "histogram") == 0 ? 1 << 12 : 0;
    return strcmp(argv[1], "infer") == 0 ? infer(b, err) : calibrate(b, err);
}

int main(int argc, char **argv)
{
    struct bench b = { .threads = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 1 };
    qonnx_error  err = { 0 };
    qonnx_status status;

    if (argc < 4 || (strcmp(argv[1], "infer") != 0 && strcmp(argv[1], "calibrate") != 0 && strcmp(argv[1], "histogram") != 0)) {
        fprintf(stderr, "usage: bench_samples infer|calibrate|histogram MODEL.onnx DATA [THREADS]\n");
        return 2;
    }
    status = run(&b, argv, &err);
    if (status == QONNX_OK)
        printf("%zu\n", b.samples);
    else
        fprintf(stderr, "bench_samples: %s\n", err.message);
    return qonnx_status_exit_code(status); /* the system takes the memory back sooner than any release here */
}
