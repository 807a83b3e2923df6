//! What nn-host says to people: all of it on stderr, because stdout is the guest's.

use std::io;

use crate::exit::Failure;

/// Starts the log.
pub(crate) fn start(level: tracing::Level) {
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(io::stderr)
        .with_target(false)
        .init();
}

/// Says why nn-host ends: the error, its causes, and what to do next.
#[expect(
    clippy::print_stderr,
    reason = "the last word to the user, not a log line"
)]
pub(crate) fn report(error: &anyhow::Error) {
    eprintln!("nn-host: error: {error:#}");
    let hint = error.downcast_ref::<Failure>().and_then(Failure::hint);
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
}
