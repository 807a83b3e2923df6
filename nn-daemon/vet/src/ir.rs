//! OpenVINO's intermediate representation: `model.xml`, which holds layers and edges, and `model.bin`, which holds the
//! constants. The XML is streamed, and what is kept of it is ports and edges of one body at a time.

mod body;
mod constant;
mod xml;

use nn_tensor::{Signature, TensorName, TensorSpec};

use crate::refusal::{Refusal, Rule};
use crate::rules::{Rules, XML_BYTES_MAX};
use crate::vetted::{About, Vetted};
use body::{Body, Reader};
use xml::Piece;

/// Versions of IR that OpenVINO 2026 reads.
const VERSIONS: [&str; 2] = ["10", "11"];

/// Judges a model of two files.
///
/// # Errors
/// The first rule that they break.
pub fn vet(xml: &[u8], bin: &[u8], rules: &Rules) -> Result<Vetted, Refusal> {
    let len = |file: &[u8]| u64::try_from(file.len()).unwrap_or(u64::MAX);
    let (words, weights) = (len(xml), len(bin));
    let max = rules.bytes_max;
    if words > XML_BYTES_MAX || words.saturating_add(weights) > max {
        return Err(Refusal::new(Rule::Size)
            .expected(format!("at most {max} bytes, {XML_BYTES_MAX} of them XML"))
            .got(format!("{words} bytes of XML, {weights} of weights")));
    }
    let text = text(xml)?;
    let mut reader = Reader::new(text, weights, rules);
    let (version, body) = net(&mut reader)?;
    Ok(Vetted {
        format: "openvino-ir",
        signature: signature(body),
        about: About {
            ir_version: version.parse().unwrap_or_default(),
            nodes: reader.layers,
            parameter_bytes: reader.parameter_bytes,
            ..About::default()
        },
    })
}

/// The XML, if it looks like any.
fn text(xml: &[u8]) -> Result<&str, Refusal> {
    let other = |got: &str| {
        Refusal::new(Rule::Format)
            .expected("an XML file that begins with <?xml or <net, in UTF-8")
            .got(got)
    };
    if !(xml.starts_with(b"<?xml") || xml.starts_with(b"<net")) {
        return Err(other(crate::onnx::guess(xml).1));
    }
    std::str::from_utf8(xml).map_err(|_| other("an XML file that is not in UTF-8"))
}

fn net<'a>(reader: &mut Reader<'a>) -> Result<(&'a str, Body), Refusal> {
    let malformed = |got: &str| {
        Refusal::new(Rule::Malformed)
            .expected("one element net, and nothing else")
            .got(got)
    };
    let Some(Piece::Open(net)) = reader.xml.piece()? else {
        return Err(malformed("a file without an element"));
    };
    if net.name != "net" {
        return Err(malformed("another element"));
    }
    let version = net.attribute("version").unwrap_or_default();
    let known = VERSIONS.into_iter().find(|&known| known == version);
    let version = known.ok_or_else(|| {
        Refusal::new(Rule::IrVersion)
            .expected("IR of version 10 or 11")
            .got(format!(
                "version {}",
                crate::refusal::quoted(version.as_bytes())
            ))
    })?;
    let body = reader.body(0)?;
    match reader.xml.piece()? {
        None => Ok((version, body)),
        Some(_) => Err(malformed("something behind it")),
    }
}

/// What the outermost body takes and gives, where the file says all of it in types that are served.
fn signature(body: Body) -> Option<Signature> {
    let specs = |side: Vec<body::End>| -> Option<Vec<TensorSpec>> {
        if side.len() > nn_tensor::TENSORS_MAX {
            return None;
        }
        let each = side.into_iter().map(|end| {
            Some(TensorSpec {
                name: TensorName::new(&end.name?).ok()?,
                dtype: end.dtype?,
                dims: end.dims,
            })
        });
        each.collect()
    };
    let outputs = specs(body.results)?;
    (!outputs.is_empty()).then_some(Signature {
        inputs: specs(body.parameters)?,
        outputs,
    })
}

#[cfg(test)]
mod tests;
