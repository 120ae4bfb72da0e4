/* SPDX-License-Identifier: Apache-2.0
 * Where numbers that must not be moved (quantizers asked for by name, files that are converted) pass what integer kernels
 * can hold. */
#ifndef QN_PLAN_LIMITS_H
#define QN_PLAN_LIMITS_H

#include "plan/plan.h"

/* Of a solved plan: one line of text for each thing to warn of, naming the layers; nothing when all is well.
 * 32 bits: the sum of a layer's products and its bias. 16 bits: the sum of two neighbouring products of 8-bit codes, as
 * x86 CPUs without VNNI form it; signed activations count as the unsigned ones 128 higher that kernels make of them. */
QONNX_MUST_CHECK qonnx_status qn_plan_limits(const struct qn_plan *plan, struct qn_strbuf *lines, qonnx_error *err);

#endif
