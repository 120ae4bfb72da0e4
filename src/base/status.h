/* SPDX-License-Identifier: Apache-2.0
 * Raising errors and adding context to them. The library never prints and never exits. */
#ifndef QN_BASE_STATUS_H
#define QN_BASE_STATUS_H

#include <qonnx/status.h>

/* Records the first error in err (NULL is allowed; a later failure does not overwrite an earlier one) and returns
 * `status`, so that `return qn_fail(err, …)` reads well. Control bytes in the text become '?'. */
qonnx_status qn_fail(qonnx_error *err, qonnx_status status, const char *format, ...) QONNX_PRINTF(3, 4);

/* Puts "context: " in front of the recorded text and returns `status` unchanged. Too long a text loses its tail. */
qonnx_status qn_wrap(qonnx_error *err, qonnx_status status, const char *format, ...) QONNX_PRINTF(3, 4);

/* Out of memory has one text everywhere. */
qonnx_status qn_fail_nomem(qonnx_error *err);

/* Returns from the calling function when expr fails. Only where nothing needs closing. */
#define QN_TRY(expr)                                        \
    do {                                                    \
        qonnx_status qn_try_status = (expr);                \
        if (qn_try_status != QONNX_OK) return qn_try_status; \
    } while (0)

#endif
