/* SPDX-License-Identifier: Apache-2.0
 * JSON as every file and answer of ours has it: keys in the order they were set, one record a line, floats with nine
 * significant digits (so that a float32 comes back as it was), no NaN, no infinity, valid UTF-8 whatever the names are. */
#ifndef QN_JSON_OUT_H
#define QN_JSON_OUT_H

#include <jansson.h>
#include <stdint.h>

#include "base/strbuf.h"

/* An object in the making; failure (out of memory) is sticky. A NULL object or value counts as such a failure. */
struct qn_json {
    bool failed;
};
void qn_json_put(struct qn_json *json, json_t *object, const char *key, json_t *value);
void qn_json_append(struct qn_json *json, json_t *array, json_t *value);

/* Foreign bytes; each that is not part of valid UTF-8 becomes U+FFFD. */
void    qn_put_valid_utf8(struct qn_strbuf *text, const char *bytes);
/* A string of foreign bytes; each byte that is not part of valid UTF-8 becomes U+FFFD. NULL gives null. */
json_t *qn_json_text(const char *text);
/* null for NaN and infinities. */
json_t *qn_json_real(double value);
/* A figure that is read by people: rounded to so many decimals; null for NaN and infinities. */
json_t *qn_json_rounded(double value, int decimals);
json_t *qn_json_uint(uint64_t value);

/* The last part of a path, "samples" of "data/samples/"; for texts that are the same on every machine. */
json_t *qn_json_base_name(const char *path);
/* The lines of a text as an array. */
json_t *qn_json_lines(const char *text);
/* {"name": "qonnx-quantize", "version": …} */
json_t *qn_json_producer(void);

/* Writes the document, a key a line on the two upper levels and a record a line in lists, and a newline; frees `root`. */
QONNX_MUST_CHECK qonnx_status qn_json_write(struct qn_json *json, json_t *root, struct qn_strbuf *text,
                                            qonnx_error *err);

#endif
