# SPDX-License-Identifier: Apache-2.0
# What tests find on this machine, for the tests.cmake files beside this one:
#   QN_PYTHON       a Python 3; with QN_ORT set it has onnxruntime, onnx, numpy and jsonschema
#   QN_ORT          the ONNX Runtime library, which every test also gets as QONNX_ORT; empty if there is none. Tests that
#                   run models are added only with it: no test is ever skipped while running
# qn_finish_tests() gives all tests of this folder their common environment.
set(QONNX_PYTHON "" CACHE FILEPATH "Python with onnxruntime, onnx, numpy and jsonschema (default: build/python, python3)")

find_program(QN_SYSTEM_PYTHON NAMES python3 REQUIRED)
set(QN_PYTHON ${QN_SYSTEM_PYTHON})
if(QONNX_PYTHON)
  set(QN_PYTHON ${QONNX_PYTHON})
elseif(EXISTS ${CMAKE_SOURCE_DIR}/build/python/bin/python)
  set(QN_PYTHON ${CMAKE_SOURCE_DIR}/build/python/bin/python)
endif()

execute_process(
  COMMAND ${QN_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/find_ort.py
  OUTPUT_VARIABLE QN_ORT OUTPUT_STRIP_TRAILING_WHITESPACE
  ERROR_VARIABLE error RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  set(QN_ORT "")
  if(QONNX_PYTHON)
    message(FATAL_ERROR "QONNX_PYTHON=${QONNX_PYTHON}: ${error}")
  endif()
  message(STATUS "Tests that run models are left out; scripts/test gets what they need (${QN_PYTHON}: ${error})")
endif()

function(qn_finish_tests)
  get_property(tests DIRECTORY PROPERTY TESTS)
  set(common
    "ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1"
    "LSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/lsan.supp:print_suppressions=0"
    "UBSAN_OPTIONS=print_stacktrace=1")
  if(QN_ORT)
    list(APPEND common "QONNX_ORT=${QN_ORT}")
  endif()
  foreach(test IN LISTS tests)
    # The test's own settings come last, so that they win.
    get_property(own TEST ${test} PROPERTY ENVIRONMENT)
    get_property(timeout TEST ${test} PROPERTY TIMEOUT)
    if(NOT timeout)
      set(timeout 300)
    endif()
    set_tests_properties(${test} PROPERTIES ENVIRONMENT "${common};${own}" TIMEOUT ${timeout})
    # cmocka's skip() leaves exit status 0; here a skipped test has failed.
    set_property(TEST ${test} APPEND PROPERTY FAIL_REGULAR_EXPRESSION "\\[  SKIPPED \\]")
  endforeach()
endfunction()
