# SPDX-License-Identifier: Apache-2.0
# Transcripts of the command line (run.py says what they are): those here run anywhere, those in ort/ run models, those in
# without_ort/ need a system whose loader knows no ONNX Runtime, and each one in with/ needs the program that it is named
# after, which reads what --dump-options prints.
set(cli ${CMAKE_CURRENT_LIST_DIR})
add_test(NAME cli_runner_selftest COMMAND ${QN_PYTHON} -B ${cli}/selftest.py)

file(GLOB transcripts CONFIGURE_DEPENDS ${cli}/*.transcript)
if(QN_ORT)
  file(GLOB found CONFIGURE_DEPENDS ${cli}/ort/*.transcript)
  list(APPEND transcripts ${found})
endif()
execute_process(
  COMMAND ${QN_SYSTEM_PYTHON} -c "import ctypes\nfor tail in ('', '.1'):\n try: ctypes.CDLL('libonnxruntime.so' + tail); raise SystemExit(1)\n except OSError: pass"
  RESULT_VARIABLE system_has_ort)
if(NOT system_has_ort)
  file(GLOB found CONFIGURE_DEPENDS ${cli}/without_ort/*.transcript)
  list(APPEND transcripts ${found})
endif()

file(GLOB found CONFIGURE_DEPENDS ${cli}/with/*.transcript)
foreach(transcript IN LISTS found)
  get_filename_component(reader ${transcript} NAME_WE)
  # Minimized systems have a man that only says so.
  execute_process(COMMAND ${reader} --version OUTPUT_VARIABLE version ERROR_QUIET RESULT_VARIABLE status)
  if(status EQUAL 0 AND version MATCHES "${reader},? ")
    list(APPEND transcripts ${transcript})
  else()
    message(STATUS "No ${reader} here to read what --dump-options=${reader} prints: that test is left out")
  endif()
endforeach()

foreach(transcript IN LISTS transcripts)
  file(RELATIVE_PATH name ${cli} ${transcript})
  string(REGEX REPLACE "[/.]transcript$" "" name ${name})
  string(REPLACE "/" "_" name ${name})
  add_test(NAME cli_${name} COMMAND ${QN_PYTHON} -B ${cli}/run.py ${transcript})
  set_tests_properties(cli_${name} PROPERTIES ENVIRONMENT "QONNX_PROGRAM=$<TARGET_FILE:qonnx-quantize>")
endforeach()
