//! Judgements over whole sets of facts: a healthy installation, and one fault at a time.

mod configuration;
mod isolation;
mod limits;
mod network;
mod programs;
mod scene;
mod service;
mod sockets;
mod text;
