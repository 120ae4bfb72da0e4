/* SPDX-License-Identifier: Apache-2.0
 * Passes over random graphs: whatever a pass makes of one is as well-formed as it was, and the pass is then done. */
#include <string.h>

#include "cmocka_all.h"
#include "onnx/check.h"
#include "onnx/scopes.h"
#include "pass/pass.h"
#include "random_graph.h"

enum { GRAPHS = 3000 };

static void dump(const struct qn_graph *graph, struct qn_strbuf *text)
{
    qn_strbuf_clear(text);
    qn_graph_dump(graph, text);
}

/* Names of real inputs and of outputs, in order: passes may not touch them. */
static void ports(const struct qn_graph *graph, struct qn_strbuf *text)
{
    qn_strbuf_clear(text);
    for (size_t i = 0; i < graph->pb->n_input; i++)
        if (graph->values[qn_graph_find(graph, graph->pb->input[i]->name)].flags & QN_INPUT)
            qn_strbuf_printf(text, "%s ", graph->pb->input[i]->name);
    for (size_t i = 0; i < graph->pb->n_output; i++) qn_strbuf_printf(text, "> %s ", graph->pb->output[i]->name);
}

static void assert_writes_and_reads(struct qn_model *model)
{
    struct qn_arena arena = { 0 };
    struct qn_model copy;
    struct qn_graph graph;
    qonnx_error     err = { 0 };
    uint8_t        *bytes;
    size_t          size;

    assert_int_equal(qn_scopes_close(&model->pb->graph, model, model->pb->graph, model->pb->graph->n_node % 2, &model->arena, &err), QONNX_OK);
    assert_int_equal(qn_model_pack(model, &arena, &bytes, &size, &err), QONNX_OK);
    if (qn_model_parse(&copy, bytes, size, &err) != QONNX_OK) fail_msg("%s", err.message);
    if (qn_graph_build(&graph, &copy, &err) != QONNX_OK) fail_msg("nested: %s", err.message);
    qn_graph_release(&graph);
    qn_model_release(&copy);
    qn_arena_release(&arena);
}

/* One pass; the graph it leaves is checked by the commit inside. A refused model must be as it was. True when the pass
 * has changed something. */
static bool run_one(struct qn_graph *graph, const struct qn_pass *pass, struct qn_strbuf *before,
                    struct qn_strbuf *after)
{
    qonnx_error  err = { 0 };
    qonnx_status status;
    bool         changed;

    dump(graph, before);
    status = qn_pass_run(pass, graph, &err);
    if (status != QONNX_OK) {
        if (status != QONNX_E_UNSUPPORTED && status != QONNX_E_LIMIT) fail_msg("%s: %s", pass->name, err.message);
        assert_true(err.message[0]);
        dump(graph, after);
        assert_string_equal(before->text, after->text);
        return false;
    }
    dump(graph, after);
    changed = strcmp(before->text, after->text) != 0;
    dump(graph, before);
    assert_int_equal(qn_pass_run(pass, graph, &err), QONNX_OK);
    dump(graph, after);
    assert_string_equal(before->text, after->text);
    return changed;
}

static void run_all(struct maker *m, struct qn_graph *graph, struct qn_strbuf text[2], unsigned *changes)
{
    struct qn_strbuf before;
    size_t           count = 0, start;

    qn_strbuf_init(&before);
    ports(graph, &before);
    while (qn_pass_at(count)) count++;
    start = below(m, (unsigned)count);
    for (size_t i = 0; i < count + 2; i++) {
        size_t pass = (start + i * (1 + start % 2)) % count;
        changes[pass] += run_one(graph, qn_pass_at(pass), &text[0], &text[1]);
        ports(graph, &text[0]);
        assert_string_equal(before.text, text[0].text);
    }
    assert_writes_and_reads(&m->model);
    qn_strbuf_release(&before);
}

static void passes_keep_any_graph_well_formed(void **state)
{
    struct maker     m;
    struct qn_graph  graph;
    struct qn_strbuf text[2];
    qonnx_error      err = { 0 };
    unsigned         used = 0, changes[64] = { 0 };

    (void)state;
    for (int i = 0; i < 2; i++) qn_strbuf_init(&text[i]);
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        make_model(&m, seed);
        if (qn_graph_build(&graph, &m.model, &err) == QONNX_OK) {
            if (qn_check(&graph, &err) == QONNX_OK) {
                used++;
                run_all(&m, &graph, text, changes);
            }
            qn_graph_release(&graph);
        }
        qn_model_release(&m.model);
    }
    for (int i = 0; i < 2; i++) qn_strbuf_release(&text[i]);
    assert_true(used > GRAPHS * 9 / 10); /* else the maker is at fault, and so it is where a pass finds nothing to do */
    for (size_t p = 0; qn_pass_at(p); p++) /* the maker's graphs are float: see test_cancel_requantize.c */
        if (strcmp(qn_pass_at(p)->name, "cancel_requantize") != 0) assert_true(changes[p] > 0);
}

/* Each allocation of a run fails in turn: out of memory is reported, never passed over. */
static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    for (size_t p = 0; qn_pass_at(p); p++)
        for (uint64_t seed = 1; seed <= 12; seed++)
            for (size_t nth = 1;; nth++) {
                struct maker    m;
                struct qn_graph graph;
                qonnx_error     err = { 0 };
                qonnx_status    status;

                make_model(&m, seed);
                if (qn_graph_build(&graph, &m.model, &err) != QONNX_OK) {
                    qn_model_release(&m.model);
                    break;
                }
                qn_arena_inject_failure(nth, seed % 2);
                status = qn_pass_run(qn_pass_at(p), &graph, &err);
                qn_arena_inject_failure(0, false);
                qn_graph_release(&graph);
                qn_model_release(&m.model);
                if (status == QONNX_OK || status == QONNX_E_UNSUPPORTED || status == QONNX_E_LIMIT) {
                    assert_true(nth > 1);
                    break;
                }
                if (status != QONNX_E_NOMEM)
                    fail_msg("%s, seed %u, allocation %zu: %s", qn_pass_at(p)->name, (unsigned)seed, nth, err.message);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_keep_any_graph_well_formed),
        cmocka_unit_test(every_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
