//! Tensors and failures to lines. Pure, but for reading the tensors: every line is a function of what the host answered.

use cases::{Fnv, join_dimensions, one_line, values};
use nn_guest::Failure;
use nn_guest::component::NamedTensor;

use crate::tensors::dtype;

/// `error CODE TEXT`, whatever the text holds.
pub(crate) fn failure(failure: &Failure) -> String {
    format!("error {} {}", failure.code, one_line(&failure.text))
}

/// `ok NAME DTYPE DIMS CHECKSUM VALUES`
pub(crate) fn output((name, tensor): &NamedTensor) -> String {
    let (ty, bytes) = (tensor.ty(), tensor.data());
    let dims = join_dimensions(&tensor.dimensions());
    let (name, ty_name) = (one_line(name), dtype(ty).name());
    format!(
        "ok {name} {ty_name} {dims} {} {}",
        Fnv::of(&bytes),
        values(dtype(ty), &bytes)
    )
}

/// One checksum for a whole reply: names, types, dimensions and bytes of all its outputs.
pub(crate) fn reply_checksum(outputs: &[NamedTensor]) -> String {
    let mut checksum = Fnv::new();
    for (name, tensor) in outputs {
        checksum.add(name.as_bytes());
        checksum.add(dtype(tensor.ty()).name().as_bytes());
        checksum.add(join_dimensions(&tensor.dimensions()).as_bytes());
        checksum.add(&tensor.data());
    }
    checksum.hex()
}
