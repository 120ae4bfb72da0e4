/* SPDX-License-Identifier: Apache-2.0 */
#include "run/image_input.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/numerals.h"
#include "onnx/dtype.h"
#include "run/npy.h"

enum { LARGEST_SIDE = 16384 };

static bool is(const char *word, const char *value) { return word && strcmp(word, value) == 0; }

/* "input 'x' [?,3,?,?]", for messages. */
static qonnx_status complain(const struct qn_port *port, qonnx_status status, const char *what, qonnx_error *err)
{
    struct qn_strbuf text;

    qn_strbuf_init(&text);
    qn_strbuf_puts(&text, "the model's input ");
    qn_strbuf_quote(&text, port->name);
    if (port->rank >= 0) {
        qn_strbuf_puts(&text, " ");
        qn_add_shape(&text, port->rank, port->dims);
    }
    qn_fail(err, status, "%s %s", text.text, what);
    qn_strbuf_release(&text);
    return status;
}

/* ---- layout ---- */

static bool may_be_channels(int64_t size) { return size == 1 || size == 3; }

/* The axes of channels, height and width; channels -1: there is none, all pixels are brightness. */
struct axes {
    int channels, height, width;
};

static qonnx_status find_axes(struct qn_image_input *input, const char *layout, struct axes *axes, qonnx_error *err)
{
    const struct qn_port *port = input->port;
    const int             rank = port->rank < 0 ? 4 : port->rank, lead = rank - 3;
    bool                  first, last;

    if (rank != 3 && rank != 4)
        return complain(port, QONNX_E_DATA,
                        "takes no images: these feed inputs of [N,channels,height,width] or [N,height,width,channels]",
                        err);
    first = is(layout, "nchw");
    last = is(layout, "nhwc");
    if (!first && !last && port->rank >= 0) {
        first = may_be_channels(port->dims[lead]);
        last = !first && may_be_channels(port->dims[rank - 1]);
        if (!first && !last && port->dims[lead] >= 0 && port->dims[rank - 1] >= 0)
            return complain(port, QONNX_E_DATA, "has no axis of 1 or 3 channels, which are what images have", err);
    }
    if (!first && !last)
        return complain(port, QONNX_E_USAGE,
                        "does not tell which of its axes are the channels: --image-layout nchw or nhwc says it", err);
    input->channels_last = last;
    *axes = last ? (struct axes){ rank - 1, lead, lead + 1 } : (struct axes){ lead, lead + 1, lead + 2 };
    return QONNX_OK;
}

static qonnx_status read_side(const char **text, size_t *side)
{
    char *end;
    long  value;

    errno = 0;
    value = **text >= '0' && **text <= '9' ? strtol(*text, &end, 10) : 0;
    if (errno || value < 1 || value > LARGEST_SIDE) return QONNX_E_USAGE;
    *side = (size_t)value;
    *text = end;
    return QONNX_OK;
}

static qonnx_status read_size(struct qn_image_input *input, const char *text, qonnx_error *err)
{
    const char *at = text;

    if (read_side(&at, &input->height) == QONNX_OK) {
        input->width = input->height;
        if (!*at) return QONNX_OK;
        if (*at++ == 'x' && read_side(&at, &input->width) == QONNX_OK && !*at) return QONNX_OK;
    }
    return qn_fail(err, QONNX_E_USAGE, "--image-size %s: 224 or 224x320 (height x width) is wanted, each up to %d",
                   text, LARGEST_SIDE);
}

/* The input's shape, where it is open filled in by the options. */
static qonnx_status find_shape(struct qn_image_input *input, const struct qn_image_options *options, qonnx_error *err)
{
    const struct qn_port *port = input->port;
    struct axes           axes;
    int64_t              *dims = input->dims;

    QN_TRY(find_axes(input, options->layout, &axes, err));
    input->rank = port->rank < 0 ? 4 : port->rank;
    for (int i = 0; i < input->rank; i++) dims[i] = port->rank < 0 ? -1 : port->dims[i];
    if (input->rank == 4 && dims[0] > 1)
        return complain(port, QONNX_E_DATA, "takes several images at once; make an .npz of such batches", err);
    if (input->rank == 4) dims[0] = 1;
    if (dims[axes.channels] < 0) dims[axes.channels] = 3;
    if (!may_be_channels(dims[axes.channels]))
        return complain(port, QONNX_E_USAGE, "has not 1 or 3 channels there: --image-layout does not fit it", err);
    input->channels = (int)dims[axes.channels];
    if (options->size) {
        QN_TRY(read_size(input, options->size, err));
    } else {
        if (dims[axes.height] < 0 || dims[axes.width] < 0)
            return complain(port, QONNX_E_USAGE,
                            "leaves height or width open: --image-size HEIGHTxWIDTH says how large images are fed",
                            err);
        input->height = (size_t)dims[axes.height];
        input->width = (size_t)dims[axes.width];
    }
    if (dims[axes.height] < 0) dims[axes.height] = (int64_t)input->height;
    if (dims[axes.width] < 0) dims[axes.width] = (int64_t)input->width;
    if (dims[axes.height] != (int64_t)input->height || dims[axes.width] != (int64_t)input->width)
        return complain(port, QONNX_E_USAGE, "is not of the size that --image-size says", err);
    if (!input->height || !input->width || input->height > LARGEST_SIDE || input->width > LARGEST_SIDE)
        return complain(port, QONNX_E_DATA, "is of no size that images can be fed in", err);
    return QONNX_OK;
}

/* ---- values ---- */

/* One number for all channels or one for each. */
static qonnx_status read_numbers(const struct qn_image_input *input, const char *option, const char *text,
                                 double *numbers, qonnx_error *err)
{
    const char *at = text;
    int         count = 0;
    bool        good = true;

    if (!text) return QONNX_OK;
    for (bool more = true; more && good; count++) {
        char  *end;
        double value = qn_strtod(at, &end);
        good = end != at && isfinite(value) && count < input->channels && (*end == ',' || !*end);
        more = good && *end == ',';
        if (good) numbers[count] = value;
        at = end + more;
    }
    if (!good || (count != 1 && count != input->channels))
        return qn_fail(err, QONNX_E_USAGE, "--image-%s %s: one number is wanted%s", option, text,
                       input->channels == 1 ? ", the input has one channel"
                                            : ", or three with commas between for the input's three channels");
    for (int c = count; c < input->channels; c++) numbers[c] = numbers[0];
    return QONNX_OK;
}

static qonnx_status find_float_values(struct qn_image_input *input, const struct qn_image_options *options,
                                      struct qn_strbuf *notes, qonnx_error *err)
{
    const double range = options->range ? (double)options->range : 1;
    double       mean[3] = { 0 }, deviation[3] = { 1, 1, 1 };
    size_t       at;

    QN_TRY(read_numbers(input, "mean", options->mean, mean, err));
    QN_TRY(read_numbers(input, "std", options->std, deviation, err));
    for (int c = 0; c < input->channels; c++) {
        if (!(deviation[c] > 0)) return qn_fail(err, QONNX_E_USAGE, "--image-std %s: has to be above 0", options->std);
        for (int pixel = 0; pixel < 256; pixel++) {
            double value = (pixel * range / 255 - mean[c]) / deviation[c];
            if (!qn_elements_convert(input->values[c][pixel], input->dtype, &value, QN_DOUBLE, 1, &at))
                return complain(input->port, QONNX_E_DATA, "does not hold such values", err);
        }
    }
    if (!options->mean && !options->std && !options->range)
        qn_feed_note(
            notes,
            "pixels are fed as 0 to 1: if the model was trained with other values, --image-range, --image-mean and "
            "--image-std say so");
    return QONNX_OK;
}

static qonnx_status find_integer_values(struct qn_image_input *input, const struct qn_image_options *options,
                                        qonnx_error *err)
{
    size_t at;

    if (options->mean || options->std || (options->range && options->range != 255))
        return complain(input->port, QONNX_E_USAGE,
                        "takes integers, so pixels as they are: --image-mean, --image-std and --image-range are for "
                        "inputs of floats",
                        err);
    for (int c = 0; c < input->channels; c++)
        for (int pixel = 0; pixel < 256; pixel++) {
            uint8_t value = (uint8_t)pixel;
            if (!qn_elements_convert(input->values[c][pixel], input->dtype, &value, QN_UINT8, 1, &at))
                return complain(input->port, QONNX_E_DATA, "holds no numbers up to 255, which pixels go to", err);
        }
    return QONNX_OK;
}

static qonnx_status find_values(struct qn_image_input *input, const struct qn_image_options *options,
                                struct qn_strbuf *notes, qonnx_error *err)
{
    input->dtype = input->port->dtype ? input->port->dtype : QN_FLOAT;
    input->item = (size_t)qn_dtype_find(input->dtype)->bits / 8;
    if (qn_elements_convertible(QN_DOUBLE, input->dtype)) return find_float_values(input, options, notes, err);
    if (qn_elements_convertible(QN_UINT8, input->dtype)) return find_integer_values(input, options, err);
    return complain(input->port, QONNX_E_DATA, "does not hold numbers", err);
}

qonnx_status qn_image_input_init(struct qn_image_input *input, const struct qn_port *port,
                                 const struct qn_image_options *options, struct qn_strbuf *notes, qonnx_error *err)
{
    memset(input, 0, sizeof *input);
    input->port = port;
    input->reversed = is(options->color, "bgr");
    input->fit = is(options->fit, "stretch") ? QN_FIT_STRETCH : is(options->fit, "pad") ? QN_FIT_PAD : QN_FIT_CROP;
    input->left = options->crop > 0 ? options->crop / 100 : 1;
    input->filter = qn_image_filter_find(options->filter ? options->filter : "bilinear");
    input->fill = (uint8_t)options->fill;
    if (!input->filter) return qn_fail(err, QONNX_E_USAGE, "-o image-filter: unknown filter '%s'", options->filter);
    QN_TRY(find_shape(input, options, err));
    return find_values(input, options, notes, err);
}

/* ---- geometry ---- */

/* Side b of the image when side a becomes `size`. */
static size_t scaled(size_t size, size_t b, size_t a, bool nearest)
{
    uint64_t product = (uint64_t)size * b;
    size_t   result = (size_t)((nearest ? product + a / 2 : product) / a);
    return result ? result : 1;
}

/* The middle, as Pillow and torchvision take it: of an odd rest the half is rounded to even. */
static ptrdiff_t middle(size_t whole, size_t part)
{
    if (whole >= part) return (ptrdiff_t)rint((double)(whole - part) / 2);
    return -(ptrdiff_t)((part - whole) / 2);
}

struct qn_image_part qn_image_input_part(const struct qn_image_input *input, size_t width, size_t height)
{
    const size_t w = (size_t)rint((double)input->width / input->left),
                 h = (size_t)rint((double)input->height / input->left);
    const bool           wide = (uint64_t)width * h >= (uint64_t)height * w; /* than the input */
    struct qn_image_part part = { .width = w, .height = h, .part_width = input->width, .part_height = input->height };

    if (input->fit == QN_FIT_CROP && wide) part.width = scaled(h, width, height, false);
    if (input->fit == QN_FIT_CROP && !wide) part.height = scaled(w, height, width, false);
    if (input->fit == QN_FIT_PAD && wide) part.height = scaled(w, height, width, true);
    if (input->fit == QN_FIT_PAD && !wide) part.width = scaled(h, width, height, true);
    part.x = middle(part.width, part.part_width);
    part.y = middle(part.height, part.part_height);
    return part;
}

void qn_image_input_write(const struct qn_image_input *input, const uint8_t *pixels, void *data)
{
    const size_t count = input->height * input->width, channels = (size_t)input->channels, item = input->item;
    uint8_t     *to = data;

    for (size_t c = 0; c < channels; c++) {
        const size_t from = input->reversed ? channels - 1 - c : c;
        const size_t step = input->channels_last ? channels * item : item;
        uint8_t     *place = to + (input->channels_last ? c * item : c * count * item);
        for (size_t i = 0; i < count; i++, place += step)
            memcpy(place, input->values[c][pixels[i * channels + from]], item);
    }
}
