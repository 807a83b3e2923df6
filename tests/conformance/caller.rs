//! Somebody who runs models for the suite and is talked to by pipes: a guest in `nn-host`, or a framework alone.

use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use nn_tests::{Daemon, command, guest_wasm};

use crate::wire::{self, Tensor};

/// How long a guest may live, in seconds: it ends with its host if it hangs, and whoever reads its answers sees their end.
const LIFE_SECONDS: &str = "900";

/// What one compute may take, in seconds.
const COMPUTE_SECONDS: &str = "60";

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Outputs(Vec<Tensor>),
    /// While the model was loaded or while it computed, and why.
    Refused {
        stage: String,
        text: String,
    },
}

/// One. It ends with this.
#[derive(Debug)]
pub(crate) struct Caller {
    child: Child,
    to: BufWriter<ChildStdin>,
    from: BufReader<ChildStdout>,
}

// === impl Caller ===

impl Caller {
    /// A guest over a daemon.
    pub(crate) fn guest(daemon: &Daemon, guest: &str) -> io::Result<Self> {
        let mut host = command("nn-host");
        host.args([
            "run",
            "--timeout",
            LIFE_SECONDS,
            "--compute-timeout",
            COMPUTE_SECONDS,
        ]);
        host.arg("--socket")
            .arg(daemon.socket())
            .arg(guest_wasm(guest));
        Self::start(host)
    }

    /// A framework with a model.
    pub(crate) fn framework(backend: &str, library: &Path, model: &Path) -> io::Result<Self> {
        let mut alone = command("nn-alone");
        alone.arg(backend).arg(library).arg(model);
        Self::start(alone)
    }

    fn start(mut command: Command) -> io::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn()?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        Ok(Self {
            child,
            to: BufWriter::new(to),
            from: BufReader::new(from),
        })
    }

    /// Has a model run.
    pub(crate) fn call(&mut self, model: &str, inputs: &[Tensor]) -> io::Result<Answer> {
        writeln!(self.to, "{model} {}", inputs.len())?;
        wire::tensors(&mut self.to, inputs)?;
        self.to.flush()?;
        let line = wire::line(&mut self.from)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        match line.split_once(' ') {
            Some(("ok", count)) => wire::read_tensors(&mut self.from, count).map(Answer::Outputs),
            Some(("error", rest)) => {
                let (stage, text) = rest.split_once(' ').unwrap_or((rest, ""));
                Ok(Answer::Refused {
                    stage: stage.to_owned(),
                    text: text.to_owned(),
                })
            }
            _ => Err(wire::wrong(&line)),
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
