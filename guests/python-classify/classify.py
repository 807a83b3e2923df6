"""Runs a classifier over generated numbers: python-classify [--fill lcg:N] [--checksum] MODEL

As the other classifying guests, less the picture and the labels.
"""

import struct
import sys

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import graph
from wit_world.imports.tensor import Tensor, TensorType

USAGE = "usage: python-classify [--fill lcg:N] [--checksum] MODEL"
SHAPE = [1, 3, 224, 224]
ELEMENTS = 1 * 3 * 224 * 224
RANKS = 5


def fill(state):
    """The input's bytes, from a generator that every language can write."""
    values = []
    for _ in range(ELEMENTS):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        values.append((state >> 24) / 256)
    return struct.pack(f"<{ELEMENTS}f", *values)


def checksum(data):
    """FNV-1a, 64 bits."""
    total = 0xCBF29CE484222325
    for byte in data:
        total = ((total ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{total:016x}"


def load(model):
    """By name; or, with a slash in it, the bytes of a file that the host lets this guest see."""
    if "/" not in model:
        return graph.load_by_name(model)
    with open(model, "rb") as file:
        parts = [file.read()]
    return graph.load(parts, graph.GraphEncoding.ONNX, graph.ExecutionTarget.CPU)


def infer(model, data):
    """The bytes of the first output."""
    # `with` gives a resource back at once; without it, that is when the last name of it goes.
    with load(model) as loaded, loaded.init_execution_context() as context:
        # An input's name, or its place among the model's inputs, in decimal.
        outputs = context.compute([("0", Tensor(SHAPE, TensorType.FP32, data))])
        with outputs[0][1] as output:
            return output.data()


def show(output, as_checksum):
    if as_checksum:
        print(checksum(output))
        return
    values = [value for (value,) in struct.iter_unpack("<f", output)]
    ranked = sorted(enumerate(values), key=lambda item: -item[1])
    for rank, (label, value) in enumerate(ranked[:RANKS], 1):
        print(f"{rank}  {label}  {value:.3f}")


def parse(arguments):
    """(model, seed, checksum), or None for arguments that make no sense."""
    model, seed, as_checksum = None, 7, False
    rest = iter(arguments)
    for argument in rest:
        if argument == "--checksum":
            as_checksum = True
        elif argument == "--fill":
            kind, _, number = next(rest, "").partition(":")
            if kind != "lcg" or not number.isdecimal():
                return None
            seed = int(number) & 0xFFFFFFFF
        elif argument.startswith("-") or model is not None:
            return None
        else:
            model = argument
    return model and (model, seed, as_checksum)


class Run(exports.Run):
    """wasi:cli/run: a host calls it once."""

    def run(self):
        options = parse(sys.argv[1:])
        if options is None:
            print(USAGE, file=sys.stderr)
            raise Err(None)
        model, seed, as_checksum = options
        try:
            show(infer(model, fill(seed)), as_checksum)
        except Err as error:
            # wasi:nn's errors are resources with a code and a text.
            code = error.value.code().name.lower().replace("_", "-")
            print(f"error: {code}: {error.value.data()}", file=sys.stderr)
            raise Err(None) from None
        except OSError as error:
            print(f"error: {error}", file=sys.stderr)
            raise Err(None) from None
