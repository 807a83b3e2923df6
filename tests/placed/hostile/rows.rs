//! What engines do that they should not, and what a call comes to by it.

mod breaks;

use nn_tensor::Reason;

use super::frames::{
    DATA, END_HEADERS, HEADERS, frame, grpc, head, head_of, trailers, trailers_in_parts,
};
use super::wild::Act;
pub(crate) use breaks::{ENDS, FLOODS};

/// One of them.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) act: Act,
    /// Any of these.
    pub(crate) reasons: &'static [Reason],
    /// Whether the endpoint is left alone for it.
    pub(crate) opens: bool,
}

/// It speaks against the endpoint.
const fn row(name: &'static str, act: Act, reasons: &'static [Reason]) -> Row {
    Row {
        name,
        act,
        reasons,
        opens: true,
    }
}

/// It is the call's own matter.
const fn said(name: &'static str, status: &'static str, reason: &'static [Reason]) -> Row {
    Row {
        name,
        act: Act::Status(status, EVIL),
        reasons: reason,
        opens: false,
    }
}

/// Words that nobody shall read but in the log, and there without what steers a terminal; as gRPC escapes them.
const EVIL: &str = "EVIL%1B%5B2J%0Alevel=error%00";

/// The same as they are.
const EVIL_RAW: &str = "EVIL\u{1b}[2J\nlevel=error\0";

const ANSWER: &[Reason] = &[Reason::RemoteAnswer];
const LOST: &[Reason] = &[Reason::RemoteLost];
const FAILED: &[Reason] = &[Reason::RemoteFailed];
const UNREACHABLE: &[Reason] = &[Reason::RemoteUnreachable];
const LATE: &[Reason] = &[Reason::RemoteDeadline];
const MODEL: &[Reason] = &[Reason::RemoteModel];
const ENDED: &[Reason] = &[
    Reason::RemoteLost,
    Reason::RemoteAnswer,
    Reason::RemoteDeadline,
];

/// Answers that are none.
pub(crate) const ANSWERS: &[Row] = &[
    row(
        "another rank",
        Act::Message(|answer| answer.outputs[0].shape = vec![1, 2]),
        ANSWER,
    ),
    row(
        "a dimension below 0",
        Act::Message(|answer| answer.outputs[0].shape = vec![-2]),
        ANSWER,
    ),
    row(
        "a dimension beyond 32 bits",
        Act::Message(|answer| answer.outputs[0].shape = vec![1 << 40]),
        ANSWER,
    ),
    row(
        "a shape of more bytes than there are",
        Act::Message(|answer| answer.outputs[0].shape = vec![3]),
        ANSWER,
    ),
    row(
        "a shape of less",
        Act::Message(|answer| answer.outputs[0].shape = vec![1]),
        ANSWER,
    ),
    row(
        "a shape of 16 GiB",
        Act::Message(|answer| answer.outputs[0].shape = vec![i64::from(u32::MAX)]),
        ANSWER,
    ),
    row(
        "another type",
        Act::Message(|answer| answer.outputs[0].datatype = "INT32".to_owned()),
        ANSWER,
    ),
    row(
        "a type of words",
        Act::Message(|answer| answer.outputs[0].datatype = EVIL_RAW.to_owned()),
        ANSWER,
    ),
    row(
        "no output",
        Act::Message(|answer| answer.outputs.clear()),
        ANSWER,
    ),
    row(
        "an unknown output",
        Act::Message(|answer| answer.outputs[0].name = EVIL_RAW.to_owned()),
        ANSWER,
    ),
    row(
        "an output twice",
        Act::Message(|answer| answer.outputs.push(answer.outputs[0].clone())),
        ANSWER,
    ),
    row(
        "a thousand outputs",
        Act::Message(|answer| answer.outputs = vec![answer.outputs[0].clone(); 1000]),
        ANSWER,
    ),
    row(
        "fewer bytes than the shape says",
        Act::Message(|answer| answer.raw_output_contents[0] = vec![0; 7].into()),
        ANSWER,
    ),
    row(
        "more bytes",
        Act::Message(|answer| answer.raw_output_contents[0] = vec![0; 9].into()),
        ANSWER,
    ),
    row(
        "no bytes",
        Act::Message(|answer| answer.raw_output_contents.clear()),
        ANSWER,
    ),
    row(
        "bytes that are no message",
        Act::Body(|| grpc(&[0xff; 64])),
        ANSWER,
    ),
    row(
        "a message of 100000 empty fields",
        Act::Body(|| grpc(&[0x2a, 0].repeat(100_000))),
        ANSWER,
    ),
    row("nothing", Act::Body(Vec::new), ANSWER),
    row(
        "a part of a message",
        Act::Body(|| vec![0, 0, 0, 1, 0, 7]),
        ANSWER,
    ),
    row(
        "more behind the message",
        Act::Body(|| vec![0, 0, 0, 0, 0, 7]),
        ANSWER,
    ),
    row(
        "a message that is said to be compressed",
        Act::Body(|| vec![1, 0, 0, 0, 1, 7]),
        ANSWER,
    ),
    row(
        "a message beyond the bound, by its length",
        Act::Body(|| vec![0, 0xff, 0xff, 0xff, 0xff]),
        ANSWER,
    ),
    row(
        "a message beyond the bound, by its bytes",
        Act::Body(|| grpc(&vec![7; (1 << 20) + 1])),
        ANSWER,
    ),
    row(
        "a page",
        Act::Frames(|id| {
            let page = frame(DATA, 1, id, b"<html>EVIL</html>");
            [head_of(id, 0x88, "text/html"), page].concat()
        }),
        ANSWER,
    ),
    row(
        "an error of HTTP",
        Act::Frames(|id| {
            let end = frame(DATA, 1, id, b"");
            [head_of(id, 0x8e, "application/grpc"), end].concat()
        }),
        ANSWER,
    ),
];

/// What an engine says of a call.
pub(crate) const STATUSES: &[Row] = &[
    Row {
        name: "UNAVAILABLE",
        act: Act::Status("14", EVIL),
        reasons: FAILED,
        opens: true,
    },
    said("RESOURCE_EXHAUSTED", "8", FAILED),
    said("INTERNAL", "13", FAILED),
    said("NOT_FOUND", "5", FAILED),
    said("CANCELLED", "1", FAILED),
    said("a status that there is not", "4711", FAILED),
    said("DEADLINE_EXCEEDED", "4", LATE),
    row(
        "a status that is no number",
        Act::Status("EVIL", EVIL),
        ANSWER,
    ),
    row(
        "a status of 64 bits",
        Act::Status("18446744073709551616", ""),
        ANSWER,
    ),
    row(
        "no status",
        Act::Frames(|id| [head(id), frame(DATA, 1, id, &grpc(&[]))].concat()),
        ANSWER,
    ),
    row("fine, and no message", Act::Status("0", ""), ANSWER),
    row(
        "words that no header may have",
        Act::Status("13", EVIL_RAW),
        LOST,
    ),
    Row {
        name: "ten thousand characters",
        act: Act::Frames(|id| [head(id), trailers(id, "13", &EVIL.repeat(300))].concat()),
        reasons: FAILED,
        opens: false,
    },
    row(
        "a million characters",
        Act::Frames(|id| {
            [
                head(id),
                trailers_in_parts(id, "13", &"EVIL".repeat(1 << 18)),
            ]
            .concat()
        }),
        ENDED,
    ),
];

/// Engines that take their time: more than a caller has.
pub(crate) const SLOW: &[Row] = &[
    row("no answer", Act::Frames(|_| Vec::new()), LATE),
    row("a head, and no message", Act::Frames(head), LATE),
    row(
        "a message, and no status",
        Act::Frames(|id| [head(id), frame(DATA, 0, id, &grpc(&[7; 9]))].concat()),
        LATE,
    ),
    row(
        "a head byte by byte",
        Act::Drips(|id| frame(HEADERS, END_HEADERS, id, &[0; 100])),
        LATE,
    ),
    row(
        "a message byte by byte",
        Act::Drips(|id| {
            let bytes = (0..12).flat_map(|_| frame(DATA, 0, id, &[0]));
            head(id).into_iter().chain(bytes).collect()
        }),
        LATE,
    ),
];

/// Connections that do not come about, or lead to another model.
pub(crate) const CONNECTIONS: &[Row] = &[
    row("nobody listens", Act::Gone, UNREACHABLE),
    row("silence", Act::Greets(b""), UNREACHABLE),
    row(
        "another protocol",
        Act::Greets(b"SSH-2.0-EVIL\r\n"),
        UNREACHABLE,
    ),
    row(
        "no stream may be opened",
        Act::Greets(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0]),
        UNREACHABLE,
    ),
    row(
        "it does not say whether the model is ready",
        Act::Silent,
        UNREACHABLE,
    ),
    row("the model is not ready", Act::Unready, MODEL),
    row("the model is not there", Act::Refuses("5"), MODEL),
    row(
        "another output",
        Act::Says(|metadata| metadata.outputs[0].name = "total".to_owned()),
        MODEL,
    ),
    row(
        "another type",
        Act::Says(|metadata| metadata.inputs[1].datatype = "INT64".to_owned()),
        MODEL,
    ),
];

/// A model that cannot be, when it is loaded.
pub(crate) const MODELS: &[(&str, Act, Reason)] = &[
    ("nobody listens", Act::Gone, Reason::RemoteUnreachable),
    ("silence", Act::Silent, Reason::RemoteUnreachable),
    ("not ready", Act::Unready, Reason::RemoteModel),
    ("not there", Act::Refuses("5"), Reason::RemoteModel),
    ("not now", Act::Refuses("14"), Reason::RemoteModel),
    (
        "no outputs",
        Act::Says(|metadata| metadata.outputs.clear()),
        Reason::RemoteModel,
    ),
    (
        "an output twice",
        Act::Says(|metadata| metadata.outputs.push(metadata.outputs[0].clone())),
        Reason::RemoteModel,
    ),
    (
        "a thousand inputs",
        Act::Says(|metadata| metadata.inputs = vec![metadata.inputs[0].clone(); 1000]),
        Reason::RemoteModel,
    ),
    (
        "a type that is none of ours",
        Act::Says(|metadata| metadata.outputs[0].datatype = "BYTES".to_owned()),
        Reason::SignatureUnsupported,
    ),
    (
        "a name that no tensor has",
        Act::Says(|metadata| metadata.outputs[0].name = EVIL_RAW.repeat(100)),
        Reason::SignatureUnsupported,
    ),
    (
        "bytes that are no message",
        Act::SaysBytes(|| grpc(&[0xff; 64])),
        Reason::RemoteModel,
    ),
    (
        "two megabytes",
        Act::SaysBytes(|| grpc(&vec![0; 2 << 20])),
        Reason::RemoteModel,
    ),
];
