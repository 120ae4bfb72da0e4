/* SPDX-License-Identifier: Apache-2.0
 * Running models. A runtime opens models as sessions; all but ort.c sees only this interface, so that tests can put a
 * fake runtime behind it. */
#ifndef QN_RUN_RUNNER_H
#define QN_RUN_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "onnx/model.h"

enum { QN_MAX_RANK = 32 };

/* A tensor somebody else owns. */
struct qn_view {
    const char    *name;
    int32_t        dtype; /* TensorProto.DataType */
    int            rank;
    const int64_t *dims;
    const void    *data;
    size_t         size;  /* in bytes */
    size_t         block; /* 0, or: not in C order but with axis 1 in blocks of so many, [N][C / block][…][block] */
};
/* Number of elements (dims are those of a checked view, so the product fits). */
size_t qn_view_count(const struct qn_view *view);

/* An input or output as the model declares it. */
struct qn_port {
    const char        *name;
    int32_t            dtype;      /* 0: not a tensor, or not declared */
    int                rank;       /* -1: not declared */
    const int64_t     *dims;       /* -1: not known */
    const char *const *dim_params; /* the name of an unknown dimension, or NULL */
};
/* The graph inputs that need data (those that are not initializers) and the graph outputs. Texts point into the
 * model. */
QONNX_MUST_CHECK qonnx_status qn_model_inputs(const struct qn_model *model, struct qn_arena *arena,
                                              const struct qn_port **ports, size_t *count, qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_model_outputs(const struct qn_model *model, struct qn_arena *arena,
                                               const struct qn_port **ports, size_t *count, qonnx_error *err);

/* Receives a tensor that is valid during the call only: output `index` of a run, or observed value `index`. `context`
 * is what was given to the run, so that each thread reaches its own data. */
typedef qonnx_status (*qn_view_fn)(void *context, size_t index, const struct qn_view *view, qonnx_error *err);

struct qn_config {
    const char *key, *value;
};

/* A zero-initialised struct is valid: every graph rewrite switched off, nothing observed. */
struct qn_session_options {
    bool                    optimize; /* all of the runtime's graph rewrites; false: none, each node as written */
    const struct qn_config *config;   /* further settings in the runtime's own terms */
    size_t                  config_count;
    /* Values of the main graph (not initializers) that each run shows to `observer`, before they are freed. Not copied,
     * and no value becomes a graph output for it. The view's name is that of the list, its index the place there. */
    const char *const      *observe;
    size_t                  observe_count;
    qn_view_fn              observer;
    /* The observer takes views with blocks too: the runtime may then keep layouts of its own. */
    bool                    any_order;
    /* One for each input of the session, in its order, when all runs have inputs of these shapes: the runtime then opens a
     * model that leaves sizes open several times faster. NULL: they may differ. */
    const struct qn_view   *sizes;
    /* Receives the model as the runtime's rewrites left it, to be released; the session is then not for running.
     * Stays as it is when the model is too large to be saved. NULL: not wanted. */
    struct qn_model *rewritten;
};

struct qn_session {
    const struct qn_port *inputs, *outputs;
    size_t                input_count, output_count;
    struct qn_runtime    *runtime;
};

struct qn_run {
    const struct qn_view *inputs;    /* one for each input of the session, in its order */
    qn_view_fn            on_output; /* may be NULL */
    void                 *context;   /* handed to on_output and to the session's observer */
};

/* A runtime is a table of functions in front of its own state. */
struct qn_runtime {
    const char *version; /* "onnxruntime 1.31.1" */
    /* Opens a model, which must outlive the session: large initializers are used where they lie. One thread does the
     * work of one run; several threads may run one session at once. */
    qonnx_status (*open)(struct qn_runtime *runtime, const struct qn_model *model,
                         const struct qn_session_options *options, struct qn_session **session, qonnx_error *err);
    /* Runs once. A failure of a callback ends the run and is returned as it is. */
    qonnx_status (*run)(struct qn_session *session, const struct qn_run *run, qonnx_error *err);
    void (*close)(struct qn_session *session); /* NULL is allowed */
    void (*release)(struct qn_runtime *runtime);
};

/* Loads ONNX Runtime: from `path` (a library file), else from $QONNX_ORT, else beside the executable, through the
 * system's loader, or out of the onnxruntime package of the python3 on PATH. E_NO_RUNTIME tells in one line how to
 * get it. */
QONNX_MUST_CHECK qonnx_status qn_ort_load(struct qn_runtime **runtime, const char *path, qonnx_error *err);

#endif
