/* SPDX-License-Identifier: Apache-2.0
 *
 * A size is asked for: what becomes of each weight. What a form loses of a weight is told by a sample of its outputs, as
 * share of what they are, each weight counted by how large what it is multiplied by was seen to be, where there are data. These
 * shares add up on the way to the model's outputs, so their sum is to be least. Of each weight's forms those count that
 * lie on the lower hull of loss over bytes; from the smallest model on, the step is taken that saves most loss a byte, as
 * long as there is room. How large a model is, is told by making it. */
#include <math.h>
#include <stdlib.h>

#include "job.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/block_weight.h"
#include "plan/ladder.h"
#include "plan/match.h"
#include "quant/sampled_loss.h"

enum { MOST = 16 /* forms */, ROUNDS = 6, TRIES = 16 };

#define LESS 0.95 /* losses are estimates: smaller differences say nothing */

struct choice {
    const char           *name;
    struct qn_weight_form form;
    bool                  stays; /* in float */
    uint64_t              bytes;
    double                loss;
};

struct item {
    qn_value_id   weight;
    qn_node_id    node; /* the first that reads it */
    size_t        elements;
    struct choice choices[MOST];    /* on the hull, the smallest first */
    size_t        count, at, least; /* that was chosen, and at least is to be */
    bool          tried;
};

/* From a form of an item to its next. */
struct step {
    size_t item, from;
    double slope;
};

struct budget {
    struct qn_job  *job;
    struct item    *items;
    struct step    *steps;
    size_t          count, step_count;
    struct qn_arena scratch;
};

/* ---- what there is to choose ---- */

/* Its form is not what the user says of it by name. */
static bool is_open(const struct budget *b, qn_node_id n)
{
    const struct qn_list *named = &b->job->settings.overridden;

    for (size_t i = 0; i < named->count; i++)
        if (qn_match_node(named->items[i], &b->job->graph, n)) return false;
    return true;
}

/* Codes are of use for every reader: none goes on to read floats. */
static bool is_choosable(const struct budget *b, qn_value_id v)
{
    const struct qn_graph *g = &b->job->graph;
    const struct qn_value *value = &g->values[v];

    if (!value->init || !value->use_count || value->flags & (QN_OUTPUT | QN_CAPTURED)) return false;
    for (uint32_t u = 0; u < value->use_count; u++) {
        const struct qn_use        use = g->uses[value->use_at + u];
        const struct qn_node_plan *row = &b->job->plan.nodes[use.node];
        if (use.slot == QN_SLOT_CAPTURED || !row->rule || use.slot != qn_plan_weight_slot(row) || !is_open(b, use.node))
            return false;
        if (row->rule->kind == QN_KIND_TABLE ? row->reason != QN_REASON_EMBEDDING && row->reason != QN_REASON_QUANTIZED
                                             : row->rule->kind != QN_KIND_LAYER || row->reason != QN_REASON_QUANTIZED)
            return false;
        if (row->rule->blocks != b->job->plan.nodes[g->uses[value->use_at].node].rule->blocks) return false;
    }
    return true;
}

/* ---- what a form loses ---- */

/* How much each weight of an output counts, NULL when nothing was seen: by the root of the mean square of what it is
 * multiplied by. By the square itself a channel of outliers hides all others, though much of what it adds is the same for
 * every sample or leaves again in the next normalization (minilm_l3 in a fourth of its size: 24.0 dB of the hidden states instead of 33.6). */
static const float *importance_of(struct budget *b, qn_node_id n, size_t depth)
{
    const qn_value_id              x = qn_node_input(&b->job->graph, n, 0);
    const struct qn_stats         *seen = b->job->stats && x != QN_NONE ? b->job->stats[x] : NULL;
    const struct qn_channel_stats *channels = seen ? seen->channels : NULL;
    float                         *made;

    if (!channels || !qn_channel_stats_usable(channels) || channels->channels != depth) return NULL;
    if (!(made = qn_arena_array(&b->scratch, depth, sizeof *made))) return NULL;
    for (size_t c = 0; c < depth; c++) made[c] = (float)sqrt(qn_channel_mean_square(channels, c));
    return made;
}

/* What a layer loses is lost in a part of a sum; what a table loses is lost of all that follows. Measured with each alone in
 * 4 bits: of the loss of a table 0.5 (chargpt) and 1.2 (minilm_l3) reach the outputs, of that of a layer 0.02 to 0.3. */
static double weight_of(const struct budget *b, const struct item *item)
{
    enum { TABLE = 8 };
    return b->job->plan.nodes[item->node].rule->kind == QN_KIND_TABLE ? TABLE : 1;
}

/* ---- choices ---- */

static void add_choice(struct item *item, struct choice choice)
{
    if (item->count < MOST) item->choices[item->count++] = choice;
}

static int by_bytes(const void *a, const void *b)
{
    const struct choice *x = a, *y = b;

    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    return x->loss < y->loss ? -1 : x->loss > y->loss;
}

static double slope(const struct choice *from, const struct choice *to)
{
    return (from->loss - to->loss) / (double)(to->bytes - from->bytes);
}

/* Leaves the lower hull: each further form saves less a byte than the one before. */
static void keep_hull(struct item *item)
{
    struct choice *c = item->choices;
    size_t         kept = 0;

    qsort(c, item->count, sizeof *c, by_bytes);
    for (size_t i = 0; i < item->count; i++) {
        if (kept && (c[i].bytes == c[kept - 1].bytes || c[i].loss >= c[kept - 1].loss)) continue;
        while (kept > 1 && slope(&c[kept - 2], &c[kept - 1]) <= slope(&c[kept - 1], &c[i])) kept--;
        c[kept++] = c[i];
    }
    item->count = kept;
}

/* A matrix with as many outputs as the weight has scales in int8. */
static qonnx_status matrix_of(struct budget *b, const struct item *item, struct qn_matrix *m)
{
    const struct qn_rule    *rule = b->job->plan.nodes[item->node].rule;
    const Onnx__TensorProto *t = b->job->graph.values[item->weight].init;
    const bool               in_blocks = rule->blocks && t->n_dims == 2;     /* a stack of matrices takes none */
    const bool last = rule->axis < 0 || (size_t)rule->axis + 1 == t->n_dims; /* else channels are as good as in front */
    const float *values;
    size_t       count;

    if (in_blocks) QN_TRY(qn_block_weight_matrix(&b->job->graph, item->node, &b->scratch, m, b->job->err));
    if (!in_blocks) {
        QN_TRY(qn_tensor_floats(t, &b->scratch, &values, &count, b->job->err));
        *m = (struct qn_matrix){ .w = values, .outputs = (size_t)t->dims[last ? t->n_dims - 1 : 0] };
        m->depth = count / m->outputs;
        m->depth_stride = last ? m->outputs : 1;
        m->out_stride = last ? 1 : m->depth;
    }
    m->importance = in_blocks ? importance_of(b, item->node, m->depth) : NULL;
    return qn_arena_failed(&b->scratch) ? qn_fail_nomem(b->job->err) : QONNX_OK;
}

static qonnx_status find_choices(struct budget *b, struct item *item)
{
    const bool            table = b->job->plan.nodes[item->node].rule->kind == QN_KIND_TABLE;
    const struct qn_rung *rung;
    struct qn_matrix      m, rows;

    QN_TRY(matrix_of(b, item, &m));
    if (table) QN_TRY(qn_block_weight_matrix(&b->job->graph, item->node, &b->scratch, &rows, b->job->err));
    item->elements = m.outputs * m.depth;
    add_choice(item,
               (struct choice){ .name = "float", .stays = true, .bytes = (uint64_t)item->elements * sizeof(float) });
    for (size_t i = 0; (rung = qn_rung_at(i)); i++) {
        struct choice           choice = { .name = rung->name };
        const struct qn_matrix *as;
        if (!qn_rung_form(rung, &b->job->plan, item->node, &choice.form)) continue;
        as = table && choice.form.block ? &rows : &m;
        choice.bytes = qn_rung_bytes(&b->job->plan, item->node, &choice.form, as);
        QN_TRY(qn_sampled_loss(as,
                               &(struct qn_block_form){ choice.form.bits, choice.form.symmetric, choice.form.block,
                                                        choice.form.range },
                               qn_job_threads(b->job), &choice.loss, b->job->err));
        choice.loss *= weight_of(b, item);
        add_choice(item, choice);
    }
    keep_hull(item);
    return QONNX_OK;
}

static qonnx_status list_items(struct budget *b)
{
    const struct qn_graph *g = &b->job->graph;

    if (!(b->items = qn_arena_array(&b->scratch, g->value_count, sizeof *b->items))) return qn_fail_nomem(b->job->err);
    for (qn_value_id v = 0; v < g->value_count; v++) {
        struct item *item = &b->items[b->count];
        qonnx_status status;
        if (!is_choosable(b, v)) continue;
        *item = (struct item){ .weight = v, .node = g->uses[g->values[v].use_at].node };
        if ((status = find_choices(b, item)) != QONNX_OK)
            return qn_wrap(b->job->err, status, "%s", qn_node_label(g, item->node));
        b->count++;
    }
    return QONNX_OK;
}

/* ---- choosing ---- */

static int by_slope(const void *a, const void *b)
{
    const struct step *x = a, *y = b;

    if (x->slope != y->slope) return x->slope > y->slope ? -1 : 1;
    if (x->item != y->item) return x->item < y->item ? -1 : 1;
    return x->from < y->from ? -1 : x->from > y->from;
}

/* All steps, those first that save most loss a byte; of each item they come in order, for it has its hull. */
static qonnx_status list_steps(struct budget *b)
{
    struct qn_arena *arena = &b->scratch;

    if (!(b->steps = qn_arena_array(arena, b->count, MOST * sizeof *b->steps))) return qn_fail_nomem(b->job->err);
    for (size_t i = 0; i < b->count; i++) {
        const struct item *item = &b->items[i];
        for (size_t from = 0; from + 1 < item->count; from++)
            b->steps[b->step_count++] = (struct step){ i, from, slope(&item->choices[from], &item->choices[from + 1]) };
    }
    qsort(b->steps, b->step_count, sizeof *b->steps, by_slope);
    return QONNX_OK;
}

/* From the least on, step by step; what has no room will have none later. Returns the loss in all; infinite when there is no
 * room for the least. */
static double climb(struct budget *b, double room)
{
    double loss = 0;

    for (size_t i = 0; i < b->count; i++) {
        struct item *item = &b->items[i];
        item->at = item->least;
        room -= (double)(item->choices[item->at].bytes - item->choices[0].bytes);
    }
    for (size_t i = 0; i < b->step_count && room >= 0; i++) {
        struct item         *item = &b->items[b->steps[i].item];
        const struct choice *now = &item->choices[item->at];
        if (item->at != b->steps[i].from || (double)(now[1].bytes - now->bytes) > room) continue;
        room -= (double)(now[1].bytes - now->bytes);
        item->at++;
    }
    for (size_t i = 0; i < b->count; i++) loss += b->items[i].choices[b->items[i].at].loss;
    return room < 0 ? INFINITY : loss;
}

/* The one whose next step would save most; skips those that were tried. */
static struct item *most_to_save(struct budget *b)
{
    struct item *best = NULL;
    double       most = 0;

    for (size_t i = 0; i < b->count; i++) {
        struct item         *item = &b->items[i];
        const struct choice *now = &item->choices[item->at];
        if (item->tried || item->at + 1 == item->count || now->loss - now[1].loss <= most) continue;
        most = now->loss - now[1].loss;
        best = item;
    }
    return best;
}

/* A large weight's step may find no room only because small ones took it before: is it better the other way round? */
static void choose(struct budget *b, double room)
{
    double loss;

    for (size_t i = 0; i < b->count; i++) b->items[i].least = 0, b->items[i].tried = false;
    loss = climb(b, room);
    for (int tries = 0; tries < TRIES; tries++) {
        struct item *item = most_to_save(b);
        size_t       before;
        double       other;
        if (!item) break;
        before = item->least;
        item->least = item->at + 1;
        other = climb(b, room);
        item->tried = !(other < LESS * loss);
        if (!item->tried)
            loss = other;
        else
            item->least = before;
        climb(b, room);
    }
}

static void decide(struct budget *b)
{
    const struct qn_graph *g = &b->job->graph;

    for (size_t i = 0; i < b->count; i++) {
        const struct choice   *choice = &b->items[i].choices[b->items[i].at];
        const struct qn_value *value = &g->values[b->items[i].weight];
        for (uint32_t u = 0; u < value->use_count; u++) {
            struct qn_verdict *verdict = &b->job->verdicts[g->uses[value->use_at + u].node];
            *verdict = (struct qn_verdict){ choice->stays ? QN_REASON_SIZE_ALLOWS : QN_REASON_QUANTIZED, NAN,
                                            choice->stays ? NULL : &choice->form };
        }
    }
}

static qonnx_status measure(struct budget *b, double *size)
{
    uint64_t files, constants;

    decide(b);
    QN_TRY(qn_job_weigh(b->job, &files, &constants));
    *size = (double)(b->job->settings.budget.measure == QN_MEASURE_BITS ? constants : files);
    return QONNX_OK;
}

static double floats_of(const struct qn_graph *g)
{
    double all = 0;
    size_t count;

    for (qn_value_id v = 0; v < g->value_count; v++)
        if (g->values[v].init && g->values[v].init->data_type == QN_FLOAT &&
            qn_tensor_count(g->values[v].init, &count, NULL) == QONNX_OK)
            all += (double)count;
    return all;
}

/* What is asked for, as what is measured. */
static double wanted(const struct qn_job *job)
{
    const struct qn_budget *asked = &job->settings.budget;

    if (asked->measure == QN_MEASURE_SHARE)
        return floor(asked->amount * (double)(job->report.input_size + job->report.input_external));
    return asked->measure == QN_MEASURE_BITS ? asked->amount * floats_of(&job->graph) / 8 : floor(asked->amount);
}

static qonnx_status fail_too_small(const struct budget *b, double size, double least)
{
    const struct qn_job *job = b->job;

    if (job->settings.budget.measure == QN_MEASURE_BITS)
        return qn_fail(job->err, QONNX_E_USAGE, "--target-bpw %.4g: the smallest possible is %.2f",
                       job->settings.target_bpw, ceil(least * 800 / floats_of(&job->graph)) / 100);
    return qn_fail(job->err, QONNX_E_USAGE,
                   "--target-size %s: these are %.0f bytes, and the smallest possible are %.0f",
                   job->settings.target_size, size, least);
}

static qonnx_status report(struct budget *b, double size, double made, double least)
{
    struct qn_job       *job = b->job;
    struct qn_allotment *all = qn_arena_array(&job->arena, b->count, sizeof *all);

    if (!all) return qn_fail_nomem(job->err);
    for (size_t i = 0; i < b->count; i++) {
        const struct item   *item = &b->items[i];
        const struct choice *now = &item->choices[item->at], *more = item->at + 1 < item->count ? now + 1 : NULL;
        all[i] = (struct qn_allotment){ .name = job->graph.values[item->weight].name,
                                        .node = item->node,
                                        .form = now->name,
                                        .bytes = now->bytes,
                                        .loss = now->loss,
                                        .next_form = more ? more->name : NULL,
                                        .next_bytes = more ? more->bytes : 0,
                                        .next_loss = more ? more->loss : 0 };
    }
    job->report.allotments = all;
    job->report.allotment_count = b->count;
    job->report.size_wanted = size;
    job->report.size_made = made;
    job->report.size_least = least;
    return QONNX_OK;
}

/* Measured sizes correct what the bytes of single weights leave out. */
static qonnx_status meet(struct budget *b)
{
    const double size = wanted(b->job);
    double       least, made, room;

    QN_TRY(list_items(b));
    QN_TRY(list_steps(b));
    choose(b, 0);
    QN_TRY(measure(b, &least));
    if (least > size) return fail_too_small(b, size, least);
    room = size - least;
    made = least;
    for (int round = 0; round < ROUNDS; round++) {
        choose(b, room);
        QN_TRY(measure(b, &made));
        if (made <= size) break;
        room -= made - size;
    }
    if (made > size) {
        choose(b, 0);
        QN_TRY(measure(b, &made));
    }
    for (size_t i = 0; i < b->count; i++) { /* forms outlive this */
        const struct qn_value *value = &b->job->graph.values[b->items[i].weight];
        for (uint32_t u = 0; u < value->use_count; u++) {
            struct qn_verdict *verdict = &b->job->verdicts[b->job->graph.uses[value->use_at + u].node];
            if (verdict->form &&
                !(verdict->form = (const struct qn_weight_form *)qn_arena_memdup(&b->job->arena, verdict->form,
                                                                                 sizeof *verdict->form)))
                return qn_fail_nomem(b->job->err);
        }
    }
    return report(b, size, made, least);
}

qonnx_status qn_job_meet_budget(struct qn_job *job)
{
    struct budget b = { .job = job };
    qonnx_status  status;

    if (!job->settings.budget.measure) return QONNX_OK;
    qn_job_tell(job, "choosing", 0, 0);
    status = meet(&b);
    qn_arena_release(&b.scratch);
    return status;
}
