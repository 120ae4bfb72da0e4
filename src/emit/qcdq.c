/* SPDX-License-Identifier: Apache-2.0
 *
 * QCDQ: QDQ with a Clip between wherever codes use less than their type, so that the file itself says how wide they are:
 * the form Brevitas exports for 2 to 8 bits. */
#include "emit/lib/around.h"

static qonnx_status weight(struct qn_around *w, qn_node_id node, size_t slot, const char **out) { return qn_qdq_weight(w, node, slot, true, out); }

static qonnx_status emit(const struct qn_plan *plan, struct qn_edit *edit, qonnx_error *err)
{
    static const struct qn_style style = { qn_qdq_activation, qn_qdq_codes, qn_qdq_values, weight, qn_qdq_bias, NULL, NULL };
    return qn_around_write(plan, edit, &style, err);
}

const struct qn_emitter qn_emit_qcdq = { "qcdq", "QDQ with a Clip where codes use less than their type, as Brevitas exports it", 13, .emit = emit };
