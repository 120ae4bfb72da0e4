/* SPDX-License-Identifier: Apache-2.0
 * Small quantized models and what they are lifted to. */
#ifndef QN_TESTS_LIFTED_H
#define QN_TESTS_LIFTED_H

#include "lift/lift.h"
#include "onnx/attr.h"
#include "small_graph.h"

struct lifted {
    struct small       s;
    struct qn_settings settings;
    struct qn_lift     lift;
};

static inline void lifted_open(struct lifted *l, int rank)
{
    qonnx_options *options = qonnx_options_new();

    memset(l, 0, sizeof *l);
    small_open(&l->s);
    qn_model_set_opset(&l->s.model, "", 13);
    small_input(&l->s, "x", rank);
    assert_int_equal(qn_settings_resolve(&l->settings, options, NULL), QONNX_OK);
    qonnx_options_free(options);
}

static inline qonnx_status lifted_try(struct lifted *l)
{
    assert_ok(small_index(&l->s), &l->s.err);
    return qn_lift(&l->lift, &l->s.graph, &l->settings, &l->s.err);
}

static inline void lifted_make(struct lifted *l) { assert_ok(lifted_try(l), &l->s.err); }

static inline void lifted_close(struct lifted *l)
{
    qn_lift_release(&l->lift);
    qn_settings_release(&l->settings);
    small_close(&l->s);
}

/* A scale and a zero point, "s" and "z" of a name. */
static inline void small_grid(struct small *s, const char *name, float scale, int32_t type, int32_t zero)
{
    size_t size = type == QN_INT32 ? 4 : 1;

    small_constant(s, qn_arena_printf(&s->model.arena, "%s_s", name), scale, 0, NULL);
    model_constant(&s->model, qn_arena_printf(&s->model.arena, "%s_z", name), type, 0, NULL,
                   qn_arena_memdup(&s->model.arena, &zero, size), size);
}

static inline Onnx__NodeProto *small_q(struct small *s, const char *op, const char *out, const char *x,
                                       const char *grid)
{
    return small_op(s, op, out, x, qn_arena_printf(&s->model.arena, "%s_s", grid),
                    qn_arena_printf(&s->model.arena, "%s_z", grid));
}
#define small_quantize(s, out, x, grid) small_q(s, "QuantizeLinear", out, x, grid)
#define small_dequantize(s, out, x, grid) small_q(s, "DequantizeLinear", out, x, grid)

static inline void small_codes(struct small *s, const char *name, int32_t type, const int8_t *codes, size_t rank,
                               const int64_t *dims)
{
    size_t count = 1;
    for (size_t i = 0; i < rank; i++) count *= (size_t)dims[i];
    model_constant(&s->model, name, type, rank, dims, codes, count);
}

static inline const struct qn_tensor_plan *lifted_tensor(const struct lifted *l, const char *name)
{
    return &l->lift.plan.tensors[small_value(&l->s, name)];
}
static inline const struct qn_node_plan *lifted_node(const struct lifted *l, const char *name)
{
    return &l->lift.plan.nodes[small_node(&l->s, name)];
}

/* The operators of the graph, in order, as one text. */
static inline void assert_operators(const struct lifted *l, const char *wanted)
{
    char text[512] = "";

    for (qn_node_id n = 0; n < l->s.graph.node_count; n++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", n ? " " : "",
                 l->s.graph.pb->node[n]->op_type);
    assert_string_equal(text, wanted);
}

#endif
