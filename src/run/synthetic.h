/* SPDX-License-Identifier: Apache-2.0
 * Generated inputs. For synthetic*.c only. */
#ifndef QN_RUN_SYNTHETIC_H
#define QN_RUN_SYNTHETIC_H

#include "run/feed_source.h"

/* What is generated for one input. */
struct qn_recipe {
    const struct qn_port *port;
    int32_t               dtype;
    uint64_t              limit; /* integers are in 0 ... limit-1; 0: not known to index anything */
    int                   rank;
    int64_t               dims[QN_MAX_RANK]; /* -1 until it is known */
};

/* Those that the user gave. */
QONNX_MUST_CHECK qonnx_status qn_apply_sizes(struct qn_recipe *recipes, size_t count,
                                             const struct qn_dim_options *options, qonnx_error *err);
/* Fixes all sizes; remarks go to notes. `try_run` (NULL: none) tells whether the model runs with the recipes as they
 * are. */
struct qn_trial {
    bool (*run)(void *context, const struct qn_recipe *recipes, size_t count);
    void *context;
};
QONNX_MUST_CHECK qonnx_status qn_resolve_shapes(struct qn_recipe *recipes, size_t count,
                                                const struct qn_dim_options *options, const struct qn_trial *trial,
                                                struct qn_strbuf *notes, qonnx_error *err);

/* Fills a sample from the recipes; the same for the same seed and index. */
QONNX_MUST_CHECK qonnx_status qn_generate(struct qn_sample *sample, const struct qn_recipe *recipes, size_t count,
                                          uint64_t seed, uint64_t index, qonnx_error *err);

/* How many different integers this value may hold when they select rows of a constant table, 0 when they do not. */
uint64_t qn_index_limit(const struct qn_graph *graph, qn_value_id value);

#endif
