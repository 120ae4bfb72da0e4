/* SPDX-License-Identifier: Apache-2.0
 * Activation ranges gathered over batches: the statistic of one batch, and the state that averages them.
 *
 * The two are apart so that batches can be observed in any order by any number of threads: each leaves a small record,
 * and the records are replayed in the order of the data afterwards. A record holds 4 bytes a channel (8 if shifted;
 * per tensor is one channel), and records from index collect_steps on are never looked at, so a tensor takes at most
 *     8 bytes x channels x (collect_steps + 2).
 * Taking a record needs no memory beyond 16 KiB of stack, whatever the tensor's size. */
#ifndef QN_QUANT_RUNNING_H
#define QN_QUANT_RUNNING_H

#include "quant/quantizer.h"

struct qn_batch_stat {
    float   *u; /* range of each channel, not below QN_RANGE_FLOOR */
    float   *m; /* minimum or 0, whichever is lower; NULL unless the quantizer shifts */
    uint64_t nan, inf, masked;
};

/* Channels to give to the functions below: 1, or the layout's for a quantizer that is per channel. */
size_t qn_running_channels(const struct qn_quantizer *q, struct qn_layout layout);

/* Memory for the records of a tensor; E_NOMEM. */
QONNX_MUST_CHECK qonnx_status qn_batch_stat_init(struct qn_batch_stat *batch, const struct qn_quantizer *q,
                                                 size_t channels, struct qn_arena *arena, qonnx_error *err);

/* The statistic of one batch, after the nonlinearity. With n ordinary values in a channel, k counting from 1 and all
 * arithmetic in double:
 *     high k = floor(0.01 * high_percentile * n + 0.5)      low k = ceil(0.01 * low_percentile * n)
 * both kept in 1 … n. A channel without ordinary values has u = QN_RANGE_FLOOR and m = 0. Cannot fail. */
void qn_batch_stat_take(const struct qn_quantizer *q, const float *x, struct qn_layout layout,
                        struct qn_batch_stat *batch);

/* One layer's activation quantizer in training. */
struct qn_running {
    struct qn_quantizer quantizer;
    size_t              channels;
    int64_t             counter;                /* training calls, up to collect_steps + 1 */
    float              *buffer, *value;         /* average so far, starts as 1; frozen average */
    float              *min_buffer, *min_value; /* the same of m, starting as 0; NULL unless shifted */
};

QONNX_MUST_CHECK qonnx_status qn_running_init(struct qn_running *state, const struct qn_quantizer *q, size_t channels,
                                              struct qn_arena *arena, qonnx_error *err);
/* One training call. The first collect_steps of them enter the average, the next one freezes it. */
void                          qn_running_train(struct qn_running *state, const struct qn_batch_stat *batch);
/* Does the next training call look at its batch? */
bool                          qn_running_collects(const struct qn_running *state);
/* Training calls with these batches in this order. */
void qn_running_replay(struct qn_running *state, const struct qn_batch_stat *batches, size_t count);

/* What a training call with this batch would quantize with, before it enters the average; and an inference call. Both
 * write state->channels entries; zero_point may be NULL. */
void qn_running_train_params(const struct qn_running *state, const struct qn_batch_stat *batch, float *scale,
                             int32_t *zero_point);
void qn_running_eval_params(const struct qn_running *state, float *scale, int32_t *zero_point);

#endif
