# SPDX-License-Identifier: Apache-2.0
# What goes wrong around us: hostile files, a full disk, failing system calls and allocations.
file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/test_*.c)
foreach(source IN LISTS sources)
  qn_cmocka_test(${source})
endforeach()

# The library is static, so the linker can put a double in front of each call it makes (glibc's names with 64-bit offsets).
foreach(call IN ITEMS malloc calloc realloc strdup strndup write fsync fchmod close rename read mmap64 fstat64)
  target_link_options(test_system_calls PRIVATE -Wl,--wrap=${call})
endforeach()

if(TARGET qonnx-quantize)
  add_test(NAME program_faults
    COMMAND ${QN_PYTHON} ${CMAKE_CURRENT_LIST_DIR}/program.py $<TARGET_FILE:qonnx-quantize> ${CMAKE_SOURCE_DIR})
endif()
