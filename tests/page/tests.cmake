# SPDX-License-Identifier: Apache-2.0
# The script of the HTML report, run outside of a browser.
find_program(QN_NODE NAMES node nodejs)
if(QN_ORT AND QN_NODE)
  set(page ${CMAKE_CURRENT_BINARY_DIR}/page)
  file(MAKE_DIRECTORY ${page})
  add_test(NAME page_is_made COMMAND qonnx-quantize ${CMAKE_SOURCE_DIR}/models/mnist_resnet/model.onnx ${page}/out.onnx
    --calib ${CMAKE_SOURCE_DIR}/models/mnist_resnet/calib.npz --report ${page}/report.html)
  add_test(NAME page_script_runs COMMAND ${QN_NODE} ${CMAKE_CURRENT_LIST_DIR}/run.cjs ${page}/report.html)
  set_tests_properties(page_is_made PROPERTIES FIXTURES_SETUP page ENVIRONMENT "QONNX_ORT=${QN_ORT}")
  set_tests_properties(page_script_runs PROPERTIES FIXTURES_REQUIRED page)
elseif(NOT QN_NODE)
  message(STATUS "No node here to run the script of the HTML report: that test is left out")
endif()
