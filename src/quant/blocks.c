/* SPDX-License-Identifier: Apache-2.0
 * Matrices are cut so that the bytes of a piece follow each other in memory, and so that weights are read as they do. */
#include "quant/blocks.h"

#include <string.h>

#include "base/pool.h"
#include "quant/tile.h"

enum {
    LANES = QN_TILE_LANES,
    PIECE = 1 << 19,  /* weights */
    STRIP = 16 << 20, /* bytes of codes that are made at once where those of an output are spread over all weights */
    LINE = 64,        /* bytes of codes that are written to an output at once: what memory moves */
    WORTH_THREADS = 1 << 16,
};

bool qn_block_form_same(const struct qn_block_form *a, const struct qn_block_form *b)
{
    return a->bits == b->bits && a->symmetric == b->symmetric && a->block == b->block && a->how == b->how;
}

size_t qn_block_count(const struct qn_matrix *matrix, const struct qn_block_form *form)
{
    return matrix->depth / form->block + (matrix->depth % form->block != 0);
}

void qn_block_pack_bytes(int bits, const uint8_t *codes, size_t count, uint8_t flip, uint8_t *bytes)
{
    const size_t per = (size_t)(8 / bits), whole = count / per;

    if (per == 1) {
        for (size_t i = 0; i < count; i++) bytes[i] = codes[i] ^ flip;
    } else if (per == 2) {
        for (size_t i = 0; i < whole; i++) bytes[i] = (uint8_t)((codes[2 * i] ^ flip) | (codes[2 * i + 1] ^ flip) << 4);
    } else {
        for (size_t i = 0; i < whole; i++)
            bytes[i] = (uint8_t)((codes[4 * i] ^ flip) | (codes[4 * i + 1] ^ flip) << 2 |
                                 (codes[4 * i + 2] ^ flip) << 4 | (codes[4 * i + 3] ^ flip) << 6);
    }
    if (count % per && per > 1) {
        bytes[whole] = 0;
        for (size_t i = whole * per; i < count; i++)
            bytes[whole] |= (uint8_t)((codes[i] ^ flip) << ((i - whole * per) * (size_t)bits));
    }
}

size_t qn_block_row_bytes(const struct qn_matrix *matrix, const struct qn_block_form *form)
{
    return qn_block_count(matrix, form) * form->block * (size_t)form->bits / 8;
}

/* ---- pieces ---- */

/* A range of outputs and blocks, and what is made of it. */
struct part {
    const struct qn_matrix     *matrix;
    const struct qn_block_form *form;
    struct qn_block_place       place;
    struct qn_block_params_to   to;
    size_t                      first_output, end_output, first_block, end_block;
    uint8_t                    *bytes; /* of its unit; NULL: not wanted */
    uint8_t                     flip;
    struct qn_error_sums       *sums;
};

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t round_down(size_t n, size_t to) { return n < to ? to : n - n % to; }
static size_t parts_of(size_t n, size_t part) { return n / part + (n % part != 0); }

/* Codes of an output, or of a depth, that stand side by side. */
static size_t row_of(struct qn_block_place place)
{
    return place.depth_stride == 1 ? place.out_stride : place.depth_stride;
}

static bool fills_bytes(const struct qn_block_form *form, struct qn_block_place place)
{
    return row_of(place) * (size_t)form->bits % 8 == 0;
}

/* Blocks whose codes of an output fill a line. */
static size_t blocks_in_line(const struct qn_block_form *form)
{
    const size_t bytes = form->block * (size_t)form->bits / 8;
    return bytes < LINE ? LINE / bytes : 1;
}

/* Outputs or blocks of a unit, and blocks of its parts. No two pieces' codes or parameters share a byte. */
struct cut {
    bool   by_output;
    size_t step, part;
};

static struct cut cut_up(const struct qn_matrix *m, const struct qn_block_form *form, struct qn_block_place place)
{
    const size_t row = row_of(place), blocks = qn_block_count(m, form), line = blocks_in_line(form);
    struct cut   cut = { place.depth_stride == 1, 0, blocks };

    if (!cut.by_output) {
        cut.step = cut.part = round_down(PIECE / (row * form->block), 4);
    } else if (m->out_stride != 1 || !fills_bytes(form, place)) {
        cut.step = round_down(PIECE / row, LANES);
    } else {
        cut.step = round_down((size_t)STRIP * 8 / (row * (size_t)form->bits), LANES);
        cut.part = round_down(PIECE / (least(cut.step, m->outputs) * form->block), line < 4 ? 4 : line);
    }
    return cut;
}

struct qn_block_cut qn_block_cut(const struct qn_matrix *matrix, const struct qn_block_form *form,
                                 struct qn_block_place place)
{
    const struct cut    cut = cut_up(matrix, form, place);
    const size_t        blocks = qn_block_count(matrix, form);
    const size_t        codes = cut.step * row_of(place) * (cut.by_output ? 1 : form->block);
    struct qn_block_cut out = { codes * (size_t)form->bits / 8, cut.by_output ? parts_of(blocks, cut.part) : 1, 0 };

    out.pieces = parts_of(cut.by_output ? matrix->outputs : blocks, cut.step) * out.parts;
    return out;
}

static void find_piece(struct part *p, size_t unit, size_t part)
{
    const struct cut cut = cut_up(p->matrix, p->form, p->place);
    const size_t     blocks = qn_block_count(p->matrix, p->form), first = unit * cut.step;

    p->first_output = cut.by_output ? first : 0;
    p->end_output = cut.by_output ? least(first + cut.step, p->matrix->outputs) : p->matrix->outputs;
    p->first_block = cut.by_output ? part * cut.part : first;
    p->end_block = least(p->first_block + cut.part, blocks);
}

/* ---- codes and parameters to where they belong ---- */

/* Room to work on. */
struct desk {
    float (*panel)[LANES];
    uint8_t *unpacked; /* codes of a unit whose rows do not fill whole bytes; else NULL */
    uint8_t *zero;     /* of the piece, one a byte, in the order of the place */
    size_t   gathered; /* rows of bytes */
    float    weight[QN_BLOCK_MOST];
    uint8_t  codes[QN_BLOCK_MOST][LANES], bytes[QN_BLOCK_MOST][LANES], turned[QN_BLOCK_MOST * LANES];
};

/* Rows of bytes are gathered until they are a line, or the last. */
static void write_line(const struct part *p, struct desk *desk, size_t output, size_t outputs, size_t block)
{
    const size_t   rows = p->form->block * (size_t)p->form->bits / 8, most = rows * blocks_in_line(p->form);
    const size_t   row = row_of(p->place) * (size_t)p->form->bits / 8, end = (block + 1) * rows;
    const uint8_t *lines;
    uint8_t       *to;

    qn_tile_pack_down((const uint8_t(*)[LANES])desk->codes, p->form->block, p->form->bits, p->flip,
                      desk->bytes + desk->gathered);
    desk->gathered += rows;
    if (desk->gathered < most && block + 1 < p->end_block) return;
    memset(desk->bytes + desk->gathered, 0, (most - desk->gathered) * LANES);
    lines = qn_tile_turn(desk->bytes, most, desk->turned);
    to = p->bytes + (output - p->first_output) * row + end - desk->gathered;
    for (size_t j = 0; j < outputs; j++) memcpy(to + j * row, lines + j * most, least(end, row) + desk->gathered - end);
    desk->gathered = 0;
}

static void write_rows(const struct part *p, const struct desk *desk, size_t output, size_t outputs, size_t block,
                       size_t deep)
{
    const size_t per = (size_t)(8 / p->form->bits), first = (block - p->first_block) * p->form->block;
    uint8_t      packed[LANES];

    for (size_t k = 0; k < deep; k++) {
        qn_tile_pack_along(desk->codes[k], p->form->bits, p->flip, packed);
        memcpy(p->bytes + ((first + k) * p->place.depth_stride + output) / per, packed, outputs / per);
    }
}

static void write_unpacked(const struct part *p, const struct desk *desk, size_t output, size_t outputs, size_t block,
                           size_t deep)
{
    uint8_t *to = desk->unpacked + (output - p->first_output) * p->place.out_stride +
                  (block - p->first_block) * p->form->block * p->place.depth_stride;

    for (size_t k = 0; k < deep; k++)
        for (size_t j = 0; j < outputs; j++)
            to[j * p->place.out_stride + k * p->place.depth_stride] = desk->codes[k][j];
}

static void write_params(const struct part *p, struct desk *desk, size_t output, size_t outputs, size_t block,
                         const struct qn_lanes *lanes)
{
    const struct qn_block_place at = p->place;
    const size_t                blocks = p->end_block - p->first_block, all = p->end_output - p->first_output;
    const size_t                n = output - p->first_output, b = block - p->first_block;

    for (size_t j = 0; j < outputs; j++)
        p->to.scale[(output + j) * at.param_out_stride + block * at.param_block_stride] = lanes->scale[j];
    for (size_t j = 0; desk->zero && j < outputs; j++)
        desk->zero[at.param_block_stride == 1 ? (n + j) * blocks + b : b * all + n + j] = (uint8_t)lanes->zero[j];
}

/* Those of an output may begin at a whole byte. */
static void pack_zeros(const struct part *p, const struct desk *desk)
{
    const size_t blocks = p->end_block - p->first_block, all = p->end_output - p->first_output;
    const size_t per = (size_t)(8 / p->to.zero_bits);
    const size_t first = p->first_output * p->place.param_out_stride + p->first_block * p->place.param_block_stride;

    if (!p->to.zero_row) {
        qn_block_pack_bytes(p->to.zero_bits, desk->zero, blocks * all, 0, p->to.zero + first / per);
        return;
    }
    for (size_t n = 0; n < all; n++)
        qn_block_pack_bytes(p->to.zero_bits, desk->zero + n * blocks, blocks, 0,
                            p->to.zero + (p->first_output + n) * p->to.zero_row + p->first_block / per);
}

/* ---- making ---- */

/* What was found before. */
static void take_found(const struct part *p, struct desk *desk, size_t output, size_t outputs, size_t block,
                       struct qn_lanes *lanes)
{
    const struct qn_block_found *found = &p->matrix->found;
    const size_t   bits = (size_t)p->form->bits, per = 8 / bits, row = qn_block_row_bytes(p->matrix, p->form);
    const uint8_t *from = found->codes + output * row + block * p->form->block / per;

    memset(desk->codes, 0, sizeof desk->codes);
    for (size_t j = 0; j < outputs; j++, from += row) {
        const size_t at = (output + j) * qn_block_count(p->matrix, p->form) + block;
        lanes->scale[j] = found->scale[at];
        lanes->zero[j] = found->zero ? (float)found->zero[at] : 0;
        for (size_t k = 0; k < p->form->block; k++)
            desk->codes[k][j] = (uint8_t)((unsigned)from[k / per] >> (k % per * bits) & ((1u << bits) - 1));
    }
}

static void find_nearest(const struct part *p, struct desk *desk, struct qn_tile *tile, size_t depth,
                         struct qn_lanes *lanes)
{
    if (p->matrix->importance) {
        memset(desk->weight, 0, sizeof desk->weight);
        memcpy(desk->weight, p->matrix->importance + depth, tile->deep * sizeof *desk->weight);
        tile->weight = desk->weight;
    }
    qn_tile_params(tile, p->form, lanes);
    qn_tile_codes(tile, lanes, desk->codes, p->sums);
}

static void make_tile(const struct part *p, struct desk *desk, float (*x)[LANES], size_t output, size_t block)
{
    const size_t    depth = block * p->form->block, outputs = least(p->end_output - output, LANES);
    struct qn_tile  tile = qn_tile_new(p->form);
    struct qn_lanes lanes;

    tile.x = (const float(*)[LANES])x;
    tile.deep = least(p->matrix->depth - depth, tile.block);
    if (p->matrix->found.codes)
        take_found(p, desk, output, outputs, block, &lanes);
    else
        find_nearest(p, desk, &tile, depth, &lanes);
    write_params(p, desk, output, outputs, block, &lanes);
    if (!p->bytes) return;
    if (desk->unpacked)
        write_unpacked(p, desk, output, outputs, block, tile.deep);
    else if (p->place.depth_stride == 1)
        write_line(p, desk, output, outputs, block);
    else
        write_rows(p, desk, output, outputs, block, tile.deep);
}

/* Blocks and tiles that are read at once: as many as a panel holds. Where outputs' weights lie side by side, these are many
 * outputs, but whole lines of codes; else many blocks of few outputs. */
struct reach {
    size_t blocks, tiles;
};

static struct reach reach_of(const struct part *p)
{
    const size_t tiles = parts_of(p->end_output - p->first_output, LANES), fit = QN_PANEL / LANES / p->form->block;
    const bool   across = p->matrix->out_stride == 1;
    const size_t blocks = !across ? fit : p->place.depth_stride == 1 ? blocks_in_line(p->form) : 1;
    struct reach reach = { least(blocks, p->end_block - p->first_block), 1 };

    if (across) reach.tiles = least(fit / reach.blocks, tiles);
    return reach;
}

static void make_tiles(const struct part *p, struct desk *desk, struct reach reach)
{
    for (size_t b = p->first_block; b < p->end_block; b += reach.blocks) {
        const size_t blocks = least(reach.blocks, p->end_block - b), rows = blocks * p->form->block;
        for (size_t n = p->first_output; n < p->end_output; n += reach.tiles * LANES) {
            const size_t tiles = least(reach.tiles, parts_of(p->end_output - n, LANES));
            if (!p->matrix->found.codes) qn_tile_load(p->matrix, n, b * p->form->block, rows, tiles, desk->panel);
            for (size_t i = 0; i < tiles; i++)
                for (size_t k = 0; k < blocks; k++)
                    make_tile(p, desk, desk->panel + i * rows + k * p->form->block, n + i * LANES, b + k);
        }
    }
}

static qonnx_status make_part(struct part *p, qonnx_error *err)
{
    const struct reach reach = reach_of(p);
    const size_t       outputs = p->end_output - p->first_output, blocks = p->end_block - p->first_block;
    const size_t       depth = least(p->end_block * p->form->block, p->matrix->depth) - p->first_block * p->form->block;
    const size_t       codes = row_of(p->place) * (p->place.depth_stride == 1 ? outputs : depth);
    struct qn_arena    scratch = { 0 };
    struct desk       *desk = qn_arena_alloc_raw(&scratch, sizeof *desk);
    qonnx_status       status = QONNX_OK;

    if (!desk) return qn_fail_nomem(err);
    desk->gathered = 0;
    desk->panel = qn_arena_alloc_raw(&scratch, reach.blocks * reach.tiles * p->form->block * sizeof *desk->panel);
    desk->unpacked = p->bytes && !fills_bytes(p->form, p->place) ? qn_arena_alloc_raw(&scratch, codes) : NULL;
    desk->zero = p->to.zero ? qn_arena_alloc_raw(&scratch, outputs * blocks) : NULL;
    if (qn_arena_failed(&scratch)) {
        status = qn_fail_nomem(err);
    } else {
        make_tiles(p, desk, reach);
        if (desk->unpacked) qn_block_pack_bytes(p->form->bits, desk->unpacked, codes, p->flip, p->bytes);
        if (desk->zero) pack_zeros(p, desk);
    }
    qn_arena_release(&scratch);
    return status;
}

qonnx_status qn_block_make(const struct qn_matrix *matrix, const struct qn_block_form *form,
                           struct qn_block_place place, uint8_t flip, size_t unit, size_t part, uint8_t *bytes,
                           struct qn_block_params_to to, struct qn_error_sums *sums, qonnx_error *err)
{
    struct part p = { matrix, form, place, to, 0, 0, 0, 0, bytes, flip, sums };

    find_piece(&p, unit, part);
    return make_part(&p, err);
}

/* ---- whole matrices ---- */

struct job {
    struct part           part;
    size_t                parts;
    struct qn_error_sums *sums;
};

static qonnx_status do_params(void *context, size_t piece, int worker, qonnx_error *err)
{
    const struct job *job = context;
    struct part       part = job->part;

    (void)worker;
    part.sums = &job->sums[piece];
    find_piece(&part, piece / job->parts, piece % job->parts);
    return make_part(&part, err);
}

qonnx_status qn_block_params(const struct qn_matrix *matrix, const struct qn_block_form *form,
                             struct qn_block_place place, float *scale, uint8_t *zero, struct qn_error_sums *sums,
                             int threads, qonnx_error *err)
{
    const struct qn_block_cut       cut = qn_block_cut(matrix, form, place);
    const struct qn_block_params_to to = { scale, zero, 8, place.param_block_stride == 1 ? place.param_out_stride : 0 };
    struct job                      job = { { matrix, form, place, to, 0, 0, 0, 0, NULL, 0, NULL }, cut.parts, NULL };
    struct qn_arena                 scratch = { 0 };
    qonnx_status                    status;

    if (!(job.sums = qn_arena_array(&scratch, cut.pieces, sizeof *job.sums))) return qn_fail_nomem(err);
    if (matrix->outputs * matrix->depth < WORTH_THREADS) threads = 1;
    status = qn_parallel_for(cut.pieces, threads, do_params, &job, err);
    for (size_t i = 0; status == QONNX_OK && i < cut.pieces; i++) {
        sums->signal += job.sums[i].signal;
        sums->noise += job.sums[i].noise;
    }
    qn_arena_release(&scratch);
    return status;
}
