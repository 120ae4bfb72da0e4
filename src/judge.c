/* SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"

#define GAIN_DB 0.1

bool qn_judgement_is_better(struct qn_judgement now, struct qn_judgement before)
{
    return now.mean > before.mean + GAIN_DB;
}

qonnx_status qn_judge_begin(struct qn_judge *judge, size_t outputs, size_t samples, qonnx_error *err)
{
    size_t share = samples / QN_JUDGE_SHARE;

    judge->outputs = outputs;
    judge->samples = share < 1 ? 1 : share > QN_JUDGE_SAMPLES ? QN_JUDGE_SAMPLES : share;
    judge->kept = calloc(judge->samples * (outputs ? outputs : 1), sizeof *judge->kept);
    return judge->kept ? QONNX_OK : qn_fail_nomem(err);
}

void qn_judge_release(struct qn_judge *judge)
{
    for (size_t i = 0; judge->kept && i < judge->samples * judge->outputs; i++) free(judge->kept[i].values);
    free(judge->kept);
    memset(judge, 0, sizeof *judge);
}

qonnx_status qn_judge_keep(void *context, size_t sample, size_t output, const struct qn_view *view, qonnx_error *err)
{
    struct qn_judge *judge = context;
    struct qn_kept  *slot;

    if (sample >= judge->samples || output >= judge->outputs || view->dtype != QN_FLOAT || view->size > QN_JUDGE_BYTES) return QONNX_OK;
    slot = &judge->kept[sample * judge->outputs + output]; /* each run has its own slots: no lock */
    slot->count = view->size / sizeof(float);
    if (!(slot->values = malloc(view->size ? view->size : 1))) return qn_fail_nomem(err);
    memcpy(slot->values, view->data, view->size);
    return QONNX_OK;
}

/* Within ± QN_JUDGE_CAP, for means. */
static double decibels(double signal, double noise)
{
    return fmin(fmax(10 * (log10(signal) - log10(noise)), -QN_JUDGE_CAP), QN_JUDGE_CAP); /* fmin and fmax take no NaN */
}

struct trial {
    const struct qn_judge *judge;
    size_t                 sample;
    double                *signal, *noise; /* by output */
    double                *decibels;       /* by output: sum over the samples that were compared, and their number */
    size_t                *compared;
};

static qonnx_status weigh(void *context, size_t output, const struct qn_view *view, qonnx_error *err)
{
    const struct trial   *trial = context;
    const struct qn_kept *kept = &trial->judge->kept[trial->sample * trial->judge->outputs + output];
    const float          *y = view->data;
    double                signal = 0, noise = 0;

    (void)err;
    if (output >= trial->judge->outputs || !kept->values || view->dtype != QN_FLOAT || view->size != kept->count * sizeof *y) return QONNX_OK;
    for (size_t i = 0; i < kept->count; i++) {
        double x = (double)kept->values[i], e = x - (double)y[i];
        if (!isfinite(x)) continue; /* the float model's own business */
        signal += x * x;
        noise += isfinite(e) ? e * e : x * x + 1;
    }
    trial->signal[output] += signal;
    trial->noise[output] += noise;
    trial->decibels[output] += decibels(signal, noise);
    trial->compared[output]++;
    return QONNX_OK;
}

static qonnx_status run_samples(struct trial *trial, struct qn_session *session, struct qn_feed *feed, qonnx_error *err)
{
    struct qn_sample sample = { 0 };
    qonnx_status     status = qn_feed_rewind(feed, err);
    bool             done = false;

    while (status == QONNX_OK && trial->sample < trial->judge->samples) {
        struct qn_run run = { .on_output = weigh, .context = trial };
        status = qn_feed_next(feed, &sample, &done, err);
        if (status != QONNX_OK || done) break;
        run.inputs = sample.views;
        status = session->runtime->run(session, &run, err);
        trial->sample++;
    }
    qn_sample_release(&sample);
    return status;
}

qonnx_status qn_judge_run(const struct qn_judge *judge, struct qn_runtime *runtime, const struct qn_model *model, struct qn_feed *feed, struct qn_judgement *judgement, qonnx_error *err)
{
    /* Every rewrite but those that make integer kernels, whose arithmetic is this processor's own. */
    static const struct qn_config as_float = { "session.disable_quant_qdq", "1" };
    struct qn_session_options     options = { .optimize = true, .config = &as_float, .config_count = 1 };
    struct qn_session        *session;
    struct qn_arena           arena = { 0 };
    struct trial              trial = { .judge = judge };
    qonnx_status              status = runtime->open(runtime, model, &options, &session, err);

    if (status != QONNX_OK) return qn_wrap(err, status, "the quantized model does not open");
    trial.signal = qn_arena_array(&arena, judge->outputs, sizeof(double));
    trial.noise = qn_arena_array(&arena, judge->outputs, sizeof(double));
    trial.decibels = qn_arena_array(&arena, judge->outputs, sizeof(double));
    trial.compared = qn_arena_array(&arena, judge->outputs, sizeof(size_t));
    status = qn_arena_failed(&arena) ? qn_fail_nomem(err) : run_samples(&trial, session, feed, err);
    runtime->close(session);
    *judgement = (struct qn_judgement){ INFINITY, INFINITY };
    for (size_t i = 0; status == QONNX_OK && i < judge->outputs; i++) {
        if (!(trial.noise[i] > 0)) continue;
        judgement->sqnr = fmin(judgement->sqnr, 10 * log10(trial.signal[i] / trial.noise[i]));
        judgement->mean = fmin(judgement->mean, trial.decibels[i] / (double)trial.compared[i]);
    }
    qn_arena_release(&arena);
    return status;
}
