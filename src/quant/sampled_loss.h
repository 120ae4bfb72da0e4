/* SPDX-License-Identifier: Apache-2.0
 * What a form loses of a matrix, before it is made. */
#ifndef QN_QUANT_SAMPLED_LOSS_H
#define QN_QUANT_SAMPLED_LOSS_H

#include "quant/blocks.h"

/* By a sample of the outputs, squares of errors as share of those of the weights, each counted by its importance. With a
 * block of 0 the form is int8, and each output has a scale. */
QONNX_MUST_CHECK qonnx_status qn_sampled_loss(const struct qn_matrix *matrix, const struct qn_block_form *form,
                                              int threads, double *loss, qonnx_error *err);

#endif
