/* SPDX-License-Identifier: Apache-2.0
 * One run of the pipeline: what its stages hand on, and the stages that quantize.c lists. */
#ifndef QN_JOB_H
#define QN_JOB_H

#include "emit/emit.h"
#include "judge.h"
#include "plan/solve.h"
#include "report.h"
#include "run/calibrate.h"
#include "run/state.h"
#include "verify.h"

struct qn_job {
    const char              *input, *output;
    const qonnx_callbacks   *callbacks;
    qonnx_error             *err;
    struct qn_settings       settings;
    const struct qn_emitter *emitter;
    struct qn_model          model;
    struct qn_graph          graph, quantized; /* the float graph lives on beside the quantized one, for the report */
    struct qn_arena_mark     before_emit; /* of the model's arena; and the model as it was then: */
    Onnx__ModelProto         float_pb;
    struct qn_plan           plan;
    struct qn_calibration    calibration;
    const struct qn_stats  **stats; /* by value id */
    struct qn_verdict       *verdicts;
    struct qn_stats         *wider;   /* of tensors whose channels were repeated */
    size_t                   wider_count;
    struct qn_ranging       *ranging; /* by value id, all as the settings say unless set otherwise */
    const struct qn_rounded **rounded; /* by node id */
    struct qn_solved        *solved;  /* of this graph */
    struct qn_judge          judge;
    struct qn_judgement      judged;
    struct qn_tried         *tried; /* candidates, the last one first */
    struct qn_kernels_found  kernels;
    struct qn_pace           pace;
    struct qn_runtime       *runtime;
    struct qn_feed          *feed;
    struct qn_feed_info      stats_info; /* of --stats: about its samples, */
    const char              *stats_source, *stats_runtime;
    struct qn_arena          stats_arena;
    struct qn_dim_options    dims;
    struct qn_state_options  states;
    size_t                   most_samples; /* that are of any use; 0: all */
    struct qn_arena          arena;
    struct qn_warnings       warnings;
    int32_t                  half; /* float16 or bfloat16, if the model's constants are in it; else 0 */
    Onnx__ValueInfoProto   **halves; /* inputs and outputs that the model declares as one of these */
    size_t                   half_count;
    struct qn_save_result    saved;
    struct qn_report         report;
    const char              *sidecar;
    struct qn_sink          *sidecar_sink;
    struct qn_extra         *extras; /* files of --report and --encodings */
    size_t                   extra_count;
    bool                     watch_all; /* every activation, not only what the plan asks for */
    struct qn_imported      *imported; /* --ranges; NULL: none */
};

void qn_job_tell(const struct qn_job *job, const char *stage, size_t done, size_t total);
int  qn_job_threads(const struct qn_job *job);
int  qn_job_run_threads(const struct qn_job *job); /* for runs of the model: one after the other when there is a state */

/* Where the sidecar goes: never over anything that is read. */
QONNX_MUST_CHECK qonnx_status qn_job_name_sidecar(struct qn_job *job);
/* A file that is read is none of the results; `what` it holds. */
QONNX_MUST_CHECK qonnx_status qn_job_protect_input(const struct qn_job *job, const char *path, const char *what);
/* A result is none of the files that hold the model's weights; NULL is allowed. */
QONNX_MUST_CHECK qonnx_status qn_job_protect_weights(const struct qn_job *job, const char *result);
/* Reads, indexes and checks the model. */
QONNX_MUST_CHECK qonnx_status qn_job_open(struct qn_job *job);
/* A node of QONNX, which no runtime but qonnx's own knows. */
bool qn_job_is_qonnx(const Onnx__NodeProto *node);
QONNX_MUST_CHECK qonnx_status qn_job_run_passes(struct qn_job *job);
/* Warns of what the target cannot run, and finds out what it has to know. */
QONNX_MUST_CHECK qonnx_status qn_job_suit_target(struct qn_job *job);
/* Before the passes: which types inputs and outputs have; and for the result: that they have them still. */
QONNX_MUST_CHECK qonnx_status qn_job_note_ports(struct qn_job *job);
QONNX_MUST_CHECK qonnx_status qn_job_restore_ports(struct qn_job *job);
/* The values to be watched, and how. */
struct qn_watch {
    const char                  **names;
    const struct qn_channel_wish *channels;
    size_t                        count;
    struct qn_calibrate_options   options;
};
QONNX_MUST_CHECK qonnx_status qn_job_watch(struct qn_job *job, struct qn_watch *watch);
/* Loads ONNX Runtime and opens the samples, or a part of them. */
QONNX_MUST_CHECK qonnx_status qn_job_open_data(struct qn_job *job, const struct qn_feed_options *part);
/* Nothing judges the result. */
void qn_job_warn_of_no_runs(struct qn_job *job);
/* In place of runs of the model: what was gathered before (--stats). */
QONNX_MUST_CHECK qonnx_status qn_job_use_statistics(struct qn_job *job, const struct qn_watch *watch);
/* Of the data that the statistics are of; NULL when there are none. */
const struct qn_feed_info *qn_job_data(const struct qn_job *job);
/* A job from options to result: `work` does it, and whatever comes of that is released. */
QONNX_MUST_CHECK qonnx_status qn_job_perform(struct qn_job *job, const qonnx_options *options, qonnx_result **result, qonnx_status (*work)(struct qn_job *job, qonnx_result **result));
/* Runs the float model over the data: statistics of what the plan asks for, and the outputs to judge by. */
QONNX_MUST_CHECK qonnx_status qn_job_observe(struct qn_job *job);
/* job->stats and what shapes the runs showed, for the graph as it is now. */
QONNX_MUST_CHECK qonnx_status qn_job_take_stats(struct qn_job *job);
/* Channels with outliers are repeated, if the option says so. Plans anew. */
QONNX_MUST_CHECK qonnx_status qn_job_duplicate(struct qn_job *job);
void                          qn_job_release_wider(struct qn_job *job);
/* Makes the model of the solved plan, judges it and drops it again; what was judged before is only looked up. */
QONNX_MUST_CHECK qonnx_status qn_job_judge(struct qn_job *job, struct qn_judge_terms terms, struct qn_judgement *judged_as);
/* The plan that the settings and verdicts ask for, its numbers still open. */
QONNX_MUST_CHECK qonnx_status qn_job_plan(struct qn_job *job);
/* The numbers; nodes whose data forbid it drop out on the way. */
QONNX_MUST_CHECK qonnx_status qn_job_solve(struct qn_job *job);
/* Methods that are on trial start with the first value of theirs. */
QONNX_MUST_CHECK qonnx_status qn_job_begin_trials(struct qn_job *job);
/* Solves, and decides what is left in float and which methods are used: by what the statistics say of single tensors
 * and, unless that is switched off, by running candidates. Leaves the plan solved. */
QONNX_MUST_CHECK qonnx_status qn_job_search(struct qn_job *job);
/* In place of all from the passes to the emitted model: with ranges that nobody measured, for a forecast of its size. */
QONNX_MUST_CHECK qonnx_status qn_job_foresee(struct qn_job *job);
QONNX_MUST_CHECK qonnx_status qn_job_tell_forecast(struct qn_job *job, qonnx_result **result);
/* How large the model of the verdicts as they are would be: all files, and all constants. */
QONNX_MUST_CHECK qonnx_status qn_job_weigh(struct qn_job *job, uint64_t *files, uint64_t *constants);
/* Where a size is asked for, verdicts say what becomes of each weight. */
QONNX_MUST_CHECK qonnx_status qn_job_meet_budget(struct qn_job *job);
/* Second-order rounding of the solved plan's layers that ask for it and have none yet; *any tells whether there were any:
 * it is to be solved again then. */
QONNX_MUST_CHECK qonnx_status qn_job_round(struct qn_job *job, bool *any);
/* In place of plan, observe, solve and emit, when there is a recipe. */
QONNX_MUST_CHECK qonnx_status qn_job_obey(struct qn_job *job);
/* The model's graph becomes a copy that may be edited, and *fork is its index, with the same ids. */
QONNX_MUST_CHECK qonnx_status qn_fork_graph(struct qn_graph *fork, struct qn_model *model, qonnx_error *err);
/* Writes the plan into a copy of the float graph; and drops that copy again. */
QONNX_MUST_CHECK qonnx_status qn_job_emit(struct qn_job *job, const struct qn_emitter *emitter);
/* What the plan leaves to pass the limits of integer kernels, as warnings. */
QONNX_MUST_CHECK qonnx_status qn_job_warn_of_limits(struct qn_job *job);
void qn_job_back_to_float(struct qn_job *job);
/* Codes instead of floats at the ends of the quantized model, when the user wants it (--io-type). */
QONNX_MUST_CHECK qonnx_status qn_job_integer_ends(struct qn_job *job);
/* The result opens in ONNX Runtime with all its rewrites, and what it becomes is read back. */
QONNX_MUST_CHECK qonnx_status qn_job_verify(struct qn_job *job);
struct qn_save_options qn_job_save_options(const struct qn_job *job);
QONNX_MUST_CHECK qonnx_status qn_job_save(struct qn_job *job);
/* The files of --report and --encodings: are their names usable; what they hold (errors by layer, where there are any; the
 * solved plan's parameters); opened before the model is written, written with the summary. */
QONNX_MUST_CHECK qonnx_status qn_job_name_extras(struct qn_job *job);
QONNX_MUST_CHECK qonnx_status qn_job_protect_extras(struct qn_job *job);
QONNX_MUST_CHECK qonnx_status qn_job_protect_from_extras(const struct qn_job *job, const char *path, const char *what);
QONNX_MUST_CHECK qonnx_status qn_job_measure_layers(struct qn_job *job);
QONNX_MUST_CHECK qonnx_status qn_job_encode(struct qn_job *job);
bool                          qn_job_encodes_all(const struct qn_job *job); /* tensors that stay float as well, if they are watched */
QONNX_MUST_CHECK qonnx_status qn_job_open_extras(struct qn_job *job);
QONNX_MUST_CHECK qonnx_status qn_job_write_extras(struct qn_job *job);
void                          qn_job_discard_extras(struct qn_job *job);
/* Ranges out of another tool's file (--ranges), read while the graph is the one that came; into job->ranging of each new plan;
 * then: a tensor without any is an error, unless data or statistics are there for it. */
QONNX_MUST_CHECK qonnx_status qn_job_read_ranges(struct qn_job *job);
void                          qn_job_give_ranges(struct qn_job *job);
QONNX_MUST_CHECK qonnx_status qn_job_check_ranges(struct qn_job *job);
struct qn_ranges_source       qn_job_ranges_source(const struct qn_job *job);
void                          qn_job_release_ranges(struct qn_job *job);
/* Sidecar and summary. */
QONNX_MUST_CHECK qonnx_status qn_job_report(struct qn_job *job, qonnx_result **result);

#endif
