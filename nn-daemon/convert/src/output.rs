//! One output on its way to the client: probabilities first, then the largest of them, then their element type.

use half::{bf16, f16};
use nn_tensor::{DType, Fault, Reason, Shape};

use crate::cast::cast;
use crate::declare::short;
use crate::input::{Scratch, bytes_of, misplaced};
use crate::softmax::{Along, softmax};
use crate::top_k::{Largest, top_k};

/// What is done to one output, and where what comes of it stands among those that clients get.
#[derive(Clone, Debug)]
pub struct OutputStep {
    pub(crate) name: String,
    pub(crate) first: usize,
    pub(crate) from: DType,
    /// The dimension of probabilities, from the end if it is negative.
    pub(crate) softmax: Option<i32>,
    pub(crate) top_k: Option<u32>,
    /// Of the result.
    pub(crate) dtype: DType,
    pub(crate) labels: Vec<String>,
}

/// A tensor for the client.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// Which of the outputs that clients get.
    pub index: usize,
    /// Its element type.
    pub dtype: DType,
    /// Its dimensions.
    pub shape: Shape,
    /// Its content.
    pub bytes: &'a [u8],
}

/// With probabilities: what is computed in.
pub(crate) fn computed_in(from: DType, softmax: bool) -> DType {
    match from {
        DType::Fp16 | DType::Bf16 if softmax => DType::Fp32,
        other => other,
    }
}

/// The place of a dimension that is counted from the end if it is negative.
pub(crate) fn axis_of(axis: i32, rank: usize) -> Option<usize> {
    let from = usize::try_from(axis.unsigned_abs()).ok()?;
    let at = if axis < 0 {
        rank.checked_sub(from)?
    } else {
        from
    };
    (at < rank).then_some(at)
}

fn elements(dims: &[u32]) -> Option<usize> {
    dims.iter().try_fold(1_usize, |product, &dim| {
        product.checked_mul(usize::try_from(dim).ok()?)
    })
}

// === impl OutputStep ===

impl OutputStep {
    /// Where the first of what comes of it stands among the outputs that clients get.
    #[must_use]
    pub fn first(&self) -> usize {
        self.first
    }

    /// The memory that a conversion takes besides the tensor itself, in bytes.
    #[must_use]
    pub fn scratch_bytes(&self, given: Shape) -> usize {
        let widest = bytes_of(DType::Fp64, given);
        widest.unwrap_or(usize::MAX)
    }

    /// Converts what the model gave, whose bytes are overwritten, and gives each tensor that comes of it.
    ///
    /// Fails where a number has no place in the type that was declared, where a row has too few numbers, and where `give`
    /// does.
    pub fn convert<E: From<Box<Fault>>>(
        &self,
        (given, bytes): (Shape, &mut Vec<u8>),
        scratch: &mut Scratch,
        mut give: impl FnMut(Made<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if bytes.len() != bytes_of(self.from, given).map_err(Box::new)? {
            return Err(Box::new(misplaced()).into());
        }
        let mut dtype = self.from;
        if let Some(axis) = self.softmax {
            let wider = computed_in(dtype, true);
            self.recast((dtype, wider), given, bytes, scratch)
                .map_err(Box::new)?;
            dtype = wider;
            self.probabilities(dtype, axis, given, bytes)
                .map_err(Box::new)?;
        }
        let Some(k) = self.top_k else {
            self.recast((dtype, self.dtype), given, bytes, scratch)
                .map_err(Box::new)?;
            return give(Made {
                index: self.first,
                dtype: self.dtype,
                shape: given,
                bytes,
            });
        };
        let Largest {
            mut values,
            indices,
        } = self.largest(dtype, k, given, bytes).map_err(Box::new)?;
        let shape = Self::row_shape(k, given).map_err(Box::new)?;
        self.recast((dtype, self.dtype), shape, &mut values, scratch)
            .map_err(Box::new)?;
        give(Made {
            index: self.first,
            dtype: self.dtype,
            shape,
            bytes: &values,
        })?;
        let places: Vec<u8> = indices.iter().flat_map(|at| at.to_le_bytes()).collect();
        give(Made {
            index: self.first.saturating_add(1),
            dtype: DType::I32,
            shape,
            bytes: &places,
        })?;
        if self.labels.is_empty() {
            return Ok(());
        }
        let text = self.text(&indices);
        let len = u32::try_from(text.len());
        let shape = len.ok().and_then(|len| Shape::new(&[len]).ok());
        let long = || Fault::too_large(format!("the labels of {} are too long", short(&self.name)));
        give(Made {
            index: self.first.saturating_add(2),
            dtype: DType::U8,
            shape: shape.ok_or_else(|| Box::new(long()))?,
            bytes: text.as_bytes(),
        })
    }

    fn recast(
        &self,
        (from, into): (DType, DType),
        shape: Shape,
        bytes: &mut Vec<u8>,
        scratch: &mut Scratch,
    ) -> Result<(), Fault> {
        if from == into {
            return Ok(());
        }
        let len = bytes_of(into, shape)?;
        let between = &mut scratch.between;
        between.resize(len, 0);
        cast((from, bytes), (into, between)).map_err(|misfit| {
            let name = short(&self.name);
            Fault::of(Reason::OutputUnconverted)
                .message(format!(
                    "output {name} has a number that {into} does not have"
                ))
                .expected(format!("numbers within the range of {into}"))
                .got(format!("{} as element {}", misfit.value, misfit.index))
                .hint(format!(
                    "outputs.{name}.dtype of its model.toml asks for {into}; the model gives {}",
                    self.from
                ))
        })?;
        std::mem::swap(bytes, between);
        Ok(())
    }

    fn probabilities(
        &self,
        dtype: DType,
        axis: i32,
        given: Shape,
        bytes: &mut [u8],
    ) -> Result<(), Fault> {
        let dims = given.dims();
        let wrong = || {
            Fault::of(Reason::OutputUnconverted)
                .message(format!(
                    "output {} has no such dimension",
                    short(&self.name)
                ))
                .expected(format!(
                    "a dimension {axis} for the softmax of its model.toml"
                ))
                .got(given.to_string())
        };
        let at = axis_of(axis, dims.len()).ok_or_else(wrong)?;
        let len = dims.get(at).and_then(|&len| usize::try_from(len).ok());
        let inner = dims.get(at.saturating_add(1)..).and_then(elements);
        let (len, stride) = len.zip(inner).ok_or_else(wrong)?;
        let along = Along { len, stride };
        match dtype {
            DType::Fp64 => softmax::<f64>(bytes, along),
            // No other is let through by the plan.
            _ => softmax::<f32>(bytes, along),
        }
        Ok(())
    }

    fn largest(&self, dtype: DType, k: u32, given: Shape, bytes: &[u8]) -> Result<Largest, Fault> {
        let len = given.dims().last().copied().unwrap_or(0);
        if len < k {
            return Err(Fault::of(Reason::OutputUnconverted)
                .message(format!(
                    "output {} has fewer numbers in a row than its model.toml asks for",
                    short(&self.name)
                ))
                .expected(format!("at least {k}, its top_k"))
                .got(given.to_string()));
        }
        let number = |number| usize::try_from(number).map_err(|_| misplaced());
        let (len, k) = (number(len)?, number(k)?);
        Ok(match dtype {
            DType::U8 => top_k::<u8>(bytes, len, k),
            DType::I32 => top_k::<i32>(bytes, len, k),
            DType::I64 => top_k::<i64>(bytes, len, k),
            DType::Fp64 => top_k::<f64>(bytes, len, k),
            DType::Fp32 => top_k::<f32>(bytes, len, k),
            DType::Fp16 => top_k::<f16>(bytes, len, k),
            DType::Bf16 => top_k::<bf16>(bytes, len, k),
        })
    }

    /// The dimensions with `k` for the last one.
    fn row_shape(k: u32, given: Shape) -> Result<Shape, Fault> {
        let mut dims = given.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = k;
        }
        Shape::new(&dims).map_err(|error| Fault::too_large(error.to_string()))
    }

    /// A label a line; a number without one is its own.
    fn text(&self, indices: &[u32]) -> String {
        let mut text = String::new();
        for &index in indices {
            let at = usize::try_from(index).unwrap_or(usize::MAX);
            match self.labels.get(at) {
                Some(label) => text.push_str(label),
                None => text.push_str(&index.to_string()),
            }
            text.push('\n');
        }
        text
    }
}
