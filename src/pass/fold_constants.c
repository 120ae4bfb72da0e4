/* SPDX-License-Identifier: Apache-2.0
 * What lift_constants does and arithmetic besides: weights of layers may be products, parts or joints of constants. */
#include "pass/lib/constants.h"
#include "pass/lib/fold.h"
#include "pass/pass.h"

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    (void)again;
    return qn_lift_constants(graph, edit, qn_fold_values, err);
}

const struct qn_pass qn_pass_fold_constants = { "fold_constants", "arithmetic on constants is worked out too, as weight normalisation leaves it", run };
