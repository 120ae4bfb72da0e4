/* SPDX-License-Identifier: Apache-2.0
 * Tables as text, a line at a time. For feed_csv.c. */
#ifndef QN_RUN_CSV_H
#define QN_RUN_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/status.h"

/* The line read last, cut into cells: without blanks and quotes around them. They last until the next line. */
struct qn_csv {
    FILE  *file;
    char  *line;
    size_t room, number; /* of the line in the file, from 1 */
    char   separator;    /* the first of , ; and tab in the first line */
    char **cells;
    size_t count, capacity;
};

QONNX_MUST_CHECK qonnx_status qn_csv_open(struct qn_csv *table, const char *path, qonnx_error *err);
void                          qn_csv_close(struct qn_csv *table); /* a zeroed struct may be closed */
void                          qn_csv_rewind(struct qn_csv *table);
/* The next line that is not blank; *done when there is none. E_DATA names the line. */
QONNX_MUST_CHECK qonnx_status qn_csv_next(struct qn_csv *table, bool *done, qonnx_error *err);

bool qn_csv_is_number(const char *cell);

#endif
