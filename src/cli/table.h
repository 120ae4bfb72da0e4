/* SPDX-License-Identifier: Apache-2.0
 * What can be typed: the commands, and the library's options followed by those of the program itself. Parsing, help
 * texts, manual page and completions all read these tables. */
#ifndef QN_CLI_TABLE_H
#define QN_CLI_TABLE_H

#include <qonnx/qonnx.h>

#define QN_PROGRAM "qonnx-quantize"

struct qn_command {
    char        letter;   /* as in qonnx_option_info.commands */
    const char *word;     /* the first word that chooses it; NULL when there is none */
    const char *title;    /* how messages call it */
    int         files;    /* how many it takes */
    const char *synopsis; /* what is typed behind the program's name */
    const char *summary;  /* one sentence */
    bool        more;     /* files behind these are taken, too */
};

/* The i-th command, NULL behind the last; and the one with a letter. The first is the one without any word. */
const struct qn_command *qn_command_at(size_t i);
const struct qn_command *qn_command_find(char letter);

/* The i-th of all options; NULL behind the last. The program's own have the group "General". */
const qonnx_option_info *qn_option_at(size_t i);
const qonnx_option_info *qn_option_find(const char *name);
/* Whether the library knows it. */
bool                     qn_option_is_shared(const qonnx_option_info *option);
/* The letter of "-q" for "--quiet"; 0 when there is none. */
char                     qn_option_letter(const qonnx_option_info *option);
/* As qonnx_option_choice, for all options. */
bool qn_option_choice(const qonnx_option_info *option, size_t k, const char **word, const char **summary);
/* Whether a command takes it. */
bool qn_option_applies(const qonnx_option_info *option, const struct qn_command *command);

/* The known word nearest to a misspelt one; best stays NULL when none is near enough to be meant. */
struct qn_guess {
    const char *typed, *best;
    size_t      distance;
};
void qn_guess_consider(struct qn_guess *guess, const char *known);

#endif
