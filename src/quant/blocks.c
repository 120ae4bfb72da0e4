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
    const char *from = (const char *)m->w + (output * m->out_stride + depth * m->depth_stride) * sizeof(float);
    float       run[QN_BLOCK_MOST];

    t->deep = m->depth - depth < t->block ? m->depth - depth : t->block;
    if (outputs < LANES || t->deep < t->block) memset(t->x, 0, t->block * sizeof *t->x);
    if (m->out_stride == 1) {
        for (size_t k = 0; k < t->deep; k++)
            memcpy(t->x[k], from + k * m->depth_stride * sizeof(float), outputs * sizeof(float));
    } else {
        for (size_t j = 0; j < outputs; j++) {
            memcpy(run, from + j * m->out_stride * sizeof(float), t->deep * sizeof(float));
            for (size_t k = 0; k < t->deep; k++) t->x[k][j] = run[k];
        }
    }
    for (size_t k = 0; k < t->deep; k++) t->weight[k] = m->importance ? m->importance[depth + k] : 1;
}

static void store_codes(const struct tile *t, size_t outputs, struct qn_block_place place, uint8_t *codes)
{
    const size_t deep = t->deep < t->block && place.pads ? t->block : t->deep;

    if (place.out_stride == 1) {
        for (size_t k = 0; k < t->deep; k++) memcpy(codes + k * place.depth_stride, t->codes[k], outputs);
        return;
    }
    for (size_t j = 0; j < outputs; j++)
        for (size_t k = 0; k < deep; k++) codes[j * place.out_stride + k] = t->codes[k][j];
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

bool qn_block_form_same(const struct qn_block_form *a, const struct qn_block_form *b)
{
    return a->bits == b->bits && a->symmetric == b->symmetric && a->block == b->block && a->how == b->how;
}

size_t qn_block_count(const struct qn_matrix *matrix, const struct qn_block_form *form)
{
    return matrix->depth / form->block + (matrix->depth % form->block != 0);
}

size_t qn_block_row_bytes(const struct qn_matrix *matrix, const struct qn_block_form *form)
{
    return qn_block_count(matrix, form) * form->block * (size_t)form->bits / 8;
}

/* A range of outputs and blocks of a matrix. */
struct part {
    const struct qn_matrix     *matrix;
    const struct qn_block_form *form;
    struct qn_block_place       place;
    size_t                      first_output, end_output, first_block, end_block;
};

static struct tile new_tile(const struct qn_block_form *form)
{
    return (struct tile){ .block = form->block, .half = 1 << (form->bits - 1), .most = (1 << form->bits) - 1 };
}

/* Codes that were found before. */
static void load_codes(struct tile *t, const struct part *p, size_t output, size_t outputs, size_t block)
{
    const size_t   bits = (size_t)p->form->bits, per = 8 / bits, row = qn_block_row_bytes(p->matrix, p->form);
    const uint8_t *from = p->matrix->codes + output * row + block * p->form->block / per;

    for (size_t j = 0; j < outputs; j++, from += row)
        for (size_t k = 0; k < t->block; k++) t->codes[k][j] = (uint8_t)(from[k / per] >> (k % per * bits) & (size_t)t->most);
    t->deep = p->matrix->depth - block * t->block < t->block ? p->matrix->depth - block * t->block : t->block;
}

static size_t param_at(const struct part *p, size_t output, size_t block)
{
    return output * p->place.param_out_stride + block * p->place.param_block_stride;
}

static void params_of(const struct part *p, float *scale, uint8_t *zero, struct qn_error_sums *sums)
{
    struct tile  t = new_tile(p->form);
    struct lanes l;

    for (size_t n = p->first_output; n < p->end_output; n += LANES) {
        const size_t outputs = p->end_output - n < LANES ? p->end_output - n : LANES;
        for (size_t b = p->first_block; b < p->end_block; b++) {
            load(&t, p->matrix, n, outputs, b * p->form->block);
            find_params(&t, p->form, &l);
            make_codes(&t, &l);
            add_errors(&t, &l, &sums->signal, &sums->noise);
            for (size_t j = 0; j < outputs; j++) {
                scale[param_at(p, n + j, b)] = l.scale[j];
                if (zero) zero[param_at(p, n + j, b)] = (uint8_t)l.zero[j];
            }
        }
    }
}

/* `codes` are those of the part alone. */
static void codes_of(const struct part *p, const float *scale, const uint8_t *zero, uint8_t *codes)
{
    struct tile  t = new_tile(p->form);
    struct lanes l = { .scale = { 0 } };

    for (int j = 0; j < LANES; j++) l.scale[j] = 1;
    for (size_t n = p->first_output; n < p->end_output; n += LANES) {
        const size_t outputs = p->end_output - n < LANES ? p->end_output - n : LANES;
        for (size_t b = p->first_block; b < p->end_block; b++) {
            if (p->matrix->codes) {
                load_codes(&t, p, n, outputs, b);
                store_codes(&t, outputs, p->place, codes + (n - p->first_output) * p->place.out_stride + (b - p->first_block) * p->form->block * p->place.depth_stride);
                continue;
            }
            load(&t, p->matrix, n, outputs, b * p->form->block);
            for (size_t j = 0; j < outputs; j++) {
                l.scale[j] = scale[param_at(p, n + j, b)];
                l.zero[j] = zero ? zero[param_at(p, n + j, b)] : (float)t.half;
            }
            make_codes(&t, &l);
            store_codes(&t, outputs, p->place,
                        codes + (n - p->first_output) * p->place.out_stride +
                            (b - p->first_block) * p->form->block * p->place.depth_stride);
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

/* Pieces are ranges of outputs or of blocks: those that follow each other in memory. */
struct cut {
    bool   by_output;
    size_t step, all; /* outputs or blocks of a piece, and of the matrix */
};

static struct cut cut_up(const struct qn_matrix *m, const struct qn_block_form *form, bool by_output, size_t row)
{
    const size_t blocks = qn_block_count(m, form), unit = by_output ? row : row * form->block;
    struct cut   cut = { by_output, PIECE / unit > 1 ? PIECE / unit : 1, by_output ? m->outputs : blocks };

    if (by_output) cut.step = cut.step < LANES ? LANES : cut.step - cut.step % LANES;
    return cut;
}

static struct part piece_of(const struct qn_matrix *m, const struct qn_block_form *form, struct qn_block_place place,
                            const struct cut *cut, size_t piece)
{
    const size_t first = piece * cut->step, end = cut->all - first < cut->step ? cut->all : first + cut->step;

    if (cut->by_output) return (struct part){ m, form, place, first, end, 0, qn_block_count(m, form) };
    return (struct part){ m, form, place, 0, m->outputs, first, end };
}

struct job {
    const struct qn_matrix     *matrix;
    const struct qn_block_form *form;
    struct qn_block_place       place;
    struct cut                  cut;
    float                      *scale;
    uint8_t                    *zero;
    struct qn_error_sums       *sums;
};

static qonnx_status do_params(void *context, size_t piece, int worker, qonnx_error *err)
{
    const struct job *job = context;
    const struct part part = piece_of(job->matrix, job->form, job->place, &job->cut, piece);

    (void)worker, (void)err;
    params_of(&part, job->scale, job->zero, &job->sums[piece]);
    return QONNX_OK;
}

qonnx_status qn_block_params(const struct qn_matrix *matrix, const struct qn_block_form *form,
                             struct qn_block_place place, float *scale, uint8_t *zero, struct qn_error_sums *sums,
                             int threads, qonnx_error *err)
{
    const bool      by_output = matrix->depth_stride == 1;
    struct job      job = { matrix, form,
                            place,  cut_up(matrix, form, by_output, by_output ? matrix->depth : matrix->outputs),
                            scale,  zero,
                            NULL };
    const size_t    pieces = job.cut.all / job.cut.step + (job.cut.all % job.cut.step != 0);
    struct qn_arena scratch = { 0 };
    qonnx_status    status;

    if (!(job.sums = qn_arena_array(&scratch, pieces, sizeof *job.sums))) return qn_fail_nomem(err);
    status =
        qn_parallel_for(pieces, matrix->outputs * matrix->depth < WORTH_THREADS ? 1 : threads, do_params, &job, err);
    for (size_t i = 0; status == QONNX_OK && i < pieces; i++) {
        sums->signal += job.sums[i].signal;
        sums->noise += job.sums[i].noise;
    }
    qn_arena_release(&scratch);
    return status;
}

/* Codes of an output, or of a depth, that stand side by side. */
static size_t row_of(struct qn_block_place place)
{
    return place.depth_stride == 1 ? place.out_stride : place.depth_stride;
}

/* Codes of a piece; the last one of blocks may end in a short one. */
static size_t codes_in(const struct part *p, const struct cut *cut)
{
    const size_t depth = p->end_block * p->form->block, row = row_of(p->place);

    if (cut->by_output) return (p->end_output - p->first_output) * row;
    return ((depth < p->matrix->depth ? depth : p->matrix->depth) - p->first_block * p->form->block) * row;
}

size_t qn_block_unit(const struct qn_matrix *matrix, const struct qn_block_form *form, struct qn_block_place place)
{
    const struct cut cut = cut_up(matrix, form, place.depth_stride == 1, row_of(place));
    return cut.step * row_of(place) * (cut.by_output ? 1 : form->block) / (size_t)(8 / form->bits);
}

qonnx_status qn_block_codes(const struct qn_matrix *matrix, const struct qn_block_form *form,
                            struct qn_block_place place, uint8_t flip, const float *scale, const uint8_t *zero,
                            size_t offset, size_t size, uint8_t *bytes, qonnx_error *err)
{
    const struct cut cut = cut_up(matrix, form, place.depth_stride == 1, row_of(place));
    const size_t     unit = qn_block_unit(matrix, form, place), per = (size_t)(8 / form->bits);
    struct qn_arena  scratch = { 0 };
    uint8_t         *codes = qn_arena_alloc_raw(&scratch, unit * per);

    if (!codes) return qn_fail_nomem(err);
    for (size_t at = 0; at < size; at += unit) {
        const struct part part = piece_of(matrix, form, place, &cut, (offset + at) / unit);
        codes_of(&part, scale, zero, codes);
        qn_block_pack_bytes(form->bits, codes, codes_in(&part, &cut), flip, bytes + at);
    }
    qn_arena_release(&scratch);
    return QONNX_OK;
}
