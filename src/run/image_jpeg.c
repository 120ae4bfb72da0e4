/* SPDX-License-Identifier: Apache-2.0
 * JPEG, by libjpeg. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "run/image.h"

/* A progressive image may claim any number of scans, each of which goes over all of it. */
enum { SCANS_MOST = 200 };

struct decoder {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr         errors;
    struct jpeg_progress_mgr      progress;
    jmp_buf                       failed;
    qonnx_status                  status;
    char                          text[JMSG_LENGTH_MAX];
    uint8_t                      *inks; /* a row of cyan, magenta, yellow and black; NULL: the image has none */
};

_Noreturn static void fail(j_common_ptr jpeg)
{
    struct decoder *decoder = jpeg->client_data;

    decoder->status = jpeg->err->msg_code == JERR_OUT_OF_MEMORY ? QONNX_E_NOMEM : QONNX_E_DATA;
    jpeg->err->format_message(jpeg, decoder->text);
    longjmp(decoder->failed, 1);
}

/* libjpeg goes on with whatever pixels it can make up; only what changes no pixel may pass. */
static void warn(j_common_ptr jpeg, int level)
{
    static const int harmless[] = { JWRN_EXTRANEOUS_DATA, JWRN_ADOBE_XFORM, JWRN_JFIF_MAJOR };

    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        if (jpeg->err->msg_code == harmless[i]) return;
    if (level < 0) fail(jpeg);
}

static void say_nothing(j_common_ptr jpeg) { (void)jpeg; }

static void watch(j_common_ptr jpeg)
{
    struct decoder *decoder = jpeg->client_data;

    if (decoder->jpeg.input_scan_number <= SCANS_MOST) return;
    decoder->status = QONNX_E_DATA;
    snprintf(decoder->text, sizeof decoder->text, "more than %d scans", SCANS_MOST);
    longjmp(decoder->failed, 1);
}

static qonnx_status complain(const struct decoder *decoder, qonnx_error *err)
{
    if (decoder->status == QONNX_E_NOMEM) return qn_fail_nomem(err);
    return qn_fail(err, decoder->status, "damaged JPEG image: %s", decoder->text);
}

/* ---- rows ---- */

/* Adobe's programs, which are those that write such files, store inks turned over: 255 is none. In place. */
static void mix_inks(const struct jpeg_decompress_struct *jpeg, uint8_t *row)
{
    const unsigned turn = jpeg->saw_Adobe_marker ? 0 : 255;

    for (size_t i = 0; i < jpeg->output_width; i++) {
        const unsigned light = row[4 * i + 3] ^ turn;
        for (size_t c = 0; c < 3; c++) row[3 * i + c] = (uint8_t)(((row[4 * i + c] ^ turn) * light + 127) / 255);
    }
}

static qonnx_status jpeg_row(struct qn_image *image, uint8_t *pixels, qonnx_error *err)
{
    struct decoder *decoder = image->decoder;
    uint8_t        *row = decoder->inks ? decoder->inks : pixels;

    if (setjmp(decoder->failed)) return complain(decoder, err);
    if (jpeg_read_scanlines(&decoder->jpeg, &row, 1) != 1) return qn_fail(err, QONNX_E_DATA, "ends too early");
    if (!decoder->inks) return QONNX_OK;
    mix_inks(&decoder->jpeg, decoder->inks);
    if (image->channels == 1) qn_image_to_gray(decoder->inks, image->width);
    memcpy(pixels, decoder->inks, image->width * (size_t)image->channels);
    return QONNX_OK;
}

static void jpeg_close(struct qn_image *image)
{
    struct decoder *decoder = image->decoder;

    if (setjmp(decoder->failed) == 0) jpeg_destroy_decompress(&decoder->jpeg);
    free(decoder->inks);
    free(decoder);
}

/* ---- the header ---- */

static int orientation(const struct jpeg_decompress_struct *jpeg)
{
    static const uint8_t start[6] = "Exif\0";

    for (const struct jpeg_marker_struct *marker = jpeg->marker_list; marker; marker = marker->next)
        if (marker->data_length > sizeof start && memcmp(marker->data, start, sizeof start) == 0)
            return qn_image_exif_orientation(marker->data + sizeof start, marker->data_length - sizeof start);
    return 1;
}

static qonnx_status read_header(struct qn_image *image, struct decoder *decoder, const uint8_t *bytes, size_t size,
                                qonnx_error *err)
{
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    bool                           inks;

    if (setjmp(decoder->failed)) return complain(decoder, err);
    jpeg_create_decompress(jpeg);
    jpeg->progress = &decoder->progress;
    jpeg_mem_src(jpeg, bytes, (unsigned long)size);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(jpeg, TRUE);
    image->width = jpeg->image_width;
    image->height = jpeg->image_height;
    image->orientation = orientation(jpeg);
    QN_TRY(qn_image_check_size(image->width, image->height, err));
    inks = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    if (inks && !(decoder->inks = malloc(image->width * 4))) return qn_fail_nomem(err);
    jpeg->out_color_space = inks ? JCS_CMYK : image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(jpeg);
    return QONNX_OK;
}

qonnx_status qn_image_open_jpeg(struct qn_image *image, const uint8_t *bytes, size_t size, qonnx_error *err)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);

    if (!decoder) return qn_fail_nomem(err);
    image->decoder = decoder;
    image->row = jpeg_row;
    image->close = jpeg_close;
    decoder->jpeg.err = jpeg_std_error(&decoder->errors);
    decoder->jpeg.client_data = decoder;
    decoder->errors.error_exit = fail;
    decoder->errors.emit_message = warn;
    decoder->errors.output_message = say_nothing;
    decoder->progress.progress_monitor = watch;
    return read_header(image, decoder, bytes, size, err);
}
