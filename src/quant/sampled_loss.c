/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/sampled_loss.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "quant/qparams.h"

enum { LANES = 64 /* outputs looked at side by side */, SAMPLED = 1 << 17 /* weights looked at, about */ };

static float weight_at(const struct qn_matrix *m, size_t output, size_t depth)
{
    float x;
    memcpy(&x, (const char *)m->w + (output * m->out_stride + depth * m->depth_stride) * sizeof x, sizeof x);
    return x;
}

/* Of the outputs of a sample: squares of the weights, and of their errors. */
static void add_scaled(const struct qn_matrix *m, struct qn_error_sums *sums)
{
    for (size_t o = 0; o < m->outputs; o++) {
        float absmax = 0, scale;
        for (size_t k = 0; k < m->depth; k++) absmax = fmaxf(absmax, fabsf(weight_at(m, o, k)));
        scale = qn_symmetric_scale(absmax, 127);
        for (size_t k = 0; k < m->depth; k++) {
            const float  x = weight_at(m, o, k);
            const double error = (double)(x - rintf(x / scale) * scale),
                         counts = m->importance ? (double)m->importance[k] : 1;
            sums->signal += counts * (double)x * (double)x;
            sums->noise += counts * error * error;
        }
    }
}

static qonnx_status add_blocks(const struct qn_matrix *m, const struct qn_block_form *form, int threads,
                               struct qn_arena *arena, struct qn_error_sums *sums, qonnx_error *err)
{
    const size_t          blocks = qn_block_count(m, form);
    struct qn_block_place place = {
        .out_stride = m->depth, .depth_stride = 1, .param_out_stride = blocks, .param_block_stride = 1
    };
    float               *scale = qn_arena_array(arena, m->outputs * blocks, sizeof *scale);
    uint8_t             *zero = qn_arena_array(arena, m->outputs * blocks, 1);
    struct qn_error_sums unweighed = { 0, 0 };
    const float          most = (float)((1 << form->bits) - 1);

    if (!scale || !zero) return qn_fail_nomem(err);
    QN_TRY(qn_block_params(m, form, place, scale, form->symmetric ? NULL : zero, &unweighed, threads, err));
    for (size_t o = 0; o < m->outputs; o++) {
        for (size_t k = 0; k < m->depth; k++) {
            const size_t at = o * blocks + k / form->block;
            const float  x = weight_at(m, o, k),
                        middle = form->symmetric ? (float)(1 << (form->bits - 1)) : (float)zero[at];
            const float  code = fminf(fmaxf(rintf(x / scale[at]) + middle, 0), most);
            const double error = (double)(x - (code - middle) * scale[at]),
                         counts = m->importance ? (double)m->importance[k] : 1;
            sums->signal += counts * (double)x * (double)x;
            sums->noise += counts * error * error;
        }
    }
    return QONNX_OK;
}

/* Groups of outputs, evenly spread. */
qonnx_status qn_sampled_loss(const struct qn_matrix *m, const struct qn_block_form *form, int threads, double *loss,
                             qonnx_error *err)
{
    const size_t         groups = m->outputs / LANES + (m->outputs % LANES != 0), wanted = SAMPLED / LANES / m->depth;
    const size_t         step = wanted && groups / wanted ? groups / wanted : wanted ? 1 : groups;
    struct qn_error_sums sums = { 0, 0 };
    struct qn_arena      arena = { 0 };
    qonnx_status         status = QONNX_OK;

    for (size_t g = step / 2; g < groups && status == QONNX_OK; g += step) {
        struct qn_matrix part = *m;
        part.w = (const char *)m->w + g * LANES * m->out_stride * sizeof(float);
        part.outputs = m->outputs - g * LANES < LANES ? m->outputs - g * LANES : LANES;
        if (form->block)
            status = add_blocks(&part, form, threads, &arena, &sums, err);
        else
            add_scaled(&part, &sums);
        qn_arena_release(&arena);
    }
    *loss = sums.signal > 0 ? sums.noise / sums.signal : 0;
    return status;
}
