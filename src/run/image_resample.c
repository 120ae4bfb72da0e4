/* SPDX-License-Identifier: Apache-2.0
 * Resizing by separable filters while rows come in: of a large image only one row and the result are in memory. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "run/image.h"

/* ---- filters ---- */

struct qn_image_filter {
    const char *name;
    double      reach; /* zero from there on */
    double (*weight)(double x);
};

static double triangle(double x) { return fmax(0, 1 - fabs(x)); }

static double cubic(double x)
{
    const double a = -0.5;

    x = fabs(x);
    if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

static const struct qn_image_filter filters[] = { { "bilinear", 1, triangle }, { "bicubic", 2, cubic } };

const struct qn_image_filter *qn_image_filter_find(const char *name)
{
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++)
        if (strcmp(filters[i].name, name) == 0) return &filters[i];
    return NULL;
}

/* ---- one axis ---- */

/* Element i of the part is the sum of weights[k] times element first[i] + k of the source. */
struct axis {
    size_t  count, widest;
    size_t *first, *taps; /* taps 0: outside of the image */
    double *weights;      /* widest for each */
};

static void axis_release(struct axis *axis)
{
    free(axis->first);
    free(axis->taps);
    free(axis->weights);
}

static void weigh(struct axis *axis, size_t i, double center, double stretch, size_t source,
                  const struct qn_image_filter *filter)
{
    double  reach = filter->reach * stretch, sum = 0;
    double *weights = axis->weights + i * axis->widest;
    double  low = floor(center - reach + 0.5), high = floor(center + reach + 0.5);
    size_t  first = low > 0 ? (size_t)low : 0, end = high < (double)source ? (size_t)high : source;

    for (size_t k = 0; k < end - first; k++)
        sum += weights[k] = filter->weight(((double)(first + k) - center + 0.5) / stretch);
    for (size_t k = 0; k < end - first; k++) weights[k] /= sum;
    axis->first[i] = first;
    axis->taps[i] = end - first;
}

static qonnx_status axis_init(struct axis *axis, size_t source, size_t resized, ptrdiff_t start, size_t count,
                              const struct qn_image_filter *filter, qonnx_error *err)
{
    double scale = (double)source / (double)resized, stretch = fmax(scale, 1);
    size_t cells;

    axis->count = count;
    axis->widest = (size_t)ceil(filter->reach * stretch) * 2 + 2;
    if (__builtin_mul_overflow(count, axis->widest, &cells)) return qn_fail_nomem(err);
    axis->first = calloc(count, sizeof *axis->first);
    axis->taps = calloc(count, sizeof *axis->taps);
    axis->weights = calloc(cells, sizeof *axis->weights);
    if (!axis->first || !axis->taps || !axis->weights) return qn_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        ptrdiff_t at = start + (ptrdiff_t)i;
        if (at >= 0 && (size_t)at < resized) weigh(axis, i, ((double)at + 0.5) * scale, stretch, source, filter);
    }
    return QONNX_OK;
}

/* ---- turning ---- */

/* Exif's orientations: the stored image's axes are swapped; the upright one's columns or rows run backwards. */
static bool is_swapped(int orientation) { return orientation >= 5; }
static bool is_mirrored(int orientation) { return (orientation - 1) % 4 == 1 || (orientation - 1) % 4 == 2; }
static bool is_upside_down(int orientation) { return (orientation - 1) % 4 >= 2; }

static void swap(size_t *a, size_t *b)
{
    size_t kept = *a;
    *a = *b;
    *b = kept;
}

struct qn_image_part qn_image_part_stored(const struct qn_image_part *upright, int orientation)
{
    struct qn_image_part part = *upright;
    ptrdiff_t            x;

    if (is_mirrored(orientation)) part.x = (ptrdiff_t)part.width - part.x - (ptrdiff_t)part.part_width;
    if (is_upside_down(orientation)) part.y = (ptrdiff_t)part.height - part.y - (ptrdiff_t)part.part_height;
    if (!is_swapped(orientation)) return part;
    x = part.x;
    part.x = part.y;
    part.y = x;
    swap(&part.width, &part.height);
    swap(&part.part_width, &part.part_height);
    return part;
}

/* ---- resampling ---- */

struct resampler {
    struct axis columns, rows; /* of the stored image */
    size_t      channels;
    uint8_t    *source;      /* a row of it */
    double     *line, *sums; /* that row resampled; the part */
};

static void release(struct resampler *r)
{
    axis_release(&r->columns);
    axis_release(&r->rows);
    free(r->source);
    free(r->line);
    free(r->sums);
}

static void resample_line(struct resampler *r)
{
    for (size_t i = 0; i < r->columns.count; i++) {
        const double  *weights = r->columns.weights + i * r->columns.widest;
        const uint8_t *from = r->source + r->columns.first[i] * r->channels;
        for (size_t c = 0; c < r->channels; c++) {
            double sum = 0;
            for (size_t k = 0; k < r->columns.taps[i]; k++) sum += weights[k] * from[k * r->channels + c];
            r->line[i * r->channels + c] = sum;
        }
    }
}

static qonnx_status add_rows(struct resampler *r, struct qn_image *image, qonnx_error *err)
{
    const struct axis *rows = &r->rows;
    const size_t       width = r->columns.count * r->channels;
    size_t             from = 0;

    while (from < rows->count && !rows->taps[from]) from++;
    for (size_t y = 0; y < image->height; y++) {
        QN_TRY(qn_image_row(image, r->source, err));
        while (from < rows->count && rows->taps[from] && rows->first[from] + rows->taps[from] <= y) from++;
        for (size_t i = from; i < rows->count && rows->taps[i] && rows->first[i] <= y; i++) {
            const double weight = rows->weights[i * rows->widest + (y - rows->first[i])];
            if (i == from) resample_line(r);
            for (size_t k = 0; k < width; k++) r->sums[i * width + k] += weight * r->line[k];
        }
    }
    return QONNX_OK;
}

static void round_and_turn(const struct resampler *r, const struct qn_image_part *upright, int orientation,
                           uint8_t fill, uint8_t *pixels)
{
    for (size_t y = 0; y < upright->part_height; y++)
        for (size_t x = 0; x < upright->part_width; x++) {
            size_t column = is_mirrored(orientation) ? upright->part_width - 1 - x : x;
            size_t row = is_upside_down(orientation) ? upright->part_height - 1 - y : y;
            if (is_swapped(orientation)) swap(&row, &column);
            const double *from = r->sums + (row * r->columns.count + column) * r->channels;
            const bool    inside = r->rows.taps[row] && r->columns.taps[column];
            for (size_t c = 0; c < r->channels; c++)
                *pixels++ = inside ? (uint8_t)rint(fmin(fmax(from[c], 0), 255)) : fill;
        }
}

qonnx_status qn_image_resample(struct qn_image *image, const struct qn_image_part *upright,
                               const struct qn_image_filter *filter, uint8_t fill, uint8_t *pixels, qonnx_error *err)
{
    struct qn_image_part part = qn_image_part_stored(upright, image->orientation);
    struct resampler     r = { .channels = (size_t)image->channels };
    qonnx_status         status;

    status = axis_init(&r.columns, image->width, part.width, part.x, part.part_width, filter, err);
    if (status == QONNX_OK)
        status = axis_init(&r.rows, image->height, part.height, part.y, part.part_height, filter, err);
    if (status == QONNX_OK) {
        r.source = malloc(image->width * r.channels);
        r.line = calloc(part.part_width, r.channels * sizeof *r.line);
        r.sums = calloc(part.part_width * part.part_height, r.channels * sizeof *r.sums);
        if (!r.source || !r.line || !r.sums) status = qn_fail_nomem(err);
    }
    if (status == QONNX_OK) status = add_rows(&r, image, err);
    if (status == QONNX_OK) round_and_turn(&r, upright, image->orientation, fill, pixels);
    release(&r);
    return status;
}
