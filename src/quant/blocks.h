/* SPDX-License-Identifier: Apache-2.0
 * Weights of matrices in blocks: each `block` neighbouring weights of an output have a scale of their own, and with
 * `symmetric` off a zero point. Codes are unsigned, 0 … 2^bits - 1, value = (code - zero) * scale; symmetric ones have
 * the middle code for zero, and a scale that is negative where the largest magnitude is positive, so that it is met
 * exactly by the lowest code.
 *
 * All of it is pure: a range of outputs or of blocks depends on nothing but its own weights, so that it can be made when
 * it is written, in any order and by any thread. */
#ifndef QN_QUANT_BLOCKS_H
#define QN_QUANT_BLOCKS_H

#include <stdbool.h>

#include "quant/pack.h"
#include "quant/weight_range.h"

enum { QN_BLOCK_LEAST = 16, QN_BLOCK_MOST = 256 };

struct qn_block_form {
    int                  bits; /* 2, 4 or 8 */
    bool                 symmetric;
    size_t               block; /* QN_BLOCK_LEAST … QN_BLOCK_MOST */
    enum qn_weight_range how;
};
bool qn_block_form_same(const struct qn_block_form *a, const struct qn_block_form *b);

/* Parameters [outputs][blocks] (zero points one a byte; NULL: symmetric) and packed codes of an output in whole blocks. */
struct qn_block_found {
    const float   *scale;
    const uint8_t *zero, *codes;
};

/* Outputs of `depth` weights each; strides in elements. */
struct qn_matrix {
    const void           *w; /* floats, aligned or not */
    size_t                outputs, depth, out_stride, depth_stride;
    const float          *importance; /* by depth: of the square of a weight's error; NULL: all alike */
    struct qn_block_found found;      /* what was found before; without codes: they are the nearest */
};

/* Where codes lie (element (output, depth) at output * out_stride + depth * depth_stride, one of the strides is 1), and
 * parameters likewise by block. With `pads`, each output has whole blocks. */
struct qn_block_place {
    size_t out_stride, depth_stride, param_out_stride, param_block_stride;
    bool   pads;
};

/* Blocks of an output. */
size_t qn_block_count(const struct qn_matrix *matrix, const struct qn_block_form *form);

/* Bytes of the packed codes of an output in whole blocks. */
size_t qn_block_row_bytes(const struct qn_matrix *matrix, const struct qn_block_form *form);

/* How a matrix is cut: bytes of codes in a unit, and parts of a unit, which may be made side by side. */
struct qn_block_cut {
    size_t unit, parts, pieces; /* all parts of all units */
};
struct qn_block_cut qn_block_cut(const struct qn_matrix *matrix, const struct qn_block_form *form,
                                 struct qn_block_place place);

/* Where the parameters of a whole matrix go. */
struct qn_block_params_to {
    float   *scale;
    uint8_t *zero;      /* NULL: symmetric */
    int      zero_bits; /* each takes so many, of a byte that others share; 8: a byte */
    size_t   zero_row; /* bytes from those of an output to those of the next; 0: they follow each other, as scales do */
};

/* Parameters and codes of a piece. Codes are packed in the order of `place`, each XORed with `flip` (the highest bit of a
 * code makes unsigned ones around the middle signed ones); `bytes` are those of the unit. What they lose, unless they
 * were found before, is added to *sums. On this thread. */
QONNX_MUST_CHECK qonnx_status qn_block_make(const struct qn_matrix *matrix, const struct qn_block_form *form,
                                            struct qn_block_place place, uint8_t flip, size_t unit, size_t part,
                                            uint8_t *bytes, struct qn_block_params_to to, struct qn_error_sums *sums,
                                            qonnx_error *err);
/* The parameters alone (zero points one a byte) of a whole matrix, and what codes lose by them. Pieces are made in
 * parallel; the results do not depend on that. */
QONNX_MUST_CHECK qonnx_status qn_block_params(const struct qn_matrix *matrix, const struct qn_block_form *form,
                                              struct qn_block_place place, float *scale, uint8_t *zero,
                                              struct qn_error_sums *sums, int threads, qonnx_error *err);

/* Codes of 2, 4 or 8 bits, one a byte, to bytes, the first in the low bits; the last byte is padded with zeros. */
void qn_block_pack_bytes(int bits, const uint8_t *codes, size_t count, uint8_t flip, uint8_t *bytes);

#endif
