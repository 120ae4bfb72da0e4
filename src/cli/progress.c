/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "table.h"

enum { INTERVAL = 100, ETA_AFTER = 1000 }; /* milliseconds */

#define RED "\033[1;31m"
#define YELLOW "\033[1;33m"
#define PLAIN "\033[0m"

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void qn_console_init(struct qn_console *console, int quiet)
{
    const char *terminal = getenv("TERM"), *no_color = getenv("NO_COLOR");
    bool        able = isatty(STDERR_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;

    memset(console, 0, sizeof *console);
    console->progress = able && !quiet;
    console->warnings = quiet < 2;
    console->colour = able && !(no_color && *no_color);
}

void qn_console_clear(struct qn_console *console)
{
    if (console->line) fputs("\r\033[K", stderr);
    console->line = false;
}

/* Columns that a line may take without wrapping. */
static size_t width(void)
{
    struct winsize size = { 0 };

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 2) return 79;
    return size.ws_col - 1U;
}

static void format_left(char *text, size_t size, int64_t left)
{
    if (left < 3600)
        snprintf(text, size, ", %lld:%02lld left", (long long)left / 60, (long long)left % 60);
    else
        snprintf(text, size, ", %lld:%02lld:%02lld left", (long long)left / 3600, (long long)left / 60 % 60,
                 (long long)left % 60);
}

void qn_console_progress(void *context, const char *stage, size_t done, size_t total)
{
    struct qn_console *console = context;
    int64_t            time, elapsed;
    char               line[256], left[48] = "";

    if (!console->progress) return;
    time = now();
    if (strncmp(stage, console->stage, sizeof console->stage - 1) != 0) {
        snprintf(console->stage, sizeof console->stage, "%s", stage);
        console->stage_start = time;
        console->last = 0;
    }
    if (console->last && time - console->last < INTERVAL) return;
    console->last = time;
    elapsed = time - console->stage_start;
    if (done && done < total && elapsed >= ETA_AFTER)
        format_left(left, sizeof left, (int64_t)((double)elapsed * (double)(total - done) / (double)done / 1000 + 0.5));
    if (total)
        snprintf(line, sizeof line, "%s %3d%% (%zu of %zu%s)", console->stage,
                 (int)(100.0 * (double)done / (double)total), done, total, left);
    else if (done)
        snprintf(line, sizeof line, "%s (%zu)", console->stage, done);
    else
        snprintf(line, sizeof line, "%s", console->stage);
    if (width() < strlen(line)) line[width()] = 0;
    fprintf(stderr, "\r%s\033[K", line);
    console->line = true;
}

/* One line, in one write. Names in it come from files and arguments: no control byte may steer the terminal. */
static void say(struct qn_console *console, const char *prefix, const char *colour, const char *label, const char *text)
{
    size_t length = strlen(text);
    char  *copy = malloc(length + 1);

    qn_console_clear(console);
    for (size_t i = 0; copy && i <= length; i++) {
        bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7f;
        copy[i] = control && i < length ? '?' : text[i];
    }
    fprintf(stderr, "%s%s%s%s%s\n", prefix, console->colour ? colour : "", label, console->colour ? PLAIN " " : " ",
            copy ? copy : "");
    free(copy);
}

void qn_console_warning(void *context, const char *text)
{
    struct qn_console *console = context;

    if (console->warnings) say(console, "", YELLOW, "warning:", text);
}

void qn_console_error(struct qn_console *console, const char *text)
{
    say(console, QN_PROGRAM ": ", RED, "error:", text);
}

void qn_console_text(struct qn_console *console, const char *text)
{
    size_t length = strlen(text);

    qn_console_clear(console);
    fputs(text, stderr);
    if (length && text[length - 1] != '\n') fputc('\n', stderr);
}
