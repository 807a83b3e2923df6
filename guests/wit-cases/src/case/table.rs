//! The table language over this ABI. Inputs are remembered and passed with each compute, as set_input has it in the
//! other ABI; an index goes as its decimal digits.

use std::collections::BTreeMap;

use cases::table::{self, Abi, Failure};
use cases::{Encoding, Input, Target};
use nn_guest::component::{Context, Graph, NamedTensor, load, load_by_name};

use super::models::{encoding, target};
use crate::{Stop, tensors};

struct Wit;

struct Place {
    context: Context,
    /// By index where there is one, else by name; indices come first, in their order.
    inputs: BTreeMap<(u32, String), Input>,
    outputs: Option<Vec<NamedTensor>>,
}

pub(super) fn run(steps: &[&str]) -> Result<(), Stop> {
    let (lines, well) = table::run(Wit, steps)?;
    print!("{lines}");
    if well { Ok(()) } else { Err(Stop::Reported) }
}

pub(super) fn run_file(path: &str) -> Result<(), Stop> {
    let text = std::fs::read_to_string(path).map_err(|error| Stop::io(path, &error))?;
    if table::run_file(&text, || Wit)? {
        Ok(())
    } else {
        Err(Stop::Reported)
    }
}

fn refused(failure: &nn_guest::Failure) -> Failure {
    Failure::Host(failure.code.name())
}

impl Place {
    /// The host's functions give tensors; what a step reads is bytes.
    fn output(&self, index: usize) -> Option<Vec<u8>> {
        let (_name, tensor) = self.outputs.as_ref()?.get(index)?;
        Some(tensor.data())
    }
}

impl Abi for Wit {
    type Graph = Graph;
    type Context = Place;

    fn load_by_name(&mut self, name: &str) -> Result<Graph, Failure> {
        load_by_name(name).map_err(|failure| refused(&failure))
    }

    fn load(&mut self, parts: &[Vec<u8>], kind: (Encoding, Target)) -> Result<Graph, Failure> {
        load(parts, encoding(kind.0), target(kind.1)).map_err(|failure| refused(&failure))
    }

    fn open(&mut self, graph: &Graph) -> Result<Place, Failure> {
        Ok(Place {
            context: graph.open().map_err(|failure| refused(&failure))?,
            inputs: BTreeMap::new(),
            outputs: None,
        })
    }

    fn set_input(&mut self, place: &mut Place, index: u32, input: &Input) -> Result<(), Failure> {
        let mut input = input.clone();
        input.name = index.to_string();
        place.inputs.insert((index, String::new()), input);
        Ok(())
    }

    fn set_named(&mut self, place: &mut Place, input: &Input) -> Result<(), Failure> {
        let key = (u32::MAX, input.name.clone());
        place.inputs.insert(key, input.clone());
        Ok(())
    }

    fn compute(&mut self, place: &mut Place) -> Result<(), Failure> {
        place.outputs = None;
        let inputs = place.inputs.values();
        let inputs = inputs.map(|input| (input.name.clone(), tensors::tensor(input)));
        place.outputs = Some(
            place
                .context
                .compute(inputs.collect())
                .map_err(|failure| refused(&failure))?,
        );
        Ok(())
    }

    fn output(&mut self, place: &mut Place, index: u32, max: usize) -> Result<Vec<u8>, Failure> {
        if place.outputs.is_none() {
            return Err(Failure::Own("no-output"));
        }
        let bytes = usize::try_from(index)
            .ok()
            .and_then(|index| place.output(index));
        match bytes {
            None => Err(Failure::Own("invalid-argument")),
            Some(bytes) if bytes.len() > max => Err(Failure::Own("too-large")),
            Some(bytes) => Ok(bytes),
        }
    }
}
