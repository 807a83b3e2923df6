"""Writes ONNX model files with nothing but the standard library.

An ONNX file is a protobuf message, and protobuf's wire format is small enough
to write by hand: that keeps the recipes of this folder free of `onnx`, of
`protobuf` and of their versions, and makes the bytes a function of the recipe
alone, so that a digest of the result can be pinned.

Only what the recipes need is here. Reading models is not.
Field numbers: onnx.proto of ONNX 1.22, IR version 8.
"""

import struct

FLOAT, UINT8, INT32, INT64, BOOL, FLOAT16, DOUBLE, BFLOAT16 = 1, 2, 6, 7, 9, 10, 11, 16

IR_VERSION = 8
OPSET_VERSION = 17

_VARINT, _BYTES, _FIXED32 = 0, 2, 5
_ATTRIBUTE_FLOAT, _ATTRIBUTE_INT, _ATTRIBUTE_GRAPH, _ATTRIBUTE_INTS = 1, 2, 5, 7


def _varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _integer(number, value):
    return _varint(number << 3 | _VARINT) + _varint(value)


def _message(number, payload):
    return _varint(number << 3 | _BYTES) + _varint(len(payload)) + payload


def _text(number, value):
    return _message(number, value.encode())


def tensor(name, element_type, dims, raw):
    """A TensorProto; `raw` holds the elements, little-endian, row-major."""
    return b"".join(
        [_integer(1, dim) for dim in dims]
        + [_integer(2, element_type), _text(8, name), _message(9, bytes(raw))]
    )


def value_info(name, element_type, dims):
    """A ValueInfoProto. A dimension is a number, or a name when it is dynamic.

    `dims` is None for a value of unknown rank; `()` is a scalar.
    """
    kind = _integer(1, element_type)
    if dims is not None:
        shape = b"".join(
            _message(1, _text(2, dim) if isinstance(dim, str) else _integer(1, dim)) for dim in dims
        )
        kind += _message(2, shape)
    return _text(1, name) + _message(2, _message(1, kind))


def _attribute(name, value):
    head = _text(1, name)
    if isinstance(value, bytes):
        return head + _message(6, value) + _integer(20, _ATTRIBUTE_GRAPH)
    if isinstance(value, float):
        fixed = _varint(2 << 3 | _FIXED32) + struct.pack("<f", value)
        return head + fixed + _integer(20, _ATTRIBUTE_FLOAT)
    if isinstance(value, int):
        return head + _integer(3, value) + _integer(20, _ATTRIBUTE_INT)
    return head + b"".join(_integer(8, item) for item in value) + _integer(20, _ATTRIBUTE_INTS)


def node(operator, inputs, outputs, **attributes):
    """A NodeProto, named after its first output. A `bytes` attribute is a graph."""
    parts = [_text(1, name) for name in inputs] + [_text(2, name) for name in outputs]
    parts += [_text(3, outputs[0]), _text(4, operator)]
    parts += [_message(5, _attribute(name, value)) for name, value in sorted(attributes.items())]
    return b"".join(parts)


def graph(name, nodes, inputs, outputs, initializers=()):
    """A GraphProto."""
    return b"".join(
        [_message(1, item) for item in nodes]
        + [_text(2, name)]
        + [_message(5, item) for item in initializers]
        + [_message(11, item) for item in inputs]
        + [_message(12, item) for item in outputs]
    )


def model(graph_proto, producer):
    """A ModelProto: the bytes of a file."""
    return b"".join(
        [
            _integer(1, IR_VERSION),
            _text(2, producer),
            _message(7, graph_proto),
            _message(8, _text(1, "") + _integer(2, OPSET_VERSION)),
        ]
    )
