/* SPDX-License-Identifier: Apache-2.0
 * The nodes of model-local functions take the place of the calls, those of the branch that a constant condition takes the
 * place of the If, and other bodies are laid out flat (see onnx/scopes.h). What is defined more than once gets names of
 * its own. Functions that nothing calls any more are dropped. */
#include <string.h>

#include "onnx/attr.h"
#include "onnx/functions.h"
#include "onnx/scopes.h"
#include "onnx/tensor.h"
#include "onnx/transplant.h"
#include "pass/lib/fold.h"
#include "pass/pass.h"

struct opener {
    const struct qn_graph *graph;
    struct qn_edit        *edit;
    struct qn_arena        scratch;
    struct qn_names        taken;
    struct qn_functions    functions;
    bool                   opened;
};

static void put(struct opener *o, qn_node_id at, const char *from, const char *to)
{
    Onnx__NodeProto *node = qn_node_new(qn_edit_arena(o->edit), "Identity", qn_edit_name(o->edit, to, "_Identity"), 1, &from, 1, &to);
    qn_edit_insert_before(o->edit, at, node);
}

static void put_nodes(struct opener *o, qn_node_id at, struct qn_transplant *t, Onnx__NodeProto *const *nodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < nodes[i]->n_output; k++) {
            const char *name = nodes[i]->output[k];
            if (*name && qn_names_find(&t->names.from, name) == QN_NONE) qn_transplant_define(t, name);
        }
        qn_edit_insert_before(o->edit, at, qn_transplant_node(t, nodes[i]));
    }
}

/* ---- functions ---- */

/* All that the nodes of a function make. */
static void find_made(const Onnx__FunctionProto *f, struct qn_names *made, struct qn_arena *scratch)
{
    qn_names_init(made, scratch);
    for (size_t n = 0; n < f->n_node; n++)
        for (size_t i = 0; i < f->node[n]->n_output; i++) qn_names_intern(made, f->node[n]->output[i]);
}

static void import_domains(struct opener *o, const Onnx__FunctionProto *f)
{
    for (size_t i = 0; i < f->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *import = f->opset_import[i];
        if (import->domain && *import->domain && import->version > 0 && !qn_model_opset(o->graph->model, import->domain))
            qn_edit_set_opset(o->edit, import->domain, import->version);
    }
}

/* Every result that the call wants is made, or is an input that it gives. */
static bool is_complete(const Onnx__FunctionProto *f, const Onnx__NodeProto *call, const struct qn_names *made)
{
    for (size_t i = 0; i < call->n_output; i++) {
        size_t k = 0;
        if (!*call->output[i]) continue;
        if (i >= f->n_output) return false;
        if (qn_names_find(made, f->output[i]) != QN_NONE) continue;
        while (k < f->n_input && strcmp(f->input[k], f->output[i]) != 0) k++;
        if (k >= f->n_input || k >= call->n_input || !*call->input[k]) return false;
    }
    return true;
}

static void inline_call(struct opener *o, qn_node_id n, const Onnx__FunctionProto *f)
{
    const Onnx__NodeProto *call = o->graph->pb->node[n];
    struct qn_transplant   t;
    struct qn_names        made;
    bool                  *direct = qn_arena_array(&o->scratch, f->n_output, sizeof *direct);

    if (!direct) return;
    find_made(f, &made, &o->scratch);
    if (!is_complete(f, call, &made)) return;
    qn_transplant_init(&t, o->edit, &o->scratch, &o->taken);
    t.prefix = call->name && *call->name ? call->name : call->n_output && *call->output[0] ? call->output[0] : call->op_type;
    t.function = f;
    t.call = call;
    for (size_t i = 0; i < f->n_input; i++) qn_transplant_map(&t, f->input[i], i < call->n_input ? call->input[i] : "");
    /* a result has the name it has outside at once, when a node makes it and no other result is the same */
    for (size_t i = 0; i < f->n_output && i < call->n_output; i++) {
        direct[i] = *call->output[i] && qn_names_find(&t.names.from, f->output[i]) == QN_NONE && qn_names_find(&made, f->output[i]) != QN_NONE;
        if (direct[i]) qn_transplant_map(&t, f->output[i], call->output[i]);
    }
    put_nodes(o, n, &t, f->node, f->n_node);
    for (size_t i = 0; i < f->n_output && i < call->n_output; i++)
        if (*call->output[i] && !direct[i]) put(o, n, qn_transplant_name(&t, f->output[i]), call->output[i]);
    for (size_t i = 0; i < f->n_value_info; i++) {
        const char *name = f->value_info[i]->name;
        if (name && qn_names_find(&made, name) != QN_NONE && qn_graph_find(o->graph, qn_transplant_name(&t, name)) == QN_NONE)
            qn_edit_declare(o->edit, qn_transplant_name(&t, name), f->value_info[i]);
    }
    import_domains(o, f);
    qn_edit_remove_node(o->edit, n);
    o->opened = true;
}

/* ---- branches ---- */

/* The branch that an If with a constant condition takes, or NULL. */
static const Onnx__GraphProto *taken_branch(struct opener *o, qn_node_id n)
{
    qn_value_id                 v = qn_node_input(o->graph, n, 0);
    qn_node_id                  maker = v == QN_NONE ? QN_NONE : o->graph->values[v].producer;
    const Onnx__TensorProto    *condition = qn_node_constant(o->graph, n, 0);
    const Onnx__AttributeProto *branch;
    const int64_t              *value;
    size_t                      count;

    if (!condition && maker != QN_NONE && qn_node_is(o->graph, maker, "Constant")) condition = qn_fold_constant(o->graph->pb->node[maker], &o->scratch);
    if (!condition || qn_tensor_ints(condition, &o->scratch, &value, &count, NULL) != QONNX_OK || count != 1) return NULL;
    branch = qn_attr_find(o->graph->pb->node[n], *value ? "then_branch" : "else_branch");
    return branch && branch->g && branch->g->n_output == o->graph->pb->node[n]->n_output && !branch->g->n_input && !branch->g->n_sparse_initializer ? branch->g : NULL;
}

/* All of a body but its inputs and outputs, put before node n. */
static void put_body(struct opener *o, qn_node_id n, struct qn_transplant *t, const Onnx__GraphProto *body)
{
    for (size_t i = 0; i < body->n_initializer; i++) {
        if (!body->initializer[i]->name) continue;
        qn_transplant_define(t, body->initializer[i]->name);
        qn_edit_add_initializer(o->edit, qn_transplant_tensor(t, body->initializer[i]));
    }
    put_nodes(o, n, t, body->node, body->n_node);
    for (size_t i = 0; i < body->n_value_info; i++) {
        const char *name = body->value_info[i]->name;
        if (name && qn_names_find(&t->names.from, name) != QN_NONE) qn_edit_declare(o->edit, qn_transplant_name(t, name), body->value_info[i]);
    }
}

static void inline_branch(struct opener *o, qn_node_id n, const Onnx__GraphProto *body)
{
    const Onnx__NodeProto *node = o->graph->pb->node[n];
    struct qn_transplant   t;

    qn_transplant_init(&t, o->edit, &o->scratch, &o->taken);
    put_body(o, n, &t, body);
    for (size_t i = 0; i < body->n_output && i < node->n_output; i++)
        if (*node->output[i] && body->output[i]->name) put(o, n, qn_transplant_name(&t, body->output[i]->name), node->output[i]);
    qn_edit_remove_node(o->edit, n);
    o->opened = true;
}

/* ---- bodies ---- */

static bool has_name(const char *name) { return name && *name; }

/* Names, and constants that are neither sparse nor inputs as well: what stands in the main graph as it did in the body. */
static bool can_be_flat(struct opener *o, const Onnx__GraphProto *body)
{
    struct qn_names inputs;

    qn_names_init(&inputs, &o->scratch);
    for (size_t i = 0; i < body->n_input; i++)
        if (!has_name(body->input[i]->name) || qn_names_intern(&inputs, body->input[i]->name) != i) return false;
    for (size_t i = 0; i < body->n_output; i++)
        if (!has_name(body->output[i]->name)) return false;
    for (size_t i = 0; i < body->n_initializer; i++)
        if (!has_name(body->initializer[i]->name) || qn_names_find(&inputs, body->initializer[i]->name) != QN_NONE) return false;
    return !body->n_sparse_initializer && !qn_arena_failed(&o->scratch);
}

/* Puts the body before node n and returns what stands for it in the node; NULL when memory is out. */
static Onnx__AttributeProto *lay_out(struct opener *o, qn_node_id n, const Onnx__AttributeProto *attr)
{
    struct qn_arena       *arena = qn_edit_arena(o->edit);
    const Onnx__NodeProto *node = o->graph->pb->node[n];
    const Onnx__GraphProto *body = attr->g;
    const char           **inputs = qn_arena_array(&o->scratch, body->n_input, sizeof *inputs), **outputs = qn_arena_array(&o->scratch, body->n_output, sizeof *outputs);
    const char            *base = has_name(node->name) ? node->name : node->n_output ? node->output[0] : node->op_type;
    size_t                 at = body->n_input;
    struct qn_transplant   t;
    struct qn_marks        marks;

    if (!inputs || !outputs) return NULL;
    qn_transplant_init(&t, o->edit, &o->scratch, &o->taken);
    for (size_t i = 0; i < at; i++) inputs[i] = qn_transplant_define(&t, body->input[i]->name);
    marks = qn_marks_new(o->graph->model, attr, qn_arena_printf(arena, "%s/%s", base, attr->name ? attr->name : ""), inputs, outputs);
    if (!marks.attr) return NULL;
    qn_edit_insert_before(o->edit, n, marks.enter);
    put_body(o, n, &t, body);
    for (size_t i = 0; i < body->n_output; i++) marks.leave->input[i] = (char *)(uintptr_t)qn_transplant_name(&t, body->output[i]->name);
    qn_edit_insert_before(o->edit, n, marks.leave);
    for (size_t i = 0; i < at; i++) qn_edit_declare(o->edit, inputs[i], body->input[i]);
    return marks.attr;
}

static void lay_out_all(struct opener *o, qn_node_id n)
{
    static const char *const holders[] = { "If", "Loop", "Scan" };
    const Onnx__NodeProto   *node = o->graph->pb->node[n];
    Onnx__NodeProto         *copy = NULL;
    bool                     known = false;

    for (size_t i = 0; i < sizeof holders / sizeof *holders; i++) known |= qn_node_is(o->graph, n, holders[i]);
    for (size_t i = 0; known && i < node->n_attribute; i++) {
        if (!node->attribute[i]->g || !can_be_flat(o, node->attribute[i]->g)) continue;
        if (!copy) copy = qn_node_copy(qn_edit_arena(o->edit), node);
        if (copy) copy->attribute[i] = lay_out(o, n, node->attribute[i]);
        if (!copy || !copy->attribute[i]) o->scratch.failed = true;
        if (o->scratch.failed) return;
    }
    if (!copy) return;
    qn_edit_replace_node(o->edit, n, copy);
    o->opened = true;
}

/* ---- the pass ---- */

static qonnx_status open_all(struct opener *o, qonnx_error *err)
{
    QN_TRY(qn_functions_init(&o->functions, o->graph->model, &o->scratch, err));
    QN_TRY(qn_functions_check(&o->functions, err));
    qn_names_init(&o->taken, &o->scratch);
    for (qn_value_id v = 0; v < o->graph->value_count; v++) qn_names_intern(&o->taken, o->graph->values[v].name);
    for (qn_node_id n = 0; n < o->graph->node_count; n++) {
        const Onnx__FunctionProto *f = qn_functions_find(&o->functions, o->graph->pb->node[n]);
        const Onnx__GraphProto    *body = qn_node_is(o->graph, n, "If") ? taken_branch(o, n) : NULL;
        if (f) inline_call(o, n, f);
        if (body && !f) inline_branch(o, n, body);
        if (!body && !f) lay_out_all(o, n);
    }
    if (!o->opened && o->graph->model->pb->n_functions && !qn_functions_called(&o->functions, o->graph->pb)) qn_edit_drop_functions(o->edit);
    return qn_arena_failed(&o->scratch) ? qn_fail_nomem(err) : QONNX_OK;
}

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    struct opener o = { .graph = graph, .edit = edit };
    qonnx_status  status = open_all(&o, err);

    *again = o.opened; /* what was opened may hold more of its kind */
    qn_arena_release(&o.scratch);
    return status;
}

const struct qn_pass qn_pass_open_scopes = { "open_scopes", "functions, branches that are always taken and the bodies of If, Loop and Scan join the graph around them", run };
