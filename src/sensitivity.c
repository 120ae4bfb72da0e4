/* SPDX-License-Identifier: Apache-2.0 */
#include "sensitivity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "plan/units.h"
#include "wording.h"

enum { ESTIMATES = 16, LINES = 3 };

static int by_sqnr(const void *a, const void *b)
{
    const struct qn_sensitivity *x = a, *y = b;

    if (x->sqnr != y->sqnr) return x->sqnr < y->sqnr ? -1 : 1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return (x->last > y->last) - (x->last < y->last);
}

qonnx_status qn_sensitivity_keep(struct qn_job *job, const struct qn_sensitivity *parts, size_t count)
{
    struct qn_sensitivity *kept = qn_arena_array(&job->arena, count, sizeof *kept);

    if (!kept) return qn_fail_nomem(job->err);
    if (count) {
        memcpy(kept, parts, count * sizeof *kept);
        qsort(kept, count, sizeof *kept, by_sqnr);
    }
    job->report.sensitivities = kept;
    job->report.sensitivity_count = count;
    return QONNX_OK;
}

qonnx_status qn_sensitivity_estimate(struct qn_job *job)
{
    struct qn_sensitivity *parts;
    struct qn_unit        *units;
    size_t                 count;
    double                 all = 0;

    if (job->report.sensitivity_count || !job->stats) return QONNX_OK;
    QN_TRY(qn_plan_units(&job->plan, job->stats, &job->arena, &units, &count, job->err));
    if (!(parts = qn_arena_array(&job->arena, count, sizeof *parts))) return qn_fail_nomem(job->err);
    for (qn_node_id n = 0; n < job->graph.node_count; n++)
        if (qn_reason_is_quantized(job->plan.nodes[n].reason)) all += qn_plan_work(&job->plan, job->stats, n);
    for (size_t i = 0; i < count; i++) {
        parts[i] = (struct qn_sensitivity){ .first = units[i].parts[0].node,
                                            .last = units[i].parts[0].node,
                                            .nodes = units[i].part_count,
                                            .sqnr = units[i].db,
                                            .quantized = true };
        for (size_t k = 0; k < units[i].part_count; k++) {
            const qn_node_id n = units[i].parts[k].node;
            if (n < parts[i].first) parts[i].first = n;
            if (n > parts[i].last) parts[i].last = n;
            if (all > 0) parts[i].work += qn_plan_work(&job->plan, job->stats, n) / all;
        }
    }
    QN_TRY(qn_sensitivity_keep(job, parts, count));
    if (job->report.sensitivity_count > ESTIMATES) job->report.sensitivity_count = ESTIMATES;
    return QONNX_OK;
}

json_t *qn_sensitivity_json(struct qn_json *json, const struct qn_report *report)
{
    json_t *list = json_array();

    for (size_t i = 0; i < report->sensitivity_count; i++) {
        const struct qn_sensitivity *part = &report->sensitivities[i];
        json_t                      *object = json_object();
        qn_json_put(json, object, "first_node", json_integer(part->first));
        qn_json_put(json, object, "last_node", json_integer(part->last));
        qn_json_put(json, object, "nodes", qn_json_uint(part->nodes));
        qn_json_put(json, object, "work", qn_json_rounded(part->work, 4));
        qn_json_put(json, object, "sqnr_db", isfinite(part->sqnr) ? qn_json_rounded(part->sqnr, 2) : json_null());
        qn_json_put(json, object, "measured", json_boolean(part->measured));
        qn_json_put(json, object, "quantized", json_boolean(part->quantized));
        qn_json_append(json, list, object);
    }
    return list;
}

void qn_sensitivity_text(const struct qn_report *report, struct qn_strbuf *text)
{
    const struct qn_graph *g = report->plan->graph;

    for (size_t i = 0, lines = 0; i < report->sensitivity_count && lines < LINES; i++) {
        const struct qn_sensitivity *part = &report->sensitivities[i];
        if (!part->measured || part->quantized || !isfinite(part->sqnr)) continue;
        qn_strbuf_puts(text, lines++ ? "           " : "sensitive: ");
        qn_put_foreign(text, qn_node_label(g, part->first));
        if (part->last != part->first) {
            qn_strbuf_puts(text, " to ");
            qn_put_foreign(text, qn_node_label(g, part->last));
        }
        qn_strbuf_printf(text, ": %.1f dB with nothing else quantized, %.0f %% of the work\n", part->sqnr,
                         100 * part->work);
    }
}
