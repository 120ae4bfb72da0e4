/* SPDX-License-Identifier: Apache-2.0
 *
 * Many functions are flat at one end: x * clip(x + 3, 0, 6) is 0 below -3 for whatever is there, and so is SiLU, as good
 * as, below -8. A tensor that only such functions read may be cut there at no loss, and its codes be spent on the rest.
 *
 * Of each function of one tensor x that a chain of pointwise nodes computes it is known what it is left of some point and
 * right of another: an affine function of x, a constant, or nothing in particular. Whatever pointwise functions make of a
 * constant is a constant, and 0 times anything is 0. */
#include "plan/tails.h"

#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

/* One scalar constant; false for other operands. */
static bool scalar(const struct qn_graph *g, qn_node_id n, size_t slot, double *value)
{
    const Onnx__TensorProto *tensor = qn_node_constant(g, n, slot);
    struct qn_arena          scratch = { 0 };
    const float             *x;
    size_t                   count;
    bool                     ok;

    if (!tensor || tensor->data_type != QN_FLOAT) return false;
    ok = qn_tensor_floats(tensor, &scratch, &x, &count, NULL) == QONNX_OK && count == 1;
    if (ok) *value = (double)x[0];
    qn_arena_release(&scratch);
    return ok;
}

bool qn_plan_clamp_bounds(const struct qn_graph *graph, qn_node_id n, struct qn_range *bounds)
{
    const Onnx__NodeProto *pb = graph->pb->node[n];

    *bounds = QN_UNBOUNDED;
    if (qn_node_is(graph, n, "Relu")) {
        bounds->min = 0;
        return true;
    }
    if (qn_attr_find(pb, "min") || qn_attr_find(pb, "max")) { /* before opset 11 */
        bounds->min = qn_attr_float(pb, "min", -INFINITY);
        bounds->max = qn_attr_float(pb, "max", INFINITY);
    }
    for (size_t slot = 1; slot < pb->n_input && slot < 3; slot++) {
        double value;
        if (!*pb->input[slot]) continue;
        if (!scalar(graph, n, slot, &value)) return false;
        *(slot == 1 ? &bounds->min : &bounds->max) = (float)value;
    }
    return true;
}

/* ---- one end of a function ---- */

enum form { UNKNOWN, AFFINE, CONSTANT, FLAT /* a constant, or one for each channel, that is not known */ };

/* Beyond `edge`, away from zero, the function is slope * x + value. */
struct tail {
    enum form form;
    double    slope, value, edge;
};

enum { LEFT, RIGHT };
struct tails {
    struct tail end[2];
};

static const struct tails identity = { { { AFFINE, 1, 0, INFINITY }, { AFFINE, 1, 0, -INFINITY } } };

static double outer(int side, double a, double b) { return side == LEFT ? fmin(a, b) : fmax(a, b); }

static struct tail constant(double value, double edge) { return (struct tail){ CONSTANT, 0, value, edge }; }

static bool is_flat(const struct tail *t) { return t->form == CONSTANT || t->form == FLAT; }

static struct tail pointwise(struct tail t) { return (struct tail){ is_flat(&t) ? FLAT : UNKNOWN, 0, 0, t.edge }; }

static struct tail affine(struct tail t, double factor, double offset)
{
    if (t.form != AFFINE && t.form != CONSTANT) return t;
    t.slope *= factor;
    t.value = t.value * factor + offset;
    if (t.form == AFFINE && t.slope == 0) t.form = CONSTANT;
    return t;
}

/* Where an affine end passes y, and beyond. */
static double crossing(const struct tail *t, int side, double y)
{
    return outer(side, t->edge, (y - t->value) / t->slope);
}

/* Does y go up, away from zero? */
static bool rises(const struct tail *t, int side) { return (t->slope > 0) == (side == RIGHT); }

static struct tail clip(struct tail t, int side, double low, double high)
{
    if (t.form == CONSTANT) return constant(fmin(fmax(t.value, low), high), t.edge);
    if (t.form != AFFINE) return t;
    if (rises(&t, side)) {
        if (isinf(high)) t.edge = isinf(low) ? t.edge : crossing(&t, side, low); /* there it is above low */
        return isinf(high) ? t : constant(high, crossing(&t, side, high));
    }
    if (isinf(low)) t.edge = isinf(high) ? t.edge : crossing(&t, side, high);
    return isinf(low) ? t : constant(low, crossing(&t, side, low));
}

/* ---- functions that are flat, or a straight line, but for what no quantizer would see ---- */

struct function {
    const char *op;
    double      low, high;    /* beyond these y */
    enum form   below, above; /* AFFINE: y itself */
    double      value_below, value_above;
};

static const struct function functions[] = {
    { "Elu", -8, 0, FLAT, AFFINE, 0, 0 },          { "Erf", -3, 3, CONSTANT, CONSTANT, -1, 1 },
    { "Gelu", -5, 5, CONSTANT, AFFINE, 0, 0 },     { "HardSwish", -3, 3, CONSTANT, AFFINE, 0, 0 },
    { "Mish", -8, 8, CONSTANT, AFFINE, 0, 0 },     { "Sigmoid", -8, 8, CONSTANT, CONSTANT, 0, 1 },
    { "Softplus", -8, 8, CONSTANT, AFFINE, 0, 0 }, { "Tanh", -5, 5, CONSTANT, CONSTANT, -1, 1 },
};

static struct tail apply(const struct function *f, struct tail t, int side)
{
    const bool      up = t.form == AFFINE && rises(&t, side);
    const enum form form = up ? f->above : f->below;

    if (t.form != AFFINE) return pointwise(t);
    t.edge = crossing(&t, side, up ? f->high : f->low);
    if (form == AFFINE) return t;
    return (struct tail){ form, 0, up ? f->value_above : f->value_below, t.edge };
}

/* ---- two operands ---- */

static struct tail multiply(struct tail a, struct tail b, int side)
{
    const double edge = outer(side, a.edge, b.edge);

    if (a.form == CONSTANT && a.value == 0) return constant(0, a.edge);
    if (b.form == CONSTANT && b.value == 0) return constant(0, b.edge);
    if (b.form == CONSTANT && a.form == AFFINE)
        a = affine(a, b.value, 0);
    else if (a.form == CONSTANT && b.form == AFFINE)
        a = affine(b, a.value, 0);
    else if (a.form == CONSTANT && b.form == CONSTANT)
        a = constant(a.value * b.value, edge);
    else
        a.form = is_flat(&a) && is_flat(&b) ? FLAT : UNKNOWN;
    a.edge = edge;
    return a;
}

static struct tail add(struct tail a, struct tail b, int side)
{
    const bool  straight = (a.form == AFFINE || a.form == CONSTANT) && (b.form == AFFINE || b.form == CONSTANT);
    struct tail sum = { UNKNOWN, a.slope + b.slope, a.value + b.value, outer(side, a.edge, b.edge) };

    if (straight)
        sum.form = sum.slope == 0 ? CONSTANT : AFFINE;
    else if (is_flat(&a) && is_flat(&b))
        sum.form = FLAT;
    return sum;
}

/* ---- nodes ---- */

struct walk {
    struct qn_planner *p;
    struct tails      *of; /* each value as a function of its root */
};

static const struct function *function_of(const struct qn_graph *g, qn_node_id n)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (qn_node_is(g, n, functions[i].op)) return &functions[i];
    return NULL;
}

/* With a constant operand at `slot`, a scalar or not, in the order of the other and it. */
static struct tail with_constant(const struct qn_graph *g, qn_node_id n, size_t slot, struct tail t, int side)
{
    double     c = 0;
    const bool known = scalar(g, n, slot, &c) && isfinite(c);

    if (qn_node_is(g, n, "Mul") && t.form == CONSTANT && t.value == 0) return t;
    if (qn_node_is(g, n, "Div") && slot == 1 && t.form == CONSTANT && t.value == 0) return t;
    if (!known) return pointwise(t);
    if (qn_node_is(g, n, "Add")) return affine(t, 1, c);
    if (qn_node_is(g, n, "Sub")) return slot == 1 ? affine(t, 1, -c) : affine(t, -1, c);
    if (qn_node_is(g, n, "Mul")) return affine(t, c, 0);
    if (qn_node_is(g, n, "Div") && slot == 1 && c != 0) return affine(t, 1 / c, 0);
    if (qn_node_is(g, n, "Max") && g->pb->node[n]->n_input == 2) return clip(t, side, c, INFINITY);
    if (qn_node_is(g, n, "Min") && g->pb->node[n]->n_input == 2) return clip(t, side, -INFINITY, c);
    return pointwise(t);
}

static struct tail unary(const struct qn_graph *g, qn_node_id n, struct tail t, int side)
{
    const struct function *function = function_of(g, n);
    struct qn_range        bounds;

    if (function) return apply(function, t, side);
    if (qn_node_is(g, n, "Identity")) return t;
    if (qn_node_is(g, n, "Neg")) return affine(t, -1, 0);
    if (qn_node_is(g, n, "HardSigmoid")) {
        const Onnx__NodeProto *pb = g->pb->node[n];
        return clip(affine(t, (double)qn_attr_float(pb, "alpha", 0.2f), (double)qn_attr_float(pb, "beta", 0.5f)), side,
                    0, 1);
    }
    if ((qn_node_is(g, n, "Relu") || qn_node_is(g, n, "Clip")) && qn_plan_clamp_bounds(g, n, &bounds) &&
        bounds.min <= bounds.max)
        return clip(t, side, (double)bounds.min, (double)bounds.max);
    return pointwise(t);
}

static struct tail binary(const struct qn_graph *g, qn_node_id n, struct tail a, struct tail b, int side)
{
    if (qn_node_is(g, n, "Mul")) return multiply(a, b, side);
    if (qn_node_is(g, n, "Add")) return add(a, b, side);
    if (qn_node_is(g, n, "Sub")) return add(a, affine(b, -1, 0), side);
    return (struct tail){ is_flat(&a) && is_flat(&b) ? FLAT : UNKNOWN, 0, 0, outer(side, a.edge, b.edge) };
}

static void follow(struct walk *w, qn_node_id n)
{
    const struct qn_graph *g = w->p->graph;
    const qn_value_id      out = qn_node_output(g, n, 0), a = qn_node_input(g, n, 0), b = qn_node_input(g, n, 1);
    const bool             a_varies = a != QN_NONE && !g->values[a].init, b_varies = b != QN_NONE && !g->values[b].init;
    const bool             bounds = qn_node_is(g, n, "Clip"), many = g->pb->node[n]->n_input > 2 && !bounds;

    for (int side = LEFT; side <= RIGHT; side++) {
        struct tail *t = &w->of[out].end[side];
        if (many || (!a_varies && !b_varies) || (bounds && b_varies))
            t->form = UNKNOWN;
        else if (a_varies && b_varies)
            *t = binary(g, n, w->of[a].end[side], w->of[b].end[side], side);
        else if (b == QN_NONE || bounds)
            *t = unary(g, n, w->of[a].end[side], side);
        else
            *t = with_constant(g, n, a_varies ? 1 : 0, w->of[a_varies ? a : b].end[side], side);
        if (isnan(t->value) || isnan(t->slope) || isnan(t->edge)) t->form = UNKNOWN;
    }
}

/* ---- all of it ---- */

/* Does the value leave the chains of its root? Its shape tells nothing of it. */
static bool leaves(const struct qn_planner *p, qn_value_id v)
{
    const struct qn_value *value = &p->graph->values[v];

    if (value->flags & (QN_OUTPUT | QN_CAPTURED)) return true;
    for (uint32_t u = 0; u < value->use_count; u++) {
        const qn_node_id reader = p->graph->uses[value->use_at + u].node;
        if (!p->chain[reader] && !qn_node_is(p->graph, reader, "Shape")) return true;
    }
    return false;
}

qonnx_status qn_plan_find_useful(struct qn_planner *p, qonnx_error *err)
{
    const size_t     count = p->graph->value_count;
    struct walk      w = { p, qn_arena_array(&p->scratch, count, sizeof *w.of) };
    struct qn_range *useful = qn_arena_array(&p->scratch, count, sizeof *useful);
    uint32_t        *members = qn_arena_array(&p->scratch, count, sizeof *members); /* of each group */

    if (!w.of || !useful || !members) return qn_fail_nomem(err);
    for (qn_value_id v = 0; v < count; v++) {
        w.of[v] = identity;
        useful[v] = (struct qn_range){ INFINITY, -INFINITY };
        if (p->plan->tensors[v].quantized) members[p->plan->tensors[v].group]++;
    }
    for (qn_node_id n = 0; n < p->graph->node_count; n++)
        if (p->chain[n]) follow(&w, n);
    for (qn_value_id v = 0; v < count; v++) {
        const struct tail *left = &w.of[v].end[LEFT], *right = &w.of[v].end[RIGHT];
        struct qn_range   *range = &useful[p->root[v]];
        if (!leaves(p, v)) continue;
        range->min = fminf(range->min, is_flat(left) ? (float)left->edge : -INFINITY);
        range->max = fmaxf(range->max, is_flat(right) ? (float)right->edge : INFINITY);
    }
    for (qn_value_id v = 0; v < count; v++) {
        struct qn_tensor_plan *t = &p->plan->tensors[v];
        if (!t->quantized || !t->at_producer || t->fixed_scale != 0.0f || members[t->group] > 1) continue;
        if (useful[v].min < 0) t->useful.min = useful[v].min;
        if (useful[v].max > 0) t->useful.max = useful[v].max;
    }
    return QONNX_OK;
}
