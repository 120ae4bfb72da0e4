/* SPDX-License-Identifier: Apache-2.0
 * The report over a plan made by hand, so that neither planner nor runtime is needed. tests/sidecar/example.json is the
 * golden sidecar, which the schema is checked with as well; QONNX_UPDATE_GOLDEN=1 writes it anew. */
#include "report.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qonnx/version.h>

#include "cmocka_all.h"
#include "onnx/attr.h"
#include "onnx/tensor.h"

#define GOLDEN QN_SOURCE_DIR "/tests/sidecar/example.json"
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

static void add_node(struct fixture *f, Onnx__GraphProto *g, const char *op, const char *name, const char *in,
                     const char *w, const char *b, const char *out)
{
    const char *inputs[] = { in, w, b };
    size_t      count = b ? 3 : w ? 2 : 1;

    g->node[g->n_node++] = qn_node_new(&f->arena, op, name, count, inputs, 1, &out);
}

static void add_constant(struct fixture *f, Onnx__GraphProto *g, const char *name)
{
    g->initializer[g->n_initializer++] = qn_tensor_float_scalar(&f->arena, name, 1);
}

/* Node and initializer arrays are roomy; the caller adds nodes and then parses. */
static void begin_model(struct fixture *f, Onnx__ModelProto *m, Onnx__GraphProto *g, size_t nodes)
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

static void end_model(struct fixture *f, Onnx__ModelProto *m)
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

static void resolve(struct fixture *f, const char *const (*set)[2], size_t count)
{
    qonnx_options *options = qonnx_options_new();

    for (size_t i = 0; i < count; i++)
        assert_int_equal(qonnx_options_set(options, set[i][0], set[i][1], NULL), QONNX_OK);
    assert_int_equal(qn_settings_resolve(&f->settings, options, NULL), QONNX_OK);
    qonnx_options_free(options);
}

static void decide(struct fixture *f, qn_node_id n, enum qn_reason reason, double db)
{
    f->plan.nodes[n].rule = qn_rule_find(f->graph.pb->node[n]->op_type);
    f->plan.nodes[n].reason = reason;
    f->plan.nodes[n].db = db;
}

static struct qn_qparams *params(struct fixture *f, const char *type, bool narrow, int axis, size_t count)
{
    struct qn_qparams *qp = qn_arena_alloc(&f->arena, sizeof *qp);
    assert_int_equal(qn_qparams_init(qp, &f->arena, qn_qtype_find(type), 8, narrow, axis, count, NULL), QONNX_OK);
    return qp;
}

static void quantize(struct fixture *f, const char *name, const char *group, struct qn_qparams *qp)
{
    struct qn_tensor_plan *t = &f->plan.tensors[qn_graph_find(&f->graph, name)];
    t->quantized = true;
    t->group = qn_graph_find(&f->graph, group);
    t->params = qp;
    t->range = (struct qn_range){ -1.5f, 3.25f };
}

static void fill_plan(struct fixture *f)
{
    struct qn_qparams *x = params(f, "uint8", false, -1, 1), *r = params(f, "uint8", false, -1, 1),
                      *w = params(f, "int8", true, 0, 2);
    static float bias_scales[2];
    qn_value_id  seen = qn_graph_find(&f->graph, "x");

    x->scale[0] = 0.1f;
    x->zero_point[0] = 117;
    r->scale[0] = 1.0f / 3;
    w->scale[0] = 0.01f;
    w->scale[1] = 2e-38f;
    bias_scales[0] = x->scale[0] * w->scale[0];
    bias_scales[1] = 1e-30f;
    quantize(f, "x", "x", x);
    f->plan.tensors[seen].sqnr = 41.23456789;
    quantize(f, "r1", "r1", r);
    quantize(f, "p1", "r1", r);
    decide(f, 0, QN_REASON_QUANTIZED, NAN);
    f->plan.nodes[0].weight = w;
    f->plan.nodes[0].weight_sqnr = 38.5;
    f->plan.nodes[0].bias_scale = bias_scales;
    f->plan.nodes[0].bias_count = 2;
    f->plan.nodes[0].raised = 1;
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

static void fill_report(struct fixture *f)
{
    static const char *passes[] = { "lift_constants", "fold_affine" };

    memcpy(f->saved.input.xxh3_128, "00112233445566778899aabbccddeeff", 33);
    memcpy(f->saved.output.xxh3_128, "ffeeddccbbaa99887766554433221100", 33);
    memset(f->saved.input.sha256, 'a', 64);
    memset(f->saved.output.sha256, 'b', 64);
    f->saved.size = 185234;
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

static void open_fixture(struct fixture *f, const char *const (*set)[2], size_t count)
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

static void close_fixture(struct fixture *f)
{
    qn_settings_release(&f->settings);
    qn_graph_release(&f->graph);
    qn_model_release(&f->model);
    qn_arena_release(&f->arena);
}

static char *text_of(const struct fixture *f)
{
    struct qn_strbuf text;
    char            *copy;

    qn_strbuf_init(&text);
    assert_int_equal(qn_report_text(&f->report, &text, NULL), QONNX_OK);
    copy = strdup(text.text);
    qn_strbuf_release(&text);
    return copy;
}

static char *json_of(const struct fixture *f)
{
    struct qn_strbuf text;
    char            *copy;

    qn_strbuf_init(&text);
    assert_int_equal(qn_report_json(&f->report, &text, NULL), QONNX_OK);
    copy = strdup(text.text);
    qn_strbuf_release(&text);
    return copy;
}

static json_t *parsed(const struct fixture *f)
{
    char   *text = json_of(f);
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    free(text);
    return root;
}

static const char *text_at(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- the summary ---- */

static void summary_names_layers_first_and_the_worst_of_them(void **state)
{
    struct fixture f;
    char          *text;

    (void)state;
    OPEN_USUAL(&f);
    text = text_of(&f);
    assert_string_equal(
        text, "models/float.onnx -> out/int8.onnx\n"
              "quantized: 3 of 8 nodes (1 of 3 layers)\n"
              "size:      702 kB -> 185 kB (3.79 times smaller)\n"
              "ranges:    24 samples of calib.npz\n"
              "accuracy:  33.9 dB of the worst output kept, in exact arithmetic, on 2 calibration samples\n"
              "left in float: 5 nodes, 2 of them layers with weights\n"
              "     3  quantizing what it reads or writes loses too much on the calibration data: fc (Gemm, 3.5 dB), "
              "conv2 (Conv, 7.2 dB), last (Add)\n"
              "     1  no rule for this operator: odd\xff?[31m\xc3\xa9\"name (Foo)\n"
              "     1  slower on the target when quantized: sm (Softmax)\n"
              "note: 1 channel of 1 layer got a larger weight scale, so that the bias fits into 32 bits\n"
              "note: values that mean \"never\", as in attention masks, were kept out of the range of 1 tensor\n");
    free(text);
    close_fixture(&f);
}

static void summary_shouts_when_the_data_were_made_up(void **state)
{
    struct fixture f;
    char          *text;

    (void)state;
    open_fixture(&f, NULL, 0);
    f.data.synthetic = true;
    f.report.samples = 8;
    f.report.judged_sqnr = -INFINITY;
    text = text_of(&f);
    assert_non_null(
        strstr(text, "accuracy:  nothing of the worst output kept, in exact arithmetic, on 2 synthetic samples\n"));
    assert_non_null(
        strstr(text, "ranges:    SYNTHETIC inputs (8 samples, seed 0); pass --calib PATH with real ones\n"));
    free(text);
    close_fixture(&f);
}

static void summary_of_a_copy_says_whether_a_byte_changed(void **state)
{
    static const char *const copy[][2] = { { "preset", "copy" } };
    struct fixture           f;
    char                    *text;

    (void)state;
    open_fixture(&f, copy, 1);
    f.report.plan = NULL;
    f.report.data = NULL;
    f.report.first_difference = "graph.node[3].attribute[0].f (byte 1234)";
    text = text_of(&f);
    assert_string_equal(text, "models/float.onnx -> out/int8.onnx\n"
                              "copied; what is written differently begins at graph.node[3].attribute[0].f (byte 1234)\n"
                              "size:      702 kB -> 185 kB (3.79 times smaller)\n");
    free(text);
    f.saved.output = f.saved.input;
    f.saved.size = f.report.input_size;
    f.report.first_difference = NULL;
    text = text_of(&f);
    assert_string_equal(text, "models/float.onnx -> out/int8.onnx\n"
                              "copied, byte for byte\n"
                              "size:      702 kB\n");
    free(text);
    close_fixture(&f);
}

/* Every reason at once, each with more nodes than there are examples. */
static void summary_is_short_whatever_happened(void **state)
{
    struct fixture   f;
    Onnx__ModelProto m;
    Onnx__GraphProto g;
    char            *text, name[32];
    size_t           lines = 0, nodes = 5 * QN_REASON_COUNT;

    (void)state;
    begin_model(&f, &m, &g, nodes);
    for (size_t n = 0; n < nodes; n++) {
        snprintf(name, sizeof name, "v%zu", n);
        add_node(&f, &g, "Conv", "", "x", "w", NULL, n ? qn_arena_strdup(&f.arena, name) : "y");
    }
    add_constant(&f, &g, "w");
    end_model(&f, &m);
    resolve(&f, usual, sizeof usual / sizeof *usual);
    fill_report(&f);
    for (qn_node_id n = 0; n < nodes; n++) decide(&f, n, (enum qn_reason)(n / 5), NAN);
    text = text_of(&f);
    for (const char *c = text; *c; c++) lines += *c == '\n';
    assert_in_range(lines, 10, 25);
    assert_non_null(strstr(text, "     5  no rule for this operator: #15 (Conv), #16 (Conv), #17 (Conv), …\n"));
    assert_non_null(strstr(text, "  for 12 more reasons\n"));
    free(text);
    close_fixture(&f);
}

static void sizes_count_what_lies_in_external_files(void **state)
{
    struct fixture f;
    char          *text;
    json_t        *root;

    (void)state;
    OPEN_USUAL(&f);
    f.report.input_size = 999;
    f.report.input_external = 2500000000;
    text = text_of(&f);
    assert_non_null(strstr(text, "size:      2.5 GB -> 185 kB (13496 times smaller)\n"));
    free(text);
    root = parsed(&f);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "input"), "external_bytes")), 2500000000);
    json_decref(root);
    close_fixture(&f);
}

/* ---- the sidecar ---- */

/* What changes with a release or a new option is not for the golden file. */
static void settle(const char *json, struct qn_strbuf *out)
{
    static const char own[] = "\"version\": \"" QONNX_VERSION "\"", close[] = "\n  },\n";
    const char       *version = strstr(json, own), *options, *end;

    assert_non_null(version);
    assert_non_null(options = strstr(version, "\"options\": {\n"));
    assert_non_null(end = strstr(options, close));
    qn_strbuf_add(out, json, (size_t)(version - json));
    qn_strbuf_puts(out, "\"version\": \"0.0.0\"");
    qn_strbuf_add(out, version + strlen(own), (size_t)(options - version) - strlen(own));
    qn_strbuf_puts(out, "\"options\": {},\n");
    qn_strbuf_puts(out, end + strlen(close));
}

static void sidecar_is_the_golden_one(void **state)
{
    struct fixture   f;
    struct qn_strbuf settled;
    char            *json, *golden;
    FILE            *file;
    size_t           size;

    (void)state;
    OPEN_USUAL(&f);
    qn_strbuf_init(&settled);
    qn_warn(&f.warnings, "a warning about '%s'", "x");
    json = json_of(&f);
    settle(json, &settled);
    if (getenv("QONNX_UPDATE_GOLDEN")) {
        assert_non_null(file = fopen(GOLDEN, "wb"));
        assert_int_equal(fwrite(settled.text, 1, settled.length, file), settled.length);
        assert_int_equal(fclose(file), 0);
    }
    assert_non_null(file = fopen(GOLDEN, "rb"));
    golden = malloc(100000);
    size = fread(golden, 1, 99999, file);
    golden[size] = 0;
    fclose(file);
    assert_string_equal(settled.text, golden);
    free(golden);
    qn_strbuf_release(&settled);
    free(json);
    close_fixture(&f);
}

static void sidecar_does_not_depend_on_folders_and_threads(void **state)
{
    static const char *const other[][2] = {
        { "threads", "7" },      { "exclude", "op:Foo" }, { "calib", "else/where/calib.npz" },
        { "sidecar", "/tmp/s" }, { "exclude", "a*" },     { "ort", "/opt/libonnxruntime.so" },
        { "no-mmap", "" }
    };
    struct fixture f, g;
    char          *one, *two;

    (void)state;
    OPEN_USUAL(&f);
    open_fixture(&g, other, sizeof other / sizeof *other);
    g.report.input_path = "/elsewhere/float.onnx";
    g.report.output_path = "other_name.onnx";
    one = json_of(&f);
    two = json_of(&g);
    assert_string_equal(one, two);
    free(one);
    free(two);
    close_fixture(&f);
    close_fixture(&g);
}

static void sidecar_options_can_be_given_again(void **state)
{
    struct fixture f;
    json_t        *root, *options, *exclude;

    (void)state;
    OPEN_USUAL(&f);
    root = parsed(&f);
    options = json_object_get(root, "options");
    exclude = json_object_get(options, "exclude");
    assert_string_equal(text_at(options, "preset"), "int8");
    assert_string_equal(text_at(options, "per-channel"), "on");
    assert_string_equal(text_at(options, "samples"), "0");
    assert_int_equal(json_array_size(exclude), 2);
    assert_string_equal(json_string_value(json_array_get(exclude, 1)), "a*");
    assert_string_equal(text_at(options, "verify"), "load");
    assert_null(json_object_get(options, "calib"));
    assert_null(json_object_get(options, "labels"));
    assert_string_equal(text_at(json_object_get(root, "calibration"), "source"), "calib.npz");
    json_decref(root);
    close_fixture(&f);
}

static void sidecar_scales_come_back_bit_for_bit(void **state)
{
    struct fixture f;
    json_t        *root, *tensors, *scales;
    float          got;

    (void)state;
    OPEN_USUAL(&f);
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t bits = 0x20000000u + i * 0x000ca7d3u;
        memcpy(f.plan.nodes[0].weight->scale, &bits, 4);
        root = parsed(&f);
        tensors = json_object_get(root, "tensors");
        scales = json_object_get(json_array_get(tensors, 3), "y_scale");
        got = (float)json_real_value(json_array_get(scales, 0));
        assert_memory_equal(&got, &bits, 4);
        json_decref(root);
    }
    close_fixture(&f);
}

static void sidecar_is_json_whatever_the_names_and_numbers_are(void **state)
{
    static const char *const hostile[] = { "\xc0\x80",
                                           "\xed\xa0\x80",
                                           "\xf5\x80\x80\x80",
                                           "cut \xe2\x82",
                                           "\xe2",
                                           "\\u0000\"\n\t\x01",
                                           "ok \xe2\x82\xac \xf0\x9f\x98\x80",
                                           "\xf4\x90\x80\x80",
                                           "\xe0\x9f\xbf",
                                           "\x80" };
    static const char *const clean[] = { "��",     "���",  "����", "cut ��", "�", "\\u0000\"\n\t\x01",
                                         "ok € 😀", "����", "���",  "�" };
    struct fixture           f;

    (void)state;
    OPEN_USUAL(&f);
    f.plan.tensors[qn_graph_find(&f.graph, "x")].range = (struct qn_range){ NAN, INFINITY };
    f.plan.nodes[0].weight_sqnr = INFINITY;
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        json_t *root, *tensor;
        f.graph.pb->node[0]->name = (char *)(uintptr_t)hostile[i];
        root = parsed(&f);
        tensor = json_array_get(json_object_get(root, "tensors"), 0);
        assert_true(json_is_null(json_object_get(tensor, "float_min")));
        assert_true(json_is_null(json_object_get(tensor, "float_max")));
        assert_string_equal(text_at(json_array_get(json_object_get(root, "nodes"), 0), "name"), clean[i]);
        json_decref(root);
    }
    close_fixture(&f);
}

static void sidecar_of_a_copy_has_no_plan(void **state)
{
    static const char *const copy[][2] = { { "preset", "copy" } };
    struct fixture           f;
    json_t                  *root, *model;

    (void)state;
    open_fixture(&f, copy, 1);
    f.report.plan = NULL;
    f.report.data = NULL;
    f.report.pass_count = 0;
    root = parsed(&f);
    model = json_object_get(root, "model");
    assert_true(json_is_null(json_object_get(root, "calibration")));
    assert_true(json_is_false(json_object_get(model, "identical")));
    assert_true(json_is_null(json_object_get(model, "first_difference")));
    assert_null(json_object_get(model, "nodes"));
    assert_int_equal(json_array_size(json_object_get(root, "nodes")), 0);
    assert_int_equal(json_array_size(json_object_get(root, "tensors")), 0);
    json_decref(root);
    close_fixture(&f);
}

/* ---- out of memory ---- */

static size_t allocations_left;

static void *failing_malloc(size_t size)
{
    if (!allocations_left) return NULL;
    allocations_left--;
    return malloc(size);
}

static void every_failed_allocation_is_reported(void **state)
{
    struct fixture f;
    qonnx_status   status = QONNX_E_INTERNAL;
    size_t         n;

    (void)state;
    OPEN_USUAL(&f);
    json_set_alloc_funcs(failing_malloc, free);
    for (n = 0; n < 100000 && status != QONNX_OK; n++) {
        struct qn_strbuf text;
        qonnx_error      err = { 0 };
        qn_strbuf_init(&text);
        allocations_left = n;
        status = qn_report_json(&f.report, &text, &err);
        if (status != QONNX_OK) assert_int_equal(status, QONNX_E_NOMEM);
        qn_strbuf_release(&text);
    }
    json_set_alloc_funcs(malloc, free);
    assert_in_range(n, 300, 99999);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summary_names_layers_first_and_the_worst_of_them),
        cmocka_unit_test(summary_shouts_when_the_data_were_made_up),
        cmocka_unit_test(summary_of_a_copy_says_whether_a_byte_changed),
        cmocka_unit_test(summary_is_short_whatever_happened),
        cmocka_unit_test(sizes_count_what_lies_in_external_files),
        cmocka_unit_test(sidecar_is_the_golden_one),
        cmocka_unit_test(sidecar_does_not_depend_on_folders_and_threads),
        cmocka_unit_test(sidecar_options_can_be_given_again),
        cmocka_unit_test(sidecar_scales_come_back_bit_for_bit),
        cmocka_unit_test(sidecar_is_json_whatever_the_names_and_numbers_are),
        cmocka_unit_test(sidecar_of_a_copy_has_no_plan),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
