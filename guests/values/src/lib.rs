//! What `nn-guest` promises, tried on a host: `NAME: ANSWER` a line, where an answer is what Rust prints of it, or a failure. It
//! wants the models `add-f32`, `matmul-f32`, `two-outputs` and `any-bf16` under these names, and takes no arguments.

use std::fmt::Debug;
use std::process::ExitCode;

use nn_guest::{Code, DType, Failure, Model, Outputs, Tensor, load_by_name};

/// More bytes than a core module makes room for at first.
const LARGE: usize = 100_000;

/// Tries everything. Fails when a model cannot be had.
#[must_use]
pub fn main() -> ExitCode {
    match all() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn all() -> Result<(), Failure> {
    kept(&load_by_name("add-f32")?)?;
    state(&load_by_name("add-f32")?)?;
    large(&load_by_name("add-f32")?)?;
    refused(&load_by_name("add-f32")?)?;
    outputs(&load_by_name("two-outputs")?)?;
    tell("named", named(&load_by_name("matmul-f32")?));
    tell("bf16", bf16(&load_by_name("any-bf16")?));
    tell("nobody", load_by_name("nobody").map(drop));
    tell("no name", load_by_name("no body").map(drop));
    Ok(())
}

fn tell<T: Debug>(name: &str, answer: Result<T, Failure>) {
    match answer {
        Ok(answer) => println!("{name}: {answer:?}"),
        Err(failure) => println!("{name}: {failure}"),
    }
}

fn sum(model: &Model, a: &[f32], b: &[f32]) -> Result<Vec<f32>, Failure> {
    let dims = |values: &[f32]| [u32::try_from(values.len()).unwrap_or(u32::MAX)];
    let inputs = [Tensor::new(&dims(a), a)?, Tensor::new(&dims(b), b)?];
    model.compute(&inputs)?.take(0)?.to_vec()
}

/// One model computes as often as it is asked to, in its own context and in others.
fn kept(model: &Model) -> Result<(), Failure> {
    tell("sum", sum(model, &[1.0, 2.0], &[10.0, 20.0]));
    tell("longer", sum(model, &[1.0, 2.0, 3.0], &[1.0; 3]));
    tell("shorter", sum(model, &[5.0], &[6.0]));
    let one = Tensor::new(&[1], &[1.0_f32])?;
    tell("fewer", model.compute(std::slice::from_ref(&one)));
    tell("after", sum(model, &[7.0], &[8.0]));
    let mut contexts = [model.open()?, model.open()?];
    for context in &mut contexts {
        let inputs = [one.clone(), one.clone()];
        tell(
            "context",
            context.compute(&inputs)?.take(0)?.to_vec::<f32>(),
        );
    }
    Ok(())
}

/// What comes out goes in again, as a model's state does.
fn state(model: &Model) -> Result<(), Failure> {
    let mut sum = Tensor::new(&[1], &[0.0_f32])?.into_owned();
    for number in [1.0_f32, 2.0, 3.0] {
        let outputs = model.compute(&[Tensor::new(&[1], &[number])?, sum.as_input()])?;
        let [next] = outputs.exactly()?;
        sum = next.with_shape::<f32>(&[1])?;
    }
    tell("state", sum.number::<f32>());
    let outputs = model.compute(&[sum.as_input(), sum.as_input()])?;
    tell("apart", outputs.exactly::<2>());
    Ok(())
}

/// An output whose size nobody told.
fn large(model: &Model) -> Result<(), Failure> {
    for _ in 0..2 {
        let values = sum(model, &vec![1.0; LARGE], &vec![2.0; LARGE])?;
        let right = values
            .iter()
            .all(|&value| value.to_bits() == 3.0_f32.to_bits());
        println!("large: {} {right}", values.len());
    }
    tell("small", sum(model, &[1.0], &[2.0]));
    Ok(())
}

/// What does not fit the model, and what the model can still do afterwards.
fn refused(model: &Model) -> Result<(), Failure> {
    let (float, integer) = (Tensor::new(&[1], &[1.0_f32])?, Tensor::new(&[1], &[1_i64])?);
    tell("type", model.compute(&[integer, float.clone()]));
    let three = [float.clone(), float.clone(), float];
    tell("more", model.compute(&three));
    tell("still", sum(model, &[1.0], &[2.0]));
    Ok(())
}

/// Two outputs, and what is known of them.
fn outputs(model: &Model) -> Result<(), Failure> {
    let input = Tensor::new(&[2], &[1.5_f32, 2.0])?;
    let outputs: Outputs = model.compute(&[input])?;
    for output in &outputs {
        let told = (output.name(), output.dtype(), output.dims());
        println!("output: {told:?} {:?}", output.to_vec::<f32>()?);
    }
    tell(
        "by name",
        outputs.named("total").and_then(Tensor::to_vec::<f32>),
    );
    tell("no such name", outputs.named("tota"));
    let shaped = |dims: &[u32]| {
        outputs
            .first()
            .cloned()
            .map(|output| output.with_shape::<f32>(dims))
    };
    let missing = || Failure {
        code: Code::Unknown,
        text: "no output".to_owned(),
    };
    let dims = |shaped: Tensor<'_>| shaped.dims().map(<[u32]>::to_vec);
    tell("shape", shaped(&[2]).ok_or_else(missing)?.map(dims));
    tell("other shape", shaped(&[3]).ok_or_else(missing)?.map(dims));
    tell("third", outputs.take(2));
    Ok(())
}

/// The product of a row and a column, the column first.
fn named(model: &Model) -> Result<Vec<f32>, Failure> {
    let row = Tensor::new(&[1, 2], &[1.0_f32, 2.0])?.named("a");
    let column = Tensor::new(&[2, 1], &[3.0_f32, 4.0])?.named("b");
    model.compute(&[column, row])?.take(0)?.to_vec()
}

/// The bytes of one, in the type that core modules cannot pass.
fn bf16(model: &Model) -> Result<Vec<u8>, Failure> {
    let input = Tensor::from_bytes(DType::Bf16, &[1], vec![0x80, 0x3f])?;
    Ok(model.compute(&[input])?.take(0)?.into_bytes())
}
