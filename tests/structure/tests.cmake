# SPDX-License-Identifier: Apache-2.0
# The shape of the tree itself: what check.py says of it, and that check.py can say no.
set(structure ${CMAKE_CURRENT_LIST_DIR})
foreach(name IN ITEMS layers sizes banned spdx paths models)
  add_test(NAME structure_${name} COMMAND ${QN_PYTHON} -B ${structure}/check.py ${name} ${CMAKE_SOURCE_DIR})
endforeach()
add_test(NAME structure_symbols
  COMMAND ${QN_PYTHON} -B ${structure}/check.py symbols ${CMAKE_SOURCE_DIR} $<TARGET_FILE:qonnx>)
add_test(NAME structure_selftest COMMAND ${QN_PYTHON} -B ${structure}/selftest.py)
add_test(NAME structure_setup_selftest COMMAND ${structure}/setup_selftest ${CMAKE_SOURCE_DIR})
