//! The core module's interface. As it is, it is six functions with numbers for everything: [`ffi`] has them, for guests that
//! want what the values of this crate hide.

mod errno;
pub mod ffi;
mod outputs;

use std::fmt;

use self::errno::refused;
use self::ffi::Errno;
use self::outputs::Known;
use crate::{Code, DType, Encoding, Failure, Target, Tensor};

/// The host's graph. It lives as long as the module, and so do contexts: the interface has no way to give one back.
#[derive(Debug)]
pub(crate) struct Graph(u32);

/// The host's context, and what is known of its model by now.
#[derive(Debug)]
pub(crate) struct Context {
    handle: u32,
    /// How many inputs it was given. It keeps them, so a call that brings fewer would be answered with old ones.
    given: usize,
    outputs: Known,
}

const fn host(function: &'static str) -> impl Fn(Errno) -> Failure {
    move |errno| refused(function, errno, None)
}

pub(crate) fn load_by_name(name: &str) -> Result<Graph, Failure> {
    let handle = ffi::load_by_name(name);
    handle
        .map(Graph)
        .map_err(|errno| refused("load_by_name", errno, Some(name)))
}

pub(crate) fn load(
    parts: &[Vec<u8>],
    encoding: Encoding,
    target: Target,
) -> Result<Graph, Failure> {
    let handle = ffi::load(parts, number_of(encoding)?, device(target));
    handle.map(Graph).map_err(host("load"))
}

fn number_of(encoding: Encoding) -> Result<u32, Failure> {
    Ok(match encoding {
        Encoding::Openvino => 0,
        Encoding::Onnx => 1,
        Encoding::Tensorflow => 2,
        Encoding::Pytorch => 3,
        Encoding::TensorflowLite => 4,
        Encoding::Autodetect => 5,
        Encoding::Ggml => return Err(wordless("no number for GGML", "ggml")),
    })
}

const fn device(target: Target) -> u32 {
    match target {
        Target::Cpu => 0,
        Target::Gpu => 1,
        Target::Tpu => 2,
    }
}

fn type_of(dtype: DType) -> Result<u8, Failure> {
    Ok(match dtype {
        DType::Fp16 => 0,
        DType::Fp32 => 1,
        DType::Fp64 => 2,
        DType::U8 => 3,
        DType::I32 => 4,
        DType::I64 => 5,
        DType::Bf16 => return Err(wordless("no number for bf16", "a tensor of bf16")),
    })
}

/// What the interface has no way to say.
fn wordless(what: &str, got: impl fmt::Display) -> Failure {
    let text = format!("the interface of core modules has {what}");
    let failure = Failure::of(Code::UnsupportedOperation, text).got(got);
    failure.hint("build the guest as a component (feature `component`)")
}

/// Whether these are inputs that the interface can pass, and the context would not mix with older ones.
fn check(inputs: &[Tensor<'_>], given: usize) -> Result<(), Failure> {
    for input in inputs {
        if let Some(name) = input.name() {
            let got = format!("the name {name}");
            return Err(wordless(
                "no names, only the order of the model's inputs",
                got,
            ));
        }
    }
    if inputs.len() < given {
        return Err(Failure::of(Code::InvalidArgument, "inputs are missing")
            .expected(format!("{given} inputs, as before"))
            .got(inputs.len()));
    }
    Ok(())
}

// === impl Graph ===

impl Graph {
    pub(crate) fn open(&self) -> Result<Context, Failure> {
        let handle = ffi::init_execution_context(self.0);
        Ok(Context {
            handle: handle.map_err(host("init_execution_context"))?,
            given: 0,
            outputs: Known::default(),
        })
    }
}

// === impl Context ===

impl Context {
    /// Sets all inputs, computes, and reads all outputs.
    pub(crate) fn run(&mut self, inputs: &[Tensor<'_>]) -> Result<Vec<Tensor<'static>>, Failure> {
        check(inputs, self.given)?;
        for (place, input) in (0..).zip(inputs) {
            self.set(place, input)?;
            self.given = self.given.max(place + 1);
        }
        ffi::compute(self.handle).map_err(host("compute"))?;
        let context = self.handle;
        let read = self
            .outputs
            .read(|index, buffer| ffi::get_output(context, index, buffer))?;
        Ok(read.into_iter().map(Tensor::untold).collect())
    }

    fn set(&self, place: usize, input: &Tensor<'_>) -> Result<(), Failure> {
        let (Some(dtype), Some(dims)) = (input.dtype(), input.dims()) else {
            return Err(input.shapeless(place));
        };
        let index = u32::try_from(place).unwrap_or(u32::MAX);
        let set = ffi::set_input(self.handle, index, type_of(dtype)?, dims, input.bytes());
        set.map_err(|errno| {
            let got = format!("{} as input {place}", input.told());
            refused("set_input", errno, Some(&got))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> Tensor<'static> {
        Tensor::new(&[1], &[1_u8]).unwrap()
    }

    #[test]
    fn names_are_refused_with_what_to_do() {
        let failure = check(&[input(), input().named("mask")], 0).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "unsupported-operation: the interface of core modules has no names, only the order of the model's inputs; \
             got: the name mask; hint: build the guest as a component (feature `component`)"
        );
    }

    #[test]
    fn fewer_inputs_than_before_are_refused_and_more_are_the_hosts_to_judge() {
        let failure = check(&[input()], 2).unwrap_err();
        assert_eq!(failure.code, Code::InvalidArgument);
        assert!(failure.text.contains("expected: 2 inputs"), "{failure}");
        assert_eq!(check(&[input(), input()], 1), Ok(()));
    }

    #[test]
    fn bf16_and_ggml_are_all_that_has_no_number() {
        let without = DType::ALL.map(|dtype| type_of(dtype).is_err());
        let bf16 = DType::ALL.map(|dtype| dtype == DType::Bf16);
        assert_eq!(without, bf16);
        assert!(number_of(Encoding::Ggml).is_err());
        assert!(number_of(Encoding::Autodetect).is_ok());
    }
}
