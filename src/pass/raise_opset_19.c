/* SPDX-License-Identifier: Apache-2.0
 * Opset 19 is the first with floats of 8 bits. */
#include "pass/lib/opset.h"
#include "pass/pass.h"

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    (void)again;
    return qn_raise_model(graph, edit, 19, err);
}

const struct qn_pass qn_pass_raise_opset_19 = { "raise_opset_19",
                                                "opset 7 to 18 becomes 19, the first with floats of 8 bits", run };
