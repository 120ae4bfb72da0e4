/* SPDX-License-Identifier: Apache-2.0
 * Calibration by the processes of an MPI launcher, each of which sees a shard of the samples. */
#ifndef QN_CLI_RANKS_H
#define QN_CLI_RANKS_H

#include "args.h"
#include "progress.h"

#ifdef QN_MPI
/* As qonnx_calibrate. Of several processes the first gets the result; the others end in here, and all do when one of them
 * fails. */
QONNX_MUST_CHECK qonnx_status qn_ranks_calibrate(const struct qn_args *args, struct qn_console *console,
                                                 const qonnx_callbacks *callbacks, qonnx_result **result,
                                                 qonnx_error *err);
#else
#define qn_ranks_calibrate(args, console, callbacks, result, err)                                                      \
    qonnx_calibrate((args)->files[0], (args)->files[1], (args)->options, callbacks, result, err)
#endif

#endif
