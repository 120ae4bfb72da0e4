/* SPDX-License-Identifier: Apache-2.0
 * The Gram matrix of a layer's input: the sum of x x' over the rows x that the layer multiplies its weights by.
 *
 * The rows are held as 12-bit integers, so the sums are exact: they do not depend on the order in which samples come,
 * on the number of threads or on the instruction set, and Gram matrices of shards add up to that of the whole. On
 * processors with 16-bit multiply-add this is also faster than the float routine of a BLAS library. */
#ifndef QN_QUANT_GRAM_H
#define QN_QUANT_GRAM_H

#include <pthread.h>

#include "base/status.h"
#include "quant/window.h"

enum { QN_GRAM_STEPS = 2047, QN_GRAM_LOCKS = 8 };

struct qn_gram {
    struct qn_window window;
    size_t           k, padded, groups;
    float            step;   /* what one unit stands for */
    size_t           most;   /* rows taken of one tensor */
    uint64_t         rows;   /* taken */
    int64_t         *sums;   /* [groups][padded][padded], the lower half */
    int64_t         *totals; /* [groups][padded] */
    pthread_mutex_t  locks[QN_GRAM_LOCKS];
};

/* Bytes that one holds; SIZE_MAX when that is too many to count. */
size_t                        qn_gram_bytes(const struct qn_window *window);
/* An empty one for inputs of magnitudes up to absmax, larger ones count as that. Of each tensor at most `most` rows are
 * taken, evenly spaced. Release when done, not after a failure. */
QONNX_MUST_CHECK qonnx_status qn_gram_init(struct qn_gram *gram, const struct qn_window *window, float absmax,
                                           size_t most, qonnx_error *err);
void                          qn_gram_release(struct qn_gram *gram);

/* Room for one thread; zero-initialise. */
struct qn_gram_room {
    int16_t *codes;
    int64_t *places;
    size_t   codes_count, places_count;
};
void qn_gram_room_release(struct qn_gram_room *room);

/* The rows of one tensor; which ones are taken depends on the sample's number. Several threads may add at once. Tensors
 * that do not fit the window are passed over. */
QONNX_MUST_CHECK qonnx_status qn_gram_add(struct qn_gram *gram, struct qn_gram_room *room, const float *x, int rank,
                                          const int64_t *dims, size_t sample, qonnx_error *err);

/* Means over the rows of x[i] x[j], for j <= i, and of x[i]; 0 without any row. */
double qn_gram_at(const struct qn_gram *gram, size_t group, size_t i, size_t j);
double qn_gram_mean(const struct qn_gram *gram, size_t group, size_t i);

#endif
