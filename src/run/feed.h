/* SPDX-License-Identifier: Apache-2.0
 * Where the inputs of runs come from: data files, streamed so that only the samples being run are in memory, or a
 * seeded generator.
 *
 *   FILE.npz        input name -> array with a leading sample axis; run i is fed element i of each
 *   FILE.npy        the same for a model with one input
 *   FOLDER of .npz  several such files, in order of their names
 *   FOLDER of .npy  a model with one input; each file is one run's input, or, when it has one axis more than the input,
 *                   several with a leading sample axis
 *   test_data_set_K or the folder of them: input_J.pb is a TensorProto for input J
 *   FILE.csv        a sample in each line; columns are the elements of the one input, or are named for their inputs
 *   FILE.raw, .bin  float32 (or, for inputs of other types than floats, elements of that type) and nothing else, for a
 *                   model with one input; or a folder of such files
 *   FOLDER of images, also in folders of that folder: JPEG and PNG, for a model with one input
 *
 * Elements with one axis less than their input get a leading dimension of 1 where the input allows it. Types convert
 * where no value changes (and double to float); each conversion leaves a note. */
#ifndef QN_RUN_FEED_H
#define QN_RUN_FEED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "onnx/graph.h"
#include "run/runner.h"

/* How images become inputs; texts as on the command line. A zero-initialised struct says nothing: what is not said follows
 * from the input's shape and type. */
struct qn_image_options {
    const char *size;       /* "224" or "224x320", height before width */
    const char *layout;     /* "nchw", "nhwc" or "auto" */
    const char *color;      /* "rgb" or "bgr" */
    const char *fit;        /* "crop", "stretch" or "pad" */
    const char *filter;     /* "bilinear" or "bicubic" */
    const char *mean, *std; /* a number, or one for each channel: (value - mean) / std */
    int64_t     range;      /* pixels run from 0 to this before that; 0: 1 for inputs of floats */
    double      crop;       /* percent of its side that is left of a resized image; 0: 100 */
    int64_t     fill;       /* of what "pad" adds, 0 to 255 */
};

struct qn_feed_options {
    size_t   samples; /* at most so many; 0: all */
    bool     shuffle; /* take a subset chosen by `seed`, in file order, instead of the first ones */
    uint64_t seed;
    size_t   shard, shards; /* of those, each shards-th one, the shard-th (1 … shards) first; 0, 0: all */
    /* Leave out those at these places in the data, which are in order. They must outlive the feed. */
    const uint64_t *done;
    size_t          done_count;
    struct qn_image_options images;
};

/* A worker's buffers for one run. Zero-initialise; qn_feed_next fills and re-uses it. */
struct qn_sample {
    size_t          index;    /* 0, 1, 2 ... in the feed's order */
    size_t          position; /* the same in all of the data: differs from index for a chosen subset */
    size_t          half;     /* 0 or 1, by what it holds: as good as by chance, and the same in any order */
    struct qn_view *views;    /* one for each input, in the order of the ports */
    void          **buffers;
    size_t         *capacities;
    int64_t        *dims;
    size_t          count;
};
void qn_sample_release(struct qn_sample *sample);

/* A sample that was given. */
struct qn_fed {
    uint64_t position;   /* in all of the data */
    uint8_t  digest[16]; /* XXH3-128 of its bytes, in the order of the inputs */
};
/* XXH3-128 of their digests, as text. */
void qn_fed_digest(const struct qn_fed *fed, size_t count, char text[33]);

struct qn_feed_info {
    size_t      count;                /* samples a pass gives */
    size_t      available;            /* samples in all of the data */
    uint64_t    nan_count, inf_count; /* in float inputs, of the first full pass */
    bool        synthetic;
    size_t      selected;             /* samples of all shards, with those left out */
    const struct qn_fed *fed;         /* of the first full pass, in order: those given so far */
    size_t      fed_count;
    char        digest[33]; /* qn_fed_digest() of it all */
    /* One line each: conversions, arrays nobody reads, sizes chosen for unknown dimensions; "" for none. */
    const char *notes;
};

struct qn_feed;

/* Opens data for a model's inputs. Everything that can be known without reading the data is checked here. E_DATA names
 * file and array. The ports must outlive the feed. */
QONNX_MUST_CHECK qonnx_status qn_feed_open(struct qn_feed **feed, const char *path, const struct qn_port *inputs,
                                           size_t input_count, const struct qn_feed_options *options, qonnx_error *err);

/* Sizes given by the user; texts as on the command line. */
struct qn_dim_options {
    const char *const *dims; /* "NAME=N": every dimension of that name */
    size_t             dim_count;
    const char *const *shapes; /* "INPUT=1,3,224,224" */
    size_t             shape_count;
};

/* Generated data for the inputs of a graph: floats are standard normal, token ids stay inside their embedding table,
 * other integers are 1, bytes 0 ... 255, bools true. Unknown sizes: a leading one is 1, others come from `dims`, else
 * from a trial run with `runtime` (NULL: no trials). E_USAGE names the option that helps. */
QONNX_MUST_CHECK qonnx_status qn_feed_synthetic(struct qn_feed **feed, const struct qn_graph *graph,
                                                const struct qn_port *inputs, size_t input_count, size_t samples,
                                                uint64_t seed, const struct qn_dim_options *dims,
                                                struct qn_runtime *runtime, qonnx_error *err);

/* The next sample, QONNX_OK with *done when there is none. Callable from several threads, each with its own sample. NULL
 * passes it over, which is not for the first full pass. */
QONNX_MUST_CHECK qonnx_status qn_feed_next(struct qn_feed *feed, struct qn_sample *sample, bool *done,
                                           qonnx_error *err);
/* Starts over: the same samples again. */
QONNX_MUST_CHECK qonnx_status qn_feed_rewind(struct qn_feed *feed, qonnx_error *err);
/* The shapes of the inputs, one for each of them, when all samples have the same and that is known; else NULL. */
const struct qn_view         *qn_feed_shapes(const struct qn_feed *feed);
/* What people call the sample at a position of all of the data: "cat.jpg", "a.npz[3]" or "sample 3". */
void                          qn_feed_sample_name(const struct qn_feed *feed, size_t position, struct qn_strbuf *text);
/* Digest and NaN counts are complete after a full pass. Texts live as long as the feed. */
const struct qn_feed_info    *qn_feed_info(struct qn_feed *feed);
void                          qn_feed_close(struct qn_feed *feed); /* NULL is allowed */

#endif
