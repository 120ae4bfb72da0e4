# SPDX-License-Identifier: Apache-2.0
# Comparisons with what others publish.
if(QN_ORT)
  add_executable(dump_proto ${CMAKE_CURRENT_LIST_DIR}/dump_proto.c)
  target_link_libraries(dump_proto PRIVATE qn_flags qonnx)
  add_test(NAME peer_schema_is_that_of_the_onnx_package
    COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/proto_fields.py $<TARGET_FILE:dump_proto>)
endif()
