/* SPDX-License-Identifier: Apache-2.0
 * Samples in the forms that people have them in: images, raw floats, tables. */
#include "cmocka_all.h"

#include <sys/stat.h>

#include "image_files.h"
#include "npy_files.h"
#include "onnx/dtype.h"
#include "run/feed.h"

static const int64_t        gray_dims[] = { -1, 1, 2, 2 }, pair_dims[] = { -1, 2 }, three_dims[] = { -1, 3 };
static const struct qn_port gray = { "x", QN_FLOAT, 4, gray_dims, NULL }, pair = { "x", QN_FLOAT, 2, pair_dims, NULL },
                            ids = { "ids", QN_INT64, 2, three_dims, NULL };

static struct qn_feed *open_with(const char *path, const struct qn_port *ports, size_t count,
                                 struct qn_feed_options options)
{
    struct qn_feed *feed = NULL;
    qonnx_error     err = { 0 };

    if (qn_feed_open(&feed, path, ports, count, &options, &err) != QONNX_OK) fail_msg("%s", err.message);
    return feed;
}

static struct qn_feed *open_feed(const char *path, const struct qn_port *ports, size_t count)
{
    return open_with(path, ports, count, (struct qn_feed_options){ .images = { .range = 255 } });
}

/* All of a pass: the bytes of input 0 of each sample behind each other; returns how many samples. */
static size_t drain(struct qn_feed *feed, void *values, size_t room)
{
    struct qn_sample sample = { 0 };
    qonnx_error      err = { 0 };
    size_t           count = 0, used = 0;

    for (bool done = false;; count++) {
        if (qn_feed_next(feed, &sample, &done, &err) != QONNX_OK) fail_msg("%s", err.message);
        if (done) break;
        assert_true(used + sample.views[0].size <= room);
        memcpy((char *)values + used, sample.views[0].data, sample.views[0].size);
        used += sample.views[0].size;
    }
    qn_sample_release(&sample);
    return count;
}

static void is_called(const struct qn_feed *feed, size_t position, const char *name)
{
    struct qn_strbuf text;

    qn_strbuf_init(&text);
    qn_feed_sample_name(feed, position, &text);
    assert_string_equal(text.text, name);
    qn_strbuf_release(&text);
}

/* When it is opened or when it is read. */
static void refuses(const char *path, const struct qn_port *ports, size_t count, qonnx_status expected,
                    const char *word1, const char *word2)
{
    struct qn_feed  *feed = NULL;
    struct qn_sample sample = { 0 };
    qonnx_error      err = { 0 };
    qonnx_status     status = qn_feed_open(&feed, path, ports, count, &(struct qn_feed_options){ 0 }, &err);

    for (bool done = false; status == QONNX_OK && !done;) status = qn_feed_next(feed, &sample, &done, &err);
    if (feed) qn_feed_close(feed);
    qn_sample_release(&sample);
    if (status != expected || !strstr(err.message, word1) || !strstr(err.message, word2))
        fail_msg("%d: '%s' lacks '%s' or '%s'", (int)status, err.message, word1, word2);
}

/* ---- images ---- */

static void write_gray(struct scratch *scratch, const char *name, uint8_t shade)
{
    const uint8_t pixels[4] = { shade, shade, shade, shade };
    write_image(scratch, name, make_png(2, 2, (struct png_form){ PNG_COLOR_TYPE_GRAY, 8, 0, 0 }, pixels));
}

static void a_folder_of_images_is_fed_in_order_of_names(void **state)
{
    struct scratch  scratch;
    struct qn_feed *feed;
    float           values[16];
    uint8_t         flat[4] = { 200, 200, 200, 200 };

    (void)state;
    scratch_open(&scratch);
    write_gray(&scratch, "b.PNG", 20);
    write_gray(&scratch, "a.png", 10);
    write_image(&scratch, "c.jpeg", make_jpeg(2, 2, (struct jpeg_form){ 1, 0, 0 }, flat));
    scratch_write(&scratch, "labels.txt", "0 1 2", 5);
    feed = open_feed(scratch.folder, &gray, 1);
    assert_int_equal(qn_feed_info(feed)->count, 3);
    assert_string_equal(qn_feed_info(feed)->notes, "");
    for (int pass = 0; pass < 2; pass++) {
        assert_int_equal(drain(feed, values, sizeof values), 3);
        assert_true(values[0] == 10 && values[4] == 20 && values[8] > 197 && values[8] < 203);
        assert_int_equal(qn_feed_rewind(feed, NULL), QONNX_OK);
    }
    is_called(feed, 0, "a.png");
    is_called(feed, 2, "c.jpeg");
    qn_feed_close(feed);
    feed = open_feed(scratch_path(&scratch, "b.PNG"), &gray, 1); /* one image is one sample */
    assert_int_equal(drain(feed, values, sizeof values), 1);
    is_called(feed, 0, "b.PNG");
    qn_feed_close(feed);
    scratch_close(&scratch);
}

static void folders_of_classes_are_looked_into(void **state)
{
    struct scratch  scratch;
    struct qn_feed *feed;
    float           values[16];

    (void)state;
    scratch_open(&scratch);
    mkdir(scratch_path(&scratch, "dog"), 0700);
    mkdir(scratch_path(&scratch, "cat"), 0700);
    mkdir(scratch_path(&scratch, ".cache"), 0700);
    write_gray(&scratch, ".cache/x.png", 99);
    write_gray(&scratch, "dog/1.png", 3);
    write_gray(&scratch, "cat/2.png", 2);
    write_gray(&scratch, "cat/1.png", 1);
    feed = open_with(scratch.folder, &gray, 1, (struct qn_feed_options){ .samples = 2, .images = { .range = 255 } });
    assert_int_equal(drain(feed, values, sizeof values), 2);
    assert_true(values[0] == 1 && values[4] == 2);
    assert_non_null(strstr(qn_feed_info(feed)->notes, "--shuffle"));
    is_called(feed, 2, "dog/1.png");
    qn_feed_close(feed);
    scratch_write(&scratch, "dog/1.npy", "x", 1);
    refuses(scratch.folder, &gray, 1, QONNX_E_DATA, "images and .npy files", "keep one kind");
    scratch_close(&scratch);
}

static void broken_images_are_named(void **state)
{
    struct scratch scratch;

    (void)state;
    scratch_open(&scratch);
    write_gray(&scratch, "a.png", 1);
    scratch_write(&scratch, "b.jpg", "\xff\xd8\xff\xe0 no image", 13);
    refuses(scratch.folder, &gray, 1, QONNX_E_DATA, "b.jpg: damaged JPEG image", "");
    scratch_write(&scratch, "b.jpg", "GIF89a", 6);
    refuses(scratch.folder, &gray, 1, QONNX_E_DATA, "b.jpg: is neither a JPEG nor a PNG image", "");
    scratch_write(&scratch, "b.jpg", "", 0);
    refuses(scratch.folder, &gray, 1, QONNX_E_DATA, "b.jpg", "empty");
    assert_int_equal(remove(scratch_path(&scratch, "b.jpg")), 0);
    assert_int_equal(symlink("nowhere", scratch_path(&scratch, "b.jpg")), 0);
    refuses(scratch.folder, &gray, 1, QONNX_E_DATA, "b.jpg", "No such file");
    refuses(scratch.folder, (const struct qn_port[]){ gray, pair }, 2, QONNX_E_DATA, "one input, this one has 2",
            ".npz");
    scratch_close(&scratch);
}

static void what_pixels_become_is_told_when_nobody_said_it(void **state)
{
    struct scratch  scratch;
    struct qn_feed *feed;

    (void)state;
    scratch_open(&scratch);
    write_gray(&scratch, "a.png", 1);
    feed = open_with(scratch.folder, &gray, 1, (struct qn_feed_options){ 0 });
    assert_non_null(strstr(qn_feed_info(feed)->notes, "fed as 0 to 1"));
    qn_feed_close(feed);
    scratch_close(&scratch);
}

/* ---- which files ---- */

static void a_folder_holds_one_kind_of_data(void **state)
{
    struct scratch scratch;

    (void)state;
    scratch_open(&scratch);
    refuses(scratch.folder, &pair, 1, QONNX_E_DATA, "no .npz, .npy", "in this folder");
    scratch_write(&scratch, "cat.webp", "x", 1);
    refuses(scratch.folder, &pair, 1, QONNX_E_DATA, "only others like 'cat.webp'", "");
    write_gray(&scratch, "a.png", 1);
    scratch_write(&scratch, "b.npz", "x", 1);
    refuses(scratch.folder, &gray, 1, QONNX_E_DATA, "holds images and .npz files ('a.png', 'b.npz')", "one kind");
    refuses(scratch_path(&scratch, "cat.webp"), &gray, 1, QONNX_E_DATA, "its name does not say what it holds", ".csv");
    assert_int_equal(remove(scratch_path(&scratch, "a.png")), 0);
    assert_int_equal(remove(scratch_path(&scratch, "b.npz")), 0);
    mkdir(scratch_path(&scratch, "inner"), 0700);
    scratch_write(&scratch, "inner/b.npz", "x", 1);
    refuses(scratch.folder, &gray, 1, QONNX_E_DATA, "only images are looked for in folders", ".npz files");
    scratch_close(&scratch);
}

static void options_of_images_go_with_images_only(void **state)
{
    struct scratch  scratch;
    struct qn_feed *feed = NULL;
    qonnx_error     err = { 0 };

    (void)state;
    scratch_open(&scratch);
    scratch_write(&scratch, "a.csv", "1,2\n", 4);
    assert_int_equal(qn_feed_open(&feed, scratch_path(&scratch, "a.csv"), &pair, 1,
                                  &(struct qn_feed_options){ .images = { .mean = "1" } }, &err),
                     QONNX_E_USAGE);
    assert_non_null(strstr(err.message, "--image-mean"));
    scratch_close(&scratch);
}

/* ---- raw files ---- */

static void raw_files_hold_samples_of_the_inputs_shape(void **state)
{
    const float     data[] = { 1, 2, 3, 4, 5, 6 };
    const int64_t   numbers[] = { 7, 8, 9 };
    struct scratch  scratch;
    struct qn_feed *feed;
    float           values[6];
    int64_t         got[3];

    (void)state;
    scratch_open(&scratch);
    scratch_write(&scratch, "all.bin", data, sizeof data);
    feed = open_feed(scratch_path(&scratch, "all.bin"), &pair, 1);
    assert_int_equal(drain(feed, values, sizeof values), 3);
    assert_memory_equal(values, data, sizeof data);
    is_called(feed, 2, "sample 2");
    qn_feed_close(feed);
    mkdir(scratch_path(&scratch, "d"), 0700);
    scratch_write(&scratch, "d/1.raw", data, 8);
    scratch_write(&scratch, "d/2.bin", data + 2, 16);
    feed = open_feed(scratch_path(&scratch, "d"), &pair, 1);
    assert_int_equal(drain(feed, values, sizeof values), 3);
    assert_memory_equal(values, data, sizeof data);
    is_called(feed, 0, "1.raw");
    is_called(feed, 2, "2.bin[1]");
    qn_feed_close(feed);
    scratch_write(&scratch, "ids.raw", numbers, sizeof numbers);
    feed = open_feed(scratch_path(&scratch, "ids.raw"), &ids, 1);
    assert_int_equal(drain(feed, got, sizeof got), 1);
    assert_memory_equal(got, numbers, sizeof numbers);
    qn_feed_close(feed);
    scratch_close(&scratch);
}

static void raw_files_that_do_not_fit_are_refused(void **state)
{
    static const int64_t open_dims[] = { -1, -1 }, none[] = { -1, 0 }, huge[] = { -1, INT64_MAX, INT64_MAX };
    const struct qn_port open = { "x", QN_FLOAT, 2, open_dims, NULL }, nothing = { "x", QN_FLOAT, -1, NULL, NULL };
    const struct qn_port zero = { "x", QN_FLOAT, 2, none, NULL }, large = { "x", QN_FLOAT, 3, huge, NULL };
    struct scratch       scratch;
    const char          *path;

    (void)state;
    scratch_open(&scratch);
    path = scratch_write(&scratch, "a.raw", "123456789", 9);
    refuses(path, &pair, 1, QONNX_E_DATA, "a.raw: holds 9 bytes, not a multiple of the 8", "'x'");
    refuses(path, &open, 1, QONNX_E_DATA, "axis 1", ".npy");
    refuses(path, &nothing, 1, QONNX_E_DATA, "no declared shape", ".npy");
    refuses(path, &zero, 1, QONNX_E_DATA, "cannot be fed", "");
    refuses(path, &large, 1, QONNX_E_DATA, "cannot be fed", "");
    refuses(path, (const struct qn_port[]){ pair, ids }, 2, QONNX_E_DATA, "one input, this one has 2", ".npz");
    path = scratch_write(&scratch, "b.raw", "", 0);
    refuses(path, &pair, 1, QONNX_E_DATA, "holds no samples", "");
    scratch_close(&scratch);
}

/* ---- tables ---- */

static const char *csv(struct scratch *scratch, const char *text)
{
    return scratch_write(scratch, "t.csv", text, strlen(text));
}

static void each_line_of_a_table_is_a_sample(void **state)
{
    static const char *const texts[] = {
        "1,2\n3,4\n5,6\n",                                /* no names */
        "a,b\n1,2\n3,4\n5,6",                             /* names of one's own, no last end of line */
        "x[0],x[1]\r\n1,2\r\n\r\n3,4\r\n5,6\r\n",         /* Windows */
        "\xef\xbb\xbfx.0;x.1\n1;2\n3;4\n5;6\n",           /* a spreadsheet of a country with decimal commas */
        "\"x_0\"\t\"x_1\"\n 1 \t\"2\"\n3\t4\n5\t6.0e0\n", /* tabs and quotes */
        "id,x[0],note,x[1]\n7,1,8,2\n7,3,9,4\n7,5,9,6\n", /* others between them */
        "\xef\xbb\xbf"
        "1,2\n3,4\n5,6\n",
    };
    const float data[] = { 1, 2, 3, 4, 5, 6 };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct scratch  scratch;
        struct qn_feed *feed;
        float           values[6];
        scratch_open(&scratch);
        feed = open_feed(csv(&scratch, texts[i]), &pair, 1);
        for (int pass = 0; pass < 2; pass++) {
            assert_int_equal(drain(feed, values, sizeof values), 3);
            assert_memory_equal(values, data, sizeof data);
            assert_int_equal(qn_feed_rewind(feed, NULL), QONNX_OK);
        }
        is_called(feed, 2, "row 3");
        assert_true((strstr(qn_feed_info(feed)->notes, "2 columns are no input") != NULL) == (i == 5));
        qn_feed_close(feed);
        scratch_close(&scratch);
    }
}

static void columns_go_to_the_inputs_they_are_named_for(void **state)
{
    const struct qn_port ports[] = { ids, pair };
    struct scratch       scratch;
    struct qn_feed      *feed;
    struct qn_sample     sample = { 0 };
    bool                 done;

    (void)state;
    scratch_open(&scratch);
    feed = open_feed(csv(&scratch, "x,ids[0],ids[1],x,ids[2]\n0.5,1,2,-0.5,3e0\n"), ports, 2);
    assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
    assert_memory_equal(sample.views[0].data, ((int64_t[]){ 1, 2, 3 }), 24);
    assert_memory_equal(sample.views[1].data, ((float[]){ 0.5f, -0.5f }), 8);
    assert_int_equal(sample.views[1].rank, 2);
    assert_int_equal(sample.views[1].dims[0], 1);
    qn_sample_release(&sample);
    qn_feed_close(feed);
    scratch_close(&scratch);
}

static void sizes_left_open_follow_from_the_columns(void **state)
{
    static const int64_t dims[] = { -1, -1, 2 };
    const struct qn_port port = { "x", QN_FLOAT, 3, dims, NULL };
    struct scratch       scratch;
    struct qn_feed      *feed;
    struct qn_sample     sample = { 0 };
    bool                 done;

    (void)state;
    scratch_open(&scratch);
    feed = open_feed(csv(&scratch, "1,2,3,4,5,6\n"), &port, 1);
    assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
    assert_memory_equal(sample.views[0].dims, ((int64_t[]){ 1, 3, 2 }), 24);
    qn_sample_release(&sample);
    qn_feed_close(feed);
    refuses(csv(&scratch, "1,2,3,4,5\n"), &port, 1, QONNX_E_DATA, "5 columns", "[?,?,2]");
    scratch_close(&scratch);
}

static void tables_that_do_not_fit_are_refused(void **state)
{
    const struct qn_port two[] = { ids, pair };
    struct scratch       scratch;

    (void)state;
    scratch_open(&scratch);
    refuses(csv(&scratch, ""), &pair, 1, QONNX_E_DATA, "t.csv", "no samples");
    refuses(csv(&scratch, "a,b\n\n"), &pair, 1, QONNX_E_DATA, "t.csv", "no samples");
    refuses(csv(&scratch, "1,2\n3\n"), &pair, 1, QONNX_E_DATA, "line 2 has another number of columns (1)", "(2)");
    refuses(csv(&scratch, "1,2\n3,x\n"), &pair, 1, QONNX_E_DATA, "line 2, column 2: 'x' is not a number", "");
    refuses(csv(&scratch, "1,2\n3,\n"), &pair, 1, QONNX_E_DATA, "line 2, column 2: '' is not a number", "");
    refuses(csv(&scratch, "1,2,3\n"), &pair, 1, QONNX_E_DATA, "3 columns for the model's input 'x'", "[?,2]");
    refuses(csv(&scratch, "1,2\n"), two, 2, QONNX_E_DATA, "has to name their columns", "ids[0]");
    refuses(csv(&scratch, "x,x\n1,2\n"), two, 2, QONNX_E_DATA, "no column 'ids'", "");
    refuses(csv(&scratch, "x[1],x[0]\n1,2\n"), &pair, 1, QONNX_E_DATA, "'x[0]' stands behind a later one", "");
    refuses(csv(&scratch, "1,2,3.5\n"), &ids, 1, QONNX_E_DATA, "column 3: the model's input takes int64", "3.5");
    refuses(csv(&scratch, "1,2,1e300\n"), &ids, 1, QONNX_E_DATA, "column 3", "int64");
    refuses(csv(&scratch, "\"1\"2,3\n"), &pair, 1, QONNX_E_DATA, "quotes", "column 1");
    refuses(scratch_write(&scratch, "t.csv", "1,\0002\n", 6), &pair, 1, QONNX_E_DATA, "line 1 holds a byte of zero",
            "");
    scratch_close(&scratch);
}

/* ---- all of them ---- */

static void samples_and_seed_choose_the_same_of_every_form(void **state)
{
    float          data[10][2], values[20], chosen[5][20];
    char           text[400] = "";
    struct scratch scratch;
    const char    *paths[5];
    size_t         kinds = 0;

    (void)state;
    scratch_open(&scratch);
    mkdir(scratch_path(&scratch, "npy"), 0700);
    mkdir(scratch_path(&scratch, "png"), 0700);
    for (int i = 0; i < 10; i++) {
        char name[32];
        data[i][0] = data[i][1] = (float)i;
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d\n", i, i);
        snprintf(name, sizeof name, "npy/%d.npy", i);
        npy_write(&scratch, name, "<f4", "(1, 2)", data[i], 8);
        snprintf(name, sizeof name, "png/%d.png", i);
        write_image(&scratch, name,
                    make_png(2, 1, (struct png_form){ PNG_COLOR_TYPE_GRAY, 8, 0, 0 },
                             (uint8_t[]){ (uint8_t)i, (uint8_t)i }));
    }
    paths[kinds++] = csv(&scratch, text);
    paths[kinds++] = scratch_write(&scratch, "a.raw", data, sizeof data);
    paths[kinds++] = npy_write(&scratch, "a.npy", "<f4", "(10, 2)", data, sizeof data);
    paths[kinds++] = scratch_path(&scratch, "npy");
    paths[kinds++] = scratch_path(&scratch, "png");
    for (size_t k = 0; k < kinds; k++) {
        static const int64_t image_dims[] = { 1, 1, 1, 2 };
        const struct qn_port image = { "x", QN_FLOAT, 4, image_dims, NULL };
        struct qn_feed      *feed =
            open_with(paths[k], k == 4 ? &image : &pair, 1,
                      (struct qn_feed_options){ .samples = 4, .shuffle = true, .seed = 5, .images = { .range = 255 } });
        assert_int_equal(qn_feed_info(feed)->count, 4);
        assert_int_equal(qn_feed_info(feed)->available, 10);
        assert_int_equal(drain(feed, chosen[k], sizeof chosen[k]), 4);
        assert_memory_equal(chosen[k], chosen[0], 32);
        qn_feed_close(feed);
        feed = open_with(paths[k], k == 4 ? &image : &pair, 1,
                         (struct qn_feed_options){ .samples = 3, .images = { .range = 255 } });
        assert_int_equal(drain(feed, values, sizeof values), 3);
        assert_memory_equal(values, data, 24);
        qn_feed_close(feed);
    }
    assert_true(chosen[0][0] != 0 || chosen[0][6] != 3); /* not just the first four */
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_of_images_is_fed_in_order_of_names),
        cmocka_unit_test(folders_of_classes_are_looked_into),
        cmocka_unit_test(broken_images_are_named),
        cmocka_unit_test(what_pixels_become_is_told_when_nobody_said_it),
        cmocka_unit_test(a_folder_holds_one_kind_of_data),
        cmocka_unit_test(options_of_images_go_with_images_only),
        cmocka_unit_test(raw_files_hold_samples_of_the_inputs_shape),
        cmocka_unit_test(raw_files_that_do_not_fit_are_refused),
        cmocka_unit_test(each_line_of_a_table_is_a_sample),
        cmocka_unit_test(columns_go_to_the_inputs_they_are_named_for),
        cmocka_unit_test(sizes_left_open_follow_from_the_columns),
        cmocka_unit_test(tables_that_do_not_fit_are_refused),
        cmocka_unit_test(samples_and_seed_choose_the_same_of_every_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
