/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/scan.h"

#include <math.h>
#include <stdatomic.h>

#include "base/pool.h"
#include "onnx/tensor.h"
#include "plan/solver.h"
#include "quant/small_float.h"

/* Elements at a time, and of what is given back at once. Neither depends on the number of threads. */
enum { PART = 8192, SLAB = 1 << 20 };

struct scan {
    const struct qn_scanned *of;
    const struct qn_qparams *params; /* NULL: the extremes are looked for */
    const struct qn_map     *map;    /* that holds the data, or NULL */
    size_t                   count;
    float                   *min, *max; /* [worker][channel] */
    struct qn_error_sums    *sums;      /* by slab; of extremes the signal */
    size_t                  *clamped;
    atomic_bool              infinite;
};

/* Of raw data of the same size everywhere. */
static void drop(const struct scan *scan, size_t first, size_t n)
{
    const ProtobufCBinaryData *raw = &scan->of->tensor->raw_data;
    const size_t               each = raw->len / scan->count;

    qn_map_drop(scan->map, raw->data + first * each, n * each);
}

/* The sum of squares tells whether there is anything that is not finite, unless squares are too large. */
static double look_at(struct scan *scan, const float *x, size_t n)
{
    const double power = (double)qn_sum_squares(x, n);

    if (isfinite(power)) return power;
    if (!qn_all_finite(x, n)) atomic_store(&scan->infinite, true);
    return 0;
}

static qonnx_status scan_slab(void *context, size_t slab, int worker, qonnx_error *err)
{
    struct scan           *scan = context;
    const struct qn_layout layout = scan->of->layout;
    const size_t           first = slab * SLAB, end = scan->count - first < SLAB ? scan->count : first + SLAB;
    const size_t           row = (size_t)worker * layout.channels;
    float                  x[PART];
    struct qn_error_sums   part;

    for (size_t at = first, n; at < end; at += n) {
        n = end - at < PART ? end - at : PART;
        if (!qn_tensor_float_part(scan->of->tensor, at, n, x))
            return qn_fail(err, QONNX_E_UNSUPPORTED, "'%s' cannot be read as float", scan->of->tensor->name);
        if (scan->params && scan->params->type->floating) {
            uint16_t codes[PART];
            qn_small_floats(scan->params->type->floating, x, at, n, layout, scan->params->scale, codes,
                            &scan->sums[slab], &scan->clamped[slab]);
        } else if (scan->params) {
            QN_TRY(qn_quantization_error_part(x, at, n, layout, scan->params, NULL, &part, err));
            scan->sums[slab].signal += part.signal;
            scan->sums[slab].noise += part.noise;
        } else {
            if (scan->min) qn_channel_ranges_part(x, at, n, layout, scan->min + row, scan->max + row);
            scan->sums[slab].signal += look_at(scan, x, n);
        }
    }
    if (scan->map) drop(scan, first, end - first);
    return QONNX_OK;
}

static qonnx_status run(struct scan *scan, qonnx_error *err)
{
    const Onnx__TensorProto *t = scan->of->tensor;
    qonnx_status             status;

    scan->count = qn_layout_count(scan->of->layout);
    if (scan->count && t->has_raw_data) qn_model_owns(scan->of->model, t->raw_data.data, &scan->map);
    status = qn_parallel_for(scan->count / SLAB + (scan->count % SLAB != 0), scan->of->threads, scan_slab, scan, err);
    if (scan->map) drop(scan, 0, scan->count); /* a touch maps pages before it as well */
    return status;
}

qonnx_status qn_scan_absmax(const struct qn_scanned *scanned, float *absmax, bool *finite, double *power,
                            qonnx_error *err)
{
    const size_t    channels = scanned->layout.channels, workers = scanned->threads < 1 ? 1 : (size_t)scanned->threads;
    const size_t    slabs = qn_layout_count(scanned->layout) / SLAB + 1;
    struct qn_arena scratch = { 0 };
    struct scan     scan = { .of = scanned };
    qonnx_status    status;

    if (absmax) scan.min = qn_arena_array(&scratch, workers * channels, 2 * sizeof(float));
    if ((absmax && !scan.min) || !(scan.sums = qn_arena_array(&scratch, slabs, sizeof *scan.sums))) {
        qn_arena_release(&scratch);
        return qn_fail_nomem(err);
    }
    if (absmax) scan.max = scan.min + workers * channels;
    for (size_t i = 0; absmax && i < workers * channels; i++) {
        scan.min[i] = INFINITY;
        scan.max[i] = -INFINITY;
    }
    status = run(&scan, err);
    for (size_t c = 0; absmax && c < channels; c++) {
        absmax[c] = 0;
        for (size_t i = c; i < workers * channels; i += channels)
            if (scan.min[i] <= scan.max[i]) absmax[c] = fmaxf(absmax[c], fmaxf(fabsf(scan.min[i]), fabsf(scan.max[i])));
    }
    *finite = !atomic_load(&scan.infinite);
    *power = 0;
    for (size_t i = 0; i < slabs; i++) *power += scan.sums[i].signal;
    qn_arena_release(&scratch);
    return status;
}

qonnx_status qn_scan_error(const struct qn_scanned *scanned, const struct qn_qparams *params,
                           struct qn_error_sums *sums, size_t *clamped, qonnx_error *err)
{
    struct qn_arena scratch = { 0 };
    const size_t    slabs = qn_layout_count(scanned->layout) / SLAB + 1;
    struct scan  scan = { .of = scanned, .params = params, .sums = qn_arena_array(&scratch, slabs, sizeof *scan.sums) };
    qonnx_status status;

    if (scan.sums) scan.clamped = qn_arena_array(&scratch, slabs, sizeof *scan.clamped);
    if (!scan.clamped) {
        qn_arena_release(&scratch);
        return qn_fail_nomem(err);
    }
    status = run(&scan, err);
    *clamped = 0;
    *sums = (struct qn_error_sums){ 0 };
    for (size_t i = 0; i < slabs; i++) {
        sums->signal += scan.sums[i].signal;
        sums->noise += scan.sums[i].noise;
        *clamped += scan.clamped[i];
    }
    qn_arena_release(&scratch);
    return status;
}
