# SPDX-License-Identifier: Apache-2.0
# The program from end to end, judged in ONNX Runtime: the zoo's models (zoo/), the bundled ones, and what the program promises.
if(QN_ORT)
  foreach(group IN ITEMS constants convolutions joins linears moves numbers structure transformers)
    add_test(NAME e2e_zoo_${group} COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_zoo.py $<TARGET_FILE:qonnx-quantize> ${group})
  endforeach()
  foreach(preset IN ITEMS int8-weights int8-dynamic int4 int2 fp16 bf16 fp8)
    add_test(NAME e2e_weights_${preset} COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_weights.py $<TARGET_FILE:qonnx-quantize> ${preset})
  endforeach()
  add_test(NAME e2e_selection
    COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_selection.py $<TARGET_FILE:qonnx-quantize> ${CMAKE_SOURCE_DIR}/models/chargpt)
  add_test(NAME e2e_budget
    COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_budget.py $<TARGET_FILE:qonnx-quantize> ${CMAKE_SOURCE_DIR}/models/chargpt)
  add_test(NAME e2e_forecast
    COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_forecast.py $<TARGET_FILE:qonnx-quantize> ${CMAKE_SOURCE_DIR}/models/mnist_resnet ${CMAKE_SOURCE_DIR}/models/chargpt)
  add_test(NAME e2e_halves COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_halves.py $<TARGET_FILE:qonnx-quantize>)
  add_test(NAME e2e_files COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_files.py $<TARGET_FILE:qonnx-quantize>)
  add_test(NAME e2e_statistics COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_statistics.py $<TARGET_FILE:qonnx-quantize> ${CMAKE_SOURCE_DIR}/models/mnist_resnet)
  add_test(NAME e2e_ranges
    COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_ranges.py $<TARGET_FILE:qonnx-quantize> ${CMAKE_SOURCE_DIR}/models/mnist_resnet ${CMAKE_SOURCE_DIR}/docs/sidecar.schema.json)
  add_test(NAME e2e_masks COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_masks.py $<TARGET_FILE:qonnx-quantize>)
  add_test(NAME e2e_versions COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_versions.py $<TARGET_FILE:qonnx-quantize>)
  add_test(NAME e2e_random COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_random.py $<TARGET_FILE:qonnx-quantize> 0 100)
  add_test(NAME e2e_bench_models # the script stays in working order
    COMMAND ${QN_PYTHON} -B ${CMAKE_SOURCE_DIR}/bench/models.py --program $<TARGET_FILE:qonnx-quantize> --limit 2 --pairs 3)
  add_test(NAME e2e_bench_weights # and this one, with or without what onnxruntime's quantizers need
    COMMAND ${QN_PYTHON} -B ${CMAKE_SOURCE_DIR}/bench/weights.py --program $<TARGET_FILE:qonnx-quantize> --limit 4)
  add_test(NAME e2e_bench_runtimes # so does this one; what other runtimes say is not for tests to depend on
    COMMAND ${QN_PYTHON} -B ${CMAKE_SOURCE_DIR}/bench/runtimes.py --program $<TARGET_FILE:qonnx-quantize> --limit 2 --pairs 3 mnist_resnet)
  add_test(NAME e2e_rivals COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_rivals.py $<TARGET_FILE:qonnx-quantize>)
  add_test(NAME e2e_bench_scale
    COMMAND ${QN_PYTHON} -B ${CMAKE_SOURCE_DIR}/bench/scale.py --program $<TARGET_FILE:qonnx-quantize> --parts large,same --scale 0.03 --rounds 1 --no-rivals --no-bars)
  add_test(NAME e2e_saturation
    COMMAND ${QN_PYTHON} -B ${CMAKE_SOURCE_DIR}/bench/saturation.py --program $<TARGET_FILE:qonnx-quantize> --samples 32)
  foreach(model IN ITEMS mnist_resnet chargpt)
    add_test(NAME e2e_model_${model}
      COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_models.py $<TARGET_FILE:qonnx-quantize> ${CMAKE_SOURCE_DIR}/models/${model})
  endforeach()
  add_test(NAME e2e_targets
    COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_targets.py $<TARGET_FILE:qonnx-quantize> ${CMAKE_SOURCE_DIR}/models/mnist_resnet ${CMAKE_SOURCE_DIR}/models/chargpt)
  foreach(promised IN ITEMS promises reports)
    add_test(NAME e2e_${promised}
      COMMAND ${QN_PYTHON} -B ${CMAKE_CURRENT_LIST_DIR}/test_${promised}.py $<TARGET_FILE:qonnx-quantize> ${CMAKE_SOURCE_DIR}/models/mnist_resnet)
  endforeach()
endif()
