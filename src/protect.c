/* SPDX-License-Identifier: Apache-2.0 */
#include "protect.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/strbuf.h"

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The folder that the path's last part lies in, `above` folders higher. */
static bool stat_folder(const char *path, const char *above, struct stat *folder)
{
    struct qn_strbuf text;
    bool             found;

    qn_strbuf_init(&text);
    qn_strbuf_add(&text, path, (size_t)(base_of(path) - path));
    qn_strbuf_puts(&text, text.length ? above : *above ? ".." : ".");
    found = !text.failed && stat(text.text, folder) == 0;
    qn_strbuf_release(&text);
    return found;
}

static bool same(const struct stat *a, const struct stat *b) { return a->st_dev == b->st_dev && a->st_ino == b->st_ino; }

/* Also of files that do not exist yet. */
bool qn_same_file(const char *a, const char *b)
{
    struct stat x, y;

    if (stat(a, &x) == 0 && stat(b, &y) == 0) return same(&x, &y);
    return strcmp(base_of(a), base_of(b)) == 0 && stat_folder(a, "", &x) && stat_folder(b, "", &y) && same(&x, &y);
}

static bool ends_in(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length > tail && strcmp(text + length - tail, end) == 0;
}

/* The data themselves, or an existing file of samples in their folder or in a folder of that. */
static bool holds_samples(const char *path, const char *calib)
{
    static const char *const ends[] = { ".npz", ".npy", ".pb", ".jpg", ".jpeg", ".png", ".raw", ".bin" };
    struct stat              folder, file, data;
    bool                     known = false;

    if (qn_same_file(path, calib)) return true;
    if (stat(calib, &data) != 0 || !S_ISDIR(data.st_mode) || stat(path, &file) != 0) return false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends && !known; i++) known = ends_in(path, ends[i]);
    if (!known) return false;
    return (stat_folder(path, "", &folder) && same(&folder, &data)) ||
           (stat_folder(path, "..", &folder) && same(&folder, &data));
}

qonnx_status qn_protect_result(const char *path, const char *option, const char *input, const char *calib,
                               const char *other, qonnx_error *err)
{
    if (qn_same_file(path, input) || qn_same_file(path, other) || (calib && holds_samples(path, calib)))
        return qn_fail(err, QONNX_E_USAGE, "%s: '%s' is the model, the data or another result", option, path);
    return QONNX_OK;
}

qonnx_status qn_protect_files(const char *input, const char *calib, const char *output, const char *sidecar,
                              qonnx_error *err)
{
    if (calib && holds_samples(output, calib))
        return qn_fail(err, QONNX_E_USAGE, "'%s' holds calibration data, which the result would replace", output);
    return sidecar ? qn_protect_result(sidecar, "--sidecar", input, calib, output, err) : QONNX_OK;
}

qonnx_status qn_protect_weights(const struct qn_map *maps, size_t count, const char *result, qonnx_error *err)
{
    struct stat file;

    if (!result || stat(result, &file) != 0) return QONNX_OK;
    for (size_t i = 0; i < count; i++)
        if (file.st_dev == maps[i].device && file.st_ino == maps[i].inode)
            return qn_fail(err, QONNX_E_USAGE, "'%s' holds weights of the model, which the result would replace", result);
    return QONNX_OK;
}
