# SPDX-License-Identifier: Apache-2.0
# What only a real ONNX Runtime can show.
if(QN_ORT)
  qn_cmocka_test(runtime/test_ort.c)
  qn_cmocka_test(runtime/test_ort_calibrate.c)
endif()
