/* SPDX-License-Identifier: Apache-2.0
 * The summary. */
#include <stdio.h>

#include "report_fixture.h"

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
              "target:    generic: right in ONNX Runtime, OpenVINO, tract and TVM on any CPU, fast in ONNX Runtime (not for TensorRT or QNN)\n"
              "size:      702 kB -> 185 kB (3.79 times smaller)\n"
              "kernels:   1 QLinearConv expected\n"
              "ranges:    24 samples of calib.npz\n"
              "accuracy:  33.9 dB of the worst output kept, in exact arithmetic, on 2 calibration samples\n"
              "left in float: 5 nodes, 2 of them layers with weights\n"
              "     3  quantizing what it reads or writes loses too much on the calibration data: fc (Gemm, 3.5 dB), "
              "conv2 (Conv, 7.2 dB), last (Add)\n"
              "     1  no rule for this operator: odd\xff?[31m\xc3\xa9\"name (Foo)\n"
              "     1  slower on the target when quantized: sm (Softmax)\n"
              "note: 1 channel of 1 layer got a larger weight scale, so that the bias fits into 32 bits\n"
                            "note: 2 scales and 7 codes of weights in 1 layer gave way, so that no sum of two products passes 16 bits; 0 layers keep full range\n"
              "note: values that mean \"never\", as in attention masks, were kept out of the range of 1 tensor\n");
    free(text);
    close_fixture(&f);
}

static void speed_is_told_with_its_interval_and_a_slower_result_with_why(void **state)
{
    struct fixture f;
    char          *text;

    (void)state;
    open_fixture(&f, NULL, 0);
    f.report.pace = (struct qn_pace){ 1.5, 1.41, 1.62, 21 };
    text = text_of(&f);
    assert_non_null(strstr(text, "speed:     1.50 times the input's on one thread (1.41 to 1.62, 21 pairs of runs)\n"));
    assert_null(strstr(text, "slower than"));
    free(text);
    f.report.pace = (struct qn_pace){ 0.8, 0.75, 0.84, 21 };
    text = text_of(&f);
    assert_non_null(strstr(text, "warning:   slower than the input: 1 of 3 layers compute on integers"));
    free(text);
    f.report.pace = (struct qn_pace){ 0.9, 0.7, 1.2, 21 }; /* that may be chance */
    text = text_of(&f);
    assert_null(strstr(text, "slower than"));
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
    f.saved.size = f.saved.total = f.report.input_size;
    f.report.first_difference = NULL;
    text = text_of(&f);
    assert_string_equal(text, "models/float.onnx -> out/int8.onnx\n"
                              "copied, byte for byte\n"
                              "size:      702 kB\n");
    free(text);
    close_fixture(&f);
}

/* Every reason at once, each with more nodes than there are examples. */
static void many_nodes_without_weights_are_told_by_operator(void **state)
{
    static const char *const ops[] = { "Sqrt", "Foo", "Cast", "Sqrt", "Foo", "Foo", "A\x1b", "B", "C" };
    struct fixture           f;
    Onnx__ModelProto         m;
    Onnx__GraphProto         g;
    char                    *text, name[32];

    (void)state;
    begin_model(&f, &m, &g, sizeof ops / sizeof *ops);
    for (size_t n = 0; n < sizeof ops / sizeof *ops; n++) {
        snprintf(name, sizeof name, "v%zu", n);
        add_node(&f, &g, ops[n], "", "x", NULL, NULL, n ? qn_arena_strdup(&f.arena, name) : "y");
    }
    end_model(&f, &m);
    resolve(&f, usual, sizeof usual / sizeof *usual);
    fill_report(&f);
    for (qn_node_id n = 0; n < sizeof ops / sizeof *ops; n++) decide(&f, n, QN_REASON_OP_NOT_IN_TABLE, NAN);
    text = text_of(&f);
    assert_non_null(strstr(text, "quantized: 0 of 9 nodes (the model has no layers with constant weights)\n"));
    assert_non_null(strstr(text, "left in float: 9 nodes\n"
                                 "     9  no rule for this operator: 3 Foo, 2 Sqrt, 1 Cast, 1 A?, 1 B, …\n"));
    free(text);
    close_fixture(&f);
}

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
    snprintf(name, sizeof name, "  for %d more reasons\n", QN_REASON_COUNT - 15); /* of those there are, 15 need no line or have one */
    assert_non_null(strstr(text, name));
    free(text);
    close_fixture(&f);
}

static void sizes_count_what_lies_in_external_files(void **state)
{
    struct fixture f;
    char          *text;

    (void)state;
    OPEN_USUAL(&f);
    f.report.input_size = 999;
    f.report.input_external = 2500000000;
    text = text_of(&f);
    assert_non_null(strstr(text, "size:      2.5 GB -> 185 kB (13496 times smaller)\n"));
    free(text);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(summary_names_layers_first_and_the_worst_of_them),
        cmocka_unit_test(speed_is_told_with_its_interval_and_a_slower_result_with_why),
        cmocka_unit_test(summary_shouts_when_the_data_were_made_up),
        cmocka_unit_test(summary_of_a_copy_says_whether_a_byte_changed),
        cmocka_unit_test(many_nodes_without_weights_are_told_by_operator),
        cmocka_unit_test(summary_is_short_whatever_happened),
        cmocka_unit_test(sizes_count_what_lies_in_external_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
