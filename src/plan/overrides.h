/* SPDX-License-Identifier: Apache-2.0
 * How the weights of single nodes become codes: as the settings say, unless an --override names the node. */
#ifndef QN_PLAN_OVERRIDES_H
#define QN_PLAN_OVERRIDES_H

#include "onnx/graph.h"
#include "plan/options.h"

struct qn_option_value;

/* PATTERN:KEY=VALUE,… */
struct qn_override {
    const char                   *text;
    bool                          keep_float;
    const struct qn_option_value *values;
    size_t                        count;
};

/* Fills settings->overrides and ->overridden from ->override. */
QONNX_MUST_CHECK qonnx_status qn_overrides_parse(struct qn_settings *settings, qonnx_error *err);
/* What holds for a node: where several name it, a later one wins key by key. E_USAGE where that cannot be. */
QONNX_MUST_CHECK qonnx_status qn_overrides_form(const struct qn_settings *settings, const struct qn_graph *graph,
                                                qn_node_id node, struct qn_weight_form *form, qonnx_error *err);
/* What these values make of the settings' form. */
QONNX_MUST_CHECK qonnx_status qn_overrides_apply(const struct qn_settings *settings,
                                                 const struct qn_option_value *values, size_t count,
                                                 struct qn_weight_form *form, qonnx_error *err);
/* Whether it asks for weights in blocks. */
bool                          qn_override_blocks(const struct qn_override *override);
/* What a model must be raised to: are there blocks anywhere, of how few bits, and floats of which types? */
struct qn_weight_form         qn_overrides_widest(const struct qn_settings *settings);

#endif
