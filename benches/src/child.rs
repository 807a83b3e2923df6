//! A way of inference as a process: a line in, a line out, and never waited for without end.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

/// The longest that one command may take.
const ANSWER_MAX: Duration = Duration::from_secs(120);

/// A process that answers commands; killed when dropped.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
}

// === impl Way ===

impl Way {
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} does not start"))?;
        let stdin = child.stdin.take().context("no stdin")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let (sender, answers) = sync_channel(1);
        let forward = move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        };
        thread::Builder::new()
            .name("answers".to_owned())
            .spawn(forward)?;
        Ok(Self {
            name,
            child,
            stdin,
            answers,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a command and waits for what follows `ok` in its answer.
    pub(crate) fn ask(&mut self, command: &str) -> Result<String> {
        let name = self.name;
        let sent = self.stdin.write_all(format!("{command}\n").as_bytes());
        sent.and_then(|()| self.stdin.flush())
            .with_context(|| format!("{name} takes no commands any more"))?;
        let answer = self
            .answers
            .recv_timeout(ANSWER_MAX)
            .map_err(|why| match why {
                RecvTimeoutError::Timeout => anyhow!("{name} does not answer `{command}`"),
                RecvTimeoutError::Disconnected => anyhow!("{name} ended on `{command}`"),
            })?;
        match answer.split_once(' ') {
            Some(("ok", rest)) => Ok(rest.to_owned()),
            _ => bail!("{name}, on `{command}`: {answer}"),
        }
    }

    /// The same, where the answer is numbers.
    pub(crate) fn ask_numbers(&mut self, command: &str) -> Result<Vec<u64>> {
        let answer = self.ask(command)?;
        let numbers: Result<Vec<u64>, _> = answer.split_whitespace().map(str::parse).collect();
        numbers.with_context(|| format!("{} answers {answer:?}", self.name))
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}
