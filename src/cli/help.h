/* SPDX-License-Identifier: Apache-2.0
 * Help texts, wrapped for a terminal of 80 columns, and the passages that the manual page shares with them. */
#ifndef QN_CLI_HELP_H
#define QN_CLI_HELP_H

#include <stdio.h>

#include "table.h"

/* The first command's is that of the whole program. */
void qn_help_print(FILE *out, const struct qn_command *command);
/* One line "WORD<tab>summary" for each choice of an option. */
void qn_help_list(FILE *out, const char *option_name);

/* A command line behind the program's name, and what it does. The i-th for a command; NULL behind the last. */
struct qn_example {
    char        letter;
    const char *line, *text;
};
const struct qn_example *qn_example_at(size_t i);
/* A paragraph; NULL behind the last. */
const char              *qn_runtime_text(size_t i);
/* The meaning of the i-th exit code, in ascending order; NULL behind the last. */
const char              *qn_exit_code_text(size_t i, int *code);
/* A heading of options, in the order of the table, unless all below it are advanced; NULL behind the last. */
const char              *qn_group_at(size_t i);

#endif
