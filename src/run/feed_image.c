/* SPDX-License-Identifier: Apache-2.0
 * Samples out of image files, one of which is decoded at a time. They are not looked at before it is their turn: a folder may
 * hold far more of them than are asked for. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "run/feed_source.h"
#include "run/image_input.h"

struct images {
    struct qn_source      base;
    struct qn_data_files  files;
    struct qn_image_input input;
    size_t                next;
    uint8_t              *pixels;
};

static qonnx_status read_image(struct images *images, const char *path, void *data, qonnx_error *err)
{
    struct qn_map        map;
    struct qn_image      image = { 0 };
    struct qn_image_part part;
    qonnx_status         status = qn_map_open(&map, path, false, err);

    if (status == QONNX_E_IO) { /* of the data, not of the model */
        if (err) err->status = QONNX_E_DATA;
        return QONNX_E_DATA;
    }
    QN_TRY(status);
    status = qn_image_open(&image, map.data, map.size, images->input.channels, err);
    if (status == QONNX_OK) {
        bool turned = image.orientation >= 5; /* onto its side */
        part = qn_image_input_part(&images->input, turned ? image.height : image.width,
                                   turned ? image.width : image.height);
        status = qn_image_resample(&image, &part, images->input.filter, images->input.fill, images->pixels, err);
    }
    if (status == QONNX_OK) qn_image_input_write(&images->input, images->pixels, data);
    qn_image_close(&image);
    qn_map_release(&map);
    return qn_wrap(err, status, "%s", path);
}

static qonnx_status images_next(struct qn_source *source, struct qn_sample *sample, qonnx_error *err)
{
    struct images               *images = (struct images *)source;
    const struct qn_image_input *input = &images->input;
    const char                  *path = images->files.files[images->next++].path;
    void                        *data;

    if (!sample) return QONNX_OK;
    QN_TRY(qn_sample_place(sample, 1, 0, input->port->name, input->dtype, input->rank, input->dims, &data, err));
    return read_image(images, path, data, err);
}

static qonnx_status images_rewind(struct qn_source *source, qonnx_error *err)
{
    (void)err;
    ((struct images *)source)->next = 0;
    return QONNX_OK;
}

static void images_name(const struct qn_source *source, size_t position, struct qn_strbuf *text)
{
    const struct images *images = (const struct images *)source;
    qn_strbuf_puts(text, images->files.files[position].path + images->files.prefix);
}

static void images_close(struct qn_source *source)
{
    struct images *images = (struct images *)source;

    qn_data_files_release(&images->files);
    free(images->pixels);
    free(images);
}

static bool in_several_folders(const struct qn_data_files *files)
{
    const char *first = files->files[0].path, *last = files->files[files->count - 1].path;
    size_t      a = (size_t)(strrchr(first, '/') - first), b = (size_t)(strrchr(last, '/') - last);
    return a != b || strncmp(first, last, a) != 0;
}

qonnx_status qn_source_images(struct qn_source **source, struct qn_data_files *files, const struct qn_feed_ports *want,
                              qonnx_error *err)
{
    struct images *images = calloc(1, sizeof *images);
    qonnx_status   status;

    if (!images) {
        qn_data_files_release(files);
        return qn_fail_nomem(err);
    }
    images->files = *files;
    images->base = (struct qn_source){ .count = files->count,
                                       .next = images_next,
                                       .rewind = images_rewind,
                                       .close = images_close,
                                       .name = images_name,
                                       .grouped = files->folder && in_several_folders(files) };
    status = want->count == 1
                 ? qn_image_input_init(&images->input, &want->ports[0], want->images, want->notes, err)
                 : qn_fail(err, QONNX_E_DATA, "images feed models with one input, this one has %zu: use an .npz",
                           want->count);
    if (status == QONNX_OK &&
        !(images->pixels = malloc(images->input.height * images->input.width * (size_t)images->input.channels)))
        status = qn_fail_nomem(err);
    if (status == QONNX_OK)
        *source = &images->base;
    else
        images_close(&images->base);
    return status;
}
