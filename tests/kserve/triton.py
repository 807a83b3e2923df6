"""Goes through the KServe service by Triton's own client, as it comes: health, metadata, inferences of every kind, errors,
deadlines, cancels. Against a daemon that serves the tiny models:

    triton.py unix:///run/nn-daemon/nn.sock [--time]
    triton.py localhost:8001 --remote [--authority ca.pem [--certificate client.pem --key client.key]] [--time]

By --remote it comes through the door over TCP, where nobody is an operator. It needs tests/kserve/requirements.txt, and the
models identity-u8, identity-fp32, identity-fp16, two-outputs and slow (models/tiny/slow-f32.onnx).
"""

import argparse
import asyncio
import queue
import time

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.utils import InferenceServerException

MIB = 1 << 20

def tensor(name, values, kind, module=triton):
    of = module.InferInput(name, list(values.shape), kind)
    of.set_data_from_numpy(values)
    return of


def slow(turns, module=triton):
    return [
        tensor("iterations", np.array(turns, dtype=np.int64).reshape([]), "INT64", module),
        tensor("value", np.ones(1, dtype=np.float32), "FP32", module),
    ]


def fails(what, status, words):
    try:
        what()
    except InferenceServerException as error:
        assert error.status() is None or status in str(error.status()), error
        missing = [word for word in words if word not in str(error)]
        assert not missing, (missing, error)
        return
    raise AssertionError(f"no {status}")


def health(client):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("identity-u8") and client.is_model_ready("identity-u8", "1")
    assert not client.is_model_ready("nothing")


def metadata(client):
    server = client.get_server_metadata(as_json=True)
    assert server["name"] == "nn-daemon" and "statistics" in server["extensions"], server
    model = client.get_model_metadata("identity-fp32", as_json=True)
    assert model["platform"] == "onnxruntime_onnx", model
    assert model["inputs"] == [{"name": "input", "datatype": "FP32", "shape": ["-1"]}], model
    config = client.get_model_config("identity-fp32").config
    assert config.backend == "onnxruntime" and list(config.input[0].dims) == [-1], config
    index = client.get_model_repository_index().models
    assert {"identity-u8", "slow"} <= {model.name for model in index}, index


def raw(client):
    for kind, numpy_type in [("UINT8", np.uint8), ("FP32", np.float32), ("FP16", np.float16)]:
        model = {"UINT8": "identity-u8", "FP32": "identity-fp32", "FP16": "identity-fp16"}[kind]
        values = np.arange(100).astype(numpy_type)
        answer = client.infer(model, [tensor("input", values, kind)], request_id="seven")
        output = answer.get_response().outputs[0].name
        assert (answer.as_numpy(output) == values).all()
        assert answer.get_response().id == "seven"


def outputs(client):
    values = np.array([1, 2], dtype=np.float32)
    asked = [triton.InferRequestedOutput("total")]
    answer = client.infer("two-outputs", [tensor("input", values, "FP32")], outputs=asked)
    assert answer.as_numpy("total") == 3 and answer.as_numpy("negated") is None


def typed(client):
    """Elements in lists: Triton's client never sends them, its messages can."""
    request = triton.service_pb2.ModelInferRequest(model_name="identity-fp32")
    of = request.inputs.add(name="input", datatype="FP32", shape=[3])
    of.contents.fp32_contents.extend([0.5, -1, 3])
    answer = client._client_stub.ModelInfer(request)
    assert np.frombuffer(answer.raw_output_contents[0], dtype=np.float32).tolist() == [0.5, -1, 3]


def large(client):
    for mib in [12, 64]:
        values = np.random.default_rng(7).integers(0, 256, mib * MIB, dtype=np.uint8)
        answer = client.infer("identity-u8", [tensor("input", values, "UINT8")])
        output = answer.get_response().outputs[0].name
        assert (answer.as_numpy(output) == values).all(), f"{mib} MiB came back changed"


def errors(client, is_remote):
    values = np.zeros(1, dtype=np.float32)
    wrong = tensor("inputs", values, "FP32")
    right = tensor("input", values, "FP32")
    fails(lambda: client.infer("nothing", [right]), "NOT_FOUND", ["there is no model nothing"])
    fails(lambda: client.infer("identity-fp32", [wrong]), "INVALID_ARGUMENT", ["did you mean input?"])
    shaped = tensor("input", values.reshape(1, 1), "FP32")
    fails(lambda: client.infer("identity-fp32", [shaped]), "INVALID_ARGUMENT", ["expected", "got"])
    strings = tensor("input", np.array(["a"], dtype=np.object_), "BYTES")
    fails(lambda: client.infer("identity-fp32", [strings]), "INVALID_ARGUMENT", ["BYTES", "FP32"])
    by_name = lambda: client.register_system_shared_memory("region", "/region", 64)
    fails(by_name, "UNIMPLEMENTED", ["another's memory"])
    if not is_remote:
        fails(lambda: client.load_model("nothing"), "NOT_FOUND", ["there is no model nothing"])


def deadlines(client):
    endless = slow(2**62)
    fails(lambda: client.infer("slow", endless, timeout=200_000), "DEADLINE_EXCEEDED", ["deadline-running"])
    fails(lambda: client.infer("slow", endless, client_timeout=0.3), "DEADLINE_EXCEEDED", [])
    client.infer("slow", slow(10))


def cancel(client):
    answers = queue.Queue()
    call = client.async_infer("slow", slow(2**62), lambda result, error: answers.put(error))
    time.sleep(0.2)
    call.cancel()
    assert "CANCELLED" in str(answers.get(timeout=5).status())
    client.infer("slow", slow(10))


def parallel(client):
    answers = queue.Queue()
    for n in range(100):
        values = np.full(1000, n, dtype=np.float32)
        told = lambda result, error, n=n: answers.put((n, result, error))
        client.async_infer("identity-fp32", [tensor("input", values, "FP32")], told)
    for _ in range(100):
        n, answer, error = answers.get(timeout=30)
        assert error is None, error
        assert (answer.as_numpy(answer.get_response().outputs[0].name) == n).all()


def stream(client):
    answers = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    for n in range(20):
        values = np.full(1000, n, dtype=np.float32)
        client.async_stream_infer("identity-fp32", [tensor("input", values, "FP32")], request_id=str(n))
    for n in range(20):
        answer, error = answers.get(timeout=30)
        assert error is None and answer.get_response().id == str(n), (n, error)
    client.async_stream_infer("nothing", [tensor("input", values, "FP32")])
    assert "there is no model nothing" in str(answers.get(timeout=30)[1])
    client.stop_stream()


def statistics(client):
    stats = client.get_inference_statistics("identity-fp32").model_stats[0]
    assert stats.inference_count > 0 and stats.inference_stats.success.ns > 0, stats


def repository(client, is_remote):
    if is_remote:
        fails(lambda: client.unload_model("two-outputs"), "PERMISSION_DENIED", ["TCP"])
        fails(lambda: client.load_model("two-outputs"), "PERMISSION_DENIED", ["TCP"])
        return
    client.unload_model("two-outputs")
    assert not client.is_model_ready("two-outputs")
    client.load_model("two-outputs")
    assert client.is_model_ready("two-outputs")


async def asynchronous(url, tls):
    async with triton_aio.InferenceServerClient(url, **tls) as client:
        assert await client.is_server_live()

        async def one(n):
            values = np.full(1000, n, dtype=np.float32)
            of = tensor("input", values, "FP32", triton_aio)
            answer = await client.infer("identity-fp32", [of])
            assert (answer.as_numpy(answer.get_response().outputs[0].name) == n).all()

        await asyncio.gather(*(one(n) for n in range(100)))
        endless = asyncio.ensure_future(client.infer("slow", slow(2**62, triton_aio)))
        await asyncio.sleep(0.2)
        endless.cancel()
        await client.infer("slow", slow(10, triton_aio))


def took(client, model, values, kind, rounds):
    of = [tensor("input", values, kind)]
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        client.infer(model, of)
        times.append(time.perf_counter() - began)
    times.sort()
    return times[len(times) // 2] * 1000


def times(client):
    for kib, rounds in [(1, 500), (588, 200), (12 * 1024, 30), (64 * 1024, 10)]:
        values = np.zeros(kib * 1024, dtype=np.uint8)
        median = took(client, "identity-u8", values, "UINT8", rounds)
        print(f"{kib} KiB each way: median {median:.2f} ms", flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--remote", action="store_true")
    parser.add_argument("--authority", help="whose certificate the daemon's is signed by")
    parser.add_argument("--certificate", help="one's own")
    parser.add_argument("--key")
    parser.add_argument("--time", action="store_true", help="times inferences of several sizes, and nothing else")
    return parser.parse_args()


def main():
    given = arguments()
    files = {"root_certificates": given.authority, "certificate_chain": given.certificate, "private_key": given.key}
    tls = {"ssl": True, **files} if given.authority else {}
    client = triton.InferenceServerClient(given.url, **tls)
    if given.time:
        times(client)
        return
    for check in [health, metadata, raw, outputs, typed, large, deadlines, cancel, parallel, stream, statistics]:
        check(client)
        print("ok", check.__name__, flush=True)
    for check in [errors, repository]:
        check(client, given.remote)
        print("ok", check.__name__, flush=True)
    asyncio.run(asynchronous(given.url, tls))
    print("ok asynchronous")
    client.close()


main()
