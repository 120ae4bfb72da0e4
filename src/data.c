/* SPDX-License-Identifier: Apache-2.0 */
#include "data.h"

struct qn_feed_options qn_data_options(const struct qn_settings *s)
{
    return (struct qn_feed_options){
        .samples = (size_t)s->samples,
        .shuffle = s->shuffle,
        .seed = (uint64_t)s->seed,
        .images = { .size = s->image_size,
                    .layout = s->image_layout,
                    .color = s->image_color,
                    .fit = s->image_fit,
                    .filter = s->image_filter,
                    .mean = s->image_mean,
                    .std = s->image_std,
                    .range = s->image_range,
                    .crop = s->image_crop,
                    .fill = s->image_fill },
    };
}
