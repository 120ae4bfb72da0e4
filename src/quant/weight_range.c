/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/weight_range.h"

#include <math.h>

#include "base/pool.h"
#include "quant/qparams.h"

enum { TRIALS = 40, TRIAL_STEPS = 64, ROUNDS = 30, WORTH_THREADS = 1 << 16 };

struct job {
    const float         *w;
    struct qn_layout     layout;
    int32_t              steps;
    enum qn_weight_range how;
    float               *absmax;
};

static double error_of(const struct job *job, size_t channel, float end)
{
    const float scale = qn_symmetric_scale(end, job->steps), limit = (float)job->steps;
    double      sum = 0;

    for (size_t o = 0; o < job->layout.outer; o++) {
        const float *run = job->w + (o * job->layout.channels + channel) * job->layout.inner;
        for (size_t i = 0; i < job->layout.inner; i++) {
            const double error = (double)run[i] - (double)(fminf(fmaxf(rintf(run[i] / scale), -limit), limit) * scale);
            sum += error * error;
        }
    }
    return sum;
}

static float by_trial(const struct job *job, size_t channel)
{
    const float largest = job->absmax[channel];
    float       best = largest;
    double      least = error_of(job, channel, largest);

    for (int i = 1; i <= TRIALS; i++) {
        const float  end = largest * (1 - (float)i / TRIAL_STEPS);
        const double error = error_of(job, channel, end);
        if (!(error < least)) continue;
        least = error;
        best = end;
    }
    return best;
}

/* With n steps on each side rounding makes (c / n)^2 / 12 for each value inside, so that c = E[|w|; |w| > c] over
 * P[|w| > c] + P[inside] / 12 n^2 at the optimum (Sakr et al. 2022). Zeros are exact. */
static float by_fixed_point(const struct job *job, size_t channel)
{
    const double steps = (double)job->steps;
    double       end = 0;

    for (int round = 0; round < ROUNDS; round++) {
        double beyond = 0, sum = 0, inside = 0;
        for (size_t o = 0; o < job->layout.outer; o++) {
            const float *run = job->w + (o * job->layout.channels + channel) * job->layout.inner;
            for (size_t i = 0; i < job->layout.inner; i++) {
                const double magnitude = fabs((double)run[i]);
                const bool   outside = magnitude > end;
                beyond += outside ? 1 : 0;
                sum += outside ? magnitude : 0;
                inside += !outside && magnitude > 0 ? 1 : 0;
            }
        }
        if (!(beyond > 0)) break;
        end = sum / (beyond + inside / (12 * steps * steps));
    }
    return fminf((float)end, job->absmax[channel]);
}

static qonnx_status do_channel(void *context, size_t channel, int worker, qonnx_error *err)
{
    const struct job *job = context;

    (void)worker, (void)err;
    if (!(job->absmax[channel] > 0)) return QONNX_OK;
    job->absmax[channel] = job->how == QN_WEIGHT_OCTAV ? by_fixed_point(job, channel) : by_trial(job, channel);
    return QONNX_OK;
}

qonnx_status qn_weight_ranges(const float *w, struct qn_layout layout, int32_t steps, enum qn_weight_range how,
                              float *absmax, int threads, qonnx_error *err)
{
    struct job job = { w, layout, steps, how, absmax };

    if (how == QN_WEIGHT_MINMAX) return QONNX_OK;
    return qn_parallel_for(layout.channels, qn_layout_count(layout) < WORTH_THREADS ? 1 : threads, do_channel, &job,
                           err);
}
