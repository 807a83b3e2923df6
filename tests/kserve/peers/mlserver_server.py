"""MLServer with a runtime of ten lines, which ONNX Runtime computes in: efficientnet-lite0.

    mlserver_server.py target/nn/models/efficientnet-lite0/1/model.onnx [PORT]

PORT is gRPC's, 127.0.0.1 alone; HTTP's and the metrics' are the two behind it. It needs mlserver==1.7.1 and onnxruntime.
"""

import asyncio
import os
import sys

import onnxruntime
from mlserver import MLModel, MLServer, ModelSettings, Settings
from mlserver.codecs import NumpyCodec
from mlserver.settings import ModelParameters
from mlserver.types import InferenceResponse, MetadataTensor


class Classifier(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        uri = self.settings.parameters.uri
        self.session = onnxruntime.InferenceSession(uri, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload):
        images = NumpyCodec.decode_input(payload.inputs[0])
        scores = self.session.run(["probabilities"], {"images": images})[0]
        outputs = [NumpyCodec.encode_output("probabilities", scores)]
        return InferenceResponse(model_name=self.name, model_version=self.version, outputs=outputs)


async def main():
    model, port = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 9011
    settings = Settings(
        host="127.0.0.1", grpc_port=port, http_port=port + 1, metrics_port=port + 2, parallel_workers=0,
        grpc_max_message_length=2**31 - 1,
    )
    served = ModelSettings(
        name="efficientnet-lite0", implementation=Classifier, parameters=ModelParameters(uri=model, version="1"),
        inputs=[MetadataTensor(name="images", datatype="FP32", shape=[-1, 3, 224, 224])],
        outputs=[MetadataTensor(name="probabilities", datatype="FP32", shape=[-1, 1000])],
    )
    await MLServer(settings).start([served])


asyncio.run(main())
