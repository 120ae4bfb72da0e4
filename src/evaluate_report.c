/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numerals.h"
#include "evaluate.h"
#include "onnx/dtype.h"
#include "wording.h"

/* ---- text ---- */

enum { COLUMNS = 9, CELL = 32, SHOWN_SAMPLES = 3, SHOWN_TENSORS = 20 };

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
    qn_snprintf(row[7], CELL, "%.3g %%", 100 * o->relative);
    share(row[8], o->top1_agree, o->top1_count);
}

static const char *const heads[COLUMNS] = { "output",    "elements",   "SQNR dB",  "worst sample", "cosine",
                                            "max error", "mean error", "relative", "same top-1" };

static void put_row(struct qn_strbuf *text, const char *name, char row[COLUMNS][CELL], size_t columns,
                    const size_t *widths)
{
    qn_put_foreign(text, name);
    qn_strbuf_printf(text, "%*s", (int)(widths[0] - width(name)), "");
    for (size_t k = 1; k < columns; k++) qn_strbuf_printf(text, "  %*s", (int)widths[k], row[k]);
    qn_strbuf_puts(text, "\n");
}

/* The first so many columns of what is float. */
static void put_table(const struct qn_output_comparison *const *list, size_t count, const char *what, size_t columns,
                      struct qn_strbuf *text)
{
    size_t widths[COLUMNS], floats = 0;
    char   row[COLUMNS][CELL];

    for (size_t k = 0; k < columns; k++) widths[k] = strlen(k ? heads[k] : what);
    for (size_t i = 0; i < count; i++) {
        if (!list[i]->is_float) continue;
        floats++;
        fill_row(row, list[i]);
        for (size_t k = 0; k < columns; k++) {
            size_t w = k ? strlen(row[k]) : width(list[i]->name);
            if (w > widths[k]) widths[k] = w;
        }
    }
    if (!floats) return;
    for (size_t k = 0; k < columns; k++) qn_snprintf(row[k], CELL, "%s", heads[k]);
    put_row(text, what, row, columns, widths);
    for (size_t i = 0; i < count; i++) {
        if (!list[i]->is_float) continue;
        fill_row(row, list[i]);
        put_row(text, list[i]->name, row, columns, widths);
    }
}

static qonnx_status put_outputs(const struct qn_comparison *c, struct qn_strbuf *text, qonnx_error *err)
{
    const struct qn_output_comparison **list = calloc(c->output_count + 1, sizeof *list);

    if (!list) return qn_fail_nomem(err);
    for (size_t i = 0; i < c->output_count; i++) list[i] = &c->outputs[i];
    put_table(list, c->output_count, "output", COLUMNS, text);
    free(list);
    return QONNX_OK;
}

static int by_sqnr(const void *a, const void *b)
{
    const struct qn_output_comparison *x = *(const struct qn_output_comparison *const *)a,
                                      *y = *(const struct qn_output_comparison *const *)b;

    if (x->sqnr != y->sqnr) return x->sqnr < y->sqnr ? -1 : 1;
    return x < y ? -1 : x > y; /* in the order of the graph */
}

static qonnx_status put_tensors(const struct qn_comparison *c, struct qn_strbuf *text, qonnx_error *err)
{
    const struct qn_output_comparison **list = calloc(c->tensor_count + 1, sizeof *list);
    size_t                              shown = c->tensor_count < SHOWN_TENSORS ? c->tensor_count : SHOWN_TENSORS;

    if (!list) return qn_fail_nomem(err);
    for (size_t i = 0; i < c->tensor_count; i++) list[i] = &c->tensors[i];
    qsort(list, c->tensor_count, sizeof *list, by_sqnr);
    qn_strbuf_printf(text, "\n%zu tensor%s inside that both models name alike", c->tensor_count,
                     qn_plural(c->tensor_count));
    if (c->tensor_count)
        qn_strbuf_puts(text, shown < c->tensor_count ? ", those that keep least (--json has all):\n"
                                                     : ", what keeps least first:\n");
    put_table(list, shown, "tensor", COLUMNS - 1, text);
    if (!c->tensor_count) qn_strbuf_puts(text, "\n");
    free(list);
    return QONNX_OK;
}

void qn_evaluation_sample(const struct qn_evaluation *e, size_t position, struct qn_strbuf *name)
{
    if (e->feed)
        qn_feed_sample_name(e->feed, position, name);
    else
        qn_strbuf_printf(name, "sample %zu", position);
}

static void put_sample(const struct qn_evaluation *e, size_t position, struct qn_strbuf *text)
{
    struct qn_strbuf name;

    qn_strbuf_init(&name);
    qn_evaluation_sample(e, position, &name);
    qn_put_foreign(text, name.text);
    qn_strbuf_release(&name);
}

static void put_worst(const struct qn_evaluation *e, struct qn_strbuf *text)
{
    char cell[CELL];

    for (size_t i = 0; i < e->comparison->output_count && e->comparison->samples > 1; i++) {
        const struct qn_output_comparison *o = &e->comparison->outputs[i];
        for (size_t k = 0; k < o->worst_count && k < SHOWN_SAMPLES; k++) {
            if (!k) qn_strbuf_puts(text, "worst of ");
            if (!k) qn_put_foreign(text, o->name);
            qn_strbuf_puts(text, k ? ", " : ": ");
            put_sample(e, o->worst[k].position, text);
            decibel(cell, o->worst[k].sqnr);
            qn_strbuf_printf(text, " (%s dB)", cell);
        }
        if (o->worst_count) qn_strbuf_puts(text, "\n");
    }
}

static void put_top(const struct qn_comparison *c, struct qn_strbuf *text)
{
    for (size_t i = 0; i < c->output_count; i++)
        for (size_t k = 0; k < c->top_count; k++) {
            const struct qn_output_comparison *o = &c->outputs[i];
            char                               cell[CELL];
            if (!o->top1_count || c->top[k] == 1) continue; /* which the table has */
            share(cell, o->top_agree[k], o->top1_count);
            qn_put_foreign(text, o->name);
            qn_strbuf_printf(text, ": the first's best class is among the second's best %zu in %s\n", c->top[k], cell);
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

static void put_right(const struct qn_evaluation *e, size_t top, const uint64_t right[2], struct qn_strbuf *text)
{
    const struct qn_comparison *c = e->comparison;
    const double whole = (double)c->label_count, lost = 100 * ((double)right[0] - (double)right[1]) / whole;

    qn_strbuf_puts(text, "right by ");
    qn_put_base_name(text, e->settings->labels ? e->settings->labels : "labels");
    qn_strbuf_puts(text, " (output ");
    qn_put_foreign(text, c->outputs[c->label_output].name);
    if (top > 1) qn_strbuf_printf(text, ", among the best %zu", top);
    qn_strbuf_printf(text, "): %.2f %% -> %.2f %%, ", 100 * (double)right[0] / whole, 100 * (double)right[1] / whole);
    if (right[0] == right[1])
        qn_strbuf_puts(text, "no change");
    else
        qn_strbuf_printf(text, "%.2f points %s", fabs(lost), lost > 0 ? "lost" : "gained");
    qn_strbuf_printf(text, " (%" PRIu64 " and %" PRIu64 " of %" PRIu64 ")\n", right[0], right[1], c->label_count);
}

static void put_labels(const struct qn_evaluation *e, struct qn_strbuf *text)
{
    const struct qn_comparison *c = e->comparison;

    if (c->label_kind == QN_LABELS_NONE || !c->label_count) return;
    put_right(e, 1, c->label_right, text);
    for (size_t k = 0; k < c->top_count && c->label_kind == QN_LABELS_CLASS; k++)
        if (c->top[k] > 1) put_right(e, c->top[k], c->label_right_top[k], text);
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
    qn_strbuf_puts(text, e->settings->exact || e->settings->tensors ? ", exact arithmetic\n" : "\n");
    QN_TRY(put_outputs(e->comparison, text, err));
    put_others(e->comparison, text);
    put_worst(e, text);
    put_top(e->comparison, text);
    put_labels(e, text);
    put_times(e->comparison, text);
    if (e->settings->tensors) QN_TRY(put_tensors(e->comparison, text, err));
    return text->failed ? qn_fail_nomem(err) : QONNX_OK;
}
