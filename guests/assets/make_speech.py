"""Makes `speech.wav`, a spoken sentence: 16 kHz, one channel, 16 bits. Needs espeak-ng (1.51 made the one beside this).

    python3 make_speech.py [FILE]

espeak-ng speaks at 22,050 Hz. A windowed sinc takes that to 16,000; silence at both ends is cut off but for 10 ms, and
the loudest sample is 0.7 of the most there can be.
"""

import array
import io
import math
import pathlib
import subprocess
import sys
import wave

SENTENCE = "The quick brown fox jumps over the lazy dog."
RATE = 16_000
REACH = 48
PASSED = 0.95


def spoken():
    command = ["espeak-ng", "-v", "en-us", "-s", "150", "--stdout", SENTENCE]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    # What is written to a pipe has no length in its header: the samples are what follows.
    with wave.open(io.BytesIO(answer)) as source:
        assert (source.getnchannels(), source.getsampwidth()) == (1, 2)
        rate = source.getframerate()
    samples = array.array("h", answer[44 : len(answer) - len(answer) % 2])
    return rate, [sample / 32768 for sample in samples]


def resampled(samples, rate):
    cut = min(1.0, RATE / rate) * PASSED
    result = []
    for index in range(len(samples) * RATE // rate):
        place = index * rate / RATE
        total = 0.0
        for near in range(max(0, math.floor(place) - REACH), min(len(samples), math.floor(place) + REACH + 1)):
            away = place - near
            sinc = math.sin(math.pi * cut * away) / (math.pi * cut * away) if away else 1.0
            window = 0.5 + 0.5 * math.cos(math.pi * away / (REACH + 1))
            total += samples[near] * cut * sinc * window
        result.append(total)
    return result


def trimmed(samples):
    loud = [index for index, sample in enumerate(samples) if abs(sample) > 0.01]
    margin = RATE // 100
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent / "speech.wav"
    rate, samples = spoken()
    samples = trimmed(resampled(samples, rate))
    loudest = max(abs(sample) for sample in samples)
    with wave.open(str(target), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(array.array("h", [round(sample / loudest * 0.7 * 32767) for sample in samples]).tobytes())


main()
