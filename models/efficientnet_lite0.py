"""Makes efficientnet-lite0's model.onnx from a PyTorch checkpoint, without PyTorch.

    python3 efficientnet_lite0.py CHECKPOINT.pth MODEL.onnx

Only the standard library is used. The checkpoint is a pickle; a pickle can run
any code, so it is read by an unpickler that knows three harmless names and
refuses every other. Batch normalisation is folded into the convolution before
it. Sums are done in double precision and rounded once to f32, so the same
checkpoint gives the same bytes everywhere; the manifest pins their digest.
"""

import array
import collections
import math
import os
import pickle
import sys

import onnx_writer as onnx

EPSILON = 1e-3
RESOLUTION = 224
CLASSES = 1000

# (repeats, kernel, stride of the first, expansion, channels in, channels out)
STAGES = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
]

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
STORAGE_TYPES = {"FloatStorage": ("f", 4), "LongStorage": ("q", 8)}

# Where a parameter lies: storage key, first element, dimensions, strides.
Parameter = collections.namedtuple("Parameter", "storage offset dims strides")


def _rebuild_tensor(storage, offset, dims, strides, _requires_grad, _hooks):
    return Parameter(storage, offset, dims, strides)


class CheckpointReader(pickle.Unpickler):
    """Reads a dictionary of tensors and nothing else."""

    def __init__(self, file):
        super().__init__(file)
        self.storages = {}

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in STORAGE_TYPES:
            return name
        raise pickle.UnpicklingError(f"the checkpoint names {module}.{name}, which is not a tensor")

    def persistent_load(self, pid):
        kind, storage_type, key, _device, length, view = pid
        if kind != "storage" or view is not None or storage_type not in STORAGE_TYPES:
            raise pickle.UnpicklingError(f"the checkpoint holds a storage of unknown form: {pid[:2]}")
        self.storages[key] = (storage_type, length)
        return key


def read_checkpoint(path):
    """Returns {parameter name: (dims, row-major array)} of a legacy (not zip) checkpoint."""
    if sys.byteorder != "little":
        raise SystemExit("this recipe needs a little-endian machine")
    with open(path, "rb") as file:
        if CheckpointReader(file).load() != LEGACY_MAGIC:
            raise SystemExit(f"{path}: not a PyTorch checkpoint of the legacy format")
        CheckpointReader(file).load()  # protocol version
        CheckpointReader(file).load()  # sizes of C types
        reader = CheckpointReader(file)
        parameters = reader.load()
        data = {}
        for key in CheckpointReader(file).load():
            storage_type, length = reader.storages[key]
            code, size = STORAGE_TYPES[storage_type]
            if int.from_bytes(file.read(8), "little") != length:
                raise SystemExit(f"{path}: the length of storage {key} is not what the index says")
            data[key] = array.array(code, file.read(length * size))
            if len(data[key]) != length:
                raise SystemExit(f"{path}: ends inside storage {key}")
    return {name: (item.dims, row_major(item, data[item.storage])) for name, item in parameters.items()}


def row_major(parameter, data):
    """The elements of a strided view, in row-major order."""
    positions = [0]
    for dim, stride in zip(parameter.dims[1:], parameter.strides[1:]):
        positions = [base + index * stride for base in positions for index in range(dim)]
    rows, row_stride = (parameter.dims[0], parameter.strides[0]) if parameter.dims else (1, 1)
    step = positions[1] - positions[0] if len(positions) > 1 else 1
    regular = all(position == index * step for index, position in enumerate(positions))
    out = array.array(data.typecode)
    for row in range(rows):
        first = parameter.offset + row * row_stride
        if regular:  # A slice is some thirty times faster than a look-up of each element.
            out.extend(data[first : first + (len(positions) - 1) * step + 1 : step])
        else:
            out.extend(data[first + position] for position in positions)
    return out


class Network:
    """The graph so far: nodes, weights, and the extent and channels of the last value."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.nodes = []
        self.initializers = []
        self.extent = RESOLUTION
        for name, bound in (("relu6_min", 0.0), ("relu6_max", 6.0)):
            self.constant(name, (), array.array("f", [bound]))

    def constant(self, name, dims, values):
        self.initializers.append(onnx.tensor(name, onnx.FLOAT, dims, values.tobytes()))
        return name

    def add(self, operator, inputs, output, **attributes):
        self.nodes.append(onnx.node(operator, inputs, [output], **attributes))
        return output

    def convolution(self, value, name, convolution, norm, stride=1, depthwise=False, relu=True):
        """A convolution with the batch normalisation after it folded in."""
        dims, weights = self.parameters[f"{convolution}.weight"]
        gamma, beta, mean, variance = (
            self.parameters[f"{norm}.{part}"][1] for part in ("weight", "bias", "running_mean", "running_var")
        )
        scales = [g / math.sqrt(v + EPSILON) for g, v in zip(gamma, variance)]
        width = len(weights) // dims[0]
        folded = array.array("f")
        for channel, scale in enumerate(scales):
            row = weights[channel * width : (channel + 1) * width]
            folded.extend([weight * scale for weight in row])
        bias = array.array("f", [b - m * s for b, m, s in zip(beta, mean, scales)])

        # TensorFlow's SAME: the odd pixel of padding goes to the bottom and the right.
        kernel = dims[2]
        extent = -(-self.extent // stride)
        padding = max((extent - 1) * stride + kernel - self.extent, 0)
        before, after = padding // 2, padding - padding // 2
        self.extent = extent
        output = self.add(
            "Conv",
            [value, self.constant(f"{name}.weight", dims, folded), self.constant(f"{name}.bias", (dims[0],), bias)],
            name,
            group=dims[0] if depthwise else 1,
            kernel_shape=[kernel, kernel],
            pads=[before, before, after, after],
            strides=[stride, stride],
        )
        return self.add("Clip", [output, "relu6_min", "relu6_max"], f"{name}.relu6") if relu else output

    def block(self, value, index, stage, stride, channels_in):
        """One inverted bottleneck: expand, filter each channel, project, add the input."""
        _, _, _, expansion, _, channels_out = stage
        name, source = f"block{index}", f"_blocks.{index}"
        out = value
        if expansion != 1:
            out = self.convolution(out, f"{name}.expand", f"{source}._expand_conv", f"{source}._bn0")
        out = self.convolution(
            out, f"{name}.depthwise", f"{source}._depthwise_conv", f"{source}._bn1", stride=stride, depthwise=True
        )
        out = self.convolution(out, f"{name}.project", f"{source}._project_conv", f"{source}._bn2", relu=False)
        if stride == 1 and channels_in == channels_out:
            out = self.add("Add", [out, value], f"{name}.sum")
        return out


def build(parameters):
    """The bytes of model.onnx."""
    network = Network(parameters)
    value = network.convolution("images", "stem", "_conv_stem", "_bn0", stride=2)
    index = 0
    for stage in STAGES:
        repeats, _, first_stride, _, channels_in, channels_out = stage
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            value = network.block(value, index, stage, stride, channels_in if repeat == 0 else channels_out)
            index += 1
    value = network.convolution(value, "head", "_conv_head", "_bn1")
    value = network.add("GlobalAveragePool", [value], "pool")
    value = network.add("Flatten", [value], "features", axis=1)
    weight = network.constant("classifier.weight", *parameters["_fc.weight"])
    bias = network.constant("classifier.bias", *parameters["_fc.bias"])
    value = network.add("Gemm", [value, weight, bias], "logits", transB=1)
    network.add("Softmax", [value], "probabilities", axis=1)
    graph = onnx.graph(
        "efficientnet-lite0",
        network.nodes,
        [onnx.value_info("images", onnx.FLOAT, ("N", 3, RESOLUTION, RESOLUTION))],
        [onnx.value_info("probabilities", onnx.FLOAT, ("N", CLASSES))],
        network.initializers,
    )
    return onnx.model(graph, "models/efficientnet_lite0.py")


def main():
    if len(sys.argv) != 3:
        raise SystemExit(f"usage: {os.path.basename(sys.argv[0])} CHECKPOINT.pth MODEL.onnx")
    checkpoint, target = sys.argv[1:]
    content = build(read_checkpoint(checkpoint))
    with open(target, "wb") as file:
        file.write(content)


if __name__ == "__main__":
    main()
