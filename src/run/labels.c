/* SPDX-License-Identifier: Apache-2.0 */
#include "run/labels.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"
#include "run/npy.h"

double qn_view_number(const struct qn_view *view, size_t i)
{
    const struct qn_dtype *dtype = qn_dtype_find(view->dtype);
    double                 value = 0;
    size_t                 at;

    if (view->dtype == QN_FLOAT) return (double)((const float *)view->data)[i];
    if (!dtype || !qn_elements_convertible(view->dtype, QN_DOUBLE)) return NAN;
    qn_elements_convert(&value, QN_DOUBLE, (const char *)view->data + i * ((size_t)dtype->bits / 8), view->dtype, 1,
                        &at);
    return value;
}

size_t qn_view_argmax(const struct qn_view *view, size_t start, size_t n)
{
    size_t best = 0;
    double largest = -INFINITY;

    for (size_t i = 0; i < n; i++) {
        double value = qn_view_number(view, start + i);
        if (value > largest) {
            largest = value;
            best = i;
        }
    }
    return best;
}

size_t qn_view_rank(const struct qn_view *view, size_t start, size_t n, size_t index)
{
    double value = qn_view_number(view, start + index);
    size_t before = 0;

    if (isnan(value)) return qn_view_argmax(view, start, n) == index ? 0 : n;
    for (size_t i = 0; i < n; i++) {
        double other = qn_view_number(view, start + i);
        before += other > value || (other == value && i < index);
    }
    return before;
}

static int64_t label_at(const struct qn_labels *labels, size_t i)
{
    int64_t value = 0;
    size_t  at, item = (size_t)qn_dtype_find(labels->dtype)->bits / 8;

    /* A uint64 beyond int64 names no class: it stays 0 of no output. */
    if (!qn_elements_convert(&value, QN_INT64, (const char *)labels->data + i * item, labels->dtype, 1, &at))
        return INT64_MAX;
    return value;
}

static qonnx_status read_labels(struct qn_labels *labels, struct qn_npy *array, size_t samples, qonnx_error *err)
{
    size_t count = qn_npy_row_count(array, 0);

    if (qn_elements_convertible(array->dtype, QN_FLOAT) && !qn_elements_convertible(array->dtype, QN_INT64))
        return qn_fail(err, QONNX_E_DATA, "holds %s; labels are integers", qn_dtype_name(array->dtype));
    if (!array->rank || (size_t)array->dims[0] != samples)
        return qn_fail(err, QONNX_E_DATA, "holds labels for %" PRId64 " samples, the data have %zu",
                       array->rank ? array->dims[0] : 0, samples);
    labels->samples = samples;
    labels->per_sample = qn_npy_row_count(array, 1);
    labels->dtype = array->dtype;
    if (!labels->per_sample) return qn_fail(err, QONNX_E_DATA, "holds no labels");
    if (!(labels->data = malloc(count * array->item))) return qn_fail_nomem(err);
    QN_TRY(qn_npy_read(array, labels->data, array->dtype, count, err));
    for (size_t i = 0; i < count && !labels->padded; i++) labels->padded = label_at(labels, i) < 0;
    return QONNX_OK;
}

qonnx_status qn_labels_read(struct qn_labels *labels, const char *path, size_t samples, qonnx_error *err)
{
    struct qn_stream stream;
    struct qn_npy    array;
    uint64_t         size;
    qonnx_status     status;

    memset(labels, 0, sizeof *labels);
    QN_TRY(qn_stream_open_file(&stream, path, &size, err));
    status = qn_npy_open(&array, &stream, size, err);
    if (status == QONNX_OK) status = read_labels(labels, &array, samples, err);
    if (status != QONNX_OK) qn_labels_release(labels);
    qn_npy_close(&array);
    return qn_wrap(err, status, "%s", path);
}

void qn_labels_release(struct qn_labels *labels)
{
    free(labels->data);
    memset(labels, 0, sizeof *labels);
}

static void judge_binary(const struct qn_labels *labels, size_t first, const struct qn_view *output, size_t count,
                         int which, struct qn_judgement *judgement)
{
    judgement->kind = QN_LABELS_BINARY;
    if (which == 0) judgement->count += count;
    for (size_t i = 0; i < count; i++)
        judgement->right[which] += (label_at(labels, first + i) != 0) == (qn_view_number(output, i) > 0.5);
}

/* `choices` acceptable classes for each position. */
static void judge_classes(const struct qn_labels *labels, size_t first, const struct qn_view *output, size_t positions,
                          size_t choices, int which, struct qn_judgement *judgement)
{
    size_t classes = (size_t)output->dims[output->rank - 1];

    judgement->kind = QN_LABELS_CLASS;
    for (size_t p = 0; p < positions; p++) {
        size_t rank = classes;
        bool   any = false;
        for (size_t c = 0; c < choices; c++) {
            int64_t label = label_at(labels, first + p * choices + c);
            any |= label >= 0;
            if (label < 0 || (uint64_t)label >= classes) continue;
            size_t own = qn_view_rank(output, p * classes, classes, (size_t)label);
            if (own < rank) rank = own;
        }
        if (any && which == 0) judgement->count++;
        judgement->right[which] += rank == 0;
        for (size_t k = 0; k < judgement->top_count && any; k++)
            judgement->right_top[k][which] += rank < judgement->top[k];
    }
}

qonnx_status qn_labels_judge(const struct qn_labels *labels, size_t position, const struct qn_view *output, int which,
                             struct qn_judgement *judgement, qonnx_error *err)
{
    size_t count = qn_view_count(output), classes = output->rank ? (size_t)output->dims[output->rank - 1] : 1;
    size_t first = position * labels->per_sample, positions = classes ? count / classes : 0;

    if (position >= labels->samples || !positions)
        return qn_fail(err, QONNX_E_DATA, "output '%s' has no elements the labels could be for", output->name);
    if (labels->per_sample == count && !labels->padded) {
        judge_binary(labels, first, output, count, which, judgement);
    } else if (classes > 1 && labels->per_sample % positions == 0) {
        judge_classes(labels, first, output, positions, labels->per_sample / positions, which, judgement);
    } else {
        return qn_fail(err, QONNX_E_DATA,
                       "%zu labels a sample do not fit output '%s' with %zu positions of %zu classes",
                       labels->per_sample, output->name, positions, classes);
    }
    return QONNX_OK;
}
