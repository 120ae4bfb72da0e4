/* SPDX-License-Identifier: Apache-2.0 */
#include "encodings.h"

#include <string.h>

#include "plan/options.h"
#include "wording.h"

static const struct qn_encoding_kind kinds[] = {
    { "ort-cache", "onnxruntime's calibration cache", false, qn_ranges_read_ort, true, qn_encodings_write_ort },
    { "aimet-0.6.1", "AIMET's encodings, or overrides for QNN", false, qn_ranges_read_aimet, false,
      qn_encodings_write_aimet_0_6 },
    { "aimet-1.0.0", "the same as lists", false, qn_ranges_read_aimet, false, qn_encodings_write_aimet_1 },
    { "aimet-2.0.0", "the same with QuantizeLinear's numbers", false, qn_ranges_read_aimet, false,
      qn_encodings_write_aimet_2 },
    { "trt-cache", "TensorRT's calibration cache", false, qn_ranges_read_tensorrt, false, qn_encodings_write_tensorrt },
    { "ncnn-table", "ncnn's table", true, qn_ranges_read_ncnn, false, qn_encodings_write_ncnn },
};
enum { KINDS = sizeof kinds / sizeof *kinds };

const struct qn_encoding_kind *qn_encoding_kind_at(size_t i) { return i < KINDS ? &kinds[i] : NULL; }

qonnx_status qn_encoding_split(const char *option, const char *spec, const struct qn_encoding_kind **kind,
                               const char **path, qonnx_error *err)
{
    const char      *equals = strchr(spec, '=');
    const size_t     length = equals ? (size_t)(equals - spec) : strlen(spec);
    struct qn_strbuf known;
    qonnx_status     status;

    *path = equals ? equals + 1 : "";
    for (*kind = kinds; *kind < kinds + KINDS; ++*kind)
        if (strlen((*kind)->name) == length && strncmp((*kind)->name, spec, length) == 0 && **path) return QONNX_OK;
    qn_strbuf_init(&known);
    for (size_t i = 0; i < KINDS; i++) qn_strbuf_printf(&known, "%s%s", i ? ", " : "", kinds[i].name);
    status = qn_fail(err, QONNX_E_USAGE, "--%s: '%.100s' is not KIND=PATH; kinds are %s", option, spec, known.text);
    qn_strbuf_release(&known);
    return status;
}

/* ---- what there is to write ---- */

int64_t qn_encoded_offset(const struct qn_qparams *params, size_t i)
{
    return -(int64_t)params->zero_point[i] - (params->is_signed ? INT64_C(1) << (params->bits - 1) : 0);
}

bool qn_encoded_symmetric(const struct qn_qparams *params)
{
    for (size_t i = 0; i < params->count; i++)
        if (qn_encoded_offset(params, i) != -(INT64_C(1) << (params->bits - 1))) return false;
    return true;
}

static qonnx_status add(struct qn_encoded_list *list, size_t *room, struct qn_names *names, struct qn_encoded item,
                        qonnx_error *err)
{
    struct qn_encoded *grown;

    if (!*item.name || qn_names_find(names, item.name) != QN_NONE) return QONNX_OK;
    list->floats += item.params->type->floating != NULL;
    if (item.params->type->floating) return QONNX_OK;
    grown = qn_arena_grow(&list->arena, list->items, list->count, room, sizeof *grown);
    if (!grown || qn_names_intern(names, item.name) == QN_NONE) return qn_fail_nomem(err);
    list->items = grown;
    grown[list->count++] = item;
    list->of[item.role]++;
    return QONNX_OK;
}

static const char *input_name(const struct qn_plan *plan, struct qn_use at)
{
    const qn_value_id v = qn_node_input(plan->graph, at.node, at.slot);
    return v == QN_NONE ? "" : plan->graph->values[v].name;
}

static qonnx_status add_constants(const struct qn_plan *plan, qn_node_id n, struct qn_encoded_list *list, size_t *room,
                                  struct qn_names *names, qonnx_error *err)
{
    const struct qn_node_plan *row = &plan->nodes[n];
    const struct qn_use        weight = { n, (uint16_t)qn_plan_weight_slot(row) };

    list->blocks += row->blocks != NULL;
    list->own += row->input != NULL;
    if (!row->weight) return QONNX_OK;
    QN_TRY(
        add(list, room, names,
            (struct qn_encoded){ .role = QN_ENCODED_WEIGHT, .name = input_name(plan, weight), .params = row->weight },
            err));
    if (row->recurrent)
        QN_TRY(add(list, room, names,
                   (struct qn_encoded){ .role = QN_ENCODED_WEIGHT,
                                        .name = input_name(plan, (struct qn_use){ n, 2 }),
                                        .params = row->recurrent },
                   err));
    if (!row->bias) return QONNX_OK;
    return add(list, room, names,
               (struct qn_encoded){
                   .role = QN_ENCODED_BIAS, .name = input_name(plan, qn_plan_bias(plan, n)), .params = row->bias },
               err);
}

qonnx_status qn_encoded_list(const struct qn_plan *plan, const struct qn_stats *const *stats,
                             struct qn_encoded_list *list, qonnx_error *err)
{
    struct qn_names names;
    size_t          room = 0;

    *list = (struct qn_encoded_list){ .plan = plan, .stats = stats };
    qn_names_init(&names, &list->arena);
    for (qn_value_id v = 0; v < plan->graph->value_count; v++) {
        const struct qn_tensor_plan *root = &plan->tensors[plan->tensors[v].group];
        if (!plan->tensors[v].quantized || !root->params) continue;
        QN_TRY(add(list, &room, &names,
                   (struct qn_encoded){ QN_ENCODED_ACTIVATION, plan->graph->values[v].name, root->params, root->range },
                   err));
    }
    for (qn_node_id n = 0; n < plan->graph->node_count; n++) QN_TRY(add_constants(plan, n, list, &room, &names, err));
    return QONNX_OK;
}

void qn_encoded_release(struct qn_encoded_list *list) { qn_arena_release(&list->arena); }

void qn_encoded_notes(const struct qn_encoded_list *list, struct qn_strbuf *notes)
{
    if (list->blocks)
        qn_strbuf_printf(notes, "%zu weight%s in blocks: left out, their scales are in the model\n", list->blocks,
                         qn_plural(list->blocks));
    if (list->floats)
        qn_strbuf_printf(notes, "%zu weight%s stored as floats: left out\n", list->floats, qn_plural(list->floats));
    if (list->own)
        qn_strbuf_printf(notes, "%zu quantizer%s of one node's input alone: left out\n", list->own,
                         qn_plural(list->own));
}
