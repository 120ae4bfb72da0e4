/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/numerals.h"
#include "evaluate.h"
#include "json_out.h"
#include "onnx/dtype.h"
#include "wording.h"

/* ---- text ---- */

enum { COLUMNS = 8, CELL = 32 };

/* Characters of UTF-8 text, which are what columns are aligned by. */
static size_t width(const char *text)
{
    size_t n = 0;
    for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void decibel(char *cell, double value)
{
    qn_snprintf(cell, CELL, isfinite(value) ? "%.2f" : value > 0 ? "equal" : isnan(value) ? "-" : "-inf", value);
}

static void share(char *cell, uint64_t part, uint64_t whole)
{
    if (whole)
        qn_snprintf(cell, CELL, "%.2f %%", 100 * ((double)part / (double)whole));
    else
        qn_snprintf(cell, CELL, "-");
}

static void fill_row(char row[COLUMNS][CELL], const struct qn_output_comparison *o)
{
    row[0][0] = 0; /* the name, which may be longer than a cell */
    qn_snprintf(row[1], CELL, "%" PRIu64, o->elements);
    decibel(row[2], o->sqnr);
    decibel(row[3], o->sqnr_min);
    qn_snprintf(row[4], CELL, "%.6f", o->cosine);
    qn_snprintf(row[5], CELL, "%.4g", o->max_error);
    qn_snprintf(row[6], CELL, "%.4g", o->mean_error);
    share(row[7], o->top1_agree, o->top1_count);
}

static const char *const heads[COLUMNS] = { "output", "elements",  "SQNR dB",    "worst sample",
                                            "cosine", "max error", "mean error", "same top-1" };

static void put_row(struct qn_strbuf *text, const char *name, char row[COLUMNS][CELL], const size_t *widths)
{
    qn_put_foreign(text, name);
    qn_strbuf_printf(text, "%*s", (int)(widths[0] - width(name)), "");
    for (size_t k = 1; k < COLUMNS; k++) qn_strbuf_printf(text, "  %*s", (int)widths[k], row[k]);
    qn_strbuf_puts(text, "\n");
}

static void put_table(const struct qn_comparison *c, struct qn_strbuf *text)
{
    size_t widths[COLUMNS], floats = 0;
    char   row[COLUMNS][CELL];

    for (size_t k = 0; k < COLUMNS; k++) widths[k] = strlen(heads[k]);
    for (size_t i = 0; i < c->output_count; i++) {
        if (!c->outputs[i].is_float) continue;
        floats++;
        fill_row(row, &c->outputs[i]);
        for (size_t k = 0; k < COLUMNS; k++) {
            size_t w = k ? strlen(row[k]) : width(c->outputs[i].name);
            if (w > widths[k]) widths[k] = w;
        }
    }
    if (!floats) return;
    for (size_t k = 0; k < COLUMNS; k++) qn_snprintf(row[k], CELL, "%s", heads[k]);
    put_row(text, heads[0], row, widths);
    for (size_t i = 0; i < c->output_count; i++) {
        if (!c->outputs[i].is_float) continue;
        fill_row(row, &c->outputs[i]);
        put_row(text, c->outputs[i].name, row, widths);
    }
}

static void put_others(const struct qn_comparison *c, struct qn_strbuf *text)
{
    for (size_t i = 0; i < c->output_count; i++) {
        const struct qn_output_comparison *o = &c->outputs[i];
        if (!o->is_float) {
            qn_put_foreign(text, o->name);
            qn_strbuf_printf(text, " (%s): %" PRIu64 " of %" PRIu64 " elements differ\n", qn_dtype_name(o->dtype),
                             o->unequal, o->elements);
        } else if (o->nonfinite) {
            qn_put_foreign(text, o->name);
            qn_strbuf_printf(text,
                             ": %" PRIu64
                             " elements are NaN or infinite in one model only, and left out of the figures\n",
                             o->nonfinite);
        }
    }
}

static void put_labels(const struct qn_evaluation *e, struct qn_strbuf *text)
{
    const struct qn_comparison *c = e->comparison;
    double whole = (double)c->label_count, right[2] = { (double)c->label_right[0], (double)c->label_right[1] };
    double lost = 100 * (right[0] - right[1]) / whole;

    if (c->label_kind == QN_LABELS_NONE || !c->label_count) return;
    qn_strbuf_puts(text, "right by ");
    qn_put_base_name(text, e->settings->labels ? e->settings->labels : "labels");
    qn_strbuf_puts(text, " (output ");
    qn_put_foreign(text, c->outputs[c->label_output].name);
    qn_strbuf_printf(text, "): %.2f %% -> %.2f %%, ", 100 * right[0] / whole, 100 * right[1] / whole);
    if (c->label_right[0] == c->label_right[1])
        qn_strbuf_puts(text, "no change");
    else
        qn_strbuf_printf(text, "%.2f points %s", fabs(lost), lost > 0 ? "lost" : "gained");
    qn_strbuf_printf(text, " (%" PRIu64 " and %" PRIu64 " of %" PRIu64 ")\n", c->label_right[0], c->label_right[1],
                     c->label_count);
}

static void put_times(const struct qn_comparison *c, struct qn_strbuf *text)
{
    double first = c->cpu_seconds[0], second = c->cpu_seconds[1];

    if (!(first > 0) || !(second > 0)) return;
    qn_strbuf_printf(text, "CPU time of a run: %.4g ms -> %.4g ms (%.2f times %s)\n", first * 1e3, second * 1e3,
                     first >= second ? first / second : second / first, first >= second ? "faster" : "slower");
}

qonnx_status qn_evaluation_text(const struct qn_evaluation *e, struct qn_strbuf *text, qonnx_error *err)
{
    qn_put_foreign(text, e->first);
    qn_strbuf_puts(text, " -> ");
    qn_put_foreign(text, e->second);
    qn_strbuf_printf(text, ", %zu sample%s of ", e->comparison->samples, qn_plural(e->comparison->samples));
    qn_put_base_name(text, e->settings->calib);
    qn_strbuf_puts(text, e->settings->exact ? ", exact arithmetic\n" : "\n");
    put_table(e->comparison, text);
    put_others(e->comparison, text);
    put_labels(e, text);
    put_times(e->comparison, text);
    return text->failed ? qn_fail_nomem(err) : QONNX_OK;
}

/* ---- JSON ---- */

static json_t *model(struct qn_json *json, const char *path)
{
    json_t *object = json_object();
    qn_json_put(json, object, "name", qn_json_base_name(path));
    return object;
}

static json_t *data(struct qn_json *json, const struct qn_evaluation *e)
{
    json_t *object = json_object();

    qn_json_put(json, object, "source", qn_json_base_name(e->settings->calib));
    qn_json_put(json, object, "samples", qn_json_uint(e->comparison->samples));
    qn_json_put(json, object, "digest", json_string(e->data->digest));
    qn_json_put(json, object, "seed", e->settings->shuffle ? json_integer(e->settings->seed) : json_null());
    qn_json_put(json, object, "nan_count", qn_json_uint(e->data->nan_count));
    qn_json_put(json, object, "inf_count", qn_json_uint(e->data->inf_count));
    qn_json_put(json, object, "notes", qn_json_lines(e->data->notes ? e->data->notes : ""));
    return object;
}

static json_t *output(struct qn_json *json, const struct qn_output_comparison *o)
{
    json_t *object = json_object();

    qn_json_put(json, object, "name", qn_json_text(o->name));
    qn_json_put(json, object, "dtype", json_string(qn_dtype_name(o->dtype)));
    qn_json_put(json, object, "elements", qn_json_uint(o->elements));
    qn_json_put(json, object, "unequal", qn_json_uint(o->unequal));
    if (!o->is_float) return object;
    qn_json_put(json, object, "nonfinite", qn_json_uint(o->nonfinite));
    qn_json_put(json, object, "sqnr_db", qn_json_real(o->sqnr));
    qn_json_put(json, object, "worst_sample_sqnr_db", qn_json_real(o->sqnr_min));
    qn_json_put(json, object, "cosine", qn_json_real(o->cosine));
    qn_json_put(json, object, "max_error", qn_json_real(o->max_error));
    qn_json_put(json, object, "mean_error", qn_json_real(o->mean_error));
    if (!o->top1_count) return object;
    qn_json_put(json, object, "top1_count", qn_json_uint(o->top1_count));
    qn_json_put(json, object, "top1_agree", qn_json_uint(o->top1_agree));
    qn_json_put(json, object, "agreement", qn_json_real((double)o->top1_agree / (double)o->top1_count));
    return object;
}

static json_t *labels(struct qn_json *json, const struct qn_evaluation *e)
{
    const struct qn_comparison *c = e->comparison;
    json_t                     *object;
    double                      share[2];

    if (c->label_kind == QN_LABELS_NONE) return json_null();
    object = json_object();
    for (int k = 0; k < 2; k++) share[k] = (double)c->label_right[k] / (double)c->label_count;
    qn_json_put(json, object, "source", e->settings->labels ? qn_json_base_name(e->settings->labels) : json_null());
    qn_json_put(json, object, "kind", json_string(c->label_kind == QN_LABELS_BINARY ? "binary" : "class"));
    qn_json_put(json, object, "output", qn_json_text(c->outputs[c->label_output].name));
    qn_json_put(json, object, "count", qn_json_uint(c->label_count));
    qn_json_put(json, object, "first_right", qn_json_uint(c->label_right[0]));
    qn_json_put(json, object, "second_right", qn_json_uint(c->label_right[1]));
    qn_json_put(json, object, "first_top1", qn_json_real(share[0]));
    qn_json_put(json, object, "second_top1", qn_json_real(share[1]));
    qn_json_put(json, object, "drop_points",
                qn_json_real(100 * ((double)c->label_right[0] - (double)c->label_right[1]) / (double)c->label_count));
    return object;
}

static json_t *times(struct qn_json *json, const struct qn_comparison *c)
{
    json_t *object;

    if (!(c->cpu_seconds[0] > 0) || !(c->cpu_seconds[1] > 0)) return json_null();
    object = json_object();
    qn_json_put(json, object, "first", qn_json_real(c->cpu_seconds[0]));
    qn_json_put(json, object, "second", qn_json_real(c->cpu_seconds[1]));
    qn_json_put(json, object, "speedup", qn_json_rounded(c->cpu_seconds[0] / c->cpu_seconds[1], 4));
    return object;
}

static json_t *demand(struct qn_json *json, const struct qn_demand *d)
{
    json_t *object = json_object();

    qn_json_put(json, object, "figure", json_string(qn_figure_name(d->figure)));
    qn_json_put(json, object, "bound", qn_json_real(d->bound));
    qn_json_put(json, object, "value", qn_json_real(d->value));
    qn_json_put(json, object, "output", qn_json_text(d->output));
    qn_json_put(json, object, "met", json_boolean(d->met));
    return object;
}

qonnx_status qn_evaluation_json(const struct qn_evaluation *e, struct qn_strbuf *text, qonnx_error *err)
{
    struct qn_json json = { false };
    json_t        *root = json_object(), *outputs = json_array(), *demands = json_array();

    for (size_t i = 0; i < e->comparison->output_count; i++)
        qn_json_append(&json, outputs, output(&json, &e->comparison->outputs[i]));
    for (size_t i = 0; i < e->demand_count; i++) qn_json_append(&json, demands, demand(&json, &e->demands[i]));
    qn_json_put(&json, root, "schema", json_string("qonnx-quantize/comparison/1"));
    qn_json_put(&json, root, "producer", qn_json_producer());
    qn_json_put(&json, root, "first", model(&json, e->first));
    qn_json_put(&json, root, "second", model(&json, e->second));
    qn_json_put(&json, root, "exact", json_boolean(e->settings->exact));
    qn_json_put(&json, root, "runtime", qn_json_text(e->runtime));
    qn_json_put(&json, root, "data", data(&json, e));
    qn_json_put(&json, root, "outputs", outputs);
    qn_json_put(&json, root, "labels", labels(&json, e));
    qn_json_put(&json, root, "cpu_seconds_per_run", times(&json, e->comparison));
    qn_json_put(&json, root, "demands", demands);
    return qn_json_write(&json, root, text, err);
}
