/* SPDX-License-Identifier: Apache-2.0
 * What two models compute inside. For compare.c. */
#ifndef QN_RUN_COMPARE_TENSORS_H
#define QN_RUN_COMPARE_TENSORS_H

#include "run/compare_sums.h"

/* Values that both models have, by name; of the second the one that is read in its place. */
struct qn_tensor_pairs {
    const char **names[2];
    size_t       count;
};
QONNX_MUST_CHECK qonnx_status qn_tensor_pairs_find(struct qn_tensor_pairs *pairs, const struct qn_model *first,
                                                   const struct qn_model *second, struct qn_arena *arena,
                                                   qonnx_error *err);

/* One worker's: what the first model's run showed is kept, of each tensor so many elements at most, until the second's comes. */
struct qn_tensor_watch {
    struct qn_output_sums *sums;
    struct kept_tensor    *kept;
    size_t                 count;
};
QONNX_MUST_CHECK qonnx_status qn_tensor_watch_init(struct qn_tensor_watch *watch, size_t count, qonnx_error *err);
void qn_tensor_watch_release(struct qn_tensor_watch *watch); /* a zeroed struct may be released */
void qn_tensor_watch_start(struct qn_tensor_watch *watch);   /* a sample */
/* Values that are not of floats, or of another size in the second model, are left out. */
QONNX_MUST_CHECK qonnx_status qn_tensor_watch_first(struct qn_tensor_watch *watch, size_t index,
                                                    const struct qn_view *view, qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_tensor_watch_second(struct qn_tensor_watch *watch, size_t position, size_t index,
                                                     const struct qn_view *view, qonnx_error *err);

#endif
