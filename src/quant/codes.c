/* SPDX-License-Identifier: Apache-2.0
 * Float to codes and back. A tensor is cut into pieces of a fixed size for the threads, a piece into runs that either
 * share one scale or walk along the scales (channels innermost); each kernel does one run. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "quant/pack.h"
#include "quant/simd.h"

/* PIECE is the unit of work and of partial sums, so it must not depend on the number of threads. */
enum { PIECE = 1 << 16, WORTH_THREADS = 1 << 18, SMALL = 256, LANES = 64 };

#define INLINE static inline __attribute__((always_inline))

/* x in steps, with the zero point. Clamping comes last and its comparisons send NaN to the lowest code. */
INLINE float to_steps(float x, float scale, float zero_point, enum qn_rounding rounding)
{
    if (rounding == QN_ROUND_THEN_SHIFT) return rintf(x / scale) + zero_point;
    return rintf(x / scale + zero_point);
}

/* Codes of up to 16 bits are exact in float. */
INLINE int32_t narrow_code(float x, float scale, int32_t zero_point, int32_t lo, int32_t hi, enum qn_rounding rounding)
{
    const float steps = to_steps(x, scale, (float)zero_point, rounding);
    const float raised = steps > (float)lo ? steps : (float)lo;
    return (int32_t)(raised < (float)hi ? raised : (float)hi);
}

/* 32-bit codes are not: the zero point is added and the limits are applied in double. */
INLINE int32_t wide_code(float x, float scale, int32_t zero_point, int32_t lo, int32_t hi, enum qn_rounding rounding)
{
    const double steps = rounding == QN_ROUND_THEN_SHIFT ? (double)rintf(x / scale) + zero_point
                                                         : (double)rintf(x / scale + (float)zero_point);
    const double raised = steps > lo ? steps : lo;
    return (int32_t)(raised < hi ? raised : hi);
}

INLINE float narrow_value(int32_t code, float scale, int32_t zero_point) { return (float)(code - zero_point) * scale; }
INLINE float wide_value(int32_t code, float scale, int32_t zero_point)
{
    return (float)((double)code - zero_point) * scale;
}

/* One run of n elements. `scale` and `zero_point` have one entry (run_…) or n (walk_…). */
typedef void (*quantize_fn)(const float *x, size_t n, const float *scale, const int32_t *zero_point, int32_t lo,
                            int32_t hi, void *codes);
typedef void (*dequantize_fn)(const void *codes, size_t n, const float *scale, const int32_t *zero_point, float *x);

#define QUANTIZE(name, T, code, rounding, i_of)                                                                        \
    QN_CLONES static void name(const float *restrict x, size_t             n, const float *restrict scale,             \
                               const int32_t *restrict zero_point, int32_t lo, int32_t hi, void *restrict codes)       \
    {                                                                                                                  \
        T *restrict out = codes;                                                                                       \
        for (size_t i = 0; i < n; i++) out[i] = (T)code(x[i], scale[i_of], zero_point[i_of], lo, hi, rounding);        \
    }
#define DEQUANTIZE(name, T, value, i_of)                                                                               \
    QN_CLONES static void name(const void *restrict codes, size_t n, const float *restrict scale,                      \
                               const int32_t *restrict zero_point, float *restrict x)                                  \
    {                                                                                                                  \
        const T *restrict in = codes;                                                                                  \
        for (size_t i = 0; i < n; i++) x[i] = value(in[i], scale[i_of], zero_point[i_of]);                             \
    }
#define KERNELS(T, width)                                                                                              \
    QUANTIZE(run_##T, T, width##_code, QN_ROUND_THEN_SHIFT, 0)                                                         \
    QUANTIZE(walk_##T, T, width##_code, QN_ROUND_THEN_SHIFT, i)                                                        \
    QUANTIZE(run_shift_##T, T, width##_code, QN_SHIFT_THEN_ROUND, 0)                                                   \
    QUANTIZE(walk_shift_##T, T, width##_code, QN_SHIFT_THEN_ROUND, i)                                                  \
    DEQUANTIZE(run_back_##T, T, width##_value, 0)                                                                      \
    DEQUANTIZE(walk_back_##T, T, width##_value, i)

KERNELS(int8_t, narrow)
KERNELS(uint8_t, narrow)
KERNELS(int16_t, narrow)
KERNELS(uint16_t, narrow)
KERNELS(int32_t, wide)

struct kernels {
    quantize_fn   quantize[2][2]; /* by rounding, then 1 when the scale changes along the run */
    dequantize_fn dequantize[2];
};
#define ROW(T)                                                                                                         \
    {                                                                                                                  \
        { { run_##T, walk_##T }, { run_shift_##T, walk_shift_##T } }, { run_back_##T, walk_back_##T }                  \
    }

static const struct kernels *kernels_for(const struct qn_qtype *type)
{
    static const struct kernels by_type[2][3] = { { ROW(uint8_t), ROW(uint16_t), { { { 0 } }, { 0 } } },
                                                  { ROW(int8_t), ROW(int16_t), ROW(int32_t) } };
    return &by_type[type->is_signed][type->code_size / 2];
}

/* Sums in many lanes, for the reasons given in kernels.c. */
struct lanes {
    double signal[LANES], noise[LANES];
};

struct job {
    const float             *x;
    char                    *codes;
    float                   *back;
    struct qn_layout         layout;
    size_t                   total, first; /* elements; and the place in the tensor of the one at 0 */
    const struct qn_qparams *qp;
    quantize_fn              quantize[2];
    dequantize_fn            dequantize[2];
    struct qn_error_sums    *sums; /* one a piece */
    /* Does n elements from `at` on, whose scales start at slot `first`; walks: they change with each element. */
    void (*run)(const struct job *job, size_t at, size_t n, size_t first, int walks, struct lanes *lanes);
};

static qonnx_status do_piece(void *context, size_t index, int worker, qonnx_error *err)
{
    const struct job *job = context;
    const size_t      channels = job->layout.channels, inner = job->layout.inner, start = index * PIECE;
    const size_t      end = job->total - start < PIECE ? job->total : start + PIECE;
    struct lanes      lanes = { { 0 }, { 0 } };

    (void)worker, (void)err;
    for (size_t at = start, n; at < end; at += n) {
        n = end - at;
        if (job->qp->count == 1) {
            job->run(job, at, n, 0, 0, &lanes);
        } else if (inner == 1) {
            const size_t channel = (at + job->first) % channels;
            if (n > channels - channel) n = channels - channel;
            job->run(job, at, n, channel, 1, &lanes);
        } else {
            const size_t place = at + job->first;
            if (n > inner - place % inner) n = inner - place % inner;
            job->run(job, at, n, place / inner % channels, 0, &lanes);
        }
    }
    for (int j = 0; job->sums && j < LANES; j++) {
        job->sums[index].signal += lanes.signal[j];
        job->sums[index].noise += lanes.noise[j];
    }
    return QONNX_OK;
}

static qonnx_status run_job(struct job *job, int threads, qonnx_error *err)
{
    const size_t pieces = job->total / PIECE + (job->total % PIECE != 0);
    return qn_parallel_for(pieces, job->total < WORTH_THREADS ? 1 : threads, do_piece, job, err);
}

static qonnx_status start_job(struct job *job, struct qn_layout layout, const struct qn_qparams *qp,
                              enum qn_rounding rounding, qonnx_error *err)
{
    const struct kernels *kernels = kernels_for(qp->type);

    if (qp->count != 1 && qp->count != layout.channels)
        return qn_fail(err, QONNX_E_INTERNAL, "%zu scales for %zu channels", qp->count, layout.channels);
    job->layout = layout;
    job->total = qn_layout_count(layout);
    job->qp = qp;
    for (int walks = 0; walks < 2; walks++) {
        job->quantize[walks] = kernels->quantize[rounding][walks];
        job->dequantize[walks] = kernels->dequantize[walks];
    }
    return QONNX_OK;
}

static void quantize_run(const struct job *job, size_t at, size_t n, size_t first, int walks, struct lanes *lanes)
{
    const struct qn_qparams *qp = job->qp;

    (void)lanes;
    job->quantize[walks](job->x + at, n, qp->scale + first, qp->zero_point + first, qp->lo, qp->hi,
                         job->codes + at * qp->type->code_size);
}

static void dequantize_run(const struct job *job, size_t at, size_t n, size_t first, int walks, struct lanes *lanes)
{
    const struct qn_qparams *qp = job->qp;

    (void)lanes;
    job->dequantize[walks](job->codes + at * qp->type->code_size, n, qp->scale + first, qp->zero_point + first,
                           job->back + at);
}

/* Leaves NaN and infinities out of both arrays and fills them up with zeros to whole lanes. */
QN_CLONES static size_t keep_finite(float *x, float *back, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const bool finite = fabsf(x[i]) < INFINITY;
        back[i] = finite ? back[i] : 0.0f;
        x[i] = finite ? x[i] : 0.0f;
    }
    for (; n % LANES; n++) x[n] = back[n] = 0;
    return n;
}

QN_CLONES static void add_errors(const float *restrict x, const float *restrict back, size_t n,
                                 struct lanes *restrict lanes)
{
    for (size_t i = 0; i < n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            const double value = x[i + j], error = value - (double)back[i + j];
            lanes->signal[j] += value * value;
            lanes->noise[j] += error * error;
        }
    }
}

static void error_run(const struct job *job, size_t at, size_t n, size_t first, int walks, struct lanes *lanes)
{
    const struct qn_qparams *qp = job->qp;
    int32_t                  codes[SMALL];
    float                    x[SMALL], back[SMALL];

    for (size_t done = 0, some; done < n; done += some) {
        const size_t slot = walks ? first + done : first;
        some = n - done < SMALL ? n - done : SMALL;
        memcpy(x, job->x + at + done, some * sizeof *x);
        if (job->codes)
            memcpy(codes, job->codes + (at + done) * qp->type->code_size, some * qp->type->code_size);
        else
            job->quantize[walks](x, some, qp->scale + slot, qp->zero_point + slot, qp->lo, qp->hi, codes);
        job->dequantize[walks](codes, some, qp->scale + slot, qp->zero_point + slot, back);
        add_errors(x, back, keep_finite(x, back, some), lanes);
    }
}

qonnx_status qn_quantize(const float *x, struct qn_layout layout, const struct qn_qparams *qp,
                         enum qn_rounding rounding, void *codes, int threads, qonnx_error *err)
{
    struct job job = { .x = x, .codes = codes, .run = quantize_run };
    QN_TRY(start_job(&job, layout, qp, rounding, err));
    return run_job(&job, threads, err);
}

qonnx_status qn_quantize_part(const float *x, size_t first, size_t count, struct qn_layout layout,
                              const struct qn_qparams *qp, enum qn_rounding rounding, void *codes, qonnx_error *err)
{
    struct job job = { .x = x, .codes = codes, .run = quantize_run };
    QN_TRY(start_job(&job, layout, qp, rounding, err));
    job.first = first;
    job.total = count;
    return run_job(&job, 1, err);
}

qonnx_status qn_dequantize(const void *codes, struct qn_layout layout, const struct qn_qparams *qp, float *x,
                           int threads, qonnx_error *err)
{
    struct job job = { .codes = (char *)(uintptr_t)codes, .back = x, .run = dequantize_run };
    QN_TRY(start_job(&job, layout, qp, QN_ROUND_THEN_SHIFT, err));
    return run_job(&job, threads, err);
}

static qonnx_status sum_errors(struct job *job, struct qn_error_sums *sums, int threads, qonnx_error *err)
{
    struct qn_error_sums result = { 0, 0 }, few[2] = { { 0, 0 } };
    size_t               pieces = job->total / PIECE + 1;
    qonnx_status         status;

    job->sums = pieces <= 2 ? few : calloc(pieces, sizeof *job->sums);
    if (!job->sums) return qn_fail_nomem(err);
    status = run_job(job, threads, err);
    for (size_t i = 0; i < pieces; i++) {
        result.signal += job->sums[i].signal;
        result.noise += job->sums[i].noise;
    }
    if (job->sums != few) free(job->sums);
    if (status == QONNX_OK) *sums = result;
    return status;
}

qonnx_status qn_quantization_error(const float *x, struct qn_layout layout, const struct qn_qparams *qp,
                                   const void *codes, struct qn_error_sums *sums, int threads, qonnx_error *err)
{
    struct job job = { .x = x, .codes = (char *)(uintptr_t)codes, .run = error_run };

    QN_TRY(start_job(&job, layout, qp, QN_ROUND_THEN_SHIFT, err));
    return sum_errors(&job, sums, threads, err);
}

qonnx_status qn_quantization_error_part(const float *x, size_t first, size_t count, struct qn_layout layout,
                                        const struct qn_qparams *qp, const void *codes, struct qn_error_sums *sums,
                                        qonnx_error *err)
{
    struct job job = { .x = x, .codes = (char *)(uintptr_t)codes, .run = error_run };

    QN_TRY(start_job(&job, layout, qp, QN_ROUND_THEN_SHIFT, err));
    job.first = first;
    job.total = count;
    return sum_errors(&job, sums, 1, err);
}

double qn_sqnr_db(struct qn_error_sums sums)
{
    double db;

    if (!(sums.noise > 0)) return QN_SQNR_MAX;
    if (!(sums.signal > 0)) return -QN_SQNR_MAX;
    db = 10 * (log10(sums.signal) - log10(sums.noise));
    return fmin(fmax(db, -QN_SQNR_MAX), QN_SQNR_MAX);
}
