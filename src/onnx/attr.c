/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/attr.h"

#include <string.h>

#define A(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

const Onnx__AttributeProto *qn_attr_find(const Onnx__NodeProto *node, const char *name)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (node->attribute[i]->name && strcmp(node->attribute[i]->name, name) == 0) return node->attribute[i];
    return NULL;
}

/* IR versions before 2 left the type out; the field that is set then tells it. */
static bool is(const Onnx__AttributeProto *attr, Onnx__AttributeProto__AttributeType type, bool present)
{
    return attr && present && (!attr->has_type || attr->type == type);
}

int64_t qn_attr_int(const Onnx__NodeProto *node, const char *name, int64_t absent)
{
    const Onnx__AttributeProto *attr = qn_attr_find(node, name);
    if (!attr || (attr->has_type && attr->type != A(INT))) return absent;
    return attr->has_i ? attr->i : 0;
}

float qn_attr_float(const Onnx__NodeProto *node, const char *name, float absent)
{
    const Onnx__AttributeProto *attr = qn_attr_find(node, name);
    if (!attr || (attr->has_type && attr->type != A(FLOAT))) return absent;
    return attr->has_f ? attr->f : 0.0f;
}

bool qn_attr_is(const Onnx__NodeProto *node, const char *name, const char *value)
{
    const Onnx__AttributeProto *attr = qn_attr_find(node, name);
    return is(attr, A(STRING), attr && attr->has_s) && attr->s.len == strlen(value) && memcmp(attr->s.data, value, attr->s.len) == 0;
}

const int64_t *qn_attr_ints(const Onnx__NodeProto *node, const char *name, size_t *count)
{
    const Onnx__AttributeProto *attr = qn_attr_find(node, name);
    bool                        found = is(attr, A(INTS), attr && attr->n_ints);
    *count = found ? attr->n_ints : 0;
    return found ? attr->ints : NULL;
}

const Onnx__TensorProto *qn_attr_tensor(const Onnx__NodeProto *node, const char *name)
{
    const Onnx__AttributeProto *attr = qn_attr_find(node, name);
    return is(attr, A(TENSOR), attr && attr->t) ? attr->t : NULL;
}

static char **copy_names(struct qn_arena *arena, size_t count, const char *const *names)
{
    return (char **)(void *)qn_arena_memdup(arena, names, count * sizeof *names);
}

Onnx__NodeProto *qn_node_new(struct qn_arena *arena, const char *op_type, const char *name, size_t inputs, const char *const *input, size_t outputs, const char *const *output)
{
    Onnx__NodeProto *node = qn_arena_alloc(arena, sizeof *node);

    if (!node) return NULL;
    onnx__node_proto__init(node);
    node->op_type = qn_arena_strdup(arena, op_type);
    node->name = qn_arena_strdup(arena, name);
    node->n_input = inputs;
    node->input = copy_names(arena, inputs, input);
    node->n_output = outputs;
    node->output = copy_names(arena, outputs, output);
    return qn_arena_failed(arena) ? NULL : node;
}

/* The attribute of that name, emptied, or a new one at the end. NULL only when the arena has failed. */
static Onnx__AttributeProto *fresh(struct qn_arena *arena, Onnx__NodeProto *node, const char *name, Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto  *attr = qn_arena_alloc(arena, sizeof *attr);
    Onnx__AttributeProto **list = qn_arena_array(arena, node ? node->n_attribute + 1 : 1, sizeof(Onnx__AttributeProto *));
    size_t                 at = 0;

    if (!node || !attr || !list) return NULL;
    onnx__attribute_proto__init(attr);
    attr->name = qn_arena_strdup(arena, name);
    attr->has_type = true;
    attr->type = type;
    if (node->n_attribute) memcpy(list, node->attribute, node->n_attribute * sizeof *list);
    while (at < node->n_attribute && (!list[at]->name || strcmp(list[at]->name, name) != 0)) at++;
    list[at] = attr;
    if (at == node->n_attribute) node->n_attribute++;
    node->attribute = list;
    return qn_arena_failed(arena) ? NULL : attr;
}

void qn_attr_set_int(struct qn_arena *arena, Onnx__NodeProto *node, const char *name, int64_t value)
{
    Onnx__AttributeProto *attr = fresh(arena, node, name, A(INT));
    if (!attr) return;
    attr->has_i = true;
    attr->i = value;
}

void qn_attr_set_ints(struct qn_arena *arena, Onnx__NodeProto *node, const char *name, size_t count, const int64_t *values)
{
    Onnx__AttributeProto *attr = fresh(arena, node, name, A(INTS));
    if (!attr) return;
    attr->n_ints = count;
    attr->ints = (int64_t *)(void *)qn_arena_memdup(arena, values, count * sizeof *values);
}

void qn_attr_set_string(struct qn_arena *arena, Onnx__NodeProto *node, const char *name, const char *value)
{
    Onnx__AttributeProto *attr = fresh(arena, node, name, A(STRING));
    if (!attr) return;
    attr->has_s = true;
    attr->s.len = strlen(value);
    attr->s.data = (uint8_t *)qn_arena_memdup(arena, value, attr->s.len);
}

void qn_attr_remove(Onnx__NodeProto *node, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < node->n_attribute; i++)
        if (!node->attribute[i]->name || strcmp(node->attribute[i]->name, name) != 0) node->attribute[kept++] = node->attribute[i];
    node->n_attribute = kept;
}

Onnx__NodeProto *qn_node_copy(struct qn_arena *arena, const Onnx__NodeProto *node)
{
    Onnx__NodeProto *copy = (Onnx__NodeProto *)(void *)qn_arena_memdup(arena, node, sizeof *node);

    if (!copy) return NULL;
    copy->input = copy_names(arena, node->n_input, (const char *const *)node->input);
    copy->output = copy_names(arena, node->n_output, (const char *const *)node->output);
    copy->attribute = (Onnx__AttributeProto **)(void *)qn_arena_memdup(arena, node->attribute, node->n_attribute * sizeof *node->attribute);
    return qn_arena_failed(arena) ? NULL : copy;
}
