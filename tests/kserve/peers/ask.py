"""Asks a server of the Open Inference Protocol by Triton's client for efficientnet-lite0, and times it.

    ask.py URL [--rounds 100] [--kib 1 588 12288]

`--kib` times identity-u8 too, with as many KiB each way. It needs tests/kserve/requirements.txt.
"""

import argparse
import time

import numpy as np
import tritonclient.grpc as triton


def timed(call, rounds):
    for _ in range(max(3, rounds // 10)):
        call()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1000)
    times.sort()
    return f"median {times[rounds // 2]:.2f} ms, p95 {times[rounds * 95 // 100]:.2f} ms of {rounds}"


def tensor(name, values, kind):
    of = triton.InferInput(name, list(values.shape), kind)
    of.set_data_from_numpy(values)
    return [of]


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("url")
parser.add_argument("--rounds", type=int, default=100)
parser.add_argument("--kib", type=int, nargs="*", default=[])
given = parser.parse_args()
client = triton.InferenceServerClient(given.url)
images = tensor("images", np.random.default_rng(7).random((1, 3, 224, 224), dtype=np.float32), "FP32")
answer = client.infer("efficientnet-lite0", images).as_numpy("probabilities")
assert answer.shape == (1, 1000) and abs(answer.sum() - 1) < 1e-3, answer
print(f"efficientnet-lite0: {timed(lambda: client.infer('efficientnet-lite0', images), given.rounds)}", flush=True)
for kib in given.kib:
    values = tensor("input", np.zeros(kib * 1024, dtype=np.uint8), "UINT8")
    rounds = max(10, min(given.rounds, 200_000 // kib))
    print(f"identity-u8, {kib} KiB each way: {timed(lambda: client.infer('identity-u8', values), rounds)}", flush=True)
