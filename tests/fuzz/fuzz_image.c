/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as an image, in brightness and in colour: refused with a clear error, or as many rows as its header says, which
 * resize to a picture that is the same each time. */
#include "fuzz.h"
#include "run/image.h"

enum { SIDE = 7, SLOW = 1 << 20 };

/* False when the image is refused. */
static int resize(const uint8_t *data, size_t size, int channels, const char *filter, uint8_t *pixels)
{
    const struct qn_image_part part = { SIDE + 2, SIDE, -1, 1, SIDE, SIDE };
    struct qn_image            image;
    qonnx_error                err = { 0 };
    qonnx_status               status = qn_image_open(&image, data, size, channels, &err);

    if (status == QONNX_OK) {
        PROMISE(image.width && image.height && image.width * image.height <= QN_IMAGE_PIXELS);
        PROMISE(image.orientation >= 1 && image.orientation <= 8);
        if (image.width * image.height > SLOW) { /* it may well be one, but takes its time */
            qn_image_close(&image);
            return 0;
        }
        status = qn_image_resample(&image, &part, qn_image_filter_find(filter), 3, pixels, &err);
    }
    qn_image_close(&image);
    if (status != QONNX_OK) promise_clear_error(status, &err);
    return status == QONNX_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t first[SIDE * SIDE * 3] = { 0 }, second[sizeof first] = { 0 };

    for (int channels = 1; channels <= 3; channels += 2) {
        int good = resize(data, size, channels, channels == 1 ? "bilinear" : "bicubic", first);
        PROMISE(resize(data, size, channels, channels == 1 ? "bilinear" : "bicubic", second) == good);
        PROMISE(!good || memcmp(first, second, sizeof first) == 0);
    }
    return 0;
}
