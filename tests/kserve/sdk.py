"""Asks a daemon by the client of KServe's SDK, as it comes. Run by hand, for the SDK is half a gigabyte:

    sdk.py unix:///run/nn-daemon/nn.sock | sdk.py localhost:8001 [--authority ca.pem --certificate client.pem --key client.key]

It needs kserve==0.21.0, and the models identity-u8 and identity-fp32 (models/tiny).
"""

import argparse
import asyncio

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest


def request(model, values, kind):
    of = InferInput(name="input", shape=list(values.shape), datatype=kind)
    of.set_data_from_numpy(values, binary_data=True)
    return InferRequest(model_name=model, request_id="seven", infer_inputs=[of])


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    for name in ["authority", "certificate", "key"]:
        parser.add_argument(f"--{name}")
    given = parser.parse_args()
    read = lambda path: open(path, "rb").read() if path else None
    tls = None
    if given.authority:
        tls = grpc.ssl_channel_credentials(read(given.authority), read(given.key), read(given.certificate))
    async with InferenceGRPCClient(url=given.url, creds=tls) as client:
        assert await client.is_server_live() and await client.is_server_ready()
        assert await client.is_model_ready("identity-u8")
        assert not await client.is_model_ready("nothing")
        for model, kind, values in [
            ("identity-fp32", "FP32", np.arange(1000, dtype=np.float32)),
            ("identity-u8", "UINT8", np.random.default_rng(7).integers(0, 256, 12 << 20, dtype=np.uint8)),
        ]:
            answer = await client.infer(infer_request=request(model, values, kind), timeout=30)
            assert answer.id == "seven", answer.id
            assert (answer.outputs[0].as_numpy() == values).all(), model
        try:
            await client.infer(infer_request=request("nothing", values, "UINT8"))
            raise AssertionError("there is a model that is none")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.NOT_FOUND, error
            assert "there is no model nothing" in error.details(), error
    print("ok", given.url)


asyncio.run(main())
