/* SPDX-License-Identifier: Apache-2.0 */
#include "base/numerals.h"

#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static locale_t       plain;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_plain(void) { plain = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0); }

/* The calling thread's locale is changed for the time of one call. */
static locale_t enter(void)
{
    pthread_once(&once, make_plain);
    return plain ? uselocale(plain) : (locale_t)0;
}

static void leave(locale_t before)
{
    if (before) uselocale(before);
}

int qn_vsnprintf(char *text, size_t size, const char *format, va_list args)
{
    locale_t before = enter();
    int      length = vsnprintf(text, size, format, args);

    leave(before);
    return length;
}

int qn_snprintf(char *text, size_t size, const char *format, ...)
{
    va_list args;
    int     length;

    va_start(args, format);
    length = qn_vsnprintf(text, size, format, args);
    va_end(args);
    return length;
}

double qn_strtod(const char *text, char **end)
{
    locale_t before = enter();
    double   value = strtod(text, end);

    leave(before);
    return value;
}
