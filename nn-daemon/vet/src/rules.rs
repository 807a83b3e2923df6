//! The bounds of vetting. What an operator may set is in [`Rules`]; the rest are constants, with their reasons.

/// Subgraphs inside each other, the bodies of If, Loop and Scan. Exporters nest two or three; each level multiplies
/// what a framework's passes do.
pub const DEPTH_MAX: u32 = 8;

/// Functions that call each other in a row. Exporters that make a function of each layer nest ten or so, and a framework
/// goes down into each by recursion.
pub const CALLS_MAX: u32 = 64;

/// Messages inside messages: as many as protobuf's own parsers follow.
pub const MESSAGE_DEPTH_MAX: u32 = 100;

/// Dimensions of a tensor or a value: as many as can be served.
pub const RANK_MAX: usize = nn_tensor::RANK_MAX;

/// Initializers, inputs, outputs, annotated values and attributes of functions for each node that is allowed: four are many.
pub const VALUES_PER_NODE: u64 = 4;

/// The most of an XML file that is read. The layers of the largest models take a tenth of it; the weights are not in it.
pub const XML_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Elements inside each other in an XML file: a body eight levels down needs forty.
pub const XML_DEPTH_MAX: usize = 64;

/// Attributes of one XML element: a layer's data has a dozen or two.
pub const ATTRIBUTES_MAX: usize = 64;

/// Ports, edges and dimensions of an IR for each layer that is allowed: elements of XML, all counted together.
pub const ELEMENTS_PER_LAYER: u64 = 64;

/// What an operator may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The largest model, all its files together, in bytes; functions counted once for each call.
    pub bytes_max: u64,
    /// Nodes (layers) of all its graphs and functions together, functions counted once for each call.
    pub nodes_max: u64,
}

impl Default for Rules {
    /// 2 GiB, which protobuf cannot exceed, and 100,000 nodes: ten times what the largest published ONNX files have.
    fn default() -> Self {
        Self {
            bytes_max: 2 * 1024 * 1024 * 1024,
            nodes_max: 100_000,
        }
    }
}

impl Rules {
    /// Initializers, inputs, outputs, annotated values and attributes of functions together.
    pub(crate) fn values_max(&self) -> u64 {
        self.nodes_max.saturating_mul(VALUES_PER_NODE)
    }

    /// Elements of an XML file.
    pub(crate) fn elements_max(&self) -> u64 {
        self.nodes_max.saturating_mul(ELEMENTS_PER_LAYER)
    }
}
