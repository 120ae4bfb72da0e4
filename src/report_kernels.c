/* SPDX-License-Identifier: Apache-2.0
 * Which integer kernels run, and how often: what is expected, or what ONNX Runtime was seen to do. */
#include <stdlib.h>
#include <string.h>

#include "plan/kernels.h"
#include "report.h"
#include "wording.h"

#define NOISE 0.07
enum { MAX_KERNELS = 6, MAX_EXAMPLES = 3 };

struct tally {
    const char *op;
    size_t      nodes;
};

static int compare_tallies(const void *a, const void *b)
{
    const struct tally *x = a, *y = b;
    if (x->nodes != y->nodes) return x->nodes > y->nodes ? -1 : 1;
    return strcmp(x->op, y->op);
}

/* The kernel that computes the node on integers, NULL when none does. */
static const char *kernel_of(const struct qn_report *report, qn_node_id n)
{
    const char *op = report->kernels ? report->kernels->nodes[n].op : qn_plan_kernel(report->plan, n);
    return op && qn_is_integer_kernel(op) ? op : NULL;
}

/* The number of kernels. */
static size_t put_tallies(const struct qn_report *report, struct qn_strbuf *text)
{
    size_t          nodes = report->plan->graph->node_count, total = 0;
    struct qn_arena arena = { 0 };
    struct qn_names ops;
    struct tally   *tallies = qn_arena_array(&arena, nodes, sizeof *tallies);

    qn_names_init(&ops, &arena);
    for (qn_node_id n = 0; n < nodes && !qn_arena_failed(&arena); n++) {
        const char *op = kernel_of(report, n);
        uint32_t    id = op ? qn_names_intern(&ops, op) : QN_NONE;
        if (id == QN_NONE) continue;
        tallies[id] = (struct tally){ op, tallies[id].nodes + 1 };
        total++;
    }
    if (qn_arena_failed(&arena)) {
        text->failed = true;
    } else if (total) {
        qsort(tallies, ops.count, sizeof *tallies, compare_tallies);
        qn_strbuf_puts(text, "kernels:   ");
        for (size_t i = 0; i < ops.count && i < MAX_KERNELS; i++)
            qn_strbuf_printf(text, "%s%zu %s", i ? ", " : "", tallies[i].nodes, tallies[i].op);
        if (ops.count > MAX_KERNELS) qn_strbuf_puts(text, ", …");
    }
    qn_arena_release(&arena);
    return total;
}

static void put_difference(const struct qn_report *report, qn_node_id n, struct qn_strbuf *text)
{
    const Onnx__NodeProto *pb = report->plan->graph->pb->node[n];
    const char            *expected = qn_plan_kernel(report->plan, n), *found = report->kernels->nodes[n].op;

    if (pb->name && *pb->name)
        qn_put_foreign(text, pb->name);
    else
        qn_strbuf_printf(text, "#%u", n);
    qn_strbuf_puts(text, " (");
    qn_put_foreign(text, pb->op_type);
    qn_strbuf_printf(text, ": %s", found ? found : "nothing");
    qn_strbuf_printf(text, expected && strcmp(expected, pb->op_type) != 0 ? " instead of %s)" : ")", expected);
}

static void put_differences(const struct qn_report *report, struct qn_strbuf *text)
{
    size_t shown = 0;

    qn_strbuf_printf(text, "warning:   %zu node%s not computed as expected: ", report->kernels->differ,
                     report->kernels->differ == 1 ? " is" : "s are");
    for (qn_node_id n = 0; n < report->plan->graph->node_count && shown < MAX_EXAMPLES; n++) {
        if (!qn_kernel_differs(report->plan, report->kernels, n)) continue;
        if (shown++) qn_strbuf_puts(text, ", ");
        put_difference(report, n, text);
    }
    qn_strbuf_puts(text, report->kernels->differ > shown ? ", …\n" : "\n");
}

/* Faster and slower are more than chance makes of runs on a busy machine. */
static void put_pace(const struct qn_report *report, struct qn_strbuf *text)
{
    const struct qn_pace *pace = &report->pace;
    struct qn_plan_counts counts = qn_plan_count(report->plan);

    if (!pace->pairs) return;
    qn_strbuf_printf(text, "speed:     %.2f times the input's on one thread (%.2f to %.2f, %zu pairs of runs)\n",
                     pace->median, pace->low, pace->high, pace->pairs);
    if (pace->median >= 1 - NOISE || pace->high >= 1) return;
    qn_strbuf_printf(text, "warning:   slower than the input: %zu of %zu layers compute on integers",
                     counts.layers_quantized, counts.layers);
    if (report->kernels)
        qn_strbuf_printf(text, ", and for that %zu Q and %zu DQ run", report->kernels->quantizers,
                         report->kernels->dequantizers);
    qn_strbuf_puts(text, report->settings->only_faster ? "\n" : "; see -o only-faster\n");
}

void qn_report_kernels(const struct qn_report *report, struct qn_strbuf *text)
{
    const struct qn_kernels_found *found = report->kernels;

    if ((found || qn_plan_foresees_kernels(report->plan)) && put_tallies(report, text)) {
        if (!found)
            qn_strbuf_puts(text, " expected\n");
        else
            qn_strbuf_printf(text, " found%s; %zu Q and %zu DQ run\n",
                             found->differ || !qn_plan_foresees_kernels(report->plan) ? "" : ", as expected",
                             found->quantizers, found->dequantizers);
    }
    if (found && found->differ) put_differences(report, text);
    if (found && found->constants)
        qn_strbuf_printf(text, "note: %zu constant%s in each run, because float kernels read %s\n", found->constants,
                         found->constants == 1 ? " is dequantized" : "s are dequantized",
                         found->constants == 1 ? "it" : "them");
    put_pace(report, text);
}
