//! Why a model is refused: the rule, the place, the numbers, and the way out. A model's own words reach a message
//! escaped and cut; the value of a location, and any other path inside it, never does.

use std::fmt;

use nn_tensor::{Code, Fault};

/// How much of a name of the model's own is told.
const NAME_CHARS_MAX: usize = 64;

/// How long a place may become: a fault travels in a header.
const PLACE_BYTES_MAX: usize = 512;

/// A rule of vetting. Its name stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// The bytes are of another format.
    Format,
    /// The bytes cannot be read to their end.
    Malformed,
    /// A field that may come once came again.
    DuplicateField,
    /// More bytes than are taken.
    Size,
    /// More nodes.
    Nodes,
    /// More initializers, inputs, outputs and annotated values.
    Values,
    /// Graphs, messages or elements nested too deeply.
    Depth,
    /// Dimensions that no tensor has.
    Dims,
    /// More dimensions than are served.
    Rank,
    /// An element type that there is not.
    DataType,
    /// A tensor with more or fewer bytes than its dimensions say.
    DataLength,
    /// A tensor whose bytes are elsewhere.
    ExternalData,
    /// An operator from a domain that is not served, and that the model does not define.
    OpDomain,
    /// An operator of nobody's but the model's maker.
    CustomOp,
    /// A node that stands for a file of compiled code.
    EpContext,
    /// Options for the framework, in the model.
    FrameworkConfig,
    /// A file of ONNX Runtime's own format.
    OrtFile,
    /// A function that calls itself.
    RecursiveFunction,
    /// A name of an input or output that ends in its middle, or of a function that is the end of another.
    Name,
    /// A document type, or an entity of the file's own.
    Dtd,
    /// A version of IR, or of its operator sets, that is not served.
    IrVersion,
    /// Layers, ports and edges that do not fit each other.
    Wiring,
}

/// A model that is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which rule it broke.
    pub rule: Rule,
    /// Where in the model: the innermost first. Escaped and cut; empty where it is the whole file.
    pub place: String,
    /// What would have been right; empty where that is the rule itself.
    pub expected: String,
    /// What was found.
    pub got: String,
}

/// A name of the model's own, for people: quoted, escaped, cut.
pub(crate) fn quoted(name: &[u8]) -> String {
    let head = name.get(..name.len().min(NAME_CHARS_MAX * 4));
    let text = String::from_utf8_lossy(head.unwrap_or_default());
    let cut: String = text.chars().take(NAME_CHARS_MAX).collect();
    let more = if cut.len() < name.len() { "…" } else { "" };
    format!("\"{}{more}\"", cut.escape_debug())
}

// === impl Rule ===

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 22] = [
        Self::Format,
        Self::Malformed,
        Self::DuplicateField,
        Self::Size,
        Self::Nodes,
        Self::Values,
        Self::Depth,
        Self::Dims,
        Self::Rank,
        Self::DataType,
        Self::DataLength,
        Self::ExternalData,
        Self::OpDomain,
        Self::CustomOp,
        Self::EpContext,
        Self::FrameworkConfig,
        Self::OrtFile,
        Self::RecursiveFunction,
        Self::Name,
        Self::Dtd,
        Self::IrVersion,
        Self::Wiring,
    ];

    /// The kebab-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Malformed => "malformed",
            Self::DuplicateField => "duplicate-field",
            Self::Size => "size",
            Self::Nodes => "nodes",
            Self::Values => "values",
            Self::Depth => "depth",
            Self::Dims => "dims",
            Self::Rank => "rank",
            Self::DataType => "data-type",
            Self::DataLength => "data-length",
            Self::ExternalData => "external-data",
            Self::OpDomain => "op-domain",
            Self::CustomOp => "custom-op",
            Self::EpContext => "ep-context",
            Self::FrameworkConfig => "framework-config",
            Self::OrtFile => "ort-file",
            Self::RecursiveFunction => "recursive-function",
            Self::Name => "name",
            Self::Dtd => "dtd",
            Self::IrVersion => "ir-version",
            Self::Wiring => "wiring",
        }
    }

    /// What the model is told to be, in a sentence.
    const fn sentence(self) -> &'static str {
        match self {
            Self::Format => "the file is no model of that format",
            Self::Malformed => "the file cannot be read to its end",
            Self::DuplicateField => "a field of the model comes twice",
            Self::Size => "the model is too large",
            Self::Nodes => "the model has too many nodes",
            Self::Values => "the model has too many tensors and values",
            Self::Depth => "the model is nested too deeply",
            Self::Dims => "the model has a tensor of impossible dimensions",
            Self::Rank => "the model has a tensor of too many dimensions",
            Self::DataType => "the model has a tensor of an unknown element type",
            Self::DataLength => "a tensor of the model has another length than its dimensions say",
            Self::ExternalData => "a tensor of the model keeps its bytes in another file",
            Self::OpDomain => "the model uses operators of a domain that is not served",
            Self::CustomOp => "the model needs a custom operator",
            Self::EpContext => "the model has a node that stands for compiled code in a file",
            Self::FrameworkConfig => "the model sets options of the framework",
            Self::OrtFile => "the file is in ONNX Runtime's own format",
            Self::RecursiveFunction => "a function of the model calls itself",
            Self::Name => "the model has a name that can be read as another",
            Self::Dtd => "the file declares a document type or entities",
            Self::IrVersion => "the model is of a version that is not served",
            Self::Wiring => "the model's layers do not fit each other",
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::Format => {
                "export the model to ONNX (for PyTorch: torch.onnx.export) and load that file"
            }
            Self::Malformed | Self::DuplicateField | Self::Wiring => {
                "the file may be damaged; export it again"
            }
            Self::Size => "limits.model_bytes_max",
            Self::Nodes | Self::Values => "simplify the model, or raise limits.model_nodes_max",
            Self::Depth => "flatten its subgraphs",
            Self::Dims | Self::DataType | Self::DataLength => {
                "the file is damaged, or its exporter is wrong: export it again"
            }
            Self::Rank => "reshape it to at most 8 dimensions",
            Self::ExternalData => {
                "save the model with all data inside its file (for the Python package onnx: load it with its data, then \
                 onnx.save_model(model, path, save_as_external_data=False))"
            }
            Self::OpDomain | Self::CustomOp => {
                "export the model with standard operators (ai.onnx, ai.onnx.ml, com.microsoft), or define the operator as \
                 a function in the model"
            }
            Self::EpContext => "load the model that it was compiled from",
            Self::FrameworkConfig => "take the entry out of the model's metadata_props",
            Self::OrtFile => "load the .onnx file that it was made from",
            Self::Name => "export the model with other names",
            Self::RecursiveFunction => "functions may call each other, but not in a circle",
            Self::Dtd => "save the model by OpenVINO itself",
            Self::IrVersion => "save the model by a current OpenVINO",
        }
    }

    const fn code(self) -> Code {
        match self {
            Self::Size | Self::Nodes | Self::Values => Code::TooLarge,
            // As the framework answers for operators that it lacks, and the daemon for what it cannot serve.
            Self::Rank | Self::OpDomain | Self::CustomOp | Self::IrVersion => {
                Code::UnsupportedOperation
            }
            Self::EpContext | Self::FrameworkConfig => Code::Security,
            Self::Format
            | Self::Malformed
            | Self::DuplicateField
            | Self::Depth
            | Self::Dims
            | Self::DataType
            | Self::DataLength
            | Self::ExternalData
            | Self::OrtFile
            | Self::RecursiveFunction
            | Self::Name
            | Self::Dtd
            | Self::Wiring => Code::InvalidEncoding,
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

// === impl Refusal ===

impl Refusal {
    pub(crate) fn new(rule: Rule) -> Self {
        Self {
            rule,
            place: String::new(),
            expected: String::new(),
            got: String::new(),
        }
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = expected.into();
        self
    }

    pub(crate) fn got(mut self, got: impl Into<String>) -> Self {
        self.got = got.into();
        self
    }

    /// Adds a place around the one that is known, as far as there is room.
    pub(crate) fn inside(mut self, place: &str) -> Self {
        if self.place.is_empty() {
            place.clone_into(&mut self.place);
        } else if self.place.len().saturating_add(place.len()) <= PLACE_BYTES_MAX {
            self.place.push_str(" of ");
            self.place.push_str(place);
        }
        self
    }
}

/// `the model has too many nodes (rule nodes)`.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (rule {})", self.rule.sentence(), self.rule)
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        let got = match (refusal.got.as_str(), refusal.place.as_str()) {
            (got, "") => got.to_owned(),
            ("", place) => place.to_owned(),
            (got, place) => format!("{got} in {place}"),
        };
        Self::new(refusal.rule.code(), refusal.to_string())
            .expected(refusal.expected)
            .got(got)
            .hint(refusal.rule.hint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = Rule::ALL.map(Rule::name).into();
        assert_eq!(names.len(), Rule::ALL.len());
    }

    #[test]
    fn a_name_is_told_escaped_and_cut() {
        assert_eq!(quoted(b"a\x1b[2J\"b"), "\"a\\u{1b}[2J\\\"b\"");
        assert_eq!(quoted("\u{202e}x".as_bytes()), "\"\\u{202e}x\"");
        let long = quoted(&[b'x'; 1 << 20]);
        assert_eq!(long.chars().count(), NAME_CHARS_MAX + 3);
    }

    #[test]
    fn a_fault_names_rule_place_and_way_out() {
        let refusal = Refusal::new(Rule::Rank)
            .expected("at most 8")
            .got("9 dimensions")
            .inside("the value \"x\"");
        let fault = Fault::from(refusal);
        assert!(fault.message.contains("(rule rank)"), "{fault}");
        assert_eq!(fault.got, "9 dimensions in the value \"x\"");
        assert!(!fault.hint.is_empty());
    }
}
