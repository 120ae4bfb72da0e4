/* SPDX-License-Identifier: Apache-2.0 */
#include "forecast.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "onnx/dtype.h"
#include "onnx/scopes.h"
#include "onnx/tensor.h"
#include "wording.h"

/* ---- gathering ---- */

static uint64_t bytes_of(const Onnx__TensorProto *tensor, size_t *elements)
{
    const struct qn_dtype *dtype = qn_dtype_find(tensor->data_type);

    if (!dtype || qn_tensor_count(tensor, elements, NULL) != QONNX_OK) return *elements = 0;
    return (uint64_t)*elements / 8 * (unsigned)dtype->bits + ((uint64_t)*elements % 8 * (unsigned)dtype->bits + 7) / 8;
}

/* What the plan makes of a node's constant; NULL when it stays. */
static const char *form_of(struct qn_job *job, qn_node_id n, size_t slot)
{
    const struct qn_node_plan *row = &job->plan.nodes[n];
    const struct qn_use        bias = qn_plan_bias(&job->plan, n);
    const qn_value_id          v = qn_node_input(&job->graph, n, slot);
    const struct qn_qparams   *params = job->plan.tensors[v].quantized ? job->plan.tensors[v].params : NULL;

    if (row->blocks && slot == qn_plan_weight_slot(row))
        return qn_arena_printf(&job->arena, "%d bits, blocks of %zu", row->blocks->form.bits, row->blocks->form.block);
    if (row->weight && slot == qn_plan_weight_slot(row)) params = row->weight;
    if (row->recurrent && slot == 2) params = row->recurrent;
    if (row->bias && bias.node == n && bias.slot == slot) params = row->bias;
    return params ? params->type->name : NULL;
}

/* Constants of several nodes have the form that the first one asks for, or several. */
static qonnx_status list_constants(struct qn_job *job, struct qn_forecast *f, size_t *row_of)
{
    const struct qn_graph *g = &job->graph;

    for (qn_value_id v = 0; v < g->value_count; v++) {
        const struct qn_value *value = &g->values[v];
        struct qn_foretold    *row = &f->rows[f->count];

        row_of[v] = f->count;
        if (!value->init) continue;
        *row = (struct qn_foretold){
            .name = value->name, .node = "", .dims = value->init->dims, .rank = value->init->n_dims
        };
        row->before = bytes_of(value->init, &row->elements);
        row->is_float = value->init->data_type == QN_FLOAT || qn_dtype_is_half(value->init->data_type);
        for (uint32_t u = 0; u < value->use_count; u++) {
            const struct qn_use use = g->uses[value->use_at + u];
            const char         *name = g->pb->node[use.node]->name;
            if (u == 0 && name) row->node = name;
            if (use.slot != QN_SLOT_CAPTURED && !row->form) row->form = form_of(job, use.node, use.slot);
        }
        f->constants_before += row->before;
        f->count++;
    }
    return qn_arena_failed(&job->arena) ? qn_fail_nomem(job->err) : QONNX_OK;
}

/* New names are old ones with something behind: of what is a new constant made? */
static qn_value_id origin_of(const struct qn_graph *before, const char *name, struct qn_arena *arena)
{
    char *base = qn_arena_strdup(arena, name);

    for (char *end; base && (end = strrchr(base, '_'));) {
        qn_value_id v;
        *end = 0;
        if ((v = qn_graph_find(before, base)) != QN_NONE) return v;
    }
    return QN_NONE;
}

static void weigh(struct qn_job *job, struct qn_forecast *f, const size_t *row_of)
{
    const struct qn_graph *before = &job->graph, *after = &job->quantized;
    size_t                 elements;

    for (qn_value_id v = 0; v < after->value_count; v++) {
        const Onnx__TensorProto *t = after->values[v].init;
        qn_value_id              from;
        if (!t) continue;
        from = qn_graph_find(before, t->name);
        if (from == QN_NONE) from = origin_of(before, t->name, &job->arena);
        *(from != QN_NONE && before->values[from].init ? &f->rows[row_of[from]].after : &f->other) +=
            bytes_of(t, &elements);
    }
    f->constants_after = f->other;
    for (size_t i = 0; i < f->count; i++) f->constants_after += f->rows[i].after;
}

qonnx_status qn_forecast(struct qn_job *job, struct qn_forecast *f)
{
    const struct qn_save_options options = qn_job_save_options(job);
    size_t                      *row_of = qn_arena_array(&job->arena, job->graph.value_count, sizeof *row_of);

    memset(f, 0, sizeof *f);
    f->rows = qn_arena_array(&job->arena, job->graph.value_count, sizeof *f->rows);
    if (!row_of || !f->rows) return qn_fail_nomem(job->err);
    QN_TRY(list_constants(job, f, row_of));
    weigh(job, f, row_of);
    f->file_before = job->report.input_size + job->report.input_external;
    QN_TRY(
        qn_scopes_close(&job->model.pb->graph, &job->model, job->model.pb->graph, false, &job->model.arena, job->err));
    return qn_model_saved_size(&job->model, job->output && *job->output ? job->output : "model.onnx", &options,
                               &f->file_after, job->err);
}

/* ---- telling ---- */

static double bits_of(const struct qn_foretold *row)
{
    return row->elements ? (double)row->after * 8 / (double)row->elements : 0;
}

static void put_ratio(struct qn_strbuf *text, const char *what, uint64_t before, uint64_t after)
{
    qn_strbuf_printf(text, "%s", what);
    qn_put_size(text, before);
    qn_strbuf_puts(text, " -> ");
    qn_put_size(text, after);
    if (before && after)
        qn_strbuf_printf(text, " (%.2f times %s)\n",
                         before >= after ? (double)before / (double)after : (double)after / (double)before,
                         before >= after ? "smaller" : "larger");
}

/* What is told apart: what changes, and what stays though it is a matrix. */
static bool is_told(const struct qn_foretold *row) { return row->is_float && (row->form || row->rank > 1); }

static void put_row(const struct qn_foretold *row, struct qn_strbuf *text)
{
    qn_strbuf_printf(text, "  %12" PRIu64 "  %12" PRIu64 "  %6.2f  ", row->before, row->after, bits_of(row));
    qn_put_foreign(text, row->name);
    qn_strbuf_puts(text, " [");
    for (size_t i = 0; i < row->rank; i++) qn_strbuf_printf(text, "%s%" PRId64, i ? "," : "", row->dims[i]);
    qn_strbuf_printf(text, "]: %s\n", row->form ? row->form : "float");
}

void qn_forecast_text(const struct qn_forecast *f, struct qn_strbuf *text)
{
    uint64_t before = 0, after = 0;
    size_t   rest = 0;

    qn_strbuf_puts(text,
                   "constants: bytes before and after, bits of each element after, with scales and zero points\n");
    for (size_t i = 0; i < f->count; i++) {
        const struct qn_foretold *row = &f->rows[i];
        if (is_told(row)) {
            put_row(row, text);
            continue;
        }
        rest++;
        before += row->before;
        after += row->after;
    }
    if (rest)
        qn_strbuf_printf(text, "  %12" PRIu64 "  %12" PRIu64 "          %zu other%s\n", before, after, rest,
                         qn_plural(rest));
    if (f->other)
        qn_strbuf_printf(text,
                         "             0  %12" PRIu64
                         "          scales and zero points of activations, and other new constants\n",
                         f->other);
    qn_strbuf_printf(text, "  %12" PRIu64 "  %12" PRIu64 "          in all\n", f->constants_before, f->constants_after);
    put_ratio(text, "constants: ", f->constants_before, f->constants_after);
    put_ratio(text, "size:      ", f->file_before, f->file_after);
}

void qn_forecast_json(const struct qn_forecast *f, struct qn_json *json, json_t *object)
{
    json_t *list = json_array();

    for (size_t i = 0; i < f->count; i++) {
        const struct qn_foretold *row = &f->rows[i];
        json_t                   *item = json_object(), *shape = json_array();
        for (size_t k = 0; k < row->rank; k++) qn_json_append(json, shape, json_integer(row->dims[k]));
        qn_json_put(json, item, "name", qn_json_text(row->name));
        qn_json_put(json, item, "node", qn_json_text(row->node));
        qn_json_put(json, item, "shape", shape);
        qn_json_put(json, item, "form", row->form ? json_string(row->form) : json_null());
        qn_json_put(json, item, "bytes_before", qn_json_uint(row->before));
        qn_json_put(json, item, "bytes_after", qn_json_uint(row->after));
        qn_json_put(json, item, "bits", qn_json_rounded(bits_of(row), 3));
        qn_json_append(json, list, item);
    }
    qn_json_put(json, object, "file_bytes_before", qn_json_uint(f->file_before));
    qn_json_put(json, object, "file_bytes_after", qn_json_uint(f->file_after));
    qn_json_put(json, object, "constant_bytes_before", qn_json_uint(f->constants_before));
    qn_json_put(json, object, "constant_bytes_after", qn_json_uint(f->constants_after));
    qn_json_put(json, object, "other_bytes_after", qn_json_uint(f->other));
    qn_json_put(json, object, "constants", list);
}

/* ---- of a run ---- */

static void put_plan(const struct qn_job *job, struct qn_strbuf *text)
{
    const struct qn_plan_counts counts = qn_plan_count(&job->plan);

    qn_put_foreign(text, job->input);
    qn_strbuf_printf(text, ": with --preset %s --target %s, before any data are seen:\n", job->settings.preset,
                     job->settings.target);
    qn_strbuf_printf(text, "quantized: %zu of %zu nodes (%zu of %zu layer%s)\n", counts.quantized, counts.nodes,
                     counts.layers_quantized, counts.layers, qn_plural(counts.layers));
    qn_report_left_in_float(&job->plan, text);
}

static json_t *document(const struct qn_job *job, const struct qn_forecast *f, struct qn_json *json)
{
    const struct qn_plan_counts counts = qn_plan_count(&job->plan);
    json_t                     *root = json_object(), *warnings = json_array();

    for (size_t i = 0; i < job->warnings.count; i++)
        qn_json_append(json, warnings, qn_json_text(job->warnings.texts[i]));
    qn_json_put(json, root, "schema", json_string("qonnx-quantize/forecast/1"));
    qn_json_put(json, root, "producer", qn_json_producer());
    qn_json_put(json, root, "model", qn_json_base_name(job->input));
    qn_json_put(json, root, "preset", json_string(job->settings.preset));
    qn_json_put(json, root, "target", json_string(job->settings.target));
    qn_json_put(json, root, "format", json_string(job->settings.format));
    qn_json_put(json, root, "node_count", qn_json_uint(counts.nodes));
    qn_json_put(json, root, "quantized", qn_json_uint(counts.quantized));
    qn_json_put(json, root, "layers", qn_json_uint(counts.layers));
    qn_json_put(json, root, "layers_quantized", qn_json_uint(counts.layers_quantized));
    qn_json_put(json, root, "warnings", warnings);
    qn_forecast_json(f, json, root);
    return root;
}

qonnx_status qn_job_tell_forecast(struct qn_job *job, qonnx_result **result)
{
    struct qn_json     state = { false };
    struct qn_forecast forecast;
    struct qn_strbuf   text, json;
    qonnx_status       status = qn_forecast(job, &forecast);

    qn_strbuf_init(&text);
    qn_strbuf_init(&json);
    if (status == QONNX_OK) status = qn_json_write(&state, document(job, &forecast, &state), &json, job->err);
    if (status == QONNX_OK) {
        put_plan(job, &text);
        qn_forecast_text(&forecast, &text);
        if (result) status = qn_result_new(result, &text, &json, job->err);
    }
    qn_strbuf_release(&text);
    qn_strbuf_release(&json);
    return status;
}
