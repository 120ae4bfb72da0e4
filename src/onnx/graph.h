/* SPDX-License-Identifier: Apache-2.0
 * An index over a model's main graph: who makes a value, who uses it, is it constant. A view that owns no protobuf
 * object; it is rebuilt after each commit of edits, never patched. Ids are dense and valid for one epoch.
 *
 * Bodies of If, Loop and Scan may be laid out flat: they are then part of the graph. Values that another nested graph reads from here count as uses by the node that holds the body, with
 * the slot QN_SLOT_CAPTURED, and carry the flag QN_CAPTURED. */
#ifndef QN_ONNX_GRAPH_H
#define QN_ONNX_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/names.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "onnx/model.h"

typedef uint32_t qn_value_id, qn_node_id; /* QN_NONE: none */

enum { QN_SLOT_CAPTURED = 0xffff };
enum qn_value_flag {
    QN_INPUT = 1,    /* a graph input that is not an initializer */
    QN_OUTPUT = 2,   /* a graph output */
    QN_CAPTURED = 4, /* read inside a nested graph */
};

struct qn_value {
    const char        *name;
    qn_node_id         producer; /* QN_NONE: graph input, initializer or outer value */
    uint16_t           producer_slot;
    uint16_t           flags;
    uint32_t           use_at, use_count; /* slice of graph->uses */
    Onnx__TensorProto *init;              /* NULL when not an initializer. Overridable ones (also graph inputs) are constant too */
    int32_t            dtype;             /* 0: not known */
    int32_t            rank;              /* -1: not known */
    const int64_t     *dims;              /* -1: not known; NULL when rank is not positive */
    uint64_t           seen;              /* elements in a run of the model; 0: nobody looked */
    const int64_t     *seen_dims;         /* its sizes then (-1: they vary), of `rank`; NULL: nobody looked */
};

struct qn_use {
    qn_node_id node;
    uint16_t   slot;
};

struct qn_graph {
    struct qn_model  *model;
    Onnx__GraphProto *pb;
    struct qn_value  *values;
    size_t            value_count, node_count; /* node id = index in pb->node */
    struct qn_use    *uses;
    qn_node_id       *scopes; /* by node: the Enter of the innermost flat body it stands in; QN_NONE: none. See scopes.h */
    struct qn_names   names;
    struct qn_arena   arena; /* of this epoch */
};

/* Builds the index. E_FORMAT for duplicate definitions, use before definition (so also cycles), unknown names. */
QONNX_MUST_CHECK qonnx_status qn_graph_build(struct qn_graph *graph, struct qn_model *model, qonnx_error *err);
void qn_graph_release(struct qn_graph *graph);

/* Look-ups; QN_NONE for absent things (an absent optional input too). */
qn_value_id qn_graph_find(const struct qn_graph *graph, const char *name);
qn_value_id qn_node_input(const struct qn_graph *graph, qn_node_id node, size_t slot);
qn_value_id qn_node_output(const struct qn_graph *graph, qn_node_id node, size_t slot);
/* The initializer behind an input, NULL when it is not constant. */
Onnx__TensorProto *qn_node_constant(const struct qn_graph *graph, qn_node_id node, size_t slot);
/* The one node that uses the value, if it has exactly one use, in its own scope, and is neither an output nor captured;
 * else QN_NONE. */
qn_node_id qn_value_only_user(const struct qn_graph *graph, qn_value_id value);
/* The scope in which a value is defined, like graph->scopes. */
qn_node_id qn_value_scope(const struct qn_graph *graph, qn_value_id value);
/* True for an operator of ai.onnx with this name. */
bool qn_node_is(const struct qn_graph *graph, qn_node_id node, const char *op_type);
/* True when a node holds nested graphs. */
bool qn_node_has_body(const Onnx__NodeProto *node);

/* "node 'conv1' (Conv)", or "node #12 (Conv)" when it has no name; for messages. Static per-thread buffer. */
const char *qn_node_label(const struct qn_graph *graph, qn_node_id node);

/* The way to a node in a flat body, "loop1/body/"; nothing in the main graph. */
void qn_node_put_path(const struct qn_graph *graph, qn_node_id node, struct qn_strbuf *text);

/* The graph as text, one line a node and value, for golden tests and --dump graph. */
void qn_graph_dump(const struct qn_graph *graph, struct qn_strbuf *text);

#endif
