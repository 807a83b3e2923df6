//! Cases that run a model: many times, with wrong bytes, with outputs kept, across a fault.

use std::collections::HashSet;

use cases::{DType, Input, SpecError, Tally, dimensions, inputs};
use nn_guest::Failure;
use nn_guest::component::{Context, NamedTensor, Tensor, load_by_name};

use crate::tensors::{tensor_type, tensors};
use crate::{Stop, report};

/// An input whose length in bytes has nothing to do with its dimensions.
pub(super) struct Odd<'a> {
    pub(super) name: &'a str,
    pub(super) ty: &'a str,
    pub(super) dims: &'a str,
    pub(super) len: usize,
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
        let reply = context.compute(tensors(&inputs));
        let checksum = reply.map(|outputs| report::reply_checksum(&outputs));
        tally.add(checksum.map_err(|failure| report::failure(&failure)));
    }
    if tally.print() {
        Ok(())
    } else {
        Err(Stop::Reported)
    }
}

pub(super) fn bytes(model: &str, odd: &Odd<'_>) -> Result<(), Stop> {
    let ty = DType::parse(odd.ty).ok_or_else(|| SpecError::Type(odd.ty.to_owned()))?;
    let dims = dimensions(odd.dims)?;
    let context = load_by_name(model)?.open()?;
    let tensor = Tensor::new(&dims, tensor_type(ty), &vec![0; odd.len]);
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
    let mut graph = load_by_name(model)?;
    let mut context = graph.open()?;
    let sound = cases::hold(seconds, |line| match line {
        "context" => renew(&mut context, graph.open()),
        "load" => renew(&mut graph, load_by_name(model)),
        _ => print_reply(&context.compute(tensors(&inputs))),
    });
    match sound {
        Ok(true) => Ok(()),
        Ok(false) => Err(Stop::Reported),
        Err(error) => Err(Stop::io("stdin", &error)),
    }
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
