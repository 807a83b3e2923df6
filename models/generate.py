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

# How many inputs or outputs "many" are.
MANY = 16

# The types that cast-chain goes through, in its order.
CASTS = ("fp64", "i64", "i32", "u8", "fp16", "bf16")


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


def endless():
    """output = 1 (f32[1]) of no input at all, after a loop of as many turns as an i64 holds: nobody sees its end."""
    body = graph(
        "work",
        [
            node("Identity", ["going"], ["going_on"]),
            node("Mul", ["state", "rate"], ["state_next"]),
        ],
        [
            value_info("turn", onnx.INT64, ()),
            value_info("going", onnx.BOOL, ()),
            value_info("state", onnx.FLOAT, (1,)),
        ],
        [value_info("going_on", onnx.BOOL, ()), value_info("state_next", onnx.FLOAT, (1,))],
        [tensor("rate", onnx.FLOAT, (1,), struct.pack("<f", 1))],
    )
    return graph(
        "endless-f32",
        [node("Loop", ["turns", "yes", "start"], ["output"], body=body)],
        [],
        [value_info("output", onnx.FLOAT, (1,))],
        [
            tensor("turns", onnx.INT64, (), struct.pack("<q", 2**63 - 1)),
            tensor("yes", onnx.BOOL, (), b"\x01"),
            tensor("start", onnx.FLOAT, (1,), struct.pack("<f", 1)),
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


def concat_many():
    """joined = x0, x1, … x15 one after the other; each f32 of its own length, none for 0."""
    names = [f"x{index}" for index in range(MANY)]
    return graph(
        "concat-16",
        [node("Concat", names, ["joined"], axis=0)],
        [value_info(name, onnx.FLOAT, (f"N{index}",)) for index, name in enumerate(names)],
        [value_info("joined", onnx.FLOAT, ("M",))],
    )


def split_many():
    """y0 … y15 = the rows of input, f32[16,N], each f32[1,N]."""
    names = [f"y{index}" for index in range(MANY)]
    return graph(
        "split-16",
        [node("Split", ["input"], names, axis=0)],
        [value_info("input", onnx.FLOAT, (MANY, "N"))],
        [value_info(name, onnx.FLOAT, (1, "N")) for name in names],
    )


def mixed_types():
    """A tensor of each type that every ABI has, back in the opposite order: out_i64 first."""
    types = {suffix: code for suffix, code in IDENTITIES.items() if suffix != "bf16"}
    dims = {suffix: (f"N_{suffix}",) for suffix in types}
    return graph(
        "mixed-types",
        [node("Identity", [f"in_{suffix}"], [f"out_{suffix}"]) for suffix in types],
        [value_info(f"in_{suffix}", types[suffix], dims[suffix]) for suffix in types],
        [value_info(f"out_{suffix}", types[suffix], dims[suffix]) for suffix in reversed(types)],
    )


def cast_chain():
    """input (f32[N]) cast to the first of CASTS, that to the second, and so on: as_TYPE each."""
    names = ["input"] + [f"as_{suffix}" for suffix in CASTS]
    steps = list(zip(CASTS, names, names[1:]))
    return graph(
        "cast-chain",
        [node("Cast", [source], [result], to=IDENTITIES[suffix]) for suffix, source, result in steps],
        [value_info("input", onnx.FLOAT, ("N",))],
        [value_info(result, IDENTITIES[suffix], ("N",)) for suffix, _, result in steps],
    )


def reduce_rows(name, operator, initializers):
    """output (f32[M]) = the sum, or the maximum, over the rows of input (f32[N,M]).

    Of no rows at all, the sum is 0 and the maximum -infinity, M times.
    """
    axes = {"axes": (0,)} if not initializers else {}
    inputs = ["input"] + (["axes"] if initializers else [])
    return graph(
        name,
        [node(operator, inputs, ["output"], keepdims=0, **axes)],
        [value_info("input", onnx.FLOAT, ("N", "M"))],
        [value_info("output", onnx.FLOAT, ("M",))],
        initializers,
    )


def matmul():
    """c (f32[M,N]) = a (f32[M,K]) times b (f32[K,N]). Two Ks that differ fail in the run only."""
    return graph(
        "matmul-f32",
        [node("MatMul", ["a", "b"], ["c"])],
        [value_info("a", onnx.FLOAT, ("M", "K")), value_info("b", onnx.FLOAT, ("K", "N"))],
        [value_info("c", onnx.FLOAT, ("M", "N"))],
    )


def nonzero_any():
    """indices (i64[R,M]) of the non-zero elements of input (i64 of any rank R)."""
    return graph(
        "nonzero-any",
        [node("NonZero", ["input"], ["indices"])],
        [value_info("input", onnx.INT64, None)],
        [value_info("indices", onnx.INT64, ("R", "M"))],
    )


def zeros():
    """output = zeros (f32) of the dimensions that `shape` (i64[R]) holds: any rank, any size."""
    return graph(
        "zeros-f32",
        [node("ConstantOfShape", ["shape"], ["output"])],
        [value_info("shape", onnx.INT64, ("R",))],
        [value_info("output", onnx.FLOAT, None)],
    )


def constant():
    """output = 1, 2 (f32[2]), of no input at all."""
    return graph(
        "constant-f32",
        [node("Identity", ["numbers"], ["output"])],
        [],
        [value_info("output", onnx.FLOAT, (2,))],
        [tensor("numbers", onnx.FLOAT, (2,), struct.pack("<2f", 1, 2))],
    )


def odd_names():
    """difference = input "1" (index 0) − input "0" (index 1): a name is stronger than an index."""
    return graph(
        "odd-names",
        [node("Sub", ["1", "0"], ["the difference: ä/0"])],
        [value_info("1", onnx.FLOAT, ("N",)), value_info("0", onnx.FLOAT, ("N",))],
        [value_info("the difference: ä/0", onnx.FLOAT, ("N",))],
    )


def models():
    """Every file: {name: bytes}."""
    rows = tensor("axes", onnx.INT64, (1,), struct.pack("<q", 0))
    graphs = {
        "echo-f32": identity("echo-f32", onnx.FLOAT),
        "add-f32": add(),
        "slow-f32": slow(),
        "endless-f32": endless(),
        "split-dynamic": split_dynamic(),
        "two-outputs": two_outputs(),
        "scalar": scalar(),
        # Twelve MiB an image, back and forth: what copies cost shows here.
        "pass-through": pass_through(),
        "picture-f32": identity("picture-f32", onnx.FLOAT, (1, 3, 224, 224)),
        "big-f32": identity("big-f32", onnx.FLOAT, ("N", 3, 1024, 1024)),
        "concat-16": concat_many(),
        "split-16": split_many(),
        "mixed-types": mixed_types(),
        "cast-chain": cast_chain(),
        "sum-rows": reduce_rows("sum-rows", "ReduceSum", [rows]),
        "max-rows": reduce_rows("max-rows", "ReduceMax", []),
        "matmul-f32": matmul(),
        "nonzero-any": nonzero_any(),
        "zeros-f32": zeros(),
        "constant-f32": constant(),
        "odd-names": odd_names(),
        "rank8-f32": identity("rank8-f32", onnx.FLOAT, (1, 2) * 4),
        # These two cannot be served: wasi-nn has no such type, and nothing here more than 8 dimensions.
        "rank9-f32": identity("rank9-f32", onnx.FLOAT, (1,) * 9),
        "identity-bool": identity("identity-bool", onnx.BOOL),
    }
    for suffix, element_type in IDENTITIES.items():
        graphs[f"identity-{suffix}"] = identity(f"identity-{suffix}", element_type)
        graphs[f"any-{suffix}"] = identity(f"any-{suffix}", element_type, None)
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
