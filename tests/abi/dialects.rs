//! Cases for core modules that send one dialect's numbers to a host that is set to another's, or the same.

use crate::case::{Case, WITX, cases};

/// Which guest meets which host, and what comes of it.
#[derive(Debug)]
pub(crate) struct Dialects {
    pub(crate) guest: &'static str,
    pub(crate) host: &'static str,
    pub(crate) cases: &'static [Case],
}

/// What older headers have.
const OLD: &[Case] = cases! {
    WITX "the four types of old headers":
        "name:identity-fp16", "name:identity-fp32", "name:identity-u8", "name:identity-i32", "ctx:0", "ctx:1",
        "ctx:2", "ctx:3", "in:0:0=fp16:5:ramp", "in:1:0=fp32:5:ramp", "in:2:0=u8:5:ramp", "in:3:0=i32:5:ramp",
        "compute:0", "compute:1", "compute:2", "compute:3", "out:0:0 =fp16:5:ramp", "out:1:0", "out:2:0", "out:3:0";
    WITX "a model as bytes": "bytes:/models/echo-f32.onnx", "ctx:0", "in:0:0=fp32:3:ramp", "compute:0", "out:0:0";
};

/// What only newer headers have.
const NEW: &[Case] = cases! {
    WITX "the types that came later":
        "name:identity-fp64", "name:identity-i64", "ctx:0", "ctx:1", "in:0:0=fp64:5:ramp", "in:1:0=i64:5:ramp",
        "compute:0", "compute:1", "out:0:0", "out:1:0";
    WITX "a model as bytes, detected":
        "bytes:/models/echo-f32.onnx:autodetect", "ctx:0", "in:0:0=fp32:3:ramp", "compute:0", "out:0:0";
    WITX "a name of nothing": "name:nobody !not-found";
};

/// Errnos beyond 5 are not told to those who do not know them.
const FOLDED: &[Case] = cases! {
    WITX "a name of nothing, to a guest that has no errno for it": "name:nobody !invalid-argument";
    WITX "a buffer that is too small, to a guest that has no errno for it":
        "name:identity-fp32", "ctx:0", "in:0:0=fp32:5:ramp", "compute:0", "out:0:0:3 !invalid-argument", "out:0:0";
};

/// Numbers that mean something else to the host: refused, never a trap, never taken for what they are not.
const MISTAKEN: &[Case] = cases! {
    WITX "types with other numbers":
        "name:identity-u8", "name:identity-i32", "name:identity-fp32", "ctx:0", "ctx:1", "ctx:2",
        "in:0:0=u8:8:ramp !invalid-argument", "in:1:0=i32:2:ramp !invalid-argument", "in:2:0=fp32:2:ramp",
        "compute:0 !invalid-argument", "compute:1 !invalid-argument", "compute:2", "out:2:0";
};

/// A guest built with ggml's number, to a host that has none.
const GGML: &[Case] = cases! {
    WITX "an encoding that the host has no number for": "bytes:/models/echo-f32.onnx:ggml !invalid-encoding";
};

/// Which guest meets which host.
pub(crate) const DIALECTS: &[Dialects] = &[
    Dialects {
        guest: "0.4",
        host: "0.4",
        cases: OLD,
    },
    Dialects {
        guest: "0.4",
        host: "0.4",
        cases: FOLDED,
    },
    Dialects {
        guest: "0.5",
        host: "0.5",
        cases: OLD,
    },
    Dialects {
        guest: "0.6",
        host: "0.6",
        cases: OLD,
    },
    Dialects {
        guest: "0.6",
        host: "0.6",
        cases: NEW,
    },
    Dialects {
        guest: "wasmedge",
        host: "wasmedge",
        cases: OLD,
    },
    Dialects {
        guest: "wasmedge",
        host: "wasmedge",
        cases: NEW,
    },
    Dialects {
        guest: "wasmedge",
        host: "wasmedge",
        cases: GGML,
    },
    Dialects {
        guest: "wasmedge",
        host: "0.6",
        cases: GGML,
    },
    Dialects {
        guest: "0.5",
        host: "0.6",
        cases: MISTAKEN,
    },
    Dialects {
        guest: "0.6",
        host: "0.5",
        cases: MISTAKEN,
    },
];
