//! Gathers the facts: everything that `nnctl doctor` reads, connects to or starts. Each wait has a bound.

mod child;
mod machine;
mod programs;
mod repositories;
mod sockets;

use std::path::{Path, PathBuf};

use nn_proto::v1;
use nn_sandbox::{Plan, Profile};

use super::facts::{Answer, Facts};
use crate::cli::Doctor;
use crate::daemon::{Daemon, within};
use crate::exit::Exit;
use crate::failure::Failure;

/// All of them.
pub(super) async fn gather(socket: &Path, by_flag: bool, options: &Doctor) -> Facts {
    let me = machine::me();
    let door = sockets::door(socket, by_flag, &me);
    // After the sockets were tried: asking may start a daemon that systemd holds the sockets for.
    let answer = ask(socket).await;
    let status = match &answer {
        Answer::Status(status) => Some(status),
        Answer::Refused | Answer::None(_) => None,
    };
    let process = status.and_then(|status| machine::process(status.pid));
    let (programs, configuration) = programs::gather(options).await;
    let configured = configuration
        .printed
        .as_ref()
        .and_then(|printed| printed.as_ref().ok());
    let state_dir = match status {
        Some(status) => Some(status.state_dir.clone().into()),
        None => configured.and_then(|printed| printed.state_dir.clone()),
    };
    let library = match status {
        // What a daemon elsewhere names is not looked for here.
        Some(status) => library(status).filter(|_| process.is_some()),
        None => configured.and_then(|printed| printed.onnxruntime.clone()),
    };
    let named = configured.map(|printed| printed.repositories.clone());
    Facts {
        repositories: repositories::look(named.unwrap_or_default()),
        daemon_user: repositories::daemon_user(process.as_ref().and_then(|process| process.uid)),
        library_there: library.map(|path| path.is_file()),
        me,
        kernel: machine::kernel(),
        layers: Profile::all()
            .first()
            .map(|profile| Plan::new(profile, &nn_sandbox::Facts::read()).layers)
            .unwrap_or_default(),
        programs,
        configuration,
        door,
        process,
        service: child::service().await,
        state_dir: state_dir.map(machine::state_dir),
        memory_available: machine::memory_available(),
        answer,
    }
}

/// The framework's library, by the daemon's word.
fn library(status: &v1::StatusResponse) -> Option<PathBuf> {
    let mut runtimes = status.runtimes.iter();
    let found = runtimes.find(|runtime| runtime.available)?;
    Some(PathBuf::from(&found.detail))
}

async fn ask(socket: &Path) -> Answer {
    let asked = async {
        let daemon = Daemon::connect(socket).await?;
        let status = within("status", daemon.admin().status(v1::StatusRequest {})).await?;
        Ok::<_, Failure>(status.into_inner())
    };
    match asked.await {
        Ok(status) => Answer::Status(Box::new(status)),
        // Somebody answered: to refuse is to be there. A socket that may not be opened answers nobody.
        Err(failure) if failure.exit == Exit::Refused && !failure.fault.expected.is_empty() => {
            Answer::Refused
        }
        Err(failure) => Answer::None(failure.fault.message.clone()),
    }
}
