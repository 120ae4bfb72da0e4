/* SPDX-License-Identifier: Apache-2.0
 * What --dump-options prints, all of it out of the tables. */
#ifndef QN_CLI_MANUALS_H
#define QN_CLI_MANUALS_H

#include <stdio.h>

/* kind: one of the choices of --dump-options. */
void qn_manual_print(FILE *out, const char *kind);

void qn_print_bash_completion(FILE *out);
void qn_print_zsh_completion(FILE *out);
void qn_print_fish_completion(FILE *out);
void qn_print_reference(FILE *out);

#endif
