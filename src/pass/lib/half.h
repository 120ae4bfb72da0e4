/* SPDX-License-Identifier: Apache-2.0
 * Where a model holds numbers of 16 bits: float16 or bfloat16. */
#ifndef QN_PASS_LIB_HALF_H
#define QN_PASS_LIB_HALF_H

#include <stdbool.h>

#include "onnx/model.h"
#include "onnx/visit.h"

enum qn_halves {
    QN_HALVES_NONE,
    QN_HALVES_TO_WIDEN,
    QN_HALVES_FIXED, /* the bits themselves are used, or a type is not there to be seen */
};
/* *kind (may be NULL) becomes the type that its constants have; float16 when it has none. */
enum qn_halves qn_halves(const struct qn_model *model, int32_t *kind);

/* True for an attribute of ai.onnx that names such a type. */
bool qn_names_half(const Onnx__NodeProto *node, const Onnx__AttributeProto *attr);
/* All messages of the main graph, of the functions, and of the bodies that are laid out flat. */
QONNX_MUST_CHECK qonnx_status qn_visit_graphs(const struct qn_model *model, qn_message_fn fn, void *context, qonnx_error *err);

#endif
