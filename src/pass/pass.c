/* SPDX-License-Identifier: Apache-2.0 */
#include "pass/pass.h"

#include <string.h>

enum { MAX_ROUNDS = 64 };

#define QN_PASS(name) extern const struct qn_pass qn_pass_##name;
#include "pass.def"
#undef QN_PASS

static const struct qn_pass *const passes[] = {
#define QN_PASS(name) &qn_pass_##name,
#include "pass.def"
#undef QN_PASS
};

const struct qn_pass *qn_pass_at(size_t i) { return i < sizeof passes / sizeof *passes ? passes[i] : NULL; }

const struct qn_pass *qn_pass_find(const char *name)
{
    const struct qn_pass *pass;
    for (size_t i = 0; (pass = qn_pass_at(i)) != NULL; i++)
        if (strcmp(pass->name, name) == 0) return pass;
    return NULL;
}

static qonnx_status run_once(const struct qn_pass *pass, struct qn_graph *graph, bool *again, qonnx_error *err)
{
    struct qn_edit *edit = NULL;
    bool            changed = false;
    qonnx_status    status;

    *again = false;
    QN_TRY(qn_edit_begin(&edit, graph, err));
    status = pass->run(graph, edit, again, err);
    if (status != QONNX_OK) {
        qn_edit_cancel(edit);
        return status;
    }
    status = qn_edit_commit(edit, &changed, err);
    *again = *again && changed;
    return status;
}

qonnx_status qn_pass_run(const struct qn_pass *pass, struct qn_graph *graph, qonnx_error *err)
{
    bool again = true;
    for (int round = 0; again && round < MAX_ROUNDS; round++) QN_TRY(run_once(pass, graph, &again, err));
    return QONNX_OK;
}
