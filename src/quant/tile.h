/* SPDX-License-Identifier: Apache-2.0
 * One block of QN_TILE_LANES outputs: all that is found of a block is found in its lane, so that outputs are worked on side
 * by side whatever instruction set there is, and every lane does the same arithmetic in the same order. */
#ifndef QN_QUANT_TILE_H
#define QN_QUANT_TILE_H

#include "quant/blocks.h"

enum { QN_TILE_LANES = 64, QN_PANEL = 1 << 17 /* floats, which fit a core's cache */ };

struct qn_tile {
    size_t  block, deep; /* rows, and how many of them hold weights: the rest are zeros */
    int32_t half, most;  /* codes */
    const float (*x)[QN_TILE_LANES];
    const float *weight; /* of errors, by row; NULL: all alike */
};

/* By lane. */
struct qn_lanes {
    float scale[QN_TILE_LANES], zero[QN_TILE_LANES], error[QN_TILE_LANES];
};

struct qn_tile qn_tile_new(const struct qn_block_form *form);

/* The parameters that the form asks for. */
void qn_tile_params(const struct qn_tile *tile, const struct qn_block_form *form, struct qn_lanes *lanes);
/* The codes of all rows, and what they lose. */
void qn_tile_codes(const struct qn_tile *tile, const struct qn_lanes *lanes, uint8_t (*codes)[QN_TILE_LANES],
                   struct qn_error_sums *sums);

/* ---- where weights and codes lie ---- */

/* Rows of depth from `depth` on, of so many tiles of outputs from `output` on: row k of tile i is panel[i * rows + k].
 * Outputs and depths that there are none of are zeros. */
void           qn_tile_load(const struct qn_matrix *matrix, size_t output, size_t depth, size_t rows, size_t tiles,
                            float (*panel)[QN_TILE_LANES]);
/* Codes of `rows` rows, a multiple of 8, to bytes: each is of neighbouring rows of a lane, the first in its low bits. */
void           qn_tile_pack_down(const uint8_t (*codes)[QN_TILE_LANES], size_t rows, int bits, uint8_t flip,
                                 uint8_t (*bytes)[QN_TILE_LANES]);
/* The same of neighbouring lanes of one row. */
void           qn_tile_pack_along(const uint8_t *codes, int bits, uint8_t flip, uint8_t *bytes);
/* Rows of bytes, a power of 2 of them and at most QN_BLOCK_MOST, to those of each lane side by side. Both are worked on. */
const uint8_t *qn_tile_turn(uint8_t (*bytes)[QN_TILE_LANES], size_t rows, uint8_t *other);

#endif
