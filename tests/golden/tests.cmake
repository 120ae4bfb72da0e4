# SPDX-License-Identifier: Apache-2.0
# Float passes against ONNX Runtime: generated models, one for each thing a pass does or must not do, and the real ones.
add_executable(run_passes ${CMAKE_CURRENT_LIST_DIR}/run_passes.c)
target_include_directories(run_passes PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(run_passes PRIVATE qn_flags qonnx)
if(QN_ORT)
  foreach(part IN ITEMS fold_cases opset_cases rewrite_cases scope_cases)
    add_test(NAME golden_pass_${part}
      COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/passes/${part}.py $<TARGET_FILE:run_passes>)
  endforeach()
  file(GLOB folders CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/models/*/model.onnx)
  list(TRANSFORM folders REPLACE "/model.onnx$" "")
  add_test(NAME golden_pass_real_models
    COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/passes/models.py $<TARGET_FILE:run_passes> ${folders})
endif()
include(${CMAKE_CURRENT_LIST_DIR}/brevitas/tests.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/plan/tests.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/exports/tests.cmake)
