/* SPDX-License-Identifier: Apache-2.0
 * What the options say of the samples. */
#ifndef QN_DATA_H
#define QN_DATA_H

#include "plan/options.h"
#include "run/feed.h"

/* The texts are those of the settings. */
struct qn_feed_options qn_data_options(const struct qn_settings *settings);

#endif
