/* SPDX-License-Identifier: Apache-2.0
 * The operator that shows a value to its observer: one input, no output. */
#include <limits.h>
#include <stdlib.h>

#include "run/ort_session.h"

_Thread_local struct ort_current qn_ort_current;

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

void qn_ort_show(const struct ort_run_session *session, size_t id, const struct ort_value *value)
{
    struct qn_view view = { 0 };
    int64_t        dims[QN_MAX_RANK];

    if (!qn_ort_current.run || qn_ort_current.status != QONNX_OK) return;
    if (id >= session->observed_count) {
        qn_ort_current.status = qn_fail(qn_ort_current.err, QONNX_E_INTERNAL, "an observer has no id");
        return;
    }
    view.name = session->observed[id];
    qn_ort_current.status = qn_ort_view(&session->ort->api, value, &view, dims, qn_ort_current.err);
    view.block = session->blocks[id];
    if (qn_ort_current.status == QONNX_OK)
        qn_ort_current.status = session->observer(qn_ort_current.run->context, id, &view, qn_ort_current.err);
}

static void observer_compute(void *kernel, struct ort_context *context)
{
    const struct observer  *observer = kernel;
    const struct ort_value *value = NULL;
    const struct ort_api   *api;

    if (!observer || !qn_ort_current.run || qn_ort_current.status != QONNX_OK) return;
    api = &observer->session->ort->api;
    qn_ort_current.status =
        qn_ort_check(api, api->context_input(context, 0, &value), "observer input", qn_ort_current.err);
    qn_ort_show(observer->session, observer->id, value);
}

/* Runtimes from 1.16 on call this one, which can end the run at once. */
static struct ort_status *observer_compute2(void *kernel, struct ort_context *context)
{
    const struct observer *observer = kernel;

    observer_compute(kernel, context);
    if (!observer || qn_ort_current.status == QONNX_OK) return NULL;
    return observer->session->ort->api.create_status(1, "the observer failed");
}

static struct ort_status *observer_create2(const struct ort_custom_op *op, const void *api,
                                           const struct ort_kernel_info *info, void **kernel)
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

void qn_ort_fill_observer(struct ort_custom_op *op, uint32_t api_version)
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
