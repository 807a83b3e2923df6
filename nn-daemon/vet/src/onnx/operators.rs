//! Which operators a node may name.

use super::functions::{Functions, Key};
use crate::refusal::{Refusal, Rule, quoted};

/// Domains whose operators are served: ONNX's own, and ONNX Runtime's.
const DOMAINS: [&[u8]; 7] = [
    b"",
    b"ai.onnx",
    b"ai.onnx.ml",
    b"ai.onnx.preview",
    b"ai.onnx.preview.training",
    b"ai.onnx.training",
    b"com.microsoft",
];

/// Beginnings of domains that are ONNX's or ONNX Runtime's too, and not for models: their optimiser's own, other
/// devices', what is not there yet.
const RESERVED: [&[u8]; 3] = [b"ai.onnx.", b"com.microsoft.", b"com.ms."];

/// Judges the operator of a node, and gives the function that it calls.
pub(super) fn judge<'a>(key: Key<'a>, functions: &Functions<'a>) -> Result<Option<usize>, Refusal> {
    if key.name == b"EPContext" {
        return Err(Refusal::new(Rule::EpContext).expected("nodes that say what they compute"));
    }
    let call = functions.find(key)?;
    if DOMAINS.contains(&key.domain) {
        return Ok(call);
    }
    let is_reserved = RESERVED.iter().any(|&begin| key.domain.starts_with(begin));
    // A framework's own operator may come before a function of its name.
    if call.is_some() && !is_reserved {
        return Ok(call);
    }
    let rule = if is_reserved {
        Rule::OpDomain
    } else {
        Rule::CustomOp
    };
    Err(Refusal::new(rule)
        .expected("operators of ai.onnx, ai.onnx.ml, com.microsoft, or functions of the model")
        .got(format!("one of the domain {}", quoted(key.domain))))
}
