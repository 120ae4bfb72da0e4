/* SPDX-License-Identifier: Apache-2.0
 * A comparison as text for people and as JSON (docs/sidecar.md, "Comparisons"). */
#ifndef QN_EVALUATE_H
#define QN_EVALUATE_H

#include "base/strbuf.h"
#include "demands.h"
#include "run/compare.h"

struct qn_evaluation {
    const char                 *first, *second; /* paths */
    const struct qn_settings   *settings;
    const char                 *runtime;
    const struct qn_feed_info  *data;
    const struct qn_feed       *feed; /* for the names of samples; NULL: they have numbers only */
    const struct qn_comparison *comparison;
    const struct qn_demand     *demands; /* judged */
    size_t                      demand_count;
};

/* What people call a sample. */
void qn_evaluation_sample(const struct qn_evaluation *evaluation, size_t position, struct qn_strbuf *name);
QONNX_MUST_CHECK qonnx_status qn_evaluation_text(const struct qn_evaluation *evaluation, struct qn_strbuf *text,
                                                 qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_evaluation_json(const struct qn_evaluation *evaluation, struct qn_strbuf *json,
                                                 qonnx_error *err);

#endif
