/* SPDX-License-Identifier: Apache-2.0
 * Einsum of an activation and a constant becomes MatMul where it is a matrix product: labels that both have are summed
 * over, no label is in both and in the result. The constant is laid out as a matrix at once; Transpose and Reshape stand
 * before and behind only where labels are in another order, or several make a side of the matrix. */
#include <ctype.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "pass/lib/fold.h"
#include "pass/pass.h"

enum { MAX_LABELS = 32, ELLIPSIS = '.' };

struct labels {
    char   at[MAX_LABELS + 1]; /* one letter for each axis; ELLIPSIS for any number of them */
    size_t count;
};

struct product {
    struct labels x, w, y;
    struct labels kept, summed, new; /* of x alone, of both, of w alone; in the order of y, x, y */
};

static bool has(const struct labels *l, char c) { return c && memchr(l->at, c, l->count); }

static bool add(struct labels *l, char c)
{
    if (l->count == MAX_LABELS || has(l, c)) return false; /* a diagonal is no product */
    l->at[l->count++] = c;
    return true;
}

/* ---- the equation ---- */

static bool read_labels(const char **text, const char *end, struct labels *l)
{
    for (; *text < end && **text != ',' && **text != '-'; (*text)++) {
        char c = **text;
        if (c == ' ') continue;
        if (c == '.') {
            if (end - *text < 3 || memcmp(*text, "...", 3) != 0) return false;
            *text += 2;
        } else if (!isalpha((unsigned char)c)) {
            return false;
        }
        if (!add(l, c)) return false;
    }
    return true;
}

/* Without an arrow the result has every label that is there once, in alphabetic order. */
static bool imply_result(struct product *p)
{
    if (has(&p->x, ELLIPSIS) && !add(&p->y, ELLIPSIS)) return false;
    for (int c = 'A'; c <= 'z'; c++)
        if (isalpha(c) && has(&p->x, (char)c) != has(&p->w, (char)c) && !add(&p->y, (char)c)) return false;
    return true;
}

static bool read_equation(const Onnx__NodeProto *node, bool constant_first, struct product *p)
{
    const Onnx__AttributeProto *attr = qn_attr_find(node, "equation");
    const char                 *text, *end;

    if (!attr || !attr->has_s || !attr->s.len) return false;
    text = (const char *)attr->s.data;
    end = text + attr->s.len;
    if (!read_labels(&text, end, constant_first ? &p->w : &p->x) || text == end || *text++ != ',') return false;
    if (!read_labels(&text, end, constant_first ? &p->x : &p->w)) return false;
    if (text == end) return imply_result(p);
    if (end - text < 2 || memcmp(text, "->", 2) != 0) return false;
    text += 2;
    return read_labels(&text, end, &p->y) && text == end;
}

/* Sorts the labels by what becomes of them; false when that is no matrix product. */
static bool is_product(struct product *p)
{
    for (size_t i = 0; i < p->y.count; i++) {
        char c = p->y.at[i];
        if (has(&p->x, c) == has(&p->w, c)) return false;
        add(has(&p->x, c) ? &p->kept : &p->new, c);
    }
    for (size_t i = 0; i < p->x.count; i++) {
        char c = p->x.at[i];
        if (has(&p->y, c)) continue;
        if (!has(&p->w, c)) return false;
        add(&p->summed, c);
    }
    return !has(&p->w, ELLIPSIS) && p->summed.count && p->new.count && p->summed.count + p->new.count == p->w.count;
}

/* ---- rewriting ---- */

struct writer {
    const struct qn_graph *graph;
    struct qn_edit        *edit;
    struct qn_arena       *arena;
    qn_node_id             node;
};

static void join(struct labels *l, const struct labels *a, const struct labels *b)
{
    *l = *a;
    for (size_t i = 0; i < b->count; i++) add(l, b->at[i]);
}

static bool same(const struct labels *a, const struct labels *b) { return a->count == b->count && memcmp(a->at, b->at, a->count) == 0; }

static void permutation(const struct labels *from, const struct labels *to, int64_t *perm)
{
    for (size_t i = 0; i < to->count; i++) perm[i] = (const char *)memchr(from->at, to->at[i], from->count) - from->at;
}

static const char *put(struct writer *w, const char *op, const char *x, const char *second, const int64_t *perm, size_t perm_count, const char *out)
{
    const Onnx__NodeProto *pb = w->graph->pb->node[w->node];
    const char            *inputs[2] = { x, second }, *base = pb->name && *pb->name ? pb->name : pb->output[0];
    const char            *made = out ? out : qn_edit_name(w->edit, pb->output[0], "_part");
    const char            *name = strcmp(op, "MatMul") == 0 ? pb->name : qn_edit_name(w->edit, base, strcmp(op, "Reshape") == 0 ? "_Reshape" : "_Transpose"); /* the layer keeps its name */
    Onnx__NodeProto       *node = qn_node_new(w->arena, op, name ? name : "", second ? 2 : 1, inputs, 1, &made);

    if (node && perm) qn_attr_set_ints(w->arena, node, "perm", perm_count, perm);
    qn_edit_insert_before(w->edit, w->node, node);
    return made;
}

static const char *reshape(struct writer *w, const char *x, size_t same_axes, const int64_t *dims, size_t count, const char *out)
{
    int64_t     shape[2 * MAX_LABELS] = { 0 }; /* 0: as it is */
    const char *name = qn_edit_name(w->edit, x, "_shape");

    memcpy(shape + same_axes, dims, count * sizeof *dims);
    qn_edit_add_initializer(w->edit, qn_tensor_int64_vector(w->arena, name, same_axes + count, shape));
    return put(w, "Reshape", x, name, NULL, 0, out);
}

/* The constant as a matrix; *dims are the sizes of the result's new axes. */
static Onnx__TensorProto *matrix(struct writer *w, const Onnx__TensorProto *tensor, const struct product *p, int64_t *dims)
{
    struct labels            order;
    int64_t                  perm[MAX_LABELS], sides[2] = { 1, 1 };
    const char              *name = qn_edit_name(w->edit, tensor->name, "_matrix"), *x = tensor->name;
    Onnx__NodeProto         *node = qn_node_new(w->arena, "Transpose", "", 1, &x, 1, &name);
    Onnx__TensorProto       *made;

    join(&order, &p->summed, &p->new);
    permutation(&p->w, &order, perm);
    if (node) qn_attr_set_ints(w->arena, node, "perm", order.count, perm);
    if (!node || !(made = qn_fold(node, &tensor, w->arena))) return NULL;
    for (size_t i = 0; i < order.count; i++) sides[i >= p->summed.count] *= made->dims[i]; /* a part of its count */
    for (size_t i = 0; i < p->new.count; i++) dims[i] = made->dims[p->summed.count + i];
    made->dims = (int64_t *)(void *)qn_arena_memdup(w->arena, sides, sizeof sides);
    made->n_dims = 2;
    return made->dims ? made : NULL;
}

static void rewrite(struct writer *w, const struct product *p, const char *x, const Onnx__TensorProto *tensor)
{
    struct labels      before, made;
    int64_t            perm[MAX_LABELS], dims[MAX_LABELS];
    const char        *out = w->graph->pb->node[w->node]->output[0];
    Onnx__TensorProto *m = matrix(w, tensor, p, dims);
    bool               reshaped = p->new.count > 1, transposed;

    if (!m) return;
    join(&before, &p->kept, &p->summed);
    join(&made, &p->kept, &p->new);
    transposed = !same(&made, &p->y);
    if (!same(&before, &p->x)) {
        permutation(&p->x, &before, perm);
        x = put(w, "Transpose", x, NULL, perm, before.count, NULL);
    }
    if (p->summed.count > 1) x = reshape(w, x, p->kept.count, m->dims, 1, NULL);
    qn_edit_add_initializer(w->edit, m);
    x = put(w, "MatMul", x, m->name, NULL, 0, reshaped || transposed ? NULL : out);
    if (reshaped) x = reshape(w, x, p->kept.count, dims, p->new.count, transposed ? NULL : out);
    if (transposed) {
        permutation(&made, &p->y, perm);
        put(w, "Transpose", x, NULL, perm, made.count, out);
    }
    qn_edit_remove_node(w->edit, w->node);
}

/* How many axes an ellipsis stands for is not known: such a product must need no order and no shape of the activation. */
static bool fits_ellipsis(const struct product *p)
{
    struct labels before, made;

    join(&before, &p->kept, &p->summed);
    join(&made, &p->kept, &p->new);
    return !has(&p->x, ELLIPSIS) || (same(&before, &p->x) && same(&made, &p->y) && p->summed.count == 1 && p->new.count == 1);
}

static void visit(struct writer *w)
{
    const Onnx__NodeProto   *node = w->graph->pb->node[w->node];
    const Onnx__TensorProto *first = qn_node_constant(w->graph, w->node, 0), *second = qn_node_constant(w->graph, w->node, 1), *tensor = first ? first : second;
    struct product           p = { 0 };

    if (!qn_node_is(w->graph, w->node, "Einsum") || node->n_input != 2 || node->n_output != 1 || !*node->output[0]) return;
    if (!tensor || (first && second) || tensor->data_type != QN_FLOAT || !*node->input[!!first]) return;
    if (!read_equation(node, first != NULL, &p) || !is_product(&p) || p.w.count != tensor->n_dims || !fits_ellipsis(&p)) return;
    rewrite(w, &p, node->input[!!first], tensor);
}

static qonnx_status run(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    struct writer w = { graph, edit, qn_edit_arena(edit), 0 };

    (void)again;
    (void)err;
    for (; w.node < graph->node_count; w.node++) visit(&w);
    qn_edit_drop_unused(edit);
    return QONNX_OK;
}

const struct qn_pass qn_pass_einsum_matmul = { "einsum_matmul", "Einsum by a constant matrix becomes MatMul", run };
