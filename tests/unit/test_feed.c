/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <sys/stat.h>

#include "fake_runtime.h"
#include "npy_files.h"
#include "run/feed.h"

static const int64_t        image_dims[] = { -1, 2 };
static const struct qn_port image = { "x", QN_FLOAT, 2, image_dims, (const char *const[]){ "N", NULL } };

/* The first values of input 0 of all samples of one pass. */
static size_t first_values(struct qn_feed *feed, float *values, size_t room)
{
    struct qn_sample sample = { 0 };
    qonnx_error      err = { 0 };
    size_t           count = 0;

    for (bool done = false;;) {
        assert_int_equal(qn_feed_next(feed, &sample, &done, &err), QONNX_OK);
        if (done) break;
        assert_int_equal(sample.index, count);
        assert_true(count < room);
        values[count++] = ((const float *)sample.views[0].data)[0];
    }
    qn_sample_release(&sample);
    return count;
}

static struct qn_feed *open_feed(const char *path, const struct qn_port *ports, size_t count,
                                 struct qn_feed_options options)
{
    struct qn_feed *feed = NULL;
    qonnx_error     err = { 0 };
    qonnx_status    status = qn_feed_open(&feed, path, ports, count, &options, &err);

    if (status != QONNX_OK) print_message("%s\n", err.message);
    assert_int_equal(status, QONNX_OK);
    return feed;
}

static void refuses(const char *path, const struct qn_port *ports, size_t count, qonnx_status expected,
                    const char *word1, const char *word2)
{
    struct qn_feed *feed = NULL;
    qonnx_error     err = { 0 };

    assert_int_equal(qn_feed_open(&feed, path, ports, count, &(struct qn_feed_options){ 0 }, &err), expected);
    assert_null(feed);
    if (!strstr(err.message, word1) || !strstr(err.message, word2))
        fail_msg("'%s' lacks '%s' or '%s'", err.message, word1, word2);
}

/* Ten samples [1,2] with the values (i, -i). */
static struct npy_bytes *ten(void)
{
    float data[10][1][2];

    for (int i = 0; i < 10; i++) {
        data[i][0][0] = (float)i;
        data[i][0][1] = (float)-i;
    }
    return npy_make("<f4", "(10, 1, 2)", data, sizeof data);
}

static const char *ten_npz(struct scratch *scratch, const char *name)
{
    return npz_write(scratch, name, (struct npz_member[]){ { "x.npy", ten() } }, 1);
}

static void shapes_are_known_where_all_samples_have_the_same(void **state)
{
    const float     two[2][2][2] = { { { 1, 2 }, { 3, 4 } }, { { 5, 6 }, { 7, 8 } } };
    struct scratch  scratch;
    struct qn_feed *feed;

    (void)state;
    scratch_open(&scratch);
    feed = open_feed(ten_npz(&scratch, "a.npz"), &image, 1, (struct qn_feed_options){ 0 });
    assert_non_null(qn_feed_shapes(feed));
    assert_int_equal(qn_feed_shapes(feed)->rank, 2);
    assert_memory_equal(qn_feed_shapes(feed)->dims, ((const int64_t[]){ 1, 2 }), 2 * sizeof(int64_t));
    qn_feed_close(feed);
    npz_write(&scratch, "b.npz", (struct npz_member[]){ { "x.npy", npy_make("<f4", "(2, 2, 2)", two, sizeof two) } }, 1);
    feed = open_feed(scratch.folder, &image, 1, (struct qn_feed_options){ 0 });
    assert_int_equal(qn_feed_info(feed)->count, 12);
    assert_null(qn_feed_shapes(feed));
    qn_feed_close(feed);
    scratch_close(&scratch);
}

static void run_i_is_fed_element_i_of_each_array(void **state)
{
    static const int64_t dims[] = { -1, 3 };
    const struct qn_port ports[] = { { "ids", QN_INT64, 2, dims, (const char *const[]){ NULL, NULL } }, image };
    int64_t              ids[10][1][3];
    struct scratch       scratch;
    struct qn_sample     sample = { 0 };
    struct qn_feed      *feed;
    qonnx_error          err = { 0 };
    bool                 done = false;

    (void)state;
    scratch_open(&scratch);
    for (int i = 0; i < 10; i++)
        for (int k = 0; k < 3; k++) ids[i][0][k] = 100 * i + k;
    npz_write(&scratch, "a.npz",
              (struct npz_member[]){ { "x.npy", ten() },
                                     { "ids.npy", npy_make("<i8", "(10, 1, 3)", ids, sizeof ids) } },
              2);
    feed = open_feed(scratch_path(&scratch, "a.npz"), ports, 2, (struct qn_feed_options){ 0 });
    assert_int_equal(qn_feed_info(feed)->count, 10);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(qn_feed_next(feed, &sample, &done, &err), QONNX_OK);
        assert_false(done);
        assert_string_equal(sample.views[0].name, "ids");
        assert_int_equal(sample.views[0].dtype, QN_INT64);
        assert_int_equal(sample.views[0].rank, 2);
        assert_int_equal(sample.views[0].dims[1], 3);
        assert_int_equal(sample.views[0].size, 24);
        assert_memory_equal(sample.views[0].data, ids[i], 24);
        assert_true(((const float *)sample.views[1].data)[1] == (float)-i);
    }
    assert_int_equal(qn_feed_next(feed, &sample, &done, &err), QONNX_OK);
    assert_true(done);
    qn_sample_release(&sample);
    qn_feed_close(feed);
    scratch_close(&scratch);
}

static void a_rewound_feed_gives_the_same_again(void **state)
{
    struct scratch  scratch;
    struct qn_feed *feed;
    float           first[10], second[10];
    char            digest[33];
    qonnx_error     err = { 0 };

    (void)state;
    scratch_open(&scratch);
    feed = open_feed(ten_npz(&scratch, "a.npz"), &image, 1, (struct qn_feed_options){ 0 });
    assert_int_equal(first_values(feed, first, 10), 10);
    memcpy(digest, qn_feed_info(feed)->digest, sizeof digest);
    assert_int_equal(strlen(digest), 32);
    assert_int_equal(qn_feed_rewind(feed, &err), QONNX_OK);
    assert_int_equal(first_values(feed, second, 10), 10);
    assert_memory_equal(first, second, sizeof first);
    assert_string_equal(qn_feed_info(feed)->digest, digest);
    qn_feed_close(feed);
    scratch_close(&scratch);
}

static void the_digest_is_that_of_the_bytes_fed(void **state)
{
    struct scratch  scratch;
    struct qn_feed *a, *b, *c;
    float           values[10];

    (void)state;
    scratch_open(&scratch);
    a = open_feed(ten_npz(&scratch, "a.npz"), &image, 1, (struct qn_feed_options){ 0 });
    assert_int_equal(mkdir(scratch_path(&scratch, "folder"), 0700), 0);
    for (int i = 0; i < 10; i++) { /* the same samples, one file each */
        const float data[] = { (float)i, (float)-i };
        char        name[32];
        snprintf(name, sizeof name, "folder/%d.npy", i);
        npy_write(&scratch, name, "<f4", "(1, 2)", data, sizeof data);
    }
    b = open_feed(scratch_path(&scratch, "folder"), &image, 1, (struct qn_feed_options){ 0 });
    c = open_feed(scratch_path(&scratch, "folder"), &image, 1, (struct qn_feed_options){ .samples = 9 });
    assert_int_equal(first_values(a, values, 10), 10);
    assert_int_equal(first_values(b, values, 10), 10);
    assert_int_equal(first_values(c, values, 10), 9);
    assert_string_equal(qn_feed_info(a)->digest, qn_feed_info(b)->digest);
    assert_string_not_equal(qn_feed_info(a)->digest, qn_feed_info(c)->digest);
    qn_feed_close(a);
    qn_feed_close(b);
    qn_feed_close(c);
    scratch_close(&scratch);
}

/* Sixteen samples of one file, forth or back: which of them fall into the second half, in the last of so many passes. */
static unsigned halves(struct scratch *scratch, bool back, int passes)
{
    float            data[16][2];
    struct qn_sample sample = { 0 };
    struct qn_feed  *feed;
    unsigned         second = 0;

    for (int i = 0; i < 16; i++) data[back ? 15 - i : i][0] = data[back ? 15 - i : i][1] = (float)i;
    feed = open_feed(npy_write(scratch, "h.npy", "<f4", "(16, 1, 2)", data, sizeof data), &image, 1, (struct qn_feed_options){ 0 });
    while (passes--) {
        bool done = false;
        for (second = 0; !done;) {
            assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
            if (!done) second |= (unsigned)sample.half << (int)*(const float *)sample.views[0].data;
        }
        assert_int_equal(qn_feed_rewind(feed, NULL), QONNX_OK);
    }
    qn_sample_release(&sample);
    qn_feed_close(feed);
    return second;
}

static void halves_are_those_of_the_samples_in_any_order(void **state)
{
    struct scratch scratch;
    unsigned       forth;

    (void)state;
    scratch_open(&scratch);
    forth = halves(&scratch, false, 1);
    assert_in_range(__builtin_popcount(forth), 4, 12);
    assert_int_equal(halves(&scratch, false, 2), forth);
    assert_int_equal(halves(&scratch, true, 1), forth);
    scratch_close(&scratch);
}

static void samples_limits_and_a_seed_chooses(void **state)
{
    struct scratch  scratch;
    struct qn_feed *feed;
    float           values[10], again[10], other[10];
    const char     *path;

    (void)state;
    scratch_open(&scratch);
    path = ten_npz(&scratch, "a.npz");
    feed = open_feed(path, &image, 1, (struct qn_feed_options){ .samples = 4 });
    assert_int_equal(qn_feed_info(feed)->count, 4);
    assert_int_equal(qn_feed_info(feed)->available, 10);
    assert_int_equal(first_values(feed, values, 10), 4);
    assert_true(values[3] == 3);
    qn_feed_close(feed);
    for (uint64_t seed = 0; seed < 20; seed++) {
        feed = open_feed(path, &image, 1, (struct qn_feed_options){ .samples = 4, .shuffle = true, .seed = seed });
        assert_int_equal(first_values(feed, values, 10), 4);
        assert_int_equal(qn_feed_rewind(feed, NULL), QONNX_OK);
        assert_int_equal(first_values(feed, again, 10), 4);
        assert_memory_equal(values, again, 4 * sizeof *values);
        for (int i = 1; i < 4; i++) assert_true(values[i] > values[i - 1]); /* in file order, none twice */
        qn_feed_close(feed);
        if (seed == 0) memcpy(other, values, sizeof other);
    }
    assert_memory_not_equal(values, other, 4 * sizeof *values);
    feed = open_feed(path, &image, 1, (struct qn_feed_options){ .samples = 99, .shuffle = true });
    assert_int_equal(first_values(feed, values, 10), 10);
    qn_feed_close(feed);
    scratch_close(&scratch);
}

static void folders_of_files_follow_their_names(void **state)
{
    struct scratch  scratch;
    struct qn_feed *feed;
    float           values[30];
    const float     large[1][1][2] = { { { 77, 0 } } };

    (void)state;
    scratch_open(&scratch);
    mkdir(scratch_path(&scratch, "d"), 0700);
    ten_npz(&scratch, "d/b.npz");
    npz_write(&scratch, "d/a.npz",
              (struct npz_member[]){ { "x.npy", npy_make("<f4", "(1, 1, 2)", large, sizeof large) } }, 1);
    npz_write(&scratch, "d/empty.npz", (struct npz_member[]){ { "x.npy", npy_make("<f4", "(0, 1, 2)", NULL, 0) } }, 1);
    scratch_write(&scratch, "d/notes.txt", "x", 1);
    feed = open_feed(scratch_path(&scratch, "d"), &image, 1, (struct qn_feed_options){ 0 });
    assert_int_equal(first_values(feed, values, 30), 11);
    assert_true(values[0] == 77 && values[1] == 0 && values[10] == 9);
    qn_feed_close(feed);
    scratch_close(&scratch);
}

static void npy_files_are_runs_or_have_a_sample_axis(void **state)
{
    struct scratch  scratch;
    struct qn_feed *feed;
    float           values[30], data[3][1][2] = { { { 1, 2 } }, { { 3, 4 } }, { { 5, 6 } } };

    (void)state;
    scratch_open(&scratch);
    mkdir(scratch_path(&scratch, "d"), 0700);
    npy_write(&scratch, "d/1.npy", "<f4", "(1, 2)", data, 8);              /* one run */
    npy_write(&scratch, "d/2.npy", "<f4", "(3, 1, 2)", data, sizeof data); /* three */
    npy_write(&scratch, "d/3.npy", "<f4", "(2,)", data, 8);                /* one, without its leading axis */
    feed = open_feed(scratch_path(&scratch, "d"), &image, 1, (struct qn_feed_options){ 0 });
    assert_int_equal(first_values(feed, values, 30), 5);
    assert_non_null(strstr(qn_feed_info(feed)->notes, "leading one of size 1"));
    qn_feed_close(feed);
    feed = open_feed(npy_write(&scratch, "one.npy", "<f4", "(3, 1, 2)", data, sizeof data), &image, 1,
                     (struct qn_feed_options){ 0 });
    assert_int_equal(first_values(feed, values, 30), 3);
    assert_true(values[2] == 5);
    qn_feed_close(feed);
    scratch_close(&scratch);
}

static void types_convert_where_nothing_is_lost_and_leave_a_note(void **state)
{
    static const int64_t dims[] = { 1 };
    const struct qn_port ids = { "ids", QN_INT32, 1, dims, (const char *const[]){ NULL } };
    struct scratch       scratch;
    struct qn_feed      *feed;
    struct qn_sample     sample = { 0 };
    qonnx_error          err = { 0 };
    bool                 done;
    const int64_t        good[] = { 5, -6 }, bad[] = { 5, INT64_C(1) << 40 };

    (void)state;
    scratch_open(&scratch);
    npz_write(&scratch, "good.npz",
              (struct npz_member[]){ { "ids.npy", npy_make("<i8", "(2, 1)", good, sizeof good) } }, 1);
    npz_write(&scratch, "bad.npz", (struct npz_member[]){ { "ids.npy", npy_make("<i8", "(2, 1)", bad, sizeof bad) } },
              1);
    npz_write(&scratch, "float.npz",
              (struct npz_member[]){ { "ids.npy", npy_make("<f4", "(4, 1)", good, sizeof good) } }, 1);
    feed = open_feed(scratch_path(&scratch, "good.npz"), &ids, 1, (struct qn_feed_options){ 0 });
    assert_string_equal(qn_feed_info(feed)->notes, "data for 'ids' are converted from int64 to int32\n");
    assert_int_equal(qn_feed_next(feed, &sample, &done, &err), QONNX_OK);
    assert_int_equal(qn_feed_next(feed, &sample, &done, &err), QONNX_OK);
    assert_int_equal(((const int32_t *)sample.views[0].data)[0], -6);
    qn_feed_close(feed);
    feed = open_feed(scratch_path(&scratch, "bad.npz"), &ids, 1, (struct qn_feed_options){ 0 });
    assert_int_equal(qn_feed_next(feed, &sample, &done, &err), QONNX_OK);
    assert_int_equal(qn_feed_next(feed, &sample, &done, &err), QONNX_E_DATA);
    assert_non_null(strstr(err.message, "bad.npz: array 'ids': holds a int64 that the model's int32 cannot hold"));
    qn_feed_close(feed);
    qn_sample_release(&sample);
    refuses(scratch_path(&scratch, "float.npz"), &ids, 1, QONNX_E_DATA, "float.npz: array 'ids'",
            "holds float, the model's input takes int32");
    scratch_close(&scratch);
}

static void what_does_not_fit_is_named(void **state)
{
    static const int64_t dims[] = { -1, 3 };
    const struct qn_port three = { "x", QN_FLOAT, 2, dims, (const char *const[]){ NULL, NULL } };
    const struct qn_port two[] = { image, { "y", QN_FLOAT, 2, image_dims, image.dim_params } };
    const struct qn_port text = { "t", ONNX__TENSOR_PROTO__DATA_TYPE__STRING, 2, image_dims, image.dim_params };
    struct scratch       scratch;
    float                data[20] = { 0 };
    const char          *path;

    (void)state;
    scratch_open(&scratch);
    path = ten_npz(&scratch, "a.npz");
    refuses(path, &three, 1, QONNX_E_DATA, "a.npz: array 'x'",
            "holds [1,2] for one run, the model's input takes [?,3]");
    refuses(path, two, 2, QONNX_E_DATA, "no array 'y'", "the file holds 'x'");
    refuses(path, &text, 1, QONNX_E_UNSUPPORTED, "'t'", "string");
    npz_write(&scratch, "b.npz",
              (struct npz_member[]){ { "x.npy", ten() }, { "y.npy", npy_make("<f4", "(9, 1, 2)", data, 72) } }, 2);
    refuses(scratch_path(&scratch, "b.npz"), two, 2, QONNX_E_DATA, "array 'y' holds 9 samples", "array 'x' holds 10");
    npz_write(&scratch, "c.npz", (struct npz_member[]){ { "x.npy", npy_make("<f4", "(0, 1, 2)", NULL, 0) } }, 1);
    refuses(scratch_path(&scratch, "c.npz"), &image, 1, QONNX_E_DATA, "c.npz", "holds no samples");
    npz_write(&scratch, "d.npz", (struct npz_member[]){ { "x.npy", npy_make("<f4", "()", data, 4) } }, 1);
    refuses(scratch_path(&scratch, "d.npz"), &image, 1, QONNX_E_DATA, "array 'x'", "no sample axis");
    npz_write(&scratch, "e.npz",
              (struct npz_member[]){ { "x.npy", npy_make("<f4", "(4611686018427387904, 0)", NULL, 0) } }, 1);
    refuses(scratch_path(&scratch, "e.npz"), &(struct qn_port){ "x", QN_FLOAT, -1, NULL, NULL }, 1, QONNX_E_DATA,
            "array 'x'", "size");
    npz_write(&scratch, "f.npz",
              (struct npz_member[]){ { "x.npy", npy_make("|u1", "(4611686018427387904, 0)", NULL, 0) } }, 1);
    refuses(scratch_path(&scratch, "f.npz"), &(struct qn_port){ "x", QN_UINT8, -1, NULL, NULL }, 1, QONNX_E_DATA,
            "f.npz", "no elements");
    refuses(scratch_path(&scratch, "nothing.npz"), &image, 1, QONNX_E_DATA, "nothing.npz", "No such file");
    refuses(scratch_write(&scratch, "x.npz", "PK\3\4 not a zip", 14), &image, 1, QONNX_E_DATA, "x.npz", "zip");
    refuses(scratch_write(&scratch, "zero.npz", "", 0), &image, 1, QONNX_E_DATA, "zero.npz", "");
    refuses(scratch_write(&scratch, "x.npy", "hello", 5), &image, 1, QONNX_E_DATA, "x.npy", "early");
    mkdir(scratch_path(&scratch, "folder"), 0700);
    refuses(scratch_path(&scratch, "folder"), &image, 1, QONNX_E_DATA, "folder", "no .npz, .npy");
    npy_write(&scratch, "folder/1.npy", "<f4", "(1, 2)", data, 8);
    refuses(scratch_path(&scratch, "folder"), two, 2, QONNX_E_DATA, "one input", "use an .npz");
    scratch_close(&scratch);
}

static void arrays_nobody_reads_are_noted(void **state)
{
    struct scratch  scratch;
    struct qn_feed *feed;

    (void)state;
    scratch_open(&scratch);
    npz_write(&scratch, "a.npz", (struct npz_member[]){ { "x.npy", ten() }, { "labels.npy", ten() } }, 2);
    feed = open_feed(scratch_path(&scratch, "a.npz"), &image, 1, (struct qn_feed_options){ 0 });
    assert_string_equal(qn_feed_info(feed)->notes, "array 'labels' is no input of the model and is not read\n");
    qn_feed_close(feed);
    npz_write(&scratch, "b.npz", (struct npz_member[]){ { "arr_0.npy", ten() } }, 1);
    feed = open_feed(scratch_path(&scratch, "b.npz"), &image, 1, (struct qn_feed_options){ 0 });
    assert_string_equal(qn_feed_info(feed)->notes, "array 'arr_0' is taken for the model's one input 'x'\n");
    qn_feed_close(feed);
    scratch_close(&scratch);
}

static void nan_and_infinity_are_counted(void **state)
{
    const float     data[3][2] = { { NAN, 1 }, { INFINITY, -INFINITY }, { 0, NAN } };
    struct scratch  scratch;
    struct qn_feed *feed;
    float           values[3];

    (void)state;
    scratch_open(&scratch);
    feed = open_feed(npy_write(&scratch, "a.npy", "<f4", "(3, 2)", data, sizeof data), &image, 1,
                     (struct qn_feed_options){ 0 });
    assert_int_equal(first_values(feed, values, 3), 3);
    assert_int_equal(qn_feed_rewind(feed, NULL), QONNX_OK);
    assert_int_equal(first_values(feed, values, 3), 3); /* a second pass does not count again */
    assert_int_equal(qn_feed_info(feed)->nan_count, 2);
    assert_int_equal(qn_feed_info(feed)->inf_count, 2);
    qn_feed_close(feed);
    scratch_close(&scratch);
}

/* A damaged archive is an error by the end of the pass, or reads as what it was. */
static void damaged_archives_end_in_one_error(void **state)
{
    struct scratch scratch;
    char          *bytes;
    size_t         size;

    (void)state;
    scratch_open(&scratch);
    bytes = scratch_read(ten_npz(&scratch, "a.npz"), &size);
    for (size_t i = 0; i < 2 * size; i++) { /* cut off at each place, then each byte turned over */
        struct qn_feed  *feed = NULL;
        struct qn_sample sample = { 0 };
        qonnx_error      err = { 0 };
        qonnx_status     status;
        bool             done = false, right = true;
        char             kept = bytes[i % size];
        if (i >= size) bytes[i - size] = (char)~bytes[i - size];
        scratch_write(&scratch, "b.npz", bytes, i < size ? i : size);
        bytes[i % size] = kept;
        status = qn_feed_open(&feed, scratch_path(&scratch, "b.npz"), &image, 1, &(struct qn_feed_options){ 0 }, &err);
        while (status == QONNX_OK && !done) {
            status = qn_feed_next(feed, &sample, &done, &err);
            if (status == QONNX_OK && !done) right &= ((const float *)sample.views[0].data)[0] == (float)sample.index;
        }
        if (i < size) assert_int_equal(status, QONNX_E_DATA);
        assert_true(status == QONNX_OK ? right : err.message[0] != 0);
        qn_sample_release(&sample);
        qn_feed_close(feed);
    }
    free(bytes);
    scratch_close(&scratch);
}

/* ---- test_data_set_K/input_J.pb ---- */

static void write_pb(struct scratch *scratch, const char *name, const Onnx__TensorProto *tensor)
{
    size_t   size = onnx__tensor_proto__get_packed_size(tensor);
    uint8_t *bytes = malloc(size + 1);

    onnx__tensor_proto__pack(tensor, bytes);
    scratch_write(scratch, name, bytes, size);
    free(bytes);
}

static void onnx_test_data_are_read_in_input_order(void **state)
{
    static const int64_t dims[] = { 1, 2 };
    const struct qn_port ports[] = { image, { "ids", QN_INT64, 2, image_dims, image.dim_params } };
    struct scratch       scratch;
    struct qn_arena      arena = { 0 };
    struct qn_sample     sample = { 0 };
    struct qn_feed      *feed;
    Onnx__TensorProto   *typed;
    qonnx_error          err = { 0 };
    bool                 done;

    (void)state;
    scratch_open(&scratch);
    for (int i = 0; i < 11; i++) { /* _10 stands behind _9 */
        const float values[] = { (float)i, 0 };
        char        name[64];
        int32_t     small[] = { i, 250 };
        snprintf(name, sizeof name, "test_data_set_%d", i);
        mkdir(scratch_path(&scratch, name), 0700);
        snprintf(name, sizeof name, "test_data_set_%d/input_0.pb", i);
        write_pb(&scratch, name, qn_tensor_new(&arena, "x", QN_FLOAT, 2, dims, values, sizeof values));
        typed = qn_tensor_new(&arena, "ids", QN_UINT8, 2, dims, NULL, 0); /* uint8 kept in int32_data */
        typed->has_raw_data = false;
        typed->n_int32_data = 2;
        typed->int32_data = small;
        snprintf(name, sizeof name, "test_data_set_%d/input_1.pb", i);
        write_pb(&scratch, name, typed);
    }
    feed = open_feed(scratch.folder, ports, 2, (struct qn_feed_options){ 0 });
    assert_int_equal(qn_feed_info(feed)->count, 11);
    assert_string_equal(qn_feed_info(feed)->notes, "data for 'ids' are converted from uint8 to int64\n");
    for (int i = 0; i < 11; i++) {
        assert_int_equal(qn_feed_next(feed, &sample, &done, &err), QONNX_OK);
        assert_true(((const float *)sample.views[0].data)[0] == (float)i);
        assert_int_equal(((const int64_t *)sample.views[1].data)[0], i);
        assert_int_equal(((const int64_t *)sample.views[1].data)[1], 250);
    }
    qn_feed_close(feed);
    feed = open_feed(scratch_path(&scratch, "test_data_set_3"), ports, 2, (struct qn_feed_options){ 0 });
    assert_int_equal(qn_feed_next(feed, &sample, &done, &err), QONNX_OK);
    assert_true(((const float *)sample.views[0].data)[0] == 3);
    qn_feed_close(feed);
    assert_int_equal(remove(scratch_path(&scratch, "test_data_set_7/input_1.pb")), 0);
    refuses(scratch.folder, ports, 2, QONNX_E_DATA, "test_data_set_7/input_1.pb", "");
    scratch_write(&scratch, "test_data_set_7/input_1.pb", "\x08\x01\x08", 3);
    refuses(scratch.folder, ports, 2, QONNX_E_DATA, "test_data_set_7/input_1.pb", "");
    qn_sample_release(&sample);
    qn_arena_release(&arena);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_are_known_where_all_samples_have_the_same),
        cmocka_unit_test(run_i_is_fed_element_i_of_each_array),
        cmocka_unit_test(a_rewound_feed_gives_the_same_again),
        cmocka_unit_test(the_digest_is_that_of_the_bytes_fed),
        cmocka_unit_test(halves_are_those_of_the_samples_in_any_order),
        cmocka_unit_test(samples_limits_and_a_seed_chooses),
        cmocka_unit_test(folders_of_files_follow_their_names),
        cmocka_unit_test(npy_files_are_runs_or_have_a_sample_axis),
        cmocka_unit_test(types_convert_where_nothing_is_lost_and_leave_a_note),
        cmocka_unit_test(what_does_not_fit_is_named),
        cmocka_unit_test(arrays_nobody_reads_are_noted),
        cmocka_unit_test(nan_and_infinity_are_counted),
        cmocka_unit_test(damaged_archives_end_in_one_error),
        cmocka_unit_test(onnx_test_data_are_read_in_input_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
