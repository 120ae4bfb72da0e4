/* SPDX-License-Identifier: Apache-2.0
 * Copies of nodes that are to stand in another graph: the body of a function in place of a call, a nested graph's nodes
 * in the graph around it. Values get other names there, attributes that stand for a call's get the call's. */
#ifndef QN_ONNX_TRANSPLANT_H
#define QN_ONNX_TRANSPLANT_H

#include "onnx/edit.h"

/* Names of one scope and what stands for them. */
struct qn_renames {
    const struct qn_renames *outer;
    struct qn_names          from;
    const char             **to; /* by id in `from` */
    size_t                   room;
};

struct qn_transplant {
    struct qn_edit            *edit;
    struct qn_arena           *scratch;
    struct qn_names           *taken;    /* what is defined where the copies go; grows */
    const char                *prefix;   /* of all new names; NULL: names that are free there stay */
    const Onnx__FunctionProto *function; /* whose nodes are copied, with the call that they stand for; may be NULL */
    const Onnx__NodeProto     *call;
    struct qn_renames          names;
};

void qn_transplant_init(struct qn_transplant *t, struct qn_edit *edit, struct qn_arena *scratch, struct qn_names *taken);
/* Copies read `to` where the original reads `from`. */
void qn_transplant_map(struct qn_transplant *t, const char *from, const char *to);
/* Gives a value that the originals define its name at the new place. */
const char *qn_transplant_define(struct qn_transplant *t, const char *name);
/* What stands for a name: itself when it is none of the originals'. */
const char *qn_transplant_name(const struct qn_transplant *t, const char *name);
/* A deep copy, nested graphs included; its outputs must have been defined or mapped. NULL when memory is out. */
Onnx__NodeProto *qn_transplant_node(struct qn_transplant *t, const Onnx__NodeProto *node);
/* The tensor under its new name; the data are shared. */
Onnx__TensorProto *qn_transplant_tensor(const struct qn_transplant *t, const Onnx__TensorProto *tensor);

#endif
