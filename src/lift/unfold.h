/* SPDX-License-Identifier: Apache-2.0
 * Inside unfold.c and unfold_integer.c. */
#ifndef QN_LIFT_UNFOLD_H
#define QN_LIFT_UNFOLD_H

#include "lift/lifter.h"

enum { QN_MAX_OPERANDS = 1024 };

struct qn_operand {
    const char  *codes, *scale, *zero; /* names; "" for none */
    int32_t      type;                 /* of the codes; 0: not known */
    const float *scales;               /* of weights */
    size_t       count;
};

struct qn_unfolder {
    struct qn_lifter      *lifter;
    const struct qn_graph *graph;
    struct qn_edit        *edit;
    struct qn_arena       *arena;
    qn_node_id             node;
    struct qn_operand      in[QN_MAX_OPERANDS], out; /* by slot of the float operator */
    size_t                 count;
};

const Onnx__TensorProto *qn_unfold_constant(const struct qn_unfolder *u, const char *name);
const char              *qn_unfold_dequantize(struct qn_unfolder *u, const struct qn_operand *x, int axis);
const char              *qn_unfold_vectors(struct qn_unfolder *u, struct qn_operand *w);
/* MatMulInteger or ConvInteger, Cast and Mul. NULL when it has been read, else why not. */
const char              *qn_unfold_integer(struct qn_unfolder *u);

#endif
