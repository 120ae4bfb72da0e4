/* SPDX-License-Identifier: Apache-2.0
 * Opset 13 is the first with a scale for each channel. Newer models, and operators of other domains, stay as they are. */
#include "pass/lib/opset.h"
#include "pass/pass.h"

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    (void)again;
    return qn_raise_model(graph, edit, QN_RAISE_TO, err);
}

const struct qn_pass qn_pass_raise_opset = { "raise_opset",
                                             "opset 7 to 12 becomes 13, with what changed in each operator", run };
