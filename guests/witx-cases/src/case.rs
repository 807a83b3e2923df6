//! Which case an argument names, and the cases that run a model.

mod models;
mod table;

use cases::{DType, Input, SpecError, Tally, dimensions, inputs, limits, number};

use crate::Stop;
use crate::nn::{Nn, Refused, print, reply_checksum};

/// Runs the case that the arguments name.
///
/// # Errors
/// [`Stop`] says how the run ends.
pub(crate) fn run(nn: Nn, arguments: &[&str]) -> Result<(), Stop> {
    match arguments {
        ["run", model, count, inputs @ ..] => repeat_each(nn, model, number(count)?, inputs),
        ["loop", model, count, inputs @ ..] => repeat(nn, model, number(count)?, inputs),
        ["bytes", model, index, ty, dims, len] => odd(nn, model, index, [ty, dims, len]),
        ["hold", model, seconds, inputs @ ..] => hold(nn, model, number(seconds)?, inputs),
        ["trap", model, count, inputs @ ..] => {
            repeat_each(nn, model, number(count)?, inputs)?;
            limits::trap()
        }
        ["noname", names @ ..] => models::names(nn, names),
        ["load-bytes", files, rest @ ..] => models::load_bytes(nn, files, rest),
        ["handles", graph, context] => models::handles(number(graph)?, number(context)?),
        ["numbers", model] => models::numbers(nn, model),
        ["table", steps @ ..] => table::run(nn, steps),
        ["table-file", path] => table::run_file(nn, path),
        ["spin"] => {
            limits::spin();
            Ok(())
        }
        ["alloc", mib] => limits::alloc(number(mib)?).map_err(|text| Stop::Own {
            code: "out-of-memory",
            text,
        }),
        [] => Err(Stop::Usage("no case".to_owned())),
        [case, ..] => Err(Stop::Usage(format!("no case {case} with these arguments"))),
    }
}

/// A failed compute is a line like any other, and the next one is tried: a fault may have been mended.
fn repeat_each(nn: Nn, model: &str, count: usize, arguments: &[&str]) -> Result<(), Stop> {
    let inputs = inputs(arguments)?;
    let context = nn.open(nn.load_by_name(model)?)?;
    let mut sound = true;
    for _ in 0..count {
        sound &= print_reply(nn.infer(context, &inputs));
    }
    if sound { Ok(()) } else { Err(Stop::Reported) }
}

fn repeat(nn: Nn, model: &str, count: usize, arguments: &[&str]) -> Result<(), Stop> {
    let inputs = inputs(arguments)?;
    let context = nn.open(nn.load_by_name(model)?)?;
    let mut tally = Tally::default();
    for _ in 0..count {
        let reply = nn.infer(context, &inputs);
        let checksum = reply.map(|outputs| reply_checksum(&outputs));
        tally.add(checksum.map_err(|refused| refused.to_string()));
    }
    if tally.print() {
        Ok(())
    } else {
        Err(Stop::Reported)
    }
}

/// An input whose length in bytes has nothing to do with its dimensions.
fn odd(nn: Nn, model: &str, index: &str, [ty, dims, len]: [&str; 3]) -> Result<(), Stop> {
    let input = Input {
        name: index.to_owned(),
        ty: DType::parse(ty).ok_or_else(|| SpecError::Type(ty.to_owned()))?,
        dimensions: dimensions(dims)?,
        bytes: vec![0; number(len)?],
    };
    let context = nn.open(nn.load_by_name(model)?)?;
    print(&nn.infer(context, &[input])?);
    Ok(())
}

/// The test talks to this one by stdin and does its worst between two lines.
fn hold(nn: Nn, model: &str, seconds: u64, arguments: &[&str]) -> Result<(), Stop> {
    let inputs = inputs(arguments)?;
    let mut graph = nn.load_by_name(model)?;
    let mut context = nn.open(graph)?;
    let sound = cases::hold(seconds, |line| match line {
        "context" => renew(&mut context, nn.open(graph)),
        "load" => renew(&mut graph, nn.load_by_name(model)),
        _ => print_reply(nn.infer(context, &inputs)),
    });
    match sound {
        Ok(true) => Ok(()),
        Ok(false) => Err(Stop::Reported),
        Err(error) => Err(Stop::io("stdin", &error)),
    }
}

fn print_reply(reply: Result<Vec<Vec<u8>>, Refused>) -> bool {
    match reply {
        Ok(outputs) => {
            print(&outputs);
            true
        }
        Err(refused) => {
            println!("{refused}");
            false
        }
    }
}

/// Puts the new handle in place of the old, or keeps the old when there is no new one.
fn renew(old: &mut u32, new: Result<u32, Refused>) -> bool {
    match new {
        Ok(new) => {
            *old = new;
            println!("ok renewed");
            true
        }
        Err(refused) => {
            println!("{refused}");
            false
        }
    }
}
