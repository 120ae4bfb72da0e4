/* SPDX-License-Identifier: Apache-2.0
 * Weights that no sum of two products saturates.
 *
 * x86 processors without VNNI multiply unsigned 8-bit inputs by signed 8-bit weights and add the products of neighbours
 * in 16 bits, which saturate. Neighbours are positions 2i and 2i + 1 of an output's weights in the order in which kernels
 * go through them: tap by tap, and channel by channel in each. With m the largest code that an input channel takes and S
 * the largest sum that two of them take in one place, no input is beyond the corners (m1, S - m1) and (S - m2, m2). All is
 * well when at both the positive codes of each pair make at most 32767 and the negative ones at least -32768. Where
 * weights as they are would break that, either the output's scale grows a little or the codes of the pair are chosen anew,
 * whichever costs the output less. */
#ifndef QN_QUANT_PAIR_SAFE_H
#define QN_QUANT_PAIR_SAFE_H

#include "quant/pack.h"

/* A weight tensor as products of matrices: the weight of output o, tap t (a place in the kernel of a convolution) and
 * channel c of o's group is at o * out_stride + t * tap_stride + c * in_stride. */
struct qn_products {
    size_t outputs, groups, taps, channels; /* channels: of one group's input */
    size_t out_stride, tap_stride, in_stride;
};

/* The first of the input's channels that output o reads. */
static inline size_t qn_products_first_channel(const struct qn_products *p, size_t o)
{
    return o / (p->outputs / p->groups) * p->channels;
}

/* What a layer's input can be, by channel, in unsigned codes. */
struct qn_pair_inputs {
    const uint8_t  *most; /* the largest */
    const uint16_t *both; /* of even channels: the largest sum with the neighbour behind; NULL: not known */
};

/* Those from a channel on: of one group. */
static inline struct qn_pair_inputs qn_pair_inputs_from(const struct qn_pair_inputs *inputs, size_t channel)
{
    return (struct qn_pair_inputs){ inputs->most + channel, inputs->both ? inputs->both + channel : NULL };
}

/* The corners of what the inputs of a pair can be: first and second input, twice. `together`: in one place. */
struct qn_pair_corners {
    int32_t first[2], second[2];
};
struct qn_pair_corners qn_pair_corners(const struct qn_pair_inputs *inputs, size_t first, size_t second, bool together);

struct qn_pair_task {
    const float          *w;
    struct qn_products    products;
    struct qn_pair_inputs inputs;
    const float          *importance; /* by channel of the input: what the square of a weight's error costs; > 0 */
    float                *scale;      /* of the codes -hi … hi: one for each output, or one for all */
    size_t                scale_count;
    int32_t               hi;
    bool                 *tight; /* by output: made by qn_pair_scales, read by qn_pair_codes */
};

/* Raises scales where that costs less than moving codes would; returns in *raised how many, and in *tight how many
 * outputs have pairs whose codes are to be looked at. With none nearest codes are safe. */
QONNX_MUST_CHECK qonnx_status qn_pair_scales(const struct qn_pair_task *task, size_t *raised, size_t *tight,
                                             int threads, qonnx_error *err);

/* Makes nearest codes (one in a byte, in the tensor's order) safe: those of each pair that is not become the ones that
 * are and cost least. `scale` may have grown since. *moved counts them, *cost is what they cost more than nearest ones. */
QONNX_MUST_CHECK qonnx_status qn_pair_codes(const struct qn_pair_task *task, int8_t *codes, size_t *moved, double *cost,
                                            int threads, qonnx_error *err);

/* What one code may be while its neighbour is what it is: for methods that change codes one by one. i counts one output's
 * weights channel by channel, and tap by tap in each. */
struct qn_pair_limits {
    size_t                taps, channels;
    struct qn_pair_inputs inputs; /* of the group's channels */
};
void qn_pair_code_range(const void *limits, size_t row, size_t i, const int32_t *codes, int32_t *lo, int32_t *hi);

#endif
