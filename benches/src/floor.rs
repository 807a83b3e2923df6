//! The road and nothing on it: input and output are copied once each, and a message of a descriptor's size goes by way of a
//! second process to a third and back. No design with these processes and these copies can be faster on this machine, so it
//! says how much of a figure is the machine's.

use std::borrow::Cow;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, ExitCode, Stdio};
use std::time::Duration;

use anyhow::Result;
use bench_loop::{Abi, BenchError, Input};
use clap::Args;

use crate::procs::Placement;

/// About as long as a descriptor.
const MESSAGE_BYTES: usize = 200;

/// The longest that an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// A process on the road.
#[derive(Debug, Args)]
pub(crate) struct RelayOptions {
    /// How many processes come after this one.
    #[arg(long)]
    further: u8,
}

/// A process that sends back what it is sent, by way of others.
#[derive(Debug)]
struct Hop {
    socket: UnixStream,
    child: Child,
}

struct Floor {
    hop: Hop,
    input: Vec<u8>,
    output: Vec<u8>,
    received: Vec<u8>,
}

/// Is the way.
pub(crate) fn run() -> Result<ExitCode> {
    let mut floor = Floor {
        hop: Hop::start(1)?,
        input: Vec::new(),
        output: Vec::new(),
        received: Vec::new(),
    };
    bench_loop::serve(&mut floor)?;
    Ok(ExitCode::SUCCESS)
}

/// Is a process on the road, with its socket for stdin, until that is closed.
pub(crate) fn relay(options: &RelayOptions) -> Result<ExitCode> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut next = match options.further.checked_sub(1) {
        Some(further) => Some(Hop::start(further)?),
        None => None,
    };
    let mut message = [0; MESSAGE_BYTES];
    while socket.read_exact(&mut message).is_ok() {
        if let Some(next) = &mut next {
            next.round_trip(&mut message)?;
        }
        socket.write_all(&message)?;
    }
    Ok(ExitCode::SUCCESS)
}

// === impl Hop ===

impl Hop {
    fn start(further: u8) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        // This process is placed already, and what it starts is with it.
        let child = Placement::Free
            .command(std::env::current_exe()?)
            .arg("relay")
            .arg("--further")
            .arg(further.to_string())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        Ok(Self { socket, child })
    }

    fn round_trip(&mut self, message: &mut [u8; MESSAGE_BYTES]) -> io::Result<()> {
        self.socket.write_all(message)?;
        self.socket.read_exact(message)
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

// === impl Floor ===

impl Abi for Floor {
    fn open_named(&mut self, _name: &str, input: &Input) -> Result<(), BenchError> {
        self.input = vec![0; input.bytes.len()];
        self.output = vec![1; input.out_bytes];
        self.received = vec![2; input.out_bytes];
        Ok(())
    }

    fn open_bytes(&mut self, _model: Vec<u8>) -> Result<(), BenchError> {
        Err(BenchError::Idle)
    }

    fn call(&mut self, input: &Input) -> Result<(), BenchError> {
        self.input.copy_from_slice(&input.bytes);
        self.hop.round_trip(&mut [0; MESSAGE_BYTES])?;
        self.received.copy_from_slice(&self.output);
        Ok(())
    }

    fn output(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.received)
    }
}
