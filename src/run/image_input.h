/* SPDX-License-Identifier: Apache-2.0
 * How an image becomes a model's input. For feed_image.c. */
#ifndef QN_RUN_IMAGE_INPUT_H
#define QN_RUN_IMAGE_INPUT_H

#include "run/feed_source.h"
#include "run/image.h"

enum qn_image_fit { QN_FIT_CROP, QN_FIT_STRETCH, QN_FIT_PAD };

struct qn_image_input {
    const struct qn_port         *port;
    int                           channels;      /* 1 or 3 */
    bool                          channels_last; /* NHWC */
    bool                          reversed;      /* blue first */
    size_t                        height, width;
    enum qn_image_fit             fit;
    double                        left; /* share of its side that is left of a resized image */
    const struct qn_image_filter *filter;
    uint8_t                       fill;
    int                           rank;
    int64_t                       dims[4];
    int32_t                       dtype;
    size_t                        item;
    uint8_t values[3][256][sizeof(double)]; /* what each pixel of each of the input's channels becomes */
};

/* E_USAGE for options that contradict each other or the input, or that are needed and missing; E_DATA for inputs that take no
 * images. Assumptions leave a note. */
QONNX_MUST_CHECK qonnx_status qn_image_input_init(struct qn_image_input *input, const struct qn_port *port,
                                                  const struct qn_image_options *options, struct qn_strbuf *notes,
                                                  qonnx_error *err);
/* Which part of an upright image of this size is fed, of the input's size. */
struct qn_image_part          qn_image_input_part(const struct qn_image_input *input, size_t width, size_t height);
/* Pixels of that part to elements of the input. */
void qn_image_input_write(const struct qn_image_input *input, const uint8_t *pixels, void *data);

#endif
