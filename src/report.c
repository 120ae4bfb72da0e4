/* SPDX-License-Identifier: Apache-2.0
 * The text that people read after a run. */
#include "report.h"
#include "sensitivity.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plan/presets.h"
#include "wording.h"

enum { MAX_GROUPS = 12, MAX_EXAMPLES = 3, MAX_OPERATORS = 5 };

static void put_sizes(const struct qn_report *report, struct qn_strbuf *text)
{
    uint64_t before = report->input_size + report->input_external, after = report->saved->total;
    double   ratio = before && after ? (double)before / (double)after : 1;

    qn_strbuf_puts(text, "size:      ");
    qn_put_size(text, before);
    if (before != after) {
        qn_strbuf_puts(text, " -> ");
        qn_put_size(text, after);
    }
    if (ratio >= 1.005) qn_strbuf_printf(text, " (%.*f times smaller)", ratio < 100 ? 2 : 0, ratio);
    if (ratio <= 0.995) qn_strbuf_printf(text, " (%.*f times larger)", ratio > 0.01 ? 2 : 0, 1 / ratio);
    qn_strbuf_puts(text, "\n");
}

static void put_copy(const struct qn_report *report, struct qn_strbuf *text)
{
    if (strcmp(report->saved->input.xxh3_128, report->saved->output.xxh3_128) == 0) {
        qn_strbuf_puts(text, "copied, byte for byte\n");
    } else {
        qn_strbuf_puts(text, "copied; what is written differently begins at ");
        qn_put_foreign(text, report->first_difference ? report->first_difference : "an unknown field");
        qn_strbuf_puts(text, "\n");
    }
    put_sizes(report, text);
}

static void put_calibration(const struct qn_report *report, struct qn_strbuf *text)
{
    if (!report->data) return;
    qn_strbuf_puts(text, "ranges:    ");
    if (report->data->synthetic) {
        qn_strbuf_printf(text, "SYNTHETIC inputs (%zu sample%s, seed %" PRId64 "); pass --calib PATH with real ones\n",
                         report->samples, qn_plural(report->samples), report->settings->seed);
        return;
    }
    qn_strbuf_printf(text, "%zu sample%s of ", report->samples, qn_plural(report->samples));
    qn_put_base_name(text, report->source ? report->source : "calibration data");
    qn_strbuf_puts(text, "\n");
}

static void put_judgement(const struct qn_report *report, struct qn_strbuf *text)
{
    if (!report->judged_samples || report->judged_sqnr == INFINITY) return;
    if (isfinite(report->judged_sqnr))
        qn_strbuf_printf(text, "accuracy:  %.1f dB of the worst output kept", report->judged_sqnr);
    else
        qn_strbuf_puts(text, "accuracy:  nothing of the worst output kept");
    qn_strbuf_printf(text, ", in exact arithmetic, on %zu %s sample%s\n", report->judged_samples,
                     report->data && report->data->synthetic ? "synthetic" : "calibration",
                     qn_plural(report->judged_samples));
    if (report->judged_drop >= 0 && report->settings->max_drop < QN_DROP_ANY)
        qn_strbuf_printf(text, "choices:   %.2f of 100 are others than in float\n", report->judged_drop);
}

/* ---- what stayed in float ---- */

struct group {
    enum qn_reason reason;
    size_t         nodes, layers; /* layers: those with weights */
};

static bool has_weights(const struct qn_node_plan *row)
{
    return qn_rule_is_layer(row->rule);
}

/* Layers are what the conversion is for; then what there is most of. */
static int compare_groups(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    if (x->layers != y->layers) return x->layers > y->layers ? -1 : 1;
    if (x->nodes != y->nodes) return x->nodes > y->nodes ? -1 : 1;
    return (x->reason > y->reason) - (x->reason < y->reason);
}

static double badness(const struct qn_node_plan *row) { return isnan(row->db) ? INFINITY : row->db; }

/* True when node a is the better example for why a group stayed in float. */
static bool tells_more(const struct qn_plan *plan, qn_node_id a, qn_node_id b)
{
    const struct qn_node_plan *x = &plan->nodes[a], *y = &plan->nodes[b];
    if (has_weights(x) != has_weights(y)) return has_weights(x);
    if (badness(x) != badness(y)) return badness(x) < badness(y);
    return a < b;
}

static void put_example(const struct qn_plan *plan, qn_node_id n, struct qn_strbuf *text)
{
    const Onnx__NodeProto *pb = plan->graph->pb->node[n];
    struct qn_strbuf       path;

    qn_strbuf_init(&path);
    qn_node_put_path(plan->graph, n, &path);
    qn_put_foreign(text, path.text);
    qn_strbuf_release(&path);
    if (pb->name && *pb->name)
        qn_put_foreign(text, pb->name);
    else
        qn_strbuf_printf(text, "#%u", n);
    qn_strbuf_puts(text, " (");
    qn_put_foreign(text, pb->op_type);
    if (plan->nodes[n].reason == QN_REASON_QUANTIZATION_ERROR && isfinite(plan->nodes[n].db))
        qn_strbuf_printf(text, ", %.1f dB", plan->nodes[n].db);
    qn_strbuf_puts(text, ")");
}

/* The nodes that tell most, worst first. */
static void put_examples(const struct qn_plan *plan, const struct group *group, struct qn_strbuf *text)
{
    qn_node_id best[MAX_EXAMPLES];
    size_t     count = 0;

    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        size_t at = count;
        if (plan->nodes[n].reason != group->reason) continue;
        while (at > 0 && tells_more(plan, n, best[at - 1])) at--;
        if (at == MAX_EXAMPLES) continue;
        if (count < MAX_EXAMPLES) count++;
        memmove(best + at + 1, best + at, (count - at - 1) * sizeof *best);
        best[at] = n;
    }
    for (size_t i = 0; i < count; i++) {
        if (i) qn_strbuf_puts(text, ", ");
        put_example(plan, best[i], text);
    }
    qn_strbuf_puts(text, group->nodes > count ? ", …\n" : "\n");
}

struct tally {
    const char *op;
    size_t      nodes;
    uint32_t    first; /* order of appearance */
};

static int compare_tallies(const void *a, const void *b)
{
    const struct tally *x = a, *y = b;
    if (x->nodes != y->nodes) return x->nodes > y->nodes ? -1 : 1;
    return (x->first > y->first) - (x->first < y->first);
}

/* The most frequent operators: of many nodes without weights single ones tell nothing. */
static void put_operators(const struct qn_plan *plan, const struct group *group, struct qn_strbuf *text)
{
    struct qn_arena arena = { 0 };
    struct qn_names ops;
    struct tally   *tallies = qn_arena_array(&arena, group->nodes, sizeof *tallies);

    qn_names_init(&ops, &arena);
    for (qn_node_id n = 0; n < plan->graph->node_count && !qn_arena_failed(&arena); n++) {
        const char *op = plan->graph->pb->node[n]->op_type;
        uint32_t    id;
        if (plan->nodes[n].reason != group->reason || (id = qn_names_intern(&ops, op)) == QN_NONE) continue;
        tallies[id] = (struct tally){ op, tallies[id].nodes + 1, id };
    }
    if (qn_arena_failed(&arena)) {
        text->failed = true;
    } else {
        qsort(tallies, ops.count, sizeof *tallies, compare_tallies);
        for (size_t i = 0; i < ops.count && i < MAX_OPERATORS; i++) {
            qn_strbuf_printf(text, "%s%zu ", i ? ", " : "", tallies[i].nodes);
            qn_put_foreign(text, tallies[i].op);
        }
        qn_strbuf_puts(text, ops.count > MAX_OPERATORS ? ", …\n" : "\n");
    }
    qn_arena_release(&arena);
}

static void put_group(const struct qn_plan *plan, const struct group *group, struct qn_strbuf *text)
{
    qn_strbuf_printf(text, "%6zu  %s: ", group->nodes, qn_reason_text(group->reason));
    if (group->layers || group->nodes <= MAX_EXAMPLES)
        put_examples(plan, group, text);
    else
        put_operators(plan, group, text);
}

void qn_report_left_in_float(const struct qn_plan *plan, struct qn_strbuf *text)
{
    const struct qn_plan_counts found = qn_plan_count(plan), *counts = &found;
    struct group          groups[QN_REASON_COUNT] = { 0 };
    size_t                used = 0, shown, rest = 0;

    for (size_t r = 0; r < QN_REASON_COUNT; r++) groups[r].reason = (enum qn_reason)r;
    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        struct group *group = &groups[plan->nodes[n].reason];
        if (qn_reason_is_quantized(group->reason) || group->reason == QN_REASON_SCOPE) continue;
        group->nodes++;
        group->layers += has_weights(&plan->nodes[n]);
    }
    qsort(groups, QN_REASON_COUNT, sizeof *groups, compare_groups);
    while (used < QN_REASON_COUNT && groups[used].nodes) used++;
    if (!used) return;
    qn_strbuf_printf(text, "left in float: %zu node%s", counts->nodes - counts->quantized,
                     qn_plural(counts->nodes - counts->quantized));
    if (counts->layers > counts->layers_quantized)
        qn_strbuf_printf(text, ", %zu of them %s with weights", counts->layers - counts->layers_quantized,
                         counts->layers - counts->layers_quantized == 1 ? "a layer" : "layers");
    qn_strbuf_puts(text, "\n");
    shown = used > MAX_GROUPS ? MAX_GROUPS - 1 : used;
    for (size_t i = 0; i < shown; i++) put_group(plan, &groups[i], text);
    for (size_t i = shown; i < used; i++) rest += groups[i].nodes;
    if (rest) qn_strbuf_printf(text, "%6zu  for %zu more reasons\n", rest, used - shown);
}

/* ---- what was done about trouble ---- */

static void put_pairs(const struct qn_plan *plan, struct qn_strbuf *text)
{
    size_t moved = 0, raised = 0, held = 0, full = 0;

    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        moved += plan->nodes[n].pair_moved;
        raised += plan->nodes[n].pair_raised;
        held += plan->nodes[n].pairing == QN_PAIRS_HELD;
        full += plan->nodes[n].pairing == QN_PAIRS_FREE || plan->nodes[n].pairing == QN_PAIRS_EXEMPT;
    }
    if (held)
        qn_strbuf_printf(text,
                         "note: %zu scale%s and %zu code%s of weights in %zu layer%s gave way, so that no sum of two "
                         "products passes 16 bits; %zu layer%s full range\n",
                         raised, qn_plural(raised), moved, qn_plural(moved), held, qn_plural(held), full,
                         full == 1 ? " keeps" : "s keep");
}

static void put_notes(const struct qn_report *report, struct qn_strbuf *text)
{
    const struct qn_plan *plan = report->plan;
    size_t                raised = 0, layers = 0, masked = 0, clamped = 0;

    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        raised += plan->nodes[n].raised;
        layers += plan->nodes[n].raised > 0;
        clamped += plan->nodes[n].clamped;
    }
    for (qn_value_id v = 0; report->stats && v < plan->graph->value_count; v++)
        masked += report->stats[v] && report->stats[v]->masked > 0;
    if (raised)
        qn_strbuf_printf(
            text, "note: %zu channel%s of %zu layer%s got a larger weight scale, so that the bias fits into 32 bits\n",
            raised, qn_plural(raised), layers, qn_plural(layers));
    if (clamped)
        qn_strbuf_printf(text, "note: %zu weight%s too large for %s and became its largest number\n", clamped,
                         clamped == 1 ? " is" : "s are", report->settings->weight_type);
    put_pairs(plan, text);
    if (masked)
        qn_strbuf_printf(
            text,
            "note: values that mean \"never\", as in attention masks, were kept out of the range of %zu tensor%s\n",
            masked, qn_plural(masked));
}

/* Recipes and conversions do not look at the target. */
static void put_target(const struct qn_report *report, struct qn_strbuf *text)
{
    const struct qn_target *target = report->settings->target_row;

    if (report->command || report->settings->recipe) return;
    qn_strbuf_printf(text, "target:    %s: %s\n", target->name, target->summary);
}

/* How many weights have which form, in the order of the first of each. */
static void put_allotments(const struct qn_report *report, struct qn_strbuf *text)
{
    const struct qn_allotment *all = report->allotments;
    const char                *lead = "";

    if (!(report->size_wanted > 0)) return;
    qn_strbuf_puts(text, "asked for: ");
    qn_put_size(text, (uint64_t)report->size_wanted);
    qn_strbuf_puts(text, report->settings->target_size ? "; made: " : " of constants; made: ");
    qn_put_size(text, (uint64_t)report->size_made);
    qn_strbuf_puts(text, ": ");
    for (size_t i = 0; i < report->allotment_count; i++) {
        size_t same = 0;
        bool   first = true;
        for (size_t k = 0; k < report->allotment_count; k++) {
            if (all[k].form != all[i].form) continue;
            first &= k >= i;
            same++;
        }
        if (!first) continue;
        qn_strbuf_printf(text, "%s%zu%s in %s", lead, same, *lead ? "" : same == 1 ? " weight" : " weights", all[i].form);
        lead = "; ";
    }
    qn_strbuf_puts(text, "\n");
}

static void put_plan(const struct qn_report *report, struct qn_strbuf *text)
{
    struct qn_plan_counts counts = qn_plan_count(report->plan);

    qn_strbuf_printf(text, "quantized: %zu of %zu nodes", counts.quantized, counts.nodes);
    if (counts.layers)
        qn_strbuf_printf(text, " (%zu of %zu layers)\n", counts.layers_quantized, counts.layers);
    else
        qn_strbuf_puts(text, " (the model has no layers with constant weights)\n");
    put_target(report, text);
    put_sizes(report, text);
    put_allotments(report, text);
    qn_report_kernels(report, text);
    put_calibration(report, text);
    put_judgement(report, text);
    qn_sensitivity_text(report, text);
    qn_report_left_in_float(report->plan, text);
    put_notes(report, text);
}

qonnx_status qn_report_text(const struct qn_report *report, struct qn_strbuf *text, qonnx_error *err)
{
    qn_put_foreign(text, report->input_path);
    qn_strbuf_puts(text, " -> ");
    qn_put_foreign(text, report->output_path);
    qn_strbuf_puts(text, "\n");
    if (report->plan)
        put_plan(report, text);
    else
        put_copy(report, text);
    return text->failed ? qn_fail_nomem(err) : QONNX_OK;
}
