/* SPDX-License-Identifier: Apache-2.0
 * Things the user should know that are no errors: told at once to the caller and kept for the report. */
#ifndef QN_WARNINGS_H
#define QN_WARNINGS_H

#include <qonnx/qonnx.h>

#include "base/arena.h"

struct qn_warnings {
    const qonnx_callbacks *callbacks; /* may be NULL */
    struct qn_arena       *arena;
    const char           **texts;
    size_t                 count, capacity;
};

void qn_warn(struct qn_warnings *warnings, const char *format, ...) QONNX_PRINTF(2, 3);
/* One warning for each line of the text, which may be NULL. */
void qn_warn_lines(struct qn_warnings *warnings, const char *text);

#endif
