/* SPDX-License-Identifier: Apache-2.0
 * The copy of a model that is handed to ONNX Runtime. For ort*.c only. */
#ifndef QN_RUN_ORT_MODEL_H
#define QN_RUN_ORT_MODEL_H

#include "run/runner.h"

#define QN_OBSERVE_DOMAIN "qonnx"
#define QN_OBSERVE_OP "Observe"

/* An initializer that the runtime uses where it lies. */
struct ort_weight {
    const char              *name;
    const Onnx__TensorProto *tensor;
    const void              *data;
    size_t                   size;
};

struct ort_model {
    uint8_t           *bytes; /* the packed model without these weights */
    size_t             size;
    struct ort_weight *weights;
    size_t             weight_count;
    struct qn_arena    arena; /* holds all of it; weights' data lie in the model */
};

/* Packs a model with an observer node for each name in `observe`. The model is not changed. E_USAGE for names that are
 * neither graph inputs nor node outputs of the main graph. */
QONNX_MUST_CHECK qonnx_status qn_ort_model_pack(struct ort_model *packed, const struct qn_model *model, const char *const *observe,
                                             size_t observe_count, qonnx_error *err);
void qn_ort_model_release(struct ort_model *packed);

#endif
