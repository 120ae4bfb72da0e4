/* SPDX-License-Identifier: Apache-2.0
 * What is true of each sample, to judge outputs by. For compare.c. */
#ifndef QN_RUN_LABELS_H
#define QN_RUN_LABELS_H

#include "run/compare.h"

struct qn_labels {
    size_t  samples, per_sample;
    int32_t dtype;
    bool    padded; /* some are negative */
    void   *data;
};

struct qn_judgement {
    uint64_t           count, right[2];
    const size_t      *top;
    size_t             top_count;
    uint64_t           right_top[QN_TOP_MOST][2];
    enum qn_label_kind kind;
};

/* Reads a .npy of integers whose first axis has `samples` elements. */
QONNX_MUST_CHECK qonnx_status qn_labels_read(struct qn_labels *labels, const char *path, size_t samples,
                                             qonnx_error *err);
void                          qn_labels_release(struct qn_labels *labels); /* a zeroed struct may be released */

/* Judges one model's output for sample `position`: adds to right[which], and with which 0 to count. */
QONNX_MUST_CHECK qonnx_status qn_labels_judge(const struct qn_labels *labels, size_t position,
                                              const struct qn_view *output, int which, struct qn_judgement *judgement,
                                              qonnx_error *err);

/* Element i of a view of numbers, as double. */
double qn_view_number(const struct qn_view *view, size_t i);
/* Place of the largest of n elements from `start` on; NaN never wins, of equal ones the first does. */
size_t qn_view_argmax(const struct qn_view *view, size_t start, size_t n);
/* How many of them come before the one at `index`: 0 for the largest; n for one that is NaN beside numbers. */
size_t qn_view_rank(const struct qn_view *view, size_t start, size_t n, size_t index);

#endif
