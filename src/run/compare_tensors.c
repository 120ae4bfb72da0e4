/* SPDX-License-Identifier: Apache-2.0 */
#include "run/compare_tensors.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"
#include "onnx/graph.h"
#include "run/labels.h"

enum { KEEP_MOST = 1 << 16 };

/* ---- which ---- */

/* What a Q and DQ make of the value, or the value itself. */
static const char *as_read(const struct qn_graph *g, qn_value_id v)
{
    const struct qn_value *value = &g->values[v];

    for (uint32_t u = 0; u < value->use_count; u++) {
        const struct qn_use use = g->uses[value->use_at + u];
        qn_value_id         codes = use.slot == 0 && strcmp(g->pb->node[use.node]->op_type, "QuantizeLinear") == 0
                                        ? qn_node_output(g, use.node, 0)
                                        : QN_NONE;
        for (uint32_t k = 0; codes != QN_NONE && k < g->values[codes].use_count; k++) {
            const struct qn_use reader = g->uses[g->values[codes].use_at + k];
            if (reader.slot == 0 && strcmp(g->pb->node[reader.node]->op_type, "DequantizeLinear") == 0)
                return g->pb->node[reader.node]->output[0];
        }
    }
    return value->name;
}

/* Values of nested graphs are out of reach, outputs are compared anyway, and a quantizer is looked at through what it reads. */
static bool is_inside(const struct qn_graph *g, qn_value_id v)
{
    const char *op;

    if (v == QN_NONE || g->values[v].producer == QN_NONE || g->values[v].flags & QN_OUTPUT) return false;
    op = g->pb->node[g->values[v].producer]->op_type;
    return strcmp(op, "QuantizeLinear") != 0 && strcmp(op, "DequantizeLinear") != 0;
}

static qonnx_status collect(struct qn_tensor_pairs *pairs, const struct qn_graph *a, const struct qn_graph *b,
                            struct qn_arena *arena, qonnx_error *err)
{
    for (int which = 0; which < 2; which++)
        pairs->names[which] = qn_arena_array(arena, a->value_count, sizeof *pairs->names[which]);
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    for (qn_node_id n = 0; n < a->node_count; n++)
        for (size_t slot = 0; slot < a->pb->node[n]->n_output; slot++) {
            qn_value_id x = qn_node_output(a, n, slot), y;
            if (!is_inside(a, x)) continue;
            y = qn_graph_find(b, a->values[x].name);
            if (!is_inside(b, y)) continue;
            pairs->names[0][pairs->count] = qn_arena_strdup(arena, as_read(a, x));
            pairs->names[1][pairs->count++] = qn_arena_strdup(arena, as_read(b, y));
        }
    return qn_arena_failed(arena) ? qn_fail_nomem(err) : QONNX_OK;
}

qonnx_status qn_tensor_pairs_find(struct qn_tensor_pairs *pairs, const struct qn_model *first,
                                  const struct qn_model *second, struct qn_arena *arena, qonnx_error *err)
{
    struct qn_graph a = { 0 }, b = { 0 };
    qonnx_status    status = qn_graph_build(&a, (struct qn_model *)(uintptr_t)first, err);

    memset(pairs, 0, sizeof *pairs);
    if (status != QONNX_OK) qn_wrap(err, status, "%s", first->path);
    if (status == QONNX_OK)
        status = qn_wrap(err, qn_graph_build(&b, (struct qn_model *)(uintptr_t)second, err), "%s", second->path);
    if (status == QONNX_OK) status = collect(pairs, &a, &b, arena, err);
    qn_graph_release(&a);
    qn_graph_release(&b);
    return status;
}

/* ---- watching ---- */

struct kept_tensor {
    float *values;
    size_t room, count, of; /* so many of how many elements; of 0: not seen in this sample */
};

qonnx_status qn_tensor_watch_init(struct qn_tensor_watch *watch, size_t count, qonnx_error *err)
{
    watch->sums = calloc(count + 1, sizeof *watch->sums);
    watch->kept = calloc(count + 1, sizeof *watch->kept);
    if (!watch->sums || !watch->kept) return qn_fail_nomem(err);
    for (size_t i = 0; i < count; i++) qn_sums_init(&watch->sums[i], NULL, 0);
    watch->count = count;
    return QONNX_OK;
}

void qn_tensor_watch_release(struct qn_tensor_watch *watch)
{
    for (size_t i = 0; watch->kept && i < watch->count; i++) free(watch->kept[i].values);
    free(watch->kept);
    free(watch->sums);
    memset(watch, 0, sizeof *watch);
}

void qn_tensor_watch_start(struct qn_tensor_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) watch->kept[i].of = 0;
}

/* Odd, so that not always the same places of a row or channel are met. */
static size_t stride_of(size_t count) { return count <= KEEP_MOST ? 1 : (count / KEEP_MOST + 1) | 1; }

static void spread(const struct qn_view *view, size_t count, float *values, size_t *kept)
{
    const size_t stride = stride_of(count);

    *kept = 0;
    for (size_t i = 0; i < count; i += stride)
        values[(*kept)++] = view->dtype == QN_FLOAT ? ((const float *)view->data)[i] : (float)qn_view_number(view, i);
}

qonnx_status qn_tensor_watch_first(struct qn_tensor_watch *watch, size_t index, const struct qn_view *view,
                                   qonnx_error *err)
{
    struct kept_tensor *kept = &watch->kept[index];
    size_t              count = qn_view_count(view), room = count < KEEP_MOST ? count : KEEP_MOST;

    if (!qn_is_real(view->dtype) || !count) return QONNX_OK;
    if (room > kept->room) {
        float *grown = realloc(kept->values, room * sizeof *grown);
        if (!grown) return qn_fail_nomem(err);
        kept->values = grown;
        kept->room = room;
    }
    spread(view, count, kept->values, &kept->count);
    kept->of = count;
    return QONNX_OK;
}

qonnx_status qn_tensor_watch_second(struct qn_tensor_watch *watch, size_t position, size_t index,
                                    const struct qn_view *view, qonnx_error *err)
{
    struct kept_tensor *kept = &watch->kept[index];
    const int64_t       dims[2] = { (int64_t)kept->count, 1 }; /* no classes */
    struct qn_view      x = { view->name, QN_FLOAT, 2, dims, kept->values, kept->count * sizeof(float), 0 }, y = x;
    float              *values;
    qonnx_status        status;

    if (!qn_is_real(view->dtype) || !kept->of || qn_view_count(view) != kept->of) return QONNX_OK;
    if (!(values = malloc(x.size))) return qn_fail_nomem(err);
    spread(view, kept->of, values, &kept->count);
    y.data = values;
    status = qn_sums_add(&watch->sums[index], position, &x, &y, err);
    free(values);
    return status;
}
