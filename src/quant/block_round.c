/* SPDX-License-Identifier: Apache-2.0
 * As in blocks.c, LANES outputs are worked on side by side; then codes are changed one by one, as form.c does it. */
#include "quant/block_round.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/pool.h"
#include "quant/simd.h"

enum { LANES = 64 };

struct job {
    const struct qn_form       *form;
    const struct qn_matrix     *matrix;
    const struct qn_block_form *blocks;
    struct qn_block_rounded    *out;
    size_t                      block_count;
    struct sums {
        struct qn_error_sums lost;
        double               given, left;
    } * sums; /* by batch */
};

struct choice {
    uint8_t (*codes)[LANES];
    float (*scale)[LANES], (*zero)[LANES]; /* by block */
    double loss[LANES];
};

/* LANES outputs; those that there are none of are zeros. */
struct batch {
    const struct job *job;
    size_t            first, count;
    float (*x)[LANES];
    double (*e)[LANES]; /* what codes lose of x */
    struct choice nearest, along;
};

/* A block of variables. */
struct span {
    size_t first, end;
};

static struct span span_of(const struct job *job, size_t b)
{
    const size_t first = b * job->blocks->block, end = first + job->blocks->block;
    return (struct span){ first, end < job->matrix->depth ? end : job->matrix->depth };
}

/* ---- the factor ---- */

/* sums[c] += l[c] e, for each of n variables. */
QN_CLONES static void add_products(double (*restrict sums)[LANES], const double *restrict l, size_t n,
                                   const double *restrict e)
{
    for (size_t c = 0; c < n; c++)
        for (size_t j = 0; j < LANES; j++) sums[c][j] += l[c] * e[j];
}

/* The same of four rows of L that lie that far apart, one after the other. */
QN_CLONES static void add_four_products(double (*restrict sums)[LANES], const double *restrict l, size_t apart,
                                        size_t n, double (*restrict e)[LANES])
{
    const double *restrict l1 = l + apart, *restrict l2 = l1 + apart, *restrict l3 = l2 + apart;
    for (size_t c = 0; c < n; c++)
        for (size_t j = 0; j < LANES; j++)
            sums[c][j] = sums[c][j] + l[c] * e[0][j] + l1[c] * e[1][j] + l2[c] * e[2][j] + l3[c] * e[3][j];
}

/* For each variable of the block the sum over those behind it of L[i][c] e[i]. */
static void sum_behind(const struct batch *batch, struct span span, double (*sums)[LANES])
{
    const struct qn_form *form = batch->job->form;
    size_t                i = span.end;

    memset(sums, 0, (span.end - span.first) * sizeof *sums);
    for (; i + 3 < form->k; i += 4)
        add_four_products(sums, form->factor + i * form->k + span.first, form->k, span.end - span.first, batch->e + i);
    for (; i < form->k; i++)
        add_products(sums, form->factor + i * form->k + span.first, span.end - span.first, batch->e[i]);
}

/* What the outputs lose: the squares of L' e. */
static void find_loss(const struct batch *batch, double (*sums)[LANES], double *loss)
{
    const struct qn_form *form = batch->job->form;

    memset(loss, 0, LANES * sizeof *loss);
    for (size_t b = 0; b < batch->job->block_count; b++) {
        const struct span span = span_of(batch->job, b);
        sum_behind(batch, span, sums);
        for (size_t i = span.first; i < span.end; i++)
            add_products(sums, form->factor + i * form->k + span.first, i - span.first + 1, batch->e[i]);
        for (size_t c = 0; c < span.end - span.first; c++)
            for (size_t j = 0; j < LANES; j++) loss[j] += sums[c][j] * sums[c][j];
    }
}

/* ---- blocks ---- */

/* The rounding errors that are wanted, were codes not whole: those with which the variable's own term vanishes. */
QN_CLONES static void make_up(const float *restrict x, const double *restrict sum, double diagonal,
                              double *restrict wanted)
{
    for (size_t j = 0; j < LANES; j++) wanted[j] = (double)x[j] + sum[j] / diagonal;
}

QN_CLONES static void round_lanes(const double *restrict wanted, const float *restrict x, const float *restrict scale,
                                  const float *restrict zero, double most, uint8_t *restrict codes, double *restrict e)
{
    for (size_t j = 0; j < LANES; j++) {
        const double code = rint(wanted[j] / (double)scale[j]) + (double)zero[j];
        const double raised = code > 0 ? code : 0, cut = raised < most ? raised : most; /* NaN is 0 */
        codes[j] = (uint8_t)cut;
        e[j] = (double)x[j] - (cut - (double)zero[j]) * (double)scale[j];
    }
}

/* The parameters of a tile with that much depth. */
static qonnx_status find_params(const struct job *job, float (*x)[LANES], size_t depth, const float *importance,
                                float *scale, float *shift, qonnx_error *err)
{
    const struct qn_matrix tile = {
        .w = x, .outputs = LANES, .depth = depth, .out_stride = 1, .depth_stride = LANES, .importance = importance
    };
    const struct qn_block_place place = { .out_stride = 1, .depth_stride = LANES, .param_out_stride = 1 };
    struct qn_error_sums        lost = { 0, 0 };
    uint8_t                     zero[LANES];

    memset(zero, 1 << (job->blocks->bits - 1), sizeof zero);
    QN_TRY(qn_block_params(&tile, job->blocks, place, scale, job->blocks->symmetric ? NULL : zero, &lost, 1, err));
    for (size_t j = 0; j < LANES; j++) shift[j] = (float)zero[j];
    return QONNX_OK;
}

/* The same for what the block's weights have become. What an error costs is what those before cannot make up for. */
static qonnx_status find_moved_params(struct batch *batch, size_t b, double (*sums)[LANES], qonnx_error *err)
{
    const struct qn_form *form = batch->job->form;
    const struct span     span = span_of(batch->job, b);
    const size_t          n = span.end - span.first;
    float                 importance[QN_BLOCK_MOST], moved[QN_BLOCK_MOST][LANES];
    double                mean = 0, wanted[LANES], e[LANES];

    for (size_t c = 0; c < n; c++) mean += form->factor[(span.first + c) * (form->k + 1)] / (double)n;
    for (size_t c = n; c-- > 0;) {
        const double *l = form->factor + (span.first + c) * form->k + span.first;
        importance[c] = (float)(l[c] / mean * (l[c] / mean));
        make_up(batch->x[span.first + c], sums[c], l[c], wanted);
        for (size_t j = 0; j < LANES; j++) {
            moved[c][j] = (float)wanted[j];
            e[j] = (double)batch->x[span.first + c][j] - wanted[j];
        }
        add_products(sums, l, c, e);
    }
    return find_params(batch->job, moved, n, importance, batch->along.scale[b], batch->along.zero[b], err);
}

static double most_of(const struct job *job) { return (double)((1 << job->blocks->bits) - 1); }

/* From the last block to the first. */
static qonnx_status round_along(struct batch *batch, double (*sums)[LANES], qonnx_error *err)
{
    const struct job     *job = batch->job;
    const struct qn_form *form = job->form;
    struct choice        *choice = &batch->along;
    double                wanted[LANES];

    for (size_t b = job->block_count; b-- > 0;) {
        const struct span span = span_of(job, b);
        sum_behind(batch, span, sums);
        memcpy(sums + QN_BLOCK_MOST, sums, QN_BLOCK_MOST * sizeof *sums);
        QN_TRY(find_moved_params(batch, b, sums + QN_BLOCK_MOST, err));
        for (size_t i = span.end; i-- > span.first;) {
            const double *l = form->factor + i * form->k + span.first;
            make_up(batch->x[i], sums[i - span.first], l[i - span.first], wanted);
            round_lanes(wanted, batch->x[i], choice->scale[b], choice->zero[b], most_of(job), choice->codes[i],
                        batch->e[i]);
            add_products(sums, l, i - span.first, batch->e[i]);
        }
    }
    find_loss(batch, sums, choice->loss);
    return QONNX_OK;
}

/* Nearest codes by the parameters that the weights have by themselves. */
static qonnx_status round_nearest(struct batch *batch, double (*sums)[LANES], qonnx_error *err)
{
    const struct job *job = batch->job;
    struct choice    *choice = &batch->nearest;
    double            wanted[LANES];

    for (size_t b = 0; b < job->block_count; b++) {
        const struct span span = span_of(job, b);
        QN_TRY(find_params(job, batch->x + span.first, span.end - span.first, NULL, choice->scale[b], choice->zero[b],
                           err));
        for (size_t i = span.first; i < span.end; i++) {
            for (size_t j = 0; j < LANES; j++) wanted[j] = (double)batch->x[i][j];
            round_lanes(wanted, batch->x[i], choice->scale[b], choice->zero[b], most_of(job), choice->codes[i],
                        batch->e[i]);
        }
    }
    find_loss(batch, sums, choice->loss);
    return QONNX_OK;
}

/* ---- outputs ---- */

/* An output by itself; codes are counted from the zero points. */
struct rows {
    size_t   k, block, blocks;
    float   *w, *scale, *least;
    int32_t *codes, *zero, most;
    double  *given, *left;
};

static qonnx_status reserve_rows(struct rows *rows, const struct job *job, struct qn_arena *arena, qonnx_error *err)
{
    rows->k = job->form->k;
    rows->block = job->blocks->block;
    rows->blocks = job->block_count;
    rows->most = (1 << job->blocks->bits) - 1;
    rows->w = qn_arena_array(arena, rows->k, LANES * sizeof *rows->w);
    rows->codes = qn_arena_array(arena, rows->k, LANES * sizeof *rows->codes);
    rows->scale = qn_arena_array(arena, rows->blocks, LANES * sizeof *rows->scale);
    rows->zero = qn_arena_array(arena, rows->blocks, LANES * sizeof *rows->zero);
    rows->least = qn_arena_array(arena, LANES, sizeof *rows->least);
    rows->given = qn_arena_array(arena, LANES, sizeof *rows->given);
    rows->left = qn_arena_array(arena, LANES, sizeof *rows->left);
    return qn_arena_failed(arena) ? qn_fail_nomem(err) : QONNX_OK;
}

static void code_range(const void *context, size_t row, size_t i, const int32_t *codes, int32_t *lo, int32_t *hi)
{
    const struct rows *rows = context;
    const int32_t      zero = rows->zero[row * rows->blocks + i / rows->block];

    (void)codes;
    *lo = -zero;
    *hi = rows->most - zero;
}

/* The better of the two choices of each output, and from there on what changing codes and scales one by one gains. */
static qonnx_status descend(const struct batch *batch, struct rows *rows, qonnx_error *err)
{
    const struct qn_form_rows task = { .rows = batch->count,
                                       .w = rows->w,
                                       .codes = rows->codes,
                                       .block = rows->block,
                                       .scale = rows->scale,
                                       .lo = -rows->most,
                                       .hi = rows->most,
                                       .range = code_range,
                                       .range_context = rows,
                                       .along = true,
                                       .least_scale = rows->least,
                                       .given = rows->given,
                                       .left = rows->left };

    for (size_t j = 0; j < batch->count; j++) {
        const struct choice *from = batch->along.loss[j] < batch->nearest.loss[j] ? &batch->along : &batch->nearest;
        rows->least[j] = QN_SCALE_MIN;
        for (size_t b = 0; b < rows->blocks; b++) {
            rows->scale[j * rows->blocks + b] = from->scale[b][j];
            rows->zero[j * rows->blocks + b] = (int32_t)from->zero[b][j];
        }
        for (size_t i = 0; i < rows->k; i++) {
            rows->w[j * rows->k + i] = batch->x[i][j];
            rows->codes[j * rows->k + i] = from->codes[i][j] - (int32_t)from->zero[i / rows->block][j];
        }
    }
    return qn_form_round(batch->job->form, &task, 1, err);
}

/* ---- batches ---- */

static void load(struct batch *batch)
{
    const struct qn_matrix *m = batch->job->matrix;
    const char             *from = (const char *)m->w + batch->first * m->out_stride * sizeof(float);

    for (size_t i = 0; i < m->depth; i++) {
        memset(batch->x[i], 0, sizeof *batch->x);
        for (size_t j = 0; j < batch->count; j++)
            memcpy(&batch->x[i][j], from + (i * m->depth_stride + j * m->out_stride) * sizeof(float), sizeof(float));
    }
}

static void store(const struct batch *batch, const struct rows *rows, uint8_t *unpacked)
{
    const struct job *job = batch->job;
    const size_t      bytes = qn_block_row_bytes(job->matrix, job->blocks), first = batch->first * rows->blocks;
    struct sums      *sums = &job->sums[batch->first / LANES];

    memcpy(job->out->scale + first, rows->scale, batch->count * rows->blocks * sizeof *rows->scale);
    for (size_t i = 0; job->out->zero && i < batch->count * rows->blocks; i++)
        job->out->zero[first + i] = (uint8_t)rows->zero[i];
    for (size_t j = 0; j < batch->count; j++) {
        const float   *w = rows->w + j * rows->k, *scale = rows->scale + j * rows->blocks;
        const int32_t *codes = rows->codes + j * rows->k, *zero = rows->zero + j * rows->blocks;
        for (size_t i = 0; i < rows->blocks * rows->block; i++) {
            unpacked[i] = (uint8_t)zero[i / rows->block];
            if (i >= rows->k) continue; /* fills up the last block */
            const double error = (double)w[i] - (double)scale[i / rows->block] * codes[i];
            unpacked[i] = (uint8_t)(codes[i] + zero[i / rows->block]);
            sums->lost.signal += (double)w[i] * (double)w[i];
            sums->lost.noise += error * error;
            if (job->out->mean) job->out->shift[batch->first + j] += error * job->out->mean[i];
        }
        qn_block_pack_bytes(job->blocks->bits, unpacked, rows->blocks * rows->block, 0,
                            job->out->codes + (batch->first + j) * bytes);
        sums->given += batch->nearest.loss[j];
        sums->left += rows->left[j];
    }
}

static void reserve_choice(struct choice *choice, const struct job *job, struct qn_arena *arena)
{
    choice->codes = qn_arena_array(arena, job->form->k, sizeof *choice->codes);
    choice->scale = qn_arena_array(arena, job->block_count, sizeof *choice->scale);
    choice->zero = qn_arena_array(arena, job->block_count, sizeof *choice->zero);
}

static qonnx_status round_batch(struct batch *batch, struct qn_arena *arena, qonnx_error *err)
{
    const struct job *job = batch->job;
    struct rows       rows = { 0 };
    double(*sums)[LANES] = qn_arena_array(arena, 2 * QN_BLOCK_MOST, sizeof *sums);
    uint8_t *unpacked = qn_arena_alloc_raw(arena, job->block_count * job->blocks->block);

    batch->x = qn_arena_array(arena, job->form->k, sizeof *batch->x);
    batch->e = qn_arena_array(arena, job->form->k, sizeof *batch->e);
    reserve_choice(&batch->nearest, job, arena);
    reserve_choice(&batch->along, job, arena);
    QN_TRY(reserve_rows(&rows, job, arena, err));
    load(batch);
    QN_TRY(round_nearest(batch, sums, err));
    QN_TRY(round_along(batch, sums, err));
    QN_TRY(descend(batch, &rows, err));
    store(batch, &rows, unpacked);
    return QONNX_OK;
}

static qonnx_status do_batch(void *context, size_t index, int worker, qonnx_error *err)
{
    const struct job *job = context;
    const size_t      first = index * LANES, left = job->matrix->outputs - first;
    struct batch      batch = { .job = job, .first = first, .count = left < LANES ? left : LANES };
    struct qn_arena   arena = { 0 };
    qonnx_status      status = round_batch(&batch, &arena, err);

    (void)worker;
    qn_arena_release(&arena);
    return status;
}

qonnx_status qn_block_round(const struct qn_form *form, const struct qn_matrix *matrix,
                            const struct qn_block_form *blocks, struct qn_block_rounded *rounded, int threads,
                            qonnx_error *err)
{
    struct job job = {
        .form = form, .matrix = matrix, .blocks = blocks, .out = rounded, .block_count = qn_block_count(matrix, blocks)
    };
    const size_t    batches = (matrix->outputs + LANES - 1) / LANES;
    struct qn_arena arena = { 0 };
    qonnx_status    status;

    rounded->lost = (struct qn_error_sums){ 0, 0 };
    rounded->given = rounded->left = 0;
    if (!(job.sums = qn_arena_array(&arena, batches, sizeof *job.sums))) return qn_fail_nomem(err);
    status = qn_parallel_for(batches, threads, do_batch, &job, err);
    for (size_t i = 0; status == QONNX_OK && i < batches; i++) {
        rounded->lost.signal += job.sums[i].lost.signal;
        rounded->lost.noise += job.sums[i].lost.noise;
        rounded->given += job.sums[i].given;
        rounded->left += job.sums[i].left;
    }
    qn_arena_release(&arena);
    return status;
}
