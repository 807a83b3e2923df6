//! A case, as data. A step is one of the guests' table language; what follows it after a space says what
//! is expected where that is not an answer of ONNX Runtime's:
//!
//! - `!CODE`: fails in both ABIs, with what each has for that code; `wit!CODE`, `witx!CODE`: in one only.
//! - `=DTYPE:DIMS:FILL`: the output has these bytes, known by what the model does.

/// One run of a guest, in a store of its own.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) abis: &'static [Abi],
    pub(crate) steps: &'static [&'static str],
}

/// The two interfaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Abi {
    Wit,
    Witx,
}

/// What a failure is called: by us (or by the guests, where they need not ask), in WIT, in witx.
pub(crate) const CODES: &[[&str; 3]] = &[
    ["invalid-argument", "invalid-argument", "invalid-argument"],
    ["invalid-encoding", "invalid-encoding", "invalid-encoding"],
    ["timeout", "timeout", "runtime-error"],
    ["runtime-error", "runtime-error", "runtime-error"],
    [
        "unsupported-operation",
        "unsupported-operation",
        "unsupported-operation",
    ],
    ["too-large", "too-large", "too-large"],
    ["not-found", "not-found", "not-found"],
    ["security", "security", "not-found"],
    ["unknown", "unknown", "runtime-error"],
    ["busy", "runtime-error", "busy"],
    ["backend-crashed", "runtime-error", "runtime-error"],
    ["leaving", "runtime-error", "busy"],
    ["no-output", "no-output", "runtime-error"],
    ["no-handle", "no-handle", "no-handle"],
];

pub(crate) const BOTH: &[Abi] = &[Abi::Wit, Abi::Witx];
pub(crate) const WIT: &[Abi] = &[Abi::Wit];
pub(crate) const WITX: &[Abi] = &[Abi::Witx];

/// Cases, one after the other: who runs it, its name, its steps.
macro_rules! cases {
    ($($abis:ident $name:literal: $($step:expr),+;)*) => {
        &[$(Case { name: $name, abis: $abis, steps: &[$($step),+] }),*]
    };
}

pub(crate) use cases;
