/* SPDX-License-Identifier: Apache-2.0
 * The copy of a model that is handed to ONNX Runtime. For ort*.c only. */
#ifndef QN_RUN_ORT_MODEL_H
#define QN_RUN_ORT_MODEL_H

#include "run/runner.h"

#define QN_OBSERVE_DOMAIN "qonnx"
#define QN_OBSERVE_OP "Observe"
/* Adds two tensors, and shows them and the sum: attributes left, right and id say under which numbers, -1: not; relu 1:
 * what is negative becomes 0 first. */
#define QN_SUM_OP "Sum"
/* Of the operators that know the runtime's blocked layout (NCHWc). */
#define QN_BLOCKED_DOMAIN "com.microsoft.nchwc"

/* An initializer that lies in our memory. */
struct ort_weight {
    const char              *name;
    const Onnx__TensorProto *tensor;
    const void              *data;
    size_t                   size;
};

/* A value to observe, and the number its observer reports it under. */
struct ort_watch {
    const char *name;
    size_t      id;
    bool        blocked; /* it is in the runtime's blocked layout */
    bool        shown;   /* by a node that makes or reads it: it needs no observer */
};

struct ort_model {
    uint8_t           *bytes; /* the packed model without these weights */
    size_t             size;
    struct ort_weight *weights; /* to be given to the runtime */
    size_t             weight_count;
    const char        *folder; /* of the files that weights are said to be in; NULL: of none */
    struct qn_arena    arena;  /* holds all of it; weights' data lie in the model */
};

/* The shapes of a model's inputs, where they are known beforehand. */
struct ort_sizes {
    const struct qn_port *ports;
    const struct qn_view *views; /* NULL: they are not */
    size_t                count;
};

/* Packs a model with an observer node for each watched value, and without any observer nodes it has; large weights
 * are left out. Those that lie in a mapped file of the model `files` (NULL: of none) are named as external data: the
 * runtime then maps the file too, where weights from memory are copied for a while as a session is made. The model
 * is not changed. E_USAGE for names the main graph does not know. */
QONNX_MUST_CHECK qonnx_status qn_ort_model_pack(struct ort_model *packed, const struct qn_model *model,
                                                const struct qn_model *files, const struct ort_watch *watches,
                                                size_t watch_count, struct ort_sizes sizes, qonnx_error *err);
void                          qn_ort_model_release(struct ort_model *packed);

/* Reads a model that the runtime saved to `path`, with its large weights in the file `weights`. */
QONNX_MUST_CHECK qonnx_status qn_ort_model_open_saved(struct qn_model *saved, const char *path, const char *weights,
                                                      qonnx_error *err);
/* What a model that the runtime saved is to be watched at, found by its observer nodes. Where such a node reads a
 * tensor that was brought back from the runtime's blocked layout (NCHWc) for it alone, the blocked tensor is watched
 * instead if its blocks have no padding: the same values in another order. An Add of blocked tensors becomes a sum that
 * shows them itself, with a Relu behind it: the runtime would make it part of a convolution, were that not watched. In
 * the model's arena. */
QONNX_MUST_CHECK qonnx_status qn_ort_model_watches(struct qn_model *model, struct ort_watch **watches, size_t *count,
                                                   qonnx_error *err);

#endif
