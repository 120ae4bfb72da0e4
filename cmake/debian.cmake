# SPDX-License-Identifier: Apache-2.0
# `cpack` in a build folder of preset "deb" makes three Debian packages: the program, which needs no library of ours, the
# shared library, and what programs are built with. ONNX Runtime is loaded when it is there: no dependency.
# Who publishes them gives an address: cmake --preset deb -DQONNX_PACKAGER="Name <address>"
set(QONNX_PACKAGER "the qonnx-quantize authors <qonnx-quantize@localhost>" CACHE STRING "Maintainer of Debian packages")
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME qonnx-quantize)
set(CPACK_PACKAGE_VENDOR "the qonnx-quantize authors")
set(CPACK_PACKAGE_CONTACT ${QONNX_PACKAGER})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL program library development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/debian/stage.cmake)

set(about "qonnx-quantize reads a float ONNX model, watches it work on samples of real\ninputs and writes a model that computes on 8-bit integers.")
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME qonnx-quantize)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SUGGESTS python3-onnxruntime)
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION
  "quantizer of ONNX models\n${about} This is\nthe program; to calibrate it loads ONNX Runtime 1.19 or later.")

set(CPACK_DEBIAN_LIBRARY_PACKAGE_NAME libqonnx${QN_SOVERSION})
set(CPACK_DEBIAN_LIBRARY_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_LIBRARY_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/cmake/debian/triggers)
set(CPACK_COMPONENT_LIBRARY_DESCRIPTION "quantizer of ONNX models - shared library\n${about} This is\nits library.")

# pkg-config names of dependencies.cmake, as Debian calls them
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libqonnx-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS OFF)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libqonnx${QN_SOVERSION} (= ${PROJECT_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}), libprotobuf-c-dev, libjansson-dev, libzip-dev, libxxhash-dev, libssl-dev, libjpeg-dev, libpng-dev")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION
  "quantizer of ONNX models - development files\n${about} This is\nwhat programs are built with that use its library.")
include(CPack)
