/* SPDX-License-Identifier: Apache-2.0
 * What is written beside model and sidecar: the files of --report, whose form their endings tell, and of --encodings. */
#include <string.h>

#include "encodings.h"
#include "job.h"
#include "layer_errors.h"
#include "plan/presets.h"
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

struct qn_extra {
    const char                    *path;
    const struct form             *form; /* of a report; */
    const struct qn_encoding_kind *kind; /* of encodings */
    struct qn_strbuf               text;
    struct qn_sink                *sink; /* NULL: not open */
};

static const struct form *form_of(const char *path)
{
    const char *ending = strrchr(path, '.');

    for (size_t i = 0; ending && i < sizeof forms / sizeof *forms; i++)
        if (strcmp(ending, forms[i].ending) == 0) return &forms[i];
    return NULL;
}

/* Keeps it if it replaces nothing that is read or written besides. */
static qonnx_status add(struct qn_job *job, const char *option, struct qn_extra extra)
{
    QN_TRY(qn_protect_result(extra.path, option, job->input, job->settings.calib, job->output, job->err));
    if (job->sidecar)
        QN_TRY(qn_protect_result(extra.path, option, job->input, job->settings.calib, job->sidecar, job->err));
    for (size_t k = 0; k < job->extra_count; k++)
        QN_TRY(qn_protect_result(extra.path, option, job->input, job->settings.calib, job->extras[k].path, job->err));
    qn_strbuf_init(&extra.text);
    job->extras[job->extra_count++] = extra;
    return QONNX_OK;
}

qonnx_status qn_job_name_extras(struct qn_job *job)
{
    const struct qn_list *reports = &job->settings.report, *encodings = &job->settings.encodings;

    job->extras = qn_arena_array(&job->arena, reports->count + encodings->count, sizeof *job->extras);
    if (!job->extras) return qn_fail_nomem(job->err);
    if (encodings->count && job->settings.preset_row->copy) return qn_fail(job->err, QONNX_E_USAGE, "--encodings: preset copy chooses none");
    for (size_t i = 0; i < reports->count; i++) {
        const struct form *form = form_of(reports->items[i]);
        if (!form)
            return qn_fail(job->err, QONNX_E_USAGE, "--report %.200s: the name must end in .html, .json or .txt", reports->items[i]);
        QN_TRY(add(job, "--report", (struct qn_extra){ .path = reports->items[i], .form = form }));
    }
    for (size_t i = 0; i < encodings->count; i++) {
        struct qn_extra extra = { 0 };
        QN_TRY(qn_encoding_split("encodings", encodings->items[i], &extra.kind, &extra.path, job->err));
        QN_TRY(add(job, "--encodings", extra));
    }
    return QONNX_OK;
}

qonnx_status qn_job_protect_from_extras(const struct qn_job *job, const char *path, const char *what)
{
    for (size_t i = 0; i < job->extra_count; i++)
        if (qn_same_file(path, job->extras[i].path))
            return qn_fail(job->err, QONNX_E_USAGE, "'%s' holds the %s, which another result would replace", path, what);
    return QONNX_OK;
}

qonnx_status qn_job_protect_weights(const struct qn_job *job, const char *result)
{
    return qn_protect_weights(job->model.externals, job->model.external_count, result, job->err);
}

qonnx_status qn_job_protect_extras(struct qn_job *job)
{
    for (size_t i = 0; i < job->extra_count; i++) QN_TRY(qn_job_protect_weights(job, job->extras[i].path));
    return QONNX_OK;
}

qonnx_status qn_job_measure_layers(struct qn_job *job)
{
    if (!job->settings.report.count) return QONNX_OK;
    return qn_layer_errors(job, &job->report.layer_errors, &job->report.layer_error_samples, &job->report.no_layer_errors);
}

/* What the file has no place for, once for each line. */
static void tell(struct qn_job *job, const struct qn_extra *extra, const char *notes)
{
    for (size_t length; *notes; notes += length + (notes[length] == '\n')) {
        length = strcspn(notes, "\n");
        qn_warn(&job->warnings, "--encodings %s: %.*s", extra->kind->name, (int)length, notes);
    }
}

static qonnx_status encode(struct qn_job *job, struct qn_extra *extra, const struct qn_encoded_list *list)
{
    struct qn_strbuf notes;
    qonnx_status     status;

    qn_strbuf_init(&notes);
    status = extra->kind->write(list, &extra->text, &notes, job->err);
    if (status == QONNX_OK) tell(job, extra, notes.text);
    qn_strbuf_release(&notes);
    return status;
}

bool qn_job_encodes_all(const struct qn_job *job)
{
    for (size_t i = 0; i < job->extra_count; i++)
        if (job->extras[i].kind && job->extras[i].kind->of_all) return true;
    return false;
}

qonnx_status qn_job_encode(struct qn_job *job)
{
    const struct qn_stats *const *stats = job->watch_all ? (const struct qn_stats *const *)job->stats : NULL;
    struct qn_encoded_list        list;
    qonnx_status                  status;

    if (!job->settings.encodings.count) return QONNX_OK;
    status = qn_encoded_list(&job->plan, stats, &list, job->err);
    for (size_t i = 0; i < job->extra_count && status == QONNX_OK; i++)
        if (job->extras[i].kind) status = encode(job, &job->extras[i], &list);
    qn_encoded_release(&list);
    return status;
}

qonnx_status qn_job_open_extras(struct qn_job *job)
{
    for (size_t i = 0; i < job->extra_count; i++)
        QN_TRY(qn_sink_open(&job->extras[i].sink, job->extras[i].path, job->err));
    return QONNX_OK;
}

qonnx_status qn_job_write_extras(struct qn_job *job)
{
    for (size_t i = 0; i < job->extra_count; i++) {
        struct qn_extra *extra = &job->extras[i];
        struct qn_sink  *sink = extra->sink;

        if (extra->form) QN_TRY(extra->form->make(&job->report, &extra->text, job->err));
        qn_sink_write(sink, extra->text.text, extra->text.length);
        extra->sink = NULL;
        QN_TRY(qn_sink_commit(sink, job->err));
        qn_strbuf_release(&extra->text);
    }
    return QONNX_OK;
}

void qn_job_discard_extras(struct qn_job *job)
{
    for (size_t i = 0; i < job->extra_count; i++) {
        if (job->extras[i].sink) qn_sink_discard(job->extras[i].sink);
        qn_strbuf_release(&job->extras[i].text);
    }
}
