/* SPDX-License-Identifier: Apache-2.0 */
#include "run/feed.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/numerals.h"
#include "onnx/dtype.h"
#include "run/feed_source.h"
#include "run/npy.h"
#include "run/random.h"

struct qn_feed {
    struct qn_source      *source;
    struct qn_feed_options options;
    struct qn_feed_info    info;
    struct qn_strbuf       notes;
    pthread_mutex_t        lock;
    size_t                 read, picked, given; /* samples taken from the source, of them for one of the shards, and handed out */
    struct qn_fed         *fed;
    struct qn_random       random;
    bool                   measuring; /* the first full pass is not over */
    XXH3_state_t          *hash;
};

void qn_feed_note(struct qn_strbuf *notes, const char *format, ...)
{
    char    line[512];
    va_list args;

    va_start(args, format);
    qn_vsnprintf(line, sizeof line - 1, format, args);
    va_end(args);
    char *end = line;
    for (; *end; end++)
        if ((unsigned char)*end < ' ' || *end == 127) *end = '?';
    memcpy(end, "\n", sizeof "\n");
    if (!strstr(notes->text, line)) qn_strbuf_puts(notes, line);
}

/* ---- samples ---- */

void qn_sample_release(struct qn_sample *sample)
{
    for (size_t i = 0; i < sample->count; i++) free(sample->buffers[i]);
    free(sample->views);
    free(sample->buffers);
    free(sample->capacities);
    free(sample->dims);
    memset(sample, 0, sizeof *sample);
}

static qonnx_status sample_init(struct qn_sample *sample, size_t count, qonnx_error *err)
{
    sample->views = calloc(count, sizeof *sample->views);
    sample->buffers = calloc(count, sizeof *sample->buffers);
    sample->capacities = calloc(count, sizeof *sample->capacities);
    sample->dims = calloc(count, QN_MAX_RANK * sizeof *sample->dims);
    if (sample->views && sample->buffers && sample->capacities && sample->dims) {
        sample->count = count;
        return QONNX_OK;
    }
    qn_sample_release(sample);
    return qn_fail_nomem(err);
}

qonnx_status qn_sample_place(struct qn_sample *sample, size_t count, size_t i, const char *name, int32_t dtype,
                             int rank, const int64_t *dims, void **data, qonnx_error *err)
{
    const struct qn_dtype *row = qn_dtype_find(dtype);
    size_t                 size = row ? (size_t)row->bits / 8 : 0;
    int64_t               *kept;

    if (!sample->count) QN_TRY(sample_init(sample, count, err));
    if (!size) return qn_fail(err, QONNX_E_UNSUPPORTED, "input '%s' has elements of %s", name, qn_dtype_name(dtype));
    for (int d = 0; d < rank; d++)
        if (__builtin_mul_overflow(size, (size_t)dims[d], &size) || size > QN_SAMPLE_MAX)
            return qn_fail(err, QONNX_E_LIMIT, "input '%s' of one run is larger than 2 GiB", name);
    if (size > sample->capacities[i] || !sample->buffers[i]) {
        free(sample->buffers[i]);
        sample->capacities[i] = 0;
        if (!(sample->buffers[i] = malloc(size + 1))) return qn_fail_nomem(err);
        sample->capacities[i] = size;
    }
    kept = sample->dims + i * QN_MAX_RANK;
    if (rank) memcpy(kept, dims, (size_t)rank * sizeof *kept);
    sample->views[i] = (struct qn_view){ name, dtype, rank, kept, sample->buffers[i], size };
    *data = sample->buffers[i];
    return QONNX_OK;
}

/* ---- fitting data to inputs ---- */

static qonnx_status shape_mismatch(const struct qn_port *port, int rank, const int64_t *dims, qonnx_error *err)
{
    struct qn_strbuf text;

    qn_strbuf_init(&text);
    qn_strbuf_puts(&text, "holds ");
    qn_add_shape(&text, rank, dims);
    qn_strbuf_puts(&text, " for one run, the model's input takes ");
    qn_add_shape(&text, port->rank, port->dims);
    qn_fail(err, QONNX_E_DATA, "%s", text.text);
    qn_strbuf_release(&text);
    return QONNX_E_DATA;
}

qonnx_status qn_fit_shape(const struct qn_port *port, int rank, const int64_t *dims, int *fit_rank,
                          int64_t fit_dims[QN_MAX_RANK], struct qn_strbuf *notes, qonnx_error *err)
{
    int extra = port->rank == rank + 1 && (port->dims[0] == 1 || port->dims[0] < 0) ? 1 : 0;

    if (port->rank >= 0 && port->rank != rank + extra) return shape_mismatch(port, rank, dims, err);
    if (extra) {
        fit_dims[0] = 1;
        qn_feed_note(notes, "data for '%s' have one axis less than the input: a leading one of size 1 is added",
                     port->name);
    }
    for (int i = 0; i < rank; i++) fit_dims[i + extra] = dims[i];
    *fit_rank = rank + extra;
    for (int i = 0; i < port->rank; i++)
        if (port->dims[i] >= 0 && port->dims[i] != fit_dims[i]) return shape_mismatch(port, rank, dims, err);
    return QONNX_OK;
}

qonnx_status qn_fit_type(const struct qn_port *port, int32_t found, int32_t *fit, struct qn_strbuf *notes,
                         qonnx_error *err)
{
    *fit = port->dtype ? port->dtype : found;
    if (*fit == found) return QONNX_OK;
    if (!qn_elements_convertible(found, *fit)) {
        char name[32]; /* the second call may use the same buffer */
        snprintf(name, sizeof name, "%s", qn_dtype_name(found));
        return qn_fail(err, QONNX_E_DATA, "holds %s, the model's input takes %s", name, qn_dtype_name(*fit));
    }
    qn_feed_note(notes, "data for '%s' are converted from %s to %s", port->name, qn_dtype_find(found)->name,
                 qn_dtype_find(*fit)->name);
    return QONNX_OK;
}

/* ---- the feed ---- */

static void start_pass(struct qn_feed *feed)
{
    feed->read = feed->picked = feed->given = 0;
    qn_random_seed(&feed->random, feed->options.seed);
    if (!feed->measuring) return;
    feed->info.nan_count = feed->info.inf_count = feed->info.fed_count = 0;
}

/* How many samples a pass gives. */
static size_t share(const struct qn_feed *feed)
{
    const struct qn_feed_options *o = &feed->options;
    size_t                        mine = feed->info.selected;

    if (o->shards) mine = mine / o->shards + (o->shard - 1 < mine % o->shards);
    return mine > o->done_count ? mine - o->done_count : 0;
}

qonnx_status qn_feed_new(struct qn_feed **result, struct qn_source *source, const struct qn_feed_options *options,
                         struct qn_strbuf *notes, qonnx_error *err)
{
    struct qn_feed *feed = calloc(1, sizeof *feed);

    if (source->grouped && options->samples && options->samples < source->count && !options->shuffle)
        qn_feed_note(notes, "--samples takes the first ones by name, which are those of the first folders: --shuffle "
                            "takes some of all");
    if (!feed || !(feed->hash = XXH3_createState()) || notes->failed) {
        free(feed);
        source->close(source);
        qn_strbuf_release(notes);
        return qn_fail_nomem(err);
    }
    pthread_mutex_init(&feed->lock, NULL);
    feed->source = source;
    feed->options = *options;
    feed->notes = *notes;
    feed->measuring = true;
    feed->info.notes = feed->notes.text;
    feed->info.available = source->count;
    feed->info.synthetic = source->synthetic;
    feed->info.selected = options->samples && options->samples < source->count ? options->samples : source->count;
    feed->info.count = share(feed);
    if (!(feed->info.fed = feed->fed = calloc(feed->info.count + 1, sizeof *feed->fed))) {
        qn_feed_close(feed);
        return qn_fail_nomem(err);
    }
    start_pass(feed);
    *result = feed;
    return QONNX_OK;
}

qonnx_status qn_feed_open(struct qn_feed **feed, const char *path, const struct qn_port *inputs, size_t input_count,
                          const struct qn_feed_options *options, qonnx_error *err)
{
    struct qn_strbuf     notes;
    struct qn_feed_ports want = { inputs, input_count, &notes, &options->images };
    struct qn_source    *source;
    qonnx_status         status = QONNX_OK;

    if (!input_count) return qn_fail(err, QONNX_E_DATA, "%s: the model has no inputs to feed", path);
    qn_strbuf_init(&notes);
    for (size_t i = 0; i < input_count && status == QONNX_OK; i++) {
        const struct qn_dtype *dtype = qn_dtype_find(inputs[i].dtype);
        if (inputs[i].dtype && (!dtype || dtype->bits < 8))
            status = qn_fail(
                err, QONNX_E_UNSUPPORTED,
                "the model's input '%s' takes %s, which cannot be fed: quantize the part of the model behind it",
                inputs[i].name, qn_dtype_name(inputs[i].dtype));
    }
    if (status == QONNX_OK) status = qn_source_open(&source, path, &want, err);
    if (status == QONNX_OK) return qn_feed_new(feed, source, options, &notes, err);
    qn_strbuf_release(&notes);
    return status;
}

static void count_special(struct qn_feed_info *info, const struct qn_view *view)
{
    const float *x = view->data;
    size_t       count = view->size / sizeof *x, special = 0;

    if (view->dtype != QN_FLOAT) return;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        special += (bits & 0x7f800000u) == 0x7f800000u;
    }
    for (size_t i = 0; special && i < count; i++) {
        if (isnan(x[i])) info->nan_count++;
        if (isinf(x[i])) info->inf_count++;
    }
}

static void measure(struct qn_feed *feed, const struct qn_sample *sample)
{
    struct qn_fed     *fed = &feed->fed[feed->info.fed_count++];
    XXH128_canonical_t digest;

    XXH3_128bits_reset(feed->hash);
    for (size_t i = 0; i < sample->count; i++) {
        XXH3_128bits_update(feed->hash, sample->views[i].data, sample->views[i].size);
        count_special(&feed->info, &sample->views[i]);
    }
    XXH128_canonicalFromHash(&digest, XXH3_128bits_digest(feed->hash));
    fed->position = sample->position;
    memcpy(fed->digest, digest.digest, sizeof fed->digest);
}

void qn_fed_digest(const struct qn_fed *fed, size_t count, char text[33])
{
    struct qn_hasher *hasher = qn_hasher_new(false);
    struct qn_digest  digest = { { 0 }, { 0 } };

    for (size_t i = 0; hasher && i < count; i++) qn_hasher_add(hasher, fed[i].digest, sizeof fed[i].digest);
    if (hasher) qn_hasher_finish(hasher, &digest);
    memcpy(text, digest.xxh3_128, sizeof digest.xxh3_128);
}

static void finish_measuring(struct qn_feed *feed)
{
    qn_fed_digest(feed->fed, feed->info.fed_count, feed->info.digest);
    feed->measuring = false;
}

/* Whether the next sample belongs to the subset: each subset of that size is equally likely. */
static bool chosen(struct qn_feed *feed)
{
    size_t left = feed->source->count - feed->read, wanted = feed->info.selected - feed->picked;
    return wanted >= left || !feed->options.shuffle || qn_random_below(&feed->random, left) < wanted;
}

static int compare_positions(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Of the subset: it falls to this shard, and is not done yet. */
static bool is_mine(const struct qn_feed *feed)
{
    const struct qn_feed_options *o = &feed->options;
    const uint64_t                position = feed->read;

    if (o->shards && feed->picked % o->shards != o->shard - 1) return false;
    return !o->done_count || !bsearch(&position, o->done, o->done_count, sizeof position, compare_positions);
}

static qonnx_status next_locked(struct qn_feed *feed, struct qn_sample *sample, bool *done, qonnx_error *err)
{
    *done = feed->given == feed->info.count;
    if (*done) {
        if (feed->measuring) finish_measuring(feed);
        return QONNX_OK;
    }
    for (bool take = false; !take; feed->read++) {
        if (feed->read == feed->source->count) return qn_fail(err, QONNX_E_DATA, "the samples that are done are not all of these data");
        take = chosen(feed);
        if (take) {
            take = is_mine(feed);
            feed->picked++;
        }
        QN_TRY(feed->source->next(feed->source, take ? sample : NULL, err));
    }
    feed->given++;
    if (!sample) return QONNX_OK;
    sample->index = feed->given - 1;
    sample->position = feed->read - 1;
    if (feed->measuring) measure(feed, sample);
    sample->half = sample->index < feed->info.fed_count ? feed->fed[sample->index].digest[0] & 1 : 0;
    return QONNX_OK;
}

qonnx_status qn_feed_next(struct qn_feed *feed, struct qn_sample *sample, bool *done, qonnx_error *err)
{
    qonnx_status status;

    pthread_mutex_lock(&feed->lock);
    status = next_locked(feed, sample, done, err);
    pthread_mutex_unlock(&feed->lock);
    return status;
}

qonnx_status qn_feed_rewind(struct qn_feed *feed, qonnx_error *err)
{
    QN_TRY(feed->source->rewind(feed->source, err));
    start_pass(feed);
    return QONNX_OK;
}

void qn_feed_sample_name(const struct qn_feed *feed, size_t position, struct qn_strbuf *text)
{
    if (feed->source->name)
        feed->source->name(feed->source, position, text);
    else
        qn_strbuf_printf(text, "sample %zu", position);
}

const struct qn_view *qn_feed_shapes(const struct qn_feed *feed) { return feed->source->shapes; }

const struct qn_feed_info *qn_feed_info(struct qn_feed *feed) { return &feed->info; }

void qn_feed_close(struct qn_feed *feed)
{
    if (!feed) return;
    feed->source->close(feed->source);
    qn_strbuf_release(&feed->notes);
    XXH3_freeState(feed->hash);
    free(feed->fed);
    pthread_mutex_destroy(&feed->lock);
    free(feed);
}
