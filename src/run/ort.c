/* SPDX-License-Identifier: Apache-2.0
 * ONNX Runtime behind the interface of runner.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"
#include "run/ort_session.h"

qonnx_status qn_ort_check(const struct ort_api *api, struct ort_status *status, const char *doing, qonnx_error *err)
{
    if (!status) return QONNX_OK;
    qn_fail(err, QONNX_E_RUNTIME, "ONNX Runtime: %s: %s", doing, api->error_message(status));
    api->release_status(status);
    return QONNX_E_RUNTIME;
}

/* The runtime's numbers for element types are ONNX's but for the youngest three. */
static int32_t from_ort(int type) { return type == 24 ? 25 : type == 25 ? 26 : type == 26 ? 24 : type; }

int qn_ort_type(int32_t type) { return type == 25 ? 24 : type == 26 ? 25 : type == 24 ? 26 : type; }

qonnx_status qn_ort_view(const struct ort_api *api, const struct ort_value *value, struct qn_view *view,
                         int64_t dims[QN_MAX_RANK], qonnx_error *err)
{
    struct ort_shape      *shape;
    const struct qn_dtype *dtype;
    size_t                 rank = 0, size = 1;
    int                    type = 0;
    void                  *data = NULL;
    qonnx_status           status;

    ORT_TRY(api, tensor_shape(value, &shape), "shape");
    status = qn_ort_check(api, api->shape_type(shape, &type), "shape", err);
    if (status == QONNX_OK) status = qn_ort_check(api, api->shape_rank(shape, &rank), "shape", err);
    if (status == QONNX_OK && rank > QN_MAX_RANK)
        status = qn_fail(err, QONNX_E_LIMIT, "'%s' has %zu dimensions, more than %d", view->name, rank, QN_MAX_RANK);
    if (status == QONNX_OK) status = qn_ort_check(api, api->shape_dims(shape, dims, rank), "shape", err);
    api->release_shape(shape);
    QN_TRY(status);
    view->dtype = from_ort(type);
    view->rank = (int)rank;
    view->dims = dims;
    dtype = qn_dtype_find(view->dtype);
    for (size_t i = 0; i < rank; i++) size *= (size_t)dims[i];
    view->size = dtype ? (size * (size_t)dtype->bits + 7) / 8 : 0;
    /* The reading call is too young; this one only lacks the const. */
    if (view->size) ORT_TRY(api, tensor_data((struct ort_value *)(uintptr_t)value, &data), "data");
    view->data = data;
    return QONNX_OK;
}

/* ---- runs ---- */

/* The values of one run: inputs and outputs. */
struct values {
    struct ort_value **inputs, **outputs;
    size_t             input_count, output_count;
};

static qonnx_status wrap_inputs(struct ort_run_session *session, const struct qn_run *run, struct values *values,
                                qonnx_error *err)
{
    const struct ort_runtime *ort = session->ort;

    for (size_t i = 0; i < values->input_count; i++) {
        const struct qn_view *view = &run->inputs[i];
        static char           nothing[1]; /* an empty tensor still needs an address */
        void                 *data = view->data ? (void *)(uintptr_t)view->data : nothing;
        QN_TRY(qn_ort_check(&ort->api,
                            ort->api.create_tensor(ort->memory, data, view->size, view->dims, (size_t)view->rank,
                                                   qn_ort_type(view->dtype), &values->inputs[i]),
                            session->input_names[i], err));
    }
    return QONNX_OK;
}

static qonnx_status show_outputs(struct ort_run_session *session, const struct qn_run *run, const struct values *values,
                                 qonnx_error *err)
{
    const struct ort_api *api = &session->ort->api;

    for (size_t i = 0; run->on_output && i < values->output_count; i++) {
        struct qn_view view = { .name = session->output_names[i] };
        int64_t        dims[QN_MAX_RANK];
        int            is_tensor = 0;
        if (!values->outputs[i]) continue;
        ORT_TRY(api, is_tensor(values->outputs[i], &is_tensor), "output");
        if (!is_tensor) continue; /* a sequence, map or absent optional */
        QN_TRY(qn_ort_view(api, values->outputs[i], &view, dims, err));
        QN_TRY(run->on_output(run->context, i, &view, err));
    }
    return QONNX_OK;
}

static qonnx_status run_values(struct ort_run_session *session, const struct qn_run *run, struct values *values,
                               qonnx_error *err)
{
    const struct ort_api *api = &session->ort->api;
    struct ort_status    *result;

    QN_TRY(wrap_inputs(session, run, values, err));
    qn_ort_current.run = run;
    qn_ort_current.status = QONNX_OK;
    qn_ort_current.err = err;
    result =
        api->run(session->loaded.handle, NULL, session->input_names, (const struct ort_value *const *)values->inputs,
                 values->input_count, session->output_names, values->output_count, values->outputs);
    qn_ort_current.run = NULL;
    qn_ort_current.err = NULL;
    if (qn_ort_current.status != QONNX_OK) { /* what the observer said tells more than what the runtime makes of it */
        if (result) api->release_status(result);
        return qn_ort_current.status;
    }
    QN_TRY(qn_ort_check(api, result, "run", err));
    return show_outputs(session, run, values, err);
}

static qonnx_status ort_run(struct qn_session *base, const struct qn_run *run, qonnx_error *err)
{
    struct ort_run_session *session = (struct ort_run_session *)base;
    struct values           values = { .input_count = base->input_count, .output_count = base->output_count };
    struct ort_value      **all = calloc(values.input_count + values.output_count + 1, sizeof(struct ort_value *));
    qonnx_status            status;

    if (!all) return qn_fail_nomem(err);
    values.inputs = all;
    values.outputs = all + values.input_count;
    status = run_values(session, run, &values, err);
    for (size_t i = 0; i < values.input_count + values.output_count; i++)
        if (all[i]) session->ort->api.release_value(all[i]);
    free(all);
    return status;
}

/* ---- the runtime ---- */

static void ort_release(struct qn_runtime *runtime)
{
    struct ort_runtime *ort = (struct ort_runtime *)runtime;

    if (!ort) return;
    if (ort->memory) ort->api.release_memory(ort->memory);
    if (ort->env) ort->api.release_env(ort->env);
    free(ort);
}

qonnx_status qn_ort_load(struct qn_runtime **runtime, const char *path, qonnx_error *err)
{
    struct ort_runtime *ort = calloc(1, sizeof *ort);
    qonnx_status        status;

    if (!ort) return qn_fail_nomem(err);
    status = qn_ort_api_load(&ort->api, path, err);
    if (status == QONNX_OK)
        status = qn_ort_check(&ort->api, ort->api.create_env(ORT_LOG_FATAL, "qonnx", &ort->env), "start", err);
    if (status == QONNX_OK)
        status = qn_ort_check(&ort->api, ort->api.create_cpu_memory(1, 0, &ort->memory), "start", err);
    if (status != QONNX_OK) {
        ort_release(&ort->base);
        return status;
    }
    snprintf(ort->version, sizeof ort->version, "onnxruntime %s", ort->api.version);
    ort->base = (struct qn_runtime){ ort->version, qn_ort_open, ort_run, qn_ort_close, ort_release };
    *runtime = &ort->base;
    return QONNX_OK;
}
