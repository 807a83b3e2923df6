//! The guest of the conformance suite: for each call that it reads from stdin it loads a model by its name, computes, and writes
//! what came out to stdout, to the bit, until there are no more calls. What is right is the suite's to judge.

mod call;

use std::io::{self, BufReader, Write};
use std::process::ExitCode;

use nn_guest::load_by_name;

use self::call::Call;

/// Answers every call. Fails when it is told something that is none.
#[must_use]
pub fn main() -> ExitCode {
    let (mut from, mut to) = (BufReader::new(io::stdin()), io::stdout().lock());
    loop {
        let done = match Call::read(&mut from) {
            Ok(Some(call)) => run(&call, &mut to),
            Ok(None) => return ExitCode::SUCCESS,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    }
}

fn run(call: &Call, to: &mut impl Write) -> io::Result<()> {
    let model = match load_by_name(&call.model) {
        Ok(model) => model,
        Err(failure) => return call::refuse(to, "load", &failure),
    };
    match model.compute(&call.inputs) {
        Ok(outputs) => call::answer(to, &outputs),
        Err(failure) => call::refuse(to, "compute", &failure),
    }
}
