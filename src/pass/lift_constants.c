/* SPDX-License-Identifier: Apache-2.0
 * The cheap operators that some exporters leave between a weight and its user are worked out: those that compute no new
 * number, so that the constants of quantizers are found as they are (see lib/constants.h). */
#include "pass/lib/constants.h"
#include "pass/lib/fold.h"
#include "pass/pass.h"

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    (void)again;
    return qn_lift_constants(graph, edit, qn_fold, err);
}

const struct qn_pass qn_pass_lift_constants = { "lift_constants", "Constant nodes and trivial operators on constants become initializers", run };
