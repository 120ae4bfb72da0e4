# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where. Man page and completions are printed by the program from its option table at build time
# (target `manuals`), unless the program can't run here (cross-compiling).
include(GNUInstallDirs)

install(TARGETS qonnx ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/qonnx DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_BINARY_DIR}/generated/qonnx/version.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/qonnx)
# The file finds the prefix from its own place, so that `cmake --install --prefix` needs no other configuration.
file(RELATIVE_PATH QN_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/qonnx.pc.in ${CMAKE_BINARY_DIR}/qonnx.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/qonnx.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES LICENSE NOTICE DESTINATION ${CMAKE_INSTALL_DOCDIR})

if(TARGET qonnx-quantize)
  install(TARGETS qonnx-quantize RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
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
      install(FILES ${generated}/${file} DESTINATION ${folder})
    endforeach()
    add_custom_target(manuals ALL DEPENDS ${outputs})
  endif()
endif()
