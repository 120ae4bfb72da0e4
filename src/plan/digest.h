/* SPDX-License-Identifier: Apache-2.0
 * Solved plans that become the same model. */
#ifndef QN_PLAN_DIGEST_H
#define QN_PLAN_DIGEST_H

#include <stdint.h>

#include "plan/plan.h"

struct qn_plan_digest {
    uint64_t low, high;
};

/* Of all that an emitter obeys. Equal for plans of one graph that write the same numbers in the same places. */
QONNX_MUST_CHECK qonnx_status qn_plan_digest(const struct qn_plan *plan, struct qn_plan_digest *digest,
                                             qonnx_error *err);

#endif
