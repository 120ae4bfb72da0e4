/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/form.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "quant/gram.h"
#include "quant/qparams.h"
#include "quant/simd.h"

/* A batch of rows shares each row of H and L while it is in the cache. */
enum { BATCH = 4, SWEEPS = 16, REFITS = 2, PAIRS_UP_TO = 64 };

/* y += a x; this and the next are the only loops that count. */
QN_CLONES static void add_scaled(double *restrict y, double a, const double *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

/* The same of four rows that lie n apart, one after the other: y is fetched and stored once. */
QN_CLONES static void add_four(double *restrict y, const double *restrict a, const double *restrict x, size_t n)
{
    const double *restrict x1 = x + n, *restrict x2 = x1 + n, *restrict x3 = x2 + n;
    for (size_t i = 0; i < n; i++) y[i] = y[i] + a[0] * x[i] + a[1] * x1[i] + a[2] * x2[i] + a[3] * x3[i];
}

/* ---- the form ---- */

static qonnx_status reserve(struct qn_form *form, size_t k, qonnx_error *err)
{
    size_t count, bytes;

    memset(form, 0, sizeof *form);
    if (__builtin_mul_overflow(k, k, &count) || __builtin_mul_overflow(count, sizeof(double), &bytes))
        return qn_fail_nomem(err);
    form->k = k;
    form->h = malloc(bytes ? bytes : 1);
    form->factor = malloc(bytes ? bytes : 1);
    if (form->h && form->factor) return QONNX_OK;
    qn_form_release(form);
    return qn_fail_nomem(err);
}

void qn_form_release(struct qn_form *form)
{
    free(form->h);
    free(form->factor);
    memset(form, 0, sizeof *form);
}

static qonnx_status finish(struct qn_form *form, double damping, int threads, qonnx_error *err)
{
    const size_t k = form->k;
    double       trace = 0, added;
    qonnx_status status;

    for (size_t i = 0; i < k; i++) trace += form->h[i * k + i];
    added = k ? damping * trace / (double)k : 0;
    for (size_t i = 0; i < k; i++) {
        double *d = &form->h[i * k + i];
        *d += added;
        if (!(*d > 0)) *d = trace > 0 ? trace / (double)k : 1; /* never seen: any weight will do, so the nearest code */
    }
    memcpy(form->factor, form->h, k * k * sizeof *form->h);
    status = qn_cholesky(form->factor, k, threads, err);
    if (status != QONNX_OK) qn_form_release(form);
    return status;
}

qonnx_status qn_form_init(struct qn_form *form, const struct qn_gram *gram, size_t group, bool centred, double damping,
                          int threads, qonnx_error *err)
{
    const size_t k = gram->k;
    double      *mean;

    QN_TRY(reserve(form, k, err));
    if (!(mean = calloc(k + 1, sizeof *mean))) {
        qn_form_release(form);
        return qn_fail_nomem(err);
    }
    for (size_t i = 0; centred && gram->rows && i < k; i++) mean[i] = qn_gram_mean(gram, group, i);
    for (size_t i = 0; i < k; i++)
        for (size_t j = 0; j <= i; j++) {
            const double value = qn_gram_at(gram, group, i, j) - mean[i] * mean[j];
            form->h[i * k + j] = form->h[j * k + i] = value;
        }
    free(mean);
    return finish(form, damping, threads, err);
}

qonnx_status qn_form_init_matrix(struct qn_form *form, const double *matrix, size_t k, double damping, int threads,
                                 qonnx_error *err)
{
    QN_TRY(reserve(form, k, err));
    memcpy(form->h, matrix, k * k * sizeof *form->h);
    return finish(form, damping, threads, err);
}

/* ---- rows ---- */

/* One row while it is worked on. */
struct row {
    size_t       number;
    const float *w;
    int32_t     *codes; /* best so far */
    int32_t     *trial;
    double      *s; /* by block */
    size_t       blocks;
    unsigned     shift; /* of a variable's number to that of its block */
    double      *e, *g; /* w - s q and H e, for `codes` (but see round_along) */
};

static double scale_at(const struct row *row, size_t i) { return row->s[i >> row->shift]; }

static void range_of(const struct qn_form_rows *task, const struct row *row, size_t i, const int32_t *codes,
                     int32_t *lo, int32_t *hi)
{
    *lo = task->lo;
    *hi = task->hi;
    if (task->range) task->range(task->range_context, row->number, i, codes, lo, hi);
}

static double clamp(double x, int32_t lo, int32_t hi) { return x < lo ? lo : x > hi ? hi : x; }

static void errors(struct row *row, const int32_t *codes, size_t k)
{
    for (size_t i = 0; i < k; i++) row->e[i] = (double)row->w[i] - scale_at(row, i) * codes[i];
}

/* e'H e. */
static double loss_at(const struct row *row, size_t k)
{
    double loss = 0;
    for (size_t i = 0; i < k; i++) loss += row->e[i] * row->g[i];
    return loss;
}

/* g = H e, and the loss. */
static void gradients(const struct qn_form *form, struct row *rows, size_t count, double *loss)
{
    for (size_t r = 0; r < count; r++) memset(rows[r].g, 0, form->k * sizeof(double));
    for (size_t i = 0; i + 3 < form->k; i += 4)
        for (size_t r = 0; r < count; r++) add_four(rows[r].g, rows[r].e + i, form->h + i * form->k, form->k);
    for (size_t i = form->k / 4 * 4; i < form->k; i++)
        for (size_t r = 0; r < count; r++) add_scaled(rows[r].g, rows[r].e[i], form->h + i * form->k, form->k);
    for (size_t r = 0; r < count; r++) loss[r] = loss_at(&rows[r], form->k);
}

/* With H = L L' the loss is the sum over i of (sum over j >= i of L[j][i] e[j])^2: from the last variable on, each code is
 * rounded from where its own term would vanish. g collects the sums. */
static void round_along(const struct qn_form *form, const struct qn_form_rows *task, struct row *rows, size_t count)
{
    for (size_t r = 0; r < count; r++) {
        memset(rows[r].g, 0, form->k * sizeof(double));
        memcpy(rows[r].trial, rows[r].codes, form->k * sizeof(int32_t));
    }
    for (size_t i = form->k; i-- > 0;)
        for (size_t r = 0; r < count; r++) {
            struct row   *row = &rows[r];
            const double *l = form->factor + i * form->k;
            const double  s = scale_at(row, i);
            int32_t       lo, hi;
            range_of(task, row, i, row->trial, &lo, &hi);
            row->trial[i] = (int32_t)clamp(rint(((double)row->w[i] + row->g[i] / l[i]) / s), lo, hi);
            row->e[i] = (double)row->w[i] - s * row->trial[i];
            add_scaled(row->g, row->e[i], l, i);
        }
}

static void change(const struct qn_form *form, struct row *row, size_t i, int32_t by)
{
    const double s = scale_at(row, i);

    row->codes[i] += by;
    row->e[i] -= s * by;
    add_scaled(row->g, -s * by, form->h + i * form->k, form->k);
}

/* What changing code i by that much adds to the loss. */
static double effect(const struct qn_form *form, const struct row *row, size_t i, int32_t by)
{
    const double d = scale_at(row, i) * by;
    return d * d * form->h[i * form->k + i] - 2 * d * row->g[i];
}

static bool descend_singly(const struct qn_form *form, const struct qn_form_rows *task, struct row *row, double least)
{
    bool any = false;

    for (size_t i = 0; i < form->k; i++) {
        const double step = rint(row->g[i] / (scale_at(row, i) * form->h[i * form->k + i]));
        int32_t      lo, hi, by;
        if (step == 0) continue;
        range_of(task, row, i, row->codes, &lo, &hi);
        by = (int32_t)clamp(row->codes[i] + step, lo, hi) - row->codes[i];
        if (!by || !(effect(form, row, i, by) < -least)) continue;
        change(form, row, i, by);
        any = true;
    }
    return any;
}

/* The code i moves by one and, of all others that may then move by one, that which gains most with it. */
static bool descend_in_pairs(const struct qn_form *form, const struct qn_form_rows *task, struct row *row, double least)
{
    bool any = false;

    for (size_t i = 0; i < form->k; i++)
        for (int32_t by = -1; by <= 1; by += 2) {
            double  best = -least, first = effect(form, row, i, by);
            size_t  partner = form->k;
            int32_t lo, hi, with = 0;
            range_of(task, row, i, row->codes, &lo, &hi);
            if (row->codes[i] + by < lo || row->codes[i] + by > hi) continue;
            row->codes[i] += by;
            for (size_t j = 0; j < form->k; j++) {
                const double  cross = 2 * scale_at(row, i) * scale_at(row, j) * form->h[i * form->k + j];
                /* of the two directions that which lowers the loss more */
                const int32_t dir = scale_at(row, j) * row->g[j] * 2 - cross * by > 0 ? 1 : -1;
                const double  gain = first + effect(form, row, j, dir) + cross * by * dir;
                if (j == i || !(gain < best)) continue;
                range_of(task, row, j, row->codes, &lo, &hi);
                if (row->codes[j] + dir < lo || row->codes[j] + dir > hi) continue;
                best = gain;
                partner = j;
                with = dir;
            }
            row->codes[i] -= by;
            if (partner == form->k) continue;
            change(form, row, i, by);
            change(form, row, partner, with);
            any = true;
        }
    return any;
}

static void descend(const struct qn_form *form, const struct qn_form_rows *task, struct row *row, double loss)
{
    const double least = loss * 1e-6; /* below this it is not worth a sweep, nor sure in the arithmetic */

    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        bool any = descend_singly(form, task, row, least);
        if (!any && form->k <= PAIRS_UP_TO) any = descend_in_pairs(form, task, row, least);
        if (!any) break;
    }
}

/* The best scale for a block's codes: s + q'g / q'Hq. True when it changed. */
static bool refit_block(const struct qn_form *form, const struct qn_form_rows *task, struct row *row, size_t block,
                        double *room)
{
    const size_t k = form->k, first = row->shift < 63 ? block << row->shift : 0;
    const size_t end = row->shift < 63 && k - first > (size_t)1 << row->shift ? first + ((size_t)1 << row->shift) : k;
    const double before = row->s[block];
    double       along = 0, curve = 0;
    float        s;

    memset(room, 0, k * sizeof *room);
    for (size_t i = first; i + 3 < end; i += 4) {
        const double codes[4] = { row->codes[i], row->codes[i + 1], row->codes[i + 2], row->codes[i + 3] };
        add_four(room, codes, form->h + i * k, k);
    }
    for (size_t i = first + (end - first) / 4 * 4; i < end; i++) add_scaled(room, row->codes[i], form->h + i * k, k);
    for (size_t i = first; i < end; i++) {
        along += row->codes[i] * row->g[i];
        curve += row->codes[i] * room[i];
    }
    if (!(curve > 0)) return false;
    s = (float)((before + along / curve) * copysign(1, before)); /* its size: the sign stays */
    if (!(s >= task->least_scale[row->number])) s = task->least_scale[row->number];
    if (s != qn_scale_clamp(s) || copysign((double)s, before) == before) return false;
    row->s[block] = copysign((double)s, before);
    /* The old scale may be the limit's: then the new one is not the optimum, but on the way to it. */
    add_scaled(row->g, before - row->s[block], room, k);
    return true;
}

static bool refit(const struct qn_form *form, const struct qn_form_rows *task, struct row *row, double *room)
{
    bool any = false;

    for (size_t b = 0; b < row->blocks; b++) any |= refit_block(form, task, row, b, room);
    if (any) errors(row, row->codes, form->k);
    return any;
}

struct job {
    const struct qn_form      *form;
    const struct qn_form_rows *task;
    size_t                     blocks; /* of a row */
};

/* Codes along the factor, where those lose less. Leaves codes, errors and gradients that belong together. */
static void choose(const struct qn_form *form, const struct qn_form_rows *task, struct row *rows, size_t count,
                   const double *given, double *loss)
{
    round_along(form, task, rows, count);
    gradients(form, rows, count, loss);
    for (size_t r = 0; r < count; r++) {
        struct row *row = &rows[r];
        if (loss[r] < given[r]) {
            memcpy(row->codes, row->trial, form->k * sizeof(int32_t));
        } else {
            errors(row, row->codes, form->k);
            gradients(form, row, 1, &loss[r]);
        }
    }
}

static void work_batch(const struct job *job, struct row *rows, size_t count, double *room)
{
    const struct qn_form      *form = job->form;
    const struct qn_form_rows *task = job->task;
    double                     given[BATCH], loss[BATCH];

    for (size_t r = 0; r < count; r++) errors(&rows[r], rows[r].codes, form->k);
    gradients(form, rows, count, given);
    memcpy(loss, given, sizeof loss);
    if (!task->along) choose(form, task, rows, count, given, loss);
    for (size_t r = 0; r < count; r++) {
        struct row *row = &rows[r];
        descend(form, task, row, loss[r]);
        for (int i = 0; task->least_scale && i < REFITS && refit(form, task, row, room); i++)
            descend(form, task, row, loss[r]);
        for (size_t b = 0; b < job->blocks; b++) task->scale[row->number * job->blocks + b] = (float)row->s[b];
        task->given[row->number] = given[r];
        task->left[row->number] = loss_at(row, form->k);
    }
}

static qonnx_status do_batch(void *context, size_t index, int worker, qonnx_error *err)
{
    const struct job *job = context;
    const size_t      k = job->form->k, first = index * BATCH;
    const size_t      count = job->task->rows - first < BATCH ? job->task->rows - first : BATCH;
    const size_t      blocks = job->blocks;
    double           *room = calloc((2 * BATCH + 1) * k + BATCH * blocks + 1, sizeof *room);
    int32_t          *trial = calloc(BATCH * k + 1, sizeof *trial);
    struct row        rows[BATCH];

    (void)worker;
    for (size_t r = 0; room && trial && r < count; r++) {
        rows[r] = (struct row){ .number = first + r,
                                .w = job->task->w + (first + r) * k,
                                .codes = job->task->codes + (first + r) * k,
                                .trial = trial + r * k,
                                .s = room + (2 * BATCH + 1) * k + r * blocks,
                                .blocks = blocks,
                                .shift = job->task->block ? (unsigned)__builtin_ctzll(job->task->block) : 63,
                                .e = room + (1 + 2 * r) * k,
                                .g = room + (2 + 2 * r) * k };
        for (size_t b = 0; b < blocks; b++) rows[r].s[b] = (double)job->task->scale[(first + r) * blocks + b];
    }
    if (room && trial) work_batch(job, rows, count, room);
    free(trial);
    if (!room || !trial) {
        free(room);
        return qn_fail_nomem(err);
    }
    free(room);
    return QONNX_OK;
}

qonnx_status qn_form_round(const struct qn_form *form, const struct qn_form_rows *task, int threads, qonnx_error *err)
{
    struct job job = { form, task, task->block ? (form->k + task->block - 1) / task->block : 1 };
    return qn_parallel_for((task->rows + BATCH - 1) / BATCH, threads, do_batch, &job, err);
}

double qn_form_loss(const struct qn_form *form, const float *w, float scale, const int32_t *codes)
{
    double loss = 0;

    for (size_t i = 0; i < form->k; i++) {
        const double *row = form->h + i * form->k;
        double        sum = 0;
        for (size_t j = 0; j < form->k; j++) sum += row[j] * ((double)w[j] - (double)scale * codes[j]);
        loss += ((double)w[i] - (double)scale * codes[i]) * sum;
    }
    return loss;
}

float qn_form_search_scale(const struct qn_form *form, const float *w, float scale, int32_t lo, int32_t hi)
{
    enum { CANDIDATES = 24, OF = 40 };
    double best = INFINITY;
    float  found = scale;

    for (int c = 0; c < CANDIDATES; c++) {
        const float s = qn_scale_clamp(scale * (float)(OF - c) / (float)OF);
        double      loss = 0;
        for (size_t i = 0; i < form->k; i++) {
            const double e = (double)w[i] - (double)s * clamp(rint((double)w[i] / (double)s), lo, hi);
            loss += form->h[i * form->k + i] * e * e;
        }
        if (!(loss < best)) continue;
        best = loss;
        found = s;
    }
    return found;
}
