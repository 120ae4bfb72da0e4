/* SPDX-License-Identifier: Apache-2.0 */
#include "run/image.h"

#include <string.h>

qonnx_status qn_image_check_size(size_t width, size_t height, qonnx_error *err)
{
    if (!width || !height) return qn_fail(err, QONNX_E_DATA, "has no pixels");
    if (width > QN_IMAGE_SIDE || height > QN_IMAGE_SIDE || width * height > QN_IMAGE_PIXELS)
        return qn_fail(err, QONNX_E_DATA, "has %zu x %zu pixels, more than the %d million that are read", width, height,
                       QN_IMAGE_PIXELS / 1000000);
    return QONNX_OK;
}

void qn_image_to_gray(uint8_t *pixels, size_t width)
{
    for (size_t i = 0; i < width; i++) {
        const uint8_t *p = pixels + 3 * i;
        pixels[i] = (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 32768u) >> 16);
    }
}

qonnx_status qn_image_open(struct qn_image *image, const uint8_t *bytes, size_t size, int channels, qonnx_error *err)
{
    static const uint8_t jpeg[] = { 0xff, 0xd8, 0xff }, png[] = { 0x89, 'P', 'N', 'G' };
    qonnx_status         status;

    *image = (struct qn_image){ .channels = channels, .orientation = 1 };
    if (size > sizeof jpeg && memcmp(bytes, jpeg, sizeof jpeg) == 0)
        status = qn_image_open_jpeg(image, bytes, size, err);
    else if (size > sizeof png && memcmp(bytes, png, sizeof png) == 0)
        status = qn_image_open_png(image, bytes, size, err);
    else
        return qn_fail(err, QONNX_E_DATA, size ? "is neither a JPEG nor a PNG image" : "is empty");
    if (status == QONNX_OK) status = qn_image_check_size(image->width, image->height, err);
    if (status != QONNX_OK) qn_image_close(image);
    return status;
}

qonnx_status qn_image_row(struct qn_image *image, uint8_t *pixels, qonnx_error *err)
{
    return image->row(image, pixels, err);
}

void qn_image_close(struct qn_image *image)
{
    if (image->close) image->close(image);
    memset(image, 0, sizeof *image);
}

/* ---- Exif: a TIFF header and a list of entries of 12 bytes, of which only 0x0112 is read ---- */

struct exif {
    const uint8_t *bytes;
    size_t         size;
    bool           big;
};

static uint32_t number(const struct exif *exif, size_t at, size_t bytes)
{
    uint32_t value = 0;

    if (at > exif->size || exif->size - at < bytes) return 0;
    for (size_t i = 0; i < bytes; i++) value = value << 8 | exif->bytes[at + (exif->big ? i : bytes - 1 - i)];
    return value;
}

int qn_image_exif_orientation(const uint8_t *bytes, size_t size)
{
    enum { ORIENTATION = 0x0112, SHORT = 3, ENTRY = 12 };
    struct exif exif = { bytes, size, size && bytes[0] == 'M' };
    size_t      list = number(&exif, 4, 4), count = number(&exif, list, 2);

    if (size < 8 || (memcmp(bytes, "II*\0", 4) != 0 && memcmp(bytes, "MM\0*", 4) != 0)) return 1;
    for (size_t i = 0; i < count; i++) {
        size_t   entry = list + 2 + i * ENTRY;
        uint32_t value = number(&exif, entry + 8, 2);
        if (number(&exif, entry, 2) == ORIENTATION && number(&exif, entry + 2, 2) == SHORT)
            return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}
