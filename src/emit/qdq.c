/* SPDX-License-Identifier: Apache-2.0
 *
 * QDQ: the operators stay float, with QuantizeLinear/DequantizeLinear around them; a runtime that knows the patterns
 * computes on the codes. What runtimes need for that: one Q and one DQ a tensor, shared by all readers; explicit zero
 * points; rank-0 scales for one parameter; constants as codes with a DQ; the bias in int32 with exactly the product of
 * input and weight scale. */
#include "emit/lib/around.h"

static qonnx_status weight(struct qn_around *w, qn_node_id node, size_t slot, const char **out) { return qn_qdq_weight(w, node, slot, false, out); }

static qonnx_status emit(const struct qn_plan *plan, struct qn_edit *edit, qonnx_error *err)
{
    static const struct qn_style style = { qn_qdq_activation, qn_qdq_codes, qn_qdq_values, weight, qn_qdq_bias, NULL, NULL };
    return qn_around_write(plan, edit, &style, err);
}

const struct qn_emitter qn_emit_qdq = { "qdq", "QuantizeLinear/DequantizeLinear around float operators", 13, .emit = emit };
