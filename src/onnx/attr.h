/* SPDX-License-Identifier: Apache-2.0
 * Node attributes: typed getters with defaults (an attribute of another type counts as absent; the checker reports it),
 * and builders in an arena. */
#ifndef QN_ONNX_ATTR_H
#define QN_ONNX_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "onnx.pb-c.h"

const Onnx__AttributeProto *qn_attr_find(const Onnx__NodeProto *node, const char *name);
int64_t qn_attr_int(const Onnx__NodeProto *node, const char *name, int64_t absent);
float   qn_attr_float(const Onnx__NodeProto *node, const char *name, float absent);
/* True when the string attribute equals `value`. */
bool qn_attr_is(const Onnx__NodeProto *node, const char *name, const char *value);
/* The integers, or NULL and *count = 0. */
const int64_t *qn_attr_ints(const Onnx__NodeProto *node, const char *name, size_t *count);
const Onnx__TensorProto *qn_attr_tensor(const Onnx__NodeProto *node, const char *name);

/* A new node; inputs and outputs are arrays of names that are copied as pointers ("" for an absent optional input). */
Onnx__NodeProto *qn_node_new(struct qn_arena *arena, const char *op_type, const char *name, size_t inputs, const char *const *input, size_t outputs, const char *const *output);
/* Set or replace an attribute. */
void qn_attr_set_int(struct qn_arena *arena, Onnx__NodeProto *node, const char *name, int64_t value);
void qn_attr_set_ints(struct qn_arena *arena, Onnx__NodeProto *node, const char *name, size_t count, const int64_t *values);
void qn_attr_set_string(struct qn_arena *arena, Onnx__NodeProto *node, const char *name, const char *value);
void qn_attr_remove(Onnx__NodeProto *node, const char *name);
/* A shallow copy that may be changed without touching the original node. */
Onnx__NodeProto *qn_node_copy(struct qn_arena *arena, const Onnx__NodeProto *node);

#endif
