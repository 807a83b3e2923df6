//! The table language over this ABI.

use cases::table::{self, Abi, Failure};
use cases::{Encoding, Input, Target};

use crate::Stop;
use crate::dialect::errno_name;
use crate::nn::{Nn, Refused};

pub(super) fn run(nn: Nn, steps: &[&str]) -> Result<(), Stop> {
    let (lines, well) = table::run(nn, steps)?;
    print!("{lines}");
    if well { Ok(()) } else { Err(Stop::Reported) }
}

pub(super) fn run_file(nn: Nn, path: &str) -> Result<(), Stop> {
    let text = std::fs::read_to_string(path).map_err(|error| Stop::io(path, &error))?;
    if table::run_file(&text, || nn)? {
        Ok(())
    } else {
        Err(Stop::Reported)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Host { errno, .. } => Self::Host(errno_name(errno)),
            Refused::NoNumber { .. } => Self::Skip,
        }
    }
}

/// The host keeps inputs and outputs: a handle is all there is to remember.
impl Abi for Nn {
    type Graph = u32;
    type Context = u32;

    fn load_by_name(&mut self, name: &str) -> Result<u32, Failure> {
        Ok(Self::load_by_name(*self, name)?)
    }

    fn load(&mut self, parts: &[Vec<u8>], kind: (Encoding, Target)) -> Result<u32, Failure> {
        Ok(Self::load(*self, parts, kind)?)
    }

    fn open(&mut self, graph: &u32) -> Result<u32, Failure> {
        Ok(Self::open(*self, *graph)?)
    }

    fn set_input(&mut self, context: &mut u32, index: u32, input: &Input) -> Result<(), Failure> {
        Ok(Self::set_input(*self, *context, index, input)?)
    }

    fn set_named(&mut self, _: &mut u32, _: &Input) -> Result<(), Failure> {
        Err(Failure::Skip)
    }

    fn compute(&mut self, context: &mut u32) -> Result<(), Failure> {
        Ok(Self::compute(*self, *context)?)
    }

    fn output(&mut self, context: &mut u32, index: u32, max: usize) -> Result<Vec<u8>, Failure> {
        Ok(Self::output(*self, *context, index, max)?)
    }
}
