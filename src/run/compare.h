/* SPDX-License-Identifier: Apache-2.0
 * Two models over the same data: how far apart are their outputs? */
#ifndef QN_RUN_COMPARE_H
#define QN_RUN_COMPARE_H

#include "run/feed.h"
#include "run/runner.h"

enum { QN_TOP_MOST = 4, QN_WORST_MOST = 5 };

/* A sample, by its position in all of the data. */
struct qn_worst_sample {
    size_t position;
    double sqnr;
};

struct qn_output_comparison {
    const char *name;
    int32_t     dtype;    /* of the first model's output */
    uint64_t    elements; /* compared over all samples */
    uint64_t    unequal;  /* elements that differ at all; the only figure of outputs that are not float */
    /* Elements that are NaN or infinite on either side and not the same on both. Kept, like the same ones, out of the
     * figures below. */
    uint64_t    nonfinite;
    bool        is_float;
    double   sqnr; /* dB over all samples; +inf for equal outputs, -inf when the first is all zero and the second not */
    double   sqnr_min;               /* of the worst sample */
    double   cosine;                 /* of all samples as one vector; 1 when both are all zero */
    double   max_error, mean_error;  /* absolute */
    double   relative;               /* sum of the absolute errors over that of the first's values */
    uint64_t top1_count, top1_agree; /* argmax over the last axis, if that has at least 2 elements; else 0 of 0 */
    uint64_t
        top_agree[QN_TOP_MOST]; /* the first's argmax is among so many greatest of the second, by the options' top */
    struct qn_worst_sample worst[QN_WORST_MOST]; /* samples that keep least, the worst first; equal ones are none */
    size_t                 worst_count;
};

/* What labels were taken for. */
enum qn_label_kind {
    QN_LABELS_NONE,
    QN_LABELS_CLASS,  /* one or several acceptable classes for each argmax; -1 is padding */
    QN_LABELS_BINARY, /* one for each element of the output: label != 0 against value > 0.5 */
};

struct qn_comparison {
    struct qn_output_comparison *outputs; /* those both models have, in the first's order */
    size_t                       output_count;
    size_t                       samples;
    enum qn_label_kind           label_kind;
    size_t                       label_output;                    /* index in outputs */
    uint64_t                     label_count, label_right[2];     /* judged positions; right ones of either model */
    size_t                       top[QN_TOP_MOST], top_count;     /* as in the options */
    uint64_t                     label_right_top[QN_TOP_MOST][2]; /* right among so many greatest */
    struct qn_output_comparison *tensors; /* values inside, if they were asked for, in the order of the first's nodes */
    size_t                       tensor_count;
    double                       cpu_seconds[2]; /* median CPU time of a run, 0 when not timed */
    struct qn_arena              arena;
};

struct qn_compare_options {
    bool        second_exact; /* run the second model without graph rewrites: Q/DQ in float */
    /* Also compare what the models compute inside under the same names: the second's values as they are read, so behind a Q
     * and DQ. Runs both without graph rewrites. Of large tensors some elements, evenly spread, stand for all. */
    bool        tensors;
    size_t      top[QN_TOP_MOST], top_count;
    bool        time; /* also measure run times; implies one thread */
    int         threads;
    const char *labels; /* .npy of [N], [N, positions ...], perhaps with a last axis of acceptable classes; or NULL */
    const char *label_output; /* output the labels are for; NULL: the first float output */
    void (*on_progress)(void *context, size_t done, size_t total);
    void *progress_context;
};

/* Runs both models over the feed. E_DATA when they share no output, or the labels do not fit. On failure nothing needs
 * releasing. Figures are the same for any number of threads. */
QONNX_MUST_CHECK qonnx_status qn_compare(struct qn_comparison *result, struct qn_runtime *runtime,
                                         const struct qn_model *first, const struct qn_model *second,
                                         struct qn_feed *feed, const struct qn_compare_options *options,
                                         qonnx_error *err);
void                          qn_comparison_release(struct qn_comparison *comparison);

#endif
