# SPDX-License-Identifier: Apache-2.0
# What --dump says of the zoo's models. QONNX_UPDATE_GOLDEN=1 ctest -R golden_plan writes what is expected anew.
if(QN_ORT) # for the Python packages that come with it
  foreach(group IN ITEMS constants convolutions joins linears moves numbers structure transformers)
    foreach(view IN ITEMS plan graph)
      add_test(NAME golden_${view}_${group}
        COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/check.py $<TARGET_FILE:qonnx-quantize> ${view} ${group})
    endforeach()
  endforeach()
endif()
