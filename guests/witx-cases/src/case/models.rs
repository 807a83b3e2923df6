//! Cases about getting a model, and about numbers that a host was never to be sent.

use cases::{Encoding, Target, inputs, one_line, read_parts};
use nn_guest::core_module::ffi;

use crate::Stop;
use crate::dialect::errno_name;
use crate::nn::{Nn, print};

/// Numbers from 0 to here are tried; some beyond have a meaning for nobody.
const TRIED: u8 = 9;

/// One line a name, so that the names of a whole tenant can be probed in one run.
pub(super) fn names(nn: Nn, names: &[&str]) -> Result<(), Stop> {
    let mut sound = true;
    for name in names {
        match nn.load_by_name(name) {
            Ok(_graph) => println!("ok {}", one_line(name)),
            Err(refused) => {
                sound = false;
                println!("{refused}");
            }
        }
    }
    if sound { Ok(()) } else { Err(Stop::Reported) }
}

pub(super) fn load_bytes(nn: Nn, files: &str, rest: &[&str]) -> Result<(), Stop> {
    let options = rest
        .iter()
        .take_while(|argument| !argument.contains('='))
        .count();
    let (options, arguments) = rest.split_at(options);
    let (encoding, target) = match options {
        [] => ("onnx", "cpu"),
        [encoding] => (*encoding, "cpu"),
        [encoding, target] => (*encoding, *target),
        _ => return Err(Stop::Usage("too many arguments for load-bytes".to_owned())),
    };
    let kind = (Encoding::parse(encoding)?, Target::parse(target)?);
    let inputs = inputs(arguments)?;

    let parts = read_parts(files).map_err(|text| Stop::Own { code: "io", text })?;
    let graph = nn.load(&parts, kind)?;
    println!("ok loaded");
    if !inputs.is_empty() {
        print(&nn.infer(nn.open(graph)?, &inputs)?);
    }
    Ok(())
}

/// Every function that takes a handle, with these. Whatever the host answers is well: it is what a test looks at.
pub(super) fn handles(graph: u32, context: u32) -> Result<(), Stop> {
    let mut output = [0; 8];
    let answers = [
        (
            "init_execution_context",
            ffi::init_execution_context(graph).map(drop),
        ),
        ("set_input", ffi::set_input(context, 0, 1, &[1], &[0; 4])),
        ("compute", ffi::compute(context)),
        (
            "get_output",
            ffi::get_output(context, 0, &mut output).map(drop),
        ),
    ];
    for (function, answer) in answers {
        println!("ok {function} {}", name(answer));
    }
    Ok(())
}

/// Every number there may be for a type, an encoding and a target, each with an empty input or no model at all.
pub(super) fn numbers(nn: Nn, model: &str) -> Result<(), Stop> {
    let context = nn.open(nn.load_by_name(model)?)?;
    for ty in (0..=TRIED).chain([u8::MAX]) {
        let answer = ffi::set_input(context, 0, ty, &[0], &[]);
        println!("ok type {ty} {}", name(answer));
    }
    let nothing = [Vec::new()];
    for number in (0..=u32::from(TRIED)).chain([255, 256, u32::MAX]) {
        let answer = ffi::load(&nothing, number, 0).map(drop);
        println!("ok encoding {number} {}", name(answer));
    }
    for number in (0..=u32::from(TRIED)).chain([255, 256, u32::MAX]) {
        let answer = ffi::load(&nothing, 1, number).map(drop);
        println!("ok target {number} {}", name(answer));
    }
    Ok(())
}

fn name(answer: Result<(), ffi::Errno>) -> &'static str {
    errno_name(answer.err().unwrap_or_default())
}
