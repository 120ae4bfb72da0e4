/* SPDX-License-Identifier: Apache-2.0 */
#include "demands.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/numerals.h"

static const struct figure {
    const char *name, *unit;
    bool        most; /* the bound is the most that passes, not the least */
    double      low, high;
    const char *range; /* how to say it */
} figures[QN_FIGURE_COUNT] = {
    [QN_FIGURE_SQNR] = { "sqnr", " dB", false, -HUGE_VAL, HUGE_VAL, "a number of decibels" },
    [QN_FIGURE_WORST_SQNR] = { "worst-sqnr", " dB", false, -HUGE_VAL, HUGE_VAL, "a number of decibels" },
    [QN_FIGURE_COSINE] = { "cosine", "", false, -1, 1, "a number from -1 to 1" },
    [QN_FIGURE_MAX_ERROR] = { "max-error", "", true, 0, HUGE_VAL, "a number from 0 on" },
    [QN_FIGURE_RELATIVE] = { "relative", "", true, 0, HUGE_VAL, "a number from 0 on, or a percentage like 1%" },
    [QN_FIGURE_AGREEMENT] = { "agreement", "", false, 0, 1, "a share from 0 to 1, or a percentage like 99%" },
    [QN_FIGURE_DROP] = { "drop", " points", true, -100, 100, "a number of points from -100 to 100" },
};

const char *qn_figure_name(enum qn_figure figure) { return figures[figure].name; }

/* ---- parsing ---- */

static bool parse_bound(enum qn_figure figure, const char *text, double *bound)
{
    char *end;

    *bound = qn_strtod(text, &end);
    if (end == text || !isfinite(*bound)) return false;
    if ((figure == QN_FIGURE_AGREEMENT || figure == QN_FIGURE_RELATIVE) && *end == '%') *bound /= 100, end++;
    return !*end && *bound >= figures[figure].low && *bound <= figures[figure].high;
}

static qonnx_status parse(const char *text, bool has_labels, struct qn_arena *arena, struct qn_demand *demand,
                          qonnx_error *err)
{
    const char       *equals = strchr(text, '=');
    struct qn_nearest nearest = { 0 };
    char             *name;
    int               f = 0;

    if (!equals)
        return qn_fail(err, QONNX_E_USAGE, "--fail-below: '%s' is not of the form FIGURE=X, as in sqnr=30", text);
    name = qn_arena_memdup(arena, text, (size_t)(equals - text) + 1);
    if (!name) return qn_fail_nomem(err);
    name[equals - text] = 0;
    nearest.word = name;
    while (f < QN_FIGURE_COUNT && strcmp(figures[f].name, name) != 0) qn_nearest_consider(&nearest, figures[f++].name);
    if (f == QN_FIGURE_COUNT)
        return qn_fail(err, QONNX_E_USAGE,
                       "--fail-below: unknown figure '%s'%s (it is sqnr, worst-sqnr, cosine, max-error, relative, "
                       "agreement or drop)",
                       name, qn_nearest_hint(&nearest));
    demand->figure = (enum qn_figure)f;
    if (!parse_bound(demand->figure, equals + 1, &demand->bound))
        return qn_fail(err, QONNX_E_USAGE, "--fail-below: '%s' in '%s' is not %s", equals + 1, text, figures[f].range);
    if (demand->figure == QN_FIGURE_DROP && !has_labels)
        return qn_fail(err, QONNX_E_USAGE, "--fail-below drop=X needs --labels FILE.npy");
    return QONNX_OK;
}

qonnx_status qn_demands_parse(const struct qn_list *texts, bool has_labels, struct qn_arena *arena,
                              struct qn_demand **demands, size_t *count, qonnx_error *err)
{
    struct qn_demand *list = qn_arena_array(arena, texts->count, sizeof *list);

    if (!list) return qn_fail_nomem(err);
    for (size_t i = 0; i < texts->count; i++) QN_TRY(parse(texts->items[i], has_labels, arena, &list[i], err));
    *demands = list;
    *count = texts->count;
    return QONNX_OK;
}

/* ---- judging ---- */

/* NaN and infinity on one side are outside of the figures, and worse than any. */
static bool value_figure(const struct qn_output_comparison *o, double *value)
{
    if (o->nonfinite) *value = NAN;
    return o->is_float;
}

/* False when the figure says nothing of this output. */
static bool figure_of(const struct qn_comparison *c, size_t i, enum qn_figure figure, double *value)
{
    const struct qn_output_comparison *o = &c->outputs[i];

    switch (figure) {
    case QN_FIGURE_SQNR: *value = o->sqnr; return value_figure(o, value);
    case QN_FIGURE_WORST_SQNR: *value = o->sqnr_min; return value_figure(o, value);
    case QN_FIGURE_COSINE: *value = o->cosine; return value_figure(o, value);
    case QN_FIGURE_MAX_ERROR: *value = o->max_error; return value_figure(o, value);
    case QN_FIGURE_RELATIVE: *value = o->relative; return value_figure(o, value);
    case QN_FIGURE_AGREEMENT:
        if (c->label_kind != QN_LABELS_NONE && i != c->label_output) return false;
        if (!o->top1_count) return false;
        *value = (double)o->top1_agree / (double)o->top1_count;
        return true;
    case QN_FIGURE_DROP:
        if (c->label_kind == QN_LABELS_NONE || i != c->label_output || !c->label_count) return false;
        *value = 100 * ((double)c->label_right[0] - (double)c->label_right[1]) / (double)c->label_count;
        return true;
    case QN_FIGURE_COUNT: break;
    }
    return false;
}

static void judge(struct qn_demand *demand, const struct qn_comparison *c)
{
    const bool most = figures[demand->figure].most;

    demand->value = NAN;
    demand->output = NULL;
    for (size_t i = 0; i < c->output_count; i++) {
        double value;
        if (!figure_of(c, i, demand->figure, &value)) continue;
        if (demand->output && !isnan(value) && !(most ? value > demand->value : value < demand->value)) continue;
        if (demand->output && isnan(demand->value)) continue;
        demand->value = value;
        demand->output = c->outputs[i].name;
    }
    demand->met = most ? demand->value <= demand->bound : demand->value >= demand->bound;
}

static qonnx_status complain(const struct qn_demand *demand, qonnx_error *err)
{
    const struct figure *f = &figures[demand->figure];

    if (!demand->output)
        return qn_fail(err, QONNX_E_QUALITY, "--fail-below %s: no output can be judged by it (%s)", f->name,
                       demand->figure < QN_FIGURE_AGREEMENT ? "none that both models have is float"
                                                            : "none has classes on its last axis");
    if (isnan(demand->value))
        return qn_fail(err, QONNX_E_QUALITY,
                       "output '%s' is NaN or infinite in one of the models only; %s of %.9g%s was demanded",
                       demand->output, f->name, demand->bound, f->unit);
    return qn_fail(err, QONNX_E_QUALITY, "output '%s': %s is %.9g%s, %s the demanded %.9g%s", demand->output, f->name,
                   demand->value, f->unit, f->most ? "above" : "below", demand->bound, f->unit);
}

qonnx_status qn_demands_judge(struct qn_demand *demands, size_t count, const struct qn_comparison *comparison,
                              qonnx_error *err)
{
    qonnx_status status = QONNX_OK;

    for (size_t i = 0; i < count; i++) {
        judge(&demands[i], comparison);
        if (!demands[i].met && status == QONNX_OK) status = complain(&demands[i], err);
    }
    return status;
}
