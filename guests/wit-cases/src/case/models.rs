//! Cases about getting a model: by all sorts of names, and by bytes.

use cases::{Encoding, Target, inputs, one_line, read_parts};
use nn_guest::component::{ExecutionTarget, GraphEncoding, load, load_by_name};

use super::compute;
use crate::{Stop, report};

/// One line a name, so that the names of a whole tenant can be probed in one run.
pub(super) fn names(names: &[&str]) -> Result<(), Stop> {
    let mut sound = true;
    for name in names {
        match load_by_name(name) {
            Ok(_graph) => println!("ok {}", one_line(name)),
            Err(failure) => {
                sound = false;
                println!("{}", report::failure(&failure));
            }
        }
    }
    if sound { Ok(()) } else { Err(Stop::Reported) }
}

pub(super) fn load_bytes(files: &str, rest: &[&str]) -> Result<(), Stop> {
    let options = rest
        .iter()
        .take_while(|argument| !argument.contains('='))
        .count();
    let (options, arguments) = rest.split_at(options);
    let (given, on) = match options {
        [] => ("onnx", "cpu"),
        [encoding] => (*encoding, "cpu"),
        [encoding, target] => (*encoding, *target),
        _ => return Err(Stop::Usage("too many arguments for load-bytes".to_owned())),
    };
    let (given, on) = (Encoding::parse(given)?, Target::parse(on)?);
    let inputs = inputs(arguments)?;

    let parts = read_parts(files).map_err(|text| Stop::Own { code: "io", text })?;
    let graph = load(&parts, encoding(given), target(on))?;
    println!("ok loaded");
    if inputs.is_empty() {
        Ok(())
    } else {
        compute::once_with(&graph.open()?, &inputs)
    }
}

/// The interface's word for an encoding.
pub(super) const fn encoding(encoding: Encoding) -> GraphEncoding {
    match encoding {
        Encoding::Openvino => GraphEncoding::Openvino,
        Encoding::Onnx => GraphEncoding::Onnx,
        Encoding::Tensorflow => GraphEncoding::Tensorflow,
        Encoding::Pytorch => GraphEncoding::Pytorch,
        Encoding::TensorflowLite => GraphEncoding::Tensorflowlite,
        Encoding::Ggml => GraphEncoding::Ggml,
        Encoding::Autodetect => GraphEncoding::Autodetect,
    }
}

/// The interface's word for a target.
pub(super) const fn target(target: Target) -> ExecutionTarget {
    match target {
        Target::Cpu => ExecutionTarget::Cpu,
        Target::Gpu => ExecutionTarget::Gpu,
        Target::Tpu => ExecutionTarget::Tpu,
    }
}
