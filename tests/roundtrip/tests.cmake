# SPDX-License-Identifier: Apache-2.0
# From format to format and back: what Brevitas, ONNX Runtime's own quantizer and this program write.
set(roundtrip ${CMAKE_CURRENT_LIST_DIR})
add_test(NAME roundtrip_inspect_brevitas
  COMMAND ${QN_SYSTEM_PYTHON} -B ${roundtrip}/test_inspect.py $<TARGET_FILE:qonnx-quantize>)
if(QN_ORT)
  add_test(NAME roundtrip_brevitas COMMAND ${QN_PYTHON} -B ${roundtrip}/test_brevitas.py $<TARGET_FILE:qonnx-quantize>)
  add_test(NAME roundtrip_wirings COMMAND ${QN_PYTHON} -B ${roundtrip}/test_wirings.py $<TARGET_FILE:qonnx-quantize>)
  foreach(group IN ITEMS convolutions joins linears moves numbers structure)
    add_test(NAME roundtrip_zoo_${group}
      COMMAND ${QN_PYTHON} -B ${roundtrip}/test_zoo.py $<TARGET_FILE:qonnx-quantize> zoo ${group})
  endforeach()
  add_test(NAME roundtrip_io_type
    COMMAND ${QN_PYTHON} -B ${roundtrip}/test_io_type.py $<TARGET_FILE:qonnx-quantize> ${CMAKE_SOURCE_DIR}/models/mnist_resnet)
  add_test(NAME roundtrip_random COMMAND ${QN_PYTHON} -B ${roundtrip}/test_zoo.py $<TARGET_FILE:qonnx-quantize> random 0 40)
  foreach(model IN ITEMS mnist_resnet chargpt)
    add_test(NAME roundtrip_model_${model}
      COMMAND ${QN_PYTHON} -B ${roundtrip}/test_model.py $<TARGET_FILE:qonnx-quantize> ${CMAKE_SOURCE_DIR}/models/${model})
  endforeach()
endif()
