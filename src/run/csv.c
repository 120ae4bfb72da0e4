/* SPDX-License-Identifier: Apache-2.0 */
#include "run/csv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/numerals.h"

enum { LINE_MOST = 64 << 20 };

/* Windows puts one before UTF-8. */
static size_t pass_mark(char *line, size_t length)
{
    if (length < 3 || memcmp(line, "\xef\xbb\xbf", 3) != 0) return length;
    memmove(line, line + 3, length - 2);
    return length - 3;
}

/* Without its end; *done when there is none. Blank lines are passed over. */
static qonnx_status read_line(struct qn_csv *table, bool *done, qonnx_error *err)
{
    size_t length = 0;

    *done = false;
    for (;;) {
        if (table->room - length < 2) {
            size_t wanted = table->room ? table->room * 2 : 4096;
            char  *grown;
            if (wanted > LINE_MOST)
                return qn_fail(err, QONNX_E_DATA, "line %zu is longer than %d MB", table->number + 1, LINE_MOST >> 20);
            if (!(grown = realloc(table->line, wanted))) return qn_fail_nomem(err);
            table->line = grown;
            table->room = wanted;
        }
        int c = getc_unlocked(table->file);
        if (c == 0)
            return qn_fail(err, QONNX_E_DATA, "line %zu holds a byte of zero: it is no text", table->number + 1);
        if (c != '\n' && c != EOF) {
            table->line[length++] = (char)c;
            continue;
        }
        if (c == EOF && ferror(table->file)) return qn_fail(err, QONNX_E_DATA, "%s", strerror(errno));
        table->number++;
        while (length && (table->line[length - 1] == '\r' || table->line[length - 1] == ' ')) length--;
        table->line[length] = 0;
        if (table->number == 1) length = pass_mark(table->line, length);
        if (length) return QONNX_OK;
        if (c == EOF) {
            *done = true;
            return QONNX_OK;
        }
    }
}

static qonnx_status add_cell(struct qn_csv *table, char *cell, qonnx_error *err)
{
    if (table->count == table->capacity) {
        size_t wanted = table->capacity ? table->capacity * 2 : 64;
        char **grown = realloc(table->cells, wanted * sizeof *grown);
        if (!grown) return qn_fail_nomem(err);
        table->cells = grown;
        table->capacity = wanted;
    }
    table->cells[table->count++] = cell;
    return QONNX_OK;
}

/* Cuts blanks, and quotes with what they protect, in place. */
static qonnx_status cut(struct qn_csv *table, qonnx_error *err)
{
    char *at = table->line;

    for (table->count = 0;;) {
        char *cell, *end;
        while (*at == ' ') at++;
        if (*at == '"') {
            cell = end = ++at;
            for (; *at && (*at != '"' || at[1] == '"'); at++) {
                if (*at == '"') at++;
                *end++ = *at;
            }
            if (*at) at++;
            while (*at == ' ') at++;
        } else {
            cell = at;
            while (*at && *at != table->separator) at++;
            for (end = at; end > cell && end[-1] == ' ';) end--;
        }
        QN_TRY(add_cell(table, cell, err));
        if (*at && *at != table->separator)
            return qn_fail(err, QONNX_E_DATA, "line %zu: something follows the quotes of column %zu", table->number,
                           table->count);
        bool more = *at++ != 0;
        *end = 0;
        if (!more) return QONNX_OK;
    }
}

bool qn_csv_is_number(const char *cell)
{
    char *end;

    (void)qn_strtod(cell, &end);
    return *cell && !*end;
}

/* Tables of countries that write 1,5 for a half have semicolons. */
static char find_separator(const char *line)
{
    bool quoted = false;

    for (; *line; line++) {
        if (*line == '"') quoted = !quoted;
        if (!quoted && strchr(",;\t", *line)) return *line;
    }
    return ',';
}

qonnx_status qn_csv_next(struct qn_csv *table, bool *done, qonnx_error *err)
{
    QN_TRY(read_line(table, done, err));
    if (*done) return QONNX_OK;
    if (!table->separator) table->separator = find_separator(table->line);
    return cut(table, err);
}

qonnx_status qn_csv_open(struct qn_csv *table, const char *path, qonnx_error *err)
{
    memset(table, 0, sizeof *table);
    if ((table->file = fopen(path, "rbe"))) return QONNX_OK;
    return qn_fail(err, QONNX_E_DATA, "%s", strerror(errno));
}

void qn_csv_rewind(struct qn_csv *table)
{
    rewind(table->file);
    table->number = 0;
}

void qn_csv_close(struct qn_csv *table)
{
    if (table->file) fclose(table->file);
    free(table->line);
    free(table->cells);
    memset(table, 0, sizeof *table);
}
