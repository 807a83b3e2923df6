"""Triton's server with its Python backend, which ONNX Runtime computes in: efficientnet-lite0 and an identity of bytes.

    triton_server.py target/nn/models/efficientnet-lite0/1/model.onnx [PORT]

PORT is gRPC's, 127.0.0.1 alone; HTTP's and the metrics' are the two behind it. It needs nvidia-pytriton==0.7.0, numpy<2 and
onnxruntime. This is not Triton's own ONNX Runtime backend, which is not in that package.
"""

import sys

import numpy as np
import onnxruntime
from pytriton.model_config import ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig, TritonSecurityConfig

model, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 9001
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def classify(requests):
    return [{"probabilities": session.run(["probabilities"], {"images": of.data["images"]})[0]} for of in requests]


def identity(requests):
    return [{"output": of.data["input"]} for of in requests]


config = TritonConfig(
    grpc_address="127.0.0.1", grpc_port=port, http_address="127.0.0.1", http_port=port + 1,
    allow_metrics=True, metrics_port=port + 2, log_verbose=0,
)
# perf_analyzer asks for statistics, which would take a token otherwise.
with Triton(config=config, security_config=TritonSecurityConfig(restricted_endpoints=[])) as triton:
    plain = ModelConfig(batching=False)
    images = [Tensor(name="images", dtype=np.float32, shape=(-1, 3, 224, 224))]
    scores = [Tensor(name="probabilities", dtype=np.float32, shape=(-1, 1000))]
    triton.bind("efficientnet-lite0", classify, images, scores, config=plain, strict=False)
    bytes_in = [Tensor(name="input", dtype=np.uint8, shape=(-1,))]
    bytes_out = [Tensor(name="output", dtype=np.uint8, shape=(-1,))]
    triton.bind("identity-u8", identity, bytes_in, bytes_out, config=plain, strict=False)
    triton.serve()
