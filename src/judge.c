/* SPDX-License-Identifier: Apache-2.0 */
#include "judge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"

#define GAIN_DB 0.3
/* Samples' dB spread by about PRIOR_DB, which counts like so many samples. */
#define PRIOR_DB 3.5
#define PRIOR_SAMPLES 4
#define CERTAINTY 2 /* standard errors */
/* What is behind by so many dB after one, two, three … samples is not going to be ahead by GAIN_DB. */
static const double hopeless[] = { 0.5, 0.0, 0.0, -GAIN_DB / 2 };

/* How far it is ahead, on average, where both were run. */
static double lead_of(const struct qn_judgement *now, const struct qn_judgement *before)
{
    double sum = 0;
    int    both = 0;

    for (size_t i = 0; i < QN_JUDGE_MOST; i++) {
        if (isnan(now->own[i]) || isnan(before->own[i])) continue;
        sum += now->own[i] - before->own[i];
        both++;
    }
    return both ? sum / both : 0;
}

static double gain_of(const struct qn_judgement *now, const struct qn_judgement *before)
{
    if (now->samples != before->samples) return lead_of(now, before);
    return (fmin(now->sqnr, QN_JUDGE_CAP) - fmin(before->sqnr, QN_JUDGE_CAP) + fmin(now->mean, QN_JUDGE_CAP) - fmin(before->mean, QN_JUDGE_CAP)) / 2;
}

bool qn_judgement_is_better(const struct qn_judgement *now, const struct qn_judgement *before)
{
    return now->samples >= before->samples && gain_of(now, before) > GAIN_DB;
}

void qn_judge_worst_first(struct qn_judge *judge, const struct qn_judgement *judgement)
{
    if (judge->in_order) return;
    for (size_t i = 0; i < judge->samples && i < QN_JUDGE_MOST; i++)
        if (judgement->own[i] < judgement->own[judge->first]) judge->first = i;
}

/* So many points of any number lie evenly in 0 … 1: multiples of the golden section, without their whole parts. */
#define GOLDEN 0.61803398874989485

static size_t how_many(size_t samples)
{
    const size_t share = samples / QN_JUDGE_SHARE;

    if (samples <= QN_JUDGE_LEAST) return samples;
    return share < QN_JUDGE_LEAST ? QN_JUDGE_LEAST : share > QN_JUDGE_MOST ? QN_JUDGE_MOST : share;
}

/* The first few are spread over all samples; of those that remain every so many-th. */
static void choose(struct qn_judge *judge, size_t samples, bool in_order)
{
    const size_t few = how_many(samples);
    size_t       count = 0;

    for (; !in_order && count < few; count++) {
        const double at = ((double)count + 0.5) * GOLDEN;
        judge->chosen[count] = (size_t)((at - floor(at)) * (double)samples);
    }
    for (size_t i = 0; count < judge->samples; i++) {
        const size_t sample = in_order ? i : i * samples / judge->samples;
        size_t       k = 0;
        while (k < count && judge->chosen[k] != sample) k++;
        if (k == count) judge->chosen[count++] = sample;
    }
}

qonnx_status qn_judge_begin(struct qn_judge *judge, size_t outputs, size_t samples, struct qn_judge_scope scope, qonnx_error *err)
{
    if (!samples) samples = 1;
    judge->outputs = outputs;
    judge->samples = !scope.all ? how_many(samples) : samples < QN_JUDGE_ALL ? samples : QN_JUDGE_ALL;
    judge->bytes = QN_JUDGE_ALL_BYTES / judge->samples < QN_JUDGE_BYTES ? QN_JUDGE_ALL_BYTES / judge->samples : QN_JUDGE_BYTES;
    judge->kept = calloc(judge->samples * (outputs ? outputs : 1), sizeof *judge->kept);
    judge->chosen = calloc(judge->samples, sizeof *judge->chosen);
    judge->inputs = calloc(judge->samples, sizeof *judge->inputs);
    if (!judge->kept || !judge->chosen || !judge->inputs) return qn_fail_nomem(err);
    judge->in_order = scope.in_order;
    choose(judge, samples, scope.in_order);
    return QONNX_OK;
}

void qn_judge_release(struct qn_judge *judge)
{
    for (size_t i = 0; judge->kept && i < judge->samples * judge->outputs; i++) free(judge->kept[i].values);
    for (size_t i = 0; judge->inputs && i < judge->samples; i++) qn_sample_release(&judge->inputs[i]);
    free(judge->inputs);
    free(judge->signals);
    free(judge->chosen);
    free(judge->kept);
    memset(judge, 0, sizeof *judge);
}

static size_t place_of(const struct qn_judge *judge, size_t sample)
{
    size_t place = 0;

    while (place < judge->samples && judge->chosen[place] != sample) place++;
    return place;
}

bool qn_judge_wants(const struct qn_judge *judge, size_t sample) { return place_of(judge, sample) < judge->samples; }

qonnx_status qn_judge_keep(void *context, size_t sample, size_t output, const struct qn_view *view, qonnx_error *err)
{
    struct qn_judge *judge = context;
    const size_t     place = place_of(judge, sample);
    struct qn_kept  *slot;

    if (place >= judge->samples || output >= judge->outputs || view->dtype != QN_FLOAT || view->size > judge->bytes) return QONNX_OK;
    slot = &judge->kept[place * judge->outputs + output]; /* each run has its own slots: no lock */
    slot->count = view->size / sizeof(float);
    if (!(slot->values = malloc(view->size ? view->size : 1))) return qn_fail_nomem(err);
    memcpy(slot->values, view->data, view->size);
    return QONNX_OK;
}

/* ---- inputs ---- */

static size_t bytes_of(const struct qn_sample *sample)
{
    size_t bytes = 0;

    for (size_t i = 0; i < sample->count; i++) bytes += sample->views[i].size;
    return bytes;
}

void qn_judge_take(void *context, struct qn_sample *sample)
{
    struct qn_judge *judge = context;
    const size_t     place = place_of(judge, sample->index);

    if (place >= judge->samples || bytes_of(sample) > QN_JUDGE_INPUT_BYTES / (place + 1)) return; /* each run has its own place: no lock */
    qn_sample_release(&judge->inputs[place]);
    judge->inputs[place] = *sample;
    *sample = (struct qn_sample){ .index = sample->index, .position = sample->position };
}

size_t qn_judge_count(const struct qn_judge *judge)
{
    size_t count = 0;

    for (size_t i = 0; i < judge->samples; i++) count += judge->inputs[i].views != NULL;
    return count;
}

size_t qn_judge_few(const struct qn_judge *judge)
{
    const size_t all = qn_judge_count(judge), least = (all + QN_JUDGE_FEW - 1) / QN_JUDGE_FEW;
    size_t       few = 0, values = 0;

    for (size_t i = 0; i < judge->samples && (few < least || values < QN_JUDGE_VALUES); i++) {
        if (!judge->inputs[i].views) continue;
        few++;
        for (size_t k = 0; k < judge->outputs; k++) values += judge->kept[i * judge->outputs + k].count;
    }
    return few;
}

/* Within ± QN_JUDGE_CAP, for means. */
static double decibels(double signal, double noise)
{
    return fmin(fmax(10 * (log10(signal) - log10(noise)), -QN_JUDGE_CAP), QN_JUDGE_CAP); /* fmin and fmax take no NaN */
}

struct trial {
    const struct qn_judge *judge;
    struct qn_judgement   *judgement;
    size_t                 place;
    double                *noise;          /* by output */
    double                *decibels;       /* by output: sum over the samples that were compared, and their number */
    size_t                *compared;
    size_t                *choices, *changed; /* by output: rows of its last axis, and those whose largest value is another */
    size_t                 run, few;
};

static size_t largest(const float *x, size_t n)
{
    size_t at = 0;

    for (size_t i = 1; i < n; i++)
        if (x[i] > x[at]) at = i;
    return at;
}

static void compare_choices(const struct trial *trial, size_t output, const struct qn_view *view, const float *x)
{
    const size_t count = view->size / sizeof *x, n = view->rank > 0 ? (size_t)view->dims[view->rank - 1] : 0;
    const float *y = view->data;

    if (n < 2) return;
    for (size_t at = 0; at + n <= count; at += n) {
        trial->choices[output]++;
        trial->changed[output] += largest(x + at, n) != largest(y + at, n);
    }
}

static qonnx_status weigh(void *context, size_t output, const struct qn_view *view, qonnx_error *err)
{
    const struct trial   *trial = context;
    const struct qn_kept *kept = &trial->judge->kept[trial->place * trial->judge->outputs + output];
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
    trial->noise[output] += noise;
    trial->decibels[output] += decibels(signal, noise);
    if (trial->place < QN_JUDGE_MOST) trial->judgement->own[trial->place] = fmin(trial->judgement->own[trial->place], decibels(signal, noise));
    trial->compared[output]++;
    compare_choices(trial, output, view, kept->values);
    return QONNX_OK;
}

static double sqnr_of(const struct trial *trial)
{
    double sqnr = INFINITY;

    for (size_t i = 0; i < trial->judge->outputs; i++)
        if (trial->noise[i] > 0) sqnr = fmin(sqnr, 10 * log10(trial->judge->signals[i] / trial->noise[i]));
    return sqnr;
}

/* The dB that samples keep are spread about normally: together they keep less than on average, for the noisiest decide. */
static double surely(const struct trial *trial)
{
    double sum = 0, squares = 0, count = 0, mean, variance;

    for (size_t i = 0; i < QN_JUDGE_MOST; i++) {
        const double own = trial->judgement->own[i];
        if (isnan(own)) continue;
        sum += own;
        squares += own * own;
        count++;
    }
    if (count < 1) return INFINITY;
    mean = sum / count;
    variance = (fmax(squares - sum * mean, 0) + PRIOR_SAMPLES * PRIOR_DB * PRIOR_DB) / (count - 1 + PRIOR_SAMPLES);
    return mean - variance * log(10) / 20 - CERTAINTY * sqrt(variance / (double)trial->run);
}

/* What the samples run so far come to. */
static void sum_up(const struct trial *trial, struct qn_judgement *judgement)
{
    judgement->sqnr = sqnr_of(trial);
    judgement->sure = trial->run < qn_judge_count(trial->judge) ? judgement->sqnr : fmin(judgement->sqnr, surely(trial));
    judgement->mean = INFINITY;
    judgement->drop = -1;
    judgement->samples = trial->run;
    for (size_t i = 0; i < trial->judge->outputs; i++) {
        if (trial->choices[i]) judgement->drop = fmax(judgement->drop, 100.0 * (double)trial->changed[i] / (double)trial->choices[i]);
        if (trial->noise[i] > 0) judgement->mean = fmin(judgement->mean, trial->decibels[i] / (double)trial->compared[i]);
    }
}

/* What goes on would change nothing. */
static bool is_lost(const struct trial *trial, struct qn_judge_terms terms)
{
    const size_t steps = sizeof hopeless / sizeof *hopeless;

    if (terms.least != 0 && sqnr_of(trial) < terms.least) return true;
    return terms.rival && trial->run >= trial->few && lead_of(trial->judgement, terms.rival) < -hopeless[trial->run < steps ? trial->run - 1 : steps - 1];
}

/* Which sample is run so many-th. */
static size_t place_at(const struct qn_judge *judge, size_t step)
{
    if (!step) return judge->first;
    return step <= judge->first ? step - 1 : step;
}

static qonnx_status run_samples(struct trial *trial, struct qn_judge_terms terms, struct qn_session *session, qonnx_error *err)
{
    const struct qn_judge *judge = trial->judge;

    for (size_t i = 0; i < QN_JUDGE_MOST; i++) trial->judgement->own[i] = NAN;
    for (size_t step = 0; trial->run < terms.most && step < judge->samples; step++) {
        struct qn_run run = { .on_output = weigh, .context = trial };
        trial->place = place_at(judge, step);
        if (!(run.inputs = judge->inputs[trial->place].views)) continue;
        if (trial->place < QN_JUDGE_MOST) trial->judgement->own[trial->place] = QN_JUDGE_CAP;
        QN_TRY(session->runtime->run(session, &run, err));
        trial->run++;
        if (is_lost(trial, terms)) break;
    }
    sum_up(trial, trial->judgement);
    return QONNX_OK;
}

/* Once; of samples that can be run. */
static qonnx_status sum_signals(struct qn_judge *judge, qonnx_error *err)
{
    if (judge->signals) return QONNX_OK;
    if (!(judge->signals = calloc(judge->outputs + 1, sizeof *judge->signals))) return qn_fail_nomem(err);
    for (size_t k = 0; k < judge->samples * judge->outputs; k++) {
        const struct qn_kept *kept = &judge->kept[k];
        double                sum = 0;
        if (!judge->inputs[k / judge->outputs].views) continue;
        for (size_t i = 0; i < kept->count && kept->values; i++)
            if (isfinite(kept->values[i])) sum += (double)kept->values[i] * (double)kept->values[i];
        judge->signals[k % judge->outputs] += sum;
    }
    return QONNX_OK;
}

static bool same_shapes(const struct qn_sample *a, const struct qn_sample *b)
{
    for (size_t i = 0; i < a->count; i++)
        if (a->views[i].rank != b->views[i].rank || memcmp(a->views[i].dims, b->views[i].dims, (size_t)a->views[i].rank * sizeof *a->views[i].dims) != 0) return false;
    return true;
}

/* The shapes of all judged inputs; NULL when they differ. */
static const struct qn_view *common_shapes(const struct qn_judge *judge)
{
    const struct qn_sample *first = NULL;

    for (size_t i = 0; i < judge->samples; i++) {
        if (!judge->inputs[i].views) continue;
        if (!first) first = &judge->inputs[i];
        if (!same_shapes(first, &judge->inputs[i])) return NULL;
    }
    return first ? first->views : NULL;
}

/* Rewrites that nothing in a candidate of ours needs, or that gain less in so few runs than looking for their patterns
 * costs. The runtime passes over names that it does not know. */
static const char unneeded[] =
    "QDQPropagationTransformer;DoubleQDQPairsRemover;QDQSelectorActionTransformer;QDQS8ToU8Transformer;"
    "QDQFinalCleanupTransformer;EnsureUniqueDQForNodeUnit;WeightBiasQuantization;WhereDummyDq;ReluQuantFusion;"
    "AvgPoolQuantFusion;DQMatMulNBitsTransformer;MatMulNBitsFusion;DynamicQuantizeMatMulFusion;"
    "MatMulIntegerToFloatFusion;CommonSubexpressionElimination;ConstantSharing;NhwcTransformer;MatMulScaleFusion;"
    "MatMulActivationFusion;MatMulBNFusion;MatmulTransposeFusion;ConvAddFusion;ConvMulFusion;ConvBNFusion;PadFusion;"
    "GemmActivationFusion;FastGeluFusion;QuickGeluFusion;BiasGeluFusion;BiasSoftmaxFusion;BiasDropoutFusion;"
    "SkipLayerNormFusion;SimplifiedLayerNormFusion;EmbedLayerNormFusion;AttentionFusion;GroupQueryAttentionFusion;"
    "ReshapeFusion;ConcatSliceElimination;GatherSliceToSplitFusion;GatherToSliceFusion;LabelEncoderFusion;"
    "PreShapeNodeElimination;IsInfReduceSumFusion;NotWhereFusion;CastChainElimination";

struct qn_session_options qn_judge_options(void)
{
    static const struct qn_config exact[] = {
        { "session.disable_quant_qdq", "1" }, /* integer kernels' arithmetic is this processor's own */
        { "optimization.disable_specified_optimizers", unneeded },
    };

    return (struct qn_session_options){ .optimize = true, .config = exact, .config_count = 2 };
}

qonnx_status qn_judge_open(const struct qn_judge *judge, struct qn_runtime *runtime, const struct qn_model *model, struct qn_session **session, qonnx_error *err)
{
    struct qn_session_options options = qn_judge_options();

    options.sizes = common_shapes(judge);
    return qn_wrap(err, runtime->open(runtime, model, &options, session, err), "the quantized model does not open");
}

qonnx_status qn_judge_run(struct qn_judge *judge, struct qn_judge_terms terms, struct qn_session *session, struct qn_judgement *judgement, qonnx_error *err)
{
    struct qn_arena arena = { 0 };
    struct trial    trial = { .judge = judge, .judgement = judgement, .few = qn_judge_few(judge) };
    qonnx_status    status = sum_signals(judge, err);

    trial.noise = qn_arena_array(&arena, judge->outputs, sizeof(double));
    trial.decibels = qn_arena_array(&arena, judge->outputs, sizeof(double));
    trial.compared = qn_arena_array(&arena, judge->outputs, sizeof(size_t));
    trial.choices = qn_arena_array(&arena, judge->outputs, sizeof(size_t));
    trial.changed = qn_arena_array(&arena, judge->outputs, sizeof(size_t));
    if (qn_arena_failed(&arena)) status = qn_fail_nomem(err);
    if (status == QONNX_OK) status = run_samples(&trial, terms, session, err);
    session->runtime->close(session);
    qn_arena_release(&arena);
    return status;
}
