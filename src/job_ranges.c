/* SPDX-License-Identifier: Apache-2.0
 * Ranges out of another tool's file (--ranges), in place of statistics or beside them. */
#include <string.h>

#include "encodings.h"
#include "job.h"
#include "plan/presets.h"
#include "wording.h"

enum { LARGEST_FILE = 256 << 20, NAMED = 3 };

struct qn_imported {
    const struct qn_encoding_kind *kind;
    const char                    *path;
    struct qn_ranges               ranges;
    struct qn_digest               digest;
    size_t                         used; /* tensors whose ranges come from it */
    bool                           told;
};

/* The values that layers read first, in place of the names of these. */
static void name_values(struct qn_job *job, struct qn_ranges *ranges)
{
    const struct qn_graph *g = &job->graph;

    for (qn_node_id n = 0; n < g->node_count; n++) {
        const char       *name = g->pb->node[n]->name;
        const uint32_t    id = name && *name ? qn_names_find(&ranges->names, name) : QN_NONE;
        const qn_value_id v = qn_node_input(g, n, 0);
        if (id == QN_NONE || v == QN_NONE || ranges->list[id].known) continue;
        ranges->list[id].name = g->values[v].name;
        ranges->list[id].known = true;
    }
}

/* Which tensors the model has, as it came: the float passes may fold some away. */
static void mark_known(struct qn_job *job, struct qn_ranges *ranges)
{
    for (size_t i = 0; i < ranges->count; i++) {
        const qn_value_id v = qn_graph_find(&job->graph, ranges->list[i].name);
        ranges->list[i].known = v != QN_NONE;
        if (v == QN_NONE || !job->graph.values[v].init) continue;
        ranges->list[i].given.as = QN_GIVEN_NOTHING; /* a weight's scales follow from its values */
        ranges->weights++;
    }
}

static qonnx_status parse(struct qn_job *job, struct qn_imported *imported)
{
    struct qn_map     map;
    struct qn_hasher *hasher = qn_hasher_new(false);
    qonnx_status      status;

    if (!hasher) return qn_fail_nomem(job->err);
    status = qn_map_open(&map, imported->path, true, job->err);
    if (status != QONNX_OK) {
        qn_hasher_discard(hasher);
        return status;
    }
    qn_hasher_add(hasher, map.data, map.size);
    qn_hasher_finish(hasher, &imported->digest);
    if (map.size > LARGEST_FILE)
        status = qn_fail(job->err, QONNX_E_FORMAT, "it is larger than %d MB", LARGEST_FILE >> 20);
    else
        status = imported->kind->read(&imported->ranges, (const char *)map.data, map.size, job->err);
    qn_map_release(&map);
    return qn_wrap(job->err, status, "%s", imported->path);
}

qonnx_status qn_job_read_ranges(struct qn_job *job)
{
    struct qn_imported *imported;

    if (!job->settings.ranges) return QONNX_OK;
    if (!(job->imported = imported = qn_arena_alloc(&job->arena, sizeof *imported))) return qn_fail_nomem(job->err);
    qn_ranges_init(&imported->ranges);
    QN_TRY(qn_encoding_split("ranges", job->settings.ranges, &imported->kind, &imported->path, job->err));
    if (job->settings.recipe || job->settings.acts != QN_ACTS_STATIC || job->settings.preset_row->copy)
        return qn_fail(job->err, QONNX_E_USAGE, "--ranges: %s",
                       job->settings.recipe ? "quantizers of recipes find their own ranges"
                                            : "there are no ranges of activations with this preset");
    QN_TRY(qn_job_protect_input(job, imported->path, "ranges"));
    QN_TRY(parse(job, imported));
    if (imported->kind->of_layers)
        name_values(job, &imported->ranges);
    else
        mark_known(job, &imported->ranges);
    return QONNX_OK;
}

void qn_job_give_ranges(struct qn_job *job)
{
    for (size_t i = 0; job->imported && i < job->imported->ranges.count; i++) {
        const struct qn_named_range *entry = &job->imported->ranges.list[i];
        const qn_value_id            v = entry->known ? qn_graph_find(&job->graph, entry->name) : QN_NONE;
        if (v != QN_NONE) job->ranging[v].given = qn_given_join(job->ranging[v].given, entry->given);
    }
}

/* ---- what the file lacks, and what the model lacks ---- */

/* "'a', 'b', 'c' and 4 more" */
struct naming {
    struct qn_strbuf text;
    size_t           count;
};

static void name(struct naming *naming, const char *tensor)
{
    if (naming->count < NAMED) {
        if (naming->count) qn_strbuf_puts(&naming->text, ", ");
        qn_strbuf_quote(&naming->text, tensor);
    }
    naming->count++;
}

static const char *named(struct naming *naming)
{
    if (naming->count > NAMED) qn_strbuf_printf(&naming->text, " and %zu more", naming->count - NAMED);
    return naming->text.text;
}

static void warn_of_unknown(struct qn_job *job)
{
    const struct qn_imported *imported = job->imported;
    struct naming             unknown = { .count = 0 };

    qn_strbuf_init(&unknown.text);
    for (size_t i = 0; i < imported->ranges.count; i++)
        if (!imported->ranges.list[i].known) name(&unknown, imported->ranges.list[i].name);
    if (unknown.count)
        qn_warn(&job->warnings, "%s: the model has no %s of the name%s %s", imported->path,
                imported->kind->of_layers ? "layer" : "tensor", qn_plural(unknown.count), named(&unknown));
    qn_strbuf_release(&unknown.text);
    if (imported->ranges.weights)
        qn_warn(&job->warnings, "%s: what it says of %zu constant%s is not used: their scales follow from their values",
                imported->path, imported->ranges.weights, qn_plural(imported->ranges.weights));
    if (imported->ranges.floats)
        qn_warn(&job->warnings, "%s: %zu tensor%s that it leaves in float: use --exclude for that", imported->path,
                imported->ranges.floats, imported->ranges.floats == 1 ? " is one" : "s are ones");
}

/* Of the groups that need a range. */
static qonnx_status list_missing(struct qn_job *job, struct naming *missing)
{
    const struct qn_plan *plan = &job->plan;
    struct qn_given      *given;

    job->imported->used = 0;
    QN_TRY(qn_solve_given(&job->plan, job->ranging, &given, job->err));
    for (qn_value_id v = 0; v < plan->graph->value_count; v++) {
        const struct qn_tensor_plan *t = &plan->tensors[v];
        if (!t->quantized || t->group != v || plan->graph->values[v].init || t->fixed_scale != 0.0f) continue;
        if (given[v].as == QN_GIVEN_CHANNELS)
            return qn_fail(job->err, QONNX_E_DATA,
                           "%s: '%.200s' has something for each channel, which activations cannot have",
                           job->imported->path, plan->graph->values[v].name);
        if (given[v].as == QN_GIVEN_NOTHING)
            name(missing, plan->graph->values[v].name);
        else
            job->imported->used++;
    }
    return QONNX_OK;
}

qonnx_status qn_job_check_ranges(struct qn_job *job)
{
    const bool    others = job->settings.calib || job->settings.stats;
    struct naming missing = { .count = 0 };
    qonnx_status  status;

    if (!job->imported) return QONNX_OK;
    qn_strbuf_init(&missing.text);
    status = list_missing(job, &missing);
    if (status == QONNX_OK && missing.count && !others)
        status = qn_fail(job->err, QONNX_E_DATA,
                         "%s: it has no range for %s; add --calib to have the rest observed, or leave what reads it in "
                         "float with --exclude",
                         job->imported->path, named(&missing));
    else if (status == QONNX_OK && missing.count)
        qn_warn(&job->warnings, "%s: it has no range for %s, which %s observed instead", job->imported->path,
                named(&missing), missing.count == 1 ? "is" : "are");
    qn_strbuf_release(&missing.text);
    if (status == QONNX_OK && !job->imported->told) warn_of_unknown(job);
    job->imported->told = true;
    return status;
}

struct qn_ranges_source qn_job_ranges_source(const struct qn_job *job)
{
    const struct qn_imported *imported = job->imported;
    return imported ? (struct qn_ranges_source){ imported->kind->name, imported->path, imported->digest.xxh3_128,
                                                 imported->used }
                    : (struct qn_ranges_source){ 0 };
}

void qn_job_release_ranges(struct qn_job *job)
{
    if (job->imported) qn_ranges_release(&job->imported->ranges);
}
