/* SPDX-License-Identifier: Apache-2.0
 * Ranges of an explicit plan: its training model is run over the data as Brevitas trains, one sample a batch. */
#ifndef QN_TRAIN_H
#define QN_TRAIN_H

#include "plan/explicit.h"
#include "run/feed.h"
#include "run/runner.h"

/* Does any quantizer of the plan take its range from data? */
bool qn_train_needs_data(const struct qn_plan *plan);

/* Fills the batches of all sites from the first samples of the feed, as many as each collects. Weights are solved. The
 * records, and so all that follows from them, do not depend on the number of threads. */
QONNX_MUST_CHECK qonnx_status qn_train(struct qn_plan *plan, struct qn_model *model, struct qn_runtime *runtime,
                                       struct qn_feed *feed, int threads, size_t *samples, qonnx_error *err);

#endif
