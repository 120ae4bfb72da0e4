/* SPDX-License-Identifier: Apache-2.0
 * What is remembered of each channel of a tensor: the range of its values, their mean and their mean square. Like all
 * statistics they only add up, and are the same bytes in whatever order and layout of memory the values came. */
#ifndef QN_QUANT_CHANNEL_STATS_H
#define QN_QUANT_CHANNEL_STATS_H

#include "quant/fixed_sum.h"
#include "quant/kernels.h"
#include "quant/pack.h"

/* More channels than this are not followed: a hostile shape must not cost memory. */
enum { QN_CHANNELS_MAX = 1 << 16 };

struct qn_channel_stats {
    size_t               channels;
    uint64_t             count;    /* values seen of each channel; of them: */
    uint64_t             summed;   /* values in the sums: of large tensors not all */
    bool                 mismatch; /* a sample had another number of channels: nothing below means anything */
    float               *min, *max;
    float               *pair; /* by even channel c: the largest sum of its value and its neighbour's in one place, at c
                                  of the first half of the samples, at c + 1 of the second */
    struct qn_fixed_sum *sum, *sum2;
    /* What the pointers above point into: */
    float               *ends;
    struct qn_fixed_sum *sums;
};

/* A tensor's values in memory: [outer][channels][inner] or, with block > 1, [outer][channels / block][inner][block]. */
struct qn_channel_view {
    const float     *x;
    struct qn_layout layout;
    size_t           block; /* 1, 8 or 16; divides the channels */
    size_t           half;  /* 0 or 1: of the samples; how far one goes beyond the other tells how far new ones may */
};

/* E_LIMIT for too many channels. */
QONNX_MUST_CHECK qonnx_status qn_channel_stats_init(struct qn_channel_stats *stats, size_t channels, qonnx_error *err);
void                          qn_channel_stats_release(struct qn_channel_stats *stats);
/* One sample's values. All set the range; of a channel's places about 128, in evenly spread groups of four, enter the sums:
 * what memory holds is looked at once, and adding it up would take longer than that. Allocates nothing and cannot fail. True when they were in the right shape and all ordinary
 * (kernels.h; others count as 0): then *scan is what qn_scan would say of the tensor, but for which values
 * enter the sums. */
bool qn_channel_stats_add(struct qn_channel_stats *stats, const struct qn_channel_view *view, struct qn_scan *scan);
void qn_channel_stats_merge(struct qn_channel_stats *stats, const struct qn_channel_stats *other);

/* Something was seen, and in one shape. */
bool            qn_channel_stats_usable(const struct qn_channel_stats *stats);
struct qn_range qn_channel_range(const struct qn_channel_stats *stats, size_t channel);
double          qn_channel_mean(const struct qn_channel_stats *stats, size_t channel);
double          qn_channel_mean_square(const struct qn_channel_stats *stats, size_t channel);
/* For statistics that were not gathered: pairs as if both were largest in the same place. */
void            qn_channel_stats_assume_pairs(struct qn_channel_stats *stats);

#endif
