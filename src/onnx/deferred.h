/* SPDX-License-Identifier: Apache-2.0
 * Tensors whose bytes are made when they are written. Their raw_data points at addresses that are reserved but hold
 * nothing, so that a model of any size is edited and packed like any other; whoever writes it asks here what to write.
 * What a runtime is to read is made first. */
#ifndef QN_ONNX_DEFERRED_H
#define QN_ONNX_DEFERRED_H

#include "onnx/model.h"

/* Some of the bytes of a tensor: `size` from `offset` on, a whole unit or what is left at the end, and of these what
 * belongs to one of its parts. */
struct qn_piece {
    size_t offset, size, part;
};

/* Makes a piece; `bytes` are those of its unit. Called from several threads. */
typedef qonnx_status (*qn_make_fn)(const void *context, struct qn_piece piece, uint8_t *bytes, qonnx_error *err);

struct qn_deferred {
    uint8_t       *at;         /* set by qn_model_defer */
    size_t         size, unit; /* unit 0: any */
    size_t         parts;      /* of a unit, made side by side; 0: 1 */
    qn_make_fn     make;
    const void    *context; /* lives as long as the model, or until the tensors are forgotten */
    /* What is read for it, from its front to its end, so that it can be given back to the system: in the course of the
     * units or, where a unit has parts, of those of each unit. NULL: nothing. */
    const void    *source;
    size_t         source_size;
    /* Instead of all these: the tensor that this one is made along with. Whatever makes that one writes this one's bytes
     * to where it is; they are given back when it has been written. */
    const uint8_t *along;
    bool           made;         /* the bytes are there */
    unsigned       times, given; /* it was made; of `along` when these were given back */
};

/* Of a deferred tensor, at least. */
enum { QN_DEFERRED_LEAST = 1024 };

/* The address for raw_data; NULL when memory is out. */
uint8_t                      *qn_model_defer(struct qn_model *model, const struct qn_deferred *deferred);
/* The one whose address this is; NULL: it is an ordinary one. */
struct qn_deferred           *qn_model_deferred(const struct qn_model *model, const void *address);
/* Makes all bytes: what raw_data points at can be read from now on. */
QONNX_MUST_CHECK qonnx_status qn_model_make_deferred(const struct qn_model *model, qonnx_error *err);
/* No tensor refers to any of them. */
void                          qn_model_forget_deferred(struct qn_model *model);

/* Makes the units on several threads and hands them on one after the other, in their order: `bytes` with a unit's last
 * part, NULL with those before it. `done` is how much of the source has been read. */
typedef qonnx_status (*qn_take_fn)(void *taker, const uint8_t *bytes, size_t size, size_t done, qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_deferred_make(struct qn_deferred *deferred, int threads, qn_take_fn take, void *taker,
                                               qonnx_error *err);
/* Makes sure that the bytes of one that is made along with another are there, and gives them back. */
QONNX_MUST_CHECK qonnx_status qn_deferred_fill(const struct qn_model *model, const struct qn_deferred *along,
                                               int threads, qonnx_error *err);
void                          qn_deferred_drop(const struct qn_model *model, struct qn_deferred *along);

#endif
