//! One mechanism a file. Nothing here decides anything.

pub(crate) mod allocator;
pub(crate) mod capabilities;
pub(crate) mod landlock;
pub(crate) mod limits;
pub(crate) mod process;
pub(crate) mod root;
pub(crate) mod seccomp;
