//! What an inference asks for, read from its message. Pure: no model, no memory.

use std::collections::HashMap;
use std::time::Duration;

use nn_proto::kserve::inference::infer_parameter::ParameterChoice;
use nn_proto::kserve::inference::{InferParameter, ModelInferRequest};
use nn_proto::kserve::{Contents, dtype, shape};
use nn_tensor::{
    DType, Fault, ModelRef, Reason, Selector, Shape, TENSORS_MAX, Tenant, TensorName, Version,
};

/// The name of a parameter, and of metadata, that says whom a client acts for.
const TENANT: &str = "nn-tenant";

/// The parameter by which Triton's clients give a deadline, in microseconds.
const TIMEOUT: &str = "timeout";

/// Parameters of tensors that name shared memory.
const SHARED_MEMORY: &str = "shared_memory_";

/// The parameter of an output that asks for classes in the place of numbers.
const CLASSIFICATION: &str = "classification";

/// Who asks, for what, in how much time.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) reference: ModelRef,
    pub(crate) tenant: Option<Tenant>,
    pub(crate) timeout: Option<Duration>,
    /// Comes back in the answer.
    pub(crate) id: String,
}

/// An inference as it was sent.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) asked: Asked,
    pub(crate) inputs: Vec<Given>,
    /// Names of outputs; none of them for all.
    pub(crate) outputs: Vec<String>,
}

/// An input as it was sent.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) name: TensorName,
    pub(crate) dtype: DType,
    pub(crate) shape: Shape,
    pub(crate) contents: Contents,
}

/// What a name and a version mean together.
pub(crate) fn model_ref(name: &str, version: &str) -> Result<ModelRef, Fault> {
    let reference: ModelRef = name.parse()?;
    if version.is_empty() {
        return Ok(reference);
    }
    let version: Version = version.parse()?;
    if reference.selector != Selector::Current {
        return Err(Fault::of(Reason::ModelName)
            .message("a version is named twice")
            .expected("NAME and a version, or NAME@VERSION, or NAME:ALIAS")
            .got(format!("{reference} and {version}")));
    }
    Ok(ModelRef {
        selector: Selector::Version(version),
        ..reference
    })
}

/// Whom metadata say that a client acts for.
pub(crate) fn tenant_named(
    metadata: &tonic::metadata::MetadataMap,
) -> Result<Option<Tenant>, Fault> {
    let Some(value) = metadata.get(TENANT) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| Fault::of(Reason::TenantName))?;
    Ok(Some(text.parse()?))
}

fn wrong(name: &str, expected: &str) -> Fault {
    Fault::of(Reason::ParameterWrong)
        .message(format!("the parameter {name:?} is not as it must be"))
        .expected(expected)
}

fn timeout(parameters: &HashMap<String, InferParameter>) -> Result<Option<Duration>, Fault> {
    let Some(parameter) = parameters.get(TIMEOUT) else {
        return Ok(None);
    };
    let us = match parameter.parameter_choice {
        Some(ParameterChoice::Int64Param(us)) => u64::try_from(us).ok(),
        Some(ParameterChoice::Uint64Param(us)) => Some(us),
        _ => None,
    };
    let us = us.ok_or_else(|| wrong(TIMEOUT, "a whole number of microseconds, 0 for none"))?;
    Ok((us > 0).then(|| Duration::from_micros(us)))
}

fn tenant(parameters: &HashMap<String, InferParameter>) -> Result<Option<Tenant>, Fault> {
    let Some(parameter) = parameters.get(TENANT) else {
        return Ok(None);
    };
    match &parameter.parameter_choice {
        Some(ParameterChoice::StringParam(name)) => Ok(Some(name.parse()?)),
        _ => Err(wrong(TENANT, "a text")),
    }
}

/// Refuses what would change what is computed, and is not done here.
fn offered(parameters: &HashMap<String, InferParameter>) -> Result<(), Fault> {
    for name in parameters.keys() {
        if name.starts_with(SHARED_MEMORY) {
            return Err(Fault::of(Reason::CallUnoffered)
                .message("tensors are not taken from shared memory that has a name")
                .expected("tensors in the message")
                .hint("names would let one tenant reach another's memory; docs/kserve.md"));
        }
        if name == CLASSIFICATION {
            return Err(Fault::of(Reason::CallUnoffered)
                .message("classes are not made of outputs")
                .expected("a request for the output itself"));
        }
    }
    Ok(())
}

// === impl Wanted ===

impl Wanted {
    /// Reads a message. What it says of tensors is as long as it says; whether it fits the model is another question.
    pub(crate) fn read(message: ModelInferRequest) -> Result<Self, Fault> {
        let asked = Asked {
            reference: model_ref(&message.model_name, &message.model_version)?,
            tenant: tenant(&message.parameters)?,
            timeout: timeout(&message.parameters)?,
            id: message.id,
        };
        let count = message.inputs.len();
        if count > TENSORS_MAX {
            return Err(Fault::of(Reason::InputsTooMany)
                .expected(format!("at most {TENSORS_MAX}"))
                .got(count.to_string()));
        }
        let raw = message.raw_input_contents;
        if !raw.is_empty() && raw.len() != count {
            return Err(Fault::of(Reason::ContentsWrong)
                .expected(format!("{count} raw_input_contents, one for each input"))
                .got(raw.len().to_string()));
        }
        let mut raw = raw.into_iter();
        let mut inputs = Vec::with_capacity(count);
        for input in message.inputs {
            offered(&input.parameters)?;
            let name = TensorName::new(&input.name)
                .map_err(|error| Fault::of(Reason::InputName).message(error.to_string()))?;
            let (dtype, shape) = (dtype(&input.datatype)?, shape(&input.shape)?);
            let contents = match (raw.next(), input.contents) {
                (Some(bytes), None) => Contents::Raw(bytes),
                (None, Some(contents)) => Contents::typed(dtype, contents)?,
                // A tensor without elements has nothing to say.
                (None, None) => Contents::Raw(Default::default()),
                (Some(_), Some(_)) => {
                    return Err(Fault::of(Reason::ContentsWrong)
                        .message(format!("input {name} has both bytes and elements")));
                }
            };
            let given = Given {
                name,
                dtype,
                shape,
                contents,
            };
            given.fits()?;
            inputs.push(given);
        }
        let mut outputs = Vec::with_capacity(message.outputs.len().min(TENSORS_MAX));
        for output in message.outputs {
            offered(&output.parameters)?;
            outputs.push(output.name);
        }
        Ok(Self {
            asked,
            inputs,
            outputs,
        })
    }
}

// === impl Given ===

impl Given {
    /// Bytes of the tensor.
    pub(crate) fn bytes(&self) -> u64 {
        u64::try_from(self.contents.bytes()).unwrap_or(u64::MAX)
    }

    /// Whether its contents are as long as its type and shape ask for.
    fn fits(&self) -> Result<(), Fault> {
        let expected = self
            .shape
            .byte_len(self.dtype)
            .map_err(|error| Fault::of(Reason::TensorSize).message(error.to_string()))?;
        if expected == self.bytes() {
            return Ok(());
        }
        let name = &self.name;
        Err(Fault::of(Reason::TensorLength)
            .message(format!("input {name} is not as long as its shape says"))
            .expected(format!(
                "{expected} bytes for {} {}",
                self.dtype, self.shape
            ))
            .got(format!("{} bytes", self.bytes())))
    }
}

#[cfg(test)]
mod tests {
    use nn_proto::kserve::inference::InferTensorContents;
    use nn_proto::kserve::inference::model_infer_request::InferInputTensor;

    use super::*;

    fn parameter(choice: ParameterChoice) -> InferParameter {
        InferParameter {
            parameter_choice: Some(choice),
        }
    }

    fn request() -> ModelInferRequest {
        ModelInferRequest {
            model_name: "m".into(),
            inputs: vec![InferInputTensor {
                name: "x".into(),
                datatype: "FP32".into(),
                shape: vec![2],
                ..InferInputTensor::default()
            }],
            raw_input_contents: vec![vec![0; 8].into()],
            ..ModelInferRequest::default()
        }
    }

    fn reason(request: ModelInferRequest) -> Option<Reason> {
        Wanted::read(request).err().and_then(|fault| fault.reason)
    }

    #[test]
    fn a_version_is_named_once() {
        let text = |name, version| model_ref(name, version).map(|of| of.to_string());
        assert_eq!(text("m", "").unwrap(), "m");
        assert_eq!(text("m", "3").unwrap(), "m@3");
        assert_eq!(text("m:canary", "").unwrap(), "m:canary");
        for (name, version) in [("m@3", "3"), ("m:canary", "3"), ("m", "-1"), ("", "")] {
            assert!(text(name, version).is_err(), "{name} {version}");
        }
    }

    #[test]
    fn bytes_are_one_for_each_input_and_as_long_as_it() {
        assert_eq!(reason(request()), None);
        let mut short = request();
        short.raw_input_contents = vec![vec![0; 7].into()];
        assert_eq!(reason(short), Some(Reason::TensorLength));
        let mut more = request();
        more.raw_input_contents.push(vec![0; 8].into());
        assert_eq!(reason(more), Some(Reason::ContentsWrong));
        let mut both = request();
        if let Some(input) = both.inputs.first_mut() {
            input.contents = Some(InferTensorContents::default());
        }
        assert_eq!(reason(both), Some(Reason::ContentsWrong));
    }

    #[test]
    fn a_timeout_is_a_number_of_microseconds() {
        let with = |choice| {
            let parameters = HashMap::from([("timeout".to_owned(), parameter(choice))]);
            let read = Wanted::read(ModelInferRequest {
                parameters,
                ..request()
            });
            read.map(|wanted| wanted.asked.timeout)
        };
        let ms = Some(Duration::from_millis(5));
        assert_eq!(with(ParameterChoice::Int64Param(5000)), Ok(ms));
        assert_eq!(with(ParameterChoice::Uint64Param(5000)), Ok(ms));
        assert_eq!(with(ParameterChoice::Int64Param(0)), Ok(None));
        assert!(with(ParameterChoice::Int64Param(-1)).is_err());
        assert!(with(ParameterChoice::StringParam("5000".into())).is_err());
    }

    #[test]
    fn named_memory_is_refused_and_other_parameters_mean_nothing() {
        let with = |name: &str| {
            let mut request = request();
            let parameter = parameter(ParameterChoice::BoolParam(true));
            if let Some(input) = request.inputs.first_mut() {
                input.parameters.insert(name.to_owned(), parameter);
            }
            reason(request)
        };
        assert_eq!(with("shared_memory_region"), Some(Reason::CallUnoffered));
        assert_eq!(with("binary_data_size"), None);
    }
}
