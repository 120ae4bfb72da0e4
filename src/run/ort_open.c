/* SPDX-License-Identifier: Apache-2.0
 * Opening a model.
 *
 * With observers a model with convolutions is opened in two stages: the runtime optimises it and saves the result;
 * there observers are moved onto tensors in the runtime's own layout (ort_layout.c), and that is run as it is. */
#include <stdio.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "run/ort_session.h"

/* What the runtime saves is held in memory: not for larger models. */
#define SAVED_MAX ((size_t)256 << 20)

/* Where a process finds the files it has open. */
#define OPEN_FILES "/proc/self/fd/"

static void unload(const struct ort_api *api, struct ort_loaded *loaded)
{
    if (loaded->handle) api->release_session(loaded->handle);
    for (size_t i = 0; i < loaded->weight_count; i++) api->release_value(loaded->weights[i]);
    free(loaded->weights);
    memset(loaded, 0, sizeof *loaded);
}

void qn_ort_close(struct qn_session *base)
{
    struct ort_run_session *session = (struct ort_run_session *)base;

    if (!session) return;
    unload(&session->ort->api, &session->loaded);
    if (session->domain) session->ort->api.release_domain(session->domain);
    qn_model_release(&session->saved);
    qn_arena_release(&session->arena);
    free(session);
}

/* How a model is to be loaded. */
struct loading {
    const struct qn_model           *model;
    const struct qn_session_options *wanted;
    const struct ort_watch          *watches;
    size_t                           watch_count;
    int                              level;
    const struct qn_model           *files;   /* weights may be read from this one's files; NULL: not from files */
    const char                      *save_as; /* NULL: nowhere */
    const char                      *save_weights; /* large ones go into a file of this name in the same folder */
    struct ort_sizes                 sizes;
};

static qonnx_status set_options(struct ort_options *options, const struct ort_run_session *session,
                                const struct loading *loading, qonnx_error *err)
{
    const struct ort_api            *api = &session->ort->api;
    const struct qn_session_options *wanted = loading->wanted;

    ORT_TRY(api, set_log_level(options, ORT_LOG_FATAL), "session options");
    ORT_TRY(api, set_execution_mode(options, ORT_SEQUENTIAL), "session options");
    ORT_TRY(api, set_intra_threads(options, 1), "session options");
    ORT_TRY(api, set_inter_threads(options, 1), "session options");
    ORT_TRY(api, set_optimization(options, loading->level), "session options");
    if (session->domain) ORT_TRY(api, add_domain(options, session->domain), "observers");
    for (size_t i = 0; i < wanted->config_count; i++)
        ORT_TRY(api, add_config(options, wanted->config[i].key, wanted->config[i].value), wanted->config[i].key);
    if (!loading->save_as) return QONNX_OK;
    ORT_TRY(api, set_optimized_model_path(options, loading->save_as), "session options");
    ORT_TRY(api, add_config(options, "session.optimized_model_external_initializers_file_name", loading->save_weights), "session options");
    /* It will not run: weights need not be rearranged for that. */
    ORT_TRY(api, add_config(options, "session.disable_prepacking", "1"), "session options");
    return QONNX_OK;
}

/* Gives the runtime the weights where they lie. */
static qonnx_status lend_weights(const struct ort_runtime *ort, struct ort_loaded *loaded, struct ort_options *options,
                                 struct ort_model *packed, int level, qonnx_error *err)
{
    const struct ort_api *api = &ort->api;
    const char          **names = qn_arena_array(&packed->arena, packed->weight_count, sizeof *names);

    if (packed->folder)
        ORT_TRY(api, add_config(options, "session.model_external_initializers_file_folder_path", packed->folder),
                "weights");

    loaded->weights = calloc(packed->weight_count + 1, sizeof(struct ort_value *));
    if (!names || !loaded->weights) return qn_fail_nomem(err);
    for (size_t i = 0; i < packed->weight_count; i++) {
        const struct ort_weight *weight = &packed->weights[i];
        names[i] = weight->name;
        /* The runtime only reads initializers; its interface lacks the const. */
        ORT_TRY(api,
                create_tensor(ort->memory, (void *)(uintptr_t)weight->data, weight->size, weight->tensor->dims,
                              weight->tensor->n_dims, qn_ort_type(weight->tensor->data_type), &loaded->weights[i]),
                weight->name);
        loaded->weight_count = i + 1;
        /* What no rewrite of the graph replaces is used where it lies. */
        ORT_TRY(api, add_initializer(options, weight->name, loaded->weights[i]), weight->name);
    }
    /* What rewrites are to read as well becomes part of the graph, and is copied on the way. */
    if (!packed->weight_count || (level == ORT_LEVEL_NONE && packed->folder)) return QONNX_OK;
    ORT_TRY(api, add_external(options, names, (const struct ort_value *const *)loaded->weights, packed->weight_count),
            "weights");
    return QONNX_OK;
}

static qonnx_status load_with(const struct ort_run_session *session, struct ort_loaded *loaded,
                              const struct loading *loading, struct ort_options *options, qonnx_error *err)
{
    const struct ort_api *api = &session->ort->api;
    struct ort_model      packed;
    qonnx_status          status;

    QN_TRY(set_options(options, session, loading, err));
    QN_TRY(qn_ort_model_pack(&packed, loading->model, loading->files, loading->watches, loading->watch_count, loading->sizes, err));
    status = lend_weights(session->ort, loaded, options, &packed, loading->level, err);
    if (status == QONNX_OK)
        status = qn_ort_check(api,
                              api->create_session_from_array(session->ort->env, packed.bytes, packed.size, options,
                                                             &loaded->handle),
                              "load", err);
    qn_ort_model_release(&packed);
    return status;
}

static qonnx_status load(const struct ort_run_session *session, struct ort_loaded *loaded,
                         const struct loading *loading, qonnx_error *err)
{
    const struct ort_api *api = &session->ort->api;
    struct ort_options   *options = NULL;
    qonnx_status          status;

    ORT_TRY(api, create_options(&options), "session options");
    status = load_with(session, loaded, loading, options, err);
    api->release_options(options);
    if (status != QONNX_OK) unload(api, loaded);
    return status;
}

/* ---- two stages ---- */

static bool small_enough_to_save(const Onnx__GraphProto *graph)
{
    size_t bytes = 0;

    for (size_t i = 0; i < graph->n_initializer; i++) bytes += graph->initializer[i]->raw_data.len;
    return bytes <= SAVED_MAX;
}

static bool worth_two_stages(const struct loading *loading)
{
    const Onnx__GraphProto *graph = loading->model->pb->graph;
    bool                    convolves = false;

    if (!loading->watch_count || loading->model->body_count || !loading->wanted->optimize || !loading->wanted->any_order) return false;
    for (size_t i = 0; i < graph->n_node && !convolves; i++)
        convolves = graph->node[i]->op_type && !strcmp(graph->node[i]->op_type, "Conv");
    return convolves && small_enough_to_save(graph);
}

/* What was needed so far goes back to the system before a stage: the heap's free pages, and those of the model's file,
 * which the runtime maps for itself. */
static void forget_before(const struct qn_model *model)
{
    qn_map_drop(&model->map, model->map.data, model->map.size);
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/* A file in no folder, so that nothing is left behind however this ends; the path is good until it is closed. */
static int open_nameless(char *path, size_t size, qonnx_error *err)
{
    int file = memfd_create("qonnx-optimised", MFD_CLOEXEC);

    if (file < 0)
        qn_fail(err, QONNX_E_IO, "no memory file");
    else
        snprintf(path, size, OPEN_FILES "%d", file);
    return file;
}

/* Reads what the runtime makes of the model. */
static qonnx_status load_and_read_back(const struct ort_run_session *session, struct ort_loaded *loaded,
                                       const struct loading *loading, struct qn_model *saved, qonnx_error *err)
{
    struct loading saving = *loading;
    char           path[64], weights[64];
    int            file = open_nameless(path, sizeof path, err), other = file < 0 ? -1 : open_nameless(weights, sizeof weights, err);
    qonnx_status   status = other < 0 ? QONNX_E_IO : QONNX_OK;

    saving.save_as = path;
    saving.save_weights = weights + strlen(OPEN_FILES);
    if (status == QONNX_OK) status = load(session, loaded, &saving, err);
    if (status == QONNX_OK) status = qn_ort_model_open_saved(saved, path, weights, err);
    if (file >= 0) close(file);
    if (other >= 0) close(other);
    if (status != QONNX_OK) unload(&session->ort->api, loaded);
    return status;
}

static qonnx_status note_blocks(struct ort_run_session *session, const struct ort_watch *watches, size_t count, qonnx_error *err)
{
    size_t block = 0;

    for (size_t i = 0; i < count; i++) {
        if (!watches[i].blocked || watches[i].id >= session->observed_count) continue;
        if (!block) QN_TRY(qn_ort_block_size(&session->ort->base, &block, err));
        session->blocks[watches[i].id] = block;
    }
    return QONNX_OK;
}

static qonnx_status load_in_two_stages(struct ort_run_session *session, const struct loading *loading, qonnx_error *err)
{
    struct ort_loaded first = { 0 };
    struct loading    stage = *loading;
    struct ort_watch *watches;
    qonnx_status      status;

    forget_before(loading->model);
    status = load_and_read_back(session, &first, loading, &session->saved, err);
    unload(&session->ort->api, &first);
    forget_before(loading->model);
    QN_TRY(status);
    QN_TRY(qn_ort_model_watches(&session->saved, &watches, &stage.watch_count, err));
    if (stage.watch_count != loading->watch_count) return qn_fail(err, QONNX_E_RUNTIME, "an observer was lost");
    QN_TRY(note_blocks(session, watches, stage.watch_count, err));
    stage.model = &session->saved;
    stage.watches = watches;
    stage.level = ORT_LEVEL_NONE;
    return load(session, &session->loaded, &stage, err);
}

static qonnx_status load_wanted(struct ort_run_session *session, const struct loading *loading, qonnx_error *err)
{
    struct qn_model *rewritten = loading->wanted->rewritten;

    return rewritten && small_enough_to_save(loading->model->pb->graph) ? load_and_read_back(session, &session->loaded, loading, rewritten, err)
                                                                        : load(session, &session->loaded, loading, err);
}

static qonnx_status load_as_wanted(struct ort_run_session *session, const struct qn_model *model,
                                   const struct qn_session_options *wanted, qonnx_error *err)
{
    struct loading    loading = { .model = model, .wanted = wanted, .watch_count = wanted->observe_count };
    struct ort_watch *watches = qn_arena_array(&session->arena, wanted->observe_count, sizeof *watches);
    qonnx_error       ignored = { 0 };

    if (!watches) return qn_fail_nomem(err);
    for (size_t i = 0; i < wanted->observe_count; i++) watches[i] = (struct ort_watch){ wanted->observe[i], i };
    loading.watches = watches;
    loading.level = wanted->optimize ? ORT_LEVEL_ALL : ORT_LEVEL_NONE;
    loading.files = model;
    loading.sizes = (struct ort_sizes){ session->base.inputs, wanted->sizes, session->base.input_count };
    /* Short cuts (runtimes before 1.18 do not take that through files; sizes may contradict what a model declares).
     * Whatever they stumble over, the straight way may do. */
    if (worth_two_stages(&loading)) {
        if (load_in_two_stages(session, &loading, &ignored) == QONNX_OK) return QONNX_OK;
        qn_model_release(&session->saved);
        memset(session->blocks, 0, session->observed_count * sizeof *session->blocks);
    }
    /* What runs over all samples is opened once: transformers whose sizes are known open sooner and run slower. */
    if (wanted->observe_count) loading.sizes.views = NULL;
    if (load_wanted(session, &loading, &ignored) == QONNX_OK) return QONNX_OK;
    loading.files = NULL;
    loading.sizes.views = NULL;
    return load_wanted(session, &loading, err);
}

/* ---- the session ---- */

static qonnx_status read_ports(struct ort_run_session *session, const struct qn_model *model,
                               const struct qn_session_options *wanted, qonnx_error *err)
{
    struct qn_session *base = &session->base;
    struct qn_arena   *arena = &session->arena;

    QN_TRY(qn_model_inputs(model, arena, &base->inputs, &base->input_count, err));
    QN_TRY(qn_model_outputs(model, arena, &base->outputs, &base->output_count, err));
    session->input_names = qn_arena_array(arena, base->input_count, sizeof *session->input_names);
    session->output_names = qn_arena_array(arena, base->output_count, sizeof *session->output_names);
    session->observed = qn_arena_array(arena, wanted->observe_count, sizeof *session->observed);
    session->blocks = qn_arena_array(arena, wanted->observe_count, sizeof *session->blocks);
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    for (size_t i = 0; i < base->input_count; i++) session->input_names[i] = base->inputs[i].name;
    for (size_t i = 0; i < base->output_count; i++) session->output_names[i] = base->outputs[i].name;
    for (size_t i = 0; i < wanted->observe_count; i++)
        session->observed[i] = qn_arena_strdup(arena, wanted->observe[i]);
    session->observed_count = wanted->observe_count;
    session->observer = wanted->observer;
    return qn_arena_failed(arena) ? qn_fail_nomem(err) : QONNX_OK;
}

static qonnx_status register_observer(struct ort_run_session *session, qonnx_error *err)
{
    const struct ort_api *api = &session->ort->api;

    qn_ort_fill_observer(&session->op, api->api_version);
    qn_ort_fill_sum(&session->sum, api->api_version);
    ORT_TRY(api, create_domain(QN_OBSERVE_DOMAIN, &session->domain), "observers");
    ORT_TRY(api, domain_add(session->domain, &session->op), "observers");
    ORT_TRY(api, domain_add(session->domain, &session->sum), "observers");
    return QONNX_OK;
}

qonnx_status qn_ort_open(struct qn_runtime *runtime, const struct qn_model *model,
                         const struct qn_session_options *wanted, struct qn_session **result, qonnx_error *err)
{
    struct ort_run_session *session = calloc(1, sizeof *session);
    qonnx_status            status;

    if (!session) return qn_fail_nomem(err);
    session->ort = (struct ort_runtime *)runtime;
    session->base.runtime = runtime;
    status = read_ports(session, model, wanted, err);
    if (status == QONNX_OK && wanted->observe_count) status = register_observer(session, err);
    if (status == QONNX_OK) status = load_as_wanted(session, model, wanted, err);
    if (status == QONNX_OK)
        *result = &session->base;
    else
        qn_ort_close(&session->base);
    return status;
}
