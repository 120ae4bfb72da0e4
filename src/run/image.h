/* SPDX-License-Identifier: Apache-2.0
 * Images, decoded row by row. For feed_image*.c and image*.c. */
#ifndef QN_RUN_IMAGE_H
#define QN_RUN_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A forged header could ask for any size: so many pixels in a side, and in all. */
enum { QN_IMAGE_SIDE = 65500, QN_IMAGE_PIXELS = 1 << 26 };

/* An image of which the header was read. */
struct qn_image {
    size_t width, height; /* as stored */
    int    channels;      /* of the rows it gives: 1 (brightness) or 3 (red, green, blue) */
    int    orientation;   /* Exif's, 1 ... 8: how the stored rows have to be turned to stand upright */
    /* by whoever decodes it: */
    void  *decoder;
    qonnx_status (*row)(struct qn_image *image, uint8_t *pixels, qonnx_error *err);
    void (*close)(struct qn_image *image);
};

/* JPEG or PNG in memory, which must outlive the image. Transparency is dropped, 16 bits become 8. E_DATA says what is wrong. */
QONNX_MUST_CHECK qonnx_status qn_image_open(struct qn_image *image, const uint8_t *bytes, size_t size, int channels,
                                            qonnx_error *err);
/* The next of `height` rows. E_DATA for damaged and truncated images. */
QONNX_MUST_CHECK qonnx_status qn_image_row(struct qn_image *image, uint8_t *pixels, qonnx_error *err);
void                          qn_image_close(struct qn_image *image); /* a zeroed struct may be closed */

/* ---- resampling ---- */

/* A part of the image as it would be if it were resized to width x height; what lies outside of it is filled. */
struct qn_image_part {
    size_t    width, height;           /* of the whole, resized */
    ptrdiff_t x, y;                    /* where the part begins */
    size_t    part_width, part_height; /* how large it is */
};

/* The stored image's part that shows, once turned upright, this part of the upright image. */
struct qn_image_part qn_image_part_stored(const struct qn_image_part *upright, int orientation);

/* "bilinear" or "bicubic"; NULL: not known. Pixels are weighed as by Pillow's filters of these names: where an image becomes
 * smaller the filter grows with it, so that no pixel is passed over. */
const struct qn_image_filter *qn_image_filter_find(const char *name);

/* Reads all rows and writes the upright part, rows of part_width x channels; `part` is of the upright image. */
QONNX_MUST_CHECK qonnx_status qn_image_resample(struct qn_image *image, const struct qn_image_part *part,
                                                const struct qn_image_filter *filter, uint8_t fill, uint8_t *pixels,
                                                qonnx_error *err);

/* ---- for image*.c ---- */

QONNX_MUST_CHECK qonnx_status qn_image_open_jpeg(struct qn_image *image, const uint8_t *bytes, size_t size,
                                                 qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_image_open_png(struct qn_image *image, const uint8_t *bytes, size_t size,
                                                qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_image_check_size(size_t width, size_t height, qonnx_error *err);
/* The orientation that an Exif block (from its "II" or "MM" on) names; 1 when it names none. */
int                           qn_image_exif_orientation(const uint8_t *exif, size_t size);
/* Rows of red, green and blue to rows of brightness (ITU-R BT.601), in place. */
void                          qn_image_to_gray(uint8_t *pixels, size_t width);

#endif
