//! Whether two sides of a version are the same model, as far as clients can tell: what they were told of the one must hold of
//! the other.

use nn_tensor::{Dim, Fault, Reason, Signature, TensorSpec};

/// Why the second is not what the first is; `None` where it is.
pub(crate) fn differs(known: &Signature, other: &Signature) -> Option<Fault> {
    let inputs = list(&known.inputs, &other.inputs);
    let differ = inputs.or_else(|| list(&known.outputs, &other.outputs));
    differ.map(|(expected, got)| {
        Fault::of(Reason::PlacementDiffers)
            .expected(expected)
            .got(got)
    })
}

/// What differs first: as it is known, and as it is.
fn list(known: &[TensorSpec], other: &[TensorSpec]) -> Option<(String, String)> {
    let of = |all: &[TensorSpec], wanted: &TensorSpec| {
        let mut all = all.iter();
        all.find(|spec| spec.name == wanted.name).cloned()
    };
    for spec in known {
        match of(other, spec) {
            None => return Some((said(spec), "nothing of that name".to_owned())),
            Some(there) if !fits(spec, &there) => return Some((said(spec), said(&there))),
            Some(_) => {}
        }
    }
    let more = other.iter().find(|spec| of(known, spec).is_none())?;
    Some(("nothing of that name".to_owned(), said(more)))
}

fn said(spec: &TensorSpec) -> String {
    let text: String = spec.to_string().chars().take(256).collect();
    text.escape_debug().to_string()
}

/// Open dimensions fit every number, and an open rank every shape.
fn fits(known: &TensorSpec, other: &TensorSpec) -> bool {
    if known.dtype != other.dtype {
        return false;
    }
    let (Some(known), Some(other)) = (known.dims.as_ref(), other.dims.as_ref()) else {
        return true;
    };
    known.len() == other.len()
        && known.iter().zip(other).all(|dims| match dims {
            (Dim::Fixed(known), Dim::Fixed(other)) => known == other,
            _ => true,
        })
}
