/* SPDX-License-Identifier: Apache-2.0
 * Pieces of the texts that people read. */
#ifndef QN_WORDING_H
#define QN_WORDING_H

#include <stdint.h>

#include "base/strbuf.h"

/* A name out of a model or a path: control bytes become '?', so that nothing in it can steer a terminal. */
void        qn_put_foreign(struct qn_strbuf *text, const char *name);
/* The same of the last part of a path: "samples" of "data/samples/". */
void        qn_put_base_name(struct qn_strbuf *text, const char *path);
/* "702 bytes", "1.2 MB", "312 MB" */
void        qn_put_size(struct qn_strbuf *text, uint64_t bytes);
/* "s" unless n is 1 */
const char *qn_plural(uint64_t n);

/* Start and length of the last part of a path. */
const char *qn_base_name(const char *path, size_t *length);

#endif
