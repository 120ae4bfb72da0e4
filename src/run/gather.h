/* SPDX-License-Identifier: Apache-2.0
 * Gathering Gram matrices of values while a model runs over data. */
#ifndef QN_RUN_GATHER_H
#define QN_RUN_GATHER_H

#include "quant/gram.h"
#include "run/feed.h"
#include "run/runner.h"

/* Those of one value stand next to each other. */
struct qn_gathered {
    const char     *name; /* of the value: a graph input or node output of the main graph */
    struct qn_gram *gram;
};

struct qn_gather_options {
    int    threads;  /* runs at once; below 1 means 1. The result's bytes do not depend on it */
    /* True for samples that are run but not looked at: the result is to be judged by them. May be NULL. */
    bool (*held_out)(const void *context, size_t sample);
    const void *held_out_context;
    void (*on_progress)(void *context, size_t done, size_t total); /* may be NULL; called by one thread at a time */
    void *progress_context;
};

/* Runs the model over the whole feed, which is rewound first. Values of other types than float are passed over. */
QONNX_MUST_CHECK qonnx_status qn_gather(struct qn_runtime *runtime, const struct qn_model *model,
                                        const struct qn_gathered *list, size_t count, struct qn_feed *feed,
                                        const struct qn_gather_options *options, qonnx_error *err);

#endif
