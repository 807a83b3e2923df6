//! Why a model is refused: the rule, the place, the numbers, and the way out. A model's own words reach a message
//! escaped and cut; the value of a location, and any other path inside it, never does.

use std::fmt;

use nn_tensor::{Fault, Reason};

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

    /// The kebab-case name: that of its reason, without "vet-".
    #[must_use]
    pub fn name(self) -> &'static str {
        let id = self.reason().id();
        id.strip_prefix("vet-").unwrap_or(id)
    }

    /// Its row in the table of reasons: what the model is told to be, and the way out.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Format => Reason::VetFormat,
            Self::Malformed => Reason::VetMalformed,
            Self::DuplicateField => Reason::VetDuplicateField,
            Self::Size => Reason::VetSize,
            Self::Nodes => Reason::VetNodes,
            Self::Values => Reason::VetValues,
            Self::Depth => Reason::VetDepth,
            Self::Dims => Reason::VetDims,
            Self::Rank => Reason::VetRank,
            Self::DataType => Reason::VetDataType,
            Self::DataLength => Reason::VetDataLength,
            Self::ExternalData => Reason::VetExternalData,
            Self::OpDomain => Reason::VetOpDomain,
            Self::CustomOp => Reason::VetCustomOp,
            Self::EpContext => Reason::VetEpContext,
            Self::FrameworkConfig => Reason::VetFrameworkConfig,
            Self::OrtFile => Reason::VetOrtFile,
            Self::RecursiveFunction => Reason::VetRecursiveFunction,
            Self::Name => Reason::VetName,
            Self::Dtd => Reason::VetDtd,
            Self::IrVersion => Reason::VetIrVersion,
            Self::Wiring => Reason::VetWiring,
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
        write!(f, "{} (rule {})", self.rule.reason().row().what, self.rule)
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
        Fault::of(refusal.rule.reason())
            .message(refusal.to_string())
            .expected(refusal.expected)
            .got(got)
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
