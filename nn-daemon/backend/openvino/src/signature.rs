//! What a model takes and gives: in its own words, as far as it is read, and as the compiler has it.

use nn_backend::BackendError;
use nn_tensor::{Dim, RANK_MAX, Signature, TENSORS_MAX, TensorName, TensorSpec};

use crate::ffi::{Compiled, Port, Read, Side};
use crate::{cause, dtype};

/// What a model says of its tensors before it is compiled. Where the compiler leaves out the last step, because it changes
/// nothing, the result takes over the names of what it is made from, and any of them may come first.
pub(crate) struct Said {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

// === impl Said ===

impl Said {
    /// By a model that was read.
    pub(crate) fn of(read: &Read) -> Result<Self, BackendError> {
        let said = |side| read.ports(side, TENSORS_MAX).map_err(cause::of_read);
        let (inputs, outputs) = (said(Side::Input)?, said(Side::Output)?);
        has_ranks(&inputs)?;
        Ok(Self { inputs, outputs })
    }
}

/// A compiled model's signature, and which of its outputs are an input's value. Without a model's own words, in the
/// compiler's.
pub(crate) fn of(
    said: Option<&Said>,
    compiled: &Compiled,
) -> Result<(Signature, Vec<bool>), BackendError> {
    let inputs = ports(compiled, Side::Input)?;
    let outputs = ports(compiled, Side::Output)?;
    let passed_on = passed_on(&inputs, &outputs);
    let (named_inputs, named_outputs) =
        said.map_or_else(Default::default, |said| (&*said.inputs, &*said.outputs));
    let signature = Signature {
        inputs: specs(Side::Input, inputs, named_inputs)?,
        outputs: specs(Side::Output, outputs, named_outputs)?,
    };
    Ok((signature, passed_on))
}

/// The CPU's kernels are planned for a number of dimensions; said here, because there it is said in words only.
fn has_ranks(inputs: &[Port]) -> Result<(), BackendError> {
    let open = inputs.iter().find(|port| port.dims.is_none());
    open.map_or(Ok(()), |port| {
        Err(BackendError::Signature {
            which: which(Side::Input, port),
            expected: "a number of dimensions".to_owned(),
            got: "one that is left open".to_owned(),
        })
    })
}

fn which(side: Side, port: &Port) -> String {
    let name: String = port.name.chars().take(64).collect();
    format!("{} {name}", side.name())
}

fn ports(compiled: &Compiled, side: Side) -> Result<Vec<Port>, BackendError> {
    let ports = compiled.ports(side, TENSORS_MAX);
    let ports = ports.map_err(cause::of_compile)?;
    if ports.len() > TENSORS_MAX {
        return Err(BackendError::Signature {
            which: format!("the list of {} tensors", side.name()),
            expected: format!("at most {TENSORS_MAX}"),
            got: "more".to_owned(),
        });
    }
    Ok(ports)
}

/// Which outputs are an input's value, with nothing left in between: such a tensor has the names of both on both sides, so that
/// the same one is any of them. By the compiler's names, for those that a model says are two.
fn passed_on(inputs: &[Port], outputs: &[Port]) -> Vec<bool> {
    let is_input = |output: &Port| inputs.iter().any(|input| input.name == output.name);
    outputs.iter().map(is_input).collect()
}

fn specs(side: Side, ports: Vec<Port>, said: &[Port]) -> Result<Vec<TensorSpec>, BackendError> {
    let each = ports.into_iter().enumerate().map(|(index, mut port)| {
        if let Some(said) = said.get(index).filter(|said| !said.name.is_empty()) {
            port.name.clone_from(&said.name);
        }
        spec(side, &port)
    });
    each.collect()
}

fn spec(side: Side, port: &Port) -> Result<TensorSpec, BackendError> {
    let refuse = |expected: String, got: String| BackendError::Signature {
        which: which(side, port),
        expected,
        got,
    };
    let name = TensorName::new(&port.name)
        .map_err(|fault| refuse(fault.expected, format!("a name of {}", fault.got)))?;
    let dtype = dtype::from_openvino(port.element).ok_or_else(|| {
        refuse(
            format!("one of {}", dtype::offered()),
            format!("OpenVINO's element type number {}", port.element),
        )
    })?;
    let dims = port.dims.as_ref().map(|dims| {
        if dims.len() > RANK_MAX {
            return Err(refuse(
                format!("at most {RANK_MAX} dimensions"),
                dims.len().to_string(),
            ));
        }
        let each = dims
            .iter()
            .map(|&(least, most)| match u32::try_from(least) {
                _ if least != most => Ok(Dim::Any),
                Ok(fixed) => Ok(Dim::Fixed(fixed)),
                Err(_) => Err(refuse(
                    "dimensions below 4294967296".to_owned(),
                    least.to_string(),
                )),
            });
        each.collect::<Result<Vec<Dim>, _>>()
    });
    Ok(TensorSpec {
        name,
        dtype,
        dims: dims.transpose()?,
    })
}

// === impl Side ===

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
        }
    }
}
