/* SPDX-License-Identifier: Apache-2.0
 * The truth about a written model: what ONNX Runtime makes of it, beside what the plan expects. */
#ifndef QN_VERIFY_H
#define QN_VERIFY_H

#include "plan/plan.h"
#include "run/feed.h"
#include "run/pace.h"
#include "run/runner.h"

/* What became of one node of the float model. */
struct qn_kernel_found {
    const char *op;      /* the operator that computes it; NULL: it vanished, alone or into another */
    bool        integer; /* computes on integers, or moves them */
};

struct qn_kernels_found {
    struct qn_kernel_found *nodes;  /* by node id of the plan's graph; NULL: it was too large to be read back */
    size_t                  differ; /* nodes that are not as expected; 0 where nothing was */
    size_t                  quantizers, dequantizers; /* Q and DQ that run */
    size_t                  constants;                /* of the DQ: those of constants, the same numbers in each run */
};

/* True when the node is not what the plan expects. */
bool qn_kernel_differs(const struct qn_plan *plan, const struct qn_kernels_found *found, qn_node_id node);

/* Opens `written`, the model made by the plan, with all rewrites, and reads back what it became; texts live in `arena`. */
QONNX_MUST_CHECK qonnx_status qn_kernels_find(struct qn_kernels_found *found, const struct qn_plan *plan,
                                              const struct qn_graph *written, struct qn_runtime *runtime,
                                              struct qn_arena *arena, qonnx_error *err);

/* How much faster the written model is than the one it was made from, on the first sample. Nothing is measured where they
 * have not the same inputs. */
QONNX_MUST_CHECK qonnx_status qn_verify_pace(struct qn_pace *pace, const struct qn_model *before,
                                             const struct qn_model *after, struct qn_runtime *runtime,
                                             struct qn_feed *feed, qonnx_error *err);

#endif
