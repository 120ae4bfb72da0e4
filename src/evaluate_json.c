/* SPDX-License-Identifier: Apache-2.0 */
#include "evaluate.h"
#include "json_out.h"
#include "onnx/dtype.h"

static json_t *model(struct qn_json *json, const char *path)
{
    json_t *object = json_object();
    qn_json_put(json, object, "name", qn_json_base_name(path));
    return object;
}

static json_t *data(struct qn_json *json, const struct qn_evaluation *e)
{
    json_t *object = json_object();

    qn_json_put(json, object, "source", qn_json_base_name(e->settings->calib));
    qn_json_put(json, object, "samples", qn_json_uint(e->comparison->samples));
    qn_json_put(json, object, "digest", json_string(e->data->digest));
    qn_json_put(json, object, "seed", e->settings->shuffle ? json_integer(e->settings->seed) : json_null());
    qn_json_put(json, object, "nan_count", qn_json_uint(e->data->nan_count));
    qn_json_put(json, object, "inf_count", qn_json_uint(e->data->inf_count));
    qn_json_put(json, object, "notes", qn_json_lines(e->data->notes ? e->data->notes : ""));
    return object;
}

static json_t *tops(struct qn_json *json, const struct qn_evaluation *e, const struct qn_output_comparison *o)
{
    json_t *list = json_array();

    for (size_t k = 0; k < e->comparison->top_count; k++) {
        json_t *object = json_object();
        qn_json_put(json, object, "k", qn_json_uint(e->comparison->top[k]));
        qn_json_put(json, object, "agree", qn_json_uint(o->top_agree[k]));
        qn_json_put(json, object, "share", qn_json_real((double)o->top_agree[k] / (double)o->top1_count));
        qn_json_append(json, list, object);
    }
    return list;
}

static json_t *worst(struct qn_json *json, const struct qn_evaluation *e, const struct qn_output_comparison *o)
{
    json_t *list = json_array();

    for (size_t k = 0; k < o->worst_count; k++) {
        json_t          *object = json_object();
        struct qn_strbuf name;
        qn_strbuf_init(&name);
        qn_evaluation_sample(e, o->worst[k].position, &name);
        qn_json_put(json, object, "position", qn_json_uint(o->worst[k].position));
        qn_json_put(json, object, "name", qn_json_text(name.text));
        qn_json_put(json, object, "sqnr_db", qn_json_real(o->worst[k].sqnr));
        qn_json_append(json, list, object);
        qn_strbuf_release(&name);
    }
    return list;
}

static void put_figures(struct qn_json *json, json_t *object, const struct qn_evaluation *e,
                        const struct qn_output_comparison *o)
{
    qn_json_put(json, object, "nonfinite", qn_json_uint(o->nonfinite));
    qn_json_put(json, object, "sqnr_db", qn_json_real(o->sqnr));
    qn_json_put(json, object, "worst_sample_sqnr_db", qn_json_real(o->sqnr_min));
    qn_json_put(json, object, "worst_samples", worst(json, e, o));
    qn_json_put(json, object, "cosine", qn_json_real(o->cosine));
    qn_json_put(json, object, "max_error", qn_json_real(o->max_error));
    qn_json_put(json, object, "mean_error", qn_json_real(o->mean_error));
    qn_json_put(json, object, "relative_error", qn_json_real(o->relative));
}

static json_t *output(struct qn_json *json, const struct qn_evaluation *e, const struct qn_output_comparison *o)
{
    json_t *object = json_object();

    qn_json_put(json, object, "name", qn_json_text(o->name));
    qn_json_put(json, object, "dtype", json_string(qn_dtype_name(o->dtype)));
    qn_json_put(json, object, "elements", qn_json_uint(o->elements));
    qn_json_put(json, object, "unequal", qn_json_uint(o->unequal));
    if (!o->is_float) return object;
    put_figures(json, object, e, o);
    if (!o->top1_count) return object;
    qn_json_put(json, object, "top1_count", qn_json_uint(o->top1_count));
    qn_json_put(json, object, "top1_agree", qn_json_uint(o->top1_agree));
    qn_json_put(json, object, "agreement", qn_json_real((double)o->top1_agree / (double)o->top1_count));
    qn_json_put(json, object, "top_k", tops(json, e, o));
    return object;
}

static json_t *tensors(struct qn_json *json, const struct qn_evaluation *e)
{
    json_t *list;

    if (!e->settings->tensors) return json_null();
    list = json_array();
    for (size_t i = 0; i < e->comparison->tensor_count; i++) {
        const struct qn_output_comparison *t = &e->comparison->tensors[i];
        json_t                            *object = json_object();
        qn_json_put(json, object, "name", qn_json_text(t->name));
        qn_json_put(json, object, "elements", qn_json_uint(t->elements));
        put_figures(json, object, e, t);
        qn_json_append(json, list, object);
    }
    return list;
}

static json_t *labels(struct qn_json *json, const struct qn_evaluation *e)
{
    const struct qn_comparison *c = e->comparison;
    json_t                     *object;
    double                      share[2];
    json_t                     *tops_right;

    if (c->label_kind == QN_LABELS_NONE) return json_null();
    object = json_object();
    tops_right = json_array();
    for (int k = 0; k < 2; k++) share[k] = (double)c->label_right[k] / (double)c->label_count;
    qn_json_put(json, object, "source", e->settings->labels ? qn_json_base_name(e->settings->labels) : json_null());
    qn_json_put(json, object, "kind", json_string(c->label_kind == QN_LABELS_BINARY ? "binary" : "class"));
    qn_json_put(json, object, "output", qn_json_text(c->outputs[c->label_output].name));
    qn_json_put(json, object, "count", qn_json_uint(c->label_count));
    qn_json_put(json, object, "first_right", qn_json_uint(c->label_right[0]));
    qn_json_put(json, object, "second_right", qn_json_uint(c->label_right[1]));
    qn_json_put(json, object, "first_top1", qn_json_real(share[0]));
    qn_json_put(json, object, "second_top1", qn_json_real(share[1]));
    qn_json_put(json, object, "drop_points",
                qn_json_real(100 * ((double)c->label_right[0] - (double)c->label_right[1]) / (double)c->label_count));
    for (size_t k = 0; k < c->top_count && c->label_kind == QN_LABELS_CLASS; k++) {
        json_t *top = json_object();
        qn_json_put(json, top, "k", qn_json_uint(c->top[k]));
        qn_json_put(json, top, "first_right", qn_json_uint(c->label_right_top[k][0]));
        qn_json_put(json, top, "second_right", qn_json_uint(c->label_right_top[k][1]));
        qn_json_append(json, tops_right, top);
    }
    qn_json_put(json, object, "top_k", tops_right);
    return object;
}

static json_t *times(struct qn_json *json, const struct qn_comparison *c)
{
    json_t *object;

    if (!(c->cpu_seconds[0] > 0) || !(c->cpu_seconds[1] > 0)) return json_null();
    object = json_object();
    qn_json_put(json, object, "first", qn_json_real(c->cpu_seconds[0]));
    qn_json_put(json, object, "second", qn_json_real(c->cpu_seconds[1]));
    qn_json_put(json, object, "speedup", qn_json_rounded(c->cpu_seconds[0] / c->cpu_seconds[1], 4));
    return object;
}

static json_t *demand(struct qn_json *json, const struct qn_demand *d)
{
    json_t *object = json_object();

    qn_json_put(json, object, "figure", json_string(qn_figure_name(d->figure)));
    qn_json_put(json, object, "bound", qn_json_real(d->bound));
    qn_json_put(json, object, "value", qn_json_real(d->value));
    qn_json_put(json, object, "output", qn_json_text(d->output));
    qn_json_put(json, object, "met", json_boolean(d->met));
    return object;
}

qonnx_status qn_evaluation_json(const struct qn_evaluation *e, struct qn_strbuf *text, qonnx_error *err)
{
    struct qn_json json = { false };
    json_t        *root = json_object(), *outputs = json_array(), *demands = json_array();

    for (size_t i = 0; i < e->comparison->output_count; i++)
        qn_json_append(&json, outputs, output(&json, e, &e->comparison->outputs[i]));
    for (size_t i = 0; i < e->demand_count; i++) qn_json_append(&json, demands, demand(&json, &e->demands[i]));
    qn_json_put(&json, root, "schema", json_string("qonnx-quantize/comparison/1"));
    qn_json_put(&json, root, "producer", qn_json_producer());
    qn_json_put(&json, root, "first", model(&json, e->first));
    qn_json_put(&json, root, "second", model(&json, e->second));
    qn_json_put(&json, root, "exact", json_boolean(e->settings->exact || e->settings->tensors));
    qn_json_put(&json, root, "runtime", qn_json_text(e->runtime));
    qn_json_put(&json, root, "data", data(&json, e));
    qn_json_put(&json, root, "outputs", outputs);
    qn_json_put(&json, root, "tensors", tensors(&json, e));
    qn_json_put(&json, root, "labels", labels(&json, e));
    qn_json_put(&json, root, "cpu_seconds_per_run", times(&json, e->comparison));
    qn_json_put(&json, root, "demands", demands);
    return qn_json_write(&json, root, text, err);
}
