/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect_model.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "wording.h"

enum { SHOWN_OPERATORS = 10, SHOWN_READERS = 5 };

/* ---- gathering ---- */

/* Tallies by name, in order of appearance. */
struct tallies {
    struct qn_arena   *arena;
    struct qn_names    names;
    struct qn_tallied *rows;
    size_t             room;
};

static struct qn_tallied *tally(struct tallies *t, const char *name, uint64_t bytes)
{
    size_t             before = t->names.count;
    uint32_t           id = qn_names_intern(&t->names, name);
    struct qn_tallied *grown = t->rows;

    if (id == QN_NONE) return NULL;
    if (id == before) grown = qn_arena_grow(t->arena, t->rows, before, &t->room, sizeof *grown);
    if (!grown) return NULL;
    t->rows = grown;
    if (id == before) grown[id] = (struct qn_tallied){ .name = name };
    grown[id].count++;
    grown[id].bytes += bytes;
    return &grown[id];
}

static int by_bytes(const void *a, const void *b)
{
    const struct qn_tallied *x = a, *y = b;

    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    if (x->count != y->count) return x->count > y->count ? -1 : 1;
    return strcmp(x->name, y->name);
}

static uint64_t bytes_of(const Onnx__TensorProto *tensor)
{
    const struct qn_dtype *dtype = qn_dtype_find(tensor->data_type);
    size_t                 count;

    if (!dtype || qn_tensor_count(tensor, &count, NULL) != QONNX_OK) return 0;
    return (uint64_t)count / 8 * (uint64_t)dtype->bits + ((uint64_t)count % 8 * (uint64_t)dtype->bits + 7) / 8;
}

static const char *label(const Onnx__NodeProto *node)
{
    if (node->name && *node->name) return node->name;
    return node->n_output && node->output[0] ? node->output[0] : "";
}

static const Onnx__TensorProto *constant_of(const Onnx__NodeProto *node)
{
    const Onnx__AttributeProto *value = strcmp(node->op_type, "Constant") == 0 ? qn_attr_find(node, "value") : NULL;
    return value ? value->t : NULL;
}

/* The node that reads each name first. */
static const Onnx__NodeProto **first_readers(const Onnx__GraphProto *pb, struct qn_names *names, struct qn_arena *arena)
{
    const Onnx__NodeProto **readers = NULL;
    size_t                  room = 0;

    for (size_t n = 0; n < pb->n_node; n++)
        for (size_t i = 0; i < pb->node[n]->n_input; i++) {
            size_t   before = names->count;
            uint32_t id = qn_names_intern(names, pb->node[n]->input[i]);
            if (id == QN_NONE || id != before) continue;
            if (!(readers = qn_arena_grow(arena, (void *)readers, before, &room, sizeof *readers))) return NULL;
            readers[id] = pb->node[n];
        }
    return readers;
}

/* Whose constant it is: behind what makes values of codes and types. */
static const Onnx__NodeProto *reader_of(const char *name, const struct qn_names *names,
                                        const Onnx__NodeProto *const *first)
{
    static const char *const between[] = { "DequantizeLinear", "QuantizeLinear", "Cast", "Identity", "Transpose" };
    enum { LONGEST_WAY = 4 };
    const Onnx__NodeProto *reader = NULL;

    for (int step = 0; step < LONGEST_WAY && name; step++) {
        uint32_t at = qn_names_find(names, name);
        bool     passes = false;
        if (at == QN_NONE) break;
        reader = first[at];
        for (size_t i = 0; i < sizeof between / sizeof *between; i++)
            passes |= strcmp(reader->op_type, between[i]) == 0;
        if (!passes) break;
        name = reader->n_output ? reader->output[0] : NULL;
    }
    return reader;
}

static qonnx_status tally_constants(struct qn_model_facts *facts, const Onnx__GraphProto *pb, struct qn_arena *arena,
                                    qonnx_error *err)
{
    struct tallies          types = { .arena = arena }, readers = { .arena = arena };
    struct qn_names         names;
    const Onnx__NodeProto **first;

    qn_names_init(&names, arena);
    qn_names_init(&types.names, arena);
    qn_names_init(&readers.names, arena);
    first = first_readers(pb, &names, arena);
    for (size_t i = 0; i < pb->n_initializer + pb->n_node; i++) {
        const Onnx__NodeProto   *node = i < pb->n_initializer ? NULL : pb->node[i - pb->n_initializer];
        const Onnx__TensorProto *tensor = node ? constant_of(node) : pb->initializer[i];
        const char              *name = node ? (node->n_output ? node->output[0] : "") : tensor->name;
        uint64_t                 bytes = tensor ? bytes_of(tensor) : 0;
        const Onnx__NodeProto   *reader = tensor && name && first ? reader_of(name, &names, first) : NULL;
        struct qn_tallied       *row;
        if (!tensor) continue;
        facts->constants.count++;
        facts->constants.bytes += bytes;
        tally(&types, qn_dtype_find(tensor->data_type) ? qn_dtype_find(tensor->data_type)->name : "unknown", bytes);
        if (reader && (row = tally(&readers, label(reader), bytes))) row->op = reader->op_type;
    }
    facts->types = types.rows;
    facts->type_count = types.names.count;
    facts->readers = readers.rows;
    facts->reader_count = readers.names.count;
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    if (facts->type_count) qsort(facts->types, facts->type_count, sizeof *facts->types, by_bytes);
    if (facts->reader_count) qsort(facts->readers, facts->reader_count, sizeof *facts->readers, by_bytes);
    return QONNX_OK;
}

qonnx_status qn_model_facts(struct qn_model_facts *facts, const struct qn_model *model, struct qn_arena *arena,
                            qonnx_error *err)
{
    const Onnx__GraphProto *pb = model->pb->graph;
    struct tallies          operators = { .arena = arena };

    memset(facts, 0, sizeof *facts);
    facts->producer = model->pb->producer_name ? model->pb->producer_name : "";
    facts->producer_version = model->pb->producer_version ? model->pb->producer_version : "";
    facts->bytes = model->map.size;
    for (size_t i = 0; i < model->external_count; i++) facts->bytes += model->externals[i].size;
    QN_TRY(qn_model_inputs(model, arena, &facts->inputs, &facts->input_count, err));
    QN_TRY(qn_model_outputs(model, arena, &facts->outputs, &facts->output_count, err));
    qn_names_init(&operators.names, arena);
    facts->node_count = pb->n_node;
    for (size_t n = 0; n < pb->n_node; n++) tally(&operators, pb->node[n]->op_type, 0);
    facts->operators = operators.rows;
    facts->operator_count = operators.names.count;
    if (qn_arena_failed(arena)) return qn_fail_nomem(err);
    if (facts->operator_count) qsort(facts->operators, facts->operator_count, sizeof *facts->operators, by_bytes);
    return tally_constants(facts, pb, arena, err);
}

/* ---- text ---- */

static void put_shape(const struct qn_port *port, struct qn_strbuf *text)
{
    if (port->rank < 0) {
        qn_strbuf_puts(text, " of any shape");
        return;
    }
    qn_strbuf_puts(text, " [");
    for (int i = 0; i < port->rank; i++) {
        if (i) qn_strbuf_puts(text, ",");
        if (port->dims[i] >= 0)
            qn_strbuf_printf(text, "%" PRId64, port->dims[i]);
        else
            qn_put_foreign(text, port->dim_params[i] && *port->dim_params[i] ? port->dim_params[i] : "?");
    }
    qn_strbuf_puts(text, "]");
}

static void put_ports(const struct qn_port *ports, size_t count, const char *what, struct qn_strbuf *text)
{
    if (!count) qn_strbuf_printf(text, "%sno tensors\n", what);
    for (size_t i = 0; i < count; i++) {
        qn_strbuf_printf(text, "%-*s", (int)strlen(what), i ? "" : what);
        qn_put_foreign(text, ports[i].name);
        qn_strbuf_printf(text, ": %s", ports[i].dtype ? qn_dtype_name(ports[i].dtype) : "no tensor");
        if (ports[i].dtype) put_shape(&ports[i], text);
        qn_strbuf_puts(text, "\n");
    }
}

void qn_model_facts_text(const struct qn_model_facts *facts, struct qn_strbuf *text)
{
    put_ports(facts->inputs, facts->input_count, "inputs:    ", text);
    put_ports(facts->outputs, facts->output_count, "outputs:   ", text);
    qn_strbuf_printf(text, "nodes:     %zu", facts->node_count);
    for (size_t i = 0; i < facts->operator_count && i < SHOWN_OPERATORS; i++) {
        qn_strbuf_printf(text, "%s%zu ", i ? ", " : ": ", facts->operators[i].count);
        qn_put_foreign(text, facts->operators[i].name);
    }
    qn_strbuf_puts(text, facts->operator_count > SHOWN_OPERATORS ? ", …\n" : "\n");
    qn_strbuf_printf(text, "constants: %zu, ", facts->constants.count);
    qn_put_size(text, facts->constants.bytes);
    for (size_t i = 0; i < facts->type_count; i++) {
        qn_strbuf_puts(text, i ? ", " : ": ");
        qn_put_size(text, facts->types[i].bytes);
        qn_strbuf_printf(text, " of %s", facts->types[i].name);
    }
    qn_strbuf_puts(text, "\n");
    for (size_t i = 0; i < facts->reader_count && i < SHOWN_READERS; i++) {
        qn_strbuf_puts(text, i ? ", " : "largest:   ");
        qn_put_foreign(text, facts->readers[i].name);
        qn_strbuf_puts(text, " (");
        qn_put_foreign(text, facts->readers[i].op);
        qn_strbuf_puts(text, ") ");
        qn_put_size(text, facts->readers[i].bytes);
    }
    if (facts->reader_count) qn_strbuf_puts(text, facts->reader_count > SHOWN_READERS ? ", …\n" : "\n");
}

/* ---- JSON ---- */

static json_t *ports(struct qn_json *json, const struct qn_port *list, size_t count)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object(), *shape = list[i].rank < 0 ? json_null() : json_array();
        for (int d = 0; d < list[i].rank; d++)
            qn_json_append(json, shape,
                           list[i].dims[d] >= 0    ? json_integer(list[i].dims[d])
                           : list[i].dim_params[d] ? qn_json_text(list[i].dim_params[d])
                                                   : json_null());
        qn_json_put(json, object, "name", qn_json_text(list[i].name));
        qn_json_put(json, object, "dtype", list[i].dtype ? json_string(qn_dtype_name(list[i].dtype)) : json_null());
        qn_json_put(json, object, "shape", shape);
        qn_json_append(json, array, object);
    }
    return array;
}

static json_t *rows(struct qn_json *json, const struct qn_tallied *list, size_t count, const char *name, bool sized)
{
    json_t *array = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *object = json_object();
        qn_json_put(json, object, name, qn_json_text(list[i].name));
        if (list[i].op) qn_json_put(json, object, "op_type", qn_json_text(list[i].op));
        qn_json_put(json, object, "count", qn_json_uint(list[i].count));
        if (sized) qn_json_put(json, object, "bytes", qn_json_uint(list[i].bytes));
        qn_json_append(json, array, object);
    }
    return array;
}

void qn_model_facts_json(const struct qn_model_facts *facts, struct qn_json *json, json_t *object)
{
    json_t *constants = json_object();

    qn_json_put(json, object, "made_by", qn_json_text(facts->producer));
    qn_json_put(json, object, "made_by_version", qn_json_text(facts->producer_version));
    qn_json_put(json, object, "bytes", qn_json_uint(facts->bytes));
    qn_json_put(json, object, "inputs", ports(json, facts->inputs, facts->input_count));
    qn_json_put(json, object, "outputs", ports(json, facts->outputs, facts->output_count));
    qn_json_put(json, object, "operators", rows(json, facts->operators, facts->operator_count, "op_type", false));
    qn_json_put(json, constants, "count", qn_json_uint(facts->constants.count));
    qn_json_put(json, constants, "bytes", qn_json_uint(facts->constants.bytes));
    qn_json_put(json, constants, "by_type", rows(json, facts->types, facts->type_count, "dtype", true));
    qn_json_put(json, constants, "by_node", rows(json, facts->readers, facts->reader_count, "name", true));
    qn_json_put(json, object, "constants", constants);
}
