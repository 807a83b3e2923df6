//! `nnctl unload`: takes a model, or one version, out of service.

use nn_proto::v1;
use nn_tensor::{Fault, ModelRef, Selector};
use serde::Serialize;

use crate::daemon::{Daemon, within};
use crate::failure::Failure;
use crate::output::{Paint, Report, printable};

/// What went.
#[derive(Debug, Serialize)]
pub(crate) struct Unloaded {
    unloaded: Vec<String>,
}

/// Refuses what needs no daemon to be refused.
pub(crate) fn check(model: &ModelRef) -> Result<(), Failure> {
    match model.selector {
        Selector::Current | Selector::Version(_) => Ok(()),
        Selector::Alias(_) => Err(Failure::usage(
            Fault::invalid_argument("an alias cannot be unloaded")
                .expected("NAME for every version, NAME@VERSION for one")
                .got(model.to_string()),
        )),
    }
}

/// Asks the daemon.
pub(crate) async fn run(daemon: &Daemon, model: &ModelRef) -> Result<Unloaded, Failure> {
    let request = v1::UnloadRequest {
        reference: model.to_string(),
    };
    let answer = within("unload", daemon.models().unload(request)).await?;
    Ok(Unloaded {
        unloaded: answer.into_inner().unloaded,
    })
}

// === impl Unloaded ===

impl Report for Unloaded {
    fn text(&self, _: Paint) -> String {
        self.unloaded
            .iter()
            .map(|reference| format!("{} unloaded\n", printable(reference)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Exit;

    #[test]
    fn an_alias_is_refused_as_usage() {
        let failure = check(&"foo:canary".parse().unwrap()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(check(&"foo@2".parse().unwrap()), Ok(()));
    }
}
