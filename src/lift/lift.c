/* SPDX-License-Identifier: Apache-2.0 */
#include "lift/lift.h"

#include <string.h>

#include "lift/lifter.h"

struct qn_item qn_item_blank(qn_value_id old)
{
    return (struct qn_item){ .old = old,
                             .like = QN_NONE,
                             .maker = QN_NONE,
                             .at = QN_NONE,
                             .from = QN_NONE,
                             .first_child = QN_NONE,
                             .next_child = QN_NONE,
                             .moved = QN_NONE,
                             .pinned = QN_NONE };
}

uint32_t qn_item_new(struct qn_lifter *l, struct qn_item item)
{
    struct qn_item *grown = qn_arena_grow(&l->scratch, l->items, l->item_count, &l->item_room, sizeof *grown);

    if (!grown) return 0;
    l->items = grown;
    grown[l->item_count] = item;
    return (uint32_t)l->item_count++;
}

void qn_lift_note(struct qn_lifter *l, qn_node_id n, const char *reason)
{
    const Onnx__NodeProto *pb = l->graph->pb->node[n];
    struct qn_lift_note   *grown = qn_arena_grow(l->arena, l->notes, l->lift->note_count, &l->note_room, sizeof *grown);

    if (!grown) return;
    l->lift->notes = l->notes = grown;
    grown[l->lift->note_count++] = (struct qn_lift_note){ qn_arena_strdup(l->arena, qn_node_label(l->graph, n)),
                                                          pb->n_output ? pb->output[0] : "", reason };
}

qonnx_status qn_lift(struct qn_lift *lift, struct qn_graph *graph, const struct qn_settings *settings, qonnx_error *err)
{
    struct qn_lifter l = { .lift = lift, .graph = graph, .settings = settings, .arena = &lift->plan.arena, .err = err };
    qonnx_status     status;

    memset(lift, 0, sizeof *lift);
    status = qn_lift_unfold(&l);
    if (status == QONNX_OK) status = qn_lift_read(&l);
    if (status == QONNX_OK) status = qn_lift_rewrite(&l);
    if (status == QONNX_OK) status = qn_lift_fill(&l);
    qn_arena_release(&l.scratch);
    if (status != QONNX_OK) qn_lift_release(lift);
    return status;
}

void qn_lift_release(struct qn_lift *lift)
{
    qn_plan_release(&lift->plan);
    memset(lift, 0, sizeof *lift);
}

const char *qn_lift_format(const struct qn_lift *lift)
{
    if (lift->qonnx) return "QONNX";
    if (lift->qoperator) return "QOperator";
    if (!lift->qdq) return "float";
    return lift->clips ? "QCDQ" : "QDQ";
}
