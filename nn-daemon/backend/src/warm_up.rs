//! A sum, computed to see whether the framework works: once before the process is sealed, so that nothing is done for the
//! first time after that, and again whenever somebody asks. Model and output stay: a sealed process can neither take a
//! session apart nor make new shared memory.

use std::fmt;

use nn_tensor::{DType, Shape};

use crate::{BackendError, Bytes, Input, LoadedModel, Scratch};

/// Sums that f32 holds exactly.
const SUMMAND_MAX: u16 = 1000;

/// A model of `a + b`, of one f32 each, and where its output lies.
pub struct WarmUp {
    model: Box<dyn LoadedModel>,
    sink: Scratch,
    summand: u16,
}

#[derive(Debug, thiserror::Error)]
#[error("the warm-up model gave {got:?}; expected the f32 {expected}")]
struct WrongSum {
    got: Option<(DType, Shape, Vec<u8>)>,
    expected: f32,
}

// === impl WarmUp ===

impl WarmUp {
    /// Of that model.
    #[must_use]
    pub fn new(model: Box<dyn LoadedModel>) -> Self {
        Self {
            model,
            sink: Scratch::default(),
            summand: 0,
        }
    }

    /// Gives the output's memory back, of which there is none after the seal: there is no sum after this.
    pub fn finish(&mut self) {
        self.sink = Scratch::default();
    }

    /// Adds the next number to itself; another than last time, so that an old result is not taken for a new one.
    pub fn run(&mut self) -> Result<(), BackendError> {
        let shape = Shape::new(&[1]).map_err(|error| BackendError::Framework(error.into()))?;
        self.summand = self.summand % SUMMAND_MAX + 1;
        let summand = f32::from(self.summand);
        let summand_bytes = summand.to_le_bytes();
        let mut bytes = [0_u8; 8];
        let start = bytes.as_ptr().align_offset(4).min(4);
        let (_, aligned) = bytes.split_at_mut(start);
        let (aligned, _) = aligned.split_at_mut(summand_bytes.len());
        aligned.copy_from_slice(&summand_bytes);
        let input = |name| Input {
            name,
            dtype: DType::Fp32,
            shape,
            bytes: Bytes::Private(aligned),
        };
        self.model.run(&[input("a"), input("b")], &mut self.sink)?;
        let (got, expected) = (self.sink.output(0), summand + summand);
        if got == Some((DType::Fp32, shape, expected.to_le_bytes().to_vec())) {
            return Ok(());
        }
        Err(BackendError::Framework(WrongSum { got, expected }.into()))
    }
}

impl fmt::Debug for WarmUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WarmUp")
            .field("summand", &self.summand)
            .finish_non_exhaustive()
    }
}
