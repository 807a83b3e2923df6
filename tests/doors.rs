//! Clients that mean harm, or are broken, at both doors: `nn.sock` in frames of HTTP/2 that no library would send,
//! `fd.sock` in packets and descriptors. Each abuse is bounded: the daemon holds nothing of it afterwards, and an honest
//! session beside it is answered all the while. `cargo xtask soak doors` repeats each a hundred times as often.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test's helpers fail with it, and say what they have seen"
)]

#[path = "doors/deaf.rs"]
mod deaf;
#[path = "doors/descriptors.rs"]
mod descriptors;
#[path = "doors/exhausted.rs"]
mod exhausted;
#[path = "doors/floods.rs"]
mod floods;
#[path = "doors/frozen.rs"]
mod frozen;
#[path = "doors/full.rs"]
mod full;
#[path = "doors/hoards.rs"]
mod hoards;
#[path = "doors/left.rs"]
mod left;
#[path = "doors/logs.rs"]
mod logs;
#[path = "doors/neighbour.rs"]
mod neighbour;
#[path = "doors/packets.rs"]
mod packets;
#[path = "doors/raw.rs"]
mod raw;
#[path = "doors/residue.rs"]
mod residue;
#[path = "doors/slow.rs"]
mod slow;
#[path = "doors/wire.rs"]
mod wire;
