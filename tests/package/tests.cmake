# SPDX-License-Identifier: Apache-2.0
# What others get: an optimised build (test e2e_package_build, a fixture of the rest) is installed into a folder of its own, and
# the examples and the README's program are built against that; Debian packages are made of it.
set(package ${CMAKE_CURRENT_LIST_DIR})
set(package_build ${CMAKE_BINARY_DIR}/package)
set(package_prefix ${CMAKE_BINARY_DIR}/package-installed)

add_test(NAME e2e_package_build
  COMMAND ${package}/build ${CMAKE_SOURCE_DIR} ${package_build} ${package_prefix} ${CMAKE_GENERATOR}
    -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DCMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER} -DQONNX_WERROR=${QONNX_WERROR})
set_tests_properties(e2e_package_build PROPERTIES FIXTURES_SETUP package TIMEOUT 600)

# package_test(NAME COMMAND...)
function(package_test name)
  add_test(NAME ${name} COMMAND ${ARGN})
  set_tests_properties(${name} PROPERTIES FIXTURES_REQUIRED package)
endfunction()

package_test(e2e_package_library_shows_the_listed_functions
  ${QN_PYTHON} -B ${package}/symbols.py ${package_build} ${package}/symbols.txt)
package_test(e2e_package_has_a_version_everywhere
  ${package}/versions ${CMAKE_SOURCE_DIR} ${package_prefix} ${PROJECT_VERSION} ${CMAKE_C_COMPILER})
if(QN_ORT)
  package_test(e2e_package_serves_programs_through_pkg_config
    ${package}/outside ${CMAKE_SOURCE_DIR} ${package_prefix} ${CMAKE_C_COMPILER})
  package_test(e2e_package_serves_projects_through_cmake
    ${package}/foreign ${CMAKE_SOURCE_DIR} ${package_prefix} ${CMAKE_C_COMPILER} ${QN_CXX})
endif()

find_program(QN_DPKG_DEB dpkg-deb)
if(QN_DPKG_DEB)
  package_test(e2e_package_debian ${package}/debian ${package_build} ${PROJECT_VERSION})
endif()

# Needs pip's index: for the build's own tools and for what the wheel depends on.
if(QN_ORT)
  add_test(NAME e2e_package_wheel
    COMMAND ${QN_PYTHON} -B ${package}/wheel.py ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR}/package-wheel
      -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DCMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER})
  set_tests_properties(e2e_package_wheel PROPERTIES TIMEOUT 600)
endif()
