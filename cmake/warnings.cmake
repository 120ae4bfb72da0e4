# SPDX-License-Identifier: Apache-2.0
# Flags for our own code only (generated protobuf code is compiled without them). No fast-math and no contraction of
# a*b+c: results are the same bytes on every build.
add_library(qn_flags INTERFACE)
target_compile_options(qn_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wmissing-prototypes -Wstrict-prototypes -Wundef -Wvla -Wno-missing-field-initializers
  -ffp-contract=off -fno-math-errno -fvisibility=hidden
  $<$<BOOL:${QONNX_WERROR}>:-Werror>)
target_compile_definitions(qn_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
if(QONNX_SANITIZE)
  # Instrumented code hides the ranges of values from gcc, which then warns of what can't be.
  target_compile_options(qn_flags INTERFACE $<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
  add_compile_options(-fsanitize=${QONNX_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${QONNX_SANITIZE})
endif()
if(QONNX_FUZZ)
  # Coverage feedback from the library too; only the targets themselves link libFuzzer's main.
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(QONNX_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
# Hardening where nothing measures or instruments the build.
target_compile_options(qn_flags INTERFACE
  $<$<CONFIG:Release,RelWithDebInfo>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=2$<SEMICOLON>-fstack-protector-strong>)
target_link_options(qn_flags INTERFACE $<$<CONFIG:Release,RelWithDebInfo>:-Wl,-z,relro,-z,now>)
