/* SPDX-License-Identifier: Apache-2.0 */
#include "cmocka_all.h"

#include <math.h>
#include <string.h>

#include "onnx/dtype.h"
#include "run/image_input.h"

static struct qn_port port_of(int32_t dtype, int rank, const int64_t *dims)
{
    return (struct qn_port){ .name = "x", .dtype = dtype, .rank = rank, .dims = dims };
}

#define DIMS(...) ((const int64_t[]){ __VA_ARGS__ })

static void accepts(struct qn_image_input *input, const struct qn_port *port, struct qn_image_options options)
{
    struct qn_strbuf notes;
    qonnx_error      err = { 0 };

    qn_strbuf_init(&notes);
    if (qn_image_input_init(input, port, &options, &notes, &err) != QONNX_OK) fail_msg("%s", err.message);
    qn_strbuf_release(&notes);
}

static void refuses(const struct qn_port port, struct qn_image_options options, qonnx_status status, const char *word)
{
    struct qn_image_input input;
    struct qn_strbuf      notes;
    qonnx_error           err = { 0 };

    qn_strbuf_init(&notes);
    assert_int_equal(qn_image_input_init(&input, &port, &options, &notes, &err), status);
    if (!strstr(err.message, word)) fail_msg("'%s' lacks '%s'", err.message, word);
    qn_strbuf_release(&notes);
}

/* ---- the input's shape ---- */

static void channels_are_found_where_one_or_three_are(void **state)
{
    static const struct {
        int         rank;
        int64_t     dims[4];
        const char *layout, *size;
        int         channels, last;
        size_t      height, width;
    } cases[] = {
        { 4, { -1, 3, 224, 320 }, NULL, NULL, 3, 0, 224, 320 },
        { 4, { 1, 224, 320, 3 }, "auto", NULL, 3, 1, 224, 320 },
        { 4, { 1, 1, 28, 28 }, NULL, NULL, 1, 0, 28, 28 },
        { 4, { -1, 28, 28, 1 }, NULL, NULL, 1, 1, 28, 28 },
        { 3, { 3, 8, 9 }, NULL, NULL, 3, 0, 8, 9 },
        { 3, { 8, 9, 3 }, NULL, NULL, 3, 1, 8, 9 },
        { 4, { -1, 3, -1, -1 }, NULL, "5x6", 3, 0, 5, 6 },
        { 4, { -1, -1, -1, -1 }, "nhwc", "7", 3, 1, 7, 7 },
        { -1, { 0 }, "nchw", "4", 3, 0, 4, 4 },
        { 4, { 1, 3, 8, 3 }, "nhwc", NULL, 3, 1, 3, 8 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qn_port        port = port_of(QN_FLOAT, cases[i].rank, cases[i].dims);
        struct qn_image_input input;
        accepts(&input, &port, (struct qn_image_options){ .layout = cases[i].layout, .size = cases[i].size });
        assert_int_equal(input.channels, cases[i].channels);
        assert_int_equal(input.channels_last, cases[i].last);
        assert_int_equal(input.height, cases[i].height);
        assert_int_equal(input.width, cases[i].width);
        assert_int_equal(input.rank, cases[i].rank < 0 ? 4 : cases[i].rank);
        if (input.rank == 4) assert_int_equal(input.dims[0], 1);
    }
}

static void what_no_image_fits_is_refused_with_the_option_that_helps(void **state)
{
    const struct qn_image_options none = { 0 };

    (void)state;
    refuses(port_of(QN_FLOAT, 2, DIMS(1, 784)), none, QONNX_E_DATA, "[1,784] takes no images");
    refuses(port_of(QN_FLOAT, 4, DIMS(1, 4, 8, 8)), none, QONNX_E_DATA, "no axis of 1 or 3 channels");
    refuses(port_of(QN_FLOAT, 4, DIMS(-1, -1, -1, -1)), none, QONNX_E_USAGE, "--image-layout nchw or nhwc");
    refuses(port_of(QN_FLOAT, 4, DIMS(-1, 3, -1, -1)), none, QONNX_E_USAGE, "--image-size HEIGHTxWIDTH");
    refuses(port_of(QN_FLOAT, 4, DIMS(8, 3, 4, 4)), none, QONNX_E_DATA, "several images at once");
    refuses(port_of(QN_FLOAT, 4, DIMS(1, 3, 4, 4)), (struct qn_image_options){ .size = "4x5" }, QONNX_E_USAGE,
            "--image-size");
    refuses(port_of(QN_FLOAT, 4, DIMS(1, 3, 4, 4)), (struct qn_image_options){ .layout = "nhwc" }, QONNX_E_USAGE,
            "--image-layout");
    refuses(port_of(QN_FLOAT, 4, DIMS(1, 3, 0, 4)), none, QONNX_E_DATA, "no size");
    refuses(port_of(QN_FLOAT, 4, DIMS(1, 3, 1 << 20, 1 << 20)), none, QONNX_E_DATA, "no size");
    refuses(port_of(QN_INT8, 4, DIMS(1, 3, 4, 4)), none, QONNX_E_DATA, "up to 255");
    for (size_t i = 0; i < 9; i++) {
        static const char *const sizes[] = { "", "x", "0", "5x", "x5", "5x6x7", "-3", "99999", "5 x 6" };
        refuses(port_of(QN_FLOAT, 4, DIMS(1, 3, -1, -1)), (struct qn_image_options){ .size = sizes[i] }, QONNX_E_USAGE,
                "224 or 224x320");
    }
}

/* ---- values ---- */

static float value_at(const struct qn_image_input *input, int channel, int pixel)
{
    float value;

    memcpy(&value, input->values[channel][pixel], sizeof value);
    return value;
}

static void pixels_become_what_training_made_of_them(void **state)
{
    struct qn_port        port = port_of(QN_FLOAT, 4, DIMS(1, 3, 2, 2));
    struct qn_image_input input;

    (void)state;
    accepts(&input, &port, (struct qn_image_options){ 0 });
    assert_true(value_at(&input, 0, 255) == 1 && value_at(&input, 2, 0) == 0);
    accepts(&input, &port, (struct qn_image_options){ .range = 255, .mean = "127", .std = "128" });
    assert_true(value_at(&input, 1, 255) == 1 && value_at(&input, 1, 0) == -127.0f / 128);
    accepts(&input, &port, (struct qn_image_options){ .mean = "0.485,0.456,0.406", .std = "0.229,0.224,0.225" });
    assert_true(value_at(&input, 0, 100) == (float)((100.0 / 255 - 0.485) / 0.229));
    assert_true(value_at(&input, 2, 7) == (float)((7.0 / 255 - 0.406) / 0.225));
    port.dtype = QN_UINT8;
    accepts(&input, &port, (struct qn_image_options){ .range = 255 });
    assert_int_equal(input.item, 1);
    assert_int_equal(input.values[2][200][0], 200);
}

static void numbers_that_make_no_sense_are_refused(void **state)
{
    static const char *const bad[] = { "", "a", "1,2", "1,2,3,4", "1,,3", "nan", "inf", "1;2;3", "1," };
    const struct qn_port port = port_of(QN_FLOAT, 4, DIMS(1, 3, 4, 4)), bytes = port_of(QN_UINT8, 4, DIMS(1, 3, 4, 4));

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        refuses(port, (struct qn_image_options){ .mean = bad[i] }, QONNX_E_USAGE, "--image-mean");
        refuses(port, (struct qn_image_options){ .std = bad[i] }, QONNX_E_USAGE, "--image-std");
    }
    refuses(port, (struct qn_image_options){ .std = "0" }, QONNX_E_USAGE, "above 0");
    refuses(port, (struct qn_image_options){ .std = "1,-1,1" }, QONNX_E_USAGE, "above 0");
    refuses(bytes, (struct qn_image_options){ .mean = "1" }, QONNX_E_USAGE, "takes integers");
    refuses(port_of(QN_FLOAT, 4, DIMS(1, 1, 4, 4)), (struct qn_image_options){ .mean = "1,2,3" }, QONNX_E_USAGE,
            "one channel");
}

static void channels_and_colors_go_where_the_layout_says(void **state)
{
    const uint8_t         pixels[] = { 1, 2, 3, 4, 5, 6 }; /* two of red, green, blue */
    struct qn_port        first = port_of(QN_UINT8, 4, DIMS(1, 3, 1, 2)), last = port_of(QN_UINT8, 4, DIMS(1, 1, 2, 3));
    struct qn_image_input input;
    uint8_t               got[6];

    (void)state;
    accepts(&input, &first, (struct qn_image_options){ 0 });
    qn_image_input_write(&input, pixels, got);
    assert_memory_equal(got, ((uint8_t[]){ 1, 4, 2, 5, 3, 6 }), 6);
    accepts(&input, &first, (struct qn_image_options){ .color = "bgr" });
    qn_image_input_write(&input, pixels, got);
    assert_memory_equal(got, ((uint8_t[]){ 3, 6, 2, 5, 1, 4 }), 6);
    accepts(&input, &last, (struct qn_image_options){ .color = "bgr", .layout = "nhwc" });
    qn_image_input_write(&input, pixels, got);
    assert_memory_equal(got, ((uint8_t[]){ 3, 2, 1, 6, 5, 4 }), 6);
}

/* ---- geometry ---- */

static void images_are_cropped_stretched_or_padded_to_the_input(void **state)
{
    static const struct {
        const char          *fit;
        double               crop;
        size_t               width, height;
        struct qn_image_part part;
    } cases[] = {
        /* as torchvision's Resize(256) and CenterCrop(224) */
        { NULL, 87.5, 500, 375, { 341, 256, 58, 16, 224, 224 } },
        { "crop", 87.5, 375, 500, { 256, 341, 16, 58, 224, 224 } },
        { "crop", 100, 448, 448, { 224, 224, 0, 0, 224, 224 } },
        { "crop", 0, 1000, 10, { 22400, 224, 11088, 0, 224, 224 } },
        { "stretch", 100, 500, 375, { 224, 224, 0, 0, 224, 224 } },
        { "stretch", 50, 500, 375, { 448, 448, 112, 112, 224, 224 } },
        { "pad", 100, 500, 375, { 224, 168, 0, -28, 224, 224 } },
        { "pad", 100, 375, 500, { 168, 224, -28, 0, 224, 224 } },
        { "pad", 100, 65500, 1, { 224, 1, 0, -111, 224, 224 } },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qn_port        port = port_of(QN_FLOAT, 4, DIMS(1, 3, 224, 224));
        struct qn_image_input input;
        struct qn_image_part  part;
        accepts(&input, &port, (struct qn_image_options){ .fit = cases[i].fit, .crop = cases[i].crop });
        part = qn_image_input_part(&input, cases[i].width, cases[i].height);
        if (memcmp(&part, &cases[i].part, sizeof part) != 0)
            fail_msg("case %zu: %zu x %zu from %td,%td", i, part.width, part.height, part.x, part.y);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channels_are_found_where_one_or_three_are),
        cmocka_unit_test(what_no_image_fits_is_refused_with_the_option_that_helps),
        cmocka_unit_test(pixels_become_what_training_made_of_them),
        cmocka_unit_test(numbers_that_make_no_sense_are_refused),
        cmocka_unit_test(channels_and_colors_go_where_the_layout_says),
        cmocka_unit_test(images_are_cropped_stretched_or_padded_to_the_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
