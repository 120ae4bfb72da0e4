/* SPDX-License-Identifier: Apache-2.0
 * run_passes IN.onnx OUT.onnx [pass,pass,…]: a developer's tool for the scripts beside it. */
#include <stdio.h>
#include <string.h>

#include "onnx/check.h"
#include "onnx/save.h"
#include "onnx/scopes.h"
#include "pass/pass.h"

static qonnx_status run_named(struct qn_graph *graph, char *names, qonnx_error *err)
{
    for (char *name = strtok(names, ","); name; name = strtok(NULL, ",")) {
        const struct qn_pass *pass = qn_pass_find(name);
        if (!pass) return qn_fail(err, QONNX_E_USAGE, "no pass is called '%s'", name);
        QN_TRY(qn_pass_run(pass, graph, err));
    }
    return QONNX_OK;
}

static qonnx_status rewrite(struct qn_model *model, const char *target, char *names, qonnx_error *err)
{
    struct qn_save_result result;
    struct qn_graph       graph;
    qonnx_status          status;

    QN_TRY(qn_graph_build(&graph, model, err));
    status = qn_check(&graph, err);
    if (status == QONNX_OK) status = run_named(&graph, names, err);
    qn_graph_release(&graph);
    if (status == QONNX_OK) status = qn_scopes_close(&model->pb->graph, model, model->pb->graph, false, &model->arena, err);
    return status == QONNX_OK ? qn_model_save(model, target, &(struct qn_save_options){ .sha256 = 0 }, &result, err) : status;
}

int main(int argc, char **argv)
{
    qonnx_error     err = { 0 };
    struct qn_model model;
    char            none[1] = "";
    qonnx_status    status;

    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: run_passes IN.onnx OUT.onnx [pass,pass,...]\n");
        return 2;
    }
    status = qn_model_open(&model, argv[1], false, &err);
    if (status == QONNX_OK) {
        status = rewrite(&model, argv[2], argc == 4 ? argv[3] : none, &err);
        qn_model_release(&model);
    }
    if (status != QONNX_OK) fprintf(stderr, "run_passes: %s: %s\n", qonnx_status_name(status), err.message);
    return qonnx_status_exit_code(status);
}
