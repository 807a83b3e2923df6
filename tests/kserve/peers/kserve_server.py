"""KServe's model server with a model of ten lines, which ONNX Runtime computes in: efficientnet-lite0.

    kserve_server.py target/nn/models/efficientnet-lite0/1/model.onnx [PORT]

PORT is gRPC's; HTTP's is the one behind it. It binds all addresses: run it where nobody else is, in a network namespace
(`unshare -n sh -c 'ip link set lo up; …'`), or behind a firewall. It needs kserve==0.21.0 and onnxruntime.
"""

import sys

import onnxruntime
from kserve import InferOutput, InferResponse, Model, ModelServer


class Classifier(Model):
    def __init__(self, path):
        super().__init__("efficientnet-lite0")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.ready = True

    def get_input_types(self):
        return [{"name": "images", "datatype": "FP32", "shape": [-1, 3, 224, 224]}]

    def get_output_types(self):
        return [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 1000]}]

    def predict(self, request, headers=None, response_headers=None):
        scores = self.session.run(["probabilities"], {"images": request.inputs[0].as_numpy()})[0]
        output = InferOutput(name="probabilities", shape=list(scores.shape), datatype="FP32")
        output.set_data_from_numpy(scores, binary_data=True)
        return InferResponse(response_id=request.id, model_name=self.name, infer_outputs=[output])


port = int(sys.argv[2]) if len(sys.argv) > 2 else 9021
ModelServer(grpc_port=port, http_port=port + 1, workers=1).start([Classifier(sys.argv[1])])
