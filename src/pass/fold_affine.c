/* SPDX-License-Identifier: Apache-2.0
 * BatchNormalization and Mul, Add, Sub, Div by constants go into the weights of the Conv, ConvTranspose, Gemm or MatMul
 * before them, and alpha and beta of Gemm into its weights and bias. A whole chain is collected in double as y·scale +
 * shift for each output channel and applied once, so that weights are rounded once.
 *
 * The layer's output takes the name of the last folded node's output: names further on stay. MatMul has no bias: a
 * shift behind it stays an Add, and BatchNormalization leaves one. Nothing is folded that would give an infinite or NaN
 * weight, or a layer of nothing but zeros. */
#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "pass/lib/facts.h"
#include "pass/pass.h"

enum kind { CONV, CONV_TRANSPOSE, GEMM, MATMUL };

/* The node whose weights change, and what is to be done to its output. */
struct layer {
    const struct qn_graph *graph;
    struct qn_edit        *edit;
    struct qn_arena        scratch;
    qn_node_id             node;
    enum kind              kind;
    size_t                 channels, weight_count;
    size_t                 outer, block, inner, per_group; /* weights lie as [outer][block][inner]; see channel_at() */
    const float           *weight, *bias;                  /* bias: NULL, one value, or one a channel */
    size_t                 bias_count;
    int32_t                rank;     /* of the output; exact when rank_known, else no more than it is */
    int32_t                from_end; /* axes behind the channel axis */
    bool                   rank_known;
    double                 alpha, beta;
    double                *scale, *shift; /* a value a channel */
    qn_value_id            out;           /* end of the chain so far */
    qn_value_id           *passed;        /* the values before it, the layer's own output first */
    size_t                 passed_count, passed_room;
};

/* ---- what a layer is ---- */

static bool float_constant(struct layer *layer, size_t slot, const Onnx__TensorProto **tensor, const float **values,
                           size_t *count)
{
    *tensor = qn_node_constant(layer->graph, layer->node, slot);
    return *tensor && (*tensor)->data_type == QN_FLOAT &&
           qn_tensor_floats(*tensor, &layer->scratch, values, count, NULL) == QONNX_OK;
}

/* Output channel of the weights at [o][c][…]: the groups of a ConvTranspose lie one behind the other. */
static size_t channel_at(const struct layer *layer, size_t o, size_t c)
{
    return o / layer->per_group * layer->block + c;
}

static bool set_channels(struct layer *layer, const Onnx__TensorProto *w)
{
    const Onnx__NodeProto *node = layer->graph->pb->node[layer->node];
    size_t                 rank = w->n_dims;
    int64_t                groups = 1;

    if (rank < 2 || rank > 16 || !layer->weight_count) return false; /* so every dimension is positive */
    if (layer->kind == CONV || (layer->kind == GEMM && qn_attr_int(node, "transB", 0))) {
        layer->block = (size_t)w->dims[0];
        layer->outer = 1;
    } else if (layer->kind == CONV_TRANSPOSE) {
        groups = qn_attr_int(node, "group", 1);
        if (groups < 1 || groups > w->dims[0] || w->dims[0] % groups) return false;
        layer->block = (size_t)w->dims[1];
        layer->outer = (size_t)w->dims[0];
    } else {
        layer->block = (size_t)w->dims[rank - 1];
        layer->outer = layer->weight_count / layer->block;
    }
    layer->inner = layer->weight_count / layer->outer / layer->block;
    layer->per_group = layer->outer / (size_t)groups;
    layer->channels = layer->block * (size_t)groups; /* at most the number of weights */
    layer->rank = layer->kind == MATMUL ? (int32_t)rank - 1 : (int32_t)rank;
    layer->rank_known = layer->kind != MATMUL;
    layer->from_end = layer->kind == MATMUL || layer->kind == GEMM ? 0 : layer->rank - 2;
    return layer->kind != GEMM || rank == 2;
}

/* The bias must be constant and no wider than a channel vector, else nothing can be added to it. */
static bool set_bias(struct layer *layer)
{
    const Onnx__TensorProto *bias;
    qn_value_id              id = layer->kind == MATMUL ? QN_NONE : qn_node_input(layer->graph, layer->node, 2);

    if (id == QN_NONE) return true;
    if (!float_constant(layer, 2, &bias, &layer->bias, &layer->bias_count)) return false;
    if (bias->n_dims && (bias->n_dims > 2 || bias->dims[bias->n_dims - 1] != (int64_t)layer->bias_count)) return false;
    return layer->bias_count == layer->channels || (layer->kind == GEMM && layer->bias_count == 1);
}

static bool describe(struct layer *layer, const struct qn_fact *facts)
{
    static const char *const names[] = { "Conv", "ConvTranspose", "Gemm", "MatMul" };
    const Onnx__NodeProto   *node = layer->graph->pb->node[layer->node];
    const Onnx__TensorProto *w;
    size_t                   kind = 0;

    while (kind < 4 && !qn_node_is(layer->graph, layer->node, names[kind])) kind++;
    if (kind == 4 || node->n_output != 1 || (layer->out = qn_node_output(layer->graph, layer->node, 0)) == QN_NONE)
        return false;
    layer->kind = (enum kind)kind;
    if (!float_constant(layer, 1, &w, &layer->weight, &layer->weight_count) || !set_channels(layer, w) ||
        !set_bias(layer))
        return false;
    if (layer->kind == MATMUL && facts[layer->out].rank >= 1) {
        layer->rank = facts[layer->out].rank;
        layer->rank_known = true;
    }
    layer->alpha = layer->kind == GEMM ? (double)qn_attr_float(node, "alpha", 1.0f) : 1.0;
    layer->beta = layer->kind == GEMM ? (double)qn_attr_float(node, "beta", 1.0f) : 1.0;
    layer->scale = qn_arena_array(&layer->scratch, layer->channels, sizeof *layer->scale);
    layer->shift = qn_arena_array(&layer->scratch, layer->channels, sizeof *layer->shift);
    if (!layer->scale || !layer->shift) return false;
    for (size_t c = 0; c < layer->channels; c++) layer->scale[c] = 1.0;
    return true;
}

/* ---- the chain behind it ---- */

/* A constant as one value (*step 0) or one a channel (*step 1); false when it would widen the output or varies along
 * another axis. */
static bool per_channel(struct layer *layer, const Onnx__TensorProto *t, const float **values, size_t *step)
{
    size_t count, channel_axis;

    if (!t || t->data_type != QN_FLOAT || t->n_dims > (size_t)layer->rank ||
        qn_tensor_floats(t, &layer->scratch, values, &count, NULL) != QONNX_OK)
        return false;
    *step = count > 1;
    if (count == 1) return true;
    if (count != layer->channels || t->n_dims <= (size_t)layer->from_end) return false;
    channel_axis = t->n_dims - 1 - (size_t)layer->from_end;
    return t->dims[channel_axis] == (int64_t)count;
}

/* One node's y·scale + shift for channel c. */
struct step {
    char         op; /* '*' '/' '+' '-', 'r' for constant - y, 'b' for BatchNormalization */
    const float *k[4];
    size_t       stride[4];
    double       epsilon;
};

static void step_at(const struct step *step, size_t c, double *scale, double *shift)
{
    double k = (double)step->k[0][c * step->stride[0]], factor;

    switch (step->op) {
    case '*': *scale *= k, *shift *= k; break;
    case '/': *scale /= k, *shift /= k; break;
    case '+': *shift += k; break;
    case '-': *shift -= k; break;
    case 'r': *scale = -*scale, *shift = k - *shift; break;
    default: /* k is the scale, then bias, mean, variance */
        factor = k / sqrt((double)step->k[3][c] + step->epsilon);
        *scale *= factor;
        *shift = (*shift - (double)step->k[2][c]) * factor + (double)step->k[1][c];
    }
}

static bool batchnorm_step(struct layer *layer, qn_node_id user, struct step *step)
{
    const Onnx__NodeProto *node = layer->graph->pb->node[user];
    size_t                 count;

    if (qn_node_input(layer->graph, user, 0) != layer->out || node->n_input != 5) return false;
    if (qn_attr_int(node, "training_mode", 0) || !qn_attr_int(node, "spatial", 1)) return false;
    if (layer->kind == MATMUL && !(layer->rank_known && layer->rank == 2)) return false;
    for (size_t slot = 1; slot < node->n_output; slot++) {
        qn_value_id v = qn_node_output(layer->graph, user, slot);
        if (v != QN_NONE && (layer->graph->values[v].use_count || (layer->graph->values[v].flags & QN_OUTPUT)))
            return false;
    }
    step->op = 'b';
    step->epsilon = (double)qn_attr_float(node, "epsilon", 1e-5f);
    for (size_t i = 0; i < 4; i++) {
        const Onnx__TensorProto *t = qn_node_constant(layer->graph, user, i + 1);
        if (!t || t->data_type != QN_FLOAT || t->n_dims != 1 ||
            qn_tensor_floats(t, &layer->scratch, &step->k[i], &count, NULL) != QONNX_OK || count != layer->channels)
            return false;
        step->stride[i] = 1;
    }
    return true;
}

static bool make_step(struct layer *layer, qn_node_id user, struct step *step)
{
    static const char *const names[] = { "Mul", "Div", "Add", "Sub" };
    static const char        ops[] = "*/+-";
    const Onnx__NodeProto   *node = layer->graph->pb->node[user];
    bool                     second;
    size_t                   op = 0;

    if (qn_node_is(layer->graph, user, "BatchNormalization")) return batchnorm_step(layer, user, step);
    while (op < 4 && !qn_node_is(layer->graph, user, names[op])) op++;
    if (op == 4 || node->n_input != 2 || node->n_output != 1) return false;
    second = qn_node_input(layer->graph, user, 1) == layer->out;
    step->op = ops[op];
    if (second && step->op == '/') return false;
    if (second && step->op == '-') step->op = 'r';
    return per_channel(layer, qn_node_constant(layer->graph, user, !second), &step->k[0], &step->stride[0]);
}

/* Adds one node to the chain, or leaves the chain as it is and returns false. */
static bool extend(struct layer *layer, qn_node_id user)
{
    struct step step = { 0 };
    double     *scale, *shift;
    bool        shifted = false;
    qn_value_id out = qn_node_output(layer->graph, user, 0), *passed;

    if (out == QN_NONE || !make_step(layer, user, &step)) return false;
    scale = (double *)(void *)qn_arena_memdup(&layer->scratch, layer->scale, layer->channels * sizeof *scale);
    shift = (double *)(void *)qn_arena_memdup(&layer->scratch, layer->shift, layer->channels * sizeof *shift);
    if (!scale || !shift) return false;
    for (size_t c = 0; c < layer->channels; c++) {
        step_at(&step, c, &scale[c], &shift[c]);
        if (!isfinite(scale[c]) || !isfinite(shift[c])) return false;
        shifted = shifted || shift[c] != 0;
    }
    if (shifted && layer->kind == MATMUL && step.op != 'b') return false;
    passed = qn_arena_grow(&layer->scratch, layer->passed, layer->passed_count, &layer->passed_room, sizeof *passed);
    if (!passed) return false;
    passed[layer->passed_count++] = layer->out;
    layer->passed = passed;
    layer->scale = scale;
    layer->shift = shift;
    layer->out = out;
    return true;
}

/* ---- the new weights ---- */

/* Puts new values in place of the constant at `slot`: under its own name when nobody else reads it and its shape stays. */
static void put(struct layer *layer, size_t slot, size_t rank, const int64_t *dims, const float *values, size_t count)
{
    const struct qn_graph *graph = layer->graph;
    qn_value_id            id = qn_node_input(graph, layer->node, slot);
    const struct qn_value *old = id == QN_NONE ? NULL : &graph->values[id];
    struct qn_arena       *arena = qn_edit_arena(layer->edit);
    bool keep = old && old->init && old->use_count == 1 && !(old->flags & (QN_OUTPUT | QN_CAPTURED)) &&
                old->init->n_dims == rank && (!rank || memcmp(old->init->dims, dims, rank * sizeof *dims) == 0);
    const char *name;

    for (size_t i = 0; keep && i < graph->pb->n_input; i++)
        keep = strcmp(graph->pb->input[i]->name, old->name) != 0; /* may be overridden */
    if (keep) {
        qn_edit_replace_initializer(layer->edit, id,
                                    qn_tensor_new(arena, old->name, QN_FLOAT, rank, dims, values,
                                                  count * sizeof *values));
        return;
    }
    name = old ? qn_edit_name(layer->edit, old->name, "_folded")
               : qn_edit_name(layer->edit, graph->values[qn_node_input(graph, layer->node, 1)].name, "_bias");
    qn_edit_add_initializer(layer->edit,
                            qn_tensor_new(arena, name, QN_FLOAT, rank, dims, values, count * sizeof *values));
    qn_edit_set_input(layer->edit, layer->node, slot, name);
}

/* NULL when a weight would not be finite, or all of them zero. */
static float *new_weights(struct layer *layer)
{
    float *values = qn_arena_alloc_raw(qn_edit_arena(layer->edit), layer->weight_count * sizeof *values);
    size_t i = 0;
    bool   any = false;

    if (!values) return NULL;
    for (size_t o = 0; o < layer->outer; o++)
        for (size_t c = 0; c < layer->block; c++) {
            double factor = layer->alpha * layer->scale[channel_at(layer, o, c)];
            for (size_t k = 0; k < layer->inner; k++, i++) {
                values[i] = (float)((double)layer->weight[i] * factor);
                if (!isfinite(values[i])) return NULL;
                any = any || values[i] != 0;
            }
        }
    return any ? values : NULL;
}

static float *new_bias(struct layer *layer, bool *needed)
{
    float *values = qn_arena_array(qn_edit_arena(layer->edit), layer->channels, sizeof *values);

    for (size_t c = 0; values && c < layer->channels; c++) {
        double old = layer->bias_count ? (double)layer->bias[layer->bias_count == 1 ? 0 : c] : 0.0;
        values[c] = (float)(layer->beta * old * layer->scale[c] + layer->shift[c]);
        if (!isfinite(values[c])) return NULL;
        if (values[c] != (float)old) *needed = true;
    }
    return values;
}

/* The BatchNormalization at the end of a MatMul's chain becomes the Add of its shift. */
static void leave_add(struct layer *layer, const float *shift)
{
    qn_node_id             n = layer->graph->values[layer->out].producer;
    const Onnx__NodeProto *bn = layer->graph->pb->node[n];
    struct qn_arena       *arena = qn_edit_arena(layer->edit);
    const char            *name = qn_edit_name(layer->edit, bn->input[2], "_folded");
    const char            *inputs[] = { bn->input[0], name }, *outputs[] = { bn->output[0] };
    int64_t                dim = (int64_t)layer->channels;

    qn_edit_add_initializer(layer->edit,
                            qn_tensor_new(arena, name, QN_FLOAT, 1, &dim, shift, layer->channels * sizeof *shift));
    qn_edit_replace_node(layer->edit, n, qn_node_new(arena, "Add", bn->name ? bn->name : "", 2, inputs, 1, outputs));
    layer->out = layer->passed[--layer->passed_count];
}

/* Removes the nodes of the chain and lets the layer make the last one's output. */
static void take_over_output(struct layer *layer)
{
    const struct qn_graph *graph = layer->graph;

    if (!layer->passed_count) return;
    for (size_t i = 0; i < layer->passed_count; i++) {
        qn_edit_remove_node(layer->edit, qn_value_only_user(graph, layer->passed[i]));
        qn_edit_drop_value_info(layer->edit, graph->values[layer->passed[i]].name);
    }
    qn_edit_set_output(layer->edit, layer->node, 0, graph->values[layer->out].name);
}

static bool needs_normalising(const struct layer *layer)
{
    return layer->alpha != 1 || (layer->beta != 1 && layer->bias_count);
}

static void apply(struct layer *layer)
{
    const Onnx__TensorProto *w = qn_node_constant(layer->graph, layer->node, 1);
    int64_t                  dim = (int64_t)layer->channels;
    bool                     scaled = layer->alpha != 1, shifted = false;
    float                   *weights = NULL, *bias = new_bias(layer, &shifted);

    for (size_t c = 0; c < layer->channels && !scaled; c++) scaled = layer->scale[c] != 1;
    if (!bias || (scaled && !(weights = new_weights(layer)))) return;
    if (needs_normalising(layer)) {
        Onnx__NodeProto *node = qn_node_copy(qn_edit_arena(layer->edit), layer->graph->pb->node[layer->node]);
        if (!node) return;
        qn_attr_remove(node, "alpha");
        qn_attr_remove(node, "beta");
        qn_edit_replace_node(layer->edit, layer->node, node);
    }
    if (scaled) put(layer, 1, w->n_dims, w->dims, weights, layer->weight_count);
    if (shifted && layer->kind == MATMUL)
        leave_add(layer, bias);
    else if (shifted)
        put(layer, 2, 1, &dim, bias, layer->channels);
    take_over_output(layer);
    qn_edit_drop_unused(layer->edit);
}

/* A cheap look before the weights are: a node that may fold follows, or Gemm may have to be normalised. */
static bool promising(const struct qn_graph *graph, qn_node_id n)
{
    static const char *const names[] = { "BatchNormalization", "Mul", "Div", "Add", "Sub" };
    qn_value_id              out = qn_node_output(graph, n, 0);
    qn_node_id               user = out == QN_NONE ? QN_NONE : qn_value_only_user(graph, out);

    if (qn_node_is(graph, n, "Gemm")) return true;
    for (size_t i = 0; user != QN_NONE && i < sizeof names / sizeof *names; i++)
        if (qn_node_is(graph, user, names[i])) return true;
    return false;
}

static void visit(const struct qn_graph *graph, struct qn_edit *edit, const struct qn_fact *facts, qn_node_id n)
{
    struct layer layer = { .graph = graph, .edit = edit, .node = n };
    qn_node_id   user;

    if (promising(graph, n) && describe(&layer, facts)) {
        while ((user = qn_value_only_user(graph, layer.out)) != QN_NONE && extend(&layer, user))
            if (layer.kind == MATMUL && qn_node_is(graph, user, "BatchNormalization")) break; /* leaves an Add */
        if (layer.passed_count || needs_normalising(&layer)) apply(&layer);
    }
    qn_arena_release(&layer.scratch);
}

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    struct qn_arena scratch = { 0 };
    struct qn_fact *facts;

    (void)again;
    if (qn_model_opset(graph->model, "") < 7) return QONNX_OK; /* broadcasting was by attribute */
    facts = qn_facts(graph, &scratch);
    for (qn_node_id n = 0; facts && n < graph->node_count; n++) visit(graph, edit, facts, n);
    qn_arena_release(&scratch);
    return facts ? QONNX_OK : qn_fail_nomem(err);
}

const struct qn_pass qn_pass_fold_affine = {
    "fold_affine", "BatchNormalization and constant Mul, Add, Sub, Div fold into the layer before them", run
};
