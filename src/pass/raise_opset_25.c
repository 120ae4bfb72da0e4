/* SPDX-License-Identifier: Apache-2.0
 * Opset 25 is the first with codes of 2 bits. */
#include "pass/lib/opset.h"
#include "pass/pass.h"

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    (void)again;
    return qn_raise_model(graph, edit, 25, err);
}

const struct qn_pass qn_pass_raise_opset_25 = { "raise_opset_25",
                                                "opset 7 to 24 becomes 25, the first with codes of 2 bits", run };
