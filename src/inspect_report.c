/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/numerals.h"
#include "inspect.h"
#include "json_out.h"
#include "report.h"
#include "wording.h"

#define SCHEMA "qonnx-quantize/inspection/1"

/* ---- text ---- */

enum { COLUMNS = 9, CELL = 48 };

static const char *const heads[COLUMNS] = { "tensor", "role",  "type",       "bits", "signed",
                                            "narrow", "scale", "zero_point", "valid" };

/* Characters of UTF-8 text, which are what columns are aligned by. */
static size_t width(const char *text)
{
    size_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/* One number as it is, several as how many and from where to where. */
static void put_numbers(char *cell, const float *values, size_t count, int axis)
{
    float lo = values[0], hi = values[0];

    for (size_t i = 1; i < count; i++) {
        lo = fminf(lo, values[i]);
        hi = fmaxf(hi, values[i]);
    }
    if (count == 1)
        qn_snprintf(cell, CELL, "%.9g", (double)lo);
    else if (lo == hi)
        qn_snprintf(cell, CELL, "%.9g (%zu on axis %d)", (double)lo, count, axis);
    else
        qn_snprintf(cell, CELL, "%.4g..%.4g (%zu on axis %d)", (double)lo, (double)hi, count, axis);
}

static void fill_row(char row[COLUMNS][CELL], const struct qn_inspected *t)
{
    const struct qn_metadata *meta = &t->meta;

    for (size_t k = 0; k < COLUMNS; k++) qn_snprintf(row[k], CELL, "-");
    qn_snprintf(row[1], CELL, "%s", t->role);
    qn_snprintf(row[2], CELL, "%s", t->params ? t->params->type->name : meta->known ? "sum" : "float");
    qn_snprintf(row[8], CELL, "%s", t->broken ? "BROKEN" : meta->known ? "yes" : "no");
    if (!meta->known) return;
    qn_snprintf(row[3], CELL, "%d", meta->bits);
    qn_snprintf(row[4], CELL, "%s", meta->is_signed ? "yes" : "no");
    if (t->params) qn_snprintf(row[5], CELL, "%s", t->params->narrow ? "yes" : "no");
    put_numbers(row[6], meta->scale, meta->scale_count, meta->axis);
    put_numbers(row[7], meta->zero_point, meta->zero_count, meta->axis);
}

static void put_row(struct qn_strbuf *text, const char *name, char row[COLUMNS][CELL], const size_t *widths)
{
    qn_put_foreign(text, name);
    qn_strbuf_printf(text, "%*s", (int)(widths[0] - width(name)), "");
    for (size_t k = 1; k < COLUMNS; k++) qn_strbuf_printf(text, "  %-*s", k + 1 < COLUMNS ? (int)widths[k] : 0, row[k]);
    qn_strbuf_puts(text, "\n");
}

static void put_tensors(const struct qn_inspection *in, struct qn_strbuf *text)
{
    size_t widths[COLUMNS];
    char   row[COLUMNS][CELL];

    for (size_t k = 0; k < COLUMNS; k++) widths[k] = strlen(heads[k]);
    for (size_t i = 0; i < in->count; i++) {
        fill_row(row, &in->tensors[i]);
        if (width(in->tensors[i].name) > widths[0]) widths[0] = width(in->tensors[i].name);
        for (size_t k = 1; k < COLUMNS; k++)
            if (strlen(row[k]) > widths[k]) widths[k] = strlen(row[k]);
    }
    if (widths[0] > 80) widths[0] = 80;
    for (size_t k = 1; k < COLUMNS; k++) qn_snprintf(row[k], CELL, "%s", heads[k]);
    put_row(text, heads[0], row, widths);
    for (size_t i = 0; i < in->count; i++) {
        size_t one[COLUMNS];
        memcpy(one, widths, sizeof one);
        if (width(in->tensors[i].name) > one[0])
            one[0] = width(in->tensors[i].name); /* a longer name moves its row only */
        fill_row(row, &in->tensors[i]);
        put_row(text, in->tensors[i].name, row, one);
    }
}

static const char *decision(enum qn_reason reason)
{
    switch (reason) {
    case QN_REASON_QUANTIZED: return "quantized";
    case QN_REASON_FUSED: return "fused";
    case QN_REASON_MOVES_CODES: return "moves codes";
    default: return "float";
    }
}

static void put_nodes(const struct qn_inspection *in, struct qn_strbuf *text)
{
    size_t widest = strlen("node");

    for (qn_node_id n = 0; n < in->graph->node_count; n++) {
        size_t w = width(qn_node_label(in->graph, n));
        if (w > widest && w <= 80) widest = w;
    }
    for (qn_node_id n = 0; n < in->graph->node_count; n++) {
        const struct qn_node_plan *row = &in->lift->plan.nodes[n];
        const char                *label = qn_node_label(in->graph, n);
        size_t                     w = width(label);

        if (row->dropped || row->reason == QN_REASON_SCOPE) continue;
        qn_put_foreign(text, label);
        qn_strbuf_printf(text, "%*s  %s", w < widest ? (int)(widest - w) : 0, "", decision(row->reason));
        if (row->accumulator_bits) qn_strbuf_printf(text, ", sums of %d bits", row->accumulator_bits);
        if (!qn_reason_is_quantized(row->reason)) qn_strbuf_printf(text, ": %s", qn_reason_text(row->reason));
        qn_strbuf_puts(text, "\n");
    }
}

static void put_rest(const struct qn_inspection *in, struct qn_strbuf *text)
{
    for (size_t i = 0; i < in->lift->note_count; i++) {
        qn_put_foreign(text, in->lift->notes[i].node);
        qn_strbuf_printf(text, " is not understood: %s\n", in->lift->notes[i].reason);
    }
    for (size_t i = 0; i < in->remark_count; i++) {
        qn_put_foreign(text, in->remarks[i]);
        qn_strbuf_puts(text, "\n");
    }
    if (in->checked)
        qn_strbuf_printf(text, "checked: %zu constant%s, %zu broken\n", in->checked_count, qn_plural(in->checked_count),
                         in->broken_count);
}

static void put_producer(const struct qn_model_facts *facts, struct qn_strbuf *text)
{
    if (*facts->producer) qn_strbuf_puts(text, ", made by ");
    qn_put_foreign(text, facts->producer);
    if (*facts->producer && *facts->producer_version) qn_strbuf_puts(text, " ");
    if (*facts->producer) qn_put_foreign(text, facts->producer_version);
    qn_strbuf_puts(text, "\n");
}

static void put_quantizers(const struct qn_inspection *in, struct qn_strbuf *text)
{
    size_t weights = 0, biases = 0, others = 0;

    for (size_t i = 0; i < in->count; i++) {
        if (!in->tensors[i].params) continue;
        weights += strcmp(in->tensors[i].role, "weight") == 0;
        biases += strcmp(in->tensors[i].role, "bias") == 0;
        others += strcmp(in->tensors[i].role, "weight") != 0 && strcmp(in->tensors[i].role, "bias") != 0;
    }
    if (!weights && !biases && !others) return;
    qn_strbuf_printf(text, "quantized: %zu weight%s, %zu bias%s, %zu other tensor%s\n", weights, qn_plural(weights), biases,
                     biases == 1 ? "" : "es", others, qn_plural(others));
}

static void put_dry_run(const struct qn_inspection *in, struct qn_strbuf *text)
{
    const struct qn_plan_counts counts = qn_plan_count(in->would);

    qn_strbuf_printf(text,
                     "\nwith --preset %s --target %s, before any data are seen: %zu of %zu nodes would be quantized (%zu of "
                     "%zu layer%s)\n",
                     in->settings->preset, in->settings->target, counts.quantized, counts.nodes, counts.layers_quantized,
                     counts.layers, qn_plural(counts.layers));
    qn_report_left_in_float(in->would, text);
    qn_forecast_text(&in->forecast, text);
}

qonnx_status qn_inspection_text(const struct qn_inspection *in, struct qn_strbuf *text, qonnx_error *err)
{
    qn_put_foreign(text, in->path);
    qn_strbuf_printf(text, ": %s, opset %" PRId64 ", IR version %" PRId64, qn_lift_format(in->lift), in->opset, in->ir);
    put_producer(&in->facts, text);
    qn_model_facts_text(&in->facts, text);
    put_quantizers(in, text);
    if (in->would) put_dry_run(in, text);
    qn_strbuf_puts(text, "\n");
    put_tensors(in, text);
    qn_strbuf_puts(text, "\n");
    put_nodes(in, text);
    if (in->lift->note_count || in->remark_count || in->checked) qn_strbuf_puts(text, "\n");
    put_rest(in, text);
    return text->failed ? qn_fail_nomem(err) : QONNX_OK;
}

/* ---- JSON ---- */

static json_t *number(float value)
{
    return value == rintf(value) && fabsf(value) < 0x1p53f ? json_integer((json_int_t)value)
                                                           : qn_json_real((double)value);
}

/* A number, or a list along the axis. */
static json_t *numbers(struct qn_json *json, const float *values, size_t count)
{
    json_t *list;

    if (count == 1) return number(values[0]);
    list = json_array();
    for (size_t i = 0; i < count; i++) qn_json_append(json, list, number(values[i]));
    return list;
}

static json_t *tensor(struct qn_json *json, const struct qn_inspected *t)
{
    json_t *object = json_object();

    qn_json_put(json, object, "name", qn_json_text(t->name));
    qn_json_put(json, object, "role", json_string(t->role));
    qn_json_put(json, object, "node", qn_json_text(t->node));
    qn_json_put(json, object, "valid", json_boolean(t->meta.known && !t->broken));
    if (!t->meta.known) return object;
    qn_json_put(json, object, "quantizer", json_boolean(t->params != NULL));
    if (t->params) qn_json_put(json, object, "type", json_string(t->params->type->name));
    qn_json_put(json, object, "bit_width", json_integer(t->meta.bits));
    qn_json_put(json, object, "signed", json_boolean(t->meta.is_signed));
    if (t->params) qn_json_put(json, object, "narrow", json_boolean(t->params->narrow));
    qn_json_put(json, object, "scale", numbers(json, t->meta.scale, t->meta.scale_count));
    qn_json_put(json, object, "zero_point", numbers(json, t->meta.zero_point, t->meta.zero_count));
    if (t->meta.axis >= 0) qn_json_put(json, object, "axis", json_integer(t->meta.axis));
    return object;
}

static json_t *node(struct qn_json *json, const struct qn_inspection *in, qn_node_id n)
{
    const struct qn_node_plan *row = &in->lift->plan.nodes[n];
    const Onnx__NodeProto     *pb = in->graph->pb->node[n];
    json_t                    *object = json_object();

    qn_json_put(json, object, "name", qn_json_text(pb->name ? pb->name : ""));
    qn_json_put(json, object, "op_type", qn_json_text(pb->op_type));
    qn_json_put(json, object, "output", qn_json_text(pb->n_output ? pb->output[0] : ""));
    qn_json_put(json, object, "decision",
                json_string(row->reason == QN_REASON_MOVES_CODES ? "moves_codes" : decision(row->reason)));
    if (!qn_reason_is_quantized(row->reason))
        qn_json_put(json, object, "reason", json_string(qn_reason_name(row->reason)));
    if (row->accumulator_bits) qn_json_put(json, object, "accumulator_bits", json_integer(row->accumulator_bits));
    return object;
}

static json_t *notes(struct qn_json *json, const struct qn_inspection *in)
{
    json_t *list = json_array();

    for (size_t i = 0; i < in->lift->note_count; i++) {
        json_t *object = json_object();
        qn_json_put(json, object, "output", qn_json_text(in->lift->notes[i].output));
        qn_json_put(json, object, "reason", qn_json_text(in->lift->notes[i].reason));
        qn_json_append(json, list, object);
    }
    return list;
}

static json_t *dry_run(struct qn_json *json, const struct qn_inspection *in)
{
    struct qn_plan_counts counts;
    json_t               *object, *nodes;

    if (!in->would) return json_null();
    counts = qn_plan_count(in->would);
    object = json_object();
    nodes = json_array();
    for (qn_node_id n = 0; n < in->would->graph->node_count; n++) {
        const enum qn_reason   reason = in->would->nodes[n].reason;
        const Onnx__NodeProto *pb = in->would->graph->pb->node[n];
        json_t                *row;
        if (in->would->nodes[n].dropped || reason == QN_REASON_SCOPE) continue;
        row = json_object();
        qn_json_put(json, row, "name", qn_json_text(pb->name ? pb->name : ""));
        qn_json_put(json, row, "op_type", qn_json_text(pb->op_type));
        qn_json_put(json, row, "quantized", json_boolean(qn_reason_is_quantized(reason)));
        if (!qn_reason_is_quantized(reason)) qn_json_put(json, row, "reason", json_string(qn_reason_name(reason)));
        qn_json_append(json, nodes, row);
    }
    qn_json_put(json, object, "preset", json_string(in->settings->preset));
    qn_json_put(json, object, "target", json_string(in->settings->target));
    qn_json_put(json, object, "quantized", qn_json_uint(counts.quantized));
    qn_json_put(json, object, "layers", qn_json_uint(counts.layers));
    qn_json_put(json, object, "layers_quantized", qn_json_uint(counts.layers_quantized));
    qn_json_put(json, object, "nodes", nodes);
    qn_forecast_json(&in->forecast, json, object);
    return object;
}

static json_t *check(struct qn_json *json, const struct qn_inspection *in)
{
    json_t *object;

    if (!in->checked) return json_null();
    object = json_object();
    qn_json_put(json, object, "constants", qn_json_uint(in->checked_count));
    qn_json_put(json, object, "broken", qn_json_uint(in->broken_count));
    return object;
}

qonnx_status qn_inspection_json(const struct qn_inspection *in, struct qn_strbuf *text, qonnx_error *err)
{
    struct qn_json json = { false };
    json_t        *root = json_object(), *tensors = json_array(), *nodes = json_array(), *remarks = json_array();

    for (size_t i = 0; i < in->count; i++) qn_json_append(&json, tensors, tensor(&json, &in->tensors[i]));
    for (qn_node_id n = 0; n < in->graph->node_count; n++)
        if (!in->lift->plan.nodes[n].dropped && in->lift->plan.nodes[n].reason != QN_REASON_SCOPE) qn_json_append(&json, nodes, node(&json, in, n));
    for (size_t i = 0; i < in->remark_count; i++) qn_json_append(&json, remarks, qn_json_text(in->remarks[i]));
    qn_json_put(&json, root, "schema", json_string(SCHEMA));
    qn_json_put(&json, root, "producer", qn_json_producer());
    qn_json_put(&json, root, "model", qn_json_base_name(in->path));
    qn_json_put(&json, root, "format", json_string(qn_lift_format(in->lift)));
    qn_json_put(&json, root, "opset", json_integer(in->opset));
    qn_json_put(&json, root, "ir_version", json_integer(in->ir));
    qn_model_facts_json(&in->facts, &json, root);
    qn_json_put(&json, root, "dry_run", dry_run(&json, in));
    qn_json_put(&json, root, "check", check(&json, in));
    qn_json_put(&json, root, "remarks", remarks);
    qn_json_put(&json, root, "not_understood", notes(&json, in));
    qn_json_put(&json, root, "tensors", tensors);
    qn_json_put(&json, root, "nodes", nodes);
    return qn_json_write(&json, root, text, err);
}
