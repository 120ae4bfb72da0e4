/* SPDX-License-Identifier: Apache-2.0 */
#include "run/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"
#include "run/feed_source.h"
#include "run/synthetic.h"

struct stateful {
    struct qn_runtime              base;
    struct qn_runtime             *inner;
    const struct qn_state_options *options;
    bool                           in_data; /* samples hold a first state */
};

/* What one pair carries. `next` is what the run being made gives, `now` what it reads. */
struct carried {
    const char    *pair;
    size_t         output, input; /* of the inner session */
    struct qn_view now;
    int64_t        dims[2][QN_MAX_RANK];
    void          *data[2];
    size_t         capacity[2];
    int            next; /* 0 or 1 */
};

struct session {
    struct qn_session   base, *inner;
    struct stateful    *owner;
    qn_view_fn          observer; /* of whoever opened it */
    struct carried     *states;
    size_t              count, runs;
    struct qn_recipe   *sizes;  /* of the inner session's inputs, as far as they are known */
    size_t             *source; /* of each of these: where a run's inputs have it; SIZE_MAX: nowhere */
    size_t             *state;  /* the state it is, SIZE_MAX for none */
    struct qn_view     *views;
    struct qn_arena     arena;
};

/* A run, with whom its callbacks are for. */
struct hook {
    struct session      *session;
    const struct qn_run *run;
};

/* ---- names ---- */

static size_t find_port(const struct qn_port *ports, size_t count, const char *name, size_t length)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(ports[i].name) == length && memcmp(ports[i].name, name, length) == 0) return i;
    return SIZE_MAX;
}

/* Names may hold a '=' themselves. */
static bool split_at(const char *pair, size_t *left, const char **right, size_t nth)
{
    for (const char *c = pair; (c = strchr(c, '=')) != NULL; c++)
        if (!nth--) {
            *left = (size_t)(c - pair);
            *right = c + 1;
            return *left && **right;
        }
    return false;
}

/* True when the pair's input is this one, however the text is split. */
static bool is_state(const struct qn_state_options *states, const char *input)
{
    const char *right;
    size_t      left;

    for (size_t i = 0; i < states->pair_count; i++)
        for (size_t nth = 0; split_at(states->pairs[i], &left, &right, nth); nth++)
            if (strcmp(right, input) == 0) return true;
    return false;
}

static qonnx_status find_pair(const struct qn_session *s, const char *pair, size_t *output, size_t *input, qonnx_error *err)
{
    const char *right = "";
    size_t      left = 0;

    for (size_t nth = 0; split_at(pair, &left, &right, nth); nth++) {
        *output = find_port(s->outputs, s->output_count, pair, left);
        *input = find_port(s->inputs, s->input_count, right, strlen(right));
        if (*output != SIZE_MAX && *input != SIZE_MAX) return QONNX_OK;
    }
    split_at(pair, &left, &right, 0);
    if (find_port(s->outputs, s->output_count, pair, left) == SIZE_MAX)
        return qn_fail(err, QONNX_E_USAGE, "--state %s: the model has no output '%.*s'", pair, (int)left, pair);
    return qn_fail(err, QONNX_E_USAGE, "--state %s: the model has no input '%s'", pair, right);
}

static qonnx_status check_pair(const struct session *s, const struct carried *c, qonnx_error *err)
{
    const struct qn_port *out = &s->inner->outputs[c->output], *in = &s->inner->inputs[c->input];
    char                  type[32];

    if (out->dtype && in->dtype && out->dtype != in->dtype) {
        snprintf(type, sizeof type, "%s", qn_dtype_name(out->dtype)); /* the second call may use the same buffer */
        return qn_fail(err, QONNX_E_USAGE, "--state %s: the output is %s, the input %s", c->pair, type, qn_dtype_name(in->dtype));
    }
    if (out->rank >= 0 && in->rank >= 0 && out->rank != in->rank)
        return qn_fail(err, QONNX_E_USAGE, "--state %s: the output has %d dimensions, the input %d", c->pair, out->rank, in->rank);
    for (int d = 0; d < in->rank && d < out->rank; d++)
        if (in->dims[d] >= 0 && out->dims[d] >= 0 && in->dims[d] != out->dims[d])
            return qn_fail(err, QONNX_E_USAGE, "--state %s: dimension %d is %lld in the output and %lld in the input", c->pair, d, (long long)out->dims[d], (long long)in->dims[d]);
    return s->state[c->input] == SIZE_MAX ? QONNX_OK : qn_fail(err, QONNX_E_USAGE, "--state %s: the input has a state already", c->pair);
}

/* ---- what is carried ---- */

static qonnx_status reserve(struct carried *c, int which, size_t size, qonnx_error *err)
{
    if (size <= c->capacity[which] && c->data[which]) return QONNX_OK;
    free(c->data[which]);
    c->capacity[which] = 0;
    if (!(c->data[which] = malloc(size + 1))) return qn_fail_nomem(err);
    c->capacity[which] = size;
    return QONNX_OK;
}

/* An input's size: what is known of it, or what another input of this run has under the same name; 0 for a name that
 * nobody knows, which is that of an empty cache. */
static bool first_size(const struct session *s, const struct qn_run *run, size_t input, int d, int64_t *size)
{
    const struct qn_recipe *r = &s->sizes[input];
    const char             *name = d < r->port->rank ? r->port->dim_params[d] : NULL;

    *size = r->dims[d];
    if (*size >= 0) return true;
    if (!name) return d == 0 && (*size = 1, true);
    for (size_t i = 0; i < s->inner->input_count; i++) {
        const struct qn_port *port = &s->inner->inputs[i];
        if (s->state[i] != SIZE_MAX || s->source[i] == SIZE_MAX) continue;
        for (int e = 0; e < port->rank && e < run->inputs[s->source[i]].rank; e++) {
            if (!port->dim_params[e] || strcmp(port->dim_params[e], name) != 0) continue;
            *size = run->inputs[s->source[i]].dims[e];
            return true;
        }
    }
    *size = 0;
    return true;
}

static qonnx_status start_with_zeros(struct session *s, struct carried *c, const struct qn_run *run, qonnx_error *err)
{
    const struct qn_recipe *r = &s->sizes[c->input];
    const struct qn_dtype  *dtype = qn_dtype_find(r->dtype);
    int                     which = !c->next;
    size_t                  size = dtype ? (size_t)dtype->bits / 8 : 0;

    if (r->rank < 0) return qn_fail(err, QONNX_E_USAGE, "--state %s: the input declares no shape; give it with --input-shape %s=...", c->pair, r->port->name);
    if (!size) return qn_fail(err, QONNX_E_UNSUPPORTED, "--state %s: no state can be made of %s", c->pair, qn_dtype_name(r->dtype));
    for (int d = 0; d < r->rank; d++) {
        if (!first_size(s, run, c->input, d, &c->dims[which][d]))
            return qn_fail(err, QONNX_E_USAGE, "--state %s: the size of dimension %d is not known; give it with --input-shape %s=...", c->pair, d, r->port->name);
        if (__builtin_mul_overflow(size, (size_t)c->dims[which][d], &size) || size > QN_SAMPLE_MAX)
            return qn_fail(err, QONNX_E_LIMIT, "--state %s: the state is larger than 2 GiB", c->pair);
    }
    QN_TRY(reserve(c, which, size, err));
    memset(c->data[which], 0, size);
    c->now = (struct qn_view){ r->port->name, r->dtype, r->rank, c->dims[which], c->data[which], size };
    return QONNX_OK;
}

/* The state as it goes out becomes the next one coming in. */
static qonnx_status take(struct carried *c, const struct qn_view *view, qonnx_error *err)
{
    QN_TRY(reserve(c, c->next, view->size, err));
    if (view->size) memcpy(c->data[c->next], view->data, view->size);
    if (view->rank) memcpy(c->dims[c->next], view->dims, (size_t)view->rank * sizeof *view->dims);
    c->now.rank = view->rank;
    c->now.dtype = view->dtype;
    c->now.size = view->size;
    return QONNX_OK;
}

/* ---- a session ---- */

static qonnx_status on_output(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct hook *hook = context;

    for (size_t i = 0; i < hook->session->count; i++)
        if (hook->session->states[i].output == index) QN_TRY(take(&hook->session->states[i], view, err));
    return hook->run->on_output ? hook->run->on_output(hook->run->context, index, view, err) : QONNX_OK;
}

/* A session's observer has no context of its own, so the hook is in the run's. */
static qonnx_status on_observed(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    const struct hook *hook = context;
    return hook->session->observer(hook->run->context, index, view, err);
}

static qonnx_status run(struct qn_session *base, const struct qn_run *run, qonnx_error *err)
{
    struct session *s = (struct session *)base;
    struct hook     hook = { s, run };
    struct qn_run   inner = { s->views, on_output, &hook };
    size_t          reset = s->owner->options->reset;
    bool            first = !s->runs || (reset && s->runs % reset == 0);

    for (size_t i = 0; i < s->inner->input_count; i++) {
        struct carried *c = s->state[i] == SIZE_MAX ? NULL : &s->states[s->state[i]];
        if (c && first && s->source[i] == SIZE_MAX) QN_TRY(start_with_zeros(s, c, run, err));
        s->views[i] = c && (!first || s->source[i] == SIZE_MAX) ? c->now : run->inputs[s->source[i]];
    }
    QN_TRY(s->inner->runtime->run(s->inner, &inner, err));
    for (size_t i = 0; i < s->count; i++) {
        struct carried *c = &s->states[i];
        c->now.name = s->inner->inputs[c->input].name;
        c->now.dims = c->dims[c->next];
        c->now.data = c->data[c->next];
        c->next = !c->next;
    }
    s->runs++;
    return QONNX_OK;
}

static void close_session(struct qn_session *base)
{
    struct session *s = (struct session *)base;

    if (!s) return;
    for (size_t i = 0; i < s->count; i++) {
        free(s->states[i].data[0]);
        free(s->states[i].data[1]);
    }
    if (s->inner) s->inner->runtime->close(s->inner);
    qn_arena_release(&s->arena);
    free(s);
}

static qonnx_status set_up(struct session *s, qonnx_error *err)
{
    const struct qn_state_options *options = s->owner->options;
    size_t                         inputs = s->inner->input_count, kept = 0;
    struct qn_port                *ports = qn_arena_array(&s->arena, inputs, sizeof *ports);

    s->states = qn_arena_array(&s->arena, options->pair_count, sizeof *s->states);
    s->sizes = qn_arena_array(&s->arena, inputs, sizeof *s->sizes);
    s->source = qn_arena_array(&s->arena, inputs, sizeof *s->source);
    s->state = qn_arena_array(&s->arena, inputs, sizeof *s->state);
    s->views = qn_arena_array(&s->arena, inputs, sizeof *s->views);
    if (qn_arena_failed(&s->arena)) return qn_fail_nomem(err);
    for (size_t i = 0; i < inputs; i++) {
        const struct qn_port *port = &s->inner->inputs[i];
        s->state[i] = SIZE_MAX;
        s->sizes[i] = (struct qn_recipe){ .port = port, .dtype = port->dtype, .rank = port->rank };
        for (int d = 0; d < port->rank; d++) s->sizes[i].dims[d] = port->dims[d];
    }
    if (options->dims) QN_TRY(qn_apply_sizes(s->sizes, inputs, options->dims, err));
    for (; s->count < options->pair_count; s->count++) {
        struct carried *c = &s->states[s->count];
        c->pair = options->pairs[s->count];
        QN_TRY(find_pair(s->inner, c->pair, &c->output, &c->input, err));
        QN_TRY(check_pair(s, c, err));
        s->state[c->input] = s->count;
    }
    for (size_t i = 0; i < inputs; i++) {
        bool given = s->state[i] == SIZE_MAX || s->owner->in_data;
        s->source[i] = given ? kept : SIZE_MAX;
        if (given) ports[kept++] = s->inner->inputs[i];
    }
    s->base = (struct qn_session){ ports, s->inner->outputs, kept, s->inner->output_count, &s->owner->base };
    return QONNX_OK;
}

static qonnx_status open_session(struct qn_runtime *runtime, const struct qn_model *model, const struct qn_session_options *options, struct qn_session **session, qonnx_error *err)
{
    struct stateful          *owner = (struct stateful *)runtime;
    struct session           *s = calloc(1, sizeof *s);
    struct qn_session_options inner = *options;
    qonnx_status              status;

    if (!s) return qn_fail_nomem(err);
    s->owner = owner;
    s->observer = options->observer;
    if (options->observer) inner.observer = on_observed;
    inner.sizes = NULL; /* the model has more inputs than this session */
    status = owner->inner->open(owner->inner, model, &inner, &s->inner, err);
    if (status != QONNX_OK) s->inner = NULL;
    if (status == QONNX_OK) status = set_up(s, err);
    if (status != QONNX_OK) {
        close_session(&s->base);
        return status;
    }
    *session = &s->base;
    return QONNX_OK;
}

static void release(struct qn_runtime *runtime)
{
    struct stateful *owner = (struct stateful *)runtime;
    owner->inner->release(owner->inner);
    free(owner);
}

static qonnx_status check_names(const struct qn_model *model, const struct qn_state_options *options, struct qn_arena *arena, qonnx_error *err)
{
    struct qn_session s = { 0 };
    const char       *right;
    size_t            left, output, input;

    QN_TRY(qn_model_inputs(model, arena, &s.inputs, &s.input_count, err));
    QN_TRY(qn_model_outputs(model, arena, &s.outputs, &s.output_count, err));
    for (size_t i = 0; i < options->pair_count; i++) {
        if (!split_at(options->pairs[i], &left, &right, 0)) return qn_fail(err, QONNX_E_USAGE, "--state %s: OUT=IN is wanted, an output and the input it becomes", options->pairs[i]);
        QN_TRY(find_pair(&s, options->pairs[i], &output, &input, err));
    }
    return QONNX_OK;
}

qonnx_status qn_state_wrap(struct qn_runtime **runtime, const struct qn_model *model, const struct qn_state_options *options, qonnx_error *err)
{
    struct qn_arena  scratch = { 0 };
    struct stateful *made;
    qonnx_status     status;

    if (!options->pair_count) return QONNX_OK;
    status = check_names(model, options, &scratch, err);
    qn_arena_release(&scratch);
    if (status != QONNX_OK) return status;
    if (!(made = calloc(1, sizeof *made))) return qn_fail_nomem(err);
    *made = (struct stateful){ { (*runtime)->version, open_session, run, close_session, release }, *runtime, options, false };
    *runtime = &made->base;
    return QONNX_OK;
}

/* ---- data ---- */

qonnx_status qn_state_other_inputs(const struct qn_port *inputs, size_t input_count, const struct qn_state_options *states, struct qn_arena *arena,
                                   const struct qn_port **others, size_t *count, qonnx_error *err)
{
    struct qn_port *list = qn_arena_array(arena, input_count, sizeof *list);

    if (!list) return qn_fail_nomem(err);
    *count = 0;
    for (size_t i = 0; i < input_count; i++)
        if (!is_state(states, inputs[i].name)) list[(*count)++] = inputs[i];
    *others = list;
    return QONNX_OK;
}

qonnx_status qn_state_feed(struct qn_feed **feed, struct qn_runtime *runtime, const char *path, const struct qn_port *inputs, size_t input_count,
                           const struct qn_feed_options *options, const struct qn_state_options *states, struct qn_arena *arena, qonnx_error *err)
{
    const struct qn_port *others;
    size_t                count;

    if (states->pair_count && qn_feed_open(feed, path, inputs, input_count, options, NULL) == QONNX_OK) {
        ((struct stateful *)runtime)->in_data = true;
        return QONNX_OK;
    }
    QN_TRY(qn_state_other_inputs(inputs, input_count, states, arena, &others, &count, err));
    return qn_feed_open(feed, path, others, count, options, err);
}
