/* SPDX-License-Identifier: Apache-2.0
 * For tests that read and write one model after the other: each has a folder and a model of its own. */
#ifndef QN_TESTS_MODEL_FILES_H
#define QN_TESTS_MODEL_FILES_H

#include <string.h>

#include "onnx/model.h"
#include "scratch.h"

static struct scratch  dir;
static struct qn_model model;

static int setup(void **state)
{
    (void)state;
    scratch_open(&dir);
    memset(&model, 0, sizeof model);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    qn_model_release(&model);
    scratch_close(&dir);
    return 0;
}

/* In place of the one before. */
static inline void open_model(const char *path, bool no_mmap)
{
    qonnx_error err = { 0 };

    qn_model_release(&model);
    if (qn_model_open(&model, path, no_mmap, &err) != QONNX_OK) fail_msg("%s", err.message);
}

static inline void open_fails(const char *path, qonnx_status status, const char *text)
{
    qonnx_error err = { 0 };

    qn_model_release(&model);
    assert_int_equal(qn_model_open(&model, path, false, &err), status);
    if (!strstr(err.message, text)) fail_msg("'%s' does not say '%s'", err.message, text);
    assert_null(model.pb);
    assert_null(strchr(err.message, '\n'));
}

#endif
