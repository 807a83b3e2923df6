//! Clients that send their tensors in messages: the Open Inference Protocol, on the same socket as nn.v1. For each the
//! daemon is what `nn-client` is for a guest: it holds a session, places inputs in its arenas, and reads outputs where the
//! worker wrote them. This is the one place where the broker touches tensors, and it looks at none (ADR 32).
//!
//! ```text
//!  connection ──▶ Clients ──▶ Client (a session) of a tenant ──▶ Placed (a graph, the book of its arena)
//!  ModelInfer ──▶ wanted.rs (what is asked) ──▶ compute.rs: place → infer::run → Outputs ──▶ server/kserve/weave.rs
//! ```
//!
//! A connection's end is its sessions' end, as that of the descriptor socket is a guest's.

mod client;
mod compute;
mod outputs;
mod placed;
mod wanted;

pub(crate) use client::{Client, Clients, WAITING_MAX};
pub(crate) use compute::{Computed, compute};
pub(crate) use outputs::Outputs;
pub(crate) use wanted::{Wanted, model_ref, tenant_named};
