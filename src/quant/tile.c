/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/tile.h"

#include <string.h>

#include "quant/simd.h"

enum { LANES = QN_TILE_LANES, AHEAD = 2 /* rows */ };

struct qn_tile qn_tile_new(const struct qn_block_form *form)
{
    return (struct qn_tile){ .block = form->block, .half = 1 << (form->bits - 1), .most = (1 << form->bits) - 1 };
}

/* ---- weights ---- */

static const char *at(const struct qn_matrix *m, size_t output, size_t depth)
{
    return (const char *)m->w + (output * m->out_stride + depth * m->depth_stride) * sizeof(float);
}

/* Row after row as they follow each other in memory; rows are far apart, so the next one is asked for in time. */
static void load_rows(const struct qn_matrix *m, size_t output, size_t depth, size_t rows, size_t deep, size_t outputs,
                      float (*panel)[LANES])
{
    for (size_t k = 0; k < deep; k++) {
        const char *from = at(m, output, depth + k), *next = at(m, output, depth + (k + AHEAD < deep ? k + AHEAD : k));
        for (size_t n = 0; n < outputs; n += LANES) {
            for (size_t line = 0; line < LANES * sizeof(float) && outputs - n >= LANES; line += 64)
                __builtin_prefetch(next + n * sizeof(float) + line);
            memcpy(panel[n / LANES * rows + k], from + n * sizeof(float),
                   (outputs - n < LANES ? outputs - n : LANES) * sizeof(float));
        }
    }
}

/* Four outputs' weights become four rows' lanes. */
static void turn_four(const char *const *from, size_t k, float (*panel)[LANES], size_t lane)
{
    float w[4][4];

    for (size_t i = 0; i < 4; i++) memcpy(w[i], from[i] + k * sizeof(float), sizeof w[i]);
    for (size_t i = 0; i < 4; i++) {
        const float row[4] = { w[0][i], w[1][i], w[2][i], w[3][i] };
        memcpy(&panel[k + i][lane], row, sizeof row);
    }
}

/* Of one tile, whose outputs' weights are side by side. */
static void load_turned(const struct qn_matrix *m, size_t output, size_t depth, size_t deep, size_t outputs,
                        float (*panel)[LANES])
{
    enum { RUN = 32 };
    const size_t whole = outputs - outputs % 4;

    for (size_t first = 0; first < deep; first += RUN) {
        const size_t end = deep - first < RUN ? deep : first + RUN, fours = end - (end - first) % 4;
        for (size_t j = 0; j < outputs; j += j < whole ? 4 : 1) {
            const char *from[4] = { at(m, output + j, depth) };
            size_t      k = first;
            for (size_t i = 1; i < 4 && j < whole; i++) from[i] = from[0] + i * m->out_stride * sizeof(float);
            for (; j < whole && k < fours; k += 4) turn_four(from, k, panel, j);
            for (; k < end; k++)
                for (size_t i = 0; i < (j < whole ? 4 : 1); i++)
                    memcpy(&panel[k][j + i], from[i] + k * sizeof(float), sizeof(float));
        }
    }
}

void qn_tile_load(const struct qn_matrix *matrix, size_t output, size_t depth, size_t rows, size_t tiles,
                  float (*panel)[QN_TILE_LANES])
{
    const size_t deep = matrix->depth - depth < rows ? matrix->depth - depth : rows;
    const size_t outputs = matrix->outputs - output < tiles * LANES ? matrix->outputs - output : tiles * LANES;

    if (outputs < tiles * LANES || deep < rows) memset(panel, 0, tiles * rows * sizeof *panel);
    if (matrix->out_stride == 1) {
        load_rows(matrix, output, depth, rows, deep, outputs, panel);
        return;
    }
    for (size_t n = 0; n < outputs; n += LANES)
        load_turned(matrix, output + n, depth, deep, outputs - n < LANES ? outputs - n : LANES,
                    panel + n / LANES * rows);
}

/* ---- codes ---- */

QN_CLONES void qn_tile_pack_down(const uint8_t (*restrict codes)[QN_TILE_LANES], size_t rows, int bits, uint8_t flip,
                                 uint8_t (*restrict bytes)[QN_TILE_LANES])
{
    const uint8_t all = (uint8_t)(flip * (bits == 8 ? 1 : bits == 4 ? 0x11 : 0x55));
    const size_t  per = (size_t)(8 / bits);

    for (size_t k = 0; k < rows; k += per, bytes++) {
        const uint8_t *c = codes[k];
        if (per == 1)
            for (size_t j = 0; j < LANES; j++) (*bytes)[j] = c[j] ^ all;
        else if (per == 2)
            for (size_t j = 0; j < LANES; j++) (*bytes)[j] = (uint8_t)(c[j] | c[LANES + j] << 4) ^ all;
        else
            for (size_t j = 0; j < LANES; j++)
                (*bytes)[j] = (uint8_t)(c[j] | c[LANES + j] << 2 | c[2 * LANES + j] << 4 | c[3 * LANES + j] << 6) ^ all;
    }
}

/* As a shift of wider numbers, which compilers vectorize. */
QN_CLONES void qn_tile_pack_along(const uint8_t *codes, int bits, uint8_t flip, uint8_t *bytes)
{
    if (bits == 8) {
        for (size_t j = 0; j < LANES; j++) bytes[j] = codes[j] ^ flip;
    } else if (bits == 4) {
        const uint8_t both = (uint8_t)(flip | flip << 4);
        uint16_t      pairs[LANES / 2];
        memcpy(pairs, codes, sizeof pairs);
        for (size_t j = 0; j < LANES / 2; j++) bytes[j] = (uint8_t)(pairs[j] | pairs[j] >> 4) ^ both;
    } else {
        const uint8_t all = (uint8_t)(flip * 0x55);
        uint32_t      fours[LANES / 4];
        memcpy(fours, codes, sizeof fours);
        for (size_t j = 0; j < LANES / 4; j++)
            bytes[j] = (uint8_t)(fours[j] | fours[j] >> 6 | fours[j] >> 12 | fours[j] >> 18) ^ all;
    }
}

/* A perfect shuffle moves each byte to where its index turned by one bit says. */
QN_CLONES static void shuffle(const uint8_t *restrict from, size_t half, uint8_t *restrict to)
{
    for (size_t i = 0; i < half; i++) {
        to[2 * i] = from[i];
        to[2 * i + 1] = from[half + i];
    }
}

const uint8_t *qn_tile_turn(uint8_t (*bytes)[QN_TILE_LANES], size_t rows, uint8_t *other)
{
    uint8_t *from = bytes[0], *to = other, *swap;

    for (size_t left = rows; left > 1; left /= 2) {
        shuffle(from, rows * LANES / 2, to);
        swap = from;
        from = to;
        to = swap;
    }
    return from;
}
