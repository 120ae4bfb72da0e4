/* SPDX-License-Identifier: Apache-2.0
 * Inside the recipe reader: a JSON document walked with a record of where one is, so that errors can say it. */
#ifndef QN_PLAN_RECIPE_READER_H
#define QN_PLAN_RECIPE_READER_H

#include <jansson.h>

#include "plan/json_place.h"
#include "plan/recipe.h"

enum { QN_RECIPE_DEPTH = 8 };

struct qn_recipe_reader {
    const char         *path; /* NULL: a preset's rules */
    const char         *text;
    size_t              size;
    struct qn_json_step steps[QN_RECIPE_DEPTH];
    size_t              depth;
    struct qn_recipe   *recipe;
    struct qn_arena    *arena;
    qonnx_error        *err;
};

/* Into a member and out again. */
void         qn_recipe_enter(struct qn_recipe_reader *r, const char *key, size_t index);
void         qn_recipe_leave(struct qn_recipe_reader *r);
/* The line one is at. */
int          qn_recipe_line(const struct qn_recipe_reader *r);
/* "FILE:LINE: rules[1].weight.bit_width: …" */
qonnx_status qn_recipe_fail(const struct qn_recipe_reader *r, const char *format, ...) QONNX_PRINTF(2, 3);
/* E_USAGE for a key that is not among the known ones: `count` structs of `stride` bytes that start with a name. */
qonnx_status qn_recipe_fail_key(const struct qn_recipe_reader *r, const char *key, const void *known, size_t count,
                                size_t stride);
const char  *qn_recipe_type_name(const json_t *value); /* "a string" */

/* One slot of a rule; recipe_slot.c. */
QONNX_MUST_CHECK qonnx_status qn_recipe_read_slot(struct qn_recipe_reader *r, enum qn_slot slot, const json_t *value,
                                                  struct qn_slot_words *words);
/* A member that must be a string, copied; a number; an integer from low to high; a bool. */
QONNX_MUST_CHECK qonnx_status qn_recipe_text(struct qn_recipe_reader *r, const json_t *value, const char **text);
QONNX_MUST_CHECK qonnx_status qn_recipe_real(struct qn_recipe_reader *r, const json_t *value, double *number);
QONNX_MUST_CHECK qonnx_status qn_recipe_int(struct qn_recipe_reader *r, const json_t *value, int64_t low, int64_t high,
                                            int64_t *number);
QONNX_MUST_CHECK qonnx_status qn_recipe_bool(struct qn_recipe_reader *r, const json_t *value, bool *flag);

#endif
