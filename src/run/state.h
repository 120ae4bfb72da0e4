/* SPDX-License-Identifier: Apache-2.0
 * Models that hand a state from one run to the next: outputs that become inputs. A stateful runtime stands before another
 * one; its sessions keep the state, so that whoever runs samples through them need not know of it, as long as one thread
 * runs them in order. A new session starts anew.
 *
 * The first state is what the data hold for the input, or zeros. */
#ifndef QN_RUN_STATE_H
#define QN_RUN_STATE_H

#include "run/feed.h"
#include "run/runner.h"

struct qn_state_options {
    const char *const           *pairs; /* "OUT=IN" */
    size_t                       pair_count;
    size_t                       reset; /* starts anew after so many runs; 0: never */
    const struct qn_dim_options *dims;  /* sizes of zeros that the model leaves open; may be NULL */
};

/* Puts a stateful runtime before *runtime, which it then owns; nothing when there are no pairs. The options must outlive
 * it. E_USAGE for pairs that are none in this model. */
QONNX_MUST_CHECK qonnx_status qn_state_wrap(struct qn_runtime **runtime, const struct qn_model *model, const struct qn_state_options *options, qonnx_error *err);

/* Opens data as qn_feed_open does, for the inputs that are no states; for all of them when the data hold states too, which
 * the runtime then starts from. *runtime is NULL or was made by qn_state_wrap. */
QONNX_MUST_CHECK qonnx_status qn_state_feed(struct qn_feed **feed, struct qn_runtime *runtime, const char *path, const struct qn_port *inputs, size_t input_count,
                                            const struct qn_feed_options *options, const struct qn_state_options *states, struct qn_arena *arena, qonnx_error *err);
/* The inputs that are no states. */
QONNX_MUST_CHECK qonnx_status qn_state_other_inputs(const struct qn_port *inputs, size_t input_count, const struct qn_state_options *states, struct qn_arena *arena,
                                                    const struct qn_port **others, size_t *count, qonnx_error *err);

#endif
