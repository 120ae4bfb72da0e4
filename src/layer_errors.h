/* SPDX-License-Identifier: Apache-2.0
 * What quantizing does to the result of each layer, seen on calibration samples. One model computes the float graph,
 * the quantized one beside it, and each quantized node once more with inputs from the float graph; sums of squares are
 * its only outputs, so that no tensor outlives its use. */
#ifndef QN_LAYER_ERRORS_H
#define QN_LAYER_ERRORS_H

#include "job.h"

/* Of the solved plan, by node id in the job's arena, on the first samples of the data (*samples, at most QN_JUDGE_LEAST),
 * in exact arithmetic. Leaves the model as it was. *errors is NULL when there is nothing to measure with or the model has nested graphs; `why`
 * then says so. */
QONNX_MUST_CHECK qonnx_status qn_layer_errors(struct qn_job *job, const struct qn_layer_error **errors,
                                              size_t *samples, const char **why);

#endif
