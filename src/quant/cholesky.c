/* SPDX-License-Identifier: Apache-2.0
 * By blocks of columns, all as dot products of rows: rows are independent of each other, so they can be shared out. */
#include <math.h>

#include "base/pool.h"
#include "quant/form.h"
#include "quant/simd.h"

enum { BLOCK = 64, LANES = 8, ROWS = 32, WORTH_THREADS = 256 };

/* out[c] = a · b[c] for four rows b. The lanes, added in order, are what makes the sum the same everywhere. */
QN_CLONES static void dot4(const double *restrict a, const double *restrict b, size_t stride, size_t n,
                           double *restrict out)
{
    double       lane[4][LANES] = { { 0 } };
    const size_t whole = n - n % LANES;

    for (size_t i = 0; i < whole; i += LANES)
        for (size_t c = 0; c < 4; c++)
            for (size_t l = 0; l < LANES; l++) lane[c][l] += a[i + l] * b[c * stride + i + l];
    for (size_t c = 0; c < 4; c++) {
        double sum = 0;
        for (size_t l = 0; l < LANES; l++) sum += lane[c][l];
        for (size_t i = whole; i < n; i++) sum += a[i] * b[c * stride + i];
        out[c] = sum;
    }
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

struct job {
    double *a;
    size_t  n, first, end; /* the columns of this block */
    size_t  from;          /* first row of the step */
};

/* Takes the columns before the block out of some rows. */
static qonnx_status reduce_rows(void *context, size_t index, int worker, qonnx_error *err)
{
    const struct job *job = context;
    const size_t      begin = job->from + index * ROWS, end = begin + ROWS < job->n ? begin + ROWS : job->n;

    (void)worker;
    (void)err;
    for (size_t i = begin; i < end; i++) {
        double      *row = job->a + i * job->n;
        const size_t last = i + 1 < job->end ? i + 1 : job->end;
        for (size_t j = job->first; j < last; j += 4) {
            double sums[4];
            if (j + 4 <= job->n)
                dot4(row, job->a + j * job->n, job->n, job->first, sums);
            else
                for (size_t c = 0; j + c < last; c++) sums[c] = dot(row, job->a + (j + c) * job->n, job->first);
            for (size_t c = 0; c < 4 && j + c < last; c++) row[j + c] -= sums[c];
        }
    }
    return QONNX_OK;
}

static qonnx_status solve_rows(void *context, size_t index, int worker, qonnx_error *err)
{
    const struct job *job = context;
    const size_t      begin = job->from + index * ROWS, end = begin + ROWS < job->n ? begin + ROWS : job->n;

    (void)worker;
    (void)err;
    for (size_t i = begin; i < end; i++) {
        double *row = job->a + i * job->n;
        for (size_t j = job->first; j < job->end; j++) {
            const double *pivot = job->a + j * job->n;
            row[j] = (row[j] - dot(row + job->first, pivot + job->first, j - job->first)) / pivot[j];
        }
    }
    return QONNX_OK;
}

static void factor_block(const struct job *job, double floor)
{
    for (size_t i = job->first; i < job->end; i++) {
        double *row = job->a + i * job->n;
        double  rest;
        for (size_t j = job->first; j < i; j++) {
            const double *pivot = job->a + j * job->n;
            row[j] = (row[j] - dot(row + job->first, pivot + job->first, j - job->first)) / pivot[j];
        }
        rest = row[i] - dot(row + job->first, row + job->first, i - job->first);
        row[i] = sqrt(rest > floor ? rest : floor);
    }
}

static qonnx_status over_rows(struct job *job, size_t from, qn_work_fn work, int threads, qonnx_error *err)
{
    job->from = from;
    return qn_parallel_for((job->n - from + ROWS - 1) / ROWS, job->n < WORTH_THREADS ? 1 : threads, work, job, err);
}

qonnx_status qn_cholesky(double *a, size_t n, int threads, qonnx_error *err)
{
    struct job job = { .a = a, .n = n };
    double     largest = 0;

    for (size_t i = 0; i < n; i++) largest = fmax(largest, a[i * n + i]);
    if (largest <= 0) largest = 1;
    for (job.first = 0; job.first < n; job.first = job.end) {
        job.end = job.first + BLOCK < n ? job.first + BLOCK : n;
        QN_TRY(over_rows(&job, job.first, reduce_rows, threads, err));
        factor_block(&job, largest * 0x1p-40);
        QN_TRY(over_rows(&job, job.end, solve_rows, threads, err));
    }
    return QONNX_OK;
}
