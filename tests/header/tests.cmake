# SPDX-License-Identifier: Apache-2.0
# Each public header compiles alone, twice included, as strict C11 and as C++17. (Programs that use the installed ones: tests/package.)
find_program(QN_CXX NAMES c++ g++ clang++ REQUIRED)
file(GLOB headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/include/qonnx/*.h)
set(includes -I${CMAKE_SOURCE_DIR}/include -I${CMAKE_BINARY_DIR}/generated)
set(strict -fsyntax-only -pedantic -Wall -Wextra -Wshadow -Wconversion -Wundef -Werror)
foreach(header IN LISTS headers ITEMS version.h)
  get_filename_component(file ${header} NAME)
  get_filename_component(stem ${header} NAME_WE)
  set(alone ${CMAKE_CURRENT_BINARY_DIR}/header_${stem})
  foreach(extension IN ITEMS c cc)
    file(CONFIGURE OUTPUT ${alone}.${extension}
      CONTENT "#include <qonnx/${file}>\n#include <qonnx/${file}>\nint header_${stem}(void);\n")
  endforeach()
  add_test(NAME header_${stem}_is_c11
    COMMAND ${CMAKE_C_COMPILER} -std=c11 -Wstrict-prototypes ${strict} ${includes} ${alone}.c)
  add_test(NAME header_${stem}_is_cxx17 COMMAND ${QN_CXX} -std=c++17 ${strict} ${includes} ${alone}.cc)
endforeach()
