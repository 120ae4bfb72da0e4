# SPDX-License-Identifier: Apache-2.0
# qn_registry(NAME MACRO FOLDER EXCLUDE): writes generated/NAME.def with one line MACRO(file) for each FOLDER/*.c but
# EXCLUDE.c, sorted. A source includes it twice, to declare and to list. A file without the promised symbol is a link error.
function(qn_registry name macro folder exclude)
  file(GLOB files CONFIGURE_DEPENDS ${folder}/*.c)
  list(SORT files)
  set(text "")
  foreach(file IN LISTS files)
    get_filename_component(stem ${file} NAME_WE)
    if(NOT stem IN_LIST exclude)
      string(APPEND text "${macro}(${stem})\n")
    endif()
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/${name}.def CONTENT "${text}" @ONLY)
endfunction()
