//! What is asked of both hosts: nothing, or one inference with a model that the host has by name, or with one that the guest
//! brings as bytes, or what the guest does for an inference by itself.

use crate::faas::client::Ask;
use crate::models::EFFICIENTNET;

/// For parts in which there is one tenant.
pub(crate) const ANYBODY: &str = "anybody.example";

/// For the part in which there are two.
pub(crate) const VICTIM: &str = "a.example";
pub(crate) const NEIGHBOUR: &str = "b.example";

/// A model and its input.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Model {
    /// As people say it.
    pub(crate) title: &'static str,
    /// As the repository says it.
    pub(crate) name: &'static str,
    shape: &'static str,
}

/// Four numbers plus one.
pub(crate) const TINY: Model = Model {
    title: "tiny (16 B)",
    name: "add-16b",
    shape: "4",
};

/// A real one.
pub(crate) const REAL: Model = Model {
    title: EFFICIENTNET,
    name: EFFICIENTNET,
    shape: "1x3x224x224",
};

/// The same on three pictures at once.
pub(crate) const HEAVY: Model = Model {
    title: "efficientnet-lite0, 3 pictures",
    name: EFFICIENTNET,
    shape: "3x3x224x224",
};

/// All that hosts have by name.
pub(crate) const MODELS: [Model; 2] = [TINY, REAL];

/// The route that has nothing to do with models.
pub(crate) fn nothing() -> Ask {
    Ask {
        target: "/nothing".to_owned(),
        host: ANYBODY,
    }
}

// === impl Model ===

impl Model {
    /// One inference, the model by name.
    pub(crate) fn by_name(self, host: &'static str) -> Ask {
        Ask {
            target: format!("/infer?model={}&shape={}", self.name, self.shape),
            host,
        }
    }

    /// The guest makes the same input, and that is all.
    pub(crate) fn input(self) -> Ask {
        Ask {
            target: format!("/input?shape={}", self.shape),
            host: ANYBODY,
        }
    }

    /// One inference, the model from bytes.
    pub(crate) fn brought(self) -> Ask {
        let file = format!("{}/1/model.onnx", self.name);
        Ask {
            target: format!("/load?file={file}&shape={}", self.shape),
            host: ANYBODY,
        }
    }
}
