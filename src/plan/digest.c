/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/digest.h"

#include <string.h>
#include <xxhash.h>

#include "onnx/tensor.h"
#include "plan/presets.h"

static void add(XXH3_state_t *hash, const void *bytes, size_t size)
{
    if (bytes && size) XXH3_128bits_update(hash, bytes, size);
}

static void add_number(XXH3_state_t *hash, uint64_t number) { add(hash, &number, sizeof number); }

static void add_params(XXH3_state_t *hash, const struct qn_qparams *params)
{
    add_number(hash, params ? params->count : 0);
    if (!params) return;
    add(hash, params->scale, params->count * sizeof *params->scale);
    add(hash, params->zero_point, params->count * sizeof *params->zero_point);
}

/* A constant: its scales, and its codes where they are not the nearest ones. */
static void add_codes(XXH3_state_t *hash, const struct qn_plan *plan, qn_node_id node, size_t slot,
                      const struct qn_qparams *params, const void *codes)
{
    size_t count = 0;

    add_params(hash, params);
    add_number(hash, codes != NULL);
    if (codes && qn_tensor_count(qn_node_constant(plan->graph, node, slot), &count, NULL) == QONNX_OK)
        add(hash, codes, count * params->type->code_size);
}

/* Codes in blocks, and those of weights alone, are made by the settings as they are written. */
static void add_settings(XXH3_state_t *hash, const struct qn_settings *settings)
{
    const struct qn_option_value *trials = settings->preset_row ? settings->preset_row->trials : NULL;

    for (size_t i = 0; trials && trials[i].option; i++) {
        const char *value = qn_settings_value(settings, trials[i].option);
        if (value) add(hash, value, strlen(value) + 1);
    }
}

static void add_node(XXH3_state_t *hash, const struct qn_plan *plan, qn_node_id n)
{
    const struct qn_node_plan *row = &plan->nodes[n];

    add_number(hash, row->reason);
    add_number(hash, row->result);
    add_number(hash, row->dropped);
    add(hash, row->reads, plan->graph->pb->node[n]->n_input * sizeof *row->reads);
    add_params(hash, row->input);
    if (row->weight) add_codes(hash, plan, n, qn_plan_weight_slot(row), row->weight, row->weight_codes);
    if (row->recurrent) add_codes(hash, plan, n, 2, row->recurrent, row->recurrent_codes);
    add_params(hash, row->bias);
    add(hash, row->bias_codes, row->bias_count * sizeof *row->bias_codes);
}

qonnx_status qn_plan_digest(const struct qn_plan *plan, struct qn_plan_digest *digest, qonnx_error *err)
{
    XXH3_state_t *hash = XXH3_createState();
    XXH128_hash_t found;

    if (!hash) return qn_fail_nomem(err);
    XXH3_128bits_reset(hash);
    add_number(hash, plan->graph->node_count);
    for (qn_value_id v = 0; v < plan->graph->value_count; v++) {
        const struct qn_tensor_plan *t = &plan->tensors[v];
        add_number(hash, (uint64_t)t->quantized | (uint64_t)t->at_producer << 1 | (uint64_t)t->group << 2);
        if (t->quantized) add_params(hash, t->params);
    }
    for (qn_node_id n = 0; n < plan->graph->node_count; n++) add_node(hash, plan, n);
    if (plan->settings->acts != QN_ACTS_STATIC) add_settings(hash, plan->settings);
    found = XXH3_128bits_digest(hash);
    XXH3_freeState(hash);
    *digest = (struct qn_plan_digest){ found.low64, found.high64 };
    return QONNX_OK;
}
