/* SPDX-License-Identifier: Apache-2.0
 * Nodes that hand their input through unchanged are taken out: Identity, Dropout at inference, Cast to the type the
 * value has, Reshape to the shape it has, Transpose that moves nothing, and Concat, Sum, Mean, Max, Min of one input.
 *
 * Names of graph inputs and outputs stay. When the node makes a graph output, whatever made its input now makes the
 * output under that name; where nothing may be renamed (the input is a graph input, an initializer or an output itself)
 * the node stays. */
#include <string.h>

#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "pass/lib/facts.h"
#include "pass/pass.h"

struct at {
    const struct qn_graph *graph;
    const struct qn_fact  *facts;
    int64_t                opset;
    qn_node_id             node;
    const Onnx__NodeProto *pb;
};

static bool output_unused(const struct at *at, size_t slot)
{
    qn_value_id id = qn_node_output(at->graph, at->node, slot);
    return id == QN_NONE || (!at->graph->values[id].use_count && !(at->graph->values[id].flags & QN_OUTPUT));
}

/* Before opset 12 Dropout has no training mode; from then on it is a third input. */
static bool dropout_is_noop(const struct at *at)
{
    const Onnx__TensorProto *training = qn_node_constant(at->graph, at->node, 2);
    struct qn_arena          scratch = { 0 };
    const int64_t           *values;
    size_t                   count;
    bool                     off;

    if (at->opset < 7 || !output_unused(at, 1)) return false;
    if (at->pb->n_input < 3 || !*at->pb->input[2]) return true;
    if (!training) return false;
    off = qn_tensor_ints(training, &scratch, &values, &count, NULL) == QONNX_OK && count == 1 && !values[0];
    qn_arena_release(&scratch);
    return off;
}

static bool cast_is_noop(const struct at *at)
{
    qn_value_id x = qn_node_input(at->graph, at->node, 0);
    return at->facts[x].dtype && at->facts[x].dtype == qn_attr_int(at->pb, "to", 0);
}

/* One -1 is allowed: when all other sizes are the input's, so is the one that is left. */
static bool reshape_is_noop(const struct at *at)
{
    const struct qn_value   *x = &at->graph->values[qn_node_input(at->graph, at->node, 0)];
    const Onnx__TensorProto *shape = qn_node_constant(at->graph, at->node, 1);
    struct qn_arena          scratch = { 0 };
    const int64_t           *wanted;
    size_t                   count;
    int                      open = 0;
    bool                     same;

    if (!shape || x->rank < 0 || qn_attr_int(at->pb, "allowzero", 0)) return false;
    same = qn_tensor_ints(shape, &scratch, &wanted, &count, NULL) == QONNX_OK && count == (size_t)x->rank;
    for (size_t i = 0; same && i < count; i++) {
        open += wanted[i] == -1;
        same = wanted[i] == 0 || wanted[i] == -1 || (wanted[i] > 0 && wanted[i] == x->dims[i]);
    }
    qn_arena_release(&scratch);
    return same && open <= 1;
}

static bool transpose_is_noop(const struct at *at)
{
    size_t         count;
    const int64_t *perm = qn_attr_ints(at->pb, "perm", &count);

    for (size_t i = 0; perm && i < count; i++)
        if (perm[i] != (int64_t)i) return false;
    return perm != NULL;
}

static bool one_input_is_noop(const struct at *at) { return at->pb->n_input == 1; }

static const struct {
    const char *op;
    bool (*noop)(const struct at *at);
} rows[] = {
    { "Identity", one_input_is_noop }, { "Dropout", dropout_is_noop },     { "Cast", cast_is_noop },
    { "Reshape", reshape_is_noop },    { "Transpose", transpose_is_noop }, { "Concat", one_input_is_noop },
    { "Sum", one_input_is_noop },      { "Mean", one_input_is_noop },      { "Max", one_input_is_noop },
    { "Min", one_input_is_noop },
};

static bool is_noop(const struct at *at)
{
    if (qn_node_input(at->graph, at->node, 0) == QN_NONE || qn_node_output(at->graph, at->node, 0) == QN_NONE)
        return false;
    if (at->pb->n_output > (strcmp(at->pb->op_type, "Dropout") == 0 ? 2u : 1u)) return false;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (qn_node_is(at->graph, at->node, rows[i].op)) return rows[i].noop(at);
    return false;
}

struct removal {
    struct at       at;
    struct qn_edit *edit;
    bool           *gone;    /* by node */
    bool           *renamed; /* by value */
};

/* Keeps what was declared of the value that goes, where nothing was of the one that stays. */
static void hand_on_type(const struct removal *r, const struct qn_value *from, const struct qn_value *stays)
{
    qn_edit_drop_value_info(r->edit, from->name);
    if (stays->dtype || !from->dtype || stays->producer == QN_NONE || r->gone[stays->producer]) return;
    qn_edit_drop_value_info(r->edit, stays->name);
    qn_edit_add_value_info(r->edit, stays->name, from->dtype, from->rank, from->dims);
}

/* Redirects may form chains (the commit follows them); renaming needs a producer that stays, so it may have to wait. */
static void remove_node(struct removal *r, bool *again)
{
    const struct qn_graph *graph = r->at.graph;
    qn_value_id            in = qn_node_input(graph, r->at.node, 0), out = qn_node_output(graph, r->at.node, 0);
    const struct qn_value *x = &graph->values[in], *y = &graph->values[out];

    if (!(y->flags & QN_OUTPUT)) {
        qn_edit_redirect(r->edit, out, x->name);
        if (!r->renamed[in]) hand_on_type(r, y, x);
    } else if (x->producer == QN_NONE || (x->flags & QN_OUTPUT)) {
        return;
    } else if (r->gone[x->producer] || r->renamed[in]) {
        *again = true;
        return;
    } else {
        qn_edit_set_output(r->edit, x->producer, x->producer_slot, y->name);
        qn_edit_redirect(r->edit, in, y->name);
        qn_edit_drop_value_info(r->edit, x->name);
        r->renamed[in] = true;
    }
    *again = true; /* what it read besides may have no other use now */
    qn_edit_remove_node(r->edit, r->at.node);
    r->gone[r->at.node] = true;
}

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    struct qn_arena scratch = { 0 };
    struct removal  r = { .at = { .graph = graph, .opset = qn_model_opset(graph->model, "") }, .edit = edit };

    r.gone = qn_arena_array(&scratch, graph->node_count, sizeof *r.gone);
    r.renamed = qn_arena_array(&scratch, graph->value_count, sizeof *r.renamed);
    r.at.facts = qn_facts(graph, &scratch);
    if (qn_arena_failed(&scratch)) {
        qn_arena_release(&scratch);
        return qn_fail_nomem(err);
    }
    for (qn_node_id n = 0; n < graph->node_count; n++) {
        r.at.node = n;
        r.at.pb = graph->pb->node[n];
        if (is_noop(&r.at)) remove_node(&r, again);
    }
    qn_arena_release(&scratch);
    return QONNX_OK;
}

const struct qn_pass qn_pass_remove_identity = { "remove_identity",
                                                 "Identity, Dropout and other nodes that change nothing are removed",
                                                 run };
