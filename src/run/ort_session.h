/* SPDX-License-Identifier: Apache-2.0
 * What the files behind qn_ort_load share. For ort*.c only. */
#ifndef QN_RUN_ORT_SESSION_H
#define QN_RUN_ORT_SESSION_H

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

/* A session of the runtime and what must outlive it. */
struct ort_loaded {
    struct ort_session *handle;
    struct ort_value  **weights; /* over memory of the model */
    size_t              weight_count;
};

struct ort_run_session {
    struct qn_session    base;
    struct ort_runtime  *ort;
    struct ort_loaded    loaded;
    struct ort_domain   *domain;
    struct ort_custom_op op, sum; /* must outlive the session, as must the domain */
    struct qn_model      saved; /* what the runtime made of the model, when it runs that */
    qn_view_fn           observer;
    const char         **observed;
    size_t              *blocks; /* by observed value: as in struct qn_view */
    size_t               observed_count;
    const char         **input_names, **output_names;
    struct qn_arena      arena;
};

/* The run that this thread is in: observers are shared by all threads and find their data through it. */
struct ort_current {
    const struct qn_run *run;
    qonnx_status         status; /* of the first observer that failed */
    qonnx_error         *err;
};
extern _Thread_local struct ort_current qn_ort_current;

/* Turns the runtime's status into ours, and frees it. */
QONNX_MUST_CHECK qonnx_status qn_ort_check(const struct ort_api *api, struct ort_status *status, const char *doing,
                                           qonnx_error *err);
#define ORT_TRY(api, call, doing) QN_TRY(qn_ort_check(api, (api)->call, doing, err))

int                           qn_ort_type(int32_t type); /* the runtime's number of an ONNX element type */
/* A view of a value; not for values that are no tensors. Texts have no data. */
QONNX_MUST_CHECK qonnx_status qn_ort_view(const struct ort_api *api, const struct ort_value *value,
                                          struct qn_view *view, int64_t dims[QN_MAX_RANK], qonnx_error *err);

/* How many channels make a block in the runtime's blocked layout. */
QONNX_MUST_CHECK qonnx_status qn_ort_block_size(struct qn_runtime *runtime, size_t *block, qonnx_error *err);

void qn_ort_fill_observer(struct ort_custom_op *op, uint32_t api_version);
void qn_ort_fill_sum(struct ort_custom_op *op, uint32_t api_version);
/* Shows a value to the observer of the run that this thread is in. Once one has failed, the others do nothing. */
void qn_ort_show(const struct ort_run_session *session, size_t id, const struct ort_value *value);

/* runner.h's open and close. */
QONNX_MUST_CHECK qonnx_status qn_ort_open(struct qn_runtime *runtime, const struct qn_model *model,
                                          const struct qn_session_options *wanted, struct qn_session **result,
                                          qonnx_error *err);
void                          qn_ort_close(struct qn_session *base);

#endif
