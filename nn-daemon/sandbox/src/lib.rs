//! Turns a profile into a jail. Knows nothing of models, frameworks or the daemon.
//!
//! ```text
//! profile.rs  what sandbox-profiles/ says, compiled in
//! facts.rs    what this kernel offers to this process
//! plan.rs     profile + facts → which layers, and the steps in their order (pure)
//! world.rs    which files of this machine a worker's root holds
//! apply.rs    executes steps; stops at the first that fails
//! own.rs      the same for the broker and the spawner, which jail themselves
//! step/       one mechanism a file
//! ```
//!
//! The order, and why that order: the namespaces come with the process itself (the spawner's clone3), because
//! a process id namespace cannot be entered by who makes it. Then the root is built, while there are still
//! capabilities to build it with; Landlock after that, because a process it restricts cannot mount; then
//! resource limits; then the capabilities go, and no_new_privs makes that final. The framework is loaded
//! inside, for its loading is the first complicated thing. The system call filter comes last, when
//! all threads are there and everything that needs more calls has been done once.

mod apply;
mod attest;
mod facts;
mod layer;
mod own;
mod plan;
mod profile;
mod step;
mod world;

pub use apply::{ApplyError, apply};
pub use attest::{Unjailed, judge};
pub use facts::Facts;
pub use layer::Layer;
pub use own::{
    Access, Grant, GrantRule, KeptCapability, OwnAsk, OwnLayer, OwnPlan, OwnProfile, OwnState,
    OwnStep, When, enter, own_steps, profile_names,
};
pub use plan::{Ask, LayerState, Need, Plan, Sealed, Step, Steps, steps};
pub use profile::{Bind, Bound, Call, Library, Limit, Max, Profile};
pub use step::allocator::trim as trim_heap;
pub use world::{World, WorldError};
