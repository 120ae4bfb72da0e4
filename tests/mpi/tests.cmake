# SPDX-License-Identifier: Apache-2.0
# Calibration under an MPI launcher, in builds that have it (QONNX_MPI).
if(QONNX_MPI AND QN_ORT)
  set(mpi ${CMAKE_CURRENT_LIST_DIR})
  add_test(NAME mpi_calibrate
    COMMAND ${QN_PYTHON} -B ${mpi}/test_mpi.py $<TARGET_FILE:qonnx-quantize> ${MPIEXEC_EXECUTABLE} ${CMAKE_SOURCE_DIR}/models/mnist_resnet)
  # The launcher of Open MPI (from version 5 on with other names) wants to be told that root is meant, and that there may be more ranks than processors. MPI keeps some of
  # what its modules allocate, and unloads these, so that no leak can be told from another.
  set_tests_properties(mpi_calibrate PROPERTIES LABELS mpi TIMEOUT 600 ENVIRONMENT
    "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMPI_MCA_rmaps_base_oversubscribe=1;PRTE_ALLOW_RUN_AS_ROOT=1;PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1;PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe;ASAN_OPTIONS=detect_leaks=0:strict_string_checks=1:detect_stack_use_after_return=1")
endif()
