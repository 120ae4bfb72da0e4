/* SPDX-License-Identifier: Apache-2.0
 * Work on numbered items with several threads. Item i writes only to slot i of whatever it fills, so results never
 * depend on the number of threads. (pthreads rather than OpenMP, whose runtime ThreadSanitizer cannot see through.) */
#ifndef QN_BASE_POOL_H
#define QN_BASE_POOL_H

#include <stddef.h>

#include "base/status.h"

/* Does item `index` on worker `worker` (0 … threads-1). */
typedef qonnx_status (*qn_work_fn)(void *context, size_t index, int worker, qonnx_error *err);

/* Calls fn for 0 … count-1 on up to `threads` threads (the caller's is one of them; values below 1 mean 1). Items are
 * handed out in increasing order. After a failure no new item starts; of the failed items the lowest one's error is
 * returned. */
QONNX_MUST_CHECK qonnx_status qn_parallel_for(size_t count, int threads, qn_work_fn fn, void *context, qonnx_error *err);

/* Processors this process may run on, at least 1. */
int qn_cpu_count(void);

#endif
