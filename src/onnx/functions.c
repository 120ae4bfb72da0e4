/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/functions.h"

#include <string.h>

enum { MAX_CALLS_DEEP = 48, MAX_NODES = 1 << 20 };

/* ---- look-up ---- */

static const char *text(const char *or_null) { return or_null ? or_null : ""; }

static const char *key(struct qn_arena *arena, const char *domain, const char *name, const char *overload)
{
    if (domain && strcmp(domain, "ai.onnx") == 0) domain = "";
    return qn_arena_printf(arena, "%s\n%s\n%s", text(domain), text(name), text(overload));
}

qonnx_status qn_functions_init(struct qn_functions *functions, const struct qn_model *model, struct qn_arena *scratch, qonnx_error *err)
{
    *functions = (struct qn_functions){ model->pb, scratch, { 0 } };
    qn_names_init(&functions->keys, scratch);
    for (size_t i = 0; i < model->pb->n_functions; i++) {
        const Onnx__FunctionProto *f = model->pb->functions[i];
        const char                *k = key(scratch, f->domain, f->name, f->overload);
        uint32_t                   id = k ? qn_names_intern(&functions->keys, k) : QN_NONE;
        if (id == QN_NONE) return qn_fail_nomem(err);
        if (id != i) return qn_fail(err, QONNX_E_FORMAT, "function '%.150s' is defined twice", text(f->name));
    }
    return QONNX_OK;
}

static uint32_t called(const struct qn_functions *functions, const Onnx__NodeProto *node)
{
    struct qn_arena scratch = { 0 };
    const char     *k;
    uint32_t        id = QN_NONE;

    if (!functions->model->n_functions) return QN_NONE;
    if ((k = key(&scratch, node->domain, node->op_type, node->overload)) != NULL) id = qn_names_find(&functions->keys, k);
    qn_arena_release(&scratch);
    return id;
}

const Onnx__FunctionProto *qn_functions_find(const struct qn_functions *functions, const Onnx__NodeProto *node)
{
    uint32_t id = called(functions, node);
    return id == QN_NONE ? NULL : functions->model->functions[id];
}

/* Recursion is as deep as the messages are, which the reader limits. */
bool qn_functions_called(const struct qn_functions *functions, const Onnx__GraphProto *graph)
{
    for (size_t n = 0; n < graph->n_node; n++) {
        const Onnx__NodeProto *node = graph->node[n];
        if (called(functions, node) != QN_NONE) return true;
        for (size_t i = 0; i < node->n_attribute; i++) {
            if (node->attribute[i]->g && qn_functions_called(functions, node->attribute[i]->g)) return true;
            for (size_t k = 0; k < node->attribute[i]->n_graphs; k++)
                if (qn_functions_called(functions, node->attribute[i]->graphs[k])) return true;
        }
    }
    return false;
}

/* ---- size ---- */

struct sizes {
    const struct qn_functions *functions;
    size_t                    *nodes; /* by function, all calls written out; 0: not known yet */
    int                        depth;
};

static size_t size_of_nodes(struct sizes *s, Onnx__NodeProto *const *nodes, size_t count);

static size_t size_of_function(struct sizes *s, uint32_t id)
{
    const Onnx__FunctionProto *f = s->functions->model->functions[id];

    if (s->nodes[id]) return s->nodes[id];
    if (s->depth == MAX_CALLS_DEEP) return MAX_NODES + 1;
    s->depth++;
    s->nodes[id] = 1 + size_of_nodes(s, f->node, f->n_node);
    s->depth--;
    return s->nodes[id];
}

static size_t size_of_node(struct sizes *s, const Onnx__NodeProto *node)
{
    uint32_t id = called(s->functions, node);
    size_t   size = id == QN_NONE ? 1 : size_of_function(s, id);

    for (size_t i = 0; i < node->n_attribute; i++) {
        const Onnx__AttributeProto *attr = node->attribute[i];
        if (attr->g) size += size_of_nodes(s, attr->g->node, attr->g->n_node);
        for (size_t k = 0; k < attr->n_graphs; k++) size += size_of_nodes(s, attr->graphs[k]->node, attr->graphs[k]->n_node);
    }
    return size;
}

static size_t size_of_nodes(struct sizes *s, Onnx__NodeProto *const *nodes, size_t count)
{
    size_t size = 0;
    for (size_t n = 0; n < count && size <= MAX_NODES; n++) size += size_of_node(s, nodes[n]);
    return size <= MAX_NODES ? size : MAX_NODES + 1;
}

qonnx_status qn_functions_check(struct qn_functions *functions, qonnx_error *err)
{
    const Onnx__ModelProto *model = functions->model;
    struct sizes            s = { functions, qn_arena_array(functions->scratch, model->n_functions, sizeof(size_t)), 0 };

    if (!s.nodes) return qn_fail_nomem(err);
    for (uint32_t f = 0; f < model->n_functions; f++)
        if (size_of_function(&s, f) > MAX_NODES)
            return qn_fail(err, QONNX_E_LIMIT, "function '%.150s' calls itself, or more than %d nodes in all", text(model->functions[f]->name), MAX_NODES);
    for (size_t n = 0, size = model->graph->n_node; n < model->graph->n_node; n++)
        if ((size += size_of_node(&s, model->graph->node[n])) > MAX_NODES + model->graph->n_node)
            return qn_fail(err, QONNX_E_LIMIT, "with its functions written out the model has more than %d nodes", MAX_NODES);
    return QONNX_OK;
}

/* ---- dropping ---- */

static bool uses_domain(const Onnx__GraphProto *graph, const char *domain)
{
    for (size_t n = 0; n < graph->n_node; n++) {
        const Onnx__NodeProto *node = graph->node[n];
        if (strcmp(text(node->domain), domain) == 0) return true;
        for (size_t i = 0; i < node->n_attribute; i++) {
            if (node->attribute[i]->g && uses_domain(node->attribute[i]->g, domain)) return true;
            for (size_t k = 0; k < node->attribute[i]->n_graphs; k++)
                if (uses_domain(node->attribute[i]->graphs[k], domain)) return true;
        }
    }
    return false;
}

void qn_functions_drop(struct qn_model *model)
{
    Onnx__ModelProto *pb = model->pb;
    size_t            kept = 0;

    for (size_t i = 0; i < pb->n_opset_import; i++) {
        const char *domain = text(pb->opset_import[i]->domain);
        bool        ours = false;
        for (size_t f = 0; f < pb->n_functions && !ours; f++) ours = *domain && strcmp(text(pb->functions[f]->domain), domain) == 0;
        if (!ours || strcmp(domain, "ai.onnx") == 0 || uses_domain(pb->graph, domain)) pb->opset_import[kept++] = pb->opset_import[i];
    }
    pb->n_opset_import = kept;
    pb->n_functions = 0;
}
