/* SPDX-License-Identifier: Apache-2.0
 * What standard error shows: progress, warnings, the summary, the error. */
#ifndef QN_CLI_PROGRESS_H
#define QN_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qn_console {
    bool    progress, warnings, colour;
    bool    line;        /* a progress line stands there */
    char    stage[64];   /* of that line */
    int64_t stage_start; /* in milliseconds */
    int64_t last;        /* when it was drawn */
};

/* Progress only on a terminal that can rewrite a line, colour only where NO_COLOR (https://no-color.org) is not set.
 * quiet: how often --quiet was given. */
void qn_console_init(struct qn_console *console, int quiet);
/* Two callbacks of the library; context is the console. */
void qn_console_progress(void *context, const char *stage, size_t done, size_t total);
void qn_console_warning(void *context, const char *text);
void qn_console_error(struct qn_console *console, const char *text);
void qn_console_text(struct qn_console *console, const char *text);
/* Takes the progress line away. */
void qn_console_clear(struct qn_console *console);

#endif
