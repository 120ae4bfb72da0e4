/* SPDX-License-Identifier: Apache-2.0 */
#include "run/compare_sums.h"

#include <math.h>
#include <string.h>

#include "onnx/dtype.h"
#include "run/labels.h"
#include "run/npy.h"

void qn_sums_init(struct qn_output_sums *sums, const size_t *top, size_t top_count)
{
    memset(sums, 0, sizeof *sums);
    sums->top = top;
    sums->top_count = top_count;
    sums->sqnr_min = INFINITY;
}

bool qn_is_real(int32_t type)
{
    return qn_elements_convertible(type, QN_FLOAT) && !qn_elements_convertible(type, QN_INT64);
}

static double decibel(double signal, double noise)
{
    if (noise == 0) return INFINITY;
    return signal == 0 ? -INFINITY : 10 * log10(signal / noise);
}

struct sample_sums {
    double   signal, noise, dot, second, absolute, magnitude, max_error;
    uint64_t finite, nonfinite, unequal;
};

static void add_pair(struct sample_sums *s, double x, double y)
{
    double error = x - y;

    if (!isfinite(x) || !isfinite(y)) {
        bool same = x == y || (isnan(x) && isnan(y));
        s->nonfinite += !same;
        s->unequal += !same;
        return;
    }
    s->finite++;
    s->unequal += x != y;
    s->signal += x * x;
    s->noise += error * error;
    s->dot += x * y;
    s->second += y * y;
    s->absolute += fabs(error);
    s->magnitude += fabs(x);
    if (fabs(error) > s->max_error) s->max_error = fabs(error);
}

/* Keeps the list in order: the worst first, of equally bad ones the one that comes first. */
static void add_worst(struct qn_output_sums *sums, struct qn_worst_sample sample)
{
    size_t at = sums->worst_count;

    if (!(sample.sqnr < INFINITY)) return;
    while (at && (sample.sqnr < sums->worst[at - 1].sqnr ||
                  (sample.sqnr == sums->worst[at - 1].sqnr && sample.position < sums->worst[at - 1].position)))
        at--;
    if (at == QN_WORST_MOST) return;
    if (sums->worst_count < QN_WORST_MOST) sums->worst_count++;
    memmove(sums->worst + at + 1, sums->worst + at, (sums->worst_count - 1 - at) * sizeof sample);
    sums->worst[at] = sample;
}

static void compare_reals(struct qn_output_sums *sums, size_t position, const struct qn_view *x,
                          const struct qn_view *y, size_t count)
{
    struct sample_sums s = { 0 };
    double             sqnr;

    if (x->dtype == QN_FLOAT && y->dtype == QN_FLOAT) {
        const float *a = x->data, *b = y->data;
        for (size_t i = 0; i < count; i++) add_pair(&s, (double)a[i], (double)b[i]);
    } else {
        for (size_t i = 0; i < count; i++) add_pair(&s, qn_view_number(x, i), qn_view_number(y, i));
    }
    sums->finite += s.finite;
    sums->nonfinite += s.nonfinite;
    sums->unequal += s.unequal;
    qn_exact_sum_add(&sums->signal, s.signal);
    qn_exact_sum_add(&sums->noise, s.noise);
    qn_exact_sum_add(&sums->dot, s.dot);
    qn_exact_sum_add(&sums->second, s.second);
    qn_exact_sum_add(&sums->absolute, s.absolute);
    qn_exact_sum_add(&sums->magnitude, s.magnitude);
    if (s.max_error > sums->max_error) sums->max_error = s.max_error;
    sqnr = decibel(s.signal, s.noise);
    if (sqnr < sums->sqnr_min) sums->sqnr_min = sqnr;
    add_worst(sums, (struct qn_worst_sample){ position, sqnr });
}

static void compare_top(struct qn_output_sums *sums, const struct qn_view *x, const struct qn_view *y, size_t count)
{
    size_t classes = x->rank ? (size_t)x->dims[x->rank - 1] : 1;

    if (classes < 2) return;
    for (size_t start = 0; start < count; start += classes) {
        size_t best = qn_view_argmax(x, start, classes), rank = qn_view_rank(y, start, classes, best);
        sums->top1_count++;
        sums->top1_agree += rank == 0;
        for (size_t k = 0; k < sums->top_count; k++) sums->top_agree[k] += rank < sums->top[k];
    }
}

qonnx_status qn_sums_add(struct qn_output_sums *sums, size_t position, const struct qn_view *x, const struct qn_view *y,
                         qonnx_error *err)
{
    size_t count = qn_view_count(x), item;
    bool   same_shape = x->rank == y->rank;

    for (int i = 0; same_shape && i < x->rank; i++) same_shape = x->dims[i] == y->dims[i];
    if (!same_shape || qn_is_real(x->dtype) != qn_is_real(y->dtype) || (!qn_is_real(x->dtype) && x->dtype != y->dtype))
        return qn_fail(err, QONNX_E_DATA, "output '%s' differs in type or shape between the models", x->name);
    sums->dtype = x->dtype;
    if (!x->size || !y->size) return QONNX_OK; /* empty, or texts */
    sums->elements += count;
    if (qn_is_real(x->dtype)) {
        compare_reals(sums, position, x, y, count);
        compare_top(sums, x, y, count);
        return QONNX_OK;
    }
    item = x->size / count ? x->size / count : 1;
    for (size_t i = 0; i < x->size / item; i++)
        sums->unequal += memcmp((const char *)x->data + i * item, (const char *)y->data + i * item, item) != 0;
    return QONNX_OK;
}

void qn_sums_merge(struct qn_output_sums *into, const struct qn_output_sums *from)
{
    if (from->dtype) into->dtype = from->dtype;
    into->elements += from->elements;
    into->nonfinite += from->nonfinite;
    into->unequal += from->unequal;
    into->finite += from->finite;
    into->top1_count += from->top1_count;
    into->top1_agree += from->top1_agree;
    qn_exact_sum_merge(&into->signal, &from->signal);
    qn_exact_sum_merge(&into->noise, &from->noise);
    qn_exact_sum_merge(&into->dot, &from->dot);
    qn_exact_sum_merge(&into->second, &from->second);
    qn_exact_sum_merge(&into->absolute, &from->absolute);
    qn_exact_sum_merge(&into->magnitude, &from->magnitude);
    for (size_t k = 0; k < into->top_count; k++) into->top_agree[k] += from->top_agree[k];
    for (size_t i = 0; i < from->worst_count; i++) add_worst(into, from->worst[i]);
    if (from->max_error > into->max_error) into->max_error = from->max_error;
    if (from->sqnr_min < into->sqnr_min) into->sqnr_min = from->sqnr_min;
}

void qn_sums_finish(struct qn_output_comparison *output, const struct qn_output_sums *sums)
{
    double signal = qn_exact_sum_value(&sums->signal), noise = qn_exact_sum_value(&sums->noise);
    double second = qn_exact_sum_value(&sums->second), dot = qn_exact_sum_value(&sums->dot);
    double absolute = qn_exact_sum_value(&sums->absolute), magnitude = qn_exact_sum_value(&sums->magnitude);

    if (sums->dtype) output->dtype = sums->dtype;
    output->is_float = qn_is_real(output->dtype);
    output->elements = sums->elements;
    output->unequal = sums->unequal;
    output->nonfinite = sums->nonfinite;
    output->top1_count = sums->top1_count;
    output->top1_agree = sums->top1_agree;
    memcpy(output->top_agree, sums->top_agree, sizeof output->top_agree);
    memcpy(output->worst, sums->worst, sizeof output->worst);
    output->worst_count = sums->worst_count;
    if (!output->is_float) return;
    output->sqnr = decibel(signal, noise);
    output->sqnr_min = sums->sqnr_min;
    output->cosine = signal > 0 && second > 0 ? dot / (sqrt(signal) * sqrt(second)) : signal == second ? 1 : 0;
    if (output->cosine > 1) output->cosine = 1;
    output->max_error = sums->max_error;
    output->mean_error = sums->finite ? absolute / (double)sums->finite : 0;
    output->relative = absolute > 0 ? absolute / magnitude : 0;
}
