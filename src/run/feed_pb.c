/* SPDX-License-Identifier: Apache-2.0
 * Test data as ONNX ships them: input_K.pb holds a TensorProto. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "onnx/wire.h"
#include "run/feed_source.h"
#include "run/npy.h"

#define UINT16 ONNX__TENSOR_PROTO__DATA_TYPE__UINT16
#define UINT32 ONNX__TENSOR_PROTO__DATA_TYPE__UINT32
#define UINT64 ONNX__TENSOR_PROTO__DATA_TYPE__UINT64

/* A tensor's elements as they are stored, and the type they are stored in; *meaning is what the stored numbers are (the
 * bits of a float16, say). */
static const void *stored_elements(const Onnx__TensorProto *tensor, int32_t *stored, int32_t *meaning)
{
    bool small_float = tensor->data_type == QN_FLOAT16 || tensor->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16;

    *stored = *meaning = tensor->data_type;
    if (tensor->has_raw_data) return tensor->raw_data.data;
    switch (tensor->data_type) { /* qn_tensor_check has counted just this field */
    case QN_FLOAT: return tensor->float_data;
    case QN_DOUBLE: return tensor->double_data;
    case QN_INT64: return tensor->int64_data;
    case UINT32:
    case UINT64: *stored = UINT64; return tensor->uint64_data;
    default: break;
    }
    *stored = QN_INT32;
    if (small_float) *meaning = UINT16;
    return tensor->int32_data;
}

static qonnx_status copy_elements(const Onnx__TensorProto *tensor, void *to, int32_t dtype, size_t count,
                                  qonnx_error *err)
{
    int32_t     stored, meaning;
    const void *from = stored_elements(tensor, &stored, &meaning);
    void       *exact = NULL;
    size_t      at = 0, item = (size_t)qn_dtype_find(tensor->data_type)->bits / 8;
    bool        good = true;

    if (!count) return QONNX_OK;
    if (stored != tensor->data_type) { /* first the elements the tensor means, then what the input takes */
        if (!(exact = malloc(count * item))) return qn_fail_nomem(err);
        good = qn_elements_convert(exact, meaning, from, stored, count, &at);
        from = exact;
    }
    if (good && dtype == tensor->data_type)
        memcpy(to, from, count * item);
    else if (good)
        good = qn_elements_convert(to, dtype, from, tensor->data_type, count, &at);
    free(exact);
    return good ? QONNX_OK : qn_fail(err, QONNX_E_DATA, "element %zu does not fit its type", at);
}

static qonnx_status place_tensor(const Onnx__TensorProto *tensor, size_t k, const struct qn_feed_ports *want,
                                 struct qn_sample *sample, qonnx_error *err)
{
    const struct qn_port  *port = &want->ports[k];
    const struct qn_dtype *found = qn_dtype_find(tensor->data_type);
    int64_t                dims[QN_MAX_RANK];
    int32_t                dtype;
    int                    rank;
    size_t                 count;
    void                  *data;

    QN_TRY(qn_tensor_check(tensor, err));
    QN_TRY(qn_tensor_count(tensor, &count, err));
    /* Data said to be elsewhere are not counted by the check. */
    if (tensor->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL || tensor->n_external_data)
        return qn_fail(err, QONNX_E_DATA, "its data are in another file, which is not read here");
    if (!found || !qn_elements_convertible(found->type, found->type) || tensor->n_dims > QN_MAX_RANK)
        return qn_fail(err, QONNX_E_DATA, "holds %s or too many axes: it cannot be fed",
                       qn_dtype_name(tensor->data_type));
    QN_TRY(qn_fit_type(port, tensor->data_type, &dtype, want->notes, err));
    QN_TRY(qn_fit_shape(port, (int)tensor->n_dims, tensor->dims, &rank, dims, want->notes, err));
    if (!sample) return QONNX_OK;
    QN_TRY(qn_sample_place(sample, want->count, k, port->name, dtype, rank, dims, &data, err));
    return copy_elements(tensor, data, dtype, count, err);
}

qonnx_status qn_pb_read(const char *folder, size_t k, const struct qn_feed_ports *want, struct qn_sample *sample,
                        qonnx_error *err)
{
    struct qn_arena   arena = { 0 };
    struct qn_map     map = { 0 };
    ProtobufCMessage *message;
    char             *path = qn_arena_printf(&arena, "%s/input_%zu.pb", folder, k);
    qonnx_status      status = path ? qn_map_open(&map, path, false, err) : qn_fail_nomem(err);

    if (status != QONNX_OK) {
        status = status == QONNX_E_IO ? QONNX_E_DATA : status;
        if (err) err->status = status;
        qn_arena_release(&arena);
        return status;
    }
    status = qn_wire_parse(&message, &onnx__tensor_proto__descriptor, map.data, map.size, &arena, err);
    if (status == QONNX_OK) status = place_tensor((const Onnx__TensorProto *)message, k, want, sample, err);
    if (status == QONNX_E_FORMAT || status == QONNX_E_LIMIT) { /* of the data, not of the model */
        status = QONNX_E_DATA;
        if (err) err->status = status;
    }
    if (status != QONNX_OK) qn_wrap(err, status, "%s", path);
    qn_map_release(&map);
    qn_arena_release(&arena);
    return status;
}
