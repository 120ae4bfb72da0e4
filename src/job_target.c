/* SPDX-License-Identifier: Apache-2.0
 * What targets that run whole graphs on integers need to know of a model before it is planned. */
#include "job.h"
#include "pass/lib/facts.h"
#include "plan/presets.h"

/* Which values are float: files rarely say it of all. */
static qonnx_status find_types(struct qn_job *job)
{
    struct qn_arena       arena = { 0 };
    const struct qn_fact *facts = qn_facts(&job->graph, &arena);

    for (qn_value_id v = 0; facts && v < job->graph.value_count; v++)
        if (!job->graph.values[v].dtype) job->graph.values[v].dtype = facts[v].dtype;
    qn_arena_release(&arena);
    return facts ? QONNX_OK : qn_fail_nomem(job->err);
}

static void tell_open_shapes(struct qn_job *job)
{
    for (qn_value_id v = 0; v < job->graph.value_count; v++) {
        const struct qn_value *value = &job->graph.values[v];
        bool                   open = value->rank < 0;

        if (!(value->flags & QN_INPUT)) continue;
        for (int32_t i = 0; i < value->rank; i++) open |= value->dims[i] < 0;
        if (open)
            qn_warn(&job->warnings, "target %s runs fixed shapes only, and that of input '%s' is open: give the float model fixed ones first", job->settings.target_row->name, value->name);
    }
}

qonnx_status qn_job_suit_target(struct qn_job *job)
{
    const struct qn_target *target = job->settings.target_row;

    if (job->settings.recipe) return QONNX_OK;
    if (target->fixed_shapes) tell_open_shapes(job);
    return target->every_tensor ? find_types(job) : QONNX_OK;
}
