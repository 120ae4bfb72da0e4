/* SPDX-License-Identifier: Apache-2.0
 * Opset 21 is the first with blocks of codes, and with codes of 4 bits. */
#include "pass/lib/opset.h"
#include "pass/pass.h"

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    (void)again;
    return qn_raise_model(graph, edit, 21, err);
}

const struct qn_pass qn_pass_raise_opset_21 = { "raise_opset_21",
                                                "opset 7 to 20 becomes 21, the first with blocks of codes", run };
