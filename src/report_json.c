/* SPDX-License-Identifier: Apache-2.0
 * The sidecar: docs/sidecar.md says what each field means, docs/sidecar.schema.json is its exact form. */
#include <math.h>
#include <string.h>

#include "json_out.h"
#include "plan/explicit.h"
#include "plan/kernels.h"
#include "plan/block_weight.h"
#include "plan/presets.h"
#include "plan/round.h"
#include "quant/small_float.h"
#include "report.h"
#include "sensitivity.h"

#define SCHEMA "qonnx-quantize/sidecar/1"

struct sidecar {
    struct qn_json          json;
    const struct qn_report *report;
    const struct qn_plan   *plan;
};

static void put(struct sidecar *s, json_t *object, const char *key, json_t *value)
{
    qn_json_put(&s->json, object, key, value);
}

static void put_known(struct sidecar *s, json_t *object, const char *key, double decibel)
{
    if (isfinite(decibel)) put(s, object, key, qn_json_rounded(decibel, 2));
}

/* ---- head ---- */

/* What cannot change the result, or differs between machines that make the same one. */
static bool is_left_out(const char *option)
{
    static const char *const names[] = { "calib", "stats", "threads", "ort", "no-mmap", "dry-run", "ranges", "report", "encodings", "sidecar", "strict" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(option, names[i]) == 0) return true;
    return false;
}

/* As texts, so that they can be given to the program again. */
static json_t *options(struct sidecar *s)
{
    const qonnx_option_info *info;
    struct qn_arena          arena = { 0 };
    json_t                  *object = json_object();

    for (size_t i = 0; (info = qonnx_option_at(i)); i++) {
        const char *text;
        if (!strchr(info->commands, s->report->command ? s->report->command : 'q') || is_left_out(info->name)) continue;
        if (!info->repeatable) {
            put(s, object, info->name, qn_json_text(qn_settings_text(s->report->settings, i, 0, &arena)));
            continue;
        }
        put(s, object, info->name, json_array());
        for (size_t k = 0; (text = qn_settings_text(s->report->settings, i, k, &arena)); k++)
            qn_json_append(&s->json, json_object_get(object, info->name), qn_json_text(text));
    }
    if (qn_arena_failed(&arena)) s->json.failed = true;
    qn_arena_release(&arena);
    return object;
}

static json_t *file(struct sidecar *s, const char *path, uint64_t bytes, int64_t opset, int64_t ir,
                    const struct qn_digest *digest)
{
    json_t *object = json_object();

    if (path) put(s, object, "name", qn_json_base_name(path));
    put(s, object, "bytes", qn_json_uint(bytes));
    if (path && s->report->input_external) put(s, object, "external_bytes", qn_json_uint(s->report->input_external));
    put(s, object, "opset", json_integer(opset));
    put(s, object, "ir_version", json_integer(ir));
    put(s, object, "xxh3_128", json_string(digest->xxh3_128));
    if (*digest->sha256) put(s, object, "sha256", json_string(digest->sha256));
    return object;
}

/* No name: the sidecar stands beside its model, which may be renamed; files of data may not. */
static json_t *output(struct sidecar *s)
{
    const struct qn_report      *r = s->report;
    const struct qn_save_result *saved = r->saved;
    json_t                      *object = file(s, NULL, saved->size, r->output_opset, r->output_ir, &saved->output), *data = json_array();

    for (size_t i = 0; i < saved->file_count; i++) {
        json_t *one = json_object();
        put(s, one, "name", qn_json_text(saved->files[i].name));
        put(s, one, "bytes", qn_json_uint(saved->files[i].size));
        put(s, one, "xxh3_128", json_string(saved->files[i].digest.xxh3_128));
        if (*saved->files[i].digest.sha256) put(s, one, "sha256", json_string(saved->files[i].digest.sha256));
        qn_json_append(&s->json, data, one);
    }
    if (saved->file_count)
        put(s, object, "data", data);
    else
        json_decref(data);
    return object;
}

static json_t *calibration(struct sidecar *s)
{
    const struct qn_report    *r = s->report;
    const struct qn_feed_info *data = r->data;
    json_t                    *object;

    if (!data) return json_null();
    object = json_object();
    put(s, object, "ranges", json_string(data->synthetic ? "synthetic" : "data"));
    put(s, object, "source",
        data->synthetic || !r->source ? json_null() : qn_json_base_name(r->source));
    put(s, object, "samples", qn_json_uint(r->samples));
    put(s, object, "digest", json_string(data->digest));
    put(s, object, "seed", data->synthetic || r->settings->shuffle ? json_integer(r->settings->seed) : json_null());
    put(s, object, "nan_count", qn_json_uint(data->nan_count));
    put(s, object, "inf_count", qn_json_uint(data->inf_count));
    put(s, object, "observer", qn_json_text(r->settings->observer));
    put(s, object, "runtime", qn_json_text(r->runtime));
    put(s, object, "notes", qn_json_lines(data->notes ? data->notes : ""));
    return object;
}

/* The file that ranges come from which were not observed. */
static json_t *ranges(struct sidecar *s)
{
    const struct qn_ranges_source *source = &s->report->ranges;
    json_t                        *object = json_object();

    put(s, object, "kind", json_string(source->kind));
    put(s, object, "name", qn_json_base_name(source->path));
    put(s, object, "xxh3_128", json_string(source->xxh3_128));
    put(s, object, "used", qn_json_uint(source->used));
    return object;
}

/* ---- tensors ---- */

static json_t *tensor(struct sidecar *s, const char *name, const char *role)
{
    json_t *object = json_object();
    put(s, object, "name", qn_json_text(name));
    put(s, object, "role", json_string(role));
    return object;
}

/* The fields that AIMET's encodings have as well carry its names. */
static void put_type(struct sidecar *s, json_t *object, const char *type, int bits, bool is_signed, bool narrow)
{
    put(s, object, "output_dtype", json_string(type));
    put(s, object, "bit_width", json_integer(bits));
    put(s, object, "signed", json_boolean(is_signed));
    put(s, object, "narrow", json_boolean(narrow));
}

/* Numbers where axis is negative, else lists along it. */
static void put_scales(struct sidecar *s, json_t *object, const float *scales, const int32_t *zero_points, size_t count,
                       int axis)
{
    json_t *scale, *zero_point;

    if (axis < 0) {
        put(s, object, "y_scale", qn_json_real((double)scales[0]));
        put(s, object, "y_zero_point", json_integer(zero_points[0]));
        return;
    }
    scale = json_array();
    zero_point = json_array();
    for (size_t i = 0; i < count; i++) {
        qn_json_append(&s->json, scale, qn_json_real((double)scales[i]));
        qn_json_append(&s->json, zero_point, json_integer(zero_points[i]));
    }
    put(s, object, "y_scale", scale);
    put(s, object, "y_zero_point", zero_point);
    put(s, object, "axis", json_integer(axis));
}

static void put_params(struct sidecar *s, json_t *object, const struct qn_qparams *params)
{
    put_type(s, object, params->type->name, params->bits, params->is_signed, params->narrow);
    put_scales(s, object, params->scale, params->zero_point, params->count, params->axis);
}

static void put_range(struct sidecar *s, json_t *object, struct qn_range range)
{
    put(s, object, "float_min", qn_json_real((double)range.min));
    put(s, object, "float_max", qn_json_real((double)range.max));
}

static void put_stats(struct sidecar *s, json_t *object, const struct qn_stats *stats)
{
    if (!stats) return;
    put(s, object, "samples", qn_json_uint(stats->samples));
    put(s, object, "count", qn_json_uint(stats->count));
    if (stats->histogram) put(s, object, "histogram_stride", qn_json_uint(stats->stride));
    if (stats->masked) put(s, object, "masked_count", qn_json_uint(stats->masked));
    if (stats->nan) put(s, object, "nan_count", qn_json_uint(stats->nan));
    if (stats->inf) put(s, object, "inf_count", qn_json_uint(stats->inf));
}

/* Where the range of an activation comes from. */
static const char *observer_of(const struct sidecar *s, qn_value_id v, const struct qn_tensor_plan *root)
{
    if (s->report->command) return "input_model";
    if (s->plan->recipe) return qn_site_of(root->params)->quantizer.row ? qn_site_of(root->params)->quantizer.row->name : "declared";
    if (root->fixed_scale != 0) return "fixed";
    if (root->given) return "imported";
    return s->plan->graph->values[v].init ? "constant" : root->observer ? root->observer->name : s->report->settings->observer;
}

static json_t *activation(struct sidecar *s, qn_value_id v)
{
    const struct qn_value       *value = &s->plan->graph->values[v];
    const struct qn_tensor_plan *row = &s->plan->tensors[v], *root = &s->plan->tensors[row->group];
    json_t                      *object = tensor(s, value->name, "activation");

    put_params(s, object, root->params);
    put_range(s, object, root->range);
    put(s, object, "observer", json_string(observer_of(s, v, root)));
    put_stats(s, object, s->report->stats ? s->report->stats[v] : NULL);
    put_known(s, object, "sqnr_db", row->sqnr);
    if (row->group != v) put(s, object, "shared_with", qn_json_text(s->plan->graph->values[row->group].name));
    return object;
}

/* The quantizer of one node's input, on top of what that tensor has. */
static json_t *own_input(struct sidecar *s, qn_node_id n)
{
    const struct qn_site *site = qn_site_of(s->plan->nodes[n].input);
    json_t               *object = tensor(s, s->plan->graph->values[site->value].name, "activation");

    put_params(s, object, &site->params);
    put_range(s, object, qn_qparams_range(&site->params, 0));
    put(s, object, "observer", json_string(site->quantizer.row->name));
    put(s, object, "node", json_integer(n));
    return object;
}

static const char *input_name(const struct sidecar *s, qn_node_id n, size_t slot)
{
    qn_value_id v = qn_node_input(s->plan->graph, n, slot);
    return v == QN_NONE ? "" : s->plan->graph->values[v].name;
}

/* Other constants than the weights of layers are never clipped. */
static const char *weight_range_of(const struct qn_node_plan *row, bool layers)
{
    return !layers || row->form.range == QN_WEIGHT_MINMAX ? "absmax" : row->form.range_name;
}

static json_t *weight(struct sidecar *s, qn_node_id n, size_t slot, const struct qn_qparams *params)
{
    const struct qn_node_plan *row = &s->plan->nodes[n];
    struct qn_range            covered = QN_RANGE_EMPTY;
    json_t                    *object = tensor(s, input_name(s, n, slot), "weight");

    for (size_t i = 0; i < params->count; i++) {
        struct qn_range one = qn_qparams_range(params, i);
        covered.min = fminf(covered.min, one.min);
        covered.max = fmaxf(covered.max, one.max);
    }
    if (qn_qtype_scaled(params->type))
        put_params(s, object, params);
    else
        put_type(s, object, params->type->name, params->bits, true, false);
    if (!params->type->floating) put_range(s, object, covered);
    if (row->clamped) put(s, object, "clamped_count", qn_json_uint(row->clamped));
    put(s, object, "observer", json_string(s->report->command ? "input_model" : s->plan->recipe ? s->plan->recipe->weights[n].row->name : row->rounded ? "fitted" : weight_range_of(row, params == row->weight)));
    put_known(s, object, "sqnr_db", qn_plan_weight_db(row));
    put(s, object, "node", json_integer(n));
    return object;
}

/* There is a scale for every few weights: they are in the model. */
static json_t *weight_in_blocks(struct sidecar *s, qn_node_id n)
{
    const struct qn_block_form *form = &s->plan->nodes[n].blocks->form;
    const bool                  table = s->plan->nodes[n].rule->kind == QN_KIND_TABLE;
    const bool                  is_signed = form->symmetric && !table && strcmp(s->report->settings->format, "qoperator") != 0;
    json_t                     *object = tensor(s, input_name(s, n, qn_plan_weight_slot(&s->plan->nodes[n])), "weight");

    put_type(s, object, qn_qtype_for(form->bits, is_signed, form->bits)->name, form->bits, is_signed, false);
    put(s, object, "axis", json_integer(qn_block_axis(s->plan->graph, n)));
    put(s, object, "block_size", qn_json_uint(form->block));
    put(s, object, "symmetric", json_boolean(form->symmetric));
    put(s, object, "observer", json_string(s->plan->nodes[n].form.range_name));
    put_known(s, object, "sqnr_db", qn_plan_weight_db(&s->plan->nodes[n]));
    put(s, object, "node", json_integer(n));
    return object;
}

static json_t *bias(struct sidecar *s, qn_node_id n)
{
    const struct qn_node_plan *row = &s->plan->nodes[n];
    struct qn_use              at = qn_plan_bias(s->plan, n);
    json_t                    *object = tensor(s, input_name(s, at.node, at.slot), "bias");

    put_params(s, object, row->bias);
    put(s, object, "node", json_integer(n));
    return object;
}

bool qn_report_lists(const struct qn_plan *plan, qn_value_id v)
{
    return plan->tensors[v].quantized && plan->tensors[plan->tensors[v].group].params;
}

static json_t *tensors(struct sidecar *s)
{
    json_t *list = json_array();

    if (!s->plan) return list;
    for (qn_value_id v = 0; v < s->plan->graph->value_count; v++)
        if (qn_report_lists(s->plan, v))
            qn_json_append(&s->json, list, activation(s, v));
    for (qn_node_id n = 0; n < s->plan->graph->node_count; n++) {
        if (s->plan->recipe && s->plan->nodes[n].input) qn_json_append(&s->json, list, own_input(s, n));
        if (s->plan->nodes[n].blocks) qn_json_append(&s->json, list, weight_in_blocks(s, n));
        if (!s->plan->nodes[n].weight) continue;
        qn_json_append(&s->json, list, weight(s, n, qn_plan_weight_slot(&s->plan->nodes[n]), s->plan->nodes[n].weight));
        if (s->plan->nodes[n].recurrent) qn_json_append(&s->json, list, weight(s, n, 2, s->plan->nodes[n].recurrent));
        if (s->plan->nodes[n].bias) qn_json_append(&s->json, list, bias(s, n));
    }
    return list;
}

/* ---- nodes ---- */

static const char *decision(enum qn_reason reason)
{
    switch (reason) {
    case QN_REASON_QUANTIZED: return "quantized";
    case QN_REASON_FUSED: return "fused";
    case QN_REASON_MOVES_CODES: return "moves_codes";
    default: return "float";
    }
}

/* What is to compute it, and what does where that was read back. */
static void put_kernel(struct sidecar *s, json_t *object, qn_node_id n)
{
    const struct qn_kernels_found *found = s->report->kernels;
    const char                    *expected = qn_plan_kernel(s->plan, n);

    if (expected) put(s, object, "kernel", qn_json_text(expected));
    if (found && (expected || found->nodes[n].integer)) put(s, object, "kernel_found", qn_json_text(found->nodes[n].op));
}

/* The nested graph that the node is in, as the names of those around it. */
static void put_scope(struct sidecar *s, json_t *object, qn_node_id n)
{
    struct qn_strbuf path;

    if (s->plan->graph->scopes[n] == QN_NONE) return;
    qn_strbuf_init(&path);
    qn_node_put_path(s->plan->graph, n, &path);
    if (path.length) path.text[path.length - 1] = 0; /* the slash */
    put(s, object, "scope", qn_json_text(path.text));
    qn_strbuf_release(&path);
}

static void put_pairs(struct sidecar *s, json_t *object, const struct qn_node_plan *row)
{
    static const char *const words[] = {
        [QN_PAIRS_EXEMPT] = "exempt", [QN_PAIRS_FREE] = "full_range", [QN_PAIRS_HELD] = "held"
    };

    if (row->pairing == QN_PAIRS_UNASKED) return;
    put(s, object, "pairs", json_string(words[row->pairing]));
    if (row->pairing != QN_PAIRS_HELD) return;
    put(s, object, "pair_raised_channels", qn_json_uint(row->pair_raised));
    put(s, object, "pair_moved_codes", qn_json_uint(row->pair_moved));
}

static json_t *node(struct sidecar *s, qn_node_id n)
{
    const struct qn_node_plan *row = &s->plan->nodes[n];
    const Onnx__NodeProto     *pb = s->plan->graph->pb->node[n];
    json_t                    *object = json_object();

    put(s, object, "index", json_integer(n));
    put(s, object, "name", qn_json_text(pb->name ? pb->name : ""));
    put_scope(s, object, n);
    put(s, object, "op_type", qn_json_text(pb->op_type));
    put(s, object, "output", qn_json_text(pb->n_output ? pb->output[0] : ""));
    put(s, object, "decision", json_string(decision(row->reason)));
    if (!qn_reason_is_quantized(row->reason)) {
        put(s, object, "reason", json_string(qn_reason_name(row->reason)));
        put(s, object, "reason_text", json_string(qn_reason_text(row->reason)));
    }
    if (row->reason == QN_REASON_QUANTIZATION_ERROR) put_known(s, object, "sqnr_db", row->db);
    put_kernel(s, object, n);
    if (row->reason == QN_REASON_FUSED && row->fused_into != QN_NONE)
        put(s, object, "fused_into", json_integer(row->fused_into));
    if (row->accumulator_bits) put(s, object, "accumulator_bits", json_integer(row->accumulator_bits));
    if (row->weight || row->blocks) put_known(s, object, "weight_sqnr_db", qn_plan_weight_db(row));
    if (row->rounded) {
        json_t *rounding = json_object();
        put(s, rounding, "rows", qn_json_uint(row->rounded->rows));
        put_known(s, rounding, "gain_db", row->rounded->gain);
        put(s, object, "rounding", rounding);
    }
    if (!row->weight) return object;
    if (row->raised) put(s, object, "raised_channels", qn_json_uint(row->raised));
    put_pairs(s, object, row);
    return object;
}

static json_t *nodes(struct sidecar *s)
{
    json_t *list = json_array();
    for (qn_node_id n = 0; s->plan && n < s->plan->graph->node_count; n++)
        if (s->plan->nodes[n].reason != QN_REASON_SCOPE) qn_json_append(&s->json, list, node(s, n));
    return list;
}

/* ---- all ---- */

static void put_counts(struct sidecar *s, json_t *object)
{
    struct qn_plan_counts counts = qn_plan_count(s->plan);
    json_t               *left = json_object();
    size_t                reasons[QN_REASON_COUNT] = { 0 };

    put(s, object, "nodes", qn_json_uint(counts.nodes));
    put(s, object, "nodes_quantized", qn_json_uint(counts.quantized));
    put(s, object, "layers", qn_json_uint(counts.layers));
    put(s, object, "layers_quantized", qn_json_uint(counts.layers_quantized));
    for (qn_node_id n = 0; n < s->plan->graph->node_count; n++) reasons[s->plan->nodes[n].reason]++;
    for (enum qn_reason r = 0; r < QN_REASON_COUNT; r++)
        if (reasons[r] && !qn_reason_is_quantized(r) && r != QN_REASON_SCOPE) put(s, left, qn_reason_name(r), qn_json_uint(reasons[r]));
    put(s, object, "left_in_float", left);
    put(s, object, "candidates", qn_json_uint(s->report->candidates));
    if (s->report->kernels) put(s, object, "kernels_differ", qn_json_uint(s->report->kernels->differ));
    put(s, object, "judged_samples", qn_json_uint(s->report->judged_samples));
    put(s, object, "judged_sqnr_db",
        s->report->judged_samples ? qn_json_rounded(s->report->judged_sqnr, 2) : json_null());
    put(s, object, "judged_drop", s->report->judged_samples && s->report->judged_drop >= 0 ? qn_json_rounded(s->report->judged_drop, 2) : json_null());
}

static json_t *model(struct sidecar *s)
{
    uint64_t before = s->report->input_size + s->report->input_external, after = s->report->saved->total;
    json_t  *object = json_object();

    if (s->report->settings->preset_row->copy) {
        put(s, object, "identical",
            json_boolean(strcmp(s->report->saved->input.xxh3_128, s->report->saved->output.xxh3_128) == 0));
        put(s, object, "first_difference", qn_json_text(s->report->first_difference));
    }
    put(s, object, "size_ratio", after ? qn_json_rounded((double)before / (double)after, 4) : json_null());
    if (s->plan) put_counts(s, object);
    return object;
}

/* What was asked for, and of each weight what it got, and what its next better form would cost and save. */
static json_t *budget(struct sidecar *s)
{
    const struct qn_report *r = s->report;
    json_t                 *object, *list;

    if (!(r->size_wanted > 0)) return json_null();
    object = json_object();
    list = json_array();
    for (size_t i = 0; i < r->allotment_count; i++) {
        const struct qn_allotment *a = &r->allotments[i];
        json_t                    *weight = json_object();
        put(s, weight, "name", qn_json_text(a->name));
        put(s, weight, "node", json_integer(a->node));
        put(s, weight, "form", json_string(a->form));
        put(s, weight, "bytes", qn_json_uint(a->bytes));
        put(s, weight, "loss", qn_json_real((double)(float)a->loss));
        if (a->next_form) {
            put(s, weight, "next_form", json_string(a->next_form));
            put(s, weight, "next_bytes", qn_json_uint(a->next_bytes));
            put(s, weight, "next_loss", qn_json_real((double)(float)a->next_loss));
        }
        qn_json_append(&s->json, list, weight);
    }
    put(s, object, "of", json_string(r->settings->target_size ? "files" : "constants"));
    put(s, object, "asked_bytes", qn_json_uint((uint64_t)r->size_wanted));
    put(s, object, "bytes", qn_json_uint((uint64_t)r->size_made));
    put(s, object, "least_bytes", qn_json_uint((uint64_t)r->size_least));
    put(s, object, "weights", list);
    return object;
}

static json_t *texts(struct sidecar *s, const char *const *items, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) qn_json_append(&s->json, list, qn_json_text(items[i]));
    return list;
}

json_t *qn_report_object(const struct qn_report *report, struct qn_json *json)
{
    const struct qn_report *r = report;
    struct sidecar          s = { .report = report, .plan = report->plan };
    json_t                 *root = json_object();

    put(&s, root, "schema", json_string(SCHEMA));
    put(&s, root, "producer", qn_json_producer());
    put(&s, root, "options", options(&s));
    put(&s, root, "input", file(&s, r->input_path, r->input_size, r->input_opset, r->input_ir, &r->saved->input));
    put(&s, root, "output", output(&s));
    put(&s, root, "calibration", calibration(&s));
    if (r->ranges.kind) put(&s, root, "ranges", ranges(&s));
    put(&s, root, "passes", texts(&s, r->passes, r->pass_count));
    put(&s, root, "model", model(&s));
    put(&s, root, "warnings", r->warnings ? texts(&s, r->warnings->texts, r->warnings->count) : json_array());
    put(&s, root, "budget", budget(&s));
    put(&s, root, "sensitivity", qn_sensitivity_json(&s.json, r));
    put(&s, root, "nodes", nodes(&s));
    put(&s, root, "tensors", tensors(&s));
    json->failed |= s.json.failed;
    return root;
}

qonnx_status qn_report_json(const struct qn_report *report, struct qn_strbuf *json, qonnx_error *err)
{
    struct qn_json state = { false };
    json_t        *root = qn_report_object(report, &state);

    return qn_json_write(&state, root, json, err);
}
