/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/round.h"

#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/block_weight.h"
#include "plan/layer_shape.h"
#include "plan/solver.h"
#include "plan/window.h"
#include "quant/form.h"
#include "quant/pair_safe.h"

enum { SMALL = 64 /* columns */, ROWS_FOR_COLUMN = 4, ROWS_AT_LEAST = 1024, FEW_BITS = 5 };

/* Whether the settings ask for it. */
static bool in_scope(const struct qn_plan *plan, qn_node_id layer, struct qn_window *window)
{
    const char *scope = plan->settings->rounding;

    if (!scope || plan->recipe || (strcmp(scope, "small") != 0 && strcmp(scope, "second-order") != 0)) return false;
    if ((plan->nodes[layer].weight && plan->nodes[layer].weight->type->code_size != 1) || !qn_node_window(plan->graph, layer, window)) return false;
    return strcmp(scope, "small") != 0 || qn_window_columns(window) <= SMALL;
}

bool qn_round_wanted(const struct qn_plan *plan, qn_node_id layer, struct qn_window *window)
{
    const struct qn_node_plan *row = &plan->nodes[layer];
    return row->reason == QN_REASON_QUANTIZED && (row->weight || row->blocks) && !row->rounded && qn_round_absmax(plan, layer) > 0 && in_scope(plan, layer, window);
}

void qn_round_take_blocks(struct qn_plan *plan, qn_node_id layer)
{
    const struct qn_rounded *rounded = plan->rounded ? plan->rounded[layer] : NULL;
    struct qn_node_plan     *row = &plan->nodes[layer];
    struct qn_window         window;

    if (!rounded || !rounded->blocks || !in_scope(plan, layer, &window) || !qn_block_form_same(&rounded->form, &row->blocks->form)) return;
    row->rounded = rounded;
    *row->lost = (struct qn_loss){ .sums = rounded->blocks->lost, .known = true };
}

qonnx_status qn_round_take(struct qn_plan *plan, qn_node_id layer, const float **b, size_t b_count, qonnx_error *err)
{
    const struct qn_rounded *rounded = plan->rounded ? plan->rounded[layer] : NULL;
    struct qn_node_plan     *row = &plan->nodes[layer];
    struct qn_window         window;
    float                   *moved;

    if (!rounded || rounded->blocks || !in_scope(plan, layer, &window) || rounded->count != row->weight->count || memcmp(rounded->base, row->weight->scale, rounded->count * sizeof(float)) != 0) return QONNX_OK;
    memcpy(row->weight->scale, rounded->scale, rounded->count * sizeof(float));
    row->weight_codes = (void *)(uintptr_t)rounded->codes;
    row->rounded = rounded;
    if (!*b || !rounded->bias) return QONNX_OK;
    if (!(moved = qn_arena_array(&plan->arena, b_count, sizeof *moved))) return qn_fail_nomem(err);
    for (size_t i = 0; i < b_count; i++) moved[i] = (*b)[i] + rounded->bias[i];
    *b = moved;
    return QONNX_OK;
}

bool qn_round_bias(const struct qn_plan *plan, qn_node_id layer, struct qn_use *at)
{
    const struct qn_graph   *g = plan->graph;
    const Onnx__NodeProto   *pb = g->pb->node[layer];
    const Onnx__TensorProto *bias;
    struct qn_layer_shape    shape;
    size_t                   count;

    if (plan->settings->acts != QN_ACTS_FLOAT || !qn_layer_shape(g, layer, &shape)) return false;
    *at = (struct qn_use){ layer, 2 };
    if (qn_node_is(g, layer, "MatMul")) {
        const qn_value_id out = qn_node_output(g, layer, 0);
        *at = (struct qn_use){ out == QN_NONE ? QN_NONE : qn_value_only_user(g, out), 1 };
        if (at->node == QN_NONE || !qn_node_is(g, at->node, "Add")) return false;
        if (!qn_node_constant(g, at->node, 1)) at->slot = 0;
    } else if (qn_attr_float(pb, "alpha", 1) != 1.0f || qn_attr_float(pb, "beta", 1) != 1.0f) {
        return false;
    }
    bias = qn_node_constant(g, at->node, at->slot);
    if (!bias || bias->data_type != QN_FLOAT || bias->n_dims < 1 || qn_tensor_count(bias, &count, NULL) != QONNX_OK) return false;
    return count == shape.weight.outputs && (size_t)bias->dims[bias->n_dims - 1] == count;
}

float qn_round_absmax(const struct qn_plan *plan, qn_node_id layer)
{
    const struct qn_range range = plan->tensors[qn_node_input(plan->graph, layer, 0)].range;
    return fmaxf(fabsf(range.min), fabsf(range.max));
}

size_t qn_round_rows(const struct qn_window *window)
{
    const size_t columns = qn_window_columns(window);
    return columns > SIZE_MAX / ROWS_FOR_COLUMN || columns * ROWS_FOR_COLUMN < ROWS_AT_LEAST ? ROWS_AT_LEAST : columns * ROWS_FOR_COLUMN;
}

/* A layer's weights as rows: one for each output channel, those of a group together. */
struct rows {
    struct qn_arena    arena; /* scratch */
    const float       *values;
    size_t             count, k;
    size_t             row_stride, column_stride; /* in the tensor */
    float             *w, *scale, *least;
    double            *given, *left;
    int32_t           *codes;
    int                threads;
    bool               centred; /* a bias makes good the mean error */
};

static size_t place(const struct rows *r, size_t row, size_t column) { return row * r->row_stride + column * r->column_stride; }

static qonnx_status read_rows(struct rows *r, const struct qn_plan *plan, qn_node_id layer, size_t k, qonnx_error *err)
{
    const struct qn_node_plan *row = &plan->nodes[layer];
    const Onnx__TensorProto   *weight = qn_node_constant(plan->graph, layer, 1);
    const int                  axis = row->rule->axis < 0 ? (int)weight->n_dims - 1 : row->rule->axis;
    size_t                     total;
    int8_t                    *codes;

    QN_TRY(qn_tensor_floats(weight, &r->arena, &r->values, &total, err));
    r->k = k;
    r->count = total / k;
    r->row_stride = axis == 0 ? k : 1;
    r->column_stride = axis == 0 ? 1 : r->count;
    r->w = qn_arena_array(&r->arena, total, sizeof *r->w);
    r->codes = qn_arena_array(&r->arena, total, sizeof *r->codes);
    r->scale = qn_arena_array(&r->arena, r->count, sizeof *r->scale);
    r->least = qn_arena_array(&r->arena, r->count, sizeof *r->least);
    r->given = qn_arena_array(&r->arena, r->count, sizeof *r->given);
    r->left = qn_arena_array(&r->arena, r->count, sizeof *r->left);
    codes = qn_arena_array(&r->arena, total, sizeof *codes);
    if (qn_arena_failed(&r->arena)) return qn_fail_nomem(err);
    if (row->weight_codes) {
        memcpy(codes, row->weight_codes, total);
    } else {
        struct qn_layout layout = QN_LAYOUT_FLAT(total);
        if (row->weight->count > 1) QN_TRY(qn_layout_init(&layout, weight->dims, weight->n_dims, axis, err));
        QN_TRY(qn_quantize(r->values, layout, row->weight, plan->rounding, codes, r->threads, err));
    }
    for (size_t i = 0; i < r->count; i++) {
        const size_t slot = row->weight->count > 1 ? i : 0;
        r->scale[i] = row->weight->scale[slot];
        r->least[i] = row->least_scale ? row->least_scale[slot] : QN_SCALE_MIN;
        for (size_t j = 0; j < k; j++) {
            const size_t at = place(r, i, j);
            r->w[i * k + j] = r->values[at];
            r->codes[i * k + j] = (row->weight->is_signed ? codes[at] : (uint8_t)codes[at]) - row->weight->zero_point[slot];
        }
    }
    return QONNX_OK;
}

/* With few bits the largest weight is not worth the steps it takes. */
static void search_scales(const struct qn_form *form, const struct rows *r, size_t first, size_t count, int32_t lo, int32_t hi)
{
    for (size_t i = first; i < first + count; i++) {
        const float s = qn_form_search_scale(form, r->w + i * r->k, r->scale[i], lo, hi);
        r->scale[i] = s >= r->least[i] ? s : r->least[i];
        for (size_t j = i * r->k; j < (i + 1) * r->k; j++) r->codes[j] = (int32_t)fmaxf((float)lo, fminf((float)hi, rintf(r->w[j] / r->scale[i])));
    }
}

/* Group by group; *gain is what the codes lose after it over what they lost before. */
static qonnx_status round_rows(struct rows *r, const struct qn_plan *plan, qn_node_id layer, const struct qn_gram *gram, double *gain, qonnx_error *err)
{
    const struct qn_qparams     *weight = plan->nodes[layer].weight;
    const struct qn_pair_inputs *inputs = plan->nodes[layer].pair_inputs;
    const size_t                 count = r->count / gram->groups;
    double                       before = 0, after = 0;

    for (size_t group = 0; group < gram->groups; group++) {
        const size_t          first = group * count, channels = gram->window.channels;
        const int32_t         shift = weight->zero_point[0];
        struct qn_pair_limits limits = { .taps = qn_window_taps(&gram->window), .channels = channels };
        struct qn_form_rows   task = { .rows = count, .w = r->w + first * r->k, .codes = r->codes + first * r->k, .scale = r->scale + first, .given = r->given + first, .left = r->left + first, .lo = weight->lo - shift, .hi = weight->hi - shift, .range = inputs ? qn_pair_code_range : NULL, .range_context = &limits };
        struct qn_form        form;
        qonnx_status          status;
        if (inputs) limits.inputs = qn_pair_inputs_from(inputs, group * channels);
        QN_TRY(qn_form_init(&form, gram, group, r->centred, (double)plan->settings->damping / 100, r->threads, err));
        if (weight->count > 1) {
            if (weight->bits <= FEW_BITS) search_scales(&form, r, first, count, task.lo, task.hi);
            task.least_scale = r->least + first;
        }
        status = qn_form_round(&form, &task, r->threads, err);
        qn_form_release(&form);
        if (status != QONNX_OK) return status;
    }
    for (size_t i = 0; i < r->count; i++) {
        before += r->given[i];
        after += r->left[i];
    }
    *gain = after > 0 && before > 0 ? 10 * log10(before / after) : 0;
    return QONNX_OK;
}

/* What the codes take from the mean of each output. */
static qonnx_status keep_bias(const struct rows *r, const struct qn_gram *gram, struct qn_rounded *out, struct qn_arena *arena, qonnx_error *err)
{
    float *bias = qn_arena_array(arena, r->count, sizeof *bias);

    if (!bias) return qn_fail_nomem(err);
    for (size_t i = 0; i < r->count; i++) {
        const size_t group = i / (r->count / gram->groups);
        double       sum = 0;
        for (size_t j = 0; j < r->k; j++) sum += ((double)r->w[i * r->k + j] - (double)r->scale[i] * r->codes[i * r->k + j]) * qn_gram_mean(gram, group, j);
        bias[i] = (float)sum;
    }
    out->bias = bias;
    return QONNX_OK;
}

static qonnx_status keep(const struct rows *r, const struct qn_qparams *weight, struct qn_rounded *out, struct qn_arena *arena, qonnx_error *err)
{
    int8_t *codes = qn_arena_alloc_raw(arena, r->count * r->k);
    float  *base = qn_arena_array(arena, weight->count, sizeof *base), *scale = qn_arena_array(arena, weight->count, sizeof *scale);

    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    memcpy(base, weight->scale, weight->count * sizeof *base);
    for (size_t i = 0; i < r->count; i++) {
        const size_t slot = weight->count > 1 ? i : 0;
        scale[slot] = r->scale[i];
        for (size_t j = 0; j < r->k; j++) codes[place(r, i, j)] = (int8_t)(r->codes[i * r->k + j] + weight->zero_point[slot]);
    }
    out->count = weight->count;
    out->base = base;
    out->scale = scale;
    out->codes = codes;
    return QONNX_OK;
}

/* ---- blocks ---- */

static qonnx_status new_rounded_blocks(const struct qn_matrix *m, const struct qn_block_form *form, bool centred, struct qn_arena *arena, struct qn_block_rounded **made, qonnx_error *err)
{
    const size_t count = qn_block_count(m, form);

    if (!(*made = qn_arena_alloc(arena, sizeof **made))) return qn_fail_nomem(err);
    (*made)->scale = qn_arena_array(arena, m->outputs, count * sizeof(float));
    (*made)->zero = form->symmetric ? NULL : qn_arena_array(arena, m->outputs, count);
    (*made)->codes = qn_arena_array(arena, m->outputs, qn_block_row_bytes(m, form));
    (*made)->shift = centred ? qn_arena_array(arena, m->outputs, sizeof(double)) : NULL;
    return qn_arena_failed(arena) ? qn_fail_nomem(err) : QONNX_OK;
}

/* What was found for some of the depth, in its place among all of it. */
static void place_part(const struct qn_block_rounded *part, const struct qn_matrix *depth, size_t first, const struct qn_matrix *all, const struct qn_block_form *form, struct qn_block_rounded *made)
{
    const size_t from = qn_block_count(depth, form), count = qn_block_count(all, form), at = first / form->block;
    const size_t from_bytes = qn_block_row_bytes(depth, form), bytes = qn_block_row_bytes(all, form), byte = first * (size_t)form->bits / 8;

    for (size_t i = 0; i < all->outputs; i++) {
        memcpy(made->scale + i * count + at, part->scale + i * from, from * sizeof *part->scale);
        if (made->zero) memcpy(made->zero + i * count + at, part->zero + i * from, from);
        memcpy(made->codes + i * bytes + byte, part->codes + i * from_bytes, from_bytes);
        if (made->shift) made->shift[i] += part->shift[i];
    }
    made->lost.signal += part->lost.signal;
    made->lost.noise += part->lost.noise;
    made->given += part->given;
    made->left += part->left;
}

static qonnx_status round_part(const struct qn_plan *plan, const struct qn_matrix *all, const struct qn_gram *gram, const struct qn_block_form *blocks, struct qn_arena *scratch, struct qn_block_rounded *made, qonnx_error *err)
{
    const int                threads = qn_settings_threads(plan->settings);
    const size_t             first = gram->window.first;
    const bool               centred = made->shift != NULL;
    double                  *mean = qn_arena_array(scratch, gram->k, sizeof *mean);
    struct qn_matrix         m = *all;
    struct qn_block_rounded *part;
    struct qn_form           form;
    qonnx_status             status;

    m.w = (const char *)all->w + first * all->depth_stride * sizeof(float);
    m.depth = gram->k;
    QN_TRY(new_rounded_blocks(&m, blocks, centred, scratch, &part, err));
    for (size_t i = 0; i < gram->k; i++) mean[i] = qn_gram_mean(gram, 0, i);
    if (centred) part->mean = mean;
    QN_TRY(qn_form_init(&form, gram, 0, centred, (double)plan->settings->damping / 100, threads, err));
    status = qn_block_round(&form, &m, blocks, part, threads, err);
    qn_form_release(&form);
    if (status == QONNX_OK) place_part(part, &m, first, all, blocks, made);
    return status;
}

/* The depth that the sums are of, beside what was rounded of it before. */
static qonnx_status round_blocks(const struct qn_plan *plan, qn_node_id layer, const struct qn_gram *gram, struct qn_arena *arena, struct qn_rounded *out, qonnx_error *err)
{
    struct qn_arena          scratch = { 0 };
    struct qn_block_rounded *made = out->blocks;
    struct qn_matrix         m;
    struct qn_use            at;
    float                   *bias;
    qonnx_status             status;

    out->form = plan->nodes[layer].blocks->form;
    out->rows = gram->rows;
    status = qn_block_weight_matrix(plan->graph, layer, &scratch, &m, err);
    if (status == QONNX_OK && !made) status = new_rounded_blocks(&m, &out->form, qn_round_bias(plan, layer, &at), arena, &made, err);
    if (status == QONNX_OK) status = round_part(plan, &m, gram, &out->form, &scratch, made, err);
    qn_arena_release(&scratch);
    QN_TRY(status);
    out->blocks = made;
    out->gain = made->left > 0 && made->given > 0 ? 10 * log10(made->given / made->left) : 0;
    if (!made->shift) return QONNX_OK;
    if (!(bias = qn_arena_array(arena, m.outputs, sizeof *bias))) return qn_fail_nomem(err);
    for (size_t i = 0; i < m.outputs; i++) bias[i] = (float)made->shift[i];
    out->bias = bias;
    return QONNX_OK;
}

/* ---- layers ---- */

size_t qn_round_part(const struct qn_plan *plan, qn_node_id layer, const struct qn_window *window, size_t columns)
{
    const struct qn_block_plan *blocks = plan->nodes[layer].blocks;
    const size_t                all = qn_window_columns(window);

    if (!blocks || columns >= all) return all;
    columns -= columns % blocks->form.block;
    return columns ? columns : blocks->form.block < all ? blocks->form.block : all;
}

qonnx_status qn_round_layer(const struct qn_plan *plan, qn_node_id layer, const struct qn_gram *gram, struct qn_arena *arena, const struct qn_rounded **rounded, qonnx_error *err)
{
    struct rows        r = { .threads = qn_settings_threads(plan->settings) };
    struct qn_rounded *out = gram->window.first ? (void *)(uintptr_t)*rounded : qn_arena_alloc(arena, sizeof *out);
    struct qn_use      at;
    qonnx_status       status;

    if (!out) return qn_fail_nomem(err);
    *rounded = out;
    if (plan->nodes[layer].blocks) return round_blocks(plan, layer, gram, arena, out, err);
    status = read_rows(&r, plan, layer, gram->k, err);
    r.centred = plan->nodes[layer].bias ? plan->nodes[layer].bias_count == r.count : qn_round_bias(plan, layer, &at);
    out->rows = gram->rows;
    if (status == QONNX_OK) status = round_rows(&r, plan, layer, gram, &out->gain, err);
    if (status == QONNX_OK) status = keep(&r, plan->nodes[layer].weight, out, arena, err);
    if (status == QONNX_OK && r.centred) status = keep_bias(&r, gram, out, arena, err);
    qn_arena_release(&r.arena);
    return status;
}
