//! Cases that run a model: many times, with wrong bytes, with outputs kept, across a fault.

use std::collections::HashSet;
use std::io::BufRead as _;
use std::time::{Duration, Instant};

use nn_guest::{Context, Failure, NamedTensor, Tensor, load_by_name};

use crate::spec::{Input, dimensions, element_type, inputs, tensors};
use crate::{Stop, report};

/// An input whose length in bytes has nothing to do with its dimensions.
pub(super) struct Odd<'a> {
    pub(super) name: &'a str,
    pub(super) ty: &'a str,
    pub(super) dims: &'a str,
    pub(super) len: usize,
}

/// Whole replies, counted: how many, how many failed, how many were different, and the last.
#[derive(Default)]
struct Tally {
    computes: usize,
    errors: usize,
    distinct: HashSet<String>,
    last: Option<String>,
}

/// A failed compute is a line like any other, and the next one is tried: a fault may have been mended.
pub(super) fn run(model: &str, count: usize, arguments: &[&str]) -> Result<(), Stop> {
    let inputs = inputs(arguments)?;
    let context = load_by_name(model)?.open()?;
    let mut sound = true;
    for _ in 0..count {
        sound &= print_reply(&context.compute(tensors(&inputs)));
    }
    if sound { Ok(()) } else { Err(Stop::Reported) }
}

pub(super) fn repeat(model: &str, count: usize, arguments: &[&str]) -> Result<(), Stop> {
    let inputs = inputs(arguments)?;
    let context = load_by_name(model)?.open()?;
    let mut tally = Tally::default();
    for _ in 0..count {
        tally.add(context.compute(tensors(&inputs)));
    }
    tally.print()
}

pub(super) fn bytes(model: &str, odd: &Odd<'_>) -> Result<(), Stop> {
    let (ty, dims) = (element_type(odd.ty)?, dimensions(odd.dims)?);
    let context = load_by_name(model)?.open()?;
    let tensor = Tensor::new(&dims, ty, &vec![0; odd.len]);
    once(&context, vec![(odd.name.to_owned(), tensor)])
}

/// Tensors are held until there are `count`, read only then, and never dropped: the host must cope with both.
pub(super) fn leak(model: &str, count: usize, arguments: &[&str]) -> Result<(), Stop> {
    let inputs = inputs(arguments)?;
    let context = load_by_name(model)?.open()?;
    let mut held: Vec<NamedTensor> = Vec::new();
    let mut refused = None;
    while held.len() < count && refused.is_none() {
        match context.compute(tensors(&inputs)) {
            Ok(outputs) if outputs.is_empty() => break,
            Ok(outputs) => held.extend(outputs),
            Err(failure) => refused = Some(failure),
        }
    }
    let checksums: Vec<String> = held.chunks(1).map(report::reply_checksum).collect();
    let distinct = checksums.iter().collect::<HashSet<_>>().len();
    let last = checksums.last().map_or("-", String::as_str);
    println!("ok held={} distinct={distinct} last={last}", held.len());
    std::mem::forget(held);
    refused.map_or(Ok(()), |failure| Err(failure.into()))
}

/// The test talks to this one by stdin and does its worst between two lines.
pub(super) fn hold(model: &str, seconds: u64, arguments: &[&str]) -> Result<(), Stop> {
    let inputs = inputs(arguments)?;
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut graph = load_by_name(model)?;
    let mut context = graph.open()?;
    println!("ok ready");

    let mut sound = true;
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|error| Stop::Own {
            code: "io",
            text: error.to_string(),
        })?;
        if line.trim() == "quit" || (seconds > 0 && Instant::now() >= end) {
            break;
        }
        sound &= match line.trim() {
            "context" => renew(&mut context, graph.open()),
            "load" => renew(&mut graph, load_by_name(model)),
            _ => print_reply(&context.compute(tensors(&inputs))),
        };
    }
    if sound { Ok(()) } else { Err(Stop::Reported) }
}

/// One compute, for the cases where a failure ends the run.
pub(super) fn once(context: &Context, inputs: Vec<NamedTensor>) -> Result<(), Stop> {
    context
        .compute(inputs)?
        .iter()
        .for_each(|output| println!("{}", report::output(output)));
    Ok(())
}

pub(super) fn once_with(context: &Context, given: &[Input]) -> Result<(), Stop> {
    once(context, tensors(given))
}

fn print_reply(reply: &Result<Vec<NamedTensor>, Failure>) -> bool {
    match reply {
        Ok(outputs) => outputs
            .iter()
            .for_each(|output| println!("{}", report::output(output))),
        Err(failure) => println!("{}", report::failure(failure)),
    }
    reply.is_ok()
}

/// Puts the new one in place of the old, or keeps the old when there is no new one.
fn renew<T>(old: &mut T, new: Result<T, Failure>) -> bool {
    match new {
        Ok(new) => {
            *old = new;
            println!("ok renewed");
            true
        }
        Err(failure) => {
            println!("{}", report::failure(&failure));
            false
        }
    }
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, reply: Result<Vec<NamedTensor>, Failure>) {
        self.computes += 1;
        match reply {
            Ok(outputs) => {
                let checksum = report::reply_checksum(&outputs);
                self.distinct.insert(checksum.clone());
                self.last = Some(checksum);
            }
            Err(failure) => {
                self.errors += 1;
                println!("{}", report::failure(&failure));
            }
        }
    }

    fn print(self) -> Result<(), Stop> {
        let Self {
            computes,
            errors,
            distinct,
            last,
        } = self;
        let (distinct, last) = (distinct.len(), last.as_deref().unwrap_or("-").to_owned());
        println!("ok computes={computes} errors={errors} distinct={distinct} last={last}");
        if errors == 0 {
            Ok(())
        } else {
            Err(Stop::Reported)
        }
    }
}
