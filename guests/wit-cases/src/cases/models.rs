//! Cases about getting a model: by all sorts of names, and by bytes.

use nn_guest::{ExecutionTarget, GraphEncoding, load, load_by_name};

use super::compute;
use crate::{Stop, report, spec};

/// One line a name, so that the names of a whole tenant can be probed in one run.
pub(super) fn names(names: &[&str]) -> Result<(), Stop> {
    let mut sound = true;
    for name in names {
        match load_by_name(name) {
            Ok(_graph) => println!("ok {}", report::one_line(name)),
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
    let (encoding, target) = match options {
        [] => ("onnx", "cpu"),
        [encoding] => (*encoding, "cpu"),
        [encoding, target] => (*encoding, *target),
        _ => return Err(Stop::Usage("too many arguments for load-bytes".to_owned())),
    };
    let (encoding, target) = (parse_encoding(encoding)?, parse_target(target)?);
    let inputs = spec::inputs(arguments)?;

    let parts = files.split(',').map(read).collect::<Result<Vec<_>, _>>()?;
    let graph = load(&parts, encoding, target)?;
    println!("ok loaded");
    if inputs.is_empty() {
        Ok(())
    } else {
        compute::once_with(&graph.open()?, &inputs)
    }
}

fn read(path: &str) -> Result<Vec<u8>, Stop> {
    std::fs::read(path).map_err(|error| Stop::Own {
        code: "io",
        text: format!("{path}: {error}"),
    })
}

fn parse_encoding(name: &str) -> Result<GraphEncoding, Stop> {
    Ok(match name {
        "openvino" => GraphEncoding::Openvino,
        "onnx" => GraphEncoding::Onnx,
        "tensorflow" => GraphEncoding::Tensorflow,
        "pytorch" => GraphEncoding::Pytorch,
        "tensorflowlite" => GraphEncoding::Tensorflowlite,
        "ggml" => GraphEncoding::Ggml,
        "autodetect" => GraphEncoding::Autodetect,
        _ => return Err(Stop::Usage(format!("{name} is not an encoding"))),
    })
}

fn parse_target(name: &str) -> Result<ExecutionTarget, Stop> {
    Ok(match name {
        "cpu" => ExecutionTarget::Cpu,
        "gpu" => ExecutionTarget::Gpu,
        "tpu" => ExecutionTarget::Tpu,
        _ => return Err(Stop::Usage(format!("{name} is not a target"))),
    })
}
