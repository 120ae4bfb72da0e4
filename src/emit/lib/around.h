/* SPDX-License-Identifier: Apache-2.0
 * Formats that leave the operators in float and put quantizers around them differ only in what a quantizer looks like.
 * The walk over the plan is here; a format gives the looks. */
#ifndef QN_EMIT_LIB_AROUND_H
#define QN_EMIT_LIB_AROUND_H

#include "emit/emit.h"

struct qn_around;

/* Where new nodes go. */
struct qn_place {
    qn_node_id at;
    bool       before;
};

struct qn_style {
    /* Quantizes the float value x; the dequantized result is called `out`. `shared` holds the names of the parameters'
     * initializers, made at the first use. `like` is the value whose type and shape x has. */
    void (*activation)(struct qn_around *w, struct qn_place place, const char *x, const struct qn_qparams *params,
                       struct qn_param_names *shared, const char *base, const char *out, qn_value_id like);
    /* Its two halves where they can stand apart: Q, which gives the name of the codes, and DQ. NULL where nothing has to be
     * fused: nested graphs then read the dequantized value from outside. */
    const char *(*codes)(struct qn_around *w, struct qn_place place, const char *x, const struct qn_qparams *params,
                         struct qn_param_names *shared, const char *base, qn_value_id like);
    void (*values)(struct qn_around *w, struct qn_place place, const char *codes, const struct qn_qparams *params,
                   const struct qn_param_names *shared, const char *base, const char *out, qn_value_id like);
    /* The dequantized weight (the constant in that slot) or bias of a layer, standing before the layer; *out is its name. */
    qonnx_status (*weight)(struct qn_around *w, qn_node_id node, size_t slot, const char **out);
    qonnx_status (*bias)(struct qn_around *w, qn_node_id node, const char **out);
    /* Writes a layer whose weight is in blocks; NULL: the weight is dequantized before it, as others are. */
    qonnx_status (*blocks)(struct qn_around *w, qn_node_id node);
    void *context; /* the format's own */
};

/* A weight that was written already; layers that share one share the copy when the numbers are the same. */
struct qn_written {
    qn_value_id                 value;
    qn_node_id                  scope;
    const struct qn_qparams    *params;
    const struct qn_block_plan *blocks; /* instead of params */
    const struct qn_rounded    *rounded; /* what the codes of blocks were found by; NULL: the nearest */
    const struct qn_loss       *lost;   /* of its first reader */
    bool                        table;  /* of a Gather: blocks as its operands have them */
    int                         axis;   /* along which blocks lie: layers may read one value along either */
    bool                        dynamic; /* an activation, which gets its codes as the model runs */
    const void                 *codes;  /* the plan's, NULL for the nearest */
    const char                 *names[3]; /* of the dequantized value; or of codes, scales and zero points */
};

struct qn_around {
    const struct qn_plan  *plan;
    struct qn_edit        *edit;
    struct qn_arena       *arena; /* the model's */
    const struct qn_style *style;
    struct qn_param_names *params; /* by group */
    const char           **codes, **views; /* by value: name of its codes, where they stand apart, and of its dequantized form */
    const char           **floats; /* by value: name of the form that is quantized */
    bool                  *taken;  /* by value: the pair at its producer has its reader, on targets with a pair for each */
    struct qn_arena        scratch;
    struct {
        struct qn_written *list;
        size_t             count, room;
    } written;
    struct {
        struct qn_view_in *list;
        size_t             count, room;
    } inner;
    qonnx_error *err;
};

/* Writes the whole plan in a style. */
QONNX_MUST_CHECK qonnx_status qn_around_write(const struct qn_plan *plan, struct qn_edit *edit, const struct qn_style *style, qonnx_error *err);

/* The float constant that is added to what a layer makes, with what the layer's codes took from its mean made good, and
 * where it stands; NULL: it stays as it is. And the name of a new constant of these values and of that one's shape. */
QONNX_MUST_CHECK qonnx_status qn_around_bias(struct qn_around *w, qn_node_id node, struct qn_use *at, const float **values);
const char *qn_around_new_bias(struct qn_around *w, struct qn_use at, const float *values);

/* For styles. A node with one output called `out`, named after base. */
Onnx__NodeProto *qn_around_node(struct qn_around *w, struct qn_place place, const char *op, const char *base, size_t inputs, const char *const *input, const char *out);
/* Declares type and shape of a new value. */
void qn_around_describe(struct qn_around *w, const char *name, int32_t dtype, qn_value_id like);

/* Q, perhaps a Clip to the parameters' range, and DQ; constants as codes, with a Clip or not. */
void         qn_qdq_activation(struct qn_around *w, struct qn_place place, const char *x, const struct qn_qparams *params, struct qn_param_names *shared, const char *base, const char *out, qn_value_id like);
const char  *qn_qdq_codes(struct qn_around *w, struct qn_place place, const char *x, const struct qn_qparams *params, struct qn_param_names *shared, const char *base, qn_value_id like);
void         qn_qdq_values(struct qn_around *w, struct qn_place place, const char *codes, const struct qn_qparams *params, const struct qn_param_names *shared, const char *base, const char *out, qn_value_id like);
qonnx_status qn_qdq_weight(struct qn_around *w, qn_node_id node, size_t slot, bool clip, const char **out);
qonnx_status qn_qdq_bias(struct qn_around *w, qn_node_id node, const char **out);

/* A weight in blocks: dequantized before the layer; or the layer as MatMulNBits. */
qonnx_status qn_qdq_blocks(struct qn_around *w, qn_node_id node, const char **out);
qonnx_status qn_nbits_layer(struct qn_around *w, qn_node_id node);
/* In place of a Gather whose table is in blocks, in any format: GatherBlockQuantized. */
QONNX_MUST_CHECK qonnx_status qn_nbits_table(struct qn_around *w, qn_node_id n);
/* One of the same weight and form that was written before, or NULL; and a new entry, NULL when memory is out. */
struct qn_written *qn_around_find_blocks(const struct qn_around *w, qn_node_id node);
struct qn_written *qn_around_new_blocks(struct qn_around *w, qn_node_id node);

/* A layer that reads codes made as the model runs; and the same entries for what it reads. */
qonnx_status       qn_dynamic_layer(struct qn_around *w, qn_node_id node);
struct qn_written *qn_around_find_dynamic(const struct qn_around *w, qn_node_id node);
struct qn_written *qn_around_new_dynamic(struct qn_around *w, qn_node_id node);

#endif
