//! `nn-worker-liar`: a worker that answers Ready at once, without having built any jail. For the test that the
//! daemon believes the kernel and not the worker.

use std::io::Write;
use std::os::fd::AsFd;

use nn_shm::fds;
use nn_worker_wire::{
    BUILD_ID, BUILD_ID_MARK, FRAME_BYTES_MAX, FromWorker, ToWorker, decode, encode,
};

fn main() {
    // Also keeps the mark in the program, where the spawner looks for it.
    say(BUILD_ID_MARK);
    let ready = FromWorker::Ready {
        build_id: BUILD_ID.to_owned(),
        runtime: "a lie".to_owned(),
    };
    let (Ok(socket), Ok(ready)) = (fds::inherited(3), encode(&ready)) else {
        return;
    };
    let mut buffer = vec![0; FRAME_BYTES_MAX];
    while let Ok(packet) = fds::recv(socket.as_fd(), &mut buffer, 16) {
        match decode::<ToWorker>(buffer.get(..packet.len).unwrap_or_default()) {
            Ok(ToWorker::Boot { .. }) => {
                if fds::send(socket.as_fd(), &ready, &[]).is_err() {
                    return;
                }
            }
            Ok(ToWorker::Model { .. }) => say("a model"),
            _ => return,
        }
    }
}

fn say(text: &str) {
    // Nobody is left to tell that the log is gone.
    let _ = writeln!(std::io::stderr(), "liar: {text}");
}
