"""A function over HTTP that names what a picture shows: POST rows of red, green and blue bytes with ?width=W&height=H.

The model is one whose model.toml takes pictures and gives labels, under the name picture-labels.
"""

import json
import struct
from urllib.parse import parse_qs, urlsplit

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports import graph
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.tensor import Tensor, TensorType
from wit_world.imports.types import Fields, Method_Post, OutgoingBody, OutgoingResponse, ResponseOutparam

MODEL = "picture-labels"
USAGE = "POST rows of red, green and blue bytes with ?width=W&height=H"
READ_BYTES = 1 << 16
# The interface's own bound on one such call.
WRITE_BYTES_MAX = 4096
# How the host begins to say that something will pass, as its error codes have no word for it.
PASSING = ("busy", "backend crashed", "leaving", "nn-daemon cannot be reached")
STATUS = {"INVALID_ARGUMENT": 422, "TOO_LARGE": 413, "TIMEOUT": 504, "NOT_FOUND": 503, "SECURITY": 503}


class Problem(Exception):
    """A status, a sentence, and headers."""

    def __init__(self, status, error, **headers):
        super().__init__(error)
        self.status, self.headers = status, headers


def refused(error):
    """What wasi:nn said no to; its errors are resources with a code and a text."""
    with error:
        code, text = error.code().name, error.data()
    status = 503 if text.startswith(PASSING) else STATUS.get(code, 500)
    return Problem(status, text, **({"retry-after": "1"} if status == 503 else {}))


def body_of(request):
    """All of the request's body; the host bounds it."""
    pieces = []
    with request.consume() as body, body.stream() as stream:
        while True:
            try:
                pieces.append(stream.blocking_read(READ_BYTES))
            except Err as error:
                if isinstance(error.value, StreamError_Closed):
                    return b"".join(pieces)
                raise Problem(400, "the body ended early") from None


def size_of(target):
    query = parse_qs(urlsplit(target).query)
    try:
        return int(query["width"][0]), int(query["height"][0])
    except (KeyError, ValueError):
        raise Problem(400, "width and height are two whole numbers") from None


def labels_of(width, height, pixels):
    """What it shows, the likeliest first, with scores."""
    if width < 1 or height < 1 or width * height * 3 != len(pixels):
        raise Problem(422, f"{width}x{height} pixels are {width * height * 3} bytes; got: {len(pixels)}")
    try:
        # `with` gives a resource back at once; without it, that is when the last name of it goes.
        with graph.load_by_name(MODEL) as model, model.init_execution_context() as context:
            picture = Tensor([height, width, 3], TensorType.U8, pixels)
            outputs = context.compute([("0", picture)])
    except Err as error:
        raise refused(error.value) from None
    scores, _, labels = (output.data() for _, output in outputs)
    scores = struct.unpack(f"<{len(scores) // 4}f", scores)
    named = zip(labels.decode().splitlines(), scores)
    return [{"label": label, "score": score} for label, score in named]


def answer(request):
    if not isinstance(request.method(), Method_Post):
        raise Problem(405, "the method is not for this", allow="POST")
    width, height = size_of(request.path_with_query() or "")
    return {"labels": labels_of(width, height, body_of(request))}


def send(out, status, value, headers):
    data = json.dumps(value).encode()
    headers = {"content-type": "application/json", "content-length": str(len(data)), **headers}
    fields = Fields.from_list([(name, text.encode()) for name, text in headers.items()])
    response = OutgoingResponse(fields)
    response.set_status_code(status)
    body = response.body()
    ResponseOutparam.set(out, Ok(response))
    with body.write() as stream:
        for start in range(0, len(data), WRITE_BYTES_MAX):
            stream.blocking_write_and_flush(data[start : start + WRITE_BYTES_MAX])
    OutgoingBody.finish(body, None)


class IncomingHandler(exports.IncomingHandler):
    """wasi:http/incoming-handler: a host calls it for each request, in an instance of its own."""

    def handle(self, request, response_out):
        try:
            status, value, headers = 200, answer(request), {}
        except Problem as problem:
            status, value, headers = problem.status, {"error": str(problem), "hint": USAGE}, problem.headers
        send(response_out, status, value, headers)
