/* SPDX-License-Identifier: Apache-2.0
 * Rounding weights so that a layer's output, not each weight, keeps most.
 *
 * With H the sum of x x' over the rows x that a layer multiplies its weights by, an output channel with the weights w
 * and the codes q of scale s loses (w - s q)' H (w - s q). Codes are chosen one by one, each making up for the rounding
 * of those before it (the triangular factor of H says by how much), then changed singly and in pairs as long as that
 * lowers the loss, and the scale is the best one for the codes. Each row is worked on alone and every sum has its fixed
 * order, so the codes depend neither on the number of threads nor on the instruction set. */
#ifndef QN_QUANT_FORM_H
#define QN_QUANT_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct qn_gram;

/* H, whole, and its factor L with H = L L', of which the lower half counts. */
struct qn_form {
    size_t  k;
    double *h, *factor;
};

/* From the Gram matrix of one group. `centred`: the mean of the output is made good elsewhere (in the bias), so that only
 * the deviations from it count. `damping` times the mean of the diagonal is added to it: what was seen little of is not
 * free. Variables that were always zero count for themselves alone. Release when done, not after a failure. */
QONNX_MUST_CHECK qonnx_status qn_form_init(struct qn_form *form, const struct qn_gram *gram, size_t group, bool centred,
                                           double damping, int threads, qonnx_error *err);
/* The same from a symmetric matrix. */
QONNX_MUST_CHECK qonnx_status qn_form_init_matrix(struct qn_form *form, const double *matrix, size_t k, double damping,
                                                  int threads, qonnx_error *err);
void                          qn_form_release(struct qn_form *form);
/* What codes lose. */
double qn_form_loss(const struct qn_form *form, const float *w, float scale, const int32_t *codes);

/* Narrows lo … hi, which code i of a row may take while the others are as they are. It always leaves the present one. */
typedef void (*qn_code_range_fn)(const void *context, size_t row, size_t i, const int32_t *codes, int32_t *lo,
                                 int32_t *hi);

struct qn_form_rows {
    size_t           rows;
    const float     *w;     /* [rows][k] */
    int32_t         *codes; /* [rows][k]: allowed ones to start from, and the result */
    size_t           block; /* a power of two: so many codes of a row share a scale; 0: all do */
    float           *scale; /* [rows][blocks]; of any sign, which stays */
    int32_t          lo, hi;
    qn_code_range_fn range; /* NULL: lo … hi is all there is to it */
    const void      *range_context;
    bool             along; /* the codes make up for each other already: they are only to be changed */
    /* Scales may change: by row the least sizes that they may become; NULL leaves them as they are. */
    const float     *least_scale;
    double          *given, *left; /* by row: what the first and the last codes lose */
};

/* Never loses more, by the form, than the codes it was given. */
QONNX_MUST_CHECK qonnx_status qn_form_round(const struct qn_form *form, const struct qn_form_rows *task, int threads,
                                            qonnx_error *err);

/* The scale with which nearest codes of lo … hi lose least when each variable counts for itself: for few bits, where
 * covering the largest weight costs more than cutting it off. */
float qn_form_search_scale(const struct qn_form *form, const float *w, float scale, int32_t lo, int32_t hi);

/* In place: the lower half of a symmetric positive definite matrix to its factor L. Pivots are kept above a 2^-40th of the
 * largest diagonal element. */
QONNX_MUST_CHECK qonnx_status qn_cholesky(double *a, size_t n, int threads, qonnx_error *err);

#endif
