/* SPDX-License-Identifier: Apache-2.0
 * Tiles of one block of LANES outputs: all that is found of a block is found in its lane, so that outputs are worked on side
 * by side whatever instruction set there is, and every lane does the same arithmetic in the same order. */
#include "quant/blocks.h"

#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "quant/simd.h"

enum { LANES = 64, PIECE = 1 << 18 /* codes made at once */, WORTH_THREADS = 1 << 16 };
enum { TRIALS = 12, ALTERNATIONS = 3, HALF_QUADRATIC = 20 };
#define TRIAL_STEP 0.03f

struct tile {
    size_t  block, deep; /* rows, and how many of them hold weights: the rest are zeros */
    int32_t half, most;  /* codes */
    float   x[QN_BLOCK_MOST][LANES];
    float   weight[QN_BLOCK_MOST]; /* of errors, by row */
    uint8_t codes[QN_BLOCK_MOST][LANES];
};

struct lanes {
    float scale[LANES], zero[LANES], error[LANES];
};

/* ---- the arithmetic, lane by lane ---- */

#define CLAMP(v, most) ((v) > 0.0f ? (v) < (most) ? (v) : (most) : 0.0f) /* NaN is 0 */

QN_CLONES static void find_ends(const struct tile *restrict t, float *restrict low, float *restrict high)
{
    for (size_t j = 0; j < LANES; j++) low[j] = high[j] = 0;
    for (size_t k = 0; k < t->deep; k++) {
        for (size_t j = 0; j < LANES; j++) {
            low[j] = t->x[k][j] < low[j] ? t->x[k][j] : low[j];
            high[j] = t->x[k][j] > high[j] ? t->x[k][j] : high[j];
        }
    }
}

/* Searching multiplies, which is faster than to divide; the codes that are kept are divided for. */
static inline void invert(const float *scale, float *per)
{
    for (size_t j = 0; j < LANES; j++) per[j] = 1 / scale[j];
}

/* What the parameters lose, by lane. */
QN_CLONES static void find_errors(const struct tile *restrict t, struct lanes *restrict l)
{
    const float most = (float)t->most;

    float per[LANES];

    invert(l->scale, per);
    for (size_t j = 0; j < LANES; j++) l->error[j] = 0;
    for (size_t k = 0; k < t->deep; k++) {
        const float weight = t->weight[k];
        for (size_t j = 0; j < LANES; j++) {
            const float code = rintf(t->x[k][j] * per[j]) + l->zero[j];
            const float error = t->x[k][j] - (CLAMP(code, most) - l->zero[j]) * l->scale[j];
            l->error[j] += weight * (error * error);
        }
    }
}

/* The best scale for the codes that these parameters give, where there is one. */
QN_CLONES static void fit_scales(const struct tile *restrict t, const struct lanes *restrict l, float *restrict scale)
{
    const float most = (float)t->most;
    float       with[LANES] = { 0 }, square[LANES] = { 0 }, per[LANES];

    invert(l->scale, per);
    for (size_t k = 0; k < t->deep; k++) {
        const float weight = t->weight[k];
        for (size_t j = 0; j < LANES; j++) {
            const float code = rintf(t->x[k][j] * per[j]) + l->zero[j];
            const float step = CLAMP(code, most) - l->zero[j];
            with[j] += weight * (t->x[k][j] * step);
            square[j] += weight * (step * step);
        }
    }
    for (size_t j = 0; j < LANES; j++) scale[j] = square[j] > 0 ? with[j] / square[j] : l->scale[j];
}

QN_CLONES static void make_codes(struct tile *restrict t, const struct lanes *restrict l)
{
    const float most = (float)t->most;

    for (size_t k = 0; k < t->block; k++) {
        for (size_t j = 0; j < LANES; j++) {
            const float code = rintf(t->x[k][j] / l->scale[j]) + l->zero[j];
            t->codes[k][j] = (uint8_t)(int32_t)CLAMP(code, most);
        }
    }
}

/* ---- parameters ---- */

/* A scale that says nothing, or that float32 cannot divide by, becomes one that does. */
static float usable(float scale)
{
    const float size = fabsf(scale);

    if (!(size > 0)) return 1;
    return copysignf(fminf(fmaxf(size, QN_SCALE_MIN), QN_SCALE_MAX), scale);
}

static void set_symmetric(const struct tile *t, const float *low, const float *high, float share, struct lanes *l)
{
    for (int j = 0; j < LANES; j++) {
        const float largest = high[j] >= -low[j] ? high[j] : low[j];
        l->scale[j] = usable(largest * share / (float)-t->half);
        l->zero[j] = (float)t->half;
    }
}

static void set_affine(const struct tile *t, const float *low, const float *high, float share, struct lanes *l)
{
    for (int j = 0; j < LANES; j++) {
        l->scale[j] = usable((high[j] - low[j]) * share / (float)t->most);
        l->zero[j] = fminf(fmaxf(rintf(-low[j] * share / l->scale[j]), 0), (float)t->most);
    }
}

/* Takes the lanes of `other` that lose less. */
static void keep_better(struct lanes *best, const struct lanes *other)
{
    for (int j = 0; j < LANES; j++) {
        if (!(other->error[j] < best->error[j])) continue;
        best->scale[j] = other->scale[j];
        best->zero[j] = other->zero[j];
        best->error[j] = other->error[j];
    }
}

/* The same codes with the scale that suits them, and with the zero point a step to either side. */
static void alternate(const struct tile *t, bool symmetric, struct lanes *best)
{
    for (int round = 0; round < ALTERNATIONS; round++) {
        for (int shift = symmetric ? 0 : -1; shift <= (symmetric ? 0 : 1); shift++) {
            struct lanes other = *best;
            for (int j = 0; j < LANES; j++)
                other.zero[j] = fminf(fmaxf(best->zero[j] + (float)shift, 0), (float)t->most);
            fit_scales(t, &other, other.scale);
            for (int j = 0; j < LANES; j++) other.scale[j] = usable(other.scale[j]);
            find_errors(t, &other);
            keep_better(best, &other);
        }
    }
}

/* Least squared error: ranges cut off step by step, then what suits the codes. */
static void by_trial(const struct tile *t, bool symmetric, const float *low, const float *high, struct lanes *best)
{
    struct lanes other;

    find_errors(t, best);
    for (int i = symmetric ? -2 : 1; i < TRIALS; i++) {
        (symmetric ? set_symmetric : set_affine)(t, low, high, 1 - (float)i * TRIAL_STEP, &other);
        find_errors(t, &other);
        keep_better(best, &other);
    }
    alternate(t, symmetric, best);
}

/* Half-quadratic: large errors are set aside as if they were sparse, and the zero point is the mean of what is left
 * (Badri and Shaji 2023, for the exponent 1/2, whose power is a square root: exact on every machine). */
QN_CLONES static void settle_zeros(const struct tile *restrict t, struct lanes *restrict l, float beta)
{
    const float most = (float)t->most;
    float       sum[LANES] = { 0 }, per[LANES];

    invert(l->scale, per);
    for (size_t k = 0; k < t->deep; k++) {
        for (size_t j = 0; j < LANES; j++) {
            const float code = rintf(t->x[k][j] * per[j] + l->zero[j]), cut = CLAMP(code, most);
            const float error = t->x[k][j] - (cut - l->zero[j]) * l->scale[j], size = fabsf(error) + 1e-12f;
            const float left = size - 1 / (sqrtf(size) * beta), sparse = left > 0 ? left : 0;
            sum[j] += cut - (t->x[k][j] - (error < 0 ? -sparse : sparse)) * per[j];
        }
    }
    for (size_t j = 0; j < LANES; j++) l->zero[j] = sum[j] / (float)t->deep;
}

/* The last zero point is rounded, for codes it is; the scale then suits the codes. */
static void by_half_quadratic(const struct tile *t, struct lanes *best)
{
    struct lanes l;
    float        beta = 10;

    find_errors(t, best);
    l = *best;
    for (int round = 0; round < HALF_QUADRATIC; round++, beta *= 1.01f) settle_zeros(t, &l, beta);
    for (int j = 0; j < LANES; j++) l.zero[j] = fminf(fmaxf(rintf(l.zero[j]), 0), (float)t->most);
    fit_scales(t, &l, l.scale);
    for (int j = 0; j < LANES; j++) l.scale[j] = usable(l.scale[j]);
    find_errors(t, &l);
    keep_better(best, &l);
}

static void find_params(const struct tile *t, const struct qn_block_form *form, struct lanes *l)
{
    float low[LANES], high[LANES];

    find_ends(t, low, high);
    (form->symmetric ? set_symmetric : set_affine)(t, low, high, 1, l);
    if (form->how == QN_WEIGHT_MSE) by_trial(t, form->symmetric, low, high, l);
    if (form->how == QN_WEIGHT_HQQ) by_half_quadratic(t, l);
}

/* ---- tiles ---- */

/* Outputs and depths that there are none of are zeros. */
static void load(struct tile *t, const struct qn_matrix *m, size_t output, size_t outputs, size_t depth)
{
    const float *from = m->w + output * m->out_stride + depth * m->depth_stride;

    t->deep = m->depth - depth < t->block ? m->depth - depth : t->block;
    if (outputs < LANES || t->deep < t->block) memset(t->x, 0, t->block * sizeof *t->x);
    if (m->out_stride == 1) {
        for (size_t k = 0; k < t->deep; k++) memcpy(t->x[k], from + k * m->depth_stride, outputs * sizeof *from);
    } else {
        for (size_t j = 0; j < outputs; j++)
            for (size_t k = 0; k < t->deep; k++) t->x[k][j] = from[j * m->out_stride + k * m->depth_stride];
    }
    for (size_t k = 0; k < t->deep; k++) t->weight[k] = m->importance ? m->importance[depth + k] : 1;
}

static void store(const struct tile *t, const struct lanes *l, size_t outputs, struct qn_block_place place,
                  struct qn_block_codes to)
{
    if (place.out_stride == 1) {
        for (size_t k = 0; k < t->deep; k++) memcpy(to.codes + k * place.depth_stride, t->codes[k], outputs);
    } else {
        const size_t deep = t->deep < t->block && place.pads ? t->block : t->deep;
        for (size_t j = 0; j < outputs; j++)
            for (size_t k = 0; k < deep; k++) to.codes[j * place.out_stride + k] = t->codes[k][j];
    }
    for (size_t j = 0; j < outputs; j++) {
        to.scale[j * place.param_out_stride] = l->scale[j];
        if (to.zero) to.zero[j * place.param_out_stride] = (uint8_t)l->zero[j];
    }
}

QN_CLONES static void add_errors(const struct tile *restrict t, const struct lanes *restrict l, double *restrict signal,
                                 double *restrict noise)
{
    float power[LANES] = { 0 }, lost[LANES] = { 0 };

    for (size_t k = 0; k < t->deep; k++) {
        for (size_t j = 0; j < LANES; j++) {
            const float error = t->x[k][j] - ((float)t->codes[k][j] - l->zero[j]) * l->scale[j];
            power[j] += t->x[k][j] * t->x[k][j];
            lost[j] += error * error;
        }
    }
    for (size_t j = 0; j < LANES; j++) {
        *signal += (double)power[j];
        *noise += (double)lost[j];
    }
}

size_t qn_block_count(const struct qn_matrix *matrix, const struct qn_block_form *form)
{
    return matrix->depth / form->block + (matrix->depth % form->block != 0);
}

void qn_block_quantize(const struct qn_matrix *matrix, const struct qn_block_form *form, size_t first_output,
                       size_t end_output, size_t first_block, size_t end_block, struct qn_block_place place,
                       struct qn_block_codes to, struct qn_error_sums *sums)
{
    struct tile  t = { .block = form->block, .half = 1 << (form->bits - 1), .most = (1 << form->bits) - 1 };
    struct lanes l;

    for (size_t n = first_output; n < end_output; n += LANES) {
        const size_t outputs = end_output - n < LANES ? end_output - n : LANES;
        for (size_t b = first_block; b < end_block; b++) {
            const size_t codes =
                (n - first_output) * place.out_stride + (b - first_block) * form->block * place.depth_stride;
            const size_t params =
                (n - first_output) * place.param_out_stride + (b - first_block) * place.param_block_stride;
            struct qn_block_codes at = { to.codes + codes, to.scale + params, to.zero ? to.zero + params : NULL };
            load(&t, matrix, n, outputs, b * form->block);
            find_params(&t, form, &l);
            make_codes(&t, &l);
            add_errors(&t, &l, &sums->signal, &sums->noise);
            store(&t, &l, outputs, place, at);
        }
    }
}

/* ---- whole matrices ---- */

void qn_block_pack_bytes(int bits, const uint8_t *codes, size_t count, uint8_t flip, uint8_t *bytes)
{
    const size_t per = (size_t)(8 / bits), whole = count / per;

    if (per == 1) {
        for (size_t i = 0; i < count; i++) bytes[i] = codes[i] ^ flip;
    } else if (per == 2) {
        for (size_t i = 0; i < whole; i++) bytes[i] = (uint8_t)((codes[2 * i] ^ flip) | (codes[2 * i + 1] ^ flip) << 4);
    } else {
        for (size_t i = 0; i < whole; i++)
            bytes[i] = (uint8_t)((codes[4 * i] ^ flip) | (codes[4 * i + 1] ^ flip) << 2 |
                                 (codes[4 * i + 2] ^ flip) << 4 | (codes[4 * i + 3] ^ flip) << 6);
    }
    if (count % per && per > 1) {
        bytes[whole] = 0;
        for (size_t i = whole * per; i < count; i++)
            bytes[whole] |= (uint8_t)((codes[i] ^ flip) << ((i - whole * per) * (size_t)bits));
    }
}

struct job {
    const struct qn_matrix     *matrix;
    const struct qn_block_form *form;
    struct qn_block_place       place;
    uint8_t                     flip, *bytes, *zero, **strips;
    float                      *scale;
    bool                        by_output;   /* pieces are ranges of outputs, or else of blocks */
    size_t                step, blocks, row; /* of outputs or blocks in a piece; codes of an output, or of a depth */
    struct qn_error_sums *sums;
};

static qonnx_status do_piece(void *context, size_t piece, int worker, qonnx_error *err)
{
    const struct job *job = context;
    const size_t      first = piece * job->step, all = job->by_output ? job->matrix->outputs : job->blocks;
    const size_t      end = all - first < job->step ? all : first + job->step;
    const size_t      params = first * (job->by_output ? job->place.param_out_stride : job->place.param_block_stride);
    struct qn_block_codes to = { job->strips[worker], job->scale + params, job->zero ? job->zero + params : NULL };
    size_t                begin = first * job->row, count = (end - first) * job->row;

    (void)err;
    if (!job->by_output) {
        const size_t depth = end * job->form->block;
        begin *= job->form->block;
        count = (depth < job->matrix->depth ? depth : job->matrix->depth) * job->row - begin;
    }
    qn_block_quantize(job->matrix, job->form, job->by_output ? first : 0, job->by_output ? end : job->matrix->outputs,
                      job->by_output ? 0 : first, job->by_output ? job->blocks : end, job->place, to,
                      &job->sums[piece]);
    qn_block_pack_bytes(job->form->bits, job->strips[worker], count, job->flip,
                        job->bytes + begin / (size_t)(8 / job->form->bits));
    return QONNX_OK;
}

static qonnx_status run_pieces(struct job *job, size_t pieces, size_t longest, int threads, struct qn_error_sums *sums,
                               qonnx_error *err)
{
    struct qn_arena scratch = { 0 };
    qonnx_status    status = QONNX_OK;

    job->sums = qn_arena_array(&scratch, pieces, sizeof *job->sums);
    job->strips = qn_arena_array(&scratch, (size_t)threads, sizeof(uint8_t *));
    for (int i = 0; job->strips && i < threads; i++) job->strips[i] = qn_arena_alloc_raw(&scratch, longest);
    if (qn_arena_failed(&scratch)) status = qn_fail_nomem(err);
    if (status == QONNX_OK) status = qn_parallel_for(pieces, threads, do_piece, job, err);
    for (size_t i = 0; status == QONNX_OK && i < pieces; i++) {
        sums->signal += job->sums[i].signal;
        sums->noise += job->sums[i].noise;
    }
    qn_arena_release(&scratch);
    return status;
}

qonnx_status qn_block_pack(const struct qn_matrix *matrix, const struct qn_block_form *form,
                           struct qn_block_place place, uint8_t flip, void *bytes, float *scale, uint8_t *zero,
                           struct qn_error_sums *sums, int threads, qonnx_error *err)
{
    const bool   by_output = place.depth_stride == 1;
    const size_t row = by_output ? place.out_stride : place.depth_stride, unit = by_output ? row : row * form->block;
    struct job job = { matrix, form, place, flip, bytes, zero, NULL, scale, by_output, 1, qn_block_count(matrix, form),
                       row,    NULL };
    const size_t all = by_output ? matrix->outputs : job.blocks;

    if (matrix->outputs * matrix->depth < WORTH_THREADS) threads = 1;
    if (PIECE / unit > 1) job.step = PIECE / unit;
    if (by_output) job.step = job.step < LANES ? LANES : job.step - job.step % LANES;
    return run_pieces(&job, all / job.step + (all % job.step != 0), job.step * unit, threads, sums, err);
}
