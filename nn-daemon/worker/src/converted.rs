//! A model with conversions around it: to everybody else one that takes and gives what its operator has declared.
//!
//! ```text
//! input slot ─▶ private copy ─▶ convert ─▶ private ─▶ run ─▶ output slot ─▶ private copy ─▶ convert ─▶ output slot
//!               (read once)                            the first goes back when the second is asked for
//! ```
//!
//! What is converted is never read where a client can write: it is copied first, and its conversion sees the copy alone.

use std::sync::Arc;

use nn_backend::{BackendError, Bytes, Input, Interrupt, LoadedModel, OutputSink, Ran, SinkError};
use nn_convert::{Conversions, Made, Plan, Scratch};
use nn_shm::Place;
use nn_tensor::{DType, Fault, Reason, Shape, Signature};
use nn_worker_wire::Conversion;

use crate::io::{Private, Spares};

/// What the conversions of one call may take, in bytes: the inputs, before and after, what lies between two steps; and the
/// same for outputs.
const BYTES_MAX: usize = 128 * 1024 * 1024;

/// What is kept of outputs' memory between two calls, in bytes.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What has been declared so far.
#[derive(Debug, Default)]
pub(crate) struct Declared(Conversions);

/// A model, and what happens around it.
struct Converted {
    model: Box<dyn LoadedModel>,
    plan: Plan,
    scratch: Scratch,
    spares: Spares,
    output: Vec<u8>,
}

/// Takes the places of a run's outputs.
struct Between<'a> {
    plan: &'a Plan,
    sink: &'a mut dyn OutputSink,
    /// Of outputs that are to be converted: which they are of the model, and where the model writes them.
    raw: Vec<(usize, Shape, Place)>,
}

/// How much the conversions of a call take.
#[derive(Debug, Default)]
struct Bill(usize);

// === impl Declared ===

impl Declared {
    /// One more.
    pub(crate) fn add(&mut self, conversion: Conversion) -> Result<(), Fault> {
        conversion.add_to(&mut self.0)
    }

    /// The model as it was declared, and the signature of its own. Fails where the two do not fit each other.
    pub(crate) fn around(
        self,
        model: Box<dyn LoadedModel>,
    ) -> Result<(Box<dyn LoadedModel>, Signature), BackendError> {
        let own = model.signature().clone();
        if self.0.is_empty() {
            return Ok((model, own));
        }
        let plan = Plan::new(&self.0, &own).map_err(|fault| BackendError::Convert(fault.into()))?;
        let converted = Converted {
            model,
            plan,
            scratch: Scratch::default(),
            spares: Spares::default(),
            output: Vec::new(),
        };
        Ok((Box::new(converted), own))
    }
}

// === impl Converted ===

impl LoadedModel for Converted {
    fn signature(&self) -> &Signature {
        self.plan.signature()
    }

    fn interrupter(&self) -> Arc<dyn Interrupt> {
        self.model.interrupter()
    }

    fn run(
        &mut self,
        inputs: &[Input<'_>],
        sink: &mut dyn OutputSink,
    ) -> Result<Ran, BackendError> {
        let mut made = Vec::with_capacity(inputs.len());
        let converted = self.inputs(inputs, &mut made);
        let ran = converted.and_then(|()| {
            let own: Vec<Input<'_>> = inputs.iter().zip(&made).map(own).collect();
            let mut between = Between {
                plan: &self.plan,
                sink,
                raw: Vec::new(),
            };
            let ran = self.model.run(&own, &mut between)?;
            Ok((ran, between.raw))
        });
        for (_, _, private) in made.into_iter().flatten() {
            self.spares.give_back(private);
        }
        let (ran, raw) = ran?;
        let copied = self.outputs(&raw, sink)?;
        Ok(Ran {
            out_copied_bytes: ran.out_copied_bytes.saturating_add(copied),
        })
    }
}

/// An input as the model takes it.
fn own<'a>((input, made): (&Input<'a>, &'a Option<(DType, Shape, Private)>)) -> Input<'a> {
    match made {
        None => *input,
        Some((dtype, shape, private)) => Input {
            name: input.name,
            dtype: *dtype,
            shape: *shape,
            bytes: Bytes::Private(private.as_slice()),
        },
    }
}

impl Converted {
    /// What is made of each input that is converted.
    fn inputs(
        &mut self,
        inputs: &[Input<'_>],
        made: &mut Vec<Option<(DType, Shape, Private)>>,
    ) -> Result<(), BackendError> {
        let mut bill = Bill::default();
        for (index, input) in inputs.iter().enumerate() {
            let Some(step) = self.plan.input(index) else {
                made.push(None);
                continue;
            };
            let refused = |fault: Fault| BackendError::Convert(fault.into());
            let (dtype, shape, len) = step.makes(input.shape).map_err(refused)?;
            let besides = step.scratch_bytes(input.shape);
            bill.add([input.bytes.len(), len, besides])?;
            let mut private = self.spares.take();
            let to = private.room(len);
            let given = match input.bytes {
                Bytes::Private(bytes) => step.convert((input.shape, bytes), to, &mut self.scratch),
                Bytes::Shared(place) => {
                    let mut copy = self.spares.take();
                    let copied = copy.fill(place);
                    copied.map_err(|error| BackendError::Run(error.into()))?;
                    let bytes = copy.as_slice();
                    let converted = step.convert((input.shape, bytes), to, &mut self.scratch);
                    self.spares.give_back(copy);
                    converted
                }
            };
            given.map_err(refused)?;
            made.push(Some((dtype, shape, private)));
        }
        Ok(())
    }

    /// Puts what is made of each output that is converted in its place; says how many bytes those are.
    fn outputs(
        &mut self,
        raw: &[(usize, Shape, Place)],
        sink: &mut dyn OutputSink,
    ) -> Result<u64, BackendError> {
        let mut copied = 0_u64;
        let mut bill = Bill::default();
        for (index, shape, place) in raw {
            let Ok(step) = self.plan.output(*index) else {
                continue;
            };
            bill.add([place.len(), step.scratch_bytes(*shape)])?;
            self.output.resize(place.len(), 0);
            let read = place.slice().copy_to(&mut self.output);
            read.map_err(|error| BackendError::Run(error.into()))?;
            let given = (*shape, &mut self.output);
            step.convert(given, &mut self.scratch, |made: Made<'_>| {
                let place = sink.reserve(made.index, made.dtype, made.shape)?;
                let written = place.slice().copy_from(made.bytes);
                written.map_err(|error| BackendError::Run(error.into()))?;
                let bytes = u64::try_from(made.bytes.len()).unwrap_or(u64::MAX);
                copied = copied.saturating_add(bytes);
                Ok::<(), BackendError>(())
            })?;
        }
        self.scratch.rest(KEPT_BYTES_MAX);
        if self.output.capacity() > KEPT_BYTES_MAX {
            self.output = Vec::new();
        }
        Ok(copied)
    }
}

// === impl Between ===

impl OutputSink for Between<'_> {
    fn reserve(&mut self, index: usize, dtype: DType, shape: Shape) -> Result<Place, SinkError> {
        match self.plan.output(index) {
            Err(place) => self.sink.reserve(place, dtype, shape),
            Ok(step) => {
                // Where the first of what is made of it will be: that is asked for again then.
                let place = self.sink.reserve(step.first(), dtype, shape)?;
                self.raw.push((index, shape, place.clone()));
                Ok(place)
            }
        }
    }
}

// === impl Bill ===

impl Bill {
    fn add<const N: usize>(&mut self, bytes: [usize; N]) -> Result<(), BackendError> {
        self.0 = bytes.into_iter().fold(self.0, usize::saturating_add);
        if self.0 <= BYTES_MAX {
            return Ok(());
        }
        let fault = Fault::of(Reason::TensorTooLarge)
            .message("what is converted is too large")
            .expected(format!("at most {BYTES_MAX} bytes, before and after"))
            .got(format!("{} bytes", self.0))
            .hint(
                "send smaller tensors: the conversions of its model.toml run in the model's memory",
            );
        Err(BackendError::Convert(fault.into()))
    }
}

#[cfg(test)]
mod tests {
    use nn_backend::{Flag, Scratch as Outputs};
    use nn_convert::{Given, Input as Taken, Output};
    use nn_tensor::{Code, Dim, TensorName, TensorSpec};

    use super::*;

    /// Gives back what it is given: two inputs, two outputs.
    struct Echo(Signature);

    fn spec(name: &str) -> TensorSpec {
        TensorSpec {
            name: TensorName::new(name).unwrap(),
            dtype: DType::Fp32,
            dims: Some(vec![Dim::Any]),
        }
    }

    impl LoadedModel for Echo {
        fn signature(&self) -> &Signature {
            &self.0
        }

        fn interrupter(&self) -> Arc<dyn Interrupt> {
            Arc::new(Flag::default())
        }

        fn run(
            &mut self,
            inputs: &[Input<'_>],
            sink: &mut dyn OutputSink,
        ) -> Result<Ran, BackendError> {
            for (index, input) in inputs.iter().enumerate() {
                assert_eq!(input.dtype, DType::Fp32);
                let place = sink.reserve(index, input.dtype, input.shape)?;
                let bytes = input.bytes.to_vec().unwrap();
                place.slice().copy_from(&bytes).unwrap();
            }
            Ok(Ran::default())
        }
    }

    /// The first input comes as bytes, of the first output the largest goes.
    fn model() -> Box<dyn LoadedModel> {
        let specs = |names: [&str; 2]| names.map(spec).to_vec();
        let own = Signature {
            inputs: specs(["a", "b"]),
            outputs: specs(["x", "y"]),
        };
        let largest = Output {
            top_k: Some(1),
            ..Output::default()
        };
        let declared = Declared(Conversions {
            inputs: [("a".to_owned(), Taken::DType(Given(DType::U8)))].into(),
            outputs: [("x".to_owned(), largest)].into(),
        });
        let (model, told) = declared.around(Box::new(Echo(own.clone()))).unwrap();
        assert_eq!(told, own, "the daemon is told the model's own");
        model
    }

    fn input<'a>(name: &'a str, dtype: DType, len: u32, bytes: &'a [u8]) -> Input<'a> {
        Input {
            name,
            dtype,
            shape: Shape::new(&[len]).unwrap(),
            bytes: Bytes::Private(bytes),
        }
    }

    #[test]
    fn what_is_not_declared_passes_and_stands_behind_what_was_made() {
        let mut model = model();
        let names = model
            .signature()
            .outputs
            .iter()
            .map(|spec| spec.name.as_str());
        assert_eq!(names.collect::<Vec<_>>(), ["x.values", "x.indices", "y"]);
        let mut outputs = Outputs::default();
        let b = 0.5_f32.to_le_bytes();
        for bytes in [[3_u8, 9, 4], [8, 1, 1]] {
            let inputs = [
                input("a", DType::U8, 3, &bytes),
                input("b", DType::Fp32, 1, &b),
            ];
            model.run(&inputs, &mut outputs).unwrap();
        }
        let one = Shape::new(&[1]).unwrap();
        let of_f32 = |number: f32| number.to_le_bytes().to_vec();
        assert_eq!(outputs.output(0), Some((DType::Fp32, one, of_f32(8.0))));
        assert_eq!(outputs.output(1), Some((DType::I32, one, vec![0; 4])));
        assert_eq!(outputs.output(2), Some((DType::Fp32, one, b.to_vec())));
    }

    #[test]
    fn conversions_beyond_their_memory_are_refused_before_any_is_taken() {
        let mut model = model();
        let many = u32::try_from(BYTES_MAX / 5 + 1).unwrap();
        let bytes = vec![0; BYTES_MAX / 5 + 1];
        let b = 0.5_f32.to_le_bytes();
        let inputs = [
            input("a", DType::U8, many, &bytes),
            input("b", DType::Fp32, 1, &b),
        ];
        let refused = model.run(&inputs, &mut Outputs::default()).unwrap_err();
        let (fault, _) = refused.split();
        assert_eq!(fault.code, Code::TooLarge);
        assert!(fault.expected.contains(&BYTES_MAX.to_string()), "{fault}");
    }
}
