/* SPDX-License-Identifier: Apache-2.0
 * A model made by hand and its index, for tests of what works on graphs. */
#ifndef QN_TESTS_SMALL_GRAPH_H
#define QN_TESTS_SMALL_GRAPH_H

#include <stdio.h>

#include "fake_runtime.h"
#include "onnx/check.h"
#include "onnx/graph.h"

struct small {
    struct qn_model model;
    struct qn_graph graph;
    qonnx_error     err;
};

static inline void small_open(struct small *s)
{
    memset(s, 0, sizeof *s);
    model_init(&s->model);
}

static inline qonnx_status small_index(struct small *s)
{
    memset(&s->err, 0, sizeof s->err);
    return qn_graph_build(&s->graph, &s->model, &s->err);
}

static inline void small_close(struct small *s)
{
    qn_graph_release(&s->graph);
    qn_arena_release(&s->model.arena);
}

static inline void assert_ok(qonnx_status status, const qonnx_error *err)
{
    if (status != QONNX_OK) fail_msg("%s: %s", qonnx_status_name(status), err->message);
}

/* The text of the error must hold every piece. */
static inline void assert_fails(qonnx_status status, qonnx_status wanted, const qonnx_error *err, const char *piece)
{
    assert_string_equal(qonnx_status_name(status), qonnx_status_name(wanted));
    if (!strstr(err->message, piece)) fail_msg("'%s' is not in '%s'", piece, err->message);
}

static inline qn_value_id small_value(const struct small *s, const char *name)
{
    qn_value_id id = qn_graph_find(&s->graph, name);
    if (id == QN_NONE) fail_msg("no value is called '%s'", name);
    return id;
}

static inline qn_node_id small_node(const struct small *s, const char *name)
{
    for (qn_node_id n = 0; n < s->graph.node_count; n++)
        if (strcmp(s->graph.pb->node[n]->name, name) == 0) return n;
    fail_msg("no node is called '%s'", name);
    return QN_NONE;
}

static inline bool small_has_node(const struct small *s, const char *name)
{
    for (qn_node_id n = 0; n < s->graph.node_count; n++)
        if (strcmp(s->graph.pb->node[n]->name, name) == 0) return true;
    return false;
}

/* A float input, activation or result of any shape. */
static inline void small_input(struct small *s, const char *name, int rank)
{
    static const int64_t unknown[8] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    model_input(&s->model, name, QN_FLOAT, rank, unknown, NULL);
}

static inline void small_output(struct small *s, const char *name) { model_output(&s->model, name, QN_FLOAT); }

/* A float constant whose elements all have one value. */
static inline float *small_constant(struct small *s, const char *name, float value, size_t rank, const int64_t *dims)
{
    size_t count = 1;
    float *elements;

    for (size_t i = 0; i < rank; i++) count *= (size_t)dims[i];
    elements = qn_arena_array(&s->model.arena, count, sizeof *elements);
    for (size_t i = 0; i < count; i++) elements[i] = value;
    model_constant(&s->model, name, QN_FLOAT, rank, dims, elements, count * sizeof *elements);
    return elements;
}
#define DIMS(...) (sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)), (const int64_t[]){ __VA_ARGS__ }

/* Node and result have the same name. */
#define small_op(s, op, name, ...) model_node(&(s)->model, op, name, INPUTS(__VA_ARGS__))

static inline void small_second_output(struct small *s, Onnx__NodeProto *node, const char *name)
{
    char **outputs = qn_arena_array(&s->model.arena, node->n_output + 1, sizeof *outputs);

    memcpy(outputs, node->output, node->n_output * sizeof *outputs);
    outputs[node->n_output++] = qn_arena_strdup(&s->model.arena, name);
    node->output = outputs;
}

/* A graph as an attribute. */
static inline Onnx__GraphProto *small_body(struct small *s, Onnx__NodeProto *holder, const char *attribute)
{
    Onnx__AttributeProto  *attr = qn_arena_alloc(&s->model.arena, sizeof *attr);
    Onnx__AttributeProto **list = qn_arena_array(&s->model.arena, holder->n_attribute + 1, sizeof(Onnx__AttributeProto *));

    onnx__attribute_proto__init(attr);
    attr->name = qn_arena_strdup(&s->model.arena, attribute);
    attr->has_type = true;
    attr->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH;
    attr->g = qn_arena_alloc(&s->model.arena, sizeof *attr->g);
    onnx__graph_proto__init(attr->g);
    attr->g->name = qn_arena_strdup(&s->model.arena, attribute);
    if (holder->n_attribute) memcpy(list, holder->attribute, holder->n_attribute * sizeof *list);
    list[holder->n_attribute++] = attr;
    holder->attribute = list;
    return attr->g;
}

/* Puts nodes, inputs and outputs into a nested graph instead of the main one while it lasts. */
static inline Onnx__GraphProto *small_enter(struct small *s, Onnx__GraphProto *body)
{
    Onnx__GraphProto *outer = s->model.pb->graph;
    s->model.pb->graph = body;
    return outer;
}

static inline void small_leave(struct small *s, Onnx__GraphProto *outer) { s->model.pb->graph = outer; }

#endif
