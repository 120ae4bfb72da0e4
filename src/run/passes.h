/* SPDX-License-Identifier: Apache-2.0
 * One pass of several workers over a feed. For calibrate.c and compare.c. */
#ifndef QN_RUN_PASSES_H
#define QN_RUN_PASSES_H

#include "run/feed.h"

struct qn_pass {
    struct qn_feed *feed;
    int             threads;
    /* Does one sample on one worker (0 ... threads-1). */
    qonnx_status (*work)(void *context, int worker, struct qn_sample *sample, qonnx_error *err);
    void *context;
    void (*on_progress)(void *context, size_t done, size_t total);
    void  *progress_context;
    size_t most;        /* samples, 0: all that are left */
    size_t before;      /* done by passes before this one, for progress */
    size_t total, done; /* done: by this one */
    bool   ended;       /* the feed has no more */
};

/* Hands out the feed's samples until it ends. After a failure no new sample starts; the error of the first sample (in
 * the feed's order) that failed is returned, the same for any number of threads. */
QONNX_MUST_CHECK qonnx_status qn_feed_pass(struct qn_pass *pass, qonnx_error *err);

#endif
