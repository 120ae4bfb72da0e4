# SPDX-License-Identifier: Apache-2.0
# The documents: docs/options.md is what the option table says, every command that they show works, every link leads somewhere;
# the reference of the library's functions is complete.
set(documents ${CMAKE_CURRENT_LIST_DIR})
add_test(NAME docs_links_and_paths_lead_somewhere COMMAND ${QN_PYTHON} -B ${documents}/links.py ${CMAKE_SOURCE_DIR})
add_test(NAME e2e_docs_options_are_those_of_the_table
  COMMAND ${documents}/options ${CMAKE_SOURCE_DIR} $<TARGET_FILE:qonnx-quantize>)
add_test(NAME docs_help_manual_and_completions_know_the_same_options
  COMMAND ${QN_PYTHON} -B ${documents}/table.py $<TARGET_FILE:qonnx-quantize>)
add_test(NAME docs_container_and_action_name_what_there_is COMMAND ${QN_PYTHON} -B ${documents}/container.py ${CMAKE_SOURCE_DIR})
if(QN_ORT)
  add_test(NAME e2e_docs_commands_work
    COMMAND ${QN_PYTHON} -B ${documents}/commands.py ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/package-installed/bin/qonnx-quantize)
  set_tests_properties(e2e_docs_commands_work PROPERTIES FIXTURES_REQUIRED package) # installed by e2e_package_build
endif()

find_program(QN_DOXYGEN doxygen)
if(QN_DOXYGEN)
  add_test(NAME docs_reference_of_functions_is_complete
    COMMAND ${documents}/reference ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/reference ${QN_DOXYGEN})
else()
  message(STATUS "No doxygen here: the reference of the library's functions is not checked")
endif()
