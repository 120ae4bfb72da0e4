/* SPDX-License-Identifier: Apache-2.0
 *
 * Runtimes name what they fuse after one of its parts, and derive names where they need more. So each node is handed
 * over under a number; what comes back under that number, with or without an ending, computes that node. */
#include "verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/attr.h"
#include "plan/kernels.h"

#define NUMBERED "qonnx:%zu"

bool qn_kernel_differs(const struct qn_plan *plan, const struct qn_kernels_found *found, qn_node_id node)
{
    const struct qn_kernel_found *f = &found->nodes[node];
    const char                   *expected = qn_plan_kernel(plan, node);

    if (!qn_plan_foresees_kernels(plan)) return false;
    if (plan->nodes[node].reason == QN_REASON_MOVES_CODES) return expected && f->op && !f->integer;
    if (expected) return !f->op || strcmp(expected, f->op) != 0;
    return f->op && qn_is_integer_kernel(f->op);
}

/* ---- what is handed over ---- */

static qonnx_status number_nodes(struct qn_model *copy, Onnx__ModelProto *pb, Onnx__GraphProto *graph,
                                 struct qn_arena *arena, qonnx_error *err)
{
    *pb = *copy->pb;
    *graph = *pb->graph;
    graph->node = qn_arena_array(arena, graph->n_node, sizeof *graph->node);
    for (size_t i = 0; graph->node && i < graph->n_node; i++) {
        Onnx__NodeProto *node = graph->node[i] =
            (Onnx__NodeProto *)(void *)qn_arena_memdup(arena, pb->graph->node[i], sizeof *node);
        if (node) node->name = qn_arena_printf(arena, NUMBERED, i);
    }
    pb->graph = graph;
    copy->pb = pb;
    return qn_arena_failed(arena) ? qn_fail_nomem(err) : QONNX_OK;
}

/* ---- what comes back ---- */

/* The number in a name, or `none`. */
static size_t number_in(const char *name, size_t none)
{
    size_t number;
    int    end = 0;

    if (!name || sscanf(name, NUMBERED "%n", &number, &end) != 1 || number >= none) return none;
    return name[end] == 0 || name[end] == '_' ? number : none;
}

struct reading {
    struct qn_names         names;
    bool                   *codes;    /* by name: integers that stand for real numbers */
    bool                   *constant; /* by name */
    struct qn_kernel_found *written;  /* by node of the written model */
    size_t                  written_count;
};

static bool reads(const struct reading *r, const Onnx__NodeProto *node, const bool *set)
{
    uint32_t id = node->n_input ? qn_names_find(&r->names, node->input[0]) : QN_NONE;
    return id != QN_NONE && set[id];
}

/* A product whose scale for the result is absent is float; other integer kernels but the few that end in float make codes. */
static bool makes_codes(const Onnx__NodeProto *node)
{
    if (strcmp(node->op_type, "QGemm") == 0) return node->n_input > 7 && *node->input[7];
    return strncmp(node->op_type, "QLinear", 7) == 0;
}

static void read_node(struct reading *r, const Onnx__NodeProto *node, struct qn_kernels_found *found)
{
    bool quantizes = strcmp(node->op_type, "QuantizeLinear") == 0,
         dequantizes = strcmp(node->op_type, "DequantizeLinear") == 0;
    bool computes = qn_is_integer_kernel(node->op_type), moves = !computes && !dequantizes && reads(r, node, r->codes);
    size_t number = number_in(node->name, r->written_count);

    found->quantizers += quantizes;
    found->dequantizers += dequantizes;
    found->constants += dequantizes && reads(r, node, r->constant);
    for (size_t i = 0; i < node->n_output; i++) {
        uint32_t id = qn_names_intern(&r->names, node->output[i]);
        if (id != QN_NONE) r->codes[id] = quantizes || moves || (computes && makes_codes(node));
    }
    if (number == r->written_count || (r->written[number].op && r->written[number].integer)) return;
    r->written[number] = (struct qn_kernel_found){ node->op_type, computes || moves };
}

/* Recursion is as deep as the messages are, which the reader limits. */
static size_t count_values(const Onnx__GraphProto *graph)
{
    size_t count = graph->n_initializer;

    for (size_t n = 0; n < graph->n_node; n++) {
        count += graph->node[n]->n_output;
        for (size_t i = 0; i < graph->node[n]->n_attribute; i++)
            if (graph->node[n]->attribute[i]->g) count += count_values(graph->node[n]->attribute[i]->g);
    }
    return count;
}

static void read_graph(struct reading *r, const Onnx__GraphProto *graph, struct qn_kernels_found *found)
{
    for (size_t i = 0; i < graph->n_initializer; i++) {
        uint32_t id = graph->initializer[i]->name ? qn_names_intern(&r->names, graph->initializer[i]->name) : QN_NONE;
        if (id != QN_NONE) r->constant[id] = true;
    }
    for (size_t n = 0; n < graph->n_node; n++) {
        for (size_t i = 0; i < graph->node[n]->n_attribute; i++)
            if (graph->node[n]->attribute[i]->g) read_graph(r, graph->node[n]->attribute[i]->g, found);
        if (graph->node[n]->op_type) read_node(r, graph->node[n], found);
    }
}

static qonnx_status read_back(struct reading *r, const Onnx__GraphProto *graph, struct qn_kernels_found *found,
                              struct qn_arena *arena, qonnx_error *err)
{
    size_t room = count_values(graph) + 1;

    qn_names_init(&r->names, arena);
    r->codes = qn_arena_array(arena, room, sizeof *r->codes);
    r->constant = qn_arena_array(arena, room, sizeof *r->constant);
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    read_graph(r, graph, found);
    return qn_arena_failed(arena) ? qn_fail_nomem(err) : QONNX_OK;
}

/* ---- which written node is whose ---- */

/* The written node that makes a value of the float model, looking through the DQ that gives it back. */
static qn_node_id maker(const struct qn_graph *written, const char *name)
{
    qn_value_id v = qn_graph_find(written, name);
    qn_node_id  n = v == QN_NONE ? QN_NONE : written->values[v].producer;

    if (n == QN_NONE || !qn_node_is(written, n, "DequantizeLinear")) return n;
    v = qn_node_input(written, n, 0);
    return v == QN_NONE ? QN_NONE : written->values[v].producer;
}

/* A node is written under its own name; many models have none, and then by what it makes. */
static qn_node_id written_as(const struct qn_plan *plan, const struct qn_graph *written, const struct qn_names *names,
                             const uint32_t *named, qn_node_id n)
{
    const Onnx__NodeProto *pb = plan->graph->pb->node[n];
    uint32_t               id = pb->name && *pb->name ? qn_names_find(names, pb->name) : QN_NONE;

    if (id != QN_NONE && named[id] != QN_NONE) return named[id];
    return pb->n_output ? maker(written, pb->output[0]) : QN_NONE;
}

static qonnx_status assign(struct qn_kernels_found *found, const struct qn_plan *plan, const struct qn_graph *written,
                           const struct reading *r, struct qn_arena *arena, struct qn_arena *scratch, qonnx_error *err)
{
    struct qn_names names;
    uint32_t       *named = qn_arena_array(scratch, written->node_count, sizeof *named);

    qn_names_init(&names, scratch);
    found->nodes = qn_arena_array(arena, plan->graph->node_count, sizeof *found->nodes);
    for (qn_node_id n = 0; named && n < written->node_count; n++) {
        const char *name = written->pb->node[n]->name;
        size_t      before = names.count;
        uint32_t    id = name && *name ? qn_names_intern(&names, name) : QN_NONE;
        if (id != QN_NONE) named[id] = names.count > before ? n : QN_NONE; /* a name that two have tells nothing */
    }
    if (qn_arena_failed(arena) || qn_arena_failed(scratch)) return qn_fail_nomem(err);
    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        qn_node_id as =
            plan->nodes[n].reason == QN_REASON_FUSED ? QN_NONE : written_as(plan, written, &names, named, n);
        if (as != QN_NONE && r->written[as].op)
            found->nodes[n] =
                (struct qn_kernel_found){ qn_arena_strdup(arena, r->written[as].op), r->written[as].integer };
        found->differ += qn_kernel_differs(plan, found, n);
    }
    return qn_arena_failed(arena) ? qn_fail_nomem(err) : QONNX_OK;
}

qonnx_status qn_kernels_find(struct qn_kernels_found *found, const struct qn_plan *plan, const struct qn_graph *written,
                             struct qn_runtime *runtime, struct qn_arena *arena, qonnx_error *err)
{
    struct qn_model           numbered = *written->model, rewritten = { 0 };
    Onnx__ModelProto          pb;
    Onnx__GraphProto          graph;
    struct qn_session_options options = { .optimize = true, .rewritten = &rewritten };
    struct qn_session        *session;
    struct qn_arena           scratch = { 0 };
    struct reading            r = { .written_count = written->node_count };
    qonnx_status              status = number_nodes(&numbered, &pb, &graph, &scratch, err);

    memset(found, 0, sizeof *found);
    if (status == QONNX_OK)
        status = qn_wrap(err, runtime->open(runtime, &numbered, &options, &session, err),
                         "the quantized model does not open");
    if (status == QONNX_OK) runtime->close(session);
    if (status == QONNX_OK && rewritten.pb) {
        if (!(r.written = qn_arena_array(&scratch, r.written_count, sizeof *r.written))) status = qn_fail_nomem(err);
        if (status == QONNX_OK) status = read_back(&r, rewritten.pb->graph, found, &scratch, err);
        if (status == QONNX_OK) status = assign(found, plan, written, &r, arena, &scratch, err);
        qn_model_release(&rewritten);
    }
    qn_arena_release(&scratch);
    return status;
}

/* ---- time ---- */

static bool same_inputs(const struct qn_session *a, const struct qn_session *b)
{
    if (a->input_count != b->input_count) return false;
    for (size_t i = 0; i < a->input_count; i++)
        if (a->inputs[i].dtype != b->inputs[i].dtype || strcmp(a->inputs[i].name, b->inputs[i].name) != 0) return false;
    return true;
}

static qonnx_status measure_first(struct qn_pace *pace, struct qn_session *const sessions[2], struct qn_feed *feed,
                                  qonnx_error *err)
{
    struct qn_sample sample = { 0 };
    bool             done = false;
    qonnx_status     status = qn_feed_rewind(feed, err);

    if (status == QONNX_OK) status = qn_feed_next(feed, &sample, &done, err);
    if (status == QONNX_OK && !done) status = qn_pace_measure(pace, sessions, sample.views, err);
    qn_sample_release(&sample);
    return status;
}

qonnx_status qn_verify_pace(struct qn_pace *pace, const struct qn_model *before, const struct qn_model *after,
                            struct qn_runtime *runtime, struct qn_feed *feed, qonnx_error *err)
{
    struct qn_session_options options = { .optimize = true };
    struct qn_session        *sessions[2] = { NULL, NULL };
    qonnx_status              status = runtime->open(runtime, before, &options, &sessions[0], err);

    if (status == QONNX_OK) status = runtime->open(runtime, after, &options, &sessions[1], err);
    if (status == QONNX_OK && same_inputs(sessions[0], sessions[1])) status = measure_first(pace, sessions, feed, err);
    for (int k = 0; k < 2; k++)
        if (sessions[k]) runtime->close(sessions[k]);
    return status;
}
