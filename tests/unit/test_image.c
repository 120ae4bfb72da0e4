/* SPDX-License-Identifier: Apache-2.0 */
#include "cmocka_all.h"

#include <math.h>

#include "image_files.h"
#include "run/image.h"

static struct qn_image_part whole(size_t width, size_t height)
{
    return (struct qn_image_part){ width, height, 0, 0, width, height };
}

/* The upright image, resized to the part. */
static void shows(struct image_bytes bytes, int channels, struct qn_image_part part, uint8_t *pixels)
{
    struct qn_image image;
    qonnx_error     err = { 0 };

    if (qn_image_open(&image, bytes.bytes, bytes.size, channels, &err) != QONNX_OK ||
        qn_image_resample(&image, &part, qn_image_filter_find("bilinear"), 9, pixels, &err) != QONNX_OK)
        fail_msg("%s", err.message);
    qn_image_close(&image);
    free(bytes.bytes);
}

static void refuses(const void *bytes, size_t size, const char *word)
{
    struct qn_image image;
    qonnx_error     err = { 0 };
    uint8_t         pixels[3];
    qonnx_status    status = qn_image_open(&image, bytes, size, 3, &err);

    if (status == QONNX_OK)
        status = qn_image_resample(&image, &(struct qn_image_part){ 1, 1, 0, 0, 1, 1 },
                                   qn_image_filter_find("bilinear"), 0, pixels, &err);
    qn_image_close(&image);
    assert_int_equal(status, QONNX_E_DATA);
    if (!strstr(err.message, word)) fail_msg("'%s' lacks '%s'", err.message, word);
}

/* ---- pixels ---- */

static void png_pixels_are_what_was_stored(void **state)
{
    const uint8_t rgb[2][2][3] = { { { 1, 2, 3 }, { 250, 0, 9 } }, { { 77, 78, 79 }, { 0, 255, 128 } } };
    const uint8_t rgba[2][2][4] = { { { 1, 2, 3, 0 }, { 250, 0, 9, 255 } },
                                    { { 77, 78, 79, 3 }, { 0, 255, 128, 100 } } };
    const uint8_t gray[2][2] = { { 5, 250 }, { 128, 7 } }, index[2][2] = { { 0, 1 }, { 2, 3 } };
    const uint8_t deep[1][2][2] = { { { 0x12, 0x34 }, { 0xff, 0xff } } }; /* 16 bits, the high byte first */
    uint8_t       got[2][2][3], got_gray[2][2];

    (void)state;
    for (int interlaced = 0; interlaced < 2; interlaced++) {
        shows(make_png(2, 2, (struct png_form){ PNG_COLOR_TYPE_RGB, 8, interlaced, 0 }, rgb), 3, whole(2, 2),
              &got[0][0][0]);
        assert_memory_equal(got, rgb, sizeof rgb);
        shows(make_png(2, 2, (struct png_form){ PNG_COLOR_TYPE_RGBA, 8, interlaced, 0 }, rgba), 3, whole(2, 2),
              &got[0][0][0]);
        assert_memory_equal(got, rgb, sizeof rgb); /* transparency is dropped, nothing is blended */
    }
    shows(make_png(2, 2, (struct png_form){ PNG_COLOR_TYPE_GRAY, 8, 0, 0 }, gray), 1, whole(2, 2), &got_gray[0][0]);
    assert_memory_equal(got_gray, gray, sizeof gray);
    shows(make_png(2, 2, (struct png_form){ PNG_COLOR_TYPE_GRAY, 8, 0, 0 }, gray), 3, whole(2, 2), &got[0][0][0]);
    for (int i = 0; i < 12; i++) assert_int_equal((&got[0][0][0])[i], (&gray[0][0])[i / 3]);
    shows(make_png(2, 2, (struct png_form){ PNG_COLOR_TYPE_RGB, 8, 0, 0 }, rgb), 1, whole(2, 2), &got_gray[0][0]);
    assert_int_equal(got_gray[0][0], 2); /* 0.299, 0.587, 0.114 */
    assert_int_equal(got_gray[1][1], 164);
    shows(make_png(2, 2, (struct png_form){ PNG_COLOR_TYPE_PALETTE, 8, 0, 0 }, index), 3, whole(2, 2), &got[0][0][0]);
    assert_memory_equal(got[0][1], ((uint8_t[]){ 200, 100, 0 }), 3);
    shows(make_png(2, 1, (struct png_form){ PNG_COLOR_TYPE_GRAY, 16, 0, 0 }, deep), 1, whole(2, 1), &got_gray[0][0]);
    assert_int_equal(got_gray[0][0], 0x12);
    assert_int_equal(got_gray[0][1], 0xff);
}

static void jpeg_pixels_are_near_what_was_stored(void **state)
{
    uint8_t rgb[16][16][3], ink[16][16][4], got[16][16][3], gray[16][16];

    (void)state;
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 16; x++) {
            const uint8_t color[] = { 200, 120, 40 }, inks[] = { 255, 128, 64, 128 }; /* turned over: 255 is none */
            memcpy(rgb[y][x], color, 3);
            memcpy(ink[y][x], inks, 4);
        }
    for (int progressive = 0; progressive < 2; progressive++) {
        shows(make_jpeg(16, 16, (struct jpeg_form){ 3, progressive, 0 }, &rgb[0][0][0]), 3, whole(16, 16),
              &got[0][0][0]);
        for (int c = 0; c < 3; c++) assert_in_range(got[5][7][c] + 3, rgb[0][0][c], rgb[0][0][c] + 6);
    }
    shows(make_jpeg(16, 16, (struct jpeg_form){ 3, 0, 0 }, &rgb[0][0][0]), 1, whole(16, 16), &gray[0][0]);
    assert_in_range(gray[3][3], 133, 137); /* 0.299 * 200 + 0.587 * 120 + 0.114 * 40 */
    shows(make_jpeg(16, 16, (struct jpeg_form){ 4, 0, 0 }, &ink[0][0][0]), 3, whole(16, 16), &got[0][0][0]);
    assert_in_range(got[5][5][0], 126, 130);
    assert_in_range(got[5][5][1], 62, 66);
    assert_in_range(got[5][5][2], 30, 34);
    shows(make_jpeg(16, 16, (struct jpeg_form){ 4, 0, 0 }, &ink[0][0][0]), 1, whole(16, 16), &gray[0][0]);
    assert_in_range(gray[5][5], 77, 83);
}

/* ---- turning ---- */

static void images_stand_upright_whatever_the_camera_wrote(void **state)
{
    static const char *const stored[] = {
        "ABCDEF", "CBAFED", "FEDCBA", "DEFABC", "ADBECF", "CFBEAD", "FCEBDA", "DAEBFC"
    };
    uint8_t got[6], part[2];

    (void)state;
    for (int o = 1; o <= 8; o++) {
        struct png_form form = { PNG_COLOR_TYPE_GRAY, 8, 0, o };
        size_t          width = o < 5 ? 3 : 2, height = o < 5 ? 2 : 3;
        shows(make_png(width, height, form, stored[o - 1]), 1, whole(3, 2), got);
        assert_memory_equal(got, "ABCDEF", 6);
        shows(make_png(width, height, form, stored[o - 1]), 1, (struct qn_image_part){ 3, 2, 1, 0, 1, 2 }, part);
        assert_memory_equal(part, "BE", 2);
        shows(make_png(width, height, form, stored[o - 1]), 1, (struct qn_image_part){ 3, 2, 2, 1, 2, 1 }, part);
        assert_memory_equal(part, "F\t", 2); /* what is outside is filled with 9 */
    }
}

static void jpegs_are_turned_as_their_exif_says(void **state)
{
    uint8_t         bright[16][32] = { 0 }, got[2];
    struct qn_image image;
    uint8_t         exif[26];

    (void)state;
    for (int y = 0; y < 16; y++) memset(bright[y] + 16, 250, 16); /* dark on the left */
    shows(make_jpeg(32, 16, (struct jpeg_form){ 1, 0, 6 }, &bright[0][0]), 1, whole(1, 2), got);
    assert_true(got[0] < 90 && got[1] > 160); /* a quarter to the right: dark above */
    shows(make_jpeg(32, 16, (struct jpeg_form){ 1, 0, 8 }, &bright[0][0]), 1, whole(1, 2), got);
    assert_true(got[0] > 160 && got[1] < 90);
    memset(&image, 0, sizeof image);
    for (size_t size = 0; size < sizeof exif; size++) { /* of a damaged block nothing is believed */
        uint8_t *cut = malloc(size + 1);
        exif_of(3, exif);
        memcpy(cut, exif, size);
        assert_int_equal(qn_image_exif_orientation(cut, size), size < 20 ? 1 : 3);
        free(cut);
    }
    exif_of(9, exif);
    assert_int_equal(qn_image_exif_orientation(exif, sizeof exif), 1);
    memset(exif + 4, 0xff, 4); /* the list is elsewhere */
    assert_int_equal(qn_image_exif_orientation(exif, sizeof exif), 1);
}

/* ---- resizing ---- */

static void shrinking_weighs_every_pixel(void **state)
{
    const uint8_t row[] = { 0, 100, 200, 40 };
    uint8_t       got[2];

    (void)state;
    /* Triangles of reach 2 around 1 and 3: weights 3/4, 3/4, 1/4 over 7/4, since one end is cut off. */
    shows(make_png(4, 1, (struct png_form){ PNG_COLOR_TYPE_GRAY, 8, 0, 0 }, row), 1, whole(2, 1), got);
    assert_int_equal(got[0], 71);  /* (0.75 * 0 + 0.75 * 100 + 0.25 * 200) / 1.75 */
    assert_int_equal(got[1], 117); /* (0.25 * 100 + 0.75 * 200 + 0.75 * 40) / 1.75 */
    shows(make_png(1, 4, (struct png_form){ PNG_COLOR_TYPE_GRAY, 8, 0, 0 }, row), 1, whole(1, 2), got);
    assert_int_equal(got[0], 71);
    assert_int_equal(got[1], 117);
}

static void enlarging_interpolates_between_centres(void **state)
{
    const uint8_t row[] = { 10, 110 };
    uint8_t       got[4];

    (void)state;
    shows(make_png(2, 1, (struct png_form){ PNG_COLOR_TYPE_GRAY, 8, 0, 0 }, row), 1, whole(4, 1), got);
    assert_memory_equal(got, ((uint8_t[]){ 10, 35, 85, 110 }), 4);
}

/* The filter's definition, in two dimensions at once. */
static double defined(const uint8_t *pixels, size_t width, size_t height, double scale_x, double scale_y, size_t x,
                      size_t y)
{
    double sum = 0, weight = 0, reach_x = fmax(scale_x, 1), reach_y = fmax(scale_y, 1);

    for (size_t j = 0; j < height; j++)
        for (size_t i = 0; i < width; i++) {
            double w = fmax(0, 1 - fabs(((double)i + 0.5 - ((double)x + 0.5) * scale_x) / reach_x)) *
                       fmax(0, 1 - fabs(((double)j + 0.5 - ((double)y + 0.5) * scale_y) / reach_y));
            sum += w * pixels[j * width + i];
            weight += w;
        }
    return sum / weight;
}

static void resizing_follows_the_definition_at_any_size(void **state)
{
    static const size_t sizes[][4] = {
        { 17, 11, 5, 7 }, { 5, 3, 13, 8 }, { 1, 1, 4, 4 }, { 40, 2, 3, 9 }, { 6, 6, 6, 6 }
    };
    uint8_t pixels[200], got[200];

    (void)state;
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * i * 31 + i * 7);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        const size_t w = sizes[s][0], h = sizes[s][1], tw = sizes[s][2], th = sizes[s][3];
        shows(make_png(w, h, (struct png_form){ PNG_COLOR_TYPE_GRAY, 8, 0, 0 }, pixels), 1, whole(tw, th), got);
        for (size_t y = 0; y < th; y++)
            for (size_t x = 0; x < tw; x++) {
                double expected = defined(pixels, w, h, (double)w / (double)tw, (double)h / (double)th, x, y);
                if (fabs(got[y * tw + x] - expected) > 0.5 + 1e-9)
                    fail_msg("%zux%zu to %zux%zu at %zu,%zu: %d for %g", w, h, tw, th, x, y, got[y * tw + x], expected);
            }
    }
}

static void a_cubic_that_overshoots_is_cut_to_pixels(void **state)
{
    const uint8_t        row[] = { 0, 0, 255, 255 };
    struct image_bytes   bytes = make_png(4, 1, (struct png_form){ PNG_COLOR_TYPE_GRAY, 8, 0, 0 }, row);
    struct qn_image_part part = whole(8, 1);
    struct qn_image      image;
    uint8_t              got[8];

    (void)state;
    assert_null(qn_image_filter_find("lanczos"));
    assert_int_equal(qn_image_open(&image, bytes.bytes, bytes.size, 1, NULL), QONNX_OK);
    assert_int_equal(qn_image_resample(&image, &part, qn_image_filter_find("bicubic"), 0, got, NULL), QONNX_OK);
    assert_memory_equal(got, ((uint8_t[]){ 0, 0, 0, 52, 203, 255, 255, 255 }), 8);
    qn_image_close(&image);
    free(bytes.bytes);
}

/* ---- hostile images ---- */

static void what_is_no_image_is_refused(void **state)
{
    uint8_t            gray[4] = { 0 };
    struct image_bytes png = make_png(2, 2, (struct png_form){ PNG_COLOR_TYPE_GRAY, 8, 0, 0 }, gray);

    (void)state;
    refuses("", 0, "empty");
    refuses("GIF89a........", 14, "neither a JPEG nor a PNG");
    refuses("\xff\xd8\xff\xd9", 4, "JPEG");
    refuses("\x89PNG\r\n\x1a\n", 8, "ends too early");
    png.bytes[18] = 0xff; /* the width becomes 65,282: the checksum is wrong */
    refuses(png.bytes, png.size, "PNG");
    free(png.bytes);
}

/* 60,000 x 60,000 in 40 bytes, with right checksums. */
static void a_forged_size_takes_no_memory(void **state)
{
    static const uint8_t jpeg[] = { 0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0xea, 0x60, 0xea, 0x60, 1,    1,   0x11,
                                    0,    0xff, 0xda, 0,    8, 1,  1, 0,    0,    63,   0,    0xff, 0xd9 };

    (void)state;
    refuses(jpeg, sizeof jpeg, "more than the 67 million");
}

/* Cut off anywhere it is an error; with a byte turned over an error or an image, and nothing worse. */
static void damaged_images_end_in_one_error(void **state)
{
    uint8_t pixels[12][16][3], got[4 * 4 * 3];

    (void)state;
    for (size_t i = 0; i < sizeof pixels; i++) (&pixels[0][0][0])[i] = (uint8_t)(i * 37 + i / 7);
    for (int kind = 0; kind < 4; kind++) {
        struct image_bytes image = kind < 2
                                       ? make_png(16, 12, (struct png_form){ PNG_COLOR_TYPE_RGB, 8, kind, 6 }, pixels)
                                       : make_jpeg(16, 12, (struct jpeg_form){ 3, kind - 2, 6 }, &pixels[0][0][0]);
        for (size_t i = 0; i < 2 * image.size; i++) {
            struct qn_image open;
            qonnx_error     err = { 0 };
            size_t          size = i < image.size ? i : image.size;
            uint8_t        *copy = malloc(size + 1);
            qonnx_status    status;
            memcpy(copy, image.bytes, size);
            if (i >= size) copy[i - size] = (uint8_t)~copy[i - size];
            status = qn_image_open(&open, copy, size, 3, &err);
            if (status == QONNX_OK)
                status = qn_image_resample(&open, &(struct qn_image_part){ 4, 4, 0, 0, 4, 4 },
                                           qn_image_filter_find("bilinear"), 0, got, &err);
            if (i < image.size) assert_int_equal(status, QONNX_E_DATA);
            assert_true(status == QONNX_OK || (status == QONNX_E_DATA && err.message[0]));
            qn_image_close(&open);
            free(copy);
        }
        free(image.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_pixels_are_what_was_stored),
        cmocka_unit_test(jpeg_pixels_are_near_what_was_stored),
        cmocka_unit_test(images_stand_upright_whatever_the_camera_wrote),
        cmocka_unit_test(jpegs_are_turned_as_their_exif_says),
        cmocka_unit_test(shrinking_weighs_every_pixel),
        cmocka_unit_test(enlarging_interpolates_between_centres),
        cmocka_unit_test(resizing_follows_the_definition_at_any_size),
        cmocka_unit_test(a_cubic_that_overshoots_is_cut_to_pixels),
        cmocka_unit_test(what_is_no_image_is_refused),
        cmocka_unit_test(a_forged_size_takes_no_memory),
        cmocka_unit_test(damaged_images_end_in_one_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
