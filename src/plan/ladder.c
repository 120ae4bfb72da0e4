/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/ladder.h"

#include <string.h>

#include "base/numerals.h"
#include "plan/block_weight.h"
#include "plan/overrides.h"
#include "plan/presets.h"

/* Scales are floats: blocks of 16 cost 2 bits a weight for them. What is not said here is as the preset and the user say. */
static const struct qn_rung rungs[] = {
    { "int8",
      { { "weight-bits", "8" },
        { "block-size", "0" },
        { "weight-symmetric", "on" },
        { "weight-range", "minmax" },
        { "embeddings", "int8" } } },
    { "4 bits, blocks of 16", { { "weight-bits", "4" }, { "block-size", "16" }, { "embeddings", "int4-blocks" } } },
    { "4 bits, blocks of 32", { { "weight-bits", "4" }, { "block-size", "32" }, { "embeddings", "int4-blocks" } } },
    { "4 bits, blocks of 64", { { "weight-bits", "4" }, { "block-size", "64" }, { "embeddings", "int4-blocks" } } },
    { "4 bits, blocks of 128", { { "weight-bits", "4" }, { "block-size", "128" }, { "embeddings", "int4-blocks" } } },
    { "2 bits, blocks of 32", { { "weight-bits", "2" }, { "block-size", "32" } } },
    { "2 bits, blocks of 64", { { "weight-bits", "2" }, { "block-size", "64" } } },
    { "2 bits, blocks of 128", { { "weight-bits", "2" }, { "block-size", "128" } } },
};

const struct qn_rung *qn_rung_at(size_t i) { return i < sizeof rungs / sizeof *rungs ? &rungs[i] : NULL; }

/* ---- the options ---- */

static const struct {
    const char     *unit;
    double          factor;
    enum qn_measure measure;
} units[] = {
    { "", 1, QN_MEASURE_BYTES },       { "B", 1, QN_MEASURE_BYTES },         { "kB", 1e3, QN_MEASURE_BYTES },
    { "KB", 1e3, QN_MEASURE_BYTES },   { "MB", 1e6, QN_MEASURE_BYTES },      { "GB", 1e9, QN_MEASURE_BYTES },
    { "KiB", 1024, QN_MEASURE_BYTES }, { "MiB", 1048576, QN_MEASURE_BYTES }, { "GiB", 1073741824, QN_MEASURE_BYTES },
    { "%", 0.01, QN_MEASURE_SHARE },
};

static qonnx_status parse_size(struct qn_settings *s, qonnx_error *err)
{
    char  *end;
    double number = qn_strtod(s->target_size, &end);

    for (size_t i = 0; end != s->target_size && number > 0 && number < 1e15 && i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) != 0) continue;
        s->budget = (struct qn_budget){ units[i].measure, number * units[i].factor };
        return QONNX_OK;
    }
    return qn_fail(
        err, QONNX_E_USAGE,
        "--target-size: '%.60s' is no size: bytes, or a number with kB, MB, GB, KiB, MiB, GiB, or %% of the input's",
        s->target_size);
}

qonnx_status qn_ladder_parse(struct qn_settings *s, qonnx_error *err)
{
    const char *option = s->target_size ? "target-size" : "target-bpw";

    if (!s->target_size && !(s->target_bpw > 0)) return QONNX_OK;
    if (s->target_size && s->target_bpw > 0)
        return qn_fail(err, QONNX_E_USAGE, "--target-size and --target-bpw: one of them");
    if (s->recipe || s->acts != QN_ACTS_FLOAT || !s->block_size)
        return qn_fail(err, QONNX_E_USAGE,
                       "--%s chooses bits and blocks of weights: it goes with --preset int4 and int2", option);
    s->budget = (struct qn_budget){ QN_MEASURE_BITS, s->target_bpw };
    return s->target_size ? parse_size(s, err) : QONNX_OK;
}

/* ---- forms ---- */

static bool says(const struct qn_rung *rung, const char *option)
{
    bool any = false;

    for (size_t i = 0; rung->values[i].option; i++) any |= strcmp(rung->values[i].option, option) == 0;
    return any;
}

bool qn_rung_form(const struct qn_rung *rung, struct qn_plan *plan, qn_node_id node, struct qn_weight_form *form)
{
    struct qn_node_plan        *row = &plan->nodes[node];
    const struct qn_weight_form before = row->form;
    size_t                      count = 0;
    bool                        fits;

    while (rung->values[count].option) count++;
    if (qn_overrides_apply(plan->settings, rung->values, count, form, NULL) != QONNX_OK) return false;
    if (row->rule->kind == QN_KIND_TABLE && !says(rung, "embeddings")) return false;
    if (!form->block) return true;
    if (row->rule->kind == QN_KIND_TABLE && !plan->settings->target_row->own_operators) return false;
    /* fewer bits would ask for an opset that the model was not raised to */
    if (row->rule->kind != QN_KIND_TABLE && strcmp(plan->settings->format, "qdq") == 0 &&
        form->bits < qn_overrides_widest(plan->settings).bits)
        return false;
    row->form = *form;
    fits = qn_block_weight_wanted(plan, node);
    row->form = before;
    return fits;
}

uint64_t qn_rung_bytes(const struct qn_plan *plan, qn_node_id node, const struct qn_weight_form *form,
                       const struct qn_matrix *m)
{
    const struct qn_block_form blocks = { form->bits, form->symmetric, form->block, form->range };

    if (form->block) return qn_block_weight_bytes(plan, node, &blocks);
    return (uint64_t)m->outputs * m->depth + (form->per_channel ? (uint64_t)m->outputs : 1) * (sizeof(float) + 1);
}
