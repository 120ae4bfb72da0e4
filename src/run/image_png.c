/* SPDX-License-Identifier: Apache-2.0
 * PNG, by libpng. */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "run/image.h"

enum { CHUNK_MOST = 8 << 20 };

struct decoder {
    png_structp    png;
    png_infop      info;
    const uint8_t *bytes;
    size_t         left;
    char           text[128];
    uint8_t       *line; /* a row as libpng gives it: one or three channels */
    int            in;   /* so many */
    uint8_t       *all;  /* every row of an interlaced image */
    png_bytep     *rows;
    size_t         next;
};

_Noreturn static void fail(png_structp png, png_const_charp text)
{
    struct decoder *decoder = png_get_error_ptr(png);

    snprintf(decoder->text, sizeof decoder->text, "%s", text);
    png_longjmp(png, 1);
}

static void say_nothing(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void read_bytes(png_structp png, png_bytep to, size_t size)
{
    struct decoder *decoder = png_get_io_ptr(png);

    if (size > decoder->left) png_error(png, "ends too early");
    memcpy(to, decoder->bytes, size);
    decoder->bytes += size;
    decoder->left -= size;
}

static qonnx_status complain(const struct decoder *decoder, qonnx_error *err)
{
    return qn_fail(err, QONNX_E_DATA, "damaged PNG image: %s", decoder->text);
}

/* ---- rows ---- */

static qonnx_status next_line(struct decoder *decoder, const struct qn_image *image, qonnx_error *err)
{
    if (setjmp(png_jmpbuf(decoder->png))) return complain(decoder, err);
    if (decoder->rows)
        memcpy(decoder->line, decoder->rows[decoder->next], image->width * (size_t)decoder->in);
    else
        png_read_row(decoder->png, decoder->line, NULL);
    if (++decoder->next == image->height) png_read_end(decoder->png, NULL); /* compares the last checksum */
    return QONNX_OK;
}

static qonnx_status png_row(struct qn_image *image, uint8_t *pixels, qonnx_error *err)
{
    struct decoder *decoder = image->decoder;

    QN_TRY(next_line(decoder, image, err));
    if (decoder->in == 3 && image->channels == 1) qn_image_to_gray(decoder->line, image->width);
    if (decoder->in == 1 && image->channels == 3)
        for (size_t i = 0; i < image->width; i++) memset(pixels + 3 * i, decoder->line[i], 3);
    else
        memcpy(pixels, decoder->line, image->width * (size_t)image->channels);
    return QONNX_OK;
}

static void png_close(struct qn_image *image)
{
    struct decoder *decoder = image->decoder;

    png_destroy_read_struct(&decoder->png, &decoder->info, NULL);
    free(decoder->line);
    free(decoder->all);
    free(decoder->rows);
    free(decoder);
}

/* ---- the header ---- */

/* The passes of an interlaced image go over all of it. */
static qonnx_status read_interlaced(struct qn_image *image, struct decoder *decoder, qonnx_error *err)
{
    const size_t size = image->width * (size_t)decoder->in;

    decoder->all = malloc(size * image->height);
    decoder->rows = calloc(image->height, sizeof *decoder->rows);
    if (!decoder->all || !decoder->rows) return qn_fail_nomem(err);
    for (size_t y = 0; y < image->height; y++) decoder->rows[y] = decoder->all + y * size;
    if (setjmp(png_jmpbuf(decoder->png))) return complain(decoder, err);
    png_read_image(decoder->png, decoder->rows);
    return QONNX_OK;
}

static qonnx_status read_header(struct qn_image *image, struct decoder *decoder, qonnx_error *err)
{
    png_structp png = decoder->png;
    png_infop   info = decoder->info;
    png_uint_32 exif_size = 0;
    png_bytep   exif = NULL;

    if (setjmp(png_jmpbuf(png))) return complain(decoder, err);
    png_set_user_limits(png, QN_IMAGE_SIDE, QN_IMAGE_SIDE);
    png_set_chunk_malloc_max(png, CHUNK_MOST);
    png_read_info(png, info);
    image->width = png_get_image_width(png, info);
    image->height = png_get_image_height(png, info);
    QN_TRY(qn_image_check_size(image->width, image->height, err));
    if (png_get_eXIf_1(png, info, &exif_size, &exif)) image->orientation = qn_image_exif_orientation(exif, exif_size);
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_strip_alpha(png);
    if (png_get_interlace_type(png, info) != PNG_INTERLACE_NONE) png_set_interlace_handling(png);
    png_read_update_info(png, info);
    decoder->in = png_get_channels(png, info);
    if (png_get_bit_depth(png, info) != 8 || (decoder->in != 1 && decoder->in != 3) ||
        png_get_rowbytes(png, info) != image->width * (size_t)decoder->in)
        return qn_fail(err, QONNX_E_DATA, "damaged PNG image: impossible pixels");
    return QONNX_OK;
}

qonnx_status qn_image_open_png(struct qn_image *image, const uint8_t *bytes, size_t size, qonnx_error *err)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);

    if (!decoder) return qn_fail_nomem(err);
    image->decoder = decoder;
    image->row = png_row;
    image->close = png_close;
    decoder->bytes = bytes;
    decoder->left = size;
    decoder->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, decoder, fail, say_nothing);
    decoder->info = decoder->png ? png_create_info_struct(decoder->png) : NULL;
    if (!decoder->info) return qn_fail_nomem(err);
    png_set_read_fn(decoder->png, decoder, read_bytes);
    QN_TRY(read_header(image, decoder, err));
    if (!(decoder->line = malloc(image->width * 3))) return qn_fail_nomem(err);
    if (png_get_interlace_type(decoder->png, decoder->info) == PNG_INTERLACE_NONE) return QONNX_OK;
    return read_interlaced(image, decoder, err);
}
