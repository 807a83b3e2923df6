//! The table language: the same small steps over either ABI, so that what they print can be compared line by line.
//!
//! A run numbers its graphs and contexts from 0 in the order of the steps that ask for them, whether those succeed or
//! not, so that a step means the same in both ABIs whatever became of those before it. A step that fails prints a line
//! and the run goes on.

mod step;

use std::fmt::Write as _;

use step::Step;

use crate::{Encoding, Fnv, Input, SpecError, Target, read_parts};

/// The largest output that a step reads unless it says otherwise.
const OUTPUT_MAX: usize = 1 << 20;

/// The part of a usage text that both guests share.
pub const USAGE: &str = "  table STEP...                     run the steps in order; one that fails prints a line, and the next is run
  table-file FILE                   a table a line: a label, then steps; `#` begins a comment

  STEP   name:MODEL                       the next graph (0, 1, …), by name
         bytes:FILE[:ENCODING[:TARGET]]   the next graph, from bytes (onnx, cpu)
         ctx:GRAPH                        the next context (0, 1, …)
         in:CTX:INDEX=DTYPE:DIMS:FILL     an input by index; it stays for all computes to come
         named:CTX:NAME=DTYPE:DIMS:FILL   an input by name, where the ABI has names
         rawin:CTX:INDEX=DTYPE:DIMS:LEN   an input of LEN zero bytes, whatever DIMS say
         compute:CTX
         out:CTX:INDEX[:MAX]              prints `out INDEX LEN CHECKSUM` of an output of at most MAX bytes (1 MiB)
         A failure prints `fail STEP CODE`, what the ABI cannot say `skip STEP`, the end `ok steps=N failed=N`.";

/// Why a step did not do what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The host refused, with this code.
    Host(&'static str),
    /// Refused before the host was asked: no such handle, no such file.
    Own(&'static str),
    /// This ABI has no way to ask.
    Skip,
}

/// What a guest brings along: its host's functions. Handles are what the host gave.
pub trait Abi {
    /// A graph of the host.
    type Graph;
    /// A context of the host, with whatever the guest keeps for it.
    type Context;

    /// Loads by name.
    ///
    /// # Errors
    /// All of these fail with what the host answers.
    fn load_by_name(&mut self, name: &str) -> Result<Self::Graph, Failure>;
    /// Loads bytes, a part each.
    ///
    /// # Errors
    /// As above.
    fn load(&mut self, parts: &[Vec<u8>], kind: (Encoding, Target))
    -> Result<Self::Graph, Failure>;
    /// Opens a context.
    ///
    /// # Errors
    /// As above.
    fn open(&mut self, graph: &Self::Graph) -> Result<Self::Context, Failure>;
    /// Sets an input by index, in place of the one that was there.
    ///
    /// # Errors
    /// As above.
    fn set_input(
        &mut self,
        context: &mut Self::Context,
        index: u32,
        input: &Input,
    ) -> Result<(), Failure>;
    /// Sets an input by its name.
    ///
    /// # Errors
    /// As above.
    fn set_named(&mut self, context: &mut Self::Context, input: &Input) -> Result<(), Failure>;
    /// Runs the model.
    ///
    /// # Errors
    /// As above.
    fn compute(&mut self, context: &mut Self::Context) -> Result<(), Failure>;
    /// The bytes of an output, `bytes_max` at most.
    ///
    /// # Errors
    /// As above.
    fn output(
        &mut self,
        context: &mut Self::Context,
        index: u32,
        bytes_max: usize,
    ) -> Result<Vec<u8>, Failure>;
}

/// One run: what its steps made so far. What failed is `None`, and keeps its number.
struct Run<A: Abi> {
    abi: A,
    graphs: Vec<Option<A::Graph>>,
    contexts: Vec<Option<A::Context>>,
}

/// Runs the steps and returns the lines to print, and whether none failed. All steps are read before the first is run.
///
/// # Errors
/// [`SpecError`] of the first argument that is no step.
pub fn run<A: Abi>(abi: A, arguments: &[&str]) -> Result<(String, bool), SpecError> {
    let steps = arguments
        .iter()
        .map(|argument| Ok((*argument, Step::parse(argument)?)))
        .collect::<Result<Vec<_>, SpecError>>()?;
    let mut run = Run {
        abi,
        graphs: Vec::new(),
        contexts: Vec::new(),
    };
    let (mut lines, mut failed) = (String::new(), 0_usize);
    for (argument, step) in &steps {
        // Writing to a String cannot fail.
        let _ = match run.step(step) {
            Ok(None) => Ok(()),
            Ok(Some(line)) => writeln!(lines, "{line}"),
            Err(Failure::Skip) => writeln!(lines, "skip {argument}"),
            Err(Failure::Host(code) | Failure::Own(code)) => {
                failed += 1;
                writeln!(lines, "fail {argument} {code}")
            }
        };
    }
    let _ = writeln!(lines, "ok steps={} failed={failed}", steps.len());
    Ok((lines, failed == 0))
}

/// Runs a table a line, each from nothing, and prints `case LABEL` before its lines. Whether no step failed.
///
/// # Errors
/// [`SpecError`] of the first line with an argument that is no step; tables before it have been run.
pub fn run_file<A: Abi>(text: &str, abi: impl Fn() -> A) -> Result<bool, SpecError> {
    let mut sound = true;
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [first, ..] if first.starts_with('#') => {}
            [label, steps @ ..] => {
                let (lines, well) = run(abi(), steps)?;
                print!("case {label}\n{lines}");
                sound &= well;
            }
        }
    }
    Ok(sound)
}

// === impl Run ===

impl<A: Abi> Run<A> {
    /// Does one step; the line is what an output prints.
    fn step(&mut self, step: &Step) -> Result<Option<String>, Failure> {
        match step {
            Step::Name(name) => {
                let graph = self.abi.load_by_name(name);
                keep(&mut self.graphs, graph)
            }
            Step::Bytes { files, kind } => {
                let graph = read_parts(files)
                    .map_err(|_| Failure::Own("io"))
                    .and_then(|parts| self.abi.load(&parts, *kind));
                keep(&mut self.graphs, graph)
            }
            Step::Context(graph) => {
                let context = made(&mut self.graphs, *graph).and_then(|graph| self.abi.open(graph));
                keep(&mut self.contexts, context)
            }
            Step::Input {
                context,
                index,
                input,
            } => {
                let context = made(&mut self.contexts, *context)?;
                self.abi.set_input(context, *index, input).map(|()| None)
            }
            Step::Named { context, input } => {
                let context = made(&mut self.contexts, *context)?;
                self.abi.set_named(context, input).map(|()| None)
            }
            Step::Compute(context) => {
                let context = made(&mut self.contexts, *context)?;
                self.abi.compute(context).map(|()| None)
            }
            Step::Output {
                context,
                index,
                bytes_max,
            } => {
                let context = made(&mut self.contexts, *context)?;
                let bytes = self.abi.output(context, *index, *bytes_max)?;
                let checksum = Fnv::of(&bytes);
                Ok(Some(format!("out {index} {} {checksum}", bytes.len())))
            }
        }
    }
}

fn made<T>(things: &mut [Option<T>], number: usize) -> Result<&mut T, Failure> {
    let thing = things.get_mut(number).and_then(Option::as_mut);
    thing.ok_or(Failure::Own("no-handle"))
}

fn keep<T>(
    things: &mut Vec<Option<T>>,
    made: Result<T, Failure>,
) -> Result<Option<String>, Failure> {
    let (thing, result) = match made {
        Ok(thing) => (Some(thing), Ok(None)),
        Err(failure) => (None, Err(failure)),
    };
    things.push(thing);
    result
}

#[cfg(test)]
mod tests;
