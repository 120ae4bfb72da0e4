/* SPDX-License-Identifier: Apache-2.0
 * What inspection found in a quantized model, as text for people and as JSON (docs/formats.md). */
#ifndef QN_INSPECT_H
#define QN_INSPECT_H

#include "base/strbuf.h"
#include "forecast.h"
#include "inspect_model.h"
#include "lift/lift.h"
#include "plan/meta.h"

/* One tensor and what is known of it. */
struct qn_inspected {
    const char              *name, *role;
    const char              *node;   /* whose weight, bias or result it is: its name, or "" */
    const struct qn_qparams *params; /* of its quantizer; NULL: the metadata follow from others, or there are none */
    struct qn_metadata       meta;
    bool                     broken; /* checked, and its codes and metadata do not agree */
};

struct qn_inspection {
    const char                *path;
    struct qn_model_facts      facts;
    const struct qn_settings  *settings;
    const struct qn_plan      *would; /* what quantizing would begin with; NULL when that was not asked */
    struct qn_forecast         forecast; /* of that */
    int64_t                    opset, ir;
    const struct qn_lift      *lift;
    const struct qn_graph     *graph;
    const struct qn_inspected *tensors;
    size_t                     count;
    bool                       checked;
    size_t                     checked_count, broken_count; /* constants */
    const char *const         *remarks;
    size_t                     remark_count;
};

QONNX_MUST_CHECK qonnx_status qn_inspection_text(const struct qn_inspection *inspection, struct qn_strbuf *text,
                                                 qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_inspection_json(const struct qn_inspection *inspection, struct qn_strbuf *json,
                                                 qonnx_error *err);

#endif
