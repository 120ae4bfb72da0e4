/* SPDX-License-Identifier: Apache-2.0
 * ONNX Runtime behind the interface of runner.h. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"
#include "run/ort_api.h"
#include "run/ort_model.h"
#include "run/runner.h"

struct ort_runtime {
    struct qn_runtime  base;
    struct ort_api     api;
    struct ort_env    *env;
    struct ort_memory *memory;
    char               version[64];
};

struct ort_run_session {
    struct qn_session     base;
    struct ort_runtime   *ort;
    struct ort_session   *handle;
    struct ort_domain    *domain;
    struct ort_custom_op  op; /* must outlive the session, as do the domain and the weights' values */
    qn_view_fn            observer;
    const char          **observed;
    size_t                observed_count;
    struct ort_value    **weights;
    size_t                weight_count;
    const char          **input_names, **output_names;
    struct qn_arena       arena;
};

/* The run that this thread is in: observers are shared by all threads and find their data through it. */
static _Thread_local struct {
    const struct qn_run *run;
    qonnx_status         status;
    qonnx_error         *err;
} current;

static qonnx_status check(const struct ort_api *api, struct ort_status *status, const char *doing, qonnx_error *err)
{
    if (!status) return QONNX_OK;
    qn_fail(err, QONNX_E_RUNTIME, "ONNX Runtime: %s: %s", doing, api->error_message(status));
    api->release_status(status);
    return QONNX_E_RUNTIME;
}
#define ORT_TRY(api, call, doing) QN_TRY(check(api, (api)->call, doing, err))

/* The runtime's numbers for element types are ONNX's but for the youngest three. */
static int32_t from_ort_type(int type) { return type == 24 ? 25 : type == 25 ? 26 : type == 26 ? 24 : type; }
static int     to_ort_type(int32_t type) { return type == 25 ? 24 : type == 26 ? 25 : type == 24 ? 26 : type; }

/* A view of a value; not for values that are no tensors. Texts have no data. */
static qonnx_status view_value(const struct ort_api *api, const struct ort_value *value, struct qn_view *view,
                               int64_t dims[QN_MAX_RANK], qonnx_error *err)
{
    struct ort_shape      *shape;
    const struct qn_dtype *dtype;
    size_t                 rank = 0, size = 1;
    int                    type = 0;
    void                  *data = NULL;
    qonnx_status           status;

    ORT_TRY(api, tensor_shape(value, &shape), "shape");
    status = check(api, api->shape_type(shape, &type), "shape", err);
    if (status == QONNX_OK) status = check(api, api->shape_rank(shape, &rank), "shape", err);
    if (status == QONNX_OK && rank > QN_MAX_RANK)
        status = qn_fail(err, QONNX_E_LIMIT, "'%s' has %zu dimensions, more than %d", view->name, rank, QN_MAX_RANK);
    if (status == QONNX_OK) status = check(api, api->shape_dims(shape, dims, rank), "shape", err);
    api->release_shape(shape);
    QN_TRY(status);
    view->dtype = from_ort_type(type);
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

/* ---- the observer operator ---- */

struct observer {
    struct ort_run_session *session;
    size_t                  id;
};

static struct ort_run_session *session_of(const struct ort_custom_op *op)
{
    return (struct ort_run_session *)((uintptr_t)op - offsetof(struct ort_run_session, op));
}

static void *observer_create(const struct ort_custom_op *op, const void *api, const struct ort_kernel_info *info)
{
    struct ort_run_session *session = session_of(op);
    struct observer        *observer = malloc(sizeof *observer);
    struct ort_status      *status;
    int64_t                 id = -1;

    (void)api;
    if (!observer) return NULL;
    status = session->ort->api.attribute_int(info, "id", &id);
    if (status) session->ort->api.release_status(status);
    *observer = (struct observer){ session, id >= 0 ? (size_t)id : SIZE_MAX };
    return observer;
}

/* Once one observer has failed, the others of the run do nothing. */
static void observer_compute(void *kernel, struct ort_context *context)
{
    const struct observer  *observer = kernel;
    const struct ort_value *value = NULL;
    struct ort_run_session *session;
    const struct ort_api   *api;
    struct qn_view          view = { 0 };
    int64_t                 dims[QN_MAX_RANK];

    if (!observer || !current.run || current.status != QONNX_OK) return;
    session = observer->session;
    api = &session->ort->api;
    if (observer->id >= session->observed_count) {
        current.status = qn_fail(current.err, QONNX_E_INTERNAL, "an observer has no id");
        return;
    }
    view.name = session->observed[observer->id];
    current.status = check(api, api->context_input(context, 0, &value), "observer input", current.err);
    if (current.status == QONNX_OK) current.status = view_value(api, value, &view, dims, current.err);
    if (current.status == QONNX_OK)
        current.status = session->observer(current.run->context, observer->id, &view, current.err);
}

/* Runtimes from 1.16 on call this one, which can end the run at once. */
static struct ort_status *observer_compute2(void *kernel, struct ort_context *context)
{
    const struct observer *observer = kernel;

    observer_compute(kernel, context);
    if (!observer || current.status == QONNX_OK) return NULL;
    return observer->session->ort->api.create_status(1, "the observer failed");
}

static struct ort_status *observer_create2(const struct ort_custom_op *op, const void *api, const struct ort_kernel_info *info,
                                           void **kernel)
{
    *kernel = observer_create(op, api, info);
    return *kernel ? NULL : session_of(op)->ort->api.create_status(1, "out of memory");
}

static void        observer_destroy(void *kernel) { free(kernel); }
static const char *observer_name(const struct ort_custom_op *op) { return (void)op, QN_OBSERVE_OP; }
static const char *no_provider(const struct ort_custom_op *op) { return (void)op, NULL; }
static int         any_type(const struct ort_custom_op *op, size_t index) { return (void)op, (void)index, 0; }
static int         required(const struct ort_custom_op *op, size_t index) { return (void)op, (void)index, 0; }
static size_t      one(const struct ort_custom_op *op) { return (void)op, 1; }
static size_t      none(const struct ort_custom_op *op) { return (void)op, 0; }
static int         int_zero(const struct ort_custom_op *op) { return (void)op, 0; }
static int         int_one(const struct ort_custom_op *op) { return (void)op, 1; }
static int         int_max(const struct ort_custom_op *op) { return (void)op, INT_MAX; }

static void fill_observer_op(struct ort_custom_op *op, uint32_t api_version)
{
    *op = (struct ort_custom_op){
        .version = api_version < ORT_CUSTOM_OP_VERSION ? api_version : ORT_CUSTOM_OP_VERSION,
        .create_kernel = observer_create,
        .name = observer_name,
        .provider = no_provider,
        .input_type = any_type,
        .input_count = one,
        .output_type = any_type,
        .output_count = none,
        .compute = observer_compute,
        .destroy = observer_destroy,
        .input_kind = required,
        .output_kind = required,
        .input_memory = required,
        .variadic_input_min = int_zero,
        .variadic_input_same = int_zero,
        .variadic_output_min = int_zero,
        .variadic_output_same = int_zero,
        .create_kernel2 = observer_create2,
        .compute2 = observer_compute2,
        .start_version = int_one,
        .end_version = int_max,
    };
}

/* ---- sessions ---- */

static void ort_close(struct qn_session *base)
{
    struct ort_run_session *session = (struct ort_run_session *)base;
    const struct ort_api   *api;

    if (!session) return;
    api = &session->ort->api;
    if (session->handle) api->release_session(session->handle);
    if (session->domain) api->release_domain(session->domain);
    for (size_t i = 0; i < session->weight_count; i++) api->release_value(session->weights[i]);
    qn_arena_release(&session->arena);
    free(session);
}

static qonnx_status set_options(struct ort_options *options, const struct ort_api *api, const struct qn_session_options *wanted,
                                qonnx_error *err)
{
    ORT_TRY(api, set_log_level(options, ORT_LOG_FATAL), "session options");
    ORT_TRY(api, set_execution_mode(options, ORT_SEQUENTIAL), "session options");
    ORT_TRY(api, set_intra_threads(options, 1), "session options");
    ORT_TRY(api, set_inter_threads(options, 1), "session options");
    ORT_TRY(api, set_optimization(options, wanted->optimize ? ORT_LEVEL_ALL : ORT_LEVEL_NONE), "session options");
    for (size_t i = 0; i < wanted->config_count; i++)
        ORT_TRY(api, add_config(options, wanted->config[i].key, wanted->config[i].value), wanted->config[i].key);
    return QONNX_OK;
}

/* Gives the runtime the weights where they lie. */
static qonnx_status lend_weights(struct ort_run_session *session, struct ort_options *options, const struct ort_model *packed,
                                 qonnx_error *err)
{
    const struct ort_api *api = &session->ort->api;
    const char          **names = qn_arena_array(&session->arena, packed->weight_count, sizeof *names);

    session->weights = qn_arena_array(&session->arena, packed->weight_count, sizeof(struct ort_value *));
    if (qn_arena_failed(&session->arena)) return qn_fail_nomem(err);
    for (size_t i = 0; i < packed->weight_count; i++) {
        const struct ort_weight *weight = &packed->weights[i];
        names[i] = weight->name;
        /* The runtime only reads initializers; its interface lacks the const. */
        ORT_TRY(api,
                create_tensor(session->ort->memory, (void *)(uintptr_t)weight->data, weight->size, weight->tensor->dims,
                              weight->tensor->n_dims, to_ort_type(weight->tensor->data_type), &session->weights[i]),
                weight->name);
        session->weight_count = i + 1;
    }
    if (!packed->weight_count) return QONNX_OK;
    ORT_TRY(api, add_external(options, names, (const struct ort_value *const *)session->weights, packed->weight_count), "weights");
    return QONNX_OK;
}

static qonnx_status create_session(struct ort_run_session *session, const struct qn_model *model,
                                   const struct qn_session_options *wanted, struct ort_options *options, qonnx_error *err)
{
    const struct ort_api *api = &session->ort->api;
    struct ort_model      packed;
    qonnx_status          status;

    QN_TRY(set_options(options, api, wanted, err));
    if (wanted->observe_count) {
        fill_observer_op(&session->op, api->api_version);
        ORT_TRY(api, create_domain(QN_OBSERVE_DOMAIN, &session->domain), "observers");
        ORT_TRY(api, domain_add(session->domain, &session->op), "observers");
        ORT_TRY(api, add_domain(options, session->domain), "observers");
    }
    QN_TRY(qn_ort_model_pack(&packed, model, wanted->observe, wanted->observe_count, err));
    status = lend_weights(session, options, &packed, err);
    if (status == QONNX_OK)
        status = check(api, api->create_session_from_array(session->ort->env, packed.bytes, packed.size, options, &session->handle),
                       "load", err);
    qn_ort_model_release(&packed);
    return status;
}

static qonnx_status read_ports(struct ort_run_session *session, const struct qn_model *model,
                               const struct qn_session_options *wanted, qonnx_error *err)
{
    struct qn_session *base = &session->base;
    struct qn_arena   *arena = &session->arena;

    QN_TRY(qn_model_inputs(model, arena, &base->inputs, &base->input_count, err));
    QN_TRY(qn_model_outputs(model, arena, &base->outputs, &base->output_count, err));
    session->input_names = qn_arena_array(arena, base->input_count, sizeof *session->input_names);
    session->output_names = qn_arena_array(arena, base->output_count, sizeof *session->output_names);
    session->observed = qn_arena_array(arena, wanted->observe_count, sizeof *session->observed);
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    for (size_t i = 0; i < base->input_count; i++) session->input_names[i] = base->inputs[i].name;
    for (size_t i = 0; i < base->output_count; i++) session->output_names[i] = base->outputs[i].name;
    for (size_t i = 0; i < wanted->observe_count; i++) session->observed[i] = qn_arena_strdup(arena, wanted->observe[i]);
    session->observed_count = wanted->observe_count;
    session->observer = wanted->observer;
    return qn_arena_failed(arena) ? qn_fail_nomem(err) : QONNX_OK;
}

static qonnx_status ort_open(struct qn_runtime *runtime, const struct qn_model *model, const struct qn_session_options *wanted,
                             struct qn_session **result, qonnx_error *err)
{
    struct ort_runtime     *ort = (struct ort_runtime *)runtime;
    struct ort_run_session *session = calloc(1, sizeof *session);
    struct ort_options     *options = NULL;
    qonnx_status            status;

    if (!session) return qn_fail_nomem(err);
    session->ort = ort;
    session->base.runtime = runtime;
    status = read_ports(session, model, wanted, err);
    if (status == QONNX_OK) status = check(&ort->api, ort->api.create_options(&options), "session options", err);
    if (status == QONNX_OK) status = create_session(session, model, wanted, options, err);
    if (options) ort->api.release_options(options);
    if (status == QONNX_OK)
        *result = &session->base;
    else
        ort_close(&session->base);
    return status;
}

/* ---- runs ---- */

/* The values of one run: inputs and outputs. */
struct values {
    struct ort_value **inputs, **outputs;
    size_t             input_count, output_count;
};

static qonnx_status wrap_inputs(struct ort_run_session *session, const struct qn_run *run, struct values *values, qonnx_error *err)
{
    const struct ort_runtime *ort = session->ort;

    for (size_t i = 0; i < values->input_count; i++) {
        const struct qn_view *view = &run->inputs[i];
        static char           nothing[1]; /* an empty tensor still needs an address */
        void                 *data = view->data ? (void *)(uintptr_t)view->data : nothing;
        QN_TRY(check(&ort->api,
                     ort->api.create_tensor(ort->memory, data, view->size, view->dims, (size_t)view->rank, to_ort_type(view->dtype),
                                            &values->inputs[i]),
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
        QN_TRY(view_value(api, values->outputs[i], &view, dims, err));
        QN_TRY(run->on_output(run->context, i, &view, err));
    }
    return QONNX_OK;
}

static qonnx_status run_values(struct ort_run_session *session, const struct qn_run *run, struct values *values, qonnx_error *err)
{
    const struct ort_api *api = &session->ort->api;
    struct ort_status    *result;

    QN_TRY(wrap_inputs(session, run, values, err));
    current.run = run;
    current.status = QONNX_OK;
    current.err = err;
    result = api->run(session->handle, NULL, session->input_names, (const struct ort_value *const *)values->inputs,
                      values->input_count, session->output_names, values->output_count, values->outputs);
    current.run = NULL;
    current.err = NULL;
    if (current.status != QONNX_OK) { /* what the observer said tells more than what the runtime makes of it */
        if (result) api->release_status(result);
        return current.status;
    }
    QN_TRY(check(api, result, "run", err));
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
    if (status == QONNX_OK) status = check(&ort->api, ort->api.create_env(ORT_LOG_FATAL, "qonnx", &ort->env), "start", err);
    if (status == QONNX_OK) status = check(&ort->api, ort->api.create_cpu_memory(1, 0, &ort->memory), "start", err);
    if (status != QONNX_OK) {
        ort_release(&ort->base);
        return status;
    }
    snprintf(ort->version, sizeof ort->version, "onnxruntime %s", ort->api.version);
    ort->base = (struct qn_runtime){ ort->version, ort_open, ort_run, ort_close, ort_release };
    *runtime = &ort->base;
    return QONNX_OK;
}
