/* SPDX-License-Identifier: Apache-2.0
 * cmocka wants these four before it. */
#ifndef QN_TESTS_CMOCKA_ALL_H
#define QN_TESTS_CMOCKA_ALL_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
