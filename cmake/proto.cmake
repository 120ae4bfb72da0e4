# SPDX-License-Identifier: Apache-2.0
find_program(PROTOC_C NAMES protoc-c REQUIRED)
set(QN_PROTO_DIR ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${QN_PROTO_DIR})
add_custom_command(
  OUTPUT ${QN_PROTO_DIR}/onnx.pb-c.c ${QN_PROTO_DIR}/onnx.pb-c.h
  COMMAND ${PROTOC_C} --proto_path=${CMAKE_SOURCE_DIR}/proto --c_out=${QN_PROTO_DIR} onnx.proto
  DEPENDS ${CMAKE_SOURCE_DIR}/proto/onnx.proto
  VERBATIM)
# Its objects become part of libqonnx.a, which is to be linked alone.
add_library(qn_proto OBJECT ${QN_PROTO_DIR}/onnx.pb-c.c ${QN_PROTO_DIR}/onnx.pb-c.h)
target_include_directories(qn_proto SYSTEM PUBLIC ${QN_PROTO_DIR})
target_link_libraries(qn_proto PUBLIC PkgConfig::libprotobuf_c)
