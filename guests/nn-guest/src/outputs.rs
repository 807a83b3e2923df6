//! What a model answered: its outputs in their order.

use std::ops::Deref;

use crate::{Code, Failure, Tensor};

/// The outputs of one compute, in the model's order, as a slice of tensors; they own their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outputs(Vec<Tensor<'static>>);

// === impl Outputs ===

impl Outputs {
    pub(crate) fn new(tensors: Vec<Tensor<'static>>) -> Self {
        Self(tensors)
    }

    /// The output at this place, taken out of the answer.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when there are not so many.
    pub fn take(mut self, index: usize) -> Result<Tensor<'static>, Failure> {
        if index < self.0.len() {
            return Ok(self.0.swap_remove(index));
        }
        Err(
            Failure::of(Code::InvalidArgument, "the model has no such output")
                .expected(format!("an index below {}", self.0.len()))
                .got(index),
        )
    }

    /// All of them, where it is known how many a model has:
    ///
    /// ```no_run
    /// # fn main() -> Result<(), nn_guest::Failure> {
    /// # let input = nn_guest::Tensor::new(&[1], &[0.0_f32])?;
    /// let [boxes, scores] = nn_guest::load_by_name("detector")?.compute(&[input])?.exactly()?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when there are more or fewer.
    pub fn exactly<const N: usize>(self) -> Result<[Tensor<'static>; N], Failure> {
        self.0.try_into().map_err(|outputs: Vec<Tensor<'static>>| {
            Failure::of(
                Code::InvalidArgument,
                "the model has another number of outputs",
            )
            .expected(N)
            .got(outputs.len())
        })
    }

    /// The output of this name.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] when there is none, with the names that there are; [`Code::UnsupportedOperation`] in a core
    /// module, whose interface tells no names.
    pub fn named(&self, name: &str) -> Result<&Tensor<'static>, Failure> {
        let names = || self.iter().filter_map(Tensor::name);
        if let Some(found) = self.iter().find(|output| output.name() == Some(name)) {
            return Ok(found);
        }
        if !self.is_empty() && names().next().is_none() {
            return Err(Failure::of(
                Code::UnsupportedOperation,
                "the interface of core modules does not tell the names of outputs",
            )
            .got(name)
            .hint("take outputs by their index, or build a component"));
        }
        let known: Vec<&str> = names().collect();
        Err(Failure::of(
            Code::InvalidArgument,
            "the model has no output of this name",
        )
        .expected(format!("one of {known:?}"))
        .got(name))
    }
}

impl Deref for Outputs {
    type Target = [Tensor<'static>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl IntoIterator for Outputs {
    type Item = Tensor<'static>;
    type IntoIter = std::vec::IntoIter<Tensor<'static>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Outputs {
    type Item = &'a Tensor<'static>;
    type IntoIter = std::slice::Iter<'a, Tensor<'static>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DType;

    fn outputs() -> Outputs {
        let output = |name: &str| {
            let name = Some(name.to_owned());
            Tensor::answered(name, DType::U8, vec![1], vec![1])
        };
        Outputs::new(vec![output("scores"), output("boxes")])
    }

    #[test]
    fn outputs_are_found_by_name_and_by_place() {
        assert_eq!(outputs().named("boxes"), Ok(&outputs()[1]));
        assert_eq!(outputs().take(1), Ok(outputs()[1].clone()));
        assert_eq!(outputs().into_iter().count(), 2);
    }

    #[test]
    fn an_unknown_name_is_answered_by_those_that_there_are() {
        let failure = outputs().named("score").unwrap_err();
        assert_eq!(
            failure.to_string(),
            r#"invalid-argument: the model has no output of this name; expected: one of ["scores", "boxes"]; got: score"#
        );
    }

    #[test]
    fn an_index_beyond_the_last_is_refused() {
        let failure = outputs().take(2).unwrap_err();
        assert!(failure.text.contains("an index below 2"), "{failure}");
    }

    #[test]
    fn as_many_outputs_as_are_expected_are_taken_apart() {
        let [scores, boxes] = outputs().exactly().unwrap();
        assert_eq!(
            [scores.name(), boxes.name()],
            [Some("scores"), Some("boxes")]
        );
        let failure = outputs().exactly::<1>().unwrap_err();
        assert!(failure.text.ends_with("expected: 1; got: 2"), "{failure}");
    }

    #[test]
    fn nameless_outputs_say_which_interface_they_are_of() {
        let outputs = Outputs::new(vec![Tensor::untold(vec![1])]);
        let failure = outputs.named("scores").unwrap_err();
        assert_eq!(failure.code, Code::UnsupportedOperation);
    }
}
