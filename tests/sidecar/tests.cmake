# SPDX-License-Identifier: Apache-2.0
# docs/sidecar.schema.json against the golden sidecar of test_report_json and against what the program writes.
if(QN_ORT)
  set(sidecar ${CMAKE_CURRENT_LIST_DIR})
  set(schema ${CMAKE_SOURCE_DIR}/docs/sidecar.schema.json)
  add_test(NAME sidecar_schema_takes_what_is_right_and_nothing_else
    COMMAND ${QN_PYTHON} -B ${sidecar}/check_schema.py ${schema} ${sidecar}/example.json)
  add_test(NAME sidecar_of_real_models_is_true_and_reproducible
    COMMAND ${QN_PYTHON} -B ${sidecar}/check_real.py $<TARGET_FILE:qonnx-quantize> ${schema} ${CMAKE_SOURCE_DIR}/models)
endif()
