//! The interface with a dialect: types go out as the numbers that this guest's header would have for them.

use cases::{Encoding, Fnv, Input, Target};
use nn_guest::core_module::ffi::{self, Errno};
use thiserror::Error;

use crate::dialect::{Dialect, errno_name, target};

/// No model has more; a reply is read until the host says that there is no such output.
const OUTPUTS_MAX: u32 = 128;
/// The buffer for an output, at first and at most. It grows when the host says that it is too small.
const BUFFER_MIN: usize = 1 << 20;
const BUFFER_MAX: usize = 1 << 28;

/// Why a call gave no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Refused {
    /// The host says so.
    #[error("error {} {function}", errno_name(*errno))]
    Host {
        function: &'static str,
        errno: Errno,
    },
    /// The dialect has no number for it.
    #[error("error no-number {what}")]
    NoNumber { what: &'static str },
}

/// All functions, in one dialect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nn {
    pub(crate) dialect: Dialect,
}

const fn host(function: &'static str) -> impl Fn(Errno) -> Refused {
    move |errno| Refused::Host { function, errno }
}

// === impl Nn ===

impl Nn {
    pub(crate) fn load_by_name(self, name: &str) -> Result<u32, Refused> {
        ffi::load_by_name(name).map_err(host("load_by_name"))
    }

    pub(crate) fn load(
        self,
        parts: &[Vec<u8>],
        (encoding, on): (Encoding, Target),
    ) -> Result<u32, Refused> {
        let encoding = self.dialect.encoding(encoding);
        let encoding = encoding.ok_or(Refused::NoNumber { what: "encoding" })?;
        ffi::load(parts, encoding, target(on)).map_err(host("load"))
    }

    pub(crate) fn open(self, graph: u32) -> Result<u32, Refused> {
        ffi::init_execution_context(graph).map_err(host("init_execution_context"))
    }

    pub(crate) fn set_input(self, context: u32, index: u32, input: &Input) -> Result<(), Refused> {
        let ty = self.dialect.tensor_type(input.ty);
        let ty = ty.ok_or(Refused::NoNumber {
            what: input.ty.name(),
        })?;
        ffi::set_input(context, index, ty, &input.dimensions, &input.bytes)
            .map_err(host("set_input"))
    }

    /// Each under its index, or, when its name is none, under its place in the list.
    pub(crate) fn set_inputs(self, context: u32, inputs: &[Input]) -> Result<(), Refused> {
        for (place, input) in (0_u32..).zip(inputs) {
            self.set_input(context, input.name.parse().unwrap_or(place), input)?;
        }
        Ok(())
    }

    pub(crate) fn compute(self, context: u32) -> Result<(), Refused> {
        ffi::compute(context).map_err(host("compute"))
    }

    pub(crate) fn output(
        self,
        context: u32,
        index: u32,
        bytes_max: usize,
    ) -> Result<Vec<u8>, Refused> {
        let mut buffer = vec![0; bytes_max];
        let len = ffi::get_output(context, index, &mut buffer).map_err(host("get_output"))?;
        buffer.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(buffer)
    }

    /// All outputs. The interface does not tell how many there are: the first index that is refused ends them, be it
    /// as invalid or, as some hosts say, as an error of the run.
    pub(crate) fn outputs(self, context: u32) -> Result<Vec<Vec<u8>>, Refused> {
        let mut outputs = Vec::new();
        let mut buffer = BUFFER_MIN;
        for index in 0..OUTPUTS_MAX {
            let output = loop {
                match self.output(context, index, buffer) {
                    Err(refused) if refused.is("too-large") && buffer < BUFFER_MAX => buffer *= 4,
                    other => break other,
                }
            };
            match output {
                Ok(output) => outputs.push(output),
                Err(refused) if refused.is("invalid-argument") => break,
                Err(refused) if refused.is("runtime-error") && index > 0 => break,
                Err(refused) => return Err(refused),
            }
        }
        Ok(outputs)
    }

    /// Inputs, compute, outputs.
    pub(crate) fn infer(self, context: u32, inputs: &[Input]) -> Result<Vec<Vec<u8>>, Refused> {
        self.set_inputs(context, inputs)?;
        self.compute(context)?;
        self.outputs(context)
    }
}

// === impl Refused ===

impl Refused {
    fn is(self, name: &str) -> bool {
        matches!(self, Self::Host { errno, .. } if errno_name(errno) == name)
    }
}

/// `ok INDEX LEN CHECKSUM` of each output.
pub(crate) fn print(outputs: &[Vec<u8>]) {
    for (index, output) in outputs.iter().enumerate() {
        println!("ok {index} {} {}", output.len(), Fnv::of(output));
    }
}

/// One checksum for a whole reply: the bytes of all outputs.
pub(crate) fn reply_checksum(outputs: &[Vec<u8>]) -> String {
    let mut checksum = Fnv::new();
    outputs.iter().for_each(|output| checksum.add(output));
    checksum.hex()
}
