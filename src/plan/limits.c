/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/limits.h"

#include <math.h>
#include <stdint.h>

#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "plan/meta.h"

enum { NAMED = 8 }; /* layers that the line on saturation names */

struct inquiry {
    const struct qn_plan *plan;
    struct qn_strbuf     *lines, saturating;
    size_t                count; /* of saturating layers */
    struct qn_plan_meta   meta;
    struct qn_arena       arena;
    qonnx_error          *err;
};

/* A weight in the order in which its kernel goes through it: for each output, positions, and at each the channels. */
struct weight {
    const int8_t *codes;
    size_t        stacked, outputs, positions, channels;
    size_t        output_step, position_step, channel_step; /* from one to the next */
};

/* ---- 32 bits ---- */

static double largest_code(const struct qn_metadata *m)
{
    double steps = ldexp(1, m->is_signed ? m->bits - 1 : m->bits);
    return m->is_signed ? steps : steps - 1;
}

static void tell_of_overflow(struct inquiry *q, qn_node_id n, const struct qn_metadata *input,
                             const struct qn_metadata *weight)
{
    const struct qn_node_plan *row = &q->plan->nodes[n];
    uint64_t                   terms = qn_plan_terms(q->plan->graph, n);
    double                     bias = 0;

    for (size_t i = 0; row->bias && !row->bias_own_scale && i < row->bias_count; i++)
        bias = fmax(bias, fabs((double)row->bias_codes[i]));
    if ((double)terms * largest_code(input) * largest_code(weight) + bias <= INT32_MAX) return;
    qn_strbuf_printf(q->lines,
                     "%s: the sum of %llu products and a bias of up to %.0f can pass the 32 bits of integer kernels; "
                     "its quantizers are used as they are\n",
                     qn_node_label(q->plan->graph, n), (unsigned long long)terms, bias);
}

/* ---- 16 bits ---- */

static bool is_depthwise(const struct qn_graph *g, qn_node_id n, const Onnx__TensorProto *weight)
{
    return weight->dims[1] == 1 && qn_attr_int(g->pb->node[n], "group", 1) > 1;
}

/* Kernels go through taps first and through the channels of each; products of matrices, row by row. False: the layer
 * has no kernel that adds pairs. */
static bool order_of(const struct qn_graph *g, qn_node_id n, const Onnx__TensorProto *weight, struct weight *w)
{
    size_t rank = weight->n_dims, count = 1, rows, columns;

    for (size_t i = 0; i < rank; i++) count *= (size_t)weight->dims[i];
    if (rank < 2 || !count) return false;
    if (qn_node_is(g, n, "Conv")) {
        size_t channels = (size_t)weight->dims[1], outputs = (size_t)weight->dims[0], taps = count / outputs / channels;
        if (is_depthwise(g, n, weight)) return false;
        *w = (struct weight){ NULL, 1, outputs, taps, channels, taps * channels, 1, taps };
        return true;
    }
    rows = (size_t)weight->dims[rank - 2];
    columns = (size_t)weight->dims[rank - 1];
    if (qn_node_is(g, n, "Gemm") && qn_attr_int(g->pb->node[n], "transB", 0))
        *w = (struct weight){ NULL, 1, rows, columns, 1, columns, 1, 0 };
    else
        *w = (struct weight){ NULL, count / rows / columns, columns, rows, 1, 1, columns, 0 };
    return qn_node_is(g, n, "Gemm") || qn_node_is(g, n, "MatMul");
}

/* The greatest magnitude that the codes of one sign in a pair add up to. */
static int worst_pair(const struct weight *w)
{
    const size_t size = w->outputs * w->positions * w->channels;
    int          worst = 0;

    for (size_t o = 0; o < w->stacked * w->outputs; o++) {
        const int8_t *row = w->codes + o / w->outputs * size + o % w->outputs * w->output_step;
        int           plus = 0, minus = 0;
        size_t        k = 0;
        for (size_t p = 0; p < w->positions; p++)
            for (size_t c = 0; c < w->channels; c++, k++) {
                int code = row[p * w->position_step + c * w->channel_step];
                if (k % 2 == 0) plus = minus = 0;
                if (code > 0)
                    plus += code;
                else
                    minus -= code;
                if (plus > worst) worst = plus;
                if (minus > worst) worst = minus;
            }
    }
    return worst;
}

static qonnx_status codes_of(struct inquiry *q, qn_node_id n, const Onnx__TensorProto *tensor, const int8_t **codes)
{
    const struct qn_node_plan *row = &q->plan->nodes[n];
    struct qn_layout           layout;
    const float               *w;
    size_t                     count;
    int8_t                    *made;

    if ((*codes = row->weight_codes)) return QONNX_OK;
    QN_TRY(qn_tensor_floats(tensor, &q->arena, &w, &count, q->err));
    QN_TRY(qn_layout_init(&layout, tensor->dims, tensor->n_dims, row->weight->axis < 0 ? QN_NO_AXIS : row->weight->axis,
                          q->err));
    if (!(made = qn_arena_alloc_raw(&q->arena, count))) return qn_fail_nomem(q->err);
    *codes = made;
    return qn_quantize(w, layout, row->weight, q->plan->rounding, made, qn_settings_threads(q->plan->settings), q->err);
}

static qonnx_status tell_of_saturation(struct inquiry *q, qn_node_id n, const struct qn_metadata *input)
{
    const struct qn_graph     *g = q->plan->graph;
    const struct qn_node_plan *row = &q->plan->nodes[n];
    const Onnx__TensorProto   *tensor = qn_node_constant(g, n, 1);
    int                        top = input->is_signed ? 128 + (1 << (input->bits - 1)) - 1 : (1 << input->bits) - 1;
    struct weight              w;

    if (row->weight->type->code_size != 1 || row->weight->lo >= 0 || !tensor || !order_of(g, n, tensor, &w))
        return QONNX_OK;
    QN_TRY(codes_of(q, n, tensor, &w.codes));
    if (worst_pair(&w) * top <= INT16_MAX) return QONNX_OK;
    if (q->count++ < NAMED) qn_strbuf_printf(&q->saturating, "%s%s", q->count > 1 ? ", " : "", qn_node_label(g, n));
    return QONNX_OK;
}

/* ---- all layers ---- */

static qonnx_status inquire(struct inquiry *q, qn_node_id n)
{
    const struct qn_node_plan *row = &q->plan->nodes[n];
    qn_value_id                v = qn_node_input(q->plan->graph, n, 0);
    struct qn_metadata         input, weight;

    if (!row->weight || v == QN_NONE) return QONNX_OK;
    QN_TRY(qn_metadata_of_params(row->weight, &q->arena, &weight, q->err));
    input = qn_plan_reads_codes(q->plan, n, 0) ? q->meta.seen[v] : q->meta.made[v];
    if (row->input) QN_TRY(qn_metadata_of_params(row->input, &q->arena, &input, q->err));
    if (!input.known || input.bits > 8) return QONNX_OK;
    tell_of_overflow(q, n, &input, &weight);
    return tell_of_saturation(q, n, &input);
}

static qonnx_status inquire_all(struct inquiry *q)
{
    QN_TRY(qn_plan_metadata(q->plan, &q->arena, &q->meta, q->err));
    for (qn_node_id n = 0; n < q->plan->graph->node_count; n++) QN_TRY(inquire(q, n));
    if (!q->count) return QONNX_OK;
    qn_strbuf_printf(
        q->lines,
        "the codes of %zu layer%s can saturate on x86 CPUs without VNNI, which add products in pairs in 16 bits: %s",
        q->count, q->count > 1 ? "s" : "", q->saturating.text);
    if (q->count > NAMED) qn_strbuf_printf(q->lines, " and %zu more", q->count - NAMED);
    qn_strbuf_puts(q->lines, "\n");
    return QONNX_OK;
}

qonnx_status qn_plan_limits(const struct qn_plan *plan, struct qn_strbuf *lines, qonnx_error *err)
{
    struct inquiry q = { .plan = plan, .lines = lines, .err = err };
    qonnx_status   status;

    qn_strbuf_init(&q.saturating);
    status = inquire_all(&q);
    qn_strbuf_release(&q.saturating);
    qn_arena_release(&q.arena);
    return status;
}
