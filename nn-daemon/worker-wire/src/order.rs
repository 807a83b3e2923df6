//! What a worker is made of. The daemon tells the spawner once, before either is jailed ([`Workers`]); the spawner tells
//! each worker, on a pipe that nobody else holds ([`Order`]). Nothing of it goes from the daemon to a worker: a daemon
//! that is taken over later has no say in it. ADR 18.

use bincode::{Decode, Encode};

/// The most libraries of one framework.
pub const LIBRARIES_MAX: usize = 8;

/// What follows a backend's name where its workers prepare models ([`ToWorker::Prepare`](crate::ToWorker::Prepare)): they are
/// made for that, with a jail of their own, and serve nobody.
pub const PREPARES: &str = "+prepares";

/// The backend of that name, and whether the worker is one that prepares.
#[must_use]
pub fn backend_of(name: &str) -> (&str, bool) {
    let prepares = name.strip_suffix(PREPARES);
    (prepares.unwrap_or(name), prepares.is_some())
}

/// What every worker of one backend is made of.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Workers {
    /// Which backend: `onnxruntime`, `openvino`; or one and [`PREPARES`].
    pub backend: String,
    /// Where the framework's library lies, absolute and without symbolic links. Its file comes along. Empty for workers
    /// without a framework: no file comes along.
    pub library: String,
    /// The names of others that it needs from beside it, without which it is none. Their files come along, in this order.
    pub beside: Vec<String>,
    /// The most threads of the framework that any worker may have for one run.
    pub threads_max: u32,
    /// The profile's name; the worker holds the profiles of its build.
    pub profile: String,
    /// The layers of the jail, by name. The spawner makes the namespaces among them, the worker the rest.
    pub layers: Vec<String>,
    /// The most that any worker's heap, stacks and libraries' data may take, in bytes.
    pub data_bytes_max: u64,
    /// The system call filter: BPF, one instruction a number (code, jt, jf, k from the top).
    pub filter: Vec<u64>,
}

/// What one worker is made of. It reads it before it hears the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Order {
    /// Which backend.
    pub backend: String,
    /// The framework's library. Its sealed copy is a descriptor of the worker's own. With an empty path for a worker
    /// without a framework, which gets no such descriptor.
    pub library: Library,
    /// Others beside it, each with a descriptor too, in this order.
    pub beside: Vec<Library>,
    /// Threads of the framework for one run.
    pub threads: u32,
    /// The jail.
    pub sandbox: Sandbox,
}

/// A framework's library.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Library {
    /// Where it lay when the daemon started, and where it is found in the worker's root.
    pub path: String,
    /// The size of the sealed copy.
    pub bytes: u64,
}

impl Order {
    /// How many libraries come along.
    #[must_use]
    pub fn libraries(&self) -> usize {
        if self.library.path.is_empty() {
            return 0;
        }
        self.beside.len().saturating_add(1)
    }
}

/// The jail that a worker builds around itself before it loads anything.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Sandbox {
    /// The profile's name; the worker holds the profiles of its build.
    pub profile: String,
    /// The layers to apply, by name; the spawner has made the namespaces already.
    pub layers: Vec<String>,
    /// The uid and gid to become; `None` where it keeps its own.
    pub uid: Option<u32>,
    /// The most memory that the worker's heap, stacks and libraries' data may take, in bytes.
    pub data_bytes_max: u64,
    /// The system call filter, as in [`Workers`].
    pub filter: Vec<u64>,
}
