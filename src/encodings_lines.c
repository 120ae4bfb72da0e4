/* SPDX-License-Identifier: Apache-2.0
 * Encodings as lines of text, for int8 around zero: TensorRT's calibration cache and ncnn's table. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "encodings.h"
#include "wording.h"

/* What had to be bent, or has no place in such a file. */
struct bent {
    size_t covered, unnamed;
};

/* The scale of codes -127 … 127: the tensor's own or, where its codes lie otherwise, one that covers its range. */
static float symmetric_scale(const struct qn_qparams *params, struct qn_range range, struct bent *bent)
{
    if (params->bits == 8 && qn_encoded_symmetric(params)) return params->scale[0];
    bent->covered++;
    return qn_symmetric_scale(fmaxf(fabsf(range.min), fabsf(range.max)), 127);
}

static void note(const struct bent *bent, const char *what, struct qn_strbuf *notes)
{
    if (bent->covered)
        qn_strbuf_printf(notes,
                         "%zu activation%s not int8 around zero: instead of %s, one that covers the range with 127 "
                         "steps on either side is written (--target tensorrt makes such codes)\n",
                         bent->covered, bent->covered == 1 ? " is" : "s are",
                         bent->covered == 1 ? "its scale" : "their scales");
    if (bent->unnamed)
        qn_strbuf_printf(notes, "%zu %s%s left out: a line cannot hold the name\n", bent->unnamed, what,
                         bent->unnamed == 1 ? " is" : "s are");
}

qonnx_status qn_encodings_write_tensorrt(const struct qn_encoded_list *list, struct qn_strbuf *text,
                                         struct qn_strbuf *notes, qonnx_error *err)
{
    struct bent bent = { 0, 0 };

    qn_strbuf_puts(text, "TRT-8501-EntropyCalibration2\n");
    for (size_t i = 0; i < list->of[QN_ENCODED_ACTIVATION]; i++) {
        const struct qn_encoded *item = &list->items[i];
        float                    scale;
        uint32_t                 bits;
        bent.unnamed += strpbrk(item->name, "\r\n") != NULL;
        if (strpbrk(item->name, "\r\n")) continue;
        scale = symmetric_scale(item->params, item->range, &bent);
        memcpy(&bits, &scale, sizeof bits);
        qn_strbuf_printf(text, "%s: %08" PRIx32 "\n", item->name, bits);
    }
    qn_strbuf_puts(notes, "it holds a scale for each activation only: weights, which have one for each channel, "
                          "and biases are left out\n");
    note(&bent, "activation", notes);
    return text->failed || notes->failed ? qn_fail_nomem(err) : QONNX_OK;
}

/* ---- ncnn ---- */

static const char *layer_name(const struct qn_plan *plan, qn_node_id n)
{
    const char *name = plan->graph->pb->node[n]->name;
    return name && *name && *name != '#' && !strpbrk(name, " \r\n") ? name : NULL;
}

static bool is_encoded(const struct qn_plan *plan, qn_node_id n)
{
    const struct qn_node_plan *row = &plan->nodes[n];
    return row->rule && row->rule->kind == QN_KIND_LAYER && row->weight && !row->weight->type->floating &&
           row->weight->bits == 8 && qn_encoded_symmetric(row->weight);
}

static const struct qn_tensor_plan *input_of(const struct qn_plan *plan, qn_node_id n)
{
    const qn_value_id v = qn_node_input(plan->graph, n, 0);
    return v != QN_NONE && plan->tensors[v].quantized && plan->tensors[plan->tensors[v].group].params
               ? &plan->tensors[plan->tensors[v].group]
               : NULL;
}

qonnx_status qn_encodings_write_ncnn(const struct qn_encoded_list *list, struct qn_strbuf *text,
                                     struct qn_strbuf *notes, qonnx_error *err)
{
    const struct qn_plan *plan = list->plan;
    struct bent           bent = { 0, 0 };
    size_t                others = 0;

    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        const struct qn_node_plan *row = &plan->nodes[n];
        if (!is_encoded(plan, n)) {
            others += row->weight != NULL || row->blocks;
            continue;
        }
        bent.unnamed += !layer_name(plan, n);
        if (!layer_name(plan, n)) continue;
        qn_strbuf_printf(text, "%s_param_0", layer_name(plan, n));
        for (size_t c = 0; c < row->weight->count; c++)
            qn_strbuf_printf(text, " %.9g", 1 / (double)row->weight->scale[c]);
        qn_strbuf_puts(text, "\n");
    }
    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        const struct qn_tensor_plan *input = is_encoded(plan, n) && layer_name(plan, n) ? input_of(plan, n) : NULL;
        if (input)
            qn_strbuf_printf(text, "%s %.9g\n", layer_name(plan, n),
                             1 / (double)symmetric_scale(input->params, input->range, &bent));
    }
    qn_strbuf_puts(notes, "it holds scales of what layers multiply only: other activations and biases are left out\n");
    if (others)
        qn_strbuf_printf(notes, "%zu layer%s left out: the weight is not int8 around zero\n", others,
                         others == 1 ? " is" : "s are");
    note(&bent, "layer", notes);
    return text->failed || notes->failed ? qn_fail_nomem(err) : QONNX_OK;
}
