"""Makes the tiny ONNX models of the tests, in models/tiny/.

    python3 generate.py            write them
    python3 generate.py --check    exit 1 if a file is missing, stale or not ours

Each is one operator or two: what a test needs to know is what a model *does*,
so each function's docstring says it. Only the standard library is used, and the
bytes depend on nothing but this file and onnx_writer.py.
"""

import os
import struct
import sys

import onnx_writer as onnx
from onnx_writer import graph, node, tensor, value_info

BYTES_MAX = 2048
PRODUCER = "models/generate.py"
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tiny")

IDENTITIES = {
    "fp16": onnx.FLOAT16,
    "fp32": onnx.FLOAT,
    "fp64": onnx.DOUBLE,
    "bf16": onnx.BFLOAT16,
    "u8": onnx.UINT8,
    "i32": onnx.INT32,
    "i64": onnx.INT64,
}

# What one turn of slow-f32's loop multiplies: two square matrices of this width.
SLOW_WIDTH = 64


def identity(name, element_type, dims=("N",)):
    """output = input."""
    return graph(
        name,
        [node("Identity", ["input"], ["output"])],
        [value_info("input", element_type, dims)],
        [value_info("output", element_type, dims)],
    )


def pass_through():
    """negated = -input, and the input itself as the second output, each f32[2]."""
    return graph(
        "pass-through",
        [node("Neg", ["input"], ["negated"])],
        [value_info("input", onnx.FLOAT, (2,))],
        [value_info("negated", onnx.FLOAT, (2,)), value_info("input", onnx.FLOAT, (2,))],
    )


def add():
    """c = a + b, each f32[N]."""
    return graph(
        "add-f32",
        [node("Add", ["a", "b"], ["c"])],
        [value_info("a", onnx.FLOAT, ("N",)), value_info("b", onnx.FLOAT, ("N",))],
        [value_info("c", onnx.FLOAT, ("N",))],
    )


def slow():
    """output = value, after `iterations` (i64, rank 0) matrix products of work.

    The work's result takes part in the output (times zero), so that no
    optimiser may drop it; the product of the two averages is their average again,
    so that it stays finite.
    """
    body = graph(
        "work",
        [
            node("MatMul", ["state", "matrix"], ["product"]),
            node("Identity", ["going"], ["going_on"]),
        ],
        [
            value_info("turn", onnx.INT64, ()),
            value_info("going", onnx.BOOL, ()),
            value_info("state", onnx.FLOAT, (SLOW_WIDTH, SLOW_WIDTH)),
        ],
        [
            value_info("going_on", onnx.BOOL, ()),
            value_info("product", onnx.FLOAT, (SLOW_WIDTH, SLOW_WIDTH)),
        ],
    )
    return graph(
        "slow-f32",
        [
            node("Expand", ["cell", "square"], ["matrix"]),
            node("Loop", ["iterations", "yes", "matrix"], ["state_last"], body=body),
            node("ReduceSum", ["state_last"], ["sum"], keepdims=0),
            node("Mul", ["sum", "zero"], ["nothing"]),
            node("Add", ["value", "nothing"], ["output"]),
        ],
        [value_info("iterations", onnx.INT64, ()), value_info("value", onnx.FLOAT, ("N",))],
        [value_info("output", onnx.FLOAT, ("N",))],
        [
            tensor("cell", onnx.FLOAT, (1, 1), struct.pack("<f", 1 / SLOW_WIDTH)),
            tensor("square", onnx.INT64, (2,), struct.pack("<2q", SLOW_WIDTH, SLOW_WIDTH)),
            tensor("yes", onnx.BOOL, (), b"\x01"),
            tensor("zero", onnx.FLOAT, (), struct.pack("<f", 0.0)),
        ],
    )


def split_dynamic():
    """indices = the positions of the non-zero elements of f32[N], as i64[1,M].

    M depends on the data, so that nobody can allocate the output beforehand.
    """
    return graph(
        "split-dynamic",
        [node("NonZero", ["input"], ["indices"])],
        [value_info("input", onnx.FLOAT, ("N",))],
        [value_info("indices", onnx.INT64, (1, "M"))],
    )


def two_outputs():
    """negated = -input (f32[N]) and total = the sum of input (f32, rank 0)."""
    return graph(
        "two-outputs",
        [
            node("Neg", ["input"], ["negated"]),
            node("ReduceSum", ["input"], ["total"], keepdims=0),
        ],
        [value_info("input", onnx.FLOAT, ("N",))],
        [value_info("negated", onnx.FLOAT, ("N",)), value_info("total", onnx.FLOAT, ())],
    )


def scalar():
    """output = -input, both f32 of rank 0."""
    return graph(
        "scalar",
        [node("Neg", ["input"], ["output"])],
        [value_info("input", onnx.FLOAT, ())],
        [value_info("output", onnx.FLOAT, ())],
    )


def models():
    """Every file: {name: bytes}."""
    graphs = {
        "echo-f32": identity("echo-f32", onnx.FLOAT),
        "add-f32": add(),
        "slow-f32": slow(),
        "split-dynamic": split_dynamic(),
        "two-outputs": two_outputs(),
        "scalar": scalar(),
        # Twelve MiB an image, back and forth: what copies cost shows here.
        "pass-through": pass_through(),
        "picture-f32": identity("picture-f32", onnx.FLOAT, (1, 3, 224, 224)),
        "big-f32": identity("big-f32", onnx.FLOAT, ("N", 3, 1024, 1024)),
    }
    for suffix, element_type in IDENTITIES.items():
        graphs[f"identity-{suffix}"] = identity(f"identity-{suffix}", element_type)
    return {f"{name}.onnx": onnx.model(item, PRODUCER) for name, item in graphs.items()}


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def check(wanted):
    """Returns what is wrong with the folder, a line each."""
    present = set(os.listdir(FOLDER)) if os.path.isdir(FOLDER) else set()
    findings = [f"{name}: not made by generate.py" for name in sorted(present - set(wanted))]
    for name, content in sorted(wanted.items()):
        if len(content) > BYTES_MAX:
            findings.append(f"{name}: {len(content)} bytes, expected at most {BYTES_MAX}")
        if read(os.path.join(FOLDER, name)) != content:
            findings.append(f"{name}: missing or stale")
    return findings


def main():
    arguments = sys.argv[1:]
    if arguments not in ([], ["--check"]):
        raise SystemExit("usage: generate.py [--check]")
    wanted = models()
    if arguments:
        findings = check(wanted)
        if findings:
            raise SystemExit("\n".join(findings) + "\nhint: run `python3 models/generate.py`")
        return
    os.makedirs(FOLDER, exist_ok=True)
    for name, content in wanted.items():
        with open(os.path.join(FOLDER, name), "wb") as file:
            file.write(content)


if __name__ == "__main__":
    main()
