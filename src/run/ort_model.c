/* SPDX-License-Identifier: Apache-2.0 */
#include "run/ort_model.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/names.h"
#include "onnx/attr.h"
#include "onnx/deferred.h"
#include "onnx/dtype.h"
#include "onnx/scopes.h"
#include "onnx/tensor.h"

/* Below this an initializer is packed with the model: shape inference reads the small ones, and copies cost nothing. */
enum { SMALL_WEIGHT = 1024 };

/* Where a tensor's elements lie in memory as the runtime wants them; false when they are stored otherwise. */
static bool plain_data(const Onnx__TensorProto *tensor, struct ort_weight *weight)
{
    const struct qn_dtype *dtype = qn_dtype_find(tensor->data_type);
    qonnx_error            ignored = { 0 };
    size_t                 count, held = 0;

    if (!dtype || !dtype->bits || tensor->segment || tensor->n_external_data || !tensor->name) return false;
    if (qn_tensor_count(tensor, &count, &ignored) != QONNX_OK) return false;
    if (__builtin_mul_overflow(count, (size_t)dtype->bits, &weight->size) || weight->size > SIZE_MAX - 7) return false;
    weight->size = (weight->size + 7) / 8;
    if (tensor->has_raw_data) {
        weight->data = tensor->raw_data.data;
        return tensor->raw_data.len == weight->size;
    }
    if (tensor->data_type == QN_FLOAT) {
        weight->data = tensor->float_data;
        held = tensor->n_float_data;
    } else if (tensor->data_type == QN_INT64) {
        weight->data = tensor->int64_data;
        held = tensor->n_int64_data;
    } else if (tensor->data_type == QN_DOUBLE) {
        weight->data = tensor->double_data;
        held = tensor->n_double_data;
    } else if (tensor->data_type == QN_INT32) {
        weight->data = tensor->int32_data;
        held = tensor->n_int32_data;
    }
    return held == count;
}

/* ---- weights in files ---- */

/* A mapped file of the model, by its name in the folder that the runtime is told. */
struct source {
    const struct qn_map *map;
    const char          *name;
};

struct sources {
    struct source *list;
    size_t         count;
    const char    *folder;
};

/* Only what a path still leads to may be named by it, and only inside the folder of the model: the runtime refuses all
 * else. The first source sets the folder. */
static void add_source(struct sources *sources, const struct qn_map *map, const char *path, struct qn_arena *arena)
{
    char        real[PATH_MAX];
    struct stat info;
    char       *slash;
    size_t      length;

    if (!map->mapped || !path || !realpath(path, real) || stat(real, &info) != 0) return;
    if (!S_ISREG(info.st_mode) || info.st_dev != map->device || info.st_ino != map->inode ||
        (size_t)info.st_size != map->size)
        return;
    if (!sources->folder) {
        slash = strrchr(real, '/');
        sources->folder = qn_arena_memdup(arena, real, (size_t)(slash - real) + 1);
        if (!sources->folder) return;
    }
    length = strlen(sources->folder);
    if (strncmp(real, sources->folder, length) == 0)
        sources->list[sources->count++] = (struct source){ map, qn_arena_strdup(arena, real + length) };
}

static void find_sources(struct sources *sources, const struct qn_model *model, struct qn_arena *arena)
{
    memset(sources, 0, sizeof *sources);
    if (!(sources->list = qn_arena_array(arena, model->external_count + 1, sizeof *sources->list))) return;
    add_source(sources, &model->map, model->path, arena);
    for (size_t i = 0; i < model->external_count && sources->folder; i++)
        add_source(sources, &model->externals[i], model->external_paths[i], arena);
}

static const struct source *source_of(const struct sources *sources, const struct ort_weight *weight)
{
    for (size_t i = 0; i < sources->count; i++)
        if (qn_map_contains(sources->list[i].map, weight->data)) return &sources->list[i];
    return NULL;
}

/* ---- leaving weights out ---- */

static void add_entry(struct qn_arena *arena, Onnx__TensorProto *tensor, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *entry = qn_arena_alloc(arena, sizeof *entry);

    if (!entry) return;
    onnx__string_string_entry_proto__init(entry);
    entry->key = qn_arena_strdup(arena, key);
    entry->value = (char *)(uintptr_t)value;
    tensor->external_data[tensor->n_external_data++] = entry;
}

/* The same tensor with its data elsewhere: in a file at this offset, or, with `at` NULL, in what the runtime is given
 * besides. */
static Onnx__TensorProto *hollow(struct qn_arena *arena, const struct ort_weight *weight, const struct source *at, size_t offset)
{
    const Onnx__TensorProto *tensor = weight->tensor;
    Onnx__TensorProto       *copy = qn_arena_alloc(arena, sizeof *copy);

    if (!copy) return NULL;
    onnx__tensor_proto__init(copy);
    copy->name = tensor->name;
    copy->has_data_type = true;
    copy->data_type = tensor->data_type;
    copy->n_dims = tensor->n_dims;
    copy->dims = tensor->dims;
    copy->has_data_location = true;
    copy->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    if (!(copy->external_data = qn_arena_array(arena, 3, sizeof(Onnx__StringStringEntryProto *)))) return NULL;
    add_entry(arena, copy, "location", at ? at->name : qn_arena_strdup(arena, "in-memory"));
    if (!at) return copy;
    add_entry(arena, copy, "offset", qn_arena_printf(arena, "%zu", offset));
    add_entry(arena, copy, "length", qn_arena_printf(arena, "%zu", weight->size));
    return copy;
}

/* Where the runtime is given a weight besides, a file that is there must be named all the same: to read it, where there
 * is nothing in it, then fails. */
static void take_out_weights(struct ort_model *packed, Onnx__GraphProto *graph, const struct sources *sources)
{
    Onnx__TensorProto  **list = qn_arena_array(&packed->arena, graph->n_initializer, sizeof(Onnx__TensorProto *));
    const struct source *any = sources->folder ? &sources->list[0] : NULL;

    packed->weights = qn_arena_array(&packed->arena, graph->n_initializer, sizeof *packed->weights);
    packed->folder = sources->folder;
    if (qn_arena_failed(&packed->arena)) return;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        struct ort_weight    weight = { .tensor = graph->initializer[i], .name = graph->initializer[i]->name };
        const struct source *source;
        list[i] = graph->initializer[i];
        if (!plain_data(list[i], &weight) || weight.size <= SMALL_WEIGHT) continue;
        if ((source = source_of(sources, &weight))) {
            list[i] = hollow(&packed->arena, &weight, source, (size_t)((const uint8_t *)weight.data - source->map->data));
        } else {
            list[i] = hollow(&packed->arena, &weight, any, any ? any->map->size : 0);
            packed->weights[packed->weight_count++] = weight;
        }
    }
    graph->initializer = list;
}

static Onnx__NodeProto *observer_node(struct qn_arena *arena, const char *value, size_t id)
{
    Onnx__NodeProto *node = qn_node_new(arena, QN_OBSERVE_OP, "", 1, &value, 0, NULL);

    if (!node) return NULL;
    node->domain = qn_arena_strdup(arena, QN_OBSERVE_DOMAIN);
    qn_attr_set_int(arena, node, "id", (int64_t)id);
    return node;
}

static bool is_observer(const Onnx__NodeProto *node)
{
    return node->domain && !strcmp(node->domain, QN_OBSERVE_DOMAIN) && node->op_type &&
           !strcmp(node->op_type, QN_OBSERVE_OP);
}

struct place {
    struct ort_watch watch;
    size_t           made_by; /* 0: not by a node; else its place in the file, from 1 */
    size_t           end;     /* where its scope ends in the file */
};

static int by_scope_latest_first(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    if (x->made_by != y->made_by) return x->made_by < y->made_by ? 1 : -1;
    return x->watch.id < y->watch.id ? 1 : x->watch.id > y->watch.id ? -1 : 0;
}

/* For each node the place of the Leave that ends its scope, or of the end of the file. */
static size_t *find_ends(const Onnx__GraphProto *graph, struct qn_arena *arena)
{
    size_t *ends = qn_arena_array(arena, graph->n_node, sizeof *ends), *leaves = qn_arena_array(arena, graph->n_node + 1, sizeof *leaves), depth = 0;

    if (!ends || !leaves) return NULL;
    leaves[0] = graph->n_node;
    for (size_t i = graph->n_node; i-- > 0;) {
        if (qn_is_leave(graph->node[i])) leaves[++depth] = i;
        ends[i] = leaves[depth];
        if (qn_is_enter(graph->node[i])) depth--;
    }
    return ends;
}

/* Where each watched value is made. */
static qonnx_status find_makers(struct place *places, size_t count, const Onnx__GraphProto *graph,
                                struct qn_arena *arena, qonnx_error *err)
{
    struct qn_names names;
    size_t         *made_by, *ends = find_ends(graph, arena), capacity = 1 + graph->n_input + graph->n_initializer;

    for (size_t i = 0; i < graph->n_node; i++) capacity += graph->node[i]->n_output;
    qn_names_init(&names, arena);
    made_by = qn_arena_array(arena, capacity, sizeof *made_by);
    for (size_t i = 0; made_by && i < graph->n_input; i++)
        if (graph->input[i]->name) qn_names_intern(&names, graph->input[i]->name);
    for (size_t i = 0; made_by && i < graph->n_initializer; i++) /* what the runtime computed in advance is constant */
        if (graph->initializer[i]->name) qn_names_intern(&names, graph->initializer[i]->name);
    for (size_t i = 0; made_by && i < graph->n_node; i++)
        for (size_t o = 0; o < graph->node[i]->n_output; o++) {
            uint32_t id = qn_names_intern(&names, graph->node[i]->output[o]);
            if (id != QN_NONE) made_by[id] = i + 1;
        }
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    for (size_t i = 0; i < count; i++) {
        const char *name = places[i].watch.name;
        uint32_t    id = *name ? qn_names_find(&names, name) : QN_NONE;
        if (id == QN_NONE)
            return qn_fail(err, QONNX_E_USAGE, "the main graph has no value '%s' that could be observed", name);
        places[i].made_by = made_by[id];
        places[i].end = made_by[id] ? ends[made_by[id] - 1] : graph->n_node;
    }
    return QONNX_OK;
}

/* The runtime runs nodes without a reader last and backwards in file order, and frees a tensor after its last
 * reader: so observers stand at the end of their graph, that of the last value first. Then each runs soon after its
 * value is made. */
static qonnx_status set_observers(struct ort_model *packed, Onnx__GraphProto *graph, const struct ort_watch *watches,
                                  size_t count, qonnx_error *err)
{
    struct place     *places = qn_arena_array(&packed->arena, count, sizeof *places);
    Onnx__NodeProto **nodes = qn_arena_array(&packed->arena, graph->n_node + count, sizeof(Onnx__NodeProto *));
    size_t            used = 0, next = 0;

    if (qn_arena_failed(&packed->arena)) return qn_fail_nomem(err);
    for (size_t i = 0; i < count; i++)
        if (!watches[i].shown) places[used++].watch = watches[i];
    count = used;
    used = 0;
    QN_TRY(find_makers(places, count, graph, &packed->arena, err));
    if (count) qsort(places, count, sizeof *places, by_scope_latest_first);
    for (size_t i = 0; i <= graph->n_node; i++) {
        for (; next < count && places[next].end == i; next++)
            nodes[used++] = observer_node(&packed->arena, places[next].watch.name, places[next].watch.id);
        if (i < graph->n_node && !is_observer(graph->node[i])) nodes[used++] = graph->node[i];
    }
    if (qn_arena_failed(&packed->arena)) return qn_fail_nomem(err);
    graph->node = nodes;
    graph->n_node = used;
    return QONNX_OK;
}

static void import_domain(struct qn_arena *arena, Onnx__ModelProto *model)
{
    Onnx__OperatorSetIdProto **list =
        qn_arena_array(arena, model->n_opset_import + 1, sizeof(Onnx__OperatorSetIdProto *));
    Onnx__OperatorSetIdProto *added = qn_arena_alloc(arena, sizeof *added);
    size_t                    count = 0;

    if (qn_arena_failed(arena)) return;
    for (size_t i = 0; i < model->n_opset_import; i++) { /* a model may name the domain with a version of its own */
        const char *domain = model->opset_import[i]->domain;
        if (!domain || strcmp(domain, QN_OBSERVE_DOMAIN) != 0) list[count++] = model->opset_import[i];
    }
    onnx__operator_set_id_proto__init(added);
    added->domain = qn_arena_strdup(arena, QN_OBSERVE_DOMAIN);
    added->has_version = true;
    added->version = 1;
    list[count++] = added;
    model->opset_import = list;
    model->n_opset_import = count;
}

static bool is_size(const Onnx__TensorShapeProto__Dimension *dim)
{
    return dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && dim->dim_value > 0;
}

/* Exporters write 0 for "unknown", which the runtime takes literally. */
static bool is_no_size(const Onnx__TensorShapeProto__Dimension *dim)
{
    return dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE && dim->dim_value <= 0;
}

static int64_t size_of(const struct qn_view *view, size_t dim, size_t rank)
{
    return view && (size_t)view->rank == rank ? view->dims[dim] : 0;
}

/* The input with sizes that are known from elsewhere, and without those that are none. */
static Onnx__ValueInfoProto *with_sizes(struct qn_arena *arena, const Onnx__ValueInfoProto *port, const struct qn_view *view)
{
    Onnx__ValueInfoProto    *copy = (Onnx__ValueInfoProto *)(void *)qn_arena_memdup(arena, port, sizeof *copy);
    Onnx__TypeProto         *type = copy ? (Onnx__TypeProto *)(void *)qn_arena_memdup(arena, copy->type, sizeof *type) : NULL;
    Onnx__TypeProto__Tensor *tensor = type ? (Onnx__TypeProto__Tensor *)(void *)qn_arena_memdup(arena, type->tensor_type, sizeof *tensor) : NULL;
    Onnx__TensorShapeProto  *shape = tensor ? (Onnx__TensorShapeProto *)(void *)qn_arena_memdup(arena, tensor->shape, sizeof *shape) : NULL;

    if (!shape) return NULL;
    copy->type = type;
    type->tensor_type = tensor;
    tensor->shape = shape;
    shape->dim = (Onnx__TensorShapeProto__Dimension **)(void *)qn_arena_memdup(arena, shape->dim, shape->n_dim * sizeof *shape->dim);
    for (size_t i = 0; shape->dim && i < shape->n_dim; i++) {
        const int64_t                      size = size_of(view, i, shape->n_dim);
        Onnx__TensorShapeProto__Dimension *dim;
        if (is_size(shape->dim[i]) || (size <= 0 && !is_no_size(shape->dim[i]))) continue;
        if (!(dim = qn_arena_alloc(arena, sizeof *dim))) return NULL;
        onnx__tensor_shape_proto__dimension__init(dim);
        if (size > 0) {
            dim->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dim->dim_value = size;
        }
        shape->dim[i] = dim;
    }
    return shape->dim ? copy : NULL;
}

static qonnx_status set_input_sizes(struct ort_model *packed, Onnx__GraphProto *graph, struct ort_sizes sizes, qonnx_error *err)
{
    Onnx__ValueInfoProto **list = (Onnx__ValueInfoProto **)(void *)qn_arena_memdup(&packed->arena, graph->input, graph->n_input * sizeof *list);
    size_t                 port = 0; /* these are in the same order */

    if (!list) return qn_fail_nomem(err);
    for (size_t i = 0; i < graph->n_input; i++) {
        const Onnx__TypeProto *type = list[i]->type;
        const struct qn_view  *view = NULL;
        bool                   change = false;
        if (sizes.views && port < sizes.count && list[i]->name && !strcmp(list[i]->name, sizes.ports[port].name)) view = &sizes.views[port++];
        if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type || !type->tensor_type->shape) continue;
        for (size_t k = 0; k < type->tensor_type->shape->n_dim; k++) change |= view ? !is_size(type->tensor_type->shape->dim[k]) : is_no_size(type->tensor_type->shape->dim[k]);
        if (change && !(list[i] = with_sizes(&packed->arena, list[i], view))) return qn_fail_nomem(err);
    }
    graph->input = list;
    return QONNX_OK;
}

qonnx_status qn_ort_model_pack(struct ort_model *packed, const struct qn_model *model, const struct qn_model *files,
                               const struct ort_watch *watches, size_t watch_count, struct ort_sizes sizes, qonnx_error *err)
{
    Onnx__ModelProto copy = *model->pb; /* shallow: lists that change are new, all else is shared */
    Onnx__GraphProto graph;
    struct sources   sources = { 0 };
    qonnx_status     status;

    memset(packed, 0, sizeof *packed);
    QN_TRY(qn_model_make_deferred(model, err));
    if (!copy.graph) return qn_fail(err, QONNX_E_FORMAT, "the model has no graph");
    graph = *copy.graph;
    copy.graph = &graph;
    if (files) find_sources(&sources, files, &packed->arena);
    take_out_weights(packed, &graph, &sources);
    status = set_input_sizes(packed, &graph, sizes, err);
    if (status == QONNX_OK) status = set_observers(packed, &graph, watches, watch_count, err);
    if (status == QONNX_OK) status = qn_scopes_close(&copy.graph, model, &graph, true, &packed->arena, err);
    if (watch_count) import_domain(&packed->arena, &copy);
    if (status == QONNX_OK && !qn_arena_failed(&packed->arena)) {
        packed->size = onnx__model_proto__get_packed_size(&copy);
        if (packed->size >= INT32_MAX)
            status = qn_fail(err, QONNX_E_LIMIT, "the model without its weights has %zu bytes: too large to run",
                             packed->size);
        else if ((packed->bytes = qn_arena_alloc_raw(&packed->arena, packed->size)))
            onnx__model_proto__pack(&copy, packed->bytes);
    }
    if (status == QONNX_OK && qn_arena_failed(&packed->arena)) status = qn_fail_nomem(err);
    if (status != QONNX_OK) qn_ort_model_release(packed);
    return status;
}

void qn_ort_model_release(struct ort_model *packed)
{
    qn_arena_release(&packed->arena);
    memset(packed, 0, sizeof *packed);
}
