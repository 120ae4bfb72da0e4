/* SPDX-License-Identifier: Apache-2.0
 * Reads a file of statistics. Its digest finds damage; all else is checked as if someone had made both. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "quant/kernels.h"
#include "run/statistics.h"

enum { DIGEST = 32, VALUES_MAX = 1 << 16, TYPES = 64 };
/* Counts stay so small that files can be put together. */
static const uint64_t COUNT_MAX = UINT64_C(1) << 56;

struct reader {
    const uint8_t   *at, *end;
    const char      *problem; /* the first one; nothing is read behind it */
    struct qn_arena *arena;
};

static void refuse(struct reader *r, const char *problem)
{
    if (!r->problem) r->problem = problem;
    r->at = r->end;
}

static uint64_t get(struct reader *r, uint64_t most)
{
    uint64_t value = 0;

    for (unsigned shift = 0; r->at < r->end && shift < 64; shift += 7) {
        const uint8_t byte = *r->at++;
        if (shift == 63 && byte > 1) break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte & 0x80) continue;
        if (value <= most) return value;
        refuse(r, "a number is too large");
        return 0;
    }
    refuse(r, "a number is cut off");
    return 0;
}

static const void *get_bytes(struct reader *r, size_t size)
{
    const uint8_t *bytes = r->at;

    if (size > (size_t)(r->end - r->at)) {
        refuse(r, "the file is cut off");
        return NULL;
    }
    r->at += size;
    return bytes;
}

static void get_into(struct reader *r, void *to, size_t size)
{
    const void *bytes = get_bytes(r, size);
    if (bytes && size) memcpy(to, bytes, size);
}

static char *get_text(struct reader *r)
{
    const size_t size = (size_t)get(r, (uint64_t)(r->end - r->at));
    const char  *bytes = get_bytes(r, size);
    char        *text;

    if (bytes && memchr(bytes, 0, size)) refuse(r, "a text contains a NUL byte");
    if (r->problem) return NULL;
    text = qn_arena_alloc(r->arena, size + 1);
    if (text) memcpy(text, bytes, size);
    return text;
}

static void get_sum(struct reader *r, struct qn_exact_sum *sum)
{
    for (size_t i = 0; i < QN_EXACT_DIGITS; i++)
        sum->digit[i] = (int64_t)get(r, i + 1 < QN_EXACT_DIGITS ? UINT32_MAX : UINT64_MAX);
    sum->special = (uint32_t)get(r, 7);
}

/* Ranges of ordinary values, or of none: from infinity down to minus infinity. */
static void check_range(struct reader *r, float min, float max)
{
    const bool none = min == INFINITY && max == -INFINITY;
    if (!none && !(min <= max && fabsf(min) < QN_MASKED_FROM && fabsf(max) < QN_MASKED_FROM))
        refuse(r, "a range is none");
}

static void get_histogram(struct reader *r, struct qn_stats *s)
{
    struct qn_histogram *h = s->histogram;
    size_t               used;

    h->exponent = (int)get(r, 128 - QN_HISTOGRAM_MIN_EXPONENT) + QN_HISTOGRAM_MIN_EXPONENT;
    h->sides = (unsigned)get(r, QN_SIDE_NEGATIVE | QN_SIDE_POSITIVE);
    h->zeros = get(r, COUNT_MAX);
    used = (size_t)get(r, QN_HISTOGRAM_BINS);
    if (!h->sides && used) refuse(r, "a histogram is damaged");
    for (size_t i = 0, next = 0; i < used && !r->problem; i++) {
        const size_t bin = (size_t)get(r, QN_HISTOGRAM_BINS - 1);
        if (bin < next) refuse(r, "a histogram is damaged");
        next = bin + 1;
        h->bins[bin] = get(r, COUNT_MAX);
    }
}

static qonnx_status get_channels(struct reader *r, struct qn_stats *s, qonnx_error *err)
{
    const size_t count = (size_t)get(r, QN_CHANNELS_MAX), each = 3 * sizeof(float) + 2 * sizeof(struct qn_fixed_sum);
    struct qn_channel_stats *c;

    if (!count || count * each > (size_t)(r->end - r->at)) refuse(r, "the channels of a value are damaged");
    if (r->problem) return QONNX_OK;
    QN_TRY(qn_stats_follow_channels(s, count, err));
    c = s->channels;
    c->count = get(r, COUNT_MAX);
    c->summed = get(r, COUNT_MAX);
    c->mismatch = get(r, 1);
    get_into(r, c->min, count * sizeof *c->min);
    get_into(r, c->max, count * sizeof *c->max);
    get_into(r, c->pair, count * sizeof *c->pair);
    get_into(r, c->sum, count * sizeof *c->sum);
    get_into(r, c->sum2, count * sizeof *c->sum2);
    for (size_t i = 0; i < count; i++) {
        check_range(r, c->min[i], c->max[i]);
        if (!(c->pair[i] < 2 * QN_MASKED_FROM)) refuse(r, "a sum of neighbours is none");
    }
    return QONNX_OK;
}

static void get_ranges(struct reader *r, struct qn_stats *s, size_t count)
{
    const void      *bytes = get_bytes(r, count * sizeof *s->ranges);
    struct qn_range *ranges =
        bytes ? (struct qn_range *)(void *)qn_arena_memdup(r->arena, bytes, count * sizeof *ranges) : NULL;

    for (size_t i = 0; ranges && i < count; i++) check_range(r, ranges[i].min, ranges[i].max);
    s->ranges = ranges;
    s->range_count = ranges ? count : 0;
}

static void get_shape(struct reader *r, struct qn_observed *value)
{
    int64_t *dims = qn_arena_array(r->arena, QN_MAX_RANK, sizeof *dims);
    uint64_t product = 1;

    value->dtype = (int32_t)get(r, TYPES);
    value->rank = (int)get(r, QN_MAX_RANK + 1) - 1;
    value->dims = dims;
    for (int d = 0; dims && d < value->rank; d++) {
        dims[d] = (int64_t)get(r, COUNT_MAX) - 1;
        if (dims[d] > 0 && (__builtin_mul_overflow(product, (uint64_t)dims[d], &product) || product > COUNT_MAX))
            refuse(r, "a shape is too large");
    }
}

static qonnx_status get_value(struct reader *r, struct qn_observed *value, size_t samples, qonnx_error *err)
{
    struct qn_stats    *s = &value->stats;
    uint64_t            counts[9], stride;
    float               ends[2] = { 0, 0 };
    struct qn_exact_sum sums[2] = { { { 0 }, 0, 0 }, { { 0 }, 0, 0 } };
    unsigned            parts;

    value->name = get_text(r);
    get_shape(r, value);
    for (size_t i = 0; i < 9; i++) counts[i] = get(r, i == 8 ? UINT64_MAX : COUNT_MAX);
    stride = get(r, COUNT_MAX);
    get_into(r, ends, sizeof ends);
    check_range(r, ends[0], ends[1]);
    get_sum(r, &sums[0]);
    get_sum(r, &sums[1]);
    parts = (unsigned)get(r, 7);
    if (!counts[8] != !(parts & 1)) refuse(r, "a histogram is missing");
    if (counts[2] + counts[3] + counts[4] > counts[1] || counts[6] > counts[5] || counts[5] > counts[1])
        refuse(r, "the counts of a value contradict each other");
    if (r->problem) return QONNX_OK;
    QN_TRY(qn_stats_init(s, (size_t)counts[8], err));
    s->samples = counts[0];
    s->count = counts[1];
    s->nan = counts[2];
    s->inf = counts[3];
    s->masked = counts[4];
    s->summed = counts[5];
    s->zeros = counts[6];
    s->sum_every = (size_t)counts[7];
    s->stride = (size_t)stride;
    s->min = ends[0];
    s->max = ends[1];
    s->sum = sums[0];
    s->sum2 = sums[1];
    if (parts & 1) get_histogram(r, s);
    if (parts & 2) QN_TRY(get_channels(r, s, err));
    if (parts & 4) get_ranges(r, s, samples);
    return QONNX_OK;
}

static void get_fed(struct reader *r, struct qn_statistics *statistics)
{
    const size_t count = (size_t)get(r, (uint64_t)(r->end - r->at) / (1 + sizeof statistics->fed->digest));

    statistics->fed = qn_arena_array(r->arena, count, sizeof *statistics->fed);
    for (size_t i = 0; statistics->fed && i < count && !r->problem; i++) {
        struct qn_fed *fed = &statistics->fed[i];
        fed->position = get(r, COUNT_MAX);
        get_into(r, fed->digest, sizeof fed->digest);
        if (i && fed->position <= fed[-1].position) refuse(r, "the samples are not in order");
    }
    statistics->fed_count = statistics->calibration.samples = count;
}

static qonnx_status get_values(struct reader *r, struct qn_statistics *statistics, qonnx_error *err)
{
    struct qn_calibration *c = &statistics->calibration;
    const size_t           count = (size_t)get(r, VALUES_MAX);

    qn_names_init(&c->index, &c->arena);
    c->values = qn_arena_array(&c->arena, count, sizeof *c->values);
    c->by_name = qn_arena_array(&c->arena, count, sizeof *c->by_name);
    if (!c->values || !c->by_name) return qn_fail_nomem(err);
    for (size_t i = 0; i < count && !r->problem; i++) {
        struct qn_observed *value = &c->values[i];
        uint32_t            id;
        c->value_count = i + 1;
        QN_TRY(get_value(r, value, statistics->fed_count, err));
        if (r->problem || !value->name) break;
        id = qn_names_intern(&c->index, value->name);
        if (id == QN_NONE) return qn_fail_nomem(err);
        if (id != i)
            refuse(r, "a value comes twice");
        else
            c->by_name[id] = value;
    }
    return QONNX_OK;
}

static qonnx_status check_frame(const char *bytes, size_t size, qonnx_error *err)
{
    const size_t      magic = sizeof QN_STATISTICS_MAGIC - 1;
    struct qn_hasher *hasher;
    struct qn_digest  digest;

    if (size < magic || memcmp(bytes, QN_STATISTICS_MAGIC, magic) != 0)
        return qn_fail(err, QONNX_E_FORMAT, "not a file of statistics of this version");
    if (size < magic + DIGEST) return qn_fail(err, QONNX_E_FORMAT, "the file is cut off");
    if (!(hasher = qn_hasher_new(false))) return qn_fail_nomem(err);
    qn_hasher_add(hasher, bytes, size - DIGEST);
    qn_hasher_finish(hasher, &digest);
    if (memcmp(digest.xxh3_128, bytes + size - DIGEST, DIGEST) != 0)
        return qn_fail(err, QONNX_E_FORMAT, "the statistics are damaged: their digest does not match");
    return QONNX_OK;
}

static qonnx_status parse(struct qn_statistics *statistics, const uint8_t *bytes, size_t size, qonnx_error *err)
{
    struct reader r = { bytes + sizeof QN_STATISTICS_MAGIC - 1, bytes + size - DIGEST, NULL, &statistics->arena };

    statistics->model = get_text(&r);
    statistics->how = get_text(&r);
    statistics->source = get_text(&r);
    statistics->runtime = get_text(&r);
    statistics->cpu = get_text(&r);
    statistics->notes = get_text(&r);
    statistics->selected = get(&r, COUNT_MAX);
    statistics->nan_count = get(&r, COUNT_MAX);
    statistics->inf_count = get(&r, COUNT_MAX);
    get_fed(&r, statistics);
    QN_TRY(get_values(&r, statistics, err));
    if (!r.problem && r.at != r.end) refuse(&r, "there is more behind the last value");
    if (qn_arena_failed(&statistics->arena)) return qn_fail_nomem(err);
    return r.problem ? qn_fail(err, QONNX_E_FORMAT, "the statistics are damaged: %s", r.problem) : QONNX_OK;
}

qonnx_status qn_statistics_parse(struct qn_statistics *statistics, const void *bytes, size_t size, qonnx_error *err)
{
    qonnx_status status;

    memset(statistics, 0, sizeof *statistics);
    status = check_frame(bytes, size, err);
    if (status == QONNX_OK) status = parse(statistics, bytes, size, err);
    if (status != QONNX_OK) qn_statistics_release(statistics);
    return status;
}

qonnx_status qn_statistics_read(struct qn_statistics *statistics, const char *path, qonnx_error *err)
{
    struct qn_map map;
    qonnx_status  status;

    QN_TRY(qn_map_open(&map, path, true, err));
    status = qn_statistics_parse(statistics, map.data, map.size, err);
    qn_map_release(&map);
    return qn_wrap(err, status, "%s", path);
}
