// A function over HTTP that names what a picture shows: POST rows of red, green and blue bytes with ?width=W&height=H.
// The model is one whose model.toml takes pictures and gives labels, under the name picture-labels.

import { loadByName } from 'wasi:nn/graph@0.2.0-rc-2024-10-28';
import { Tensor } from 'wasi:nn/tensor@0.2.0-rc-2024-10-28';

const MODEL = 'picture-labels';
const USAGE = 'POST rows of red, green and blue bytes with ?width=W&height=H';
// How the host begins to say that something will pass, as its error codes have no word for it.
const PASSING = /^(busy|backend crashed|leaving|nn-daemon cannot be reached)/;
const STATUS = { 'invalid-argument': 422, 'too-large': 413, timeout: 504, 'not-found': 503, security: 503 };

class Problem extends Error {
  constructor(status, error, headers = {}) {
    super(error);
    Object.assign(this, { status, headers });
  }
}

// What wasi:nn said no to; its errors are resources with a code and a text, thrown as the payload.
function refused(error) {
  const failure = error?.payload;
  if (!failure?.code) return new Problem(500, String(error));
  const text = failure.data();
  const status = PASSING.test(text) ? 503 : (STATUS[failure.code()] ?? 500);
  return new Problem(status, text, status === 503 ? { 'retry-after': '1' } : {});
}

function sizeOf(url) {
  const query = new URL(url).searchParams;
  const [width, height] = ['width', 'height'].map((name) => Number(query.get(name) || NaN));
  if (!Number.isInteger(width) || !Number.isInteger(height)) throw new Problem(400, 'width and height are two whole numbers');
  return { width, height };
}

// What it shows, the likeliest first, with scores.
function labelsOf({ width, height }, pixels) {
  const bytes = width * height * 3;
  if (width < 1 || height < 1 || bytes !== pixels.length) {
    throw new Problem(422, `${width}x${height} pixels are ${bytes} bytes; got: ${pixels.length}`);
  }
  let outputs;
  try {
    const context = loadByName(MODEL).initExecutionContext();
    outputs = context.compute([['0', new Tensor([height, width, 3], 'U8', pixels)]]);
  } catch (error) {
    throw refused(error);
  }
  const [scores, , labels] = outputs.map(([, output]) => output.data());
  // A copy: the bytes may begin where no Float32Array can.
  const numbers = new Float32Array(scores.slice().buffer);
  const lines = new TextDecoder().decode(labels).trimEnd().split('\n');
  return lines.map((label, at) => ({ label, score: numbers[at] }));
}

function answer(status, value, headers = {}) {
  const all = { 'content-type': 'application/json', ...headers };
  return new Response(JSON.stringify(value), { status, headers: all });
}

async function handle(request) {
  try {
    if (request.method !== 'POST') throw new Problem(405, `the method ${request.method} is not for this`, { allow: 'POST' });
    const size = sizeOf(request.url);
    const pixels = new Uint8Array(await request.arrayBuffer());
    return answer(200, { labels: labelsOf(size, pixels) });
  } catch (error) {
    return answer(error.status ?? 500, { error: error.message, hint: USAGE }, error.headers);
  }
}

// A host calls it for each request, in an instance of its own.
addEventListener('fetch', (event) => event.respondWith(handle(event.request)));
