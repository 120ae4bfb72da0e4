/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_samples infer|minmax|histogram|channels MODEL.onnx DATA [THREADS]: what the benchmarks compare conversion and
 * calibration with; bench_samples convert MODEL.onnx DATA OUT.onnx [OPTION=VALUE…]: what each stage of a conversion costs.
 *
 *   infer      every sample through the model as it is, at full optimization, and nothing else
 *   minmax     the float passes, the plan of preset int8, and its ranges from every sample
 *   histogram  the same with histograms, as other observers than minmax want them
 *   channels   ranges and, of what layers read, channels one by one: that is what pair-safe weights and corrected biases ask for
 *
 *   convert    as the program does with one thread
 *
 * Prints the number of samples, or a line for each stage: CPU seconds of all threads, how often, its name. */
#include <stdio.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pass/pass.h"
#include "plan/plan.h"
#include "qonnx/qonnx.h"
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
    bool               channels;
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
    channels = qn_arena_array(&b->arena, count, sizeof *channels);
    if (b->channels) options.channels = channels;
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

/* ---- stages ---- */

enum { STAGES = 32 };

struct stages {
    struct stage {
        char   name[64];
        double seconds;
        int    times;
    }      list[STAGES];
    size_t count, now;
    double since;
};

static double cpu_seconds(void)
{
    struct timespec time;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void enter(void *context, const char *name, size_t done, size_t total)
{
    struct stages *s = context;
    const double   time = cpu_seconds();
    size_t         i = 0;

    (void)total;
    s->list[s->now].seconds += time - s->since;
    s->since = time;
    while (i < s->count && strcmp(s->list[i].name, name) != 0) i++;
    if (i == STAGES) return;
    if (i == s->count) snprintf(s->list[s->count++].name, sizeof s->list->name, "%s", name);
    if (s->now != i || !done) s->list[i].times++;
    s->now = i;
}

static qonnx_status convert(char **argv, qonnx_error *err)
{
    struct stages   stages = { 0 };
    qonnx_callbacks callbacks = { .context = &stages, .progress = enter };
    qonnx_options  *options = qonnx_options_new();

    enter(&stages, "starting", 0, 0);
    stages.list[0].seconds = stages.since;
    QN_TRY(qonnx_options_set(options, "preset", "int8", err));
    QN_TRY(qonnx_options_set(options, "calib", argv[3], err));
    QN_TRY(qonnx_options_set(options, "threads", "1", err));
    for (char **option = argv + 5; *option; option++) {
        char *value = strchr(*option, '=');
        if (!value) return qn_fail(err, QONNX_E_USAGE, "%s: no value", *option);
        *value++ = 0;
        QN_TRY(qonnx_options_set(options, *option, value, err));
    }
    QN_TRY(qonnx_quantize(argv[2], argv[4], options, &callbacks, NULL, err));
    qonnx_options_free(options);
    enter(&stages, "ending", 0, 0);
    for (size_t i = 0; i + 1 < stages.count; i++) printf("%.3f %d %s\n", stages.list[i].seconds, stages.list[i].times, stages.list[i].name);
    return QONNX_OK;
}

/* ---- the others ---- */

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
    b->channels = strcmp(argv[1], "channels") == 0;
    return strcmp(argv[1], "infer") == 0 ? infer(b, err) : calibrate(b, err);
}

int main(int argc, char **argv)
{
    static const char *const modes[] = { "infer", "minmax", "histogram", "channels", "convert" };
    enum { CONVERT = 4, MODES };
    struct bench b = { .threads = argc > 4 ? (int)strtol(argv[4], NULL, 10) : 1 };
    qonnx_error  err = { 0 };
    qonnx_status status;
    size_t       mode = 0;

    while (argc > 3 && mode < MODES && strcmp(argv[1], modes[mode]) != 0) mode++;
    if (argc < 4 || mode == MODES || (mode == CONVERT && argc < 5)) {
        fprintf(stderr, "usage: bench_samples infer|minmax|histogram|channels MODEL.onnx DATA [THREADS]\n"
                        "       bench_samples convert MODEL.onnx DATA OUT.onnx [OPTION=VALUE...]\n");
        return 2;
    }
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 20); /* as the program does */
#endif
    status = mode == CONVERT ? convert(argv, &err) : run(&b, argv, &err);
    if (status != QONNX_OK)
        fprintf(stderr, "bench_samples: %s\n", err.message);
    else if (mode != CONVERT)
        printf("%zu\n", b.samples);
    return qonnx_status_exit_code(status); /* the system takes the memory back sooner than any release here */
}
