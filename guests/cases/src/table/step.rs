//! One step of a table, out of its argument. Pure.

use super::OUTPUT_MAX;
use crate::{Encoding, Input, SpecError, Target, number};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    Bytes {
        files: String,
        kind: (Encoding, Target),
    },
    Context(usize),
    Input {
        context: usize,
        index: u32,
        input: Input,
    },
    Named {
        context: usize,
        input: Input,
    },
    Compute(usize),
    Output {
        context: usize,
        index: u32,
        bytes_max: usize,
    },
}

// === impl Step ===

impl Step {
    pub(super) fn parse(argument: &str) -> Result<Self, SpecError> {
        let unknown = || SpecError::Step(argument.to_owned());
        let (verb, rest) = argument.split_once(':').ok_or_else(unknown)?;
        match verb {
            // A model's name may hold a colon: the rest is the name.
            "name" => Ok(Self::Name(rest.to_owned())),
            "bytes" => bytes(rest),
            "ctx" => Ok(Self::Context(number(rest)?)),
            "in" | "rawin" | "named" => {
                let (context, input) = rest.split_once(':').ok_or_else(unknown)?;
                input_step(verb, number(context)?, input)
            }
            "compute" => Ok(Self::Compute(number(rest)?)),
            "out" => output(rest).ok_or_else(unknown)?,
            _ => Err(unknown()),
        }
    }
}

fn bytes(rest: &str) -> Result<Step, SpecError> {
    let mut parts = rest.splitn(3, ':');
    let files = parts.next().unwrap_or_default().to_owned();
    let encoding = Encoding::parse(parts.next().unwrap_or("onnx"))?;
    let target = Target::parse(parts.next().unwrap_or("cpu"))?;
    Ok(Step::Bytes {
        files,
        kind: (encoding, target),
    })
}

fn input_step(verb: &str, context: usize, argument: &str) -> Result<Step, SpecError> {
    let input = match verb {
        "rawin" => Input::parse_raw(argument)?,
        _ => Input::parse(argument)?,
    };
    if verb == "named" {
        return Ok(Step::Named { context, input });
    }
    Ok(Step::Input {
        context,
        index: number(&input.name)?,
        input,
    })
}

fn output(rest: &str) -> Option<Result<Step, SpecError>> {
    let mut parts = rest.split(':');
    let (context, index, bytes_max) = (parts.next()?, parts.next()?, parts.next());
    if parts.next().is_some() {
        return None;
    }
    let step = || {
        Ok(Step::Output {
            context: number(context)?,
            index: number(index)?,
            bytes_max: bytes_max.map_or(Ok(OUTPUT_MAX), number)?,
        })
    };
    Some(step())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_may_hold_a_colon() {
        let step = Step::parse("name:foo:canary").unwrap();
        assert_eq!(step, Step::Name("foo:canary".to_owned()));
    }

    #[test]
    fn bytes_are_onnx_on_a_cpu_unless_told_otherwise() {
        let step = |kind| {
            Ok(Step::Bytes {
                files: "a,b".to_owned(),
                kind,
            })
        };
        assert_eq!(
            Step::parse("bytes:a,b"),
            step((Encoding::Onnx, Target::Cpu))
        );
        assert_eq!(
            Step::parse("bytes:a,b:openvino:tpu"),
            step((Encoding::Openvino, Target::Tpu))
        );
    }

    #[test]
    fn input_by_index_needs_an_index() {
        assert!(Step::parse("in:0:1=u8:2:7").is_ok());
        assert_eq!(
            Step::parse("in:0:a=u8:2:7"),
            Err(SpecError::Number("a".to_owned()))
        );
    }

    #[test]
    fn output_has_a_largest_size() {
        let step = |bytes_max| {
            Ok(Step::Output {
                context: 1,
                index: 2,
                bytes_max,
            })
        };
        assert_eq!(Step::parse("out:1:2"), step(OUTPUT_MAX));
        assert_eq!(Step::parse("out:1:2:3"), step(3));
        assert!(Step::parse("out:1:2:3:4").is_err());
        assert!(Step::parse("out:1").is_err());
    }

    #[test]
    fn unknown_verb_is_refused() {
        let refused = Err(SpecError::Step("drop:1".to_owned()));
        assert_eq!(Step::parse("drop:1"), refused);
    }
}
