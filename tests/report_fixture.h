/* SPDX-License-Identifier: Apache-2.0
 * A report over a plan made by hand, so that neither planner nor runtime is needed. */
#ifndef QN_TESTS_REPORT_FIXTURE_H
#define QN_TESTS_REPORT_FIXTURE_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "report.h"

#define HOSTILE "odd\xff\x1b[31m\xc3\xa9\"name"

enum { NODES = 8 };

/* x → conv1 → relu1 → (MaxPool) → conv2 → fc → sm → y, and two more beside; everything a report can say occurs. */
struct fixture {
    struct qn_arena         arena;
    struct qn_model         model;
    struct qn_graph         graph;
    struct qn_settings      settings;
    struct qn_plan          plan;
    struct qn_save_result   saved;
    struct qn_feed_info     data;
    struct qn_stats         seen;
    const struct qn_stats **stats;
    struct qn_warnings      warnings;
    struct qn_report        report;
};

static inline void add_node(struct fixture *f, Onnx__GraphProto *g, const char *op, const char *name, const char *in,
                            const char *w, const char *b, const char *out)
{
    const char *inputs[] = { in, w, b };
    size_t      count = b ? 3 : w ? 2 : 1;

    g->node[g->n_node++] = qn_node_new(&f->arena, op, name, count, inputs, 1, &out);
}

static inline void add_constant(struct fixture *f, Onnx__GraphProto *g, const char *name)
{
    g->initializer[g->n_initializer++] = qn_tensor_float_scalar(&f->arena, name, 1);
}

/* Node and initializer arrays are roomy; the caller adds nodes and then parses. */
static inline void begin_model(struct fixture *f, Onnx__ModelProto *m, Onnx__GraphProto *g, size_t nodes)
{
    static Onnx__ValueInfoProto      input = ONNX__VALUE_INFO_PROTO__INIT, output = ONNX__VALUE_INFO_PROTO__INIT;
    static Onnx__ValueInfoProto     *inputs[] = { &input }, *outputs[] = { &output };
    static Onnx__OperatorSetIdProto  opset = ONNX__OPERATOR_SET_ID_PROTO__INIT;
    static Onnx__OperatorSetIdProto *opsets[] = { &opset };

    memset(f, 0, sizeof *f);
    onnx__model_proto__init(m);
    onnx__graph_proto__init(g);
    input.name = (char *)(uintptr_t) "x";
    output.name = (char *)(uintptr_t) "y";
    opset.version = 17;
    opset.has_version = 1;
    m->opset_import = opsets;
    m->n_opset_import = 1;
    m->graph = g;
    g->name = (char *)(uintptr_t) "g";
    g->input = inputs;
    g->output = outputs;
    g->n_input = g->n_output = 1;
    g->node = qn_arena_array(&f->arena, nodes, sizeof *g->node);
    g->initializer = qn_arena_array(&f->arena, nodes * 2, sizeof *g->initializer);
}

static inline void end_model(struct fixture *f, Onnx__ModelProto *m)
{
    size_t   size = onnx__model_proto__get_packed_size(m);
    uint8_t *bytes = qn_arena_alloc(&f->arena, size);

    onnx__model_proto__pack(m, bytes);
    assert_int_equal(qn_model_parse(&f->model, bytes, size, NULL), QONNX_OK);
    assert_int_equal(qn_graph_build(&f->graph, &f->model, NULL), QONNX_OK);
    f->plan = (struct qn_plan){
        .graph = &f->graph,
        .settings = &f->settings,
        .tensors = qn_arena_array(&f->arena, f->graph.value_count, sizeof *f->plan.tensors),
        .nodes = qn_arena_array(&f->arena, f->graph.node_count, sizeof *f->plan.nodes),
    };
    for (qn_value_id v = 0; v < f->graph.value_count; v++)
        f->plan.tensors[v] = (struct qn_tensor_plan){ .group = v, .sqnr = NAN };
    for (qn_node_id n = 0; n < f->graph.node_count; n++)
        f->plan.nodes[n] =
            (struct qn_node_plan){ .fused_into = QN_NONE, .result = QN_NONE, .db = NAN, .weight_sqnr = NAN };
}

static inline void resolve(struct fixture *f, const char *const (*set)[2], size_t count)
{
    qonnx_options *options = qonnx_options_new();

    for (size_t i = 0; i < count; i++)
        assert_int_equal(qonnx_options_set(options, set[i][0], set[i][1], NULL), QONNX_OK);
    assert_int_equal(qn_settings_resolve(&f->settings, options, NULL), QONNX_OK);
    assert_int_equal(qn_settings_try(&f->settings, "observer", "minmax", NULL), QONNX_OK); /* as a search leaves it */
    qonnx_options_free(options);
}

static inline void decide(struct fixture *f, qn_node_id n, enum qn_reason reason, double db)
{
    f->plan.nodes[n].rule = qn_rule_find(f->graph.pb->node[n]->op_type);
    f->plan.nodes[n].reason = reason;
    f->plan.nodes[n].db = db;
}

static inline struct qn_qparams *params(struct fixture *f, const char *type, bool narrow, int axis, size_t count)
{
    struct qn_qparams *qp = qn_arena_alloc(&f->arena, sizeof *qp);
    assert_int_equal(qn_qparams_init(qp, &f->arena, qn_qtype_find(type), 8, narrow, axis, count, NULL), QONNX_OK);
    return qp;
}

static inline void quantize(struct fixture *f, const char *name, const char *group, struct qn_qparams *qp)
{
    struct qn_tensor_plan *t = &f->plan.tensors[qn_graph_find(&f->graph, name)];
    t->quantized = true;
    t->group = qn_graph_find(&f->graph, group);
    t->params = qp;
    t->range = (struct qn_range){ -1.5f, 3.25f };
}

static inline void fill_plan(struct fixture *f)
{
    struct qn_qparams *x = params(f, "uint8", false, -1, 1), *r = params(f, "uint8", false, -1, 1),
                      *w = params(f, "int8", true, 0, 2), *b = params(f, "int32", false, 0, 2);
    qn_value_id seen = qn_graph_find(&f->graph, "x");

    x->scale[0] = 0.1f;
    x->zero_point[0] = 117;
    r->scale[0] = 1.0f / 3;
    w->scale[0] = 0.01f;
    w->scale[1] = 2e-38f;
    b->scale[0] = x->scale[0] * w->scale[0];
    b->scale[1] = 1e-30f;
    quantize(f, "x", "x", x);
    f->plan.tensors[seen].sqnr = 41.23456789;
    quantize(f, "r1", "r1", r);
    quantize(f, "p1", "r1", r);
    decide(f, 0, QN_REASON_QUANTIZED, NAN);
    f->plan.nodes[0].weight = w;
    f->plan.nodes[0].weight_sqnr = 38.5;
    f->plan.nodes[0].bias = b;
    f->plan.nodes[0].bias_count = 2;
    f->plan.nodes[0].raised = 1;
    f->plan.nodes[0].pairing = QN_PAIRS_HELD;
    f->plan.nodes[0].pair_raised = 2;
    f->plan.nodes[0].pair_moved = 7;
    f->plan.nodes[0].accumulator_bits = 33;
    decide(f, 1, QN_REASON_FUSED, NAN);
    f->plan.nodes[1].fused_into = 0;
    decide(f, 2, QN_REASON_MOVES_CODES, NAN);
    decide(f, 3, QN_REASON_QUANTIZATION_ERROR, 7.25);
    decide(f, 4, QN_REASON_QUANTIZATION_ERROR, 3.5);
    decide(f, 5, QN_REASON_SLOWER_ON_TARGET, NAN);
    decide(f, 6, QN_REASON_OP_NOT_IN_TABLE, NAN);
    decide(f, 7, QN_REASON_QUANTIZATION_ERROR, -INFINITY);
    f->seen = (struct qn_stats){ .samples = 24, .count = 4608, .masked = 3, .min = -1.5f, .max = 3.25f };
    f->stats = qn_arena_array(&f->arena, f->graph.value_count, sizeof *f->stats);
    f->stats[seen] = &f->seen;
}

static inline void fill_report(struct fixture *f)
{
    static const char *passes[] = { "lift_constants", "fold_affine" };

    memcpy(f->saved.input.xxh3_128, "00112233445566778899aabbccddeeff", 33);
    memcpy(f->saved.output.xxh3_128, "ffeeddccbbaa99887766554433221100", 33);
    memset(f->saved.input.sha256, 'a', 64);
    memset(f->saved.output.sha256, 'b', 64);
    f->saved.size = f->saved.total = 185234;
    f->data =
        (struct qn_feed_info){ .count = 24,
                               .notes = "data for 'x' are converted from double to float\narray 'z' is not read\n" };
    memcpy(f->data.digest, "0123456789abcdef0123456789abcdef", 33);
    f->warnings = (struct qn_warnings){ .arena = &f->arena };
    f->report = (struct qn_report){
        .input_path = "models/float.onnx",
        .output_path = "out/int8.onnx",
        .input_size = 702100,
        .input_opset = 11,
        .input_ir = 6,
        .output_opset = 13,
        .output_ir = 7,
        .settings = &f->settings,
        .saved = &f->saved,
        .source = "/data/calib.npz",
        .plan = &f->plan,
        .passes = passes,
        .pass_count = 2,
        .runtime = "onnxruntime 1.31.1",
        .data = &f->data,
        .samples = 24,
        .judged_samples = 2,
        .judged_sqnr = 33.8904,
        .stats = f->stats,
        .warnings = &f->warnings,
    };
}

static inline void open_fixture(struct fixture *f, const char *const (*set)[2], size_t count)
{
    Onnx__ModelProto m;
    Onnx__GraphProto g;

    begin_model(f, &m, &g, NODES);
    add_node(f, &g, "Conv", "conv1", "x", "w1", "b1", "c1");
    add_node(f, &g, "Relu", "relu1", "c1", NULL, NULL, "r1");
    add_node(f, &g, "MaxPool", "", "r1", NULL, NULL, "p1");
    add_node(f, &g, "Conv", "conv2", "p1", "w2", NULL, "c2");
    add_node(f, &g, "Gemm", "fc", "c2", "w3", NULL, "c3");
    add_node(f, &g, "Softmax", "sm", "c3", NULL, NULL, "y");
    add_node(f, &g, "Foo", HOSTILE, "c3", NULL, NULL, "z");
    add_node(f, &g, "Add", "last", "c3", "w3", NULL, "v");
    add_constant(f, &g, "w1");
    add_constant(f, &g, "b1");
    add_constant(f, &g, "w2");
    add_constant(f, &g, "w3");
    end_model(f, &m);
    resolve(f, set, count);
    fill_plan(f);
    fill_report(f);
}

static const char *const usual[][2] = {
    { "calib", "/data/calib.npz" }, { "exclude", "op:Foo" }, { "exclude", "a*" }, { "threads", "2" }
};
#define OPEN_USUAL(f) open_fixture(f, usual, sizeof usual / sizeof *usual)

static inline void close_fixture(struct fixture *f)
{
    qn_settings_release(&f->settings);
    qn_graph_release(&f->graph);
    qn_model_release(&f->model);
    qn_arena_release(&f->arena);
}

#endif
