/* SPDX-License-Identifier: Apache-2.0
 * Second-order rounding: the float model runs over the data again while sums of products of its layers' inputs are
 * gathered, in as many passes as memory asks for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "job.h"
#include "plan/round.h"
#include "run/gather.h"

/* A layer that waits for its turn. Layers that read one value through windows alike share what is gathered. */
struct waiting {
    qn_node_id       layer;
    qn_value_id      input;
    struct qn_window window;
    size_t           bytes; /* gathered and, while it is worked on, of its form */
    size_t           gram;  /* its place in the turn's list */
};

static int by_input(const void *a, const void *b)
{
    const struct waiting *x = a, *y = b;
    if (x->input != y->input) return x->input < y->input ? -1 : 1;
    if (x->window.first != y->window.first) return x->window.first < y->window.first ? -1 : 1;
    return x->layer < y->layer ? -1 : x->layer > y->layer;
}

static bool alike(const struct waiting *a, const struct waiting *b) { return a->input == b->input && qn_window_same(&a->window, &b->window); }

static bool any_wanted(const struct qn_job *job)
{
    struct qn_window window;

    for (qn_node_id n = 0; n < job->graph.node_count; n++)
        if (qn_round_wanted(&job->plan, n, &window)) return true;
    return false;
}

/* Columns whose sums and form, a matrix each and its factor, take no more than the limit. */
static size_t columns_within(size_t limit) { return (size_t)sqrt((double)limit / (3 * sizeof(double))); }

static qonnx_status add_waiting(struct qn_job *job, struct waiting **list, size_t *count, size_t *room, qn_node_id layer, const struct qn_window *window)
{
    struct waiting *grown = qn_arena_grow(&job->arena, *list, *count, room, sizeof *grown);

    if (!grown) return qn_fail_nomem(job->err);
    *list = grown;
    grown[*count] = (struct waiting){ .layer = layer, .input = qn_node_input(&job->graph, layer, 0), .window = *window, .bytes = qn_gram_bytes(window) };
    if (grown[*count].bytes <= SIZE_MAX / 4) ++*count;
    return QONNX_OK;
}

/* A layer that would take too much memory comes in parts, where it can. */
static qonnx_status find_layers(struct qn_job *job, struct waiting **list, size_t *count)
{
    size_t room = 0;

    *list = NULL;
    *count = 0;
    for (qn_node_id n = 0; n < job->graph.node_count; n++) {
        struct qn_window window;
        size_t           columns, part;
        if (!qn_round_wanted(&job->plan, n, &window)) continue;
        columns = qn_window_columns(&window);
        part = qn_round_part(&job->plan, n, &window, columns_within((size_t)job->settings.mem_limit << 20));
        if (part < columns) window.width = columns;
        for (size_t first = 0; first < columns; first += part) {
            if (window.width) window.channels = columns - first < part ? columns - first : part;
            window.first = first;
            QN_TRY(add_waiting(job, list, count, &room, n, &window));
        }
    }
    if (*count) qsort(*list, *count, sizeof **list, by_input);
    return QONNX_OK;
}

/* How many of the first layers fit into memory together, at least one; a layer that shares with the one before is free. */
static size_t turn_of(const struct qn_job *job, const struct waiting *list, size_t count)
{
    const size_t limit = (size_t)job->settings.mem_limit << 20;
    size_t       used = 0, largest = 0, taken = 0;

    for (; taken < count; taken++) {
        const size_t more = taken && alike(&list[taken], &list[taken - 1]) ? 0 : list[taken].bytes;
        const size_t form = 2 * list[taken].bytes / list[taken].window.groups; /* of one group at a time */
        if (form > largest) largest = form;
        if (taken && (more > limit || used > limit - more || largest > limit - used - more)) break;
        used += more;
    }
    return taken;
}

static void on_progress(void *context, size_t done, size_t total) { qn_job_tell(context, "gathering", done, total); }

static bool is_judged(const void *judge, size_t sample) { return qn_judge_wants(judge, sample); }

static qonnx_status gather(struct qn_job *job, struct waiting *turn, size_t count, struct qn_gram *grams, struct qn_gathered *gathered, size_t *used)
{
    const size_t                   samples = qn_feed_info(job->feed)->count, judged = job->judge.samples < samples ? job->judge.samples : 0;
    const struct qn_gather_options options = { .threads = qn_job_run_threads(job), .held_out = judged ? is_judged : NULL, .held_out_context = &job->judge, .on_progress = on_progress, .progress_context = job };

    for (size_t i = 0; i < count; i++) {
        if (!i || !alike(&turn[i], &turn[i - 1])) {
            const size_t rows = qn_round_rows(&turn[i].window);
            QN_TRY(qn_gram_init(&grams[*used], &turn[i].window, qn_round_absmax(&job->plan, turn[i].layer), samples ? (rows + samples - judged - 1) / (samples - judged) : rows, job->err));
            gathered[*used] = (struct qn_gathered){ job->graph.values[turn[i].input].name, &grams[*used] };
            ++*used;
        }
        turn[i].gram = *used - 1;
    }
    return qn_gather(job->runtime, &job->model, gathered, *used, job->feed, &options, job->err);
}

static qonnx_status do_turn(struct qn_job *job, struct waiting *turn, size_t count)
{
    struct qn_gram     *grams = calloc(count, sizeof *grams);
    struct qn_gathered *gathered = calloc(count, sizeof *gathered);
    size_t              used = 0;
    qonnx_status        status = grams && gathered ? gather(job, turn, count, grams, gathered, &used) : qn_fail_nomem(job->err);

    for (size_t i = 0; status == QONNX_OK && i < count; i++) {
        qn_job_tell(job, "rounding", i, count);
        status = qn_round_layer(&job->plan, turn[i].layer, &grams[turn[i].gram], &job->arena, &job->rounded[turn[i].layer], job->err);
        if (status != QONNX_OK) qn_wrap(job->err, status, "%s", qn_node_label(&job->graph, turn[i].layer));
    }
    for (size_t i = 0; i < used; i++) qn_gram_release(&grams[i]);
    free(gathered);
    free(grams);
    return status;
}

qonnx_status qn_job_round(struct qn_job *job, bool *any)
{
    struct waiting *list;
    size_t          count, step;

    *any = false;
    if (!job->feed || !job->runtime || !any_wanted(job)) return QONNX_OK;
    QN_TRY(find_layers(job, &list, &count));
    for (; count; list += step, count -= step) {
        step = turn_of(job, list, count);
        QN_TRY(do_turn(job, list, step));
        *any = true;
    }
    return QONNX_OK;
}
