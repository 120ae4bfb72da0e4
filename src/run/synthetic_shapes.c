/* SPDX-License-Identifier: Apache-2.0
 * Which sizes generated inputs have. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "run/npy.h"
#include "run/synthetic.h"

enum { MAX_SIZE = 1 << 24, MAX_UNKNOWN = 32 };

/* Tried in this order for sizes nobody gave. */
static const int64_t candidates[] = { 64, 32, 16, 128, 224, 48, 256, 320, 8, 1, 512, 416, 640, 100, 28, 4, 2 };
enum { CANDIDATES = sizeof candidates / sizeof *candidates };

/* Splits "NAME=VALUE" at the last '=': names may hold one. */
static bool split(const char *text, size_t *name_length, const char **value)
{
    const char *equals = strrchr(text, '=');

    if (!equals || equals == text || !equals[1]) return false;
    *name_length = (size_t)(equals - text);
    *value = equals + 1;
    return true;
}

static bool is_name(const char *name, const char *text, size_t length)
{
    return name && strlen(name) == length && memcmp(name, text, length) == 0;
}

/* A size and what follows it. */
static bool read_size(const char **text, int64_t *size)
{
    char *end;

    errno = 0;
    if (**text < '0' || **text > '9') return false;
    *size = strtoll(*text, &end, 10);
    *text = end;
    return !errno && *size >= 1 && *size <= MAX_SIZE;
}

static qonnx_status apply_dim(struct qn_recipe *recipes, size_t count, const char *text, qonnx_error *err)
{
    const char *value;
    size_t      length;
    int64_t     size;
    bool        used = false;

    if (!split(text, &length, &value) || !read_size(&value, &size) || *value)
        return qn_fail(err, QONNX_E_USAGE, "--dim %s: NAME=N is wanted, with N from 1 to %d", text, MAX_SIZE);
    for (size_t i = 0; i < count; i++)
        for (int d = 0; d < recipes[i].port->rank; d++) {
            if (!is_name(recipes[i].port->dim_params[d], text, length)) continue;
            used = true;
            if (recipes[i].dims[d] < 0) recipes[i].dims[d] = size;
        }
    return used ? QONNX_OK : qn_fail(err, QONNX_E_USAGE, "--dim %s: no input has a dimension of that name", text);
}

static qonnx_status apply_shape(struct qn_recipe *recipes, size_t count, const char *text, qonnx_error *err)
{
    struct qn_recipe *recipe = NULL;
    const char       *value;
    size_t            length;
    int64_t           dims[QN_MAX_RANK];
    int               rank = 0;

    if (!split(text, &length, &value))
        return qn_fail(err, QONNX_E_USAGE, "--input-shape %s: INPUT=1,3,224,224 is wanted", text);
    for (size_t i = 0; i < count && !recipe; i++)
        if (is_name(recipes[i].port->name, text, length)) recipe = &recipes[i];
    if (!recipe) return qn_fail(err, QONNX_E_USAGE, "--input-shape %s: the model has no input of that name", text);
    do {
        if (rank == QN_MAX_RANK || !read_size(&value, &dims[rank]) || (*value && *value != ','))
            return qn_fail(err, QONNX_E_USAGE, "--input-shape %s: sizes from 1 to %d with commas between are wanted",
                           text, MAX_SIZE);
        rank++;
    } while (*value++ == ',');
    if (recipe->port->rank >= 0 && recipe->port->rank != rank)
        return qn_fail(err, QONNX_E_USAGE, "--input-shape %s: the input has %d dimensions", text, recipe->port->rank);
    for (int d = 0; d < recipe->port->rank; d++)
        if (recipe->port->dims[d] >= 0 && recipe->port->dims[d] != dims[d])
            return qn_fail(err, QONNX_E_USAGE, "--input-shape %s: dimension %d of the input is %" PRId64, text, d,
                           recipe->port->dims[d]);
    recipe->rank = rank;
    memcpy(recipe->dims, dims, (size_t)rank * sizeof *dims);
    return QONNX_OK;
}

/* ---- sizes nobody gave ---- */

/* Dimensions that must get the same size: those of one name. */
struct unknown {
    const char *name; /* NULL: one dimension only */
    size_t      input;
    int         dim;
};

static size_t find_unknown(const struct qn_recipe *recipes, size_t count, struct unknown *unknown)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        for (int d = 0; d < recipes[i].rank; d++) {
            bool        known = recipes[i].dims[d] >= 0; /* as all are when only the user gave a shape */
            const char *name = known ? NULL : recipes[i].port->dim_params[d];
            for (size_t k = 0; k < found && k < MAX_UNKNOWN && name && !known; k++)
                known = unknown[k].name && strcmp(unknown[k].name, name) == 0;
            if (known) continue;
            if (found < MAX_UNKNOWN) unknown[found] = (struct unknown){ name, i, d };
            found++;
        }
    return found;
}

static void set_unknown(struct qn_recipe *recipes, size_t count, const struct unknown *unknown, int64_t size)
{
    recipes[unknown->input].dims[unknown->dim] = size;
    for (size_t i = 0; unknown->name && i < count; i++)
        for (int d = 0; d < recipes[i].port->rank; d++)
            if (recipes[i].port->dim_params[d] && strcmp(recipes[i].port->dim_params[d], unknown->name) == 0 &&
                recipes[i].port->dims[d] < 0)
                recipes[i].dims[d] = size;
}

/* First one size for all, then, for two unknowns, every pair. */
static bool search(struct qn_recipe *recipes, size_t count, const struct unknown *unknown, size_t unknown_count,
                   const struct qn_trial *trial)
{
    for (size_t c = 0; c < CANDIDATES; c++) {
        for (size_t u = 0; u < unknown_count; u++) set_unknown(recipes, count, &unknown[u], candidates[c]);
        if (trial->run(trial->context, recipes, count)) return true;
    }
    for (size_t c = 0; unknown_count == 2 && c < (size_t)CANDIDATES * CANDIDATES; c++) {
        set_unknown(recipes, count, &unknown[0], candidates[c / CANDIDATES]);
        set_unknown(recipes, count, &unknown[1], candidates[c % CANDIDATES]);
        if (c / CANDIDATES != c % CANDIDATES && trial->run(trial->context, recipes, count)) return true;
    }
    return false;
}

static qonnx_status give_up(const struct qn_recipe *recipes, const struct unknown *unknown, bool tried,
                            qonnx_error *err)
{
    const char *why = tried ? "no size that was tried runs" : "its size is not known";
    const char *input = recipes[unknown->input].port->name;

    if (unknown->name)
        return qn_fail(err, QONNX_E_USAGE,
                       "input '%s', dimension '%s': %s; give it with --dim %s=N or --input-shape %s=...", input,
                       unknown->name, why, unknown->name, input);
    return qn_fail(err, QONNX_E_USAGE, "input '%s', dimension %d: %s; give it with --input-shape %s=...", input,
                   unknown->dim, why, input);
}

static void note_shapes(const struct qn_recipe *recipes, size_t count, bool tried, struct qn_strbuf *notes)
{
    for (size_t i = 0; i < count; i++) {
        struct qn_strbuf shape;
        qn_strbuf_init(&shape);
        qn_add_shape(&shape, recipes[i].rank, recipes[i].dims);
        qn_feed_note(notes, "input '%s' is generated with shape %s%s", recipes[i].port->name, shape.text,
                     tried ? " (unknown sizes found by trial)" : "");
        qn_strbuf_release(&shape);
    }
}

qonnx_status qn_apply_sizes(struct qn_recipe *recipes, size_t count, const struct qn_dim_options *options,
                            qonnx_error *err)
{
    for (size_t i = 0; i < options->shape_count; i++) QN_TRY(apply_shape(recipes, count, options->shapes[i], err));
    for (size_t i = 0; i < options->dim_count; i++) QN_TRY(apply_dim(recipes, count, options->dims[i], err));
    return QONNX_OK;
}

qonnx_status qn_resolve_shapes(struct qn_recipe *recipes, size_t count, const struct qn_dim_options *options,
                               const struct qn_trial *trial, struct qn_strbuf *notes, qonnx_error *err)
{
    struct unknown unknown[MAX_UNKNOWN];
    size_t         left;

    if (options) QN_TRY(qn_apply_sizes(recipes, count, options, err));
    for (size_t i = 0; i < count; i++) {
        if (recipes[i].rank < 0)
            return qn_fail(err, QONNX_E_USAGE, "input '%s' declares no shape; give it with --input-shape %s=...",
                           recipes[i].port->name, recipes[i].port->name);
        if (recipes[i].rank && recipes[i].dims[0] < 0) recipes[i].dims[0] = 1;
    }
    left = find_unknown(recipes, count, unknown);
    if (left && (!trial || left > MAX_UNKNOWN || !search(recipes, count, unknown, left, trial)))
        return give_up(recipes, &unknown[0], trial != NULL, err);
    note_shapes(recipes, count, left > 0, notes);
    return QONNX_OK;
}
