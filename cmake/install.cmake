# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where, in components that Debian's packages are made of: program, library, development. The one
# called python is the Python package's and installed only when it is asked for.
# Man page and completions are printed by the program from its option table at build time (target `manuals`), unless the
# program can't run here (cross-compiling).
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(TARGETS qonnx ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(TARGETS qonnx_shared EXPORT qonnxTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY include/qonnx DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_BINARY_DIR}/generated/qonnx/version.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/qonnx COMPONENT development)

# Both find the prefix from their own place, so that `cmake --install --prefix` needs no other configuration.
file(RELATIVE_PATH QN_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/qonnx.pc.in ${CMAKE_BINARY_DIR}/qonnx.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/qonnx.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/qonnx)
configure_package_config_file(cmake/qonnxConfig.cmake.in ${CMAKE_BINARY_DIR}/qonnxConfig.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/qonnxConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/qonnxConfig.cmake ${CMAKE_BINARY_DIR}/qonnxConfigVersion.cmake
  DESTINATION ${package} COMPONENT development)
install(EXPORT qonnxTargets NAMESPACE qonnx:: DESTINATION ${package} COMPONENT development)
install(FILES LICENSE NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT licence)

install(TARGETS qonnx-quantize RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
# A wheel holds no links, so the library has one plain name there.
install(PROGRAMS $<TARGET_FILE:qonnx_shared> DESTINATION . RENAME libqonnx.so COMPONENT python EXCLUDE_FROM_ALL)
install(PROGRAMS $<TARGET_FILE:qonnx-quantize> DESTINATION . COMPONENT python EXCLUDE_FROM_ALL)

if(NOT CMAKE_CROSSCOMPILING)
  set(generated ${CMAKE_BINARY_DIR}/share)
  file(MAKE_DIRECTORY ${generated})
  # kind, file name, folder
  set(manuals
    "man\;qonnx-quantize.1\;${CMAKE_INSTALL_MANDIR}/man1"
    "bash\;qonnx-quantize\;${CMAKE_INSTALL_DATADIR}/bash-completion/completions"
    "zsh\;_qonnx-quantize\;${CMAKE_INSTALL_DATADIR}/zsh/site-functions"
    "fish\;qonnx-quantize.fish\;${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
  set(outputs "")
  foreach(manual IN LISTS manuals)
    list(GET manual 0 kind)
    list(GET manual 1 file)
    list(GET manual 2 folder)
    add_custom_command(OUTPUT ${generated}/${file}
      COMMAND qonnx-quantize --dump-options=${kind} > ${generated}/${file}.new
      COMMAND ${CMAKE_COMMAND} -E rename ${generated}/${file}.new ${generated}/${file}
      DEPENDS qonnx-quantize VERBATIM)
    list(APPEND outputs ${generated}/${file})
    install(FILES ${generated}/${file} DESTINATION ${folder} COMPONENT program)
  endforeach()
  add_custom_target(manuals ALL DEPENDS ${outputs})
endif()
