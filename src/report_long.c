/* SPDX-License-Identifier: Apache-2.0
 * What --report says beyond the sidecar: sizes and errors by layer, histograms by tensor. docs/report.md says what each
 * field means. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/block_weight.h"
#include "report.h"
#include "wording.h"

#define SCHEMA "qonnx-quantize/report/1"

enum { COLUMNS = 64 /* of a histogram */ };

/* ---- sizes ---- */

/* Of a node's constants, as they come and as they are written. */
struct bytes {
    uint64_t before, after;
};

/* Scales and zero points that a constant gets. */
static uint64_t params_bytes(const struct qn_qparams *params) { return params->count * (sizeof(float) + params->type->code_size); }

static struct bytes bytes_of(const struct qn_plan *plan, qn_node_id n)
{
    const struct qn_node_plan *row = &plan->nodes[n];
    struct bytes               sum = { 0, 0 };

    for (size_t slot = 0; slot < plan->graph->pb->node[n]->n_input; slot++) {
        const Onnx__TensorProto  *tensor = qn_node_constant(plan->graph, n, slot);
        const struct qn_dtype    *type = tensor ? qn_dtype_find(tensor->data_type) : NULL;
        const struct qn_qparams  *params = NULL;
        size_t                    count;
        if (!type || qn_tensor_count(tensor, &count, NULL) != QONNX_OK) continue;
        if (row->blocks && slot == qn_plan_weight_slot(row)) {
            sum.before += ((uint64_t)count * (unsigned)type->bits + 7) / 8;
            sum.after += qn_block_weight_bytes(plan, n, &row->blocks->form);
            continue;
        }
        if (row->weight && slot == qn_plan_weight_slot(row)) params = row->weight;
        if (row->recurrent && slot == 2) params = row->recurrent;
        if (row->bias && qn_plan_bias(plan, n).node == n && slot == qn_plan_bias(plan, n).slot) params = row->bias;
        sum.before += ((uint64_t)count * (unsigned)type->bits + 7) / 8;
        sum.after += params ? (uint64_t)count * params->type->code_size + params_bytes(params)
                            : ((uint64_t)count * (unsigned)type->bits + 7) / 8;
    }
    return sum;
}

/* ---- JSON ---- */

static void put_db(struct qn_json *json, json_t *object, const char *key, const char *equal, double db)
{
    if (isfinite(db)) qn_json_put(json, object, key, qn_json_rounded(db, 2));
    if (db == INFINITY) qn_json_put(json, object, equal, json_true());
}

static void put_node(const struct qn_report *report, struct qn_json *json, json_t *object, qn_node_id n)
{
    const struct bytes bytes = bytes_of(report->plan, n);

    if (qn_rule_is_layer(report->plan->nodes[n].rule)) qn_json_put(json, object, "layer", json_true());
    if (bytes.before || bytes.after) {
        qn_json_put(json, object, "bytes_before", qn_json_uint(bytes.before));
        qn_json_put(json, object, "bytes_after", qn_json_uint(bytes.after));
    }
    if (!report->layer_errors) return;
    put_db(json, object, "alone_db", "alone_equal", report->layer_errors[n].alone);
    put_db(json, object, "together_db", "together_equal", report->layer_errors[n].together);
}

/* The bins of what was seen, drawn together; a bin counts where its middle lies. */
static json_t *histogram(struct qn_json *json, const struct qn_stats *stats)
{
    const struct qn_histogram *h = stats->histogram;
    const double               from = (double)stats->min, width = ((double)stats->max - from) / COLUMNS;
    uint64_t                   counts[COLUMNS] = { 0 };
    json_t                    *object = json_object(), *list = json_array();

    for (size_t i = 0; i <= QN_HISTOGRAM_BINS; i++) {
        const bool   zero = i == QN_HISTOGRAM_BINS;
        const double middle = zero ? 0 : qn_histogram_edge(h, i) + qn_histogram_width(h) / 2;
        const double column = width > 0 ? fmin(fmax((middle - from) / width, 0), COLUMNS - 1) : 0;
        counts[(size_t)column] += zero ? h->zeros : h->bins[i];
    }
    for (size_t i = 0; i < COLUMNS; i++) qn_json_append(json, list, qn_json_uint(counts[i]));
    qn_json_put(json, object, "min", qn_json_real((double)stats->min));
    qn_json_put(json, object, "max", qn_json_real((double)stats->max));
    qn_json_put(json, object, "counts", list);
    return object;
}

static void put_histograms(const struct qn_report *report, struct qn_json *json, const json_t *tensors)
{
    const struct qn_plan *plan = report->plan;
    size_t                at = 0;

    for (qn_value_id v = 0; v < plan->graph->value_count; v++) {
        const struct qn_stats *stats = report->stats ? report->stats[v] : NULL;
        json_t                *object;
        if (!qn_report_lists(plan, v)) continue;
        object = json_array_get(tensors, at++);
        if (stats && stats->histogram && stats->min <= stats->max && qn_histogram_total(stats->histogram))
            qn_json_put(json, object, "histogram", histogram(json, stats));
    }
}

static json_t *long_object(const struct qn_report *report, struct qn_json *json)
{
    json_t *root = qn_report_object(report, json), *errors = json_object(), *object;
    size_t  i;

    qn_json_put(json, root, "schema", json_string(SCHEMA));
    qn_json_put(json, errors, "samples", qn_json_uint(report->layer_errors ? report->layer_error_samples : 0));
    qn_json_put(json, errors, "not_measured", qn_json_text(report->no_layer_errors));
    qn_json_put(json, root, "layer_errors", errors);
    if (!report->plan) return root;
    json_array_foreach(json_object_get(root, "nodes"), i, object)
        put_node(report, json, object, (qn_node_id)json_integer_value(json_object_get(object, "index")));
    put_histograms(report, json, json_object_get(root, "tensors"));
    return root;
}

qonnx_status qn_report_long_json(const struct qn_report *report, struct qn_strbuf *json, qonnx_error *err)
{
    struct qn_json state = { false };
    json_t        *root = long_object(report, &state);

    return qn_json_write(&state, root, json, err);
}

/* ---- text ---- */

static void put_figure(struct qn_strbuf *text, double db)
{
    if (isnan(db))
        qn_strbuf_puts(text, "       -");
    else if (db == INFINITY)
        qn_strbuf_puts(text, "   equal");
    else
        qn_strbuf_printf(text, "  %6.1f", db);
}

static void put_row(const struct qn_report *report, struct qn_strbuf *text, qn_node_id n)
{
    const struct qn_node_plan  *row = &report->plan->nodes[n];
    const Onnx__NodeProto      *pb = report->plan->graph->pb->node[n];
    const struct bytes          bytes = bytes_of(report->plan, n);
    const struct qn_layer_error none = { NAN, NAN }, *error = report->layer_errors ? &report->layer_errors[n] : &none;

    put_figure(text, error->alone);
    put_figure(text, error->together);
    qn_strbuf_printf(text, "  %12" PRIu64 "  %12" PRIu64 "  ", bytes.before, bytes.after);
    qn_node_put_path(report->plan->graph, n, text);
    qn_put_foreign(text, pb->name && *pb->name ? pb->name : pb->n_output ? pb->output[0] : "");
    qn_strbuf_puts(text, " (");
    qn_put_foreign(text, pb->op_type);
    qn_strbuf_printf(text, ")%s%s\n", qn_reason_is_quantized(row->reason) ? "" : ": ",
                     qn_reason_is_quantized(row->reason) ? "" : qn_reason_text(row->reason));
}

qonnx_status qn_report_long_text(const struct qn_report *report, struct qn_strbuf *text, qonnx_error *err)
{
    QN_TRY(qn_report_text(report, text, err));
    for (size_t i = 0; report->warnings && i < report->warnings->count; i++) {
        qn_strbuf_puts(text, "warning: ");
        qn_put_foreign(text, report->warnings->texts[i]);
        qn_strbuf_puts(text, "\n");
    }
    if (report->plan) {
        qn_strbuf_puts(text, "\nlayers and other quantized nodes: dB kept alone and together with all before, bytes of constants before and after\n");
        if (report->no_layer_errors) qn_strbuf_printf(text, "(errors were not measured: %s)\n", report->no_layer_errors);
        for (qn_node_id n = 0; n < report->plan->graph->node_count; n++)
            if (qn_rule_is_layer(report->plan->nodes[n].rule) || report->plan->nodes[n].reason == QN_REASON_QUANTIZED)
                put_row(report, text, n);
    }
    return text->failed ? qn_fail_nomem(err) : QONNX_OK;
}
