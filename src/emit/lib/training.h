/* SPDX-License-Identifier: Apache-2.0
 * The training model of an explicit plan: the float model in which every quantizer does what it does in Brevitas while
 * it collects statistics, that is, quantizes each batch with the range of that batch. It is made of ordinary operators,
 * and what stands behind a quantizer sees quantized values, as in training. */
#ifndef QN_EMIT_LIB_TRAINING_H
#define QN_EMIT_LIB_TRAINING_H

#include "plan/explicit.h"

/* Edits `graph`, whose ids are those of the plan's graph, and commits. Weights of the plan are solved; sites that are
 * solved quantize with what they have. Sets `observed` of every site. */
QONNX_MUST_CHECK qonnx_status qn_training_write(const struct qn_plan *plan, struct qn_graph *graph, qonnx_error *err);

#endif
