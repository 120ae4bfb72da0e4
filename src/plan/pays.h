/* SPDX-License-Identifier: Apache-2.0
 * Does it pay? Integer kernels save time, getting in and out of integers takes some. */
#ifndef QN_PLAN_PAYS_H
#define QN_PLAN_PAYS_H

#include "plan/plan.h"

/* Marks the nodes (by id) that a plan quantizes at a loss on the target, by its table of costs and the sizes that values
 * had on the calibration data; *any tells whether there were some. None where costs or sizes are not known. */
QONNX_MUST_CHECK qonnx_status qn_plan_losses(const struct qn_plan *plan, bool *losing, bool *any, qonnx_error *err);

#endif
