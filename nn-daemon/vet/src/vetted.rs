//! What a model says of itself, and whether a worker that says otherwise can be right.

use nn_tensor::{DType, Signature};

/// A model that may be given to a framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vetted {
    /// `onnx` or `openvino-ir`.
    pub format: &'static str,
    /// What it takes and gives, where the file says all of it in types that are served. Symbolic dimensions are any.
    pub signature: Option<Signature>,
    /// The rest.
    pub about: About,
}

/// What else a model says of itself. Its own words are cut, and free of control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The version of the format.
    pub ir_version: i64,
    /// The program that wrote it.
    pub producer: String,
    /// That program's version.
    pub producer_version: String,
    /// The operator sets it uses, by domain ("" is ONNX's own), and their versions.
    pub opsets: Vec<(String, i64)>,
    /// Nodes of all graphs and functions, functions counted once for each call.
    pub nodes: u64,
    /// Bytes of its constants.
    pub parameter_bytes: u64,
}

/// How what a worker says of its model contradicts the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// What the model's bytes say.
    pub expected: String,
    /// What the worker said.
    pub got: String,
}

impl Vetted {
    /// Compares with the signature that a worker reports: the same names and element types in the same order. Shapes
    /// may differ: a framework works out more than a file says.
    ///
    /// # Errors
    /// The first difference.
    pub fn agrees_with(&self, reported: &Signature) -> Result<(), Contradiction> {
        let Some(said) = &self.signature else {
            return Ok(());
        };
        let outline = |signature: &Signature| {
            let of = |specs: &[nn_tensor::TensorSpec]| -> Vec<(String, DType)> {
                let each = specs.iter();
                each.map(|spec| (spec.name.as_str().to_owned(), spec.dtype))
                    .collect()
            };
            [of(&signature.inputs), of(&signature.outputs)]
        };
        let (said, reported) = (outline(said), outline(reported));
        if said == reported {
            return Ok(());
        }
        let show = |[inputs, outputs]: [Vec<(String, DType)>; 2]| {
            let list = |side: Vec<(String, DType)>| -> String {
                let each = side.into_iter().map(|(name, dtype)| {
                    format!("{} {dtype}", crate::refusal::quoted(name.as_bytes()))
                });
                each.collect::<Vec<_>>().join(", ")
            };
            format!("({}) -> ({})", list(inputs), list(outputs))
        };
        Err(Contradiction {
            expected: show(said),
            got: show(reported),
        })
    }
}
