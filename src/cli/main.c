/* SPDX-License-Identifier: Apache-2.0
 * qonnx-quantize: a client of the library's public header and nothing else. */
#include <errno.h>
#include <fcntl.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "args.h"
#include "help.h"
#include "manuals.h"
#include "progress.h"
#include "ranks.h"

/* A standard stream that the caller closed must not become the number of a file that is opened later. What takes its
 * place refuses what a stream of that kind does, so that output is not lost silently. */
static void keep_standard_streams_open(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd ? O_RDONLY : O_WRONLY) < 0) _exit(1);
}

static void put(FILE *out, const char *text)
{
    size_t length = strlen(text);

    fputs(text, out);
    if (length && text[length - 1] != '\n') fputc('\n', out);
}

static qonnx_status run(const struct qn_args *args, struct qn_console *console, FILE *out, qonnx_error *err)
{
    qonnx_callbacks callbacks = { console, qn_console_progress, qn_console_warning };
    qonnx_result   *result = NULL;
    qonnx_status    status = QONNX_E_INTERNAL;
    bool            converts = strchr("qvkm", args->command->letter) && !args->dry_run; /* else the text is what was asked for */

    switch (args->command->letter) {
    case 'q': status = qonnx_quantize(args->files[0], args->files[1], args->options, &callbacks, &result, err); break;
    case 'k': status = qn_ranks_calibrate(args, console, &callbacks, &result, err); break;
    case 'm': status = qonnx_merge(args->files[0], args->files + 1, args->file_count - 1, &callbacks, &result, err); break;
    case 'c': status = qonnx_compare(args->files[0], args->files[1], args->options, &callbacks, &result, err); break;
    case 'v': status = qonnx_convert(args->files[0], args->files[1], args->options, &callbacks, &result, err); break;
    case 'i': status = qonnx_inspect(args->files[0], args->options, &callbacks, &result, err); break;
    case 'd': status = qonnx_dump(args->files[0], args->dump, args->options, &result, err); break;
    }
    qn_console_clear(console);
    if (result && converts && !args->quiet) qn_console_text(console, qonnx_result_text(result));
    if (result && (args->json || !converts)) /* also with E_QUALITY */
        put(out, args->json ? qonnx_result_json(result) : qonnx_result_text(result));
    qonnx_result_free(result);
    return status;
}

static qonnx_status print_config(const struct qn_args *args, FILE *out, qonnx_error *err)
{
    qonnx_result *result = NULL;
    qonnx_status  status = qonnx_print_config(args->options, &result, err);

    if (!status) put(out, qonnx_result_text(result));
    qonnx_result_free(result);
    return status;
}

static qonnx_status answer(const struct qn_args *args, struct qn_console *console, FILE *out, qonnx_error *err)
{
    if (args->help)
        qn_help_print(out, args->command);
    else if (args->version)
        put(out, QN_PROGRAM " " QONNX_VERSION);
    else if (args->list)
        qn_help_list(out, args->list);
    else if (args->dump_options)
        qn_manual_print(out, args->dump_options);
    else if (args->print_config)
        return print_config(args, out, err);
    else
        return run(args, console, out, err);
    return QONNX_OK;
}

/* A full disk, or a reader that has gone. */
static qonnx_status write_output(const char *text, size_t size, qonnx_error *err)
{
    while (size) {
        ssize_t written = write(STDOUT_FILENO, text, size);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) {
            snprintf(err->message, sizeof err->message, "standard output: cannot write: %s", strerror(errno));
            return QONNX_E_IO;
        }
        text += written;
        size -= (size_t)written;
    }
    return QONNX_OK;
}

/* All that goes to standard output is gathered first: it comes whole, or there is an error to tell. */
static qonnx_status answer_whole(const struct qn_args *args, struct qn_console *console, qonnx_error *err)
{
    char        *text = NULL;
    size_t       size = 0;
    FILE        *out = open_memstream(&text, &size);
    qonnx_status status, written = QONNX_E_NOMEM;

    if (!out) return QONNX_E_NOMEM;
    status = answer(args, console, out, err);
    if (fclose(out) == 0) written = write_output(text, size, status ? &(qonnx_error){ 0 } : err);
    free(text);
    return status ? status : written;
}

int main(int argc, char **argv)
{
    struct qn_console console;
    struct qn_args    args;
    qonnx_error       err = { 0 };
    qonnx_status      status;

    keep_standard_streams_open();
#ifdef __GLIBC__
    /* Copies of weights that the runtime made go back to the system at once; else every large block that is freed makes
     * larger ones stay. */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    mallopt(M_TRIM_THRESHOLD, 2 << 20); /* what pieces of work need is not given back after each */
#endif
    /* Some builds of ONNX Runtime otherwise keep a device number and a log of events in the user's cache folder. */
    setenv("ORT_DISABLE_TELEMETRY", "1", 0);
    signal(SIGPIPE, SIG_IGN); /* a reader that goes away is an error like any other, */
    signal(SIGXFSZ, SIG_IGN); /* and so is a file that may not grow */
    qonnx_install_signal_handlers();

    status = qn_args_parse(&args, argc, argv, &err);
    qn_console_init(&console, args.quiet);
    if (!status) status = answer_whole(&args, &console, &err);
    qn_args_release(&args);
    if (status) qn_console_error(&console, err.message[0] ? err.message : qonnx_status_text(status));
    return qonnx_status_exit_code(status);
}
