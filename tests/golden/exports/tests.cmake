# SPDX-License-Identifier: Apache-2.0
# Recipes: our file from a float model is Brevitas' own export of it, in each format.
if(QN_ORT)
  foreach(format IN ITEMS qcdq qcdq_qw qonnx qop)
    add_test(NAME golden_exports_${format}
      COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/check.py $<TARGET_FILE:qonnx-quantize> ${format})
  endforeach()
  add_test(NAME golden_exports_figures
    COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/figures.py $<TARGET_FILE:qonnx-quantize>)
  add_test(NAME golden_exports_selftest COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/selftest.py)
endif()
