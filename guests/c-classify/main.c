/* Runs a classifier over generated numbers: c-classify [--fill lcg:N] [--checksum] MODEL
 *
 * As the other classifying guests, less the picture and the labels. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wasi_nn.h"

enum { ELEMENTS = 1 * 3 * 224 * 224, RANKS = 5, MODEL_BYTES_MAX = 64 << 20 };

static const uint32_t shape[4] = {1, 3, 224, 224};

/* Room for the model's input and for its answer. Static: a stack of a module is small. */
static float input[ELEMENTS];
static float output[1 << 18];

static const char *const errnos[] = {
    "success",       "invalid_argument",      "invalid_encoding", "missing_memory", "busy",
    "runtime_error", "unsupported_operation", "too_large",        "not_found",
};

/* Ends the program unless the host did what it was asked. */
static void check(const char *function, int32_t result) {
    if (result == NN_SUCCESS) return;
    bool known = result > 0 && (size_t)result < sizeof errnos / sizeof *errnos;
    fprintf(stderr, "error: %s: %s (%d)\n", function, known ? errnos[result] : "unknown", (int)result);
    exit(1);
}

static void fill(uint32_t state) {
    for (size_t i = 0; i < ELEMENTS; i++) {
        state = state * 1664525u + 1013904223u;
        input[i] = (float)(state >> 24) / 256.0f;
    }
}

/* The file's bytes; they are needed until the host has loaded them. */
static struct nn_part read_model(const char *path) {
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(MODEL_BYTES_MAX);
    size_t len = file && bytes ? fread(bytes, 1, MODEL_BYTES_MAX, file) : 0;
    if (!file || !bytes || ferror(file) || len == MODEL_BYTES_MAX) {
        fprintf(stderr, "error: cannot read %s, or it is not smaller than %d bytes\n", path, MODEL_BYTES_MAX);
        exit(1);
    }
    fclose(file);
    return (struct nn_part){bytes, (uint32_t)len};
}

static uint32_t load(const char *model) {
    uint32_t graph;
    if (strchr(model, '/')) {
        struct nn_part part = read_model(model);
        check("load", nn_load(&part, 1, NN_ONNX, NN_CPU, &graph));
        free((void *)part.bytes);
    } else {
        check("load_by_name", nn_load_by_name(model, (uint32_t)strlen(model), &graph));
    }
    return graph;
}

/* FNV-1a, 64 bits. */
static void print_checksum(size_t len) {
    const unsigned char *bytes = (const unsigned char *)output;
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++) sum = (sum ^ bytes[i]) * 0x100000001b3u;
    printf("%016llx\n", (unsigned long long)sum);
}

static void print_top(size_t classes) {
    for (int rank = 1; rank <= RANKS && (size_t)rank <= classes; rank++) {
        size_t best = 0;
        for (size_t i = 1; i < classes; i++)
            if (output[i] > output[best]) best = i;
        printf("%d  %zu  %.3f\n", rank, best, output[best]);
        output[best] = -1;
    }
}

int main(int argc, char **argv) {
    bool checksum = false;
    unsigned long seed = 7;
    const char *model = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--checksum") == 0) {
            checksum = true;
        } else if (strcmp(argv[i], "--fill") == 0 && i + 1 < argc && strncmp(argv[i + 1], "lcg:", 4) == 0) {
            seed = strtoul(argv[++i] + 4, NULL, 10);
        } else if (argv[i][0] != '-' && !model) {
            model = argv[i];
        } else {
            model = NULL;
            break;
        }
    }
    if (!model) {
        fputs("usage: c-classify [--fill lcg:N] [--checksum] MODEL\n", stderr);
        return 2;
    }
    fill((uint32_t)seed);

    uint32_t context, written;
    check("init_execution_context", nn_init_execution_context(load(model), &context));
    struct nn_tensor tensor = {shape, 4, NN_F32, input, sizeof input};
    check("set_input", nn_set_input(context, 0, &tensor));
    check("compute", nn_compute(context));
    check("get_output", nn_get_output(context, 0, output, sizeof output, &written));

    if (checksum)
        print_checksum(written);
    else
        print_top(written / sizeof *output);
    return 0;
}
