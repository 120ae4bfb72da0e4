/* SPDX-License-Identifier: Apache-2.0
 * Writes JPEG and PNG images for tests. */
#ifndef QN_TESTS_IMAGE_FILES_H
#define QN_TESTS_IMAGE_FILES_H

#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>
#include <png.h>

#include "scratch.h"

struct image_bytes {
    uint8_t *bytes; /* to be freed */
    size_t   size;
};

/* An Exif block that names an orientation and nothing else. */
static inline size_t exif_of(int orientation, uint8_t exif[26])
{
    static const uint8_t block[26] = { 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1 };

    memcpy(exif, block, sizeof block);
    exif[19] = (uint8_t)orientation;
    return sizeof block;
}

struct png_form {
    int color; /* PNG_COLOR_TYPE_… */
    int bits, interlaced, orientation;
};

/* Rows lie behind each other, as libpng takes them. */
static inline struct image_bytes make_png(size_t width, size_t height, struct png_form form, const void *pixels)
{
    struct image_bytes image = { 0 };
    FILE              *file = open_memstream((char **)&image.bytes, &image.size);
    png_structp        png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop          info = png_create_info_struct(png);
    png_bytep         *rows = calloc(height, sizeof *rows);
    uint8_t            exif[26];
    const png_color    palette[] = { { 10, 20, 30 }, { 200, 100, 0 }, { 0, 255, 7 }, { 1, 2, 3 } };

    assert_non_null(file);
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, form.bits, form.color,
                 form.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (form.color == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 4);
    if (form.orientation) png_set_eXIf_1(png, info, (png_uint_32)exif_of(form.orientation, exif), exif);
    png_write_info(png, info);
    for (size_t y = 0; y < height; y++)
        rows[y] = (png_bytep)(uintptr_t)((const uint8_t *)pixels + y * png_get_rowbytes(png, info));
    png_write_image(png, rows);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    free(rows);
    fclose(file);
    return image;
}

struct jpeg_form {
    int channels; /* 1, 3 or 4: ink as Adobe's programs store it */
    int progressive, orientation;
};

static inline struct image_bytes make_jpeg(size_t width, size_t height, struct jpeg_form form, const uint8_t *pixels)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr       errors;
    struct image_bytes          image = { 0 };
    unsigned long               size = 0;
    uint8_t                     marker[32] = "Exif\0";

    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &image.bytes, &size);
    jpeg.image_width = (JDIMENSION)width;
    jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = form.channels;
    jpeg.in_color_space = form.channels == 1 ? JCS_GRAYSCALE : form.channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 98, TRUE);
    if (form.channels == 4) jpeg.write_Adobe_marker = TRUE;
    if (form.progressive) jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    if (form.orientation)
        jpeg_write_marker(&jpeg, JPEG_APP0 + 1, marker, 6 + (unsigned)exif_of(form.orientation, marker + 6));
    for (size_t y = 0; y < height; y++) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + y * width * (size_t)form.channels);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    image.size = size;
    return image;
}

static inline void write_image(struct scratch *scratch, const char *name, struct image_bytes image)
{
    scratch_write(scratch, name, image.bytes, image.size);
    free(image.bytes);
}

#endif
