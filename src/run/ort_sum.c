/* SPDX-License-Identifier: Apache-2.0
 * The operator that adds two values and shows them to their observers, while they are near. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"
#include "quant/kernels.h"
#include "run/ort_session.h"

struct sum {
    struct ort_run_session *session;
    int64_t                 left, right, id, relu;
};

/* A value that is added. */
struct term {
    const struct ort_value *value;
    struct qn_view          view;
    int64_t                 dims[QN_MAX_RANK];
    size_t                  step[QN_MAX_RANK]; /* in elements, by the sum's axes; 0 where it repeats */
};

static struct ort_run_session *session_of(const struct ort_custom_op *op)
{
    return (struct ort_run_session *)((uintptr_t)op - offsetof(struct ort_run_session, sum));
}

static struct ort_status *sum_create2(const struct ort_custom_op *op, const void *unused,
                                      const struct ort_kernel_info *info, void **kernel)
{
    static const char *const names[] = { "left", "right", "id", "relu" };
    struct ort_run_session  *session = session_of(op);
    const struct ort_api    *api = &session->ort->api;
    struct sum              *sum = calloc(1, sizeof *sum);
    int64_t                  values[sizeof names / sizeof *names];

    (void)unused;
    *kernel = sum;
    if (!sum) return api->create_status(1, "out of memory");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct ort_status *status = api->attribute_int(info, names[i], &values[i]);
        if (!status) continue;
        free(sum);
        return status;
    }
    *sum = (struct sum){ session, values[0], values[1], values[2], values[3] };
    return NULL;
}

static void *sum_create(const struct ort_custom_op *op, const void *api, const struct ort_kernel_info *info)
{
    void              *kernel = NULL;
    struct ort_status *status = sum_create2(op, api, info, &kernel);

    if (!status) return kernel;
    session_of(op)->ort->api.release_status(status);
    return NULL;
}

static qonnx_status read_term(const struct sum *sum, struct ort_context *context, size_t index, struct term *term,
                              qonnx_error *err)
{
    const struct ort_api *api = &sum->session->ort->api;

    *term = (struct term){ 0 };
    ORT_TRY(api, context_input(context, index, &term->value), "a sum's input");
    QN_TRY(qn_ort_view(api, term->value, &term->view, term->dims, err));
    return term->view.dtype == QN_FLOAT ? QONNX_OK
                                        : qn_fail(err, QONNX_E_INTERNAL, "a sum of other numbers than floats");
}

/* By how much a term moves on each axis of the sum; false where its shape does not go with that. */
static bool find_steps(struct term *term, const int64_t *dims, int rank)
{
    const int before = rank - term->view.rank;
    size_t    step = 1;

    for (int i = rank; i-- > before;) {
        const int64_t size = term->dims[i - before];
        if (size != 1 && size != dims[i]) return false;
        term->step[i] = size == 1 ? 0 : step;
        step *= (size_t)size;
    }
    return true;
}

/* The sum's shape: the longer side of each axis, from the last. */
static int shape_of(const struct term *a, const struct term *b, int64_t dims[QN_MAX_RANK])
{
    const int rank = a->view.rank > b->view.rank ? a->view.rank : b->view.rank;

    for (int i = 0; i < rank; i++) {
        const int     at_a = i - rank + a->view.rank, at_b = i - rank + b->view.rank;
        const int64_t x = at_a < 0 ? 1 : a->dims[at_a], y = at_b < 0 ? 1 : b->dims[at_b];
        dims[i] = x == 1 ? y : x;
    }
    return rank;
}

static void add_repeating(const struct term *a, const struct term *b, const int64_t *dims, int rank, size_t n,
                          bool relu, float *y)
{
    size_t at[QN_MAX_RANK] = { 0 }, i = 0, j = 0;

    for (size_t k = 0; k < n; k++) {
        qn_add((const float *)a->view.data + i, (const float *)b->view.data + j, 1, relu, &y[k]);
        for (int d = rank; d-- > 0;) {
            i += a->step[d];
            j += b->step[d];
            if (++at[d] < (size_t)dims[d]) break;
            i -= a->step[d] * at[d];
            j -= b->step[d] * at[d];
            at[d] = 0;
        }
    }
}

static qonnx_status compute(const struct sum *sum, struct ort_context *context, qonnx_error *err)
{
    const struct ort_api *api = &sum->session->ort->api;
    struct term           a, b;
    int64_t               dims[QN_MAX_RANK];
    struct ort_value     *result = NULL;
    void                 *y = NULL;
    size_t                n = 1;
    int                   rank;

    QN_TRY(read_term(sum, context, 0, &a, err));
    QN_TRY(read_term(sum, context, 1, &b, err));
    rank = shape_of(&a, &b, dims);
    if (!find_steps(&a, dims, rank) || !find_steps(&b, dims, rank))
        return qn_fail(err, QONNX_E_RUNTIME, "a sum of shapes that do not go together");
    for (int i = 0; i < rank; i++) n *= (size_t)dims[i];
    if (sum->left >= 0) qn_ort_show(sum->session, (size_t)sum->left, a.value);
    if (sum->right >= 0) qn_ort_show(sum->session, (size_t)sum->right, b.value);
    ORT_TRY(api, context_output(context, 0, dims, (size_t)rank, &result), "a sum");
    if (n) ORT_TRY(api, tensor_data(result, &y), "a sum");
    if (n && a.view.size == n * sizeof(float) && b.view.size == a.view.size)
        qn_add(a.view.data, b.view.data, n, sum->relu != 0, y);
    else if (n)
        add_repeating(&a, &b, dims, rank, n, sum->relu != 0, y);
    if (sum->id >= 0) qn_ort_show(sum->session, (size_t)sum->id, result);
    return QONNX_OK;
}

static void sum_compute(void *kernel, struct ort_context *context)
{
    qonnx_error  ignored = { 0 };
    qonnx_status status;

    if (!kernel) return;
    status = compute(kernel, context, qn_ort_current.err ? qn_ort_current.err : &ignored);
    if (status != QONNX_OK && qn_ort_current.status == QONNX_OK) qn_ort_current.status = status;
}

static struct ort_status *sum_compute2(void *kernel, struct ort_context *context)
{
    const struct sum *sum = kernel;

    sum_compute(kernel, context);
    return qn_ort_current.status == QONNX_OK ? NULL
                                             : sum->session->ort->api.create_status(1, "the sum or an observer failed");
}

static const char *sum_name(const struct ort_custom_op *op) { return (void)op, QN_SUM_OP; }
static int         float_type(const struct ort_custom_op *op, size_t index) { return (void)op, (void)index, 1; }
static size_t      two(const struct ort_custom_op *op) { return (void)op, 2; }
static size_t      one(const struct ort_custom_op *op) { return (void)op, 1; }

/* As the observer in all else. */
void qn_ort_fill_sum(struct ort_custom_op *op, uint32_t api_version)
{
    qn_ort_fill_observer(op, api_version);
    op->create_kernel = sum_create;
    op->create_kernel2 = sum_create2;
    op->name = sum_name;
    op->input_type = op->output_type = float_type;
    op->input_count = two;
    op->output_count = one;
    op->compute = sum_compute;
    op->compute2 = sum_compute2;
}
