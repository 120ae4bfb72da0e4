/* SPDX-License-Identifier: Apache-2.0
 * The option table and what it fills. A new option is one row in options.c and one member here. */
#ifndef QN_PLAN_OPTIONS_H
#define QN_PLAN_OPTIONS_H

#include <qonnx/options.h>

#include "base/arena.h"
#include "quant/blocks.h"
#include "quant/observe.h"
#include "quant/qtype.h"
#include "quant/weight_range.h"

struct qn_override;
struct qn_target;
struct qn_preset;
struct qn_recipe;

/* What becomes of activations. */
enum qn_acts {
    QN_ACTS_STATIC, /* codes, with ranges from data */
    QN_ACTS_DYNAMIC, /* codes whose scale is found when the model runs, where layers read them */
    QN_ACTS_FLOAT,  /* they stay as they are: only weights become codes */
};

struct qn_list {
    const char **items;
    size_t       count, capacity;
    bool        *known; /* by item, for patterns: it matches something in the file as it was read; NULL: not looked at */
};

enum { QN_MAX_OPTIONS = 128, QN_DROP_ANY = 100 /* of max_drop: no demand */ };

/* A size that was asked for. */
enum qn_measure {
    QN_MEASURE_NONE,
    QN_MEASURE_BYTES, /* of all files */
    QN_MEASURE_SHARE, /* of the input's */
    QN_MEASURE_BITS,  /* of constants, for each float of the input's */
};
struct qn_budget {
    enum qn_measure measure;
    double          amount;
};

/* How the weights of a node become codes. */
struct qn_weight_form {
    const struct qn_qtype *type;
    int                    bits;
    size_t                 block; /* 0: a scale for each output channel */
    bool                   symmetric, per_channel, keep_float;
    enum qn_weight_range   range;
    const char            *range_name, *embeddings;
};

/* Options resolved: defaults, then the preset's values, then the user's. Texts live in the arena. */
struct qn_settings {
    const char *preset, *format, *target, *calib, *stats, *ranges, *shard, *sidecar, *digest, *ort, *observer, *verify, *duplicate, *rounding, *weight_range, *weight_importance, *bias_correction;
    const char *act_type, *weight_type, *embeddings, *pair_safe, *activations;
    const char *labels, *label_output;
    const char *top_k, *target_size;
    const char *image_size, *image_mean, *image_std, *image_layout, *image_color, *image_fit, *image_filter;
    int64_t     image_range, image_fill;
    double      image_crop;
    const char *config, *weights_as, *io_type, *external_data;
    struct qn_list dim, input_shape, state, include, exclude, override, pass, fail_below, report, encodings;
    int64_t     samples, seed, state_reset, threads, node_sqnr, min_sqnr, candidates, weight_bits, damping, mem_limit, checkpoint, shard_size;
    bool        on_trial[QN_MAX_OPTIONS]; /* by option: its value was "auto", so that methods may be tried */
    double      percentile, momentum, max_drop, target_bpw;
    int64_t     block_size;
    bool        weight_symmetric;
    bool        per_channel, only_faster, strict, no_mmap, shuffle, resume, exact, time, check, tensors, dry_run;
    /* found by the names above */
    const struct qn_recipe   *recipe; /* NULL: the planner decides */
    const struct qn_preset   *preset_row;
    const struct qn_target   *target_row;
    const struct qn_observer *observer_row;
    const struct qn_qtype    *act_qtype, *weight_qtype;
    enum qn_weight_range      weight_range_how;
    enum qn_acts              acts;
    struct qn_budget          budget;
    struct qn_override       *overrides;  /* in order, */
    struct qn_list            overridden; /* and their patterns (plan/overrides.h) */
    struct qn_arena           arena;
};

/* Fills *settings from what the user set. E_USAGE for contradictions. Release also after a failure. */
QONNX_MUST_CHECK qonnx_status qn_settings_resolve(struct qn_settings *settings, const qonnx_options *options, qonnx_error *err);
void qn_settings_release(struct qn_settings *settings);
/* As many as were asked for, or one for each processor. */
int  qn_settings_threads(const struct qn_settings *settings);

/* The option was left to "auto". Another value for it, which must be one of its words. */
bool qn_settings_on_trial(const struct qn_settings *settings, const char *option);
/* Its value is that word, or may become it by trial. */
bool qn_settings_may_be(const struct qn_settings *settings, const char *option, const char *value);
const char *qn_settings_value(const struct qn_settings *settings, const char *option); /* of options that are words */
QONNX_MUST_CHECK qonnx_status qn_settings_try(struct qn_settings *settings, const char *option, const char *value, qonnx_error *err);

/* ---- for overrides ---- */

/* Is it a value that the option takes? What it has when nobody says anything. */
QONNX_MUST_CHECK qonnx_status qn_settings_check(const char *option, const char *value, qonnx_error *err);
const char *qn_settings_default(const char *option);
/* Sets an option to a value that is one and lives on, in a copy of settings; then what follows from all. */
void qn_settings_replace(struct qn_settings *copy, const char *option, const char *value);
QONNX_MUST_CHECK qonnx_status qn_settings_settle(struct qn_settings *copy, qonnx_error *err);

/* The value of option i in `settings` as text for the sidecar, NULL when it is not set; lists give their k-th item. */
const char *qn_settings_text(const struct qn_settings *settings, size_t option, size_t k, struct qn_arena *arena);

/* The candidate nearest to a misspelt word by edit distance, NULL when none is near. */
struct qn_nearest {
    const char *word, *best;
    size_t      distance;
};
void        qn_nearest_consider(struct qn_nearest *nearest, const char *candidate);
/* "; did you mean 'x'?" in a static per-thread buffer, "" when nothing is near. */
const char *qn_nearest_hint(const struct qn_nearest *nearest);

#endif
