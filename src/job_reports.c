/* SPDX-License-Identifier: Apache-2.0
 * The files of --report, whose form their endings tell. */
#include <string.h>

#include "job.h"
#include "layer_errors.h"
#include "protect.h"

struct form {
    const char *ending;
    qonnx_status (*make)(const struct qn_report *report, struct qn_strbuf *text, qonnx_error *err);
};
static const struct form forms[] = {
    { ".html", qn_report_page },
    { ".json", qn_report_long_json },
    { ".txt", qn_report_long_text },
};

static const struct form *form_of(const char *path)
{
    const char *ending = strrchr(path, '.');

    for (size_t i = 0; ending && i < sizeof forms / sizeof *forms; i++)
        if (strcmp(ending, forms[i].ending) == 0) return &forms[i];
    return NULL;
}

qonnx_status qn_job_name_reports(struct qn_job *job)
{
    const struct qn_list *reports = &job->settings.report;

    for (size_t i = 0; i < reports->count; i++) {
        const char *path = reports->items[i];
        if (!form_of(path))
            return qn_fail(job->err, QONNX_E_USAGE, "--report %.200s: the name must end in .html, .json or .txt", path);
        QN_TRY(qn_protect_result(path, "--report", job->input, job->settings.calib, job->output, job->err));
        if (job->sidecar)
            QN_TRY(qn_protect_result(path, "--report", job->input, job->settings.calib, job->sidecar, job->err));
        for (size_t k = 0; k < i; k++)
            QN_TRY(qn_protect_result(path, "--report", job->input, job->settings.calib, reports->items[k], job->err));
    }
    job->report_sinks = qn_arena_array(&job->arena, reports->count, sizeof *job->report_sinks);
    return job->report_sinks ? QONNX_OK : qn_fail_nomem(job->err);
}

qonnx_status qn_job_measure_layers(struct qn_job *job)
{
    if (!job->settings.report.count) return QONNX_OK;
    return qn_layer_errors(job, &job->report.layer_errors, &job->report.layer_error_samples, &job->report.no_layer_errors);
}

qonnx_status qn_job_open_reports(struct qn_job *job)
{
    for (size_t i = 0; i < job->settings.report.count; i++)
        QN_TRY(qn_sink_open(&job->report_sinks[i], job->settings.report.items[i], job->err));
    return QONNX_OK;
}

qonnx_status qn_job_write_reports(struct qn_job *job)
{
    for (size_t i = 0; i < job->settings.report.count; i++) {
        struct qn_strbuf text;
        qonnx_status     status;

        qn_strbuf_init(&text);
        status = form_of(job->settings.report.items[i])->make(&job->report, &text, job->err);
        if (status == QONNX_OK) {
            qn_sink_write(job->report_sinks[i], text.text, text.length);
            status = qn_sink_commit(job->report_sinks[i], job->err);
            job->report_sinks[i] = NULL;
        }
        qn_strbuf_release(&text);
        if (status != QONNX_OK) return status;
    }
    return QONNX_OK;
}

void qn_job_discard_reports(struct qn_job *job)
{
    for (size_t i = 0; job->report_sinks && i < job->settings.report.count; i++)
        if (job->report_sinks[i]) qn_sink_discard(job->report_sinks[i]);
}
