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

bool qn_match_node(const char *pattern, const struct qn_graph *graph, qn_node_id node)
{
    const Onnx__NodeProto *pb = graph->pb->node[node];

    if (strncmp(pattern, "op:", 3) == 0) return qn_glob(pattern + 3, pb->op_type);
    if (pb->name && *pb->name && qn_glob(pattern, pb->name)) return true;
    for (size_t i = 0; i < pb->n_output; i++)
        if (*pb->output[i] && qn_glob(pattern, pb->output[i])) return true;
    return false;
}

qonnx_status qn_match_check(const struct qn_list *patterns, const char *option, const struct qn_graph *graph, qonnx_error *err)
{
    for (size_t i = 0; i < patterns->count; i++) {
        struct qn_nearest nearest = { .word = patterns->items[i] };
        bool              found = false;
        for (qn_node_id n = 0; n < graph->node_count && !found; n++) {
            const char *name = graph->pb->node[n]->name;
            found = qn_match_node(patterns->items[i], graph, n);
            if (name && *name) qn_nearest_consider(&nearest, name);
        }
        if (!found) return qn_fail(err, QONNX_E_USAGE, "--%s: no node matches '%s'%s", option, patterns->items[i], qn_nearest_hint(&nearest));
    }
    return QONNX_OK;
}
