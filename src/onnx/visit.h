/* SPDX-License-Identifier: Apache-2.0
 * Walks protobuf-c messages by their descriptors. */
#ifndef QN_ONNX_VISIT_H
#define QN_ONNX_VISIT_H

#include <protobuf-c/protobuf-c.h>

#include "base/status.h"
#include "onnx.pb-c.h"

typedef qonnx_status (*qn_message_fn)(ProtobufCMessage *message, void *context, qonnx_error *err);
typedef qonnx_status (*qn_tensor_fn)(Onnx__TensorProto *tensor, void *context, qonnx_error *err);

/* Calls fn for a message and all those in it, the outer ones first, in field order. Ends at the first failure. Recursion
 * is as deep as the message, which qn_wire_parse() limits. */
QONNX_MUST_CHECK qonnx_status qn_visit_messages(ProtobufCMessage *message, qn_message_fn fn, void *context,
                                                qonnx_error *err);
/* The same for every TensorProto: initializers, sparse ones, attributes, nested graphs, functions, training info. */
QONNX_MUST_CHECK qonnx_status qn_visit_tensors(ProtobufCMessage *message, qn_tensor_fn fn, void *context,
                                               qonnx_error *err);

#endif
