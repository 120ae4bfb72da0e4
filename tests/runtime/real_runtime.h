/* SPDX-License-Identifier: Apache-2.0
 * The real library, found through QONNX_ORT, for a whole group of tests. */
#ifndef QN_TESTS_REAL_RUNTIME_H
#define QN_TESTS_REAL_RUNTIME_H

#include "cmocka_all.h"
#include "run/runner.h"

static struct qn_runtime *ort;

static inline int load_runtime(void **state)
{
    qonnx_error err = { 0 };

    (void)state;
    if (qn_ort_load(&ort, NULL, &err) == QONNX_OK) return 0;
    print_error("%s\n", err.message);
    return -1;
}

static inline int release_runtime(void **state)
{
    (void)state;
    ort->release(ort);
    return 0;
}

static inline struct qn_session *open_session(const struct qn_model *model, struct qn_session_options options)
{
    struct qn_session *session = NULL;
    qonnx_error        err = { 0 };

    if (ort->open(ort, model, &options, &session, &err) != QONNX_OK) fail_msg("%s", err.message);
    return session;
}

#endif
