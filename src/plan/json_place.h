/* SPDX-License-Identifier: Apache-2.0
 * Where something stands in a JSON text: the parser keeps no positions, and an error without its line helps nobody. */
#ifndef QN_PLAN_JSON_PLACE_H
#define QN_PLAN_JSON_PLACE_H

#include <stddef.h>

/* One step from the top of the document: into an object by key, or into an array (key NULL) by index. */
struct qn_json_step {
    const char *key;
    size_t      index;
};

/* The line, counted from 1, of what the steps lead to (of its key, in an object); of the last thing found on the way
 * when the text has no such place. Right for valid JSON, safe for any text. */
int qn_json_line(const char *text, size_t size, const struct qn_json_step *steps, size_t count);

#endif
