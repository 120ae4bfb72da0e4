# SPDX-License-Identifier: Apache-2.0
# Run by cpack on the staged files: what Debian wants of each package and nobody else.
get_filename_component(here ${CMAKE_CURRENT_LIST_DIR} ABSOLUTE)
find_program(GZIP gzip REQUIRED)
string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC)

foreach(component IN LISTS CPACK_COMPONENTS_ALL)
  string(TOUPPER ${component} upper)
  set(package ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  set(root ${CPACK_TEMPORARY_DIRECTORY}/${component}/usr)
  set(documents ${root}/share/doc/${package})
  file(COPY ${here}/copyright DESTINATION ${documents}
    FILE_PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
  file(WRITE ${documents}/changelog.Debian
    "${package} (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable; urgency=medium\n\n  * Version ${CPACK_PACKAGE_VERSION}.\n\n -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
  file(GLOB texts ${documents}/changelog.Debian ${root}/share/man/man*/*)
  foreach(text IN LISTS texts)
    execute_process(COMMAND ${GZIP} -9n ${text} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
endforeach()
