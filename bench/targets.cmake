# SPDX-License-Identifier: Apache-2.0
# What the scripts here compare with; built on demand: cmake --build BUILD --target bench_samples
add_executable(bench_samples EXCLUDE_FROM_ALL ${CMAKE_CURRENT_LIST_DIR}/samples.c)
target_include_directories(bench_samples PRIVATE ${CMAKE_SOURCE_DIR}/src)
target_link_libraries(bench_samples PRIVATE qn_flags qonnx)
