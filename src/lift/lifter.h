/* SPDX-License-Identifier: Apache-2.0
 * Inside the lift. The old graph is read node by node; each of its values turns out to be a view of an item, that is of a
 * value that the float graph will have: the item itself, its codes, or what its codes stand for. */
#ifndef QN_LIFT_LIFTER_H
#define QN_LIFT_LIFTER_H

#include "lift/lift.h"
#include "onnx/edit.h"

/* A quantizer as the file has it. */
struct qn_grid {
    struct qn_qparams qp;
    const char       *scale, *zero_point; /* its initializers, for a QuantizeLinear that must stay; NULL if none */
    bool              shift_first;        /* the zero point is added before rounding, as in QONNX */
};

enum qn_form { QN_PLAIN, QN_VIEW, QN_CODES, QN_CONSTANT_CODES };

struct qn_item {
    const char           *name;
    qn_value_id           old;   /* whose type and shape it has, */
    qn_value_id           like;  /* or, where that is not declared, its codes or a view of it, which may be */
    qn_node_id            maker; /* QN_NONE for inputs and constants, and for new Identity nodes */
    size_t                maker_slot;
    const struct qn_grid *grid;          /* NULL: not quantized */
    qn_node_id            at;            /* the old node that quantizes it */
    uint32_t              from;          /* of an Identity: the item that it reads, else QN_NONE; */
    bool        from_view, kept;         /* its view; the Identity is one for good, not just a place for a quantizer */
    uint32_t    first_child, next_child; /* Identity items of this one */
    uint32_t    moved;                   /* the item that has taken over its quantizer, or QN_NONE */
    bool        plain_read, view_read;   /* who reads it, of what stays and of items */
    qn_value_id pinned;                  /* a view of it that is a graph output or read in a nested graph */
    const Onnx__TensorProto *codes;      /* a constant that the file has as integers; */
    int32_t                  clip_lo, clip_hi; /* cut to these */
    const int64_t           *wide_codes; /* of a float constant: codes that float32 cannot tell, from an attribute */
    size_t                   wide_count;
};

struct qn_place_of {   /* an old value */
    uint32_t     item; /* of constant codes: index of `clips` */
    enum qn_form form;
};

/* An integer constant behind a Clip. */
struct qn_clipped {
    const Onnx__TensorProto *codes;
    int32_t                  lo, hi;
};

struct qn_lifter {
    struct qn_lift           *lift;
    struct qn_graph          *graph;
    const struct qn_settings *settings;
    struct qn_arena          *arena; /* the plan's: what lives on */
    struct qn_arena           scratch;
    struct qn_edit           *edit;
    struct qn_item           *items;
    size_t                    item_count, item_room;
    struct qn_clipped        *clips;
    size_t                    clip_count, clip_room;
    struct qn_place_of       *at;     /* by old value */
    bool                     *gone;   /* by old node */
    uint32_t                 *moves;  /* by old node: the item whose codes it moves, or 0 */
    bool                     *needed; /* by old value: as integers, by something that stays */
    struct qn_lift_note      *notes;
    size_t                    note_room;
    bool                      any_shift_first;
    /* facts about nodes of the new graph, for the plan */
    struct qn_lifted_node {
        const Onnx__NodeProto *pb;
        bool                  *views; /* by input slot: reads the view */
        bool                   dropped;
    } * nodes;
    size_t       node_count, node_room;
    qonnx_error *err;
};

/* ---- quantizers (grid.c); reasons are NULL when all is well ---- */

/* Of a QuantizeLinear or DequantizeLinear. `codes` is the type of the codes if known, else 0; rank that of the tensor. */
const char     *qn_grid_of_qdq(struct qn_lifter *l, qn_node_id n, int32_t codes, struct qn_grid **grid);
/* Of a Quant node of QONNX. */
const char     *qn_grid_of_quant(struct qn_lifter *l, qn_node_id n, struct qn_grid **grid);
/* The grid with codes cut to lo … hi, or NULL when no bit width has that range. */
struct qn_grid *qn_grid_cut(struct qn_lifter *l, const struct qn_grid *grid, int32_t lo, int32_t hi);
bool qn_same_numbers(const struct qn_qparams *a, const struct qn_qparams *b); /* type, axis, scale, zero point */
bool qn_same_grid(const struct qn_grid *a, const struct qn_grid *b);
/* QuantizeLinear, DequantizeLinear of ai.onnx or com.microsoft. */
bool qn_lift_is(const struct qn_graph *graph, qn_node_id n, const char *op);
/* A node of one of QONNX's domains. */
bool qn_lift_is_qonnx(const struct qn_graph *graph, qn_node_id n);

/* ---- constants (codes.c) ---- */

/* The codes of an integer tensor, one in qtype->code_size bytes; NULL for other types, or when memory is out. */
const void *qn_codes_of(const Onnx__TensorProto *tensor, struct qn_arena *arena, const struct qn_qtype **type,
                        size_t *count);
int32_t     qn_code_at(const struct qn_qtype *type, const void *codes, size_t i);
/* The codes of an item's constant, cut to its Clip. */
const void *qn_item_codes(struct qn_lifter *l, const struct qn_item *item, size_t *count);
/* The float tensor that an item's codes stand for. */
QONNX_MUST_CHECK qonnx_status qn_item_values(struct qn_lifter *l, const struct qn_item *item,
                                             Onnx__TensorProto **tensor);
/* Codes of a float constant under its layer's quantizer. */
QONNX_MUST_CHECK qonnx_status qn_codes_from_floats(struct qn_lifter *l, const Onnx__TensorProto *tensor,
                                                   const struct qn_item *item, void **codes);

/* ---- the steps ---- */

/* QOperator nodes become DequantizeLinear, the float operator and QuantizeLinear (unfold.c). */
QONNX_MUST_CHECK qonnx_status qn_lift_unfold(struct qn_lifter *l);
/* What each value and node of the old graph is (read.c). */
QONNX_MUST_CHECK qonnx_status qn_lift_read(struct qn_lifter *l);
/* The item that readers of a view read. */
uint32_t                      qn_item_view(const struct qn_lifter *l, uint32_t item);
/* The edit that makes the float graph (rewrite.c). */
QONNX_MUST_CHECK qonnx_status qn_lift_rewrite(struct qn_lifter *l);
/* The plan over it (fill.c). */
QONNX_MUST_CHECK qonnx_status qn_lift_fill(struct qn_lifter *l);

/* Its parts: each node's own rule, and, when all else is there, which nodes compute on integers (reasons.c). */
QONNX_MUST_CHECK qonnx_status qn_lift_rules(struct qn_lifter *l);
void                          qn_lift_reasons(struct qn_lifter *l);

/* Parts of reading that moves.c shares. A value that is an item of its own; where an input comes from; the quantizer with
 * the Clip that all readers of its codes are; the item of an integer constant under a quantizer. */
struct qn_place_of    qn_lift_plain(struct qn_lifter *l, qn_value_id v, qn_node_id maker, size_t slot);
struct qn_place_of    qn_lift_place(struct qn_lifter *l, qn_value_id v);
const struct qn_grid *qn_lift_with_clip(struct qn_lifter *l, qn_value_id codes, const struct qn_grid *grid);
uint32_t              qn_lift_constant(struct qn_lifter *l, qn_node_id n, const struct qn_clipped *constant,
                                       const struct qn_grid *grid, qn_value_id out);
/* True when the node moves codes: its float form moves what they stand for. */
bool                  qn_lift_move(struct qn_lifter *l, qn_node_id n);

void           qn_lift_note(struct qn_lifter *l, qn_node_id n, const char *reason);
/* An item with nothing set but the old value. */
struct qn_item qn_item_blank(qn_value_id old);
/* A new item; its index, or 0 after a failure, which is sticky in the scratch arena. */
uint32_t       qn_item_new(struct qn_lifter *l, struct qn_item item);

#endif
