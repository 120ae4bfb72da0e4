/* SPDX-License-Identifier: Apache-2.0 */
#include "run/pace.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_PAIRS = 21, FEWEST_PAIRS = 7, MOST_RUNS = 200 };
#define SECONDS 3.0      /* for all of it */
#define LEAST_TIME 0.015 /* of one measurement: less is lost in the clock */

static double cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds of one run. */
static qonnx_status time_runs(struct qn_session *session, const struct qn_view *inputs, size_t runs, double *seconds,
                              qonnx_error *err)
{
    struct qn_run run = { .inputs = inputs };
    double        start = cpu_now();

    for (size_t i = 0; i < runs; i++) QN_TRY(session->runtime->run(session, &run, err));
    *seconds = (cpu_now() - start) / (double)runs;
    return QONNX_OK;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct qn_pace qn_pace_of(double *ratios, size_t n)
{
    size_t reach = (size_t)(0.98 * sqrt((double)n) + 1); /* 1.96 · √n / 2 on each side of the middle */
    size_t low = n / 2 > reach ? n / 2 - reach : 0, high = (n - 1) / 2 + reach;

    qsort(ratios, n, sizeof *ratios, ascending);
    return (struct qn_pace){ (ratios[(n - 1) / 2] + ratios[n / 2]) / 2, ratios[low], ratios[high < n ? high : n - 1],
                             n };
}

/* Runs in one measurement of a session, by a run that warms up and one that counts. */
static qonnx_status choose_runs(struct qn_session *session, const struct qn_view *inputs, size_t *runs, double *seconds,
                                qonnx_error *err)
{
    QN_TRY(time_runs(session, inputs, 1, seconds, err));
    QN_TRY(time_runs(session, inputs, 1, seconds, err));
    *runs = *seconds * MOST_RUNS <= LEAST_TIME ? MOST_RUNS : (size_t)(LEAST_TIME / *seconds) + 1;
    *seconds *= (double)*runs;
    return QONNX_OK;
}

qonnx_status qn_pace_measure(struct qn_pace *pace, struct qn_session *const sessions[2], const struct qn_view *inputs,
                             qonnx_error *err)
{
    double ratios[MOST_PAIRS], seconds[2];
    size_t runs[2], pairs = MOST_PAIRS;

    for (int k = 0; k < 2; k++) QN_TRY(choose_runs(sessions[k], inputs, &runs[k], &seconds[k], err));
    if ((seconds[0] + seconds[1]) * MOST_PAIRS > SECONDS) pairs = (size_t)(SECONDS / (seconds[0] + seconds[1]));
    if (pairs < FEWEST_PAIRS) pairs = FEWEST_PAIRS;
    for (size_t i = 0; i < pairs; i++) {
        for (size_t turn = 0; turn < 2; turn++) {
            size_t k = (turn + i) % 2;
            QN_TRY(time_runs(sessions[k], inputs, runs[k], &seconds[k], err));
        }
        ratios[i] = seconds[1] > 0 ? seconds[0] / seconds[1] : 1;
    }
    *pace = qn_pace_of(ratios, pairs);
    return QONNX_OK;
}
