/* SPDX-License-Identifier: Apache-2.0
 * Which parts of a model lose most by being quantized, for the report. */
#ifndef QN_SENSITIVITY_H
#define QN_SENSITIVITY_H

#include "report.h"

struct qn_job;

/* Parts that were measured, in any order: sorted, and kept for the report. */
QONNX_MUST_CHECK qonnx_status qn_sensitivity_keep(struct qn_job *job, const struct qn_sensitivity *parts, size_t count);
/* Unless some were measured: the worst tensors and weights of the solved plan, by their statistics. */
QONNX_MUST_CHECK qonnx_status qn_sensitivity_estimate(struct qn_job *job);
/* JSON for the sidecar; and a few lines of text on what was measured and stays float. */
json_t *qn_sensitivity_json(struct qn_json *json, const struct qn_report *report);
void    qn_sensitivity_text(const struct qn_report *report, struct qn_strbuf *text);

#endif
