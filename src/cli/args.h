/* SPDX-License-Identifier: Apache-2.0
 * The command line, read and checked: nothing has been opened yet. */
#ifndef QN_CLI_ARGS_H
#define QN_CLI_ARGS_H

#include "table.h"

struct qn_args {
    const struct qn_command *command;
    const char             **files; /* at least as many as the command takes */
    size_t                   file_count;
    qonnx_options           *options;
    const char              *dump, *list, *dump_options; /* their values; NULL when not given */
    int                      quiet;                      /* how often */
    bool                     json, version, help, print_config, dry_run, shard;
};

/* E_USAGE with one line of text for whatever does not fit. The texts in *args point into argv. Release also after a
 * failure. With help, version, list, dump_options or print_config the files are not checked. */
QONNX_MUST_CHECK qonnx_status qn_args_parse(struct qn_args *args, int argc, char **argv, qonnx_error *err);
void                          qn_args_release(struct qn_args *args);

#endif
