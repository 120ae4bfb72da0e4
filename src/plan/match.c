/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/match.h"

#include <string.h>

bool qn_glob(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL; /* the last star seen, and how much text it has eaten */

    while (*text) {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return !*pattern;
}

/* In a nested graph a node goes by its path as well: "loop1/body/conv". */
static bool matches_path(const char *pattern, const struct qn_graph *graph, qn_node_id node)
{
    struct qn_strbuf path;
    bool             matches;

    if (graph->scopes[node] == QN_NONE) return false;
    qn_strbuf_init(&path);
    qn_node_put_path(graph, node, &path);
    qn_strbuf_puts(&path, graph->pb->node[node]->name);
    matches = !path.failed && qn_glob(pattern, path.text);
    qn_strbuf_release(&path);
    return matches;
}

bool qn_match_node(const char *pattern, const struct qn_graph *graph, qn_node_id node)
{
    const Onnx__NodeProto *pb = graph->pb->node[node];

    if (strncmp(pattern, "op:", 3) == 0) return qn_glob(pattern + 3, pb->op_type);
    if (pb->name && *pb->name && (qn_glob(pattern, pb->name) || matches_path(pattern, graph, node))) return true;
    for (size_t i = 0; i < pb->n_output; i++)
        if (*pb->output[i] && qn_glob(pattern, pb->output[i])) return true;
    for (size_t i = 0; i < pb->n_input; i++)
        if (qn_node_constant(graph, node, i) && qn_glob(pattern, pb->input[i])) return true;
    return false;
}

/* What the pattern that matches nothing may have meant: a node's name, or an operator that the model has. */
static qonnx_status no_match(const char *pattern, const char *option, const struct qn_graph *graph, qonnx_error *err)
{
    struct qn_nearest nearest = { .word = pattern };
    struct qn_arena   arena = { 0 };
    qonnx_status      status;

    for (qn_node_id n = 0; n < graph->node_count; n++) {
        const Onnx__NodeProto *pb = graph->pb->node[n];
        const char            *type = qn_arena_printf(&arena, "op:%s", pb->op_type);

        if (type && strcmp(pattern, pb->op_type) == 0) nearest = (struct qn_nearest){ .word = type };
        if (type) qn_nearest_consider(&nearest, type);
        if (pb->name && *pb->name) qn_nearest_consider(&nearest, pb->name);
    }
    status = qn_fail(err, QONNX_E_USAGE, "--%s: no node matches '%s'%s", option, pattern, qn_nearest_hint(&nearest));
    qn_arena_release(&arena);
    return status;
}

bool qn_match_any(const char *pattern, const struct qn_graph *graph)
{
    for (qn_node_id n = 0; n < graph->node_count; n++)
        if (qn_match_node(pattern, graph, n)) return true;
    return false;
}

void qn_match_mark(struct qn_list *patterns, const struct qn_graph *graph, struct qn_arena *arena)
{
    if (!patterns->known) patterns->known = qn_arena_array(arena, patterns->count, sizeof *patterns->known);
    for (size_t i = 0; patterns->known && i < patterns->count; i++) patterns->known[i] |= qn_match_any(patterns->items[i], graph);
}

qonnx_status qn_match_check(const struct qn_list *patterns, const char *option, const struct qn_graph *graph,
                            qonnx_error *err)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (!(patterns->known && patterns->known[i]) && !qn_match_any(patterns->items[i], graph))
            return no_match(patterns->items[i], option, graph, err);
    return QONNX_OK;
}
