/* SPDX-License-Identifier: Apache-2.0
 * The few functions of ONNX Runtime's C interface that this project calls, by their place in its table. The table only
 * ever grows at its end, so a place is good for every later release. No header of ONNX Runtime is needed.
 * For ort*.c only. */
#ifndef QN_RUN_ORT_API_H
#define QN_RUN_ORT_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct ort_status;
struct ort_env;
struct ort_session;
struct ort_options;
struct ort_memory;
struct ort_value;
struct ort_shape; /* type and shape of a tensor */
struct ort_domain;
struct ort_context;
struct ort_kernel_info;
struct ort_custom_op;

enum {
    ORT_NEEDED_API = 12, /* AddExternalInitializers */
    ORT_KNOWN_API = 23,  /* we ask for no more than this */
    ORT_LOG_FATAL = 4,
    ORT_SEQUENTIAL = 0,
    ORT_LEVEL_NONE = 0,
    ORT_LEVEL_ALL = 99,
};

/* X(name, place, result, arguments). A result of ort_status is NULL on success. */
#define ORT_FUNCTIONS(X)                                                                                               \
    X(create_status, 0, struct ort_status *, (int code, const char *text))                                             \
    X(error_code, 1, int, (const struct ort_status *))                                                                 \
    X(error_message, 2, const char *, (const struct ort_status *))                                                     \
    X(create_env, 3, struct ort_status *, (int level, const char *id, struct ort_env **))                              \
    X(create_session_from_array, 8, struct ort_status *,                                                               \
      (const struct ort_env *, const void *, size_t, const struct ort_options *, struct ort_session **))               \
    X(run, 9, struct ort_status *,                                                                                     \
      (struct ort_session *, const void *run_options, const char *const *input_names,                                  \
       const struct ort_value *const *inputs, size_t input_count, const char *const *output_names,                     \
       size_t output_count, struct ort_value **outputs))                                                               \
    X(create_options, 10, struct ort_status *, (struct ort_options **))                                                \
    X(set_optimized_model_path, 11, struct ort_status *, (struct ort_options *, const char *))                         \
    X(set_execution_mode, 13, struct ort_status *, (struct ort_options *, int))                                        \
    X(set_log_level, 22, struct ort_status *, (struct ort_options *, int))                                             \
    X(set_optimization, 23, struct ort_status *, (struct ort_options *, int))                                          \
    X(set_intra_threads, 24, struct ort_status *, (struct ort_options *, int))                                         \
    X(set_inter_threads, 25, struct ort_status *, (struct ort_options *, int))                                         \
    X(create_domain, 26, struct ort_status *, (const char *, struct ort_domain **))                                    \
    X(domain_add, 27, struct ort_status *, (struct ort_domain *, const struct ort_custom_op *))                        \
    X(add_domain, 28, struct ort_status *, (struct ort_options *, struct ort_domain *))                                \
    X(create_tensor, 49, struct ort_status *,                                                                          \
      (const struct ort_memory *, void *, size_t, const int64_t *, size_t, int type, struct ort_value **))             \
    X(is_tensor, 50, struct ort_status *, (const struct ort_value *, int *))                                           \
    X(tensor_data, 51, struct ort_status *, (struct ort_value *, void **))                                             \
    X(shape_type, 60, struct ort_status *, (const struct ort_shape *, int *))                                          \
    X(shape_rank, 61, struct ort_status *, (const struct ort_shape *, size_t *))                                       \
    X(shape_dims, 62, struct ort_status *, (const struct ort_shape *, int64_t *, size_t))                              \
    X(tensor_shape, 65, struct ort_status *, (const struct ort_value *, struct ort_shape **))                          \
    X(create_cpu_memory, 69, struct ort_status *, (int allocator, int memory, struct ort_memory **))                   \
    X(attribute_int, 86, struct ort_status *, (const struct ort_kernel_info *, const char *, int64_t *))               \
    X(context_input, 90, struct ort_status *, (const struct ort_context *, size_t, const struct ort_value **))         \
    X(context_output, 91, struct ort_status *,                                                                         \
      (struct ort_context *, size_t, const int64_t *dims, size_t rank, struct ort_value **))                          \
    X(release_env, 92, void, (struct ort_env *))                                                                       \
    X(release_status, 93, void, (struct ort_status *))                                                                 \
    X(release_memory, 94, void, (struct ort_memory *))                                                                 \
    X(release_session, 95, void, (struct ort_session *))                                                               \
    X(release_value, 96, void, (struct ort_value *))                                                                   \
    X(release_shape, 99, void, (struct ort_shape *))                                                                   \
    X(release_options, 100, void, (struct ort_options *))                                                              \
    X(release_domain, 101, void, (struct ort_domain *))                                                                \
    X(add_config, 130, struct ort_status *, (struct ort_options *, const char *, const char *))                        \
    X(add_initializer, 150, struct ort_status *, (struct ort_options *, const char *, const struct ort_value *))       \
    X(add_external, 210, struct ort_status *,                                                                          \
      (struct ort_options *, const char *const *, const struct ort_value *const *, size_t))

struct ort_api {
#define X(name, place, result, arguments) result(*name) arguments;
    ORT_FUNCTIONS(X)
#undef X
    uint32_t    api_version; /* of the table asked for */
    const char *version;     /* "1.31.1" */
};

/* The table of the first library found; where it looks is told in runner.h (qn_ort_load). The library stays loaded. */
QONNX_MUST_CHECK qonnx_status qn_ort_api_load(struct ort_api *api, const char *path, qonnx_error *err);

/* What a custom operator is to the runtime. Members behind `output_kind` are read only from the version on that is
 * noted. */
struct ort_custom_op {
    uint32_t version;
    void *(*create_kernel)(const struct ort_custom_op *, const void *api, const struct ort_kernel_info *);
    const char *(*name)(const struct ort_custom_op *);
    const char *(*provider)(const struct ort_custom_op *);
    int (*input_type)(const struct ort_custom_op *, size_t);
    size_t (*input_count)(const struct ort_custom_op *);
    int (*output_type)(const struct ort_custom_op *, size_t);
    size_t (*output_count)(const struct ort_custom_op *);
    void (*compute)(void *kernel, struct ort_context *);
    void (*destroy)(void *kernel);
    int (*input_kind)(const struct ort_custom_op *, size_t);
    int (*output_kind)(const struct ort_custom_op *, size_t);
    int (*input_memory)(const struct ort_custom_op *, size_t); /* 13 */
    int (*variadic_input_min)(const struct ort_custom_op *);   /* 14 */
    int (*variadic_input_same)(const struct ort_custom_op *);
    int (*variadic_output_min)(const struct ort_custom_op *);
    int (*variadic_output_same)(const struct ort_custom_op *);
    struct ort_status *(*create_kernel2)(const struct ort_custom_op *, const void *api, const struct ort_kernel_info *,
                                         void **kernel); /* 16 */
    struct ort_status *(*compute2)(void *kernel, struct ort_context *);
    struct ort_status *(*infer_shapes)(const struct ort_custom_op *, void *context); /* 17 */
    int (*start_version)(const struct ort_custom_op *);
    int (*end_version)(const struct ort_custom_op *);
};
enum { ORT_CUSTOM_OP_VERSION = 17 };

#endif
