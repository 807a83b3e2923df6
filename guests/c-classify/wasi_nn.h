/* The functions of `wasi_ephemeral_nn`, numbered as the specification numbers them (a host's default dialect). */
#ifndef WASI_NN_H
#define WASI_NN_H

#include <stdint.h>

#define NN_IMPORT(name) __attribute__((import_module("wasi_ephemeral_nn"), import_name(name)))

/* What every function returns: 0, or why not. */
enum nn_errno {
    NN_SUCCESS = 0,
    NN_INVALID_ARGUMENT = 1,
    NN_INVALID_ENCODING = 2,
    NN_MISSING_MEMORY = 3,
    NN_BUSY = 4,
    NN_RUNTIME_ERROR = 5,
    NN_UNSUPPORTED_OPERATION = 6,
    NN_TOO_LARGE = 7,
    NN_NOT_FOUND = 8,
};

enum nn_tensor_type { NN_F16 = 0, NN_F32 = 1, NN_F64 = 2, NN_U8 = 3, NN_I32 = 4, NN_I64 = 5 };

enum nn_encoding {
    NN_OPENVINO = 0,
    NN_ONNX = 1,
    NN_TENSORFLOW = 2,
    NN_PYTORCH = 3,
    NN_TENSORFLOW_LITE = 4,
    NN_AUTODETECT = 5,
};

enum nn_target { NN_CPU = 0, NN_GPU = 1, NN_TPU = 2 };

/* A part of a model: a file's bytes. */
struct nn_part {
    const void *bytes;
    uint32_t bytes_len;
};

struct nn_tensor {
    const uint32_t *dimensions;
    uint32_t dimensions_len;
    uint8_t type;
    const void *data;
    uint32_t data_len;
};

_Static_assert(sizeof(struct nn_tensor) == 20, "the interface says where each field is");

/* Graphs and contexts are numbers that the host gives; they live as long as the module. */
NN_IMPORT("load")
int32_t nn_load(const struct nn_part *parts, uint32_t parts_len, uint32_t encoding, uint32_t target, uint32_t *graph);

NN_IMPORT("load_by_name")
int32_t nn_load_by_name(const char *name, uint32_t name_len, uint32_t *graph);

NN_IMPORT("init_execution_context")
int32_t nn_init_execution_context(uint32_t graph, uint32_t *context);

/* Copies the tensor; the input stays for every compute of this context until it is set anew. */
NN_IMPORT("set_input")
int32_t nn_set_input(uint32_t context, uint32_t index, const struct nn_tensor *tensor);

NN_IMPORT("compute")
int32_t nn_compute(uint32_t context);

/* `too_large` when the output does not fit. */
NN_IMPORT("get_output")
int32_t nn_get_output(uint32_t context, uint32_t index, void *buffer, uint32_t buffer_len, uint32_t *written);

#endif
