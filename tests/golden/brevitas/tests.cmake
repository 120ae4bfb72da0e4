# SPDX-License-Identifier: Apache-2.0
# Recorded numbers of Brevitas against the quantizers that carry its names.
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/test_*.c)
foreach(source IN LISTS sources)
  qn_cmocka_test(${source})
endforeach()
