/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as calibration data, taken for each kind of file in turn: refused with a clear error, or samples that fit the
 * model's inputs, as many as were promised, and the same ones again in a second pass. */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "onnx/dtype.h"
#include "run/feed.h"

static char folder[] = "/tmp/qonnx-fuzz-XXXXXX";
static int  memory = -1;

static void link_as(const char *name)
{
    char path[200], target[64];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    snprintf(target, sizeof target, "/proc/self/fd/%d", memory);
    PROMISE(symlink(target, path) == 0);
}

static void clean_up(void)
{
    static const char *const names[] = { "a.npz", "a.npy", "a.csv", "a.raw", "d/1.npy", "d", "input_0.pb", "" };
    char                     path[200];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        remove(path);
    }
}

/* One file in memory, under a name of each kind. */
static void set_up(void)
{
    char path[200];

    if (memory >= 0) return;
    PROMISE((memory = memfd_create("fuzz", 0)) >= 0);
    PROMISE(mkdtemp(folder));
    atexit(clean_up);
    snprintf(path, sizeof path, "%s/d", folder);
    PROMISE(mkdir(path, 0700) == 0);
    link_as("a.npz");
    link_as("a.npy");
    link_as("a.csv");
    link_as("a.raw");
    link_as("d/1.npy");
    link_as("input_0.pb");
}

/* Fetches all samples; true when that went well. */
static int drain(struct qn_feed *feed, const struct qn_port *port)
{
    const struct qn_feed_info *info = qn_feed_info(feed);
    struct qn_sample           sample = { 0 };
    qonnx_error                err = { 0 };
    qonnx_status               status = QONNX_OK;
    size_t                     count = 0;

    for (bool done = false; status == QONNX_OK && !done;) {
        status = qn_feed_next(feed, &sample, &done, &err);
        if (status != QONNX_OK || done) continue;
        const struct qn_view *view = &sample.views[0];
        PROMISE(sample.index == count);
        PROMISE(!port->dtype || view->dtype == port->dtype);
        PROMISE(port->rank < 0 || view->rank == port->rank);
        for (int i = 0; i < port->rank; i++) PROMISE(port->dims[i] < 0 || port->dims[i] == view->dims[i]);
        PROMISE(view->size == qn_view_count(view) * (size_t)qn_dtype_find(view->dtype)->bits / 8);
        if (++count == 64) break; /* hostile files may hold a great many small samples */
    }
    qn_sample_release(&sample);
    if (status != QONNX_OK) promise_clear_error(status, &err);
    PROMISE(status != QONNX_OK || count == 64 || count == info->count);
    return status == QONNX_OK;
}

static void feed_from(const char *name, const struct qn_port *port)
{
    struct qn_feed *feed;
    qonnx_error     err = { 0 };
    char            path[200];
    qonnx_status    status;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    status = qn_feed_open(&feed, path, port, 1, &(struct qn_feed_options){ 0 }, &err);
    if (status != QONNX_OK) {
        promise_clear_error(status, &err);
        return;
    }
    if (drain(feed, port)) {
        PROMISE(qn_feed_rewind(feed, &err) == QONNX_OK);
        PROMISE(drain(feed, port));
    }
    qn_feed_close(feed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t     dims[] = { -1, 2 };
    static const char *const names[] = { "N", NULL };
    static const char *const kinds[] = { "a.npz", "a.npy", "a.csv", "a.raw", "d", "" };
    const struct qn_port     ports[] = {
            { "x", QN_FLOAT, 2, dims, names },
            { "x", QN_INT64, 2, dims, names },
            { "x", 0, -1, NULL, NULL },
    };

    set_up();
    PROMISE(ftruncate(memory, 0) == 0);
    PROMISE(pwrite(memory, data, size, 0) == (ssize_t)size);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t p = 0; p < sizeof ports / sizeof *ports; p++) feed_from(kinds[k], &ports[p]);
    return 0;
}
