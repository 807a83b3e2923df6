//! A model that nobody should have.

/// A model that nobody should have.
#[derive(Clone, Debug)]
pub(crate) struct Bad {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// What stops it before any framework sees it; otherwise the framework may do what it likes.
    pub(crate) rule: Option<&'static str>,
}

pub(crate) fn bad(name: impl Into<String>, bytes: Vec<u8>, rule: Option<&'static str>) -> Bad {
    Bad {
        name: name.into(),
        bytes,
        rule,
    }
}
