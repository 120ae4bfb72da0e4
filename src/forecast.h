/* SPDX-License-Identifier: Apache-2.0
 * How large a quantized model will be, tensor by tensor, told before any data are seen: the model is made as always, with
 * ranges that nobody measured, and weighed instead of written. */
#ifndef QN_FORECAST_H
#define QN_FORECAST_H

#include "json_out.h"

struct qn_job;

/* A constant of the float model and what stands for it: codes, scales, zero points, and itself where it stays. */
struct qn_foretold {
    const char    *name, *node; /* the first node that reads it; "" when that has no name */
    const char    *form;        /* "int8", "uint4 in blocks of 32" */
    const int64_t *dims;
    size_t         rank, elements;
    uint64_t       before, after;
    bool           is_float;
};

struct qn_forecast {
    struct qn_foretold *rows;
    size_t              count;
    uint64_t            other; /* bytes of scales, zero points and the like of activations */
    uint64_t            constants_before, constants_after; /* bytes of all */
    uint64_t            file_before, file_after;           /* of all files */
};

/* Of the emitted model of a job. */
QONNX_MUST_CHECK qonnx_status qn_forecast(struct qn_job *job, struct qn_forecast *forecast);
void                          qn_forecast_text(const struct qn_forecast *forecast, struct qn_strbuf *text);
void qn_forecast_json(const struct qn_forecast *forecast, struct qn_json *json, json_t *object);

#endif
