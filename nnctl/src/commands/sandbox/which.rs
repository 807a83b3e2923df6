//! Which profile is meant by a name.

use nn_sandbox::{OwnProfile, Profile, profile_names};
use nn_tensor::Fault;

use crate::failure::Failure;

/// A profile of workers, or of one of our own processes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    Worker(&'static Profile),
    Own(&'static OwnProfile),
}

/// Finds the profile, before anybody is asked about it.
pub(crate) fn check(name: &str) -> Result<Which, Failure> {
    let worker = Profile::named(name).map(Which::Worker);
    let found = worker.or_else(|| OwnProfile::named(name).map(Which::Own));
    found.ok_or_else(|| {
        let fault = Fault::not_found(format!("no sandbox profile is called {name}"));
        let fault = fault.expected(format!("one of: {}", profile_names().join(", ")));
        Failure::from(fault.hint("nnctl status shows which one workers have"))
    })
}
