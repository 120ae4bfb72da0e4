/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as another tool's file of ranges; the first one tells which kind. Refused with a clear error, or read as ranges
 * that parameters of activations follow from. */
#include <math.h>

#include "encodings.h"
#include "fuzz.h"

static void choose(const struct qn_given *given, const char *type, bool symmetric)
{
    struct qn_arena        arena = { 0 };
    struct qn_qparams      params;
    struct qn_observe_goal goal = { .symmetric = symmetric, .bounds = { 0, 6 }, .useful = QN_UNBOUNDED };
    struct qn_range        range;

    PROMISE(qn_qparams_init(&params, &arena, qn_qtype_find(type), 8, false, -1, 1, NULL) == QONNX_OK);
    goal.lo = params.lo;
    goal.hi = params.hi;
    range = qn_given_params(given, &goal, 0, &params);
    PROMISE(range.min <= range.max);
    PROMISE(params.scale[0] >= QN_SCALE_MIN && params.scale[0] <= QN_SCALE_MAX);
    PROMISE(params.zero_point[0] >= params.lo && params.zero_point[0] <= params.hi);
    qn_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct qn_encoding_kind *kind;
    struct qn_ranges               ranges;
    qonnx_error                    err = { 0 };
    qonnx_status                   status;
    size_t                         kinds = 0;

    if (!size) return 0;
    while (qn_encoding_kind_at(kinds)) kinds++;
    kind = qn_encoding_kind_at(data[0] % kinds);
    qn_ranges_init(&ranges);
    status = kind->read(&ranges, (const char *)data + 1, size - 1, &err);
    if (status != QONNX_OK) promise_clear_error(status, &err);
    for (size_t i = 0; i < ranges.count; i++) {
        const struct qn_given *given = &ranges.list[i].given;
        PROMISE(*ranges.list[i].name && qn_names_find(&ranges.names, ranges.list[i].name) == i);
        if (given->as == QN_GIVEN_CHANNELS) continue;
        PROMISE(given->range.min <= given->range.max && isfinite(given->range.min) && isfinite(given->range.max));
        choose(given, "uint8", false);
        choose(given, "int8", true);
    }
    qn_ranges_release(&ranges);
    return 0;
}
