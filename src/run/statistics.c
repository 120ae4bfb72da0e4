/* SPDX-License-Identifier: Apache-2.0 */
#include "run/statistics.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"

void qn_statistics_release(struct qn_statistics *statistics)
{
    qn_calibration_release(&statistics->calibration);
    qn_arena_release(&statistics->arena);
    memset(statistics, 0, sizeof *statistics);
}

qonnx_status qn_statistics_take(struct qn_statistics *statistics, struct qn_calibration *calibration,
                                const struct qn_feed_info *info, size_t first, qonnx_error *err)
{
    memset(statistics, 0, sizeof *statistics);
    statistics->calibration = *calibration;
    memset(calibration, 0, sizeof *calibration);
    statistics->selected = info->selected;
    statistics->fed_count = statistics->calibration.samples;
    if (first + statistics->fed_count > info->fed_count)
        return qn_fail(err, QONNX_E_INTERNAL, "the feed does not know of %zu samples", statistics->fed_count);
    statistics->fed = (struct qn_fed *)(void *)qn_arena_memdup(&statistics->arena, info->fed + first,
                                                               statistics->fed_count * sizeof *statistics->fed);
    return statistics->fed ? QONNX_OK : qn_fail_nomem(err);
}

/* ---- merging ---- */

static bool same(const char *a, const char *b) { return strcmp(a ? a : "", b ? b : "") == 0; }

/* Which differences there are does not depend on the order of the files. */
static const char *join(struct qn_arena *arena, const char *a, const char *b)
{
    if (!a || !*a || same(a, b)) return b;
    if (!b || !*b || strstr(a, b)) return a;
    if (strstr(b, a)) return b;
    return strcmp(a, b) < 0 ? qn_arena_printf(arena, "%s, %s", a, b) : qn_arena_printf(arena, "%s, %s", b, a);
}

static void merge_shape(struct qn_observed *into, const struct qn_observed *from)
{
    int64_t *dims = (int64_t *)(uintptr_t)into->dims;

    if (!from->dtype) return;
    if (!into->dtype) {
        into->dtype = from->dtype;
        into->rank = from->rank;
        for (int d = 0; d < from->rank; d++) dims[d] = from->dims[d];
        return;
    }
    if (into->rank != from->rank) into->rank = -1;
    for (int d = 0; d < into->rank; d++)
        if (dims[d] != from->dims[d]) dims[d] = -1;
}

/* Which of the two comes next, by position; E_DATA where both have the same sample. */
static qonnx_status interleave(const struct qn_statistics *a, const struct qn_statistics *b, bool *from_b,
                               qonnx_error *err)
{
    const size_t total = a->fed_count + b->fed_count;
    size_t       i = 0, k = 0;

    while (i + k < total) {
        const bool second = i == a->fed_count || (k < b->fed_count && b->fed[k].position < a->fed[i].position);
        if (i < a->fed_count && k < b->fed_count && a->fed[i].position == b->fed[k].position)
            return qn_fail(err, QONNX_E_DATA, "sample %llu is in both", (unsigned long long)a->fed[i].position);
        from_b[i + k] = second;
        if (second)
            k++;
        else
            i++;
    }
    return QONNX_OK;
}

static qonnx_status merge_value(struct qn_arena *arena, struct qn_observed *into, const struct qn_observed *from,
                                const bool *from_b, size_t total, qonnx_error *err)
{
    const struct qn_range *a = into->stats.ranges, *b = from->stats.ranges;
    const bool             ranged = a || b;
    struct qn_range       *merged = ranged ? qn_arena_array(arena, total, sizeof *merged) : NULL;

    if (!same(into->name, from->name))
        return qn_fail(err, QONNX_E_DATA, "they are of different values: '%.100s' and '%.100s'", into->name,
                       from->name);
    if ((into->stats.channels ? into->stats.channels->channels : 0) !=
        (from->stats.channels ? from->stats.channels->channels : 0))
        return qn_fail(err, QONNX_E_DATA, "'%.100s' has other channels", into->name);
    merge_shape(into, from);
    QN_TRY(qn_stats_merge(&into->stats, &from->stats, err));
    qn_exact_sum_normalize(&into->stats.sum);
    qn_exact_sum_normalize(&into->stats.sum2);
    if (!ranged) return QONNX_OK;
    if (!merged) return qn_fail_nomem(err);
    for (size_t i = 0; i < total; i++)
        merged[i] = from_b[i] ? (b ? *b++ : QN_RANGE_EMPTY) : (a ? *a++ : QN_RANGE_EMPTY);
    into->stats.ranges = merged;
    into->stats.range_count = total;
    return QONNX_OK;
}

static qonnx_status check_kind(const struct qn_statistics *a, const struct qn_statistics *b, qonnx_error *err)
{
    if (!same(a->model, b->model)) return qn_fail(err, QONNX_E_DATA, "they are of different models");
    if (!same(a->how, b->how))
        return qn_fail(err, QONNX_E_DATA, "they were gathered with different options: '%.150s' and '%.150s'",
                       a->how ? a->how : "", b->how ? b->how : "");
    if (a->selected != b->selected)
        return qn_fail(err, QONNX_E_DATA, "they are of data with %llu and with %llu samples",
                       (unsigned long long)a->selected, (unsigned long long)b->selected);
    if (a->calibration.value_count != b->calibration.value_count)
        return qn_fail(err, QONNX_E_DATA, "they are of %zu and of %zu values", a->calibration.value_count,
                       b->calibration.value_count);
    return QONNX_OK;
}

qonnx_status qn_statistics_merge(struct qn_statistics *statistics, const struct qn_statistics *other, qonnx_error *err)
{
    const size_t   total = statistics->fed_count + other->fed_count;
    bool          *from_b = qn_arena_array(&statistics->arena, total, sizeof *from_b);
    struct qn_fed *fed = qn_arena_array(&statistics->arena, total, sizeof *fed);

    if (!from_b || !fed) return qn_fail_nomem(err);
    QN_TRY(check_kind(statistics, other, err));
    QN_TRY(interleave(statistics, other, from_b, err));
    for (size_t i = 0, a = 0, b = 0; i < total; i++) fed[i] = from_b[i] ? other->fed[b++] : statistics->fed[a++];
    for (size_t v = 0; v < statistics->calibration.value_count; v++)
        QN_TRY(merge_value(&statistics->arena, &statistics->calibration.values[v], &other->calibration.values[v],
                           from_b, total, err));
    statistics->fed = fed;
    statistics->fed_count = statistics->calibration.samples = total;
    statistics->nan_count += other->nan_count;
    statistics->inf_count += other->inf_count;
    statistics->source = join(&statistics->arena, statistics->source, other->source);
    statistics->runtime = join(&statistics->arena, statistics->runtime, other->runtime);
    statistics->cpu = join(&statistics->arena, statistics->cpu, other->cpu);
    statistics->notes = join(&statistics->arena, statistics->notes, other->notes);
    if (statistics->notes)
        statistics->notes = qn_arena_strdup(&statistics->arena, statistics->notes); /* `other` may go */
    if (statistics->source) statistics->source = qn_arena_strdup(&statistics->arena, statistics->source);
    if (statistics->runtime) statistics->runtime = qn_arena_strdup(&statistics->arena, statistics->runtime);
    if (statistics->cpu) statistics->cpu = qn_arena_strdup(&statistics->arena, statistics->cpu);
    return qn_arena_failed(&statistics->arena) ? qn_fail_nomem(err) : QONNX_OK;
}

/* ---- writing ---- */

static void put(struct qn_strbuf *out, uint64_t value)
{
    uint8_t bytes[10];
    size_t  count = 0;

    for (; value >= 0x80; value >>= 7) bytes[count++] = (uint8_t)(value | 0x80);
    bytes[count++] = (uint8_t)value;
    qn_strbuf_add(out, bytes, count);
}

static void put_text(struct qn_strbuf *out, const char *text)
{
    if (!text) text = "";
    put(out, strlen(text));
    qn_strbuf_puts(out, text);
}

static void put_sum(struct qn_strbuf *out, const struct qn_exact_sum *sum)
{
    for (size_t i = 0; i < QN_EXACT_DIGITS; i++) put(out, (uint64_t)sum->digit[i]);
    put(out, sum->special);
}

static void put_histogram(struct qn_strbuf *out, const struct qn_histogram *h)
{
    size_t used = 0;

    for (size_t i = 0; i < QN_HISTOGRAM_BINS; i++) used += h->bins[i] != 0;
    put(out, (uint64_t)(h->exponent - QN_HISTOGRAM_MIN_EXPONENT));
    put(out, h->sides);
    put(out, h->zeros);
    put(out, used);
    for (size_t i = 0; i < QN_HISTOGRAM_BINS; i++) {
        if (!h->bins[i]) continue;
        put(out, i);
        put(out, h->bins[i]);
    }
}

static void put_channels(struct qn_strbuf *out, const struct qn_channel_stats *c)
{
    put(out, c->channels);
    put(out, c->count);
    put(out, c->summed);
    put(out, c->mismatch);
    qn_strbuf_add(out, c->min, c->channels * sizeof *c->min);
    qn_strbuf_add(out, c->max, c->channels * sizeof *c->max);
    qn_strbuf_add(out, c->pair, c->channels * sizeof *c->pair);
    qn_strbuf_add(out, c->sum, c->channels * sizeof *c->sum);
    qn_strbuf_add(out, c->sum2, c->channels * sizeof *c->sum2);
}

static void put_value(struct qn_strbuf *out, const struct qn_observed *value)
{
    const struct qn_stats *s = &value->stats;

    put_text(out, value->name);
    put(out, (uint64_t)value->dtype);
    put(out, (uint64_t)(value->rank + 1));
    for (int d = 0; d < value->rank; d++) put(out, (uint64_t)(value->dims[d] + 1));
    for (size_t i = 0; i < 9; i++)
        put(out, (const uint64_t[]){ s->samples, s->count, s->nan, s->inf, s->masked, s->summed, s->zeros, s->sum_every,
                                     s->most }[i]);
    put(out, s->stride);
    qn_strbuf_add(out, &s->min, sizeof s->min);
    qn_strbuf_add(out, &s->max, sizeof s->max);
    put_sum(out, &s->sum);
    put_sum(out, &s->sum2);
    put(out, (s->histogram ? 1u : 0u) | (s->channels ? 2u : 0u) | (s->ranges ? 4u : 0u));
    if (s->histogram) put_histogram(out, s->histogram);
    if (s->channels) put_channels(out, s->channels);
    if (s->ranges) qn_strbuf_add(out, s->ranges, s->range_count * sizeof *s->ranges);
}

qonnx_status qn_statistics_pack(const struct qn_statistics *statistics, struct qn_strbuf *out, qonnx_error *err)
{
    struct qn_hasher *hasher = qn_hasher_new(false);
    struct qn_digest  digest;

    if (!hasher) return qn_fail_nomem(err);
    qn_strbuf_puts(out, QN_STATISTICS_MAGIC);
    put_text(out, statistics->model);
    put_text(out, statistics->how);
    put_text(out, statistics->source);
    put_text(out, statistics->runtime);
    put_text(out, statistics->cpu);
    put_text(out, statistics->notes);
    put(out, statistics->selected);
    put(out, statistics->nan_count);
    put(out, statistics->inf_count);
    put(out, statistics->fed_count);
    for (size_t i = 0; i < statistics->fed_count; i++) {
        put(out, statistics->fed[i].position);
        qn_strbuf_add(out, statistics->fed[i].digest, sizeof statistics->fed[i].digest);
    }
    put(out, statistics->calibration.value_count);
    for (size_t v = 0; v < statistics->calibration.value_count; v++) put_value(out, &statistics->calibration.values[v]);
    qn_hasher_add(hasher, out->text, out->length);
    qn_hasher_finish(hasher, &digest);
    qn_strbuf_puts(out, digest.xxh3_128);
    return out->failed ? qn_fail_nomem(err) : QONNX_OK;
}

qonnx_status qn_statistics_write(const struct qn_statistics *statistics, const char *path, qonnx_error *err)
{
    struct qn_strbuf bytes;
    struct qn_sink  *sink = NULL;
    qonnx_status     status;

    qn_strbuf_init(&bytes);
    status = qn_statistics_pack(statistics, &bytes, err);
    if (status == QONNX_OK) status = qn_sink_open(&sink, path, err);
    if (status == QONNX_OK) {
        qn_sink_write(sink, bytes.text, bytes.length);
        status = qn_sink_commit(sink, err);
    }
    qn_strbuf_release(&bytes);
    return status;
}
