/* SPDX-License-Identifier: Apache-2.0
 * Which elements of its input a layer multiplies its weights by: a matrix with a row for each output position and, in
 * the order of the weights, a column for each input channel and place in the kernel. */
#ifndef QN_QUANT_WINDOW_H
#define QN_QUANT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QN_WINDOW_DIMS = 3 };

enum qn_window_pad { QN_PAD_GIVEN, QN_PAD_SAME_UPPER, QN_PAD_SAME_LOWER };

/* dims = 0: a matrix product, the last axis holds the `channels` columns, or, with `width` of them, these from `first`
 * on. Else a convolution over [batch, groups ×
 * channels, dims…]. */
struct qn_window {
    int                dims;
    size_t             groups, channels; /* of one group */
    size_t             first, width;     /* width 0: there are no others */
    enum qn_window_pad pad;
    int64_t            kernel[QN_WINDOW_DIMS], stride[QN_WINDOW_DIMS], dilation[QN_WINDOW_DIMS];
    int64_t            before[QN_WINDOW_DIMS], after[QN_WINDOW_DIMS]; /* of padding, when given */
};

bool qn_window_same(const struct qn_window *a, const struct qn_window *b);
/* Places of the kernel, and columns of one group; 0 when the numbers make no sense. */
size_t qn_window_taps(const struct qn_window *window);
size_t qn_window_columns(const struct qn_window *window);

/* The window over one tensor. */
struct qn_positions {
    const struct qn_window *window;
    size_t                  rows;
    size_t                  channel_stride; /* elements from one channel to the next */
    int64_t                 in[QN_WINDOW_DIMS], out[QN_WINDOW_DIMS], before[QN_WINDOW_DIMS];
    size_t                  batch_stride;
};
/* False when the tensor does not fit. */
bool qn_window_over(const struct qn_window *window, int rank, const int64_t *dims, struct qn_positions *positions);
/* For each place of the kernel the index of the element that the row has there in channel 0, -1 in the padding. places
 * has room for qn_window_taps(), `apart` entries from one to the next. */
void qn_window_places(const struct qn_positions *positions, size_t row, int64_t *places, size_t apart);

#endif
