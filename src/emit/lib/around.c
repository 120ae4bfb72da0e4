/* SPDX-License-Identifier: Apache-2.0 */
#include "emit/lib/around.h"

#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/block_weight.h"
#include "plan/kernels.h"
#include "plan/presets.h"
#include "plan/round.h"
#include "quant/small_float.h"

/* The dequantized form of a value from outside of a body, in the body. */
struct qn_view_in {
    qn_value_id value;
    qn_node_id  scope;
    const char *name;
};


Onnx__NodeProto *qn_around_node(struct qn_around *w, struct qn_place place, const char *op, const char *base, size_t inputs, const char *const *input, const char *out)
{
    char             suffix[40];
    Onnx__NodeProto *node;

    suffix[0] = '_';
    strncpy(suffix + 1, op, sizeof suffix - 2);
    suffix[sizeof suffix - 1] = 0;
    node = qn_node_new(w->arena, op, qn_edit_name(w->edit, base, suffix), inputs, input, 1, &out);
    if (place.before)
        qn_edit_insert_before(w->edit, place.at, node);
    else
        qn_edit_insert_after(w->edit, place.at, node);
    return node;
}

void qn_around_describe(struct qn_around *w, const char *name, int32_t dtype, qn_value_id like)
{
    const struct qn_value *v = &w->plan->graph->values[like];
    if (v->dtype && !(v->flags & QN_OUTPUT && strcmp(v->name, name) == 0)) qn_edit_add_value_info(w->edit, name, dtype, v->rank, v->dims);
}

/* ---- activations ---- */

/* Kernels see a DQ only in their own graph: each body that reads a value from outside has one for its codes. */
static const char *view_in_scope(struct qn_around *w, qn_value_id v, qn_node_id scope)
{
    const struct qn_tensor_plan *t = &w->plan->tensors[v];
    const char                  *name = w->plan->graph->values[v].name, *out;
    struct qn_view_in           *grown;

    if (!w->codes[v]) return name;
    for (size_t i = 0; i < w->inner.count; i++)
        if (w->inner.list[i].value == v && w->inner.list[i].scope == scope) return w->inner.list[i].name;
    grown = qn_arena_grow(&w->scratch, w->inner.list, w->inner.count, &w->inner.room, sizeof *grown);
    if (!grown) return name;
    out = qn_edit_name(w->edit, name, "_dequantized");
    w->inner.list = grown;
    grown[w->inner.count++] = (struct qn_view_in){ v, scope, out };
    w->style->values(w, (struct qn_place){ scope, false }, w->codes[v], t->params, &w->params[t->group], name, out, v);
    return out;
}

static const char *view_of(struct qn_around *w, qn_node_id node, size_t slot)
{
    const struct qn_graph *g = w->plan->graph;
    qn_value_id            v = qn_node_input(g, node, slot);

    if (v == QN_NONE) return "";
    if (!qn_plan_reads_codes(w->plan, node, slot) || !w->plan->tensors[v].quantized) return g->values[v].name;
    if (w->style->codes && qn_value_scope(g, v) != g->scopes[node]) return view_in_scope(w, v, g->scopes[node]);
    return w->views[v] ? w->views[v] : g->values[v].name;
}

/* A value that only bodies read as codes needs no DQ outside of them. */
static bool is_read_in_scope(const struct qn_around *w, qn_value_id v)
{
    const struct qn_graph *g = w->plan->graph;
    const struct qn_value *value = &g->values[v];
    bool                   elsewhere = false;

    for (uint32_t u = 0; u < value->use_count; u++) {
        struct qn_use use = g->uses[value->use_at + u];
        if (g->scopes[use.node] == qn_value_scope(g, v)) return true;
        elsewhere |= qn_plan_reads_codes(w->plan, use.node, use.slot);
    }
    return !elsewhere;
}

/* What is to be computed in float must not be seen by the Q behind it. The greatest of one value is that value, and no
 * rewrite looks through it. */
static const char *keep_float(struct qn_around *w, qn_value_id v)
{
    const struct qn_value *value = &w->plan->graph->values[v];
    const char            *name = value->name, *out = qn_edit_name(w->edit, name, "_float");

    qn_around_node(w, (struct qn_place){ value->producer, false }, "Max", name, 1, &name, out);
    qn_around_describe(w, out, QN_FLOAT, v);
    return out;
}

/* A graph output that is to carry quantized values keeps its name; what its producer makes gets another. */
static void write_value(struct qn_around *w, qn_value_id v)
{
    const struct qn_graph       *g = w->plan->graph;
    const struct qn_tensor_plan *t = &w->plan->tensors[v];
    qn_node_id                   producer = g->values[v].producer;
    const char                  *name = g->values[v].name, *x = name, *view;
    bool                         is_output = t->at_producer && g->values[v].flags & (QN_OUTPUT | QN_CAPTURED);
    struct qn_place              place = { producer, producer == QN_NONE };

    view = is_output ? name : qn_edit_name(w->edit, name, "_dequantized");
    if (producer != QN_NONE && w->plan->nodes[producer].dropped) {
        x = view_of(w, producer, 0);
        qn_edit_remove_node(w->edit, producer);
    } else if (is_output) {
        x = qn_edit_name(w->edit, name, "_float");
        qn_edit_set_output(w->edit, producer, g->values[v].producer_slot, x);
        qn_around_describe(w, x, QN_FLOAT, v);
    } else if (qn_plan_fuses_unasked(w->plan, v)) {
        x = keep_float(w, v);
    }
    w->views[v] = view;
    w->floats[v] = x;
    w->taken[v] = is_output;
    if (!w->style->codes) {
        w->style->activation(w, place, x, t->params, &w->params[t->group], name, view, v);
        return;
    }
    w->codes[v] = w->style->codes(w, place, x, t->params, &w->params[t->group], name, v);
    if (is_output || is_read_in_scope(w, v)) w->style->values(w, place, w->codes[v], t->params, &w->params[t->group], name, view, v);
}

/* On targets that ask for it the first reader has the pair that stands at the producer, and each further one its own. */
static const char *own_pair(struct qn_around *w, qn_node_id n, size_t slot, const char *view)
{
    qn_value_id                  v = qn_node_input(w->plan->graph, n, slot);
    const struct qn_tensor_plan *t = &w->plan->tensors[v];
    const char                  *out;

    if (!w->taken[v]) {
        w->taken[v] = true;
        return view;
    }
    out = qn_edit_name(w->edit, w->plan->graph->values[v].name, "_dequantized");
    w->style->activation(w, (struct qn_place){ n, true }, w->floats[v], t->params, &w->params[t->group], out, out, v);
    return out;
}

/* The same for what a product reads, which needs no Q behind it to be computed on integers. */
static const char *keep_product_float(struct qn_around *w, qn_node_id n, const char *x)
{
    const char *out = qn_edit_name(w->edit, x, "_float");

    qn_around_node(w, (struct qn_place){ n, true }, "Max", x, 1, &x, out);
    qn_around_describe(w, out, QN_FLOAT, qn_node_input(w->plan->graph, n, 0));
    return out;
}

static void rewire(struct qn_around *w, qn_node_id n)
{
    const struct qn_node_plan *row = &w->plan->nodes[n];
    bool                       pairs = !w->plan->recipe && w->plan->settings->target_row->pair_per_reader;

    if (row->dropped) return;
    for (size_t slot = 0; slot < w->plan->graph->pb->node[n]->n_input; slot++) {
        const char *view = view_of(w, n, slot);
        if (pairs && *view && qn_plan_reads_codes(w->plan, n, slot)) view = own_pair(w, n, slot, view);
        if (slot == 0 && row->input) {
            struct qn_param_names own = { 0 };
            qn_value_id           v = qn_node_input(w->plan->graph, n, 0);
            const char           *base = w->plan->graph->values[v].name, *out = qn_edit_name(w->edit, base, "_requantized");
            w->style->activation(w, (struct qn_place){ n, true }, view, row->input, &own, out, out, v);
            view = out;
        }
        if (slot == 0 && qn_plan_multiplies_unasked(w->plan, n)) view = keep_product_float(w, n, view);
        if (strcmp(view, w->plan->graph->pb->node[n]->input[slot]) != 0) qn_edit_set_input(w->edit, n, slot, view);
    }
}

/* ---- layers ---- */

static bool same_params(const struct qn_qparams *a, const struct qn_qparams *b)
{
    return a->type == b->type && a->lo == b->lo && a->hi == b->hi && a->axis == b->axis && a->count == b->count &&
           memcmp(a->scale, b->scale, a->count * sizeof *a->scale) == 0 && memcmp(a->zero_point, b->zero_point, a->count * sizeof *a->zero_point) == 0;
}

/* Were the codes found by what the layer reads, they are of use for another only when that would have the same. */
static bool same_rounding(const struct qn_around *w, qn_value_id value, const struct qn_rounded *a, const struct qn_rounded *b)
{
    size_t count;

    if (!a || !b || a == b) return a == b;
    return qn_tensor_count(w->plan->graph->values[value].init, &count, NULL) == QONNX_OK &&
           memcmp(a->blocks->codes, b->blocks->codes, count * (size_t)a->form.bits / 8) == 0 && a->blocks->lost.noise == b->blocks->lost.noise;
}

/* Codes of one value with one set of parameters; NULL for the nearest. */
static bool same_codes(const struct qn_around *w, qn_value_id value, const struct qn_qtype *type, const void *a, const void *b)
{
    size_t count;

    if (!a || !b) return a == b;
    return qn_tensor_count(w->plan->graph->values[value].init, &count, NULL) == QONNX_OK && memcmp(a, b, count * type->code_size) == 0;
}

/* What is written already loses what it did. */
static void share_loss(const struct qn_around *w, qn_node_id node, const struct qn_written *other)
{
    if (w->plan->nodes[node].lost) w->plan->nodes[node].lost->same = other->lost;
}

static const char *find_written(const struct qn_around *w, qn_node_id node, qn_value_id value, const struct qn_qparams *params, const void *codes)
{
    const qn_node_id scope = w->plan->graph->scopes[node];

    for (size_t i = 0; i < w->written.count; i++) {
        const struct qn_written *other = &w->written.list[i];
        if (other->value != value || other->scope != scope || !other->params || !same_params(other->params, params) || !same_codes(w, value, params->type, other->codes, codes)) continue;
        share_loss(w, node, other);
        return other->names[0];
    }
    return NULL;
}

struct qn_written *qn_around_find_blocks(const struct qn_around *w, qn_node_id node)
{
    const struct qn_block_plan *blocks = w->plan->nodes[node].blocks;
    const qn_value_id           value = qn_node_input(w->plan->graph, node, qn_plan_weight_slot(&w->plan->nodes[node]));
    const bool                  table = w->plan->nodes[node].rule->kind == QN_KIND_TABLE;
    const int                   axis = qn_block_axis(w->plan->graph, node);

    for (size_t i = 0; i < w->written.count; i++) {
        struct qn_written *other = &w->written.list[i];
        if (other->value == value && other->scope == w->plan->graph->scopes[node] && other->blocks && other->table == table && other->axis == axis && qn_block_form_same(&other->blocks->form, &blocks->form) &&
            same_rounding(w, value, other->rounded, w->plan->nodes[node].rounded)) {
            share_loss(w, node, other);
            return other;
        }
    }
    return NULL;
}

static struct qn_written *new_written(struct qn_around *w)
{
    struct qn_written *grown = qn_arena_grow(&w->scratch, w->written.list, w->written.count, &w->written.room, sizeof *grown);

    if (!grown) return NULL;
    w->written.list = grown;
    return &grown[w->written.count++];
}

struct qn_written *qn_around_new_blocks(struct qn_around *w, qn_node_id node)
{
    const struct qn_node_plan *row = &w->plan->nodes[node];
    struct qn_written         *made = new_written(w);

    if (!made) return NULL;
    *made = (struct qn_written){ .value = qn_node_input(w->plan->graph, node, qn_plan_weight_slot(row)),
                                 .scope = w->plan->graph->scopes[node],
                                 .blocks = row->blocks,
                                 .rounded = row->rounded,
                                 .lost = row->lost,
                                 .table = row->rule->kind == QN_KIND_TABLE,
                                 .axis = qn_block_axis(w->plan->graph, node) };
    return made;
}

struct qn_written *qn_around_find_dynamic(const struct qn_around *w, qn_node_id node)
{
    for (size_t i = 0; i < w->written.count; i++) {
        struct qn_written *other = &w->written.list[i];
        if (other->dynamic && other->value == qn_node_input(w->plan->graph, node, 0) && other->scope == w->plan->graph->scopes[node]) return other;
    }
    return NULL;
}

struct qn_written *qn_around_new_dynamic(struct qn_around *w, qn_node_id node)
{
    struct qn_written *made = new_written(w);

    if (made) *made = (struct qn_written){ .value = qn_node_input(w->plan->graph, node, 0), .scope = w->plan->graph->scopes[node], .dynamic = true };
    return made;
}

/* Before the layer that is the first to read it in its graph. */
static qonnx_status write_blocks(struct qn_around *w, qn_node_id n)
{
    struct qn_written *written = qn_around_find_blocks(w, n);

    if (!written) {
        if (!(written = qn_around_new_blocks(w, n))) return qn_fail_nomem(w->err);
        QN_TRY(qn_qdq_blocks(w, n, &written->names[0]));
    }
    qn_edit_set_input(w->edit, n, 1, written->names[0]);
    return QONNX_OK;
}

static qonnx_status write_weight(struct qn_around *w, qn_node_id n, size_t slot)
{
    const struct qn_qparams *params = qn_plan_weight(&w->plan->nodes[n], slot);
    qn_value_id              value = qn_node_input(w->plan->graph, n, slot);
    qn_node_id               scope = w->plan->graph->scopes[n];
    const void              *codes = slot == 1 ? w->plan->nodes[n].weight_codes : NULL;
    const char              *out = find_written(w, n, value, params, codes);
    struct qn_written       *made;

    if (!out) {
        QN_TRY(w->style->weight(w, n, slot, &out));
        if (!(made = new_written(w))) return qn_fail_nomem(w->err);
        *made = (struct qn_written){ .value = value, .scope = scope, .params = params, .lost = w->plan->nodes[n].lost, .codes = codes, .names = { out } };
    }
    qn_edit_set_input(w->edit, n, slot, out);
    return QONNX_OK;
}

/* The same with a computed operand, which ONNX Runtime takes for the bias of a Gemm only where matrices are multiplied. It
 * does not look at Sum, which is the same addition, but for sums of two behind a Gemm without a bias: those get a third. */
static void keep_matrix_product(struct qn_around *w, qn_node_id n, qn_node_id add)
{
    const struct qn_graph *g = w->plan->graph;
    const Onnx__NodeProto *pb = g->pb->node[add];
    int32_t                rank = g->values[qn_node_input(g, n, 0)].rank;
    const char            *inputs[3] = { pb->input[0], pb->input[1] };
    size_t                 count = 2;

    if ((rank >= 0 && rank != 2) || pb->n_input != 2) return;
    for (size_t slot = 0; slot < 2; slot++) {
        qn_node_id other = g->values[qn_node_input(g, add, slot)].producer;
        if (count == 2 && other != QN_NONE && qn_node_is(g, other, "Gemm") && g->pb->node[other]->n_input < 3) {
            inputs[count++] = qn_edit_name(w->edit, inputs[slot], "_plus_zero");
            qn_edit_add_initializer(w->edit, qn_tensor_float_scalar(w->arena, inputs[2], 0));
        }
    }
    qn_edit_replace_node(w->edit, add, qn_node_new(w->arena, "Sum", pb->name ? pb->name : "", count, inputs, 1, (const char *const *)pb->output));
}

qonnx_status qn_around_bias(struct qn_around *w, qn_node_id n, struct qn_use *at, const float **values)
{
    const struct qn_rounded *rounded = w->plan->nodes[n].rounded;
    const float             *given;
    float                   *moved;
    size_t                   count;

    *values = NULL;
    if (!rounded || !rounded->bias || !qn_round_bias(w->plan, n, at)) return QONNX_OK;
    QN_TRY(qn_tensor_floats(qn_node_constant(w->plan->graph, at->node, at->slot), w->arena, &given, &count, w->err));
    if (!(moved = qn_arena_array(w->arena, count, sizeof *moved))) return qn_fail_nomem(w->err);
    for (size_t i = 0; i < count; i++) moved[i] = given[i] + rounded->bias[i];
    *values = moved;
    return QONNX_OK;
}

const char *qn_around_new_bias(struct qn_around *w, struct qn_use at, const float *values)
{
    const Onnx__TensorProto *bias = qn_node_constant(w->plan->graph, at.node, at.slot);
    const char              *name = qn_edit_name(w->edit, bias->name, "_corrected");

    qn_edit_add_initializer(w->edit, qn_tensor_new(w->arena, name, QN_FLOAT, bias->n_dims, bias->dims, values, (size_t)bias->dims[bias->n_dims - 1] * sizeof *values));
    return name;
}

static qonnx_status write_bias(struct qn_around *w, qn_node_id n)
{
    struct qn_use at;
    const float  *values;

    QN_TRY(qn_around_bias(w, n, &at, &values));
    if (values) qn_edit_set_input(w->edit, at.node, at.slot, qn_around_new_bias(w, at, values));
    return QONNX_OK;
}

/* MatMul, Add of a constant, float result: ONNX Runtime turns the pair into a float Gemm and dequantizes the weight on
 * each run. It does not look at Sub, and y - (-b) is y + b to the last bit. */
static qonnx_status keep_matmul(struct qn_around *w, qn_node_id n)
{
    const struct qn_graph *g = w->plan->graph;
    qn_value_id            out = qn_node_output(g, n, 0);
    qn_node_id             add = out == QN_NONE ? QN_NONE : qn_value_only_user(g, out);
    size_t                 slot = 1, count;
    const float           *values, *moved;
    struct qn_use          at;
    float                 *negative;
    const char            *inputs[2];
    Onnx__TensorProto     *bias;

    if (add == QN_NONE || !qn_node_is(g, add, "Add") || w->plan->tensors[out].quantized || w->plan->nodes[add].reason == QN_REASON_QUANTIZED) return QONNX_OK;
    if (!(bias = qn_node_constant(g, add, 1))) bias = qn_node_constant(g, add, slot = 0);
    if (!bias) keep_matrix_product(w, n, add);
    if (!bias || bias->data_type != QN_FLOAT) return QONNX_OK;
    QN_TRY(qn_tensor_floats(bias, w->arena, &values, &count, w->err));
    QN_TRY(qn_around_bias(w, n, &at, &moved));
    if (moved) values = moved;
    if (!(negative = qn_arena_array(w->arena, count, sizeof *negative))) return qn_fail_nomem(w->err);
    for (size_t i = 0; i < count; i++) negative[i] = -values[i];
    inputs[0] = g->values[out].name;
    inputs[1] = qn_edit_name(w->edit, bias->name, "_negative");
    qn_edit_add_initializer(w->edit, qn_tensor_new(w->arena, inputs[1], QN_FLOAT, bias->n_dims, bias->dims, negative, count * sizeof *negative));
    qn_edit_replace_node(w->edit, add, qn_node_new(w->arena, "Sub", g->pb->node[add]->name ? g->pb->node[add]->name : "", 2, inputs, 1, (const char *const *)g->pb->node[add]->output));
    return QONNX_OK;
}

static qonnx_status write_lstm(struct qn_around *w, qn_node_id n)
{
    size_t       count = w->plan->graph->pb->node[n]->n_input;
    const char **inputs = qn_arena_array(&w->scratch, count, sizeof *inputs);

    if (!inputs) return qn_fail_nomem(w->err);
    for (size_t slot = 0; slot < count; slot++) inputs[slot] = view_of(w, n, slot);
    return qn_emit_lstm(w->edit, w->plan, n, inputs, w->err);
}

static qonnx_status write_layer(struct qn_around *w, qn_node_id n)
{
    const struct qn_node_plan *row = &w->plan->nodes[n];
    struct qn_use              at;
    const char                *out;

    if (row->recurrent && w->plan->settings->acts != QN_ACTS_FLOAT) return write_lstm(w, n);
    if (row->weight && row->rule->kind == QN_KIND_TABLE) return qn_emit_table(w->edit, w->plan, n, w->err);
    if (row->blocks && row->rule->kind == QN_KIND_TABLE) return qn_nbits_table(w, n);
    if (row->weight && w->plan->settings->acts == QN_ACTS_DYNAMIC && row->rule->kind == QN_KIND_LAYER) return qn_dynamic_layer(w, n);
    if (row->blocks && w->style->blocks) return w->style->blocks(w, n);
    if (row->blocks) QN_TRY(write_blocks(w, n));
    if (row->weight) QN_TRY(write_weight(w, n, 1));
    if (row->recurrent) QN_TRY(write_weight(w, n, 2));
    if (row->bias) {
        at = qn_plan_bias(w->plan, n);
        QN_TRY(w->style->bias(w, n, &out));
        qn_edit_set_input(w->edit, at.node, at.slot, out);
    }
    if (!row->weight && !row->blocks) return QONNX_OK; /* a product of two activations, or a float weight */
    if (row->weight && !qn_qtype_scaled(row->weight->type)) return QONNX_OK; /* constants are cast when a model is loaded */
    return qn_node_is(w->plan->graph, n, "MatMul") && w->plan->settings->target_row->add_unmakes_matmul && !w->plan->recipe ? keep_matmul(w, n) : write_bias(w, n);
}

static qonnx_status write_all(struct qn_around *w)
{
    const struct qn_graph *g = w->plan->graph;

    w->arena = qn_edit_arena(w->edit);
    w->params = qn_arena_array(&w->scratch, g->value_count, sizeof *w->params);
    w->views = qn_arena_array(&w->scratch, g->value_count, sizeof(char *));
    w->codes = qn_arena_array(&w->scratch, g->value_count, sizeof(char *));
    w->floats = qn_arena_array(&w->scratch, g->value_count, sizeof(char *));
    w->taken = qn_arena_array(&w->scratch, g->value_count, sizeof *w->taken);
    if (!w->params || !w->views || !w->codes || !w->floats || !w->taken) return qn_fail_nomem(w->err);
    for (qn_value_id v = 0; v < g->value_count; v++)
        if (w->plan->tensors[v].quantized && g->values[v].producer == QN_NONE) write_value(w, v);
    for (qn_node_id n = 0; n < g->node_count; n++) {
        qonnx_status status;
        rewire(w, n);
        if ((status = write_layer(w, n)) != QONNX_OK) return qn_wrap(w->err, status, "%s", qn_node_label(g, n));
        for (size_t slot = 0; slot < g->pb->node[n]->n_output; slot++) {
            qn_value_id v = qn_node_output(g, n, slot);
            if (v != QN_NONE && w->plan->tensors[v].quantized) write_value(w, v);
        }
    }
    qn_edit_drop_unused(w->edit);
    return QONNX_OK;
}

qonnx_status qn_around_write(const struct qn_plan *plan, struct qn_edit *edit, const struct qn_style *style, qonnx_error *err)
{
    struct qn_around w = { .plan = plan, .edit = edit, .style = style, .err = err };
    qonnx_status     status = write_all(&w);

    qn_arena_release(&w.scratch);
    return status;
}
