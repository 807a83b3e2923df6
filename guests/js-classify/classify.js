// Runs a classifier over generated numbers: js-classify [--fill lcg:N] [--checksum] MODEL
//
// As the other classifying guests, less the picture, the labels, and models from files: there is no file system here.

import { getArguments } from 'wasi:cli/environment@0.2.3';
import { loadByName } from 'wasi:nn/graph@0.2.0-rc-2024-10-28';
import { Tensor } from 'wasi:nn/tensor@0.2.0-rc-2024-10-28';

const USAGE = 'usage: js-classify [--fill lcg:N] [--checksum] MODEL';
const SHAPE = [1, 3, 224, 224];
const ELEMENTS = 1 * 3 * 224 * 224;
const RANKS = 5;

// The input's bytes, from a generator that every language can write.
function fill(state) {
  const values = new Float32Array(ELEMENTS);
  for (let i = 0; i < ELEMENTS; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state >>> 24) / 256;
  }
  return new Uint8Array(values.buffer);
}

// FNV-1a, 64 bits, in two halves: the prime is 2^40 + 0x1b3.
function checksum(bytes) {
  let high = 0xcbf29ce4;
  let low = 0x84222325;
  for (const byte of bytes) {
    low = (low ^ byte) >>> 0;
    const product = low * 0x1b3;
    high = (Math.imul(high, 0x1b3) + Math.floor(product / 2 ** 32) + (low << 8)) >>> 0;
    low = product >>> 0;
  }
  return [high, low].map((half) => half.toString(16).padStart(8, '0')).join('');
}

// The bytes of the first output.
function infer(model, bytes) {
  const context = loadByName(model).initExecutionContext();
  // An input's name, or its place among the model's inputs, in decimal.
  const [[, output]] = context.compute([['0', new Tensor(SHAPE, 'FP32', bytes)]]);
  const result = output.data();
  // The engine gives nothing back by itself.
  output[Symbol.dispose]();
  return result;
}

function show(output, asChecksum) {
  if (asChecksum) {
    console.log(checksum(output));
    return;
  }
  // A copy: the bytes may begin where no Float32Array can.
  const values = [...new Float32Array(output.slice().buffer)];
  const ranked = values.map((value, label) => [value, label]).sort((a, b) => b[0] - a[0]);
  ranked.slice(0, RANKS).forEach(([value, label], index) => {
    console.log(`${index + 1}  ${label}  ${value.toFixed(3)}`);
  });
}

// {model, seed, asChecksum}, or undefined for arguments that make no sense.
function parse(words) {
  const options = { model: undefined, seed: 7, asChecksum: false };
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const seed = /^lcg:([0-9]+)$/.exec(words[i + 1] ?? '');
    if (word === '--checksum') {
      options.asChecksum = true;
    } else if (word === '--fill' && seed) {
      options.seed = Number(seed[1]) >>> 0;
      i++;
    } else if (word.startsWith('-') || options.model !== undefined) {
      return undefined;
    } else {
      options.model = word;
    }
  }
  return options.model === undefined ? undefined : options;
}

// wasi:cli/run: a host calls it once. What it throws is the failure of the command.
export const run = {
  run() {
    const options = parse(getArguments().slice(1));
    if (!options) {
      console.error(USAGE);
      throw undefined;
    }
    try {
      show(infer(options.model, fill(options.seed)), options.asChecksum);
    } catch (error) {
      // wasi:nn's errors are resources with a code and a text, thrown as the payload.
      const failure = error?.payload;
      const text = failure?.code ? `${failure.code()}: ${failure.data()}` : String(error);
      console.error(`error: ${text}`);
      throw undefined;
    }
  },
};
