//! What a declaration comes to for a model: the signature that clients see, and a step for each tensor that is converted.
//! The daemon and the worker each make it of what they know themselves.

mod output;
mod picture;

use std::collections::{BTreeMap, BTreeSet};

use nn_tensor::{DType, Fault, Signature, TENSORS_MAX, TensorSpec, nearest};

use crate::declare::{Conversions, Input, refused, short};
use crate::input::{InputStep, Kind};
use crate::output::OutputStep;

/// The conversions of one model.
#[derive(Clone, Debug)]
pub struct Plan {
    signature: Signature,
    inputs: Vec<Option<InputStep>>,
    outputs: Vec<Out>,
}

#[derive(Clone, Debug)]
enum Out {
    /// As the model gives it, at this place.
    Same(usize),
    Converted(OutputStep),
}

// === impl Plan ===

impl Plan {
    /// Fails where a declaration cannot be meant, or does not fit the model, told with what was declared and what the model
    /// has.
    pub fn new(declared: &Conversions, own: &Signature) -> Result<Self, Fault> {
        declared.check()?;
        let inputs = by_place("input", &declared.inputs, &own.inputs)?;
        let outputs = by_place("output", &declared.outputs, &own.outputs)?;
        let mut plan = Self {
            signature: Signature::default(),
            inputs: Vec::with_capacity(own.inputs.len()),
            outputs: Vec::with_capacity(own.outputs.len()),
        };
        for (at, spec) in own.inputs.iter().enumerate() {
            let step = inputs.get(&at).map(|input| take(spec, input)).transpose()?;
            let (seen, step) = step.unzip();
            plan.signature
                .inputs
                .push(seen.unwrap_or_else(|| spec.clone()));
            plan.inputs.push(step);
        }
        for (at, spec) in own.outputs.iter().enumerate() {
            let first = plan.signature.outputs.len();
            match outputs.get(&at).filter(|output| output.converts()) {
                Some(output) => {
                    let (seen, step) = output::of(spec, output, first)?;
                    plan.signature.outputs.extend(seen);
                    plan.outputs.push(Out::Converted(step));
                }
                None => {
                    plan.signature.outputs.push(spec.clone());
                    plan.outputs.push(Out::Same(first));
                }
            }
        }
        plan.check()?;
        Ok(plan)
    }

    /// What clients send and get.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What is done to the input number `index`; `None` for nothing.
    #[must_use]
    pub fn input(&self, index: usize) -> Option<&InputStep> {
        self.inputs.get(index)?.as_ref()
    }

    /// What is done to the model's output number `index`; or only where it stands among those that clients get.
    pub fn output(&self, index: usize) -> Result<&OutputStep, usize> {
        match self.outputs.get(index) {
            Some(Out::Converted(step)) => Ok(step),
            Some(Out::Same(place)) => Err(*place),
            None => Err(usize::MAX),
        }
    }

    /// Two outputs of one name, or more than can be.
    fn check(&self) -> Result<(), Fault> {
        let outputs = &self.signature.outputs;
        let mut names = BTreeSet::new();
        if let Some(twice) = outputs
            .iter()
            .find(|spec| !names.insert(spec.name.as_str()))
        {
            let name = short(twice.name.as_str());
            return Err(
                refused(format!("model.toml: top_k makes a second output {name}"))
                    .expected("no output of that name in the model")
                    .hint("rename the model's own output, or leave top_k out"),
            );
        }
        if outputs.len() > TENSORS_MAX {
            return Err(Fault::too_large("model.toml: top_k makes too many outputs")
                .expected(format!("at most {TENSORS_MAX}"))
                .got(outputs.len().to_string()));
        }
        Ok(())
    }
}

/// The declarations by the places of their tensors, which are named, or numbered.
fn by_place<'a, T>(
    role: &str,
    declared: &'a BTreeMap<String, T>,
    specs: &[TensorSpec],
) -> Result<BTreeMap<usize, &'a T>, Fault> {
    let names = || specs.iter().map(|spec| spec.name.as_str());
    let mut places = BTreeMap::new();
    for (name, one) in declared {
        let number = || name.parse().ok().filter(|&at: &usize| at < specs.len());
        let place = names().position(|known| known == name).or_else(number);
        let place = place.ok_or_else(|| {
            let known: Vec<&str> = names().collect();
            let fault = refused(format!(
                "model.toml: the model has no {role} {}",
                short(name)
            ))
            .expected(format!("one of: {}", known.join(", ")))
            .got(short(name));
            match nearest(names(), name) {
                Some(nearest) => fault.hint(format!("did you mean {role}s.{nearest}?")),
                None => fault,
            }
        })?;
        if places.insert(place, one).is_some() {
            return Err(refused(format!(
                "model.toml: {role} {} is declared twice",
                short(name)
            ))
            .expected(format!("each {role} once, by its name or its number")));
        }
    }
    Ok(places)
}

/// What clients send, and what becomes of it.
fn take(own: &TensorSpec, declared: &Input) -> Result<(TensorSpec, InputStep), Fault> {
    let name = own.name.as_str();
    let step = |kind| InputStep {
        name: name.to_owned(),
        dtype: own.dtype,
        kind,
    };
    match declared {
        Input::Picture(picture) => {
            let (dims, made) = picture::of(own, picture)?;
            let seen = TensorSpec {
                name: own.name.clone(),
                dtype: DType::U8,
                dims: Some(dims),
            };
            Ok((seen, step(Kind::Picture(made))))
        }
        Input::DType(given) if given.0 == own.dtype => {
            Err(same(&format!("inputs.{}", short(name)), "takes", own))
        }
        Input::DType(given) => {
            let seen = TensorSpec {
                dtype: given.0,
                ..own.clone()
            };
            Ok((seen, step(Kind::Cast(given.0))))
        }
    }
}

/// A conversion to what is there already.
fn same(place: &str, verb: &str, own: &TensorSpec) -> Fault {
    refused(format!("model.toml: {place}.dtype does nothing"))
        .expected(format!("another element type than the model {verb}"))
        .got(own.to_string())
        .hint("leave it out")
}

#[cfg(test)]
mod tests;
